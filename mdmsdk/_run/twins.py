"""Writes the sync files from the async ones: ``python -m mdmsdk._run.twins``. A test compares them."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
TWINS = {
    "_run/aio.py": "_run/sync.py",
    "client/aio.py": "client/sync.py",
    "federation/aio.py": "federation/sync.py",
}
_WORDS = [
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\ba(?=close\b|closing\b)", ""),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\bconnect_async\b", "connect"),
    (r"\bwaits_aio\b", "waits_sync"),
    (r"\.aio\b", ".sync"),
    (r"\b(in|The) async\b", r"\1 sync"),
    (r"\bmany tasks\b", "many threads"),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAwaitable, ", ""),
]


def sync_twin(text: str) -> str:
    """The sync version of an async module's text."""
    for pattern, replacement in _WORDS:
        text = re.sub(pattern, replacement, text)
    return text


if __name__ == "__main__":
    for original, twin in TWINS.items():
        (PACKAGE / twin).write_text(sync_twin((PACKAGE / original).read_text()))
