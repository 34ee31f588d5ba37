from typing import ClassVar

from mdmsdk.testing import BaseProviderContract


class TestIse(BaseProviderContract):
    provider = "ise"
    paging: ClassVar = {"page_size": 3, "query_max_size": 3}
