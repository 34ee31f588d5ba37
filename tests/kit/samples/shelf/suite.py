from pathlib import Path
from typing import ClassVar

from mdmsdk.testing import BaseProviderContract


class TestShelf(BaseProviderContract):
    provider = "shelf"
    paging: ClassVar = {"page_cap": 4}
    wrong_login: ClassVar = {"api_key": "wrong-shelf-key"}
    cassettes = Path(__file__).parent / "cassettes"
