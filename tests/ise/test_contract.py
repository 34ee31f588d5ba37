from typing import ClassVar

from mdmsdk.testing import BaseProviderContract


class TestIse(BaseProviderContract):
    provider = "ise"
    habits: ClassVar = {
        "with inventory": {"accepts": frozenset({"inventory"})},
        "retired shown": {"accepts": frozenset({"inventory"}), "hide_retired": False},
    }
    paging: ClassVar = {"page_size": 3, "query_max_size": 3}
