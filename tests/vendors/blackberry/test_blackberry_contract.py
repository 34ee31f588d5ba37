"""The contract of every provider, for both of this vendor's."""

from typing import Any, ClassVar

from mdmsdk.testing import BaseProviderContract


class TestBlackBerry(BaseProviderContract):
    provider = "blackberry"
    habits: ClassVar = {
        "usual": {},
        "REST alone, by OAuth": {"ise": False, "login": "oauth", "totals": False, "sorts": False},
    }
    paging: ClassVar[dict[str, Any]] = {"page_cap": 12}
    fleet_size = 40
    mutations = 100


class TestBlackBerryIse(BaseProviderContract):
    provider = "blackberry-ise"
    habits: ClassVar = {"with inventory": {"accepts": frozenset({"inventory"})}}
    paging: ClassVar[dict[str, Any]] = {"page_size": 3, "query_max_size": 3}
