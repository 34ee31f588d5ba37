"""Finds what looks like a secret, in settings and in files that are to be published."""

from __future__ import annotations

import math
import re
from collections import Counter

from mdmsdk.settings import secret_values

__all__ = ["find_secrets", "secret_values"]

_PATTERNS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a JSON web token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"),
    "a credential header": re.compile(
        r"^\W*(?:proxy-)?(?:authorization|cookie|set-cookie|x-api-key|aw-tenant-code|x-cisco-meraki-api-key)\W*:",
        re.IGNORECASE | re.MULTILINE,
    ),
    "a scheme with its credential": re.compile(r"\b(?:Bearer|Basic) (?![a-z-]+\b)[A-Za-z0-9+/=._~-]{12,}"),
    "a credential in a URL": re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:\"']+:[^\s/@\"']+@", re.IGNORECASE),
    "a secret field": re.compile(
        r"(?:access_token|refresh_token|id_token|client_secret|client_assertion|password|passwd|api_?key)"
        r"[\"']?\s*[:=>]\s*[\"']?(?!redacted\b|null\b|none\b|<|&|\s|\")([^\s\"'<&,}]{4,})",
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


def _entropy(word: str) -> float:
    """Shannon entropy in bits a character."""
    counts = Counter(word).values()
    return -sum(count / len(word) * math.log2(count / len(word)) for count in counts)
