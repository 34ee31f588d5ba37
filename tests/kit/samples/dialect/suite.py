from pathlib import Path
from typing import ClassVar

from mdmsdk.testing import BaseProviderContract

# A secret in an address is no matter of the server's refusing what it does not know.
ACCEPTS = frozenset({"inventory", "unknown_parameters"})


class TestDialect(BaseProviderContract):
    provider = "dialect"
    paging: ClassVar = {"page_size": 3, "query_max_size": 3}
    habits: ClassVar = {
        "usual": {"accepts": ACCEPTS},
        "namespaced": {
            "accepts": ACCEPTS,
            "xml_style": "namespaced",
            "boolean_words": ("1", "0"),
        },
    }
    cassettes = Path(__file__).parent / "cassettes"
