from typing import ClassVar

from mdmsdk.testing import BaseProviderContract


class TestIvantiCore(BaseProviderContract):
    provider = "ivanti-core"
    paging: ClassVar = {"page_cap": 3}
    absent_is_fine: ClassVar = {"common.security_state": "devices without a fault may have none"}


class TestIvantiCloud(BaseProviderContract):
    provider = "ivanti-cloud"
    paging: ClassVar = {"page_cap": 3}


class TestIvantiCoreIse(BaseProviderContract):
    provider = "ivanti-core-ise"
    habits: ClassVar = {"with inventory": {"accepts": frozenset({"inventory"})}}
    paging: ClassVar = {"page_size": 3, "query_max_size": 3}


class TestIvantiCloudIse(BaseProviderContract):
    provider = "ivanti-cloud-ise"
    habits: ClassVar = {"with inventory": {"accepts": frozenset({"inventory"})}}
    paging: ClassVar = {"page_size": 3, "query_max_size": 3}
