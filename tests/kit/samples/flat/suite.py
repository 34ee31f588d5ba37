from pathlib import Path
from typing import ClassVar

from mdmsdk.testing import BaseProviderContract


class TestFlat(BaseProviderContract):
    provider = "flat"
    paging: ClassVar = {"page_size": 4}
    habits: ClassVar = {"usual": {}, "uneven pages": {"page_size": 6, "uneven": True}}
    wrong_login: ClassVar = {"client_secret": "wrong-secret"}
    cassettes = Path(__file__).parent / "cassettes"
