"""Both providers against the contract suite."""

from typing import ClassVar

from mdmsdk.testing import BaseProviderContract

WRONG_SECRET = {"client_secret": "wrong-secret"}


class TestIntune(BaseProviderContract):
    provider = "intune"
    paging: ClassVar = {"page_size": 3}
    wrong_login: ClassVar = WRONG_SECRET


class TestIntuneIse(BaseProviderContract):
    provider = "intune-ise"
    paging: ClassVar = {"query_max_size": 3}
    wrong_login: ClassVar = WRONG_SECRET
