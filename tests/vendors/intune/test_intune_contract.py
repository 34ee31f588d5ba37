"""Both providers against the contract suite."""

from typing import ClassVar

from mdmsdk.identifiers import Key
from mdmsdk.testing import BaseProviderContract

WRONG_SECRET = {"client_secret": "wrong-secret"}


class TestIntune(BaseProviderContract):
    provider = "intune"
    paging: ClassVar = {"page_size": 3}
    wrong_login: ClassVar = WRONG_SECRET

    def is_silent(self, kind: type[Key]) -> bool:
        """Graph shows all kinds, unlike the protocol of which this is a dialect for MAC addresses."""
        del kind
        return False


class TestIntuneIse(BaseProviderContract):
    provider = "intune-ise"
    paging: ClassVar = {"query_max_size": 3}
    wrong_login: ClassVar = WRONG_SECRET
