"""The contract of every provider, for both of this vendor's."""

from typing import Any, ClassVar

from mdmsdk.testing import BaseProviderContract


class TestWorkspaceOne(BaseProviderContract):
    provider = "workspaceone"
    paging: ClassVar[dict[str, Any]] = {"page_cap": 12}


class TestWorkspaceOneIse(BaseProviderContract):
    provider = "workspaceone-ise"
    habits: ClassVar = {"with inventory": {"accepts": frozenset({"inventory"})}}
    paging: ClassVar[dict[str, Any]] = {"page_size": 3, "query_max_size": 3}
