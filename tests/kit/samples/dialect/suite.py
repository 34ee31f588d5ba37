from pathlib import Path
from typing import ClassVar

from mdmsdk.testing import BaseProviderContract


class TestDialect(BaseProviderContract):
    provider = "dialect"
    paging: ClassVar = {"page_size": 3, "query_max_size": 3}
    habits: ClassVar = {
        "usual": {"accepts": frozenset({"inventory"})},
        "namespaced": {
            "accepts": frozenset({"inventory"}),
            "xml_style": "namespaced",
            "boolean_words": ("1", "0"),
        },
    }
    cassettes = Path(__file__).parent / "cassettes"
