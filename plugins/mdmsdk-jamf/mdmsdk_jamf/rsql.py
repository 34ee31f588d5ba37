"""Search filters of the Jamf Pro API. Pure.

Source: "Filtering with RSQL", https://developer.jamf.com/jamf-pro/docs/filtering-with-rsql
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["any_of", "chunks", "encoded", "listed", "quoted"]

T = TypeVar("T")

# A request line and its headers, the token among them, share 8 kB in a server's default configuration.
_LONGEST: Final = 4000
_SPECIAL = re.compile(r"[\\'*]")


def quoted(value: str) -> str:
    """A value as it stands in a filter; ``*`` would be a wildcard."""
    return "'" + _SPECIAL.sub(lambda found: "\\" + found[0], value) + "'"


def any_of(fields: Iterable[str], values: Sequence[str]) -> str:
    """A filter for the records of which one of the fields has one of the values."""
    operands = [quoted(value) for value in values]
    if len(operands) == 1:
        return ",".join(f"{field}=={operands[0]}" for field in fields)
    return ",".join(f"{field}=in=({','.join(operands)})" for field in fields)


def encoded(text: str) -> str:
    """A filter as it stands in a URL: as JavaScript's encodeURIComponent writes it."""
    return quote(text, safe="'()*!")


def listed(item: object) -> int:
    """How many characters of a URL a value takes in a list."""
    return len(encoded(quoted(str(item)) + ","))


def chunks(items: Sequence[T], cost: Callable[[T], int] = listed) -> list[list[T]]:
    """The items in groups that are short enough for a URL, of which each takes so many characters."""
    groups: list[list[T]] = []
    room = 0
    for item in items:
        taken = cost(item)
        if taken > room:
            groups.append([])
            room = _LONGEST
        groups[-1].append(item)
        room -= taken
    return groups
