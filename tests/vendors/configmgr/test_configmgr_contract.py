"""The contract of every provider, with a token of Entra ID."""

from typing import Any, ClassVar

from mdmsdk.testing import BaseProviderContract


class TestConfigMgr(BaseProviderContract):
    provider = "configmgr"
    paging: ClassVar[dict[str, Any]] = {"page_cap": 3}
