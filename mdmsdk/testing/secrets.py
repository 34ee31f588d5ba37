"""Finds what looks like a secret, in settings and in files that are to be published."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from mdmsdk.settings import secret_values
from mdmsdk.testing.cassettes import load_yaml
from mdmsdk.testing.scrub import SHORTEST
from mdmsdk.testing.written import decoded, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["find_secrets", "leaks", "secret_values"]

_PATTERNS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a JSON web token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "a credential header": re.compile(
        r"^\W*(?:proxy-)?(?:authorization|cookie|set-cookie|x-api-key|aw-tenant-code|x-cisco-meraki-api-key)\W*:",
        re.IGNORECASE | re.MULTILINE,
    ),
    "a scheme with its credential": re.compile(
        r"\b(?:Bearer|Basic|[a-z]+-basic) (?![a-z-]+\b)[A-Za-z0-9+/=._~-]{12,}"
    ),
    "a credential in a URL": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:\"']+:[^\s/@\"']+@", re.IGNORECASE),
    "a secret field": re.compile(
        r"(?:access_token|refresh_token|id_token|client_secret|client_assertion|password|passwd|api_?key)"
        r"[\"']?\s*[:=>]\s*[\"']?(?!redacted\b|cmVkYWN0ZWQ=|null\b|none\b|<|&|\s|\")([^\s\"'<&,}]{4,})",
        re.IGNORECASE,
    ),
}
_LONG_WORD = re.compile(r"[A-Za-z0-9+_-]{40,}={0,2}")
_LIKE_A_KEY = 4.5  # bits a character; prose, paths, hex and repeated text stay below


def find_secrets(text: str) -> list[str]:
    """What in a text looks like a secret, one line each: the line's number and its kind, never the value."""
    found = {
        (text.count("\n", 0, match.start()) + 1, kind)
        for kind, pattern in _PATTERNS.items()
        for match in pattern.finditer(text)
    }
    found |= {
        (text.count("\n", 0, match.start()) + 1, "a long random word")
        for match in _LONG_WORD.finditer(text)
        if _entropy(match[0]) > _LIKE_A_KEY
    }
    return [f"line {line}: {kind}" for line, kind in sorted(found)]


def leaks(cassette: str, private: Iterable[tuple[str, str]]) -> list[str]:
    """What a cassette shows that must not be published, by name, never by value.

    Args:
        cassette: as it was written.
        private: names and values of what must not stand there, however it is written.
    """
    texts = {form for text in _texts_in(load_yaml(cassette)) for form in decoded(text)}
    shown = dict.fromkeys(
        f"the {name}"
        for name, value in dict.fromkeys(private)
        if len(value) >= SHORTEST and any(map(re.compile(whole(re.escape(value.lower()))).search, texts))
    )
    return [*shown, *(f"what looks like a secret ({place})" for place in find_secrets(cassette))]


def _texts_in(value: Any) -> Iterator[str]:
    """The texts in a document, without the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(inner)


def _entropy(word: str) -> float:
    """Shannon entropy in bits a character."""
    counts = Counter(word).values()
    return -sum(count / len(word) * math.log2(count / len(word)) for count in counts)
