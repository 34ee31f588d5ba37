"""Search filters of the Jamf Pro API. Pure.

Source: "Filtering with RSQL", https://developer.jamf.com/jamf-pro/docs/filtering-with-rsql
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

__all__ = ["LONGEST", "any_of", "chunks", "encoded", "later", "listed", "quoted"]

LONGEST: Final = 4000
"""Characters of a filter. A request line and its headers, the token among them, share 8 kB in a server's
default configuration."""
_IDS: Final = 200
"""Ids of records in a filter; they are numbers."""
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


def later(fields: Iterable[str], since: datetime) -> str:
    """A filter for the records of which one of the fields has this time, in UTC, or a later one."""
    return ",".join(f"{field}=ge='{since:%Y-%m-%dT%H:%M:%SZ}'" for field in fields)


def encoded(text: str) -> str:
    """A filter as it stands in a URL: as JavaScript's encodeURIComponent writes it."""
    return quote(text, safe="'()*!")


def listed(values: Iterable[str]) -> int:
    """How many characters of a URL some values take in a list."""
    return sum(len(encoded(quoted(value) + ",")) for value in values)


def chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    """The ids of records in groups that are short enough for a URL."""
    return [ids[start : start + _IDS] for start in range(0, len(ids), _IDS)]
