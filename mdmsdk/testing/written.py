"""The ways in which one text is written in a recording: percent-encoded, escaped, more than once."""

from __future__ import annotations

import html
import re
from functools import cache
from html.entities import codepoint2name
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["decoded", "pattern_of", "rewritten", "whole"]

_DEEPEST = 4  # encodings around each other, such as JSON in JSON in a query that is encoded twice
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
_BREAKS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def whole(pattern: str) -> str:
    """A pattern that is not found inside a longer word or number; an escape before it is no part of the word.

    So "1234" is not found in "812345".
    """
    escapes = (
        r"%[0-9A-Fa-f]{2}",
        r"%25[0-9A-Fa-f]{2}",
        r"%2525[0-9A-Fa-f]{2}",
        r"\\u[0-9A-Fa-f]{4}",
        r"\\[nrtbf]",
    )
    before = "|".join((r"(?<![0-9A-Za-z])", *(f"(?<={escape})" for escape in escapes)))
    return rf"(?:{before})(?:{pattern})(?![0-9A-Za-z])"


def pattern_of(value: str) -> str:
    """Finds a value however it is written; a group for each character that may be escaped."""
    return "".join(_character(run) for run in _runs(value))


def rewritten(value: str, made_up: str, found: str) -> str:
    """Another value of the same form, written as one was found.

    Args:
        value: what was looked for.
        made_up: what stands for it, character by character; what is no letter or digit is the same in both.
        found: where `pattern_of(value)` matches.
    """
    match = _compiled(value).fullmatch(found)
    if match is None or len(made_up) != len(value):
        return made_up  # a word that stands for a secret, or an address
    pieces, start, group = [], 0, 0
    for run in _runs(value):
        other = made_up[start : start + len(run)]
        start += len(run)
        if _is_plain(run):
            pieces.append(other)
            continue
        group += 1
        pieces.append(match[group] if other == run else other)
    return "".join(pieces)


def decoded(text: str) -> set[str]:
    """A text with all the texts that it may stand for, in lower case."""
    found, fresh = {text}, {text}
    for _ in range(_DEEPEST):
        fresh = {other for one in fresh for other in _decodings(one)} - found
        found |= fresh
    return {one.lower() for one in found}


def _decodings(text: str) -> Iterator[str]:
    yield unquote(text)
    yield unquote_plus(text)
    yield html.unescape(text)
    yield text.replace("''", "'")  # OData and SQL
    yield _JSON_ESCAPE.sub(
        lambda match: chr(int(match[1], 16)) if match[1] else _BREAKS.get(match[2], match[2]), text
    )


@cache
def _compiled(value: str) -> re.Pattern[str]:
    return re.compile(pattern_of(value))


def _is_plain(run: str) -> bool:
    return run.isascii() and run.isalnum()


def _runs(value: str) -> list[str]:
    """The value in pieces: plain letters and digits, backslashes in a row, and single other characters."""
    return re.findall(r"[0-9A-Za-z]+|\\+|.", value, re.DOTALL)


def _character(run: str) -> str:
    if _is_plain(run):
        return run
    if run.startswith("\\"):
        return r"((?:\\|%(?:25)*5[Cc]|\\u005[Cc]|&#92;|&bsol;)+)"
    code = ord(run)
    percent = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in run.encode("utf-8", "surrogatepass"))
    ways = [re.escape(run), percent, rf"u(?i:{code:04x})", rf"&#0*{code};", rf"&#[xX]0*(?i:{code:x});"]
    if name := codepoint2name.get(code, {"'": "apos"}.get(run)):
        ways.append(f"&{name};")
    if run in "'\"":  # OData and SQL write a quote twice
        ways[:0] = [f"{run}{run}", f"{percent}{percent}"]
    if run == " ":
        ways.append(r"\+")
    return rf"((?:\\|%(?:25)*5[Cc])*(?:{'|'.join(ways)}))"
