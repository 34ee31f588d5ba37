"""The query language of the administration service: OData over WMI. Pure.

https://learn.microsoft.com/intune/configmgr/develop/adminservice/usage
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.errors import InvalidIdentifierError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CHUNK", "among", "in_array", "quoted", "within"]

CHUNK = 30
"""Values in one filter: addresses stay below 2 kB."""
_DENSE = 8
"""How many rows a range may bring for one that is wanted."""


# OData 4.01, URL conventions, section 5.1.1.14.1: a quote within a text is doubled. The service makes WQL of
# it, where backslashes and quotation marks mean something, and nobody says whether it sees to that.
def quoted(text: str) -> str:
    """A text as a filter has it.

    Raises:
        InvalidIdentifierError: it holds a sign that the server may read as part of the query.
    """
    if "\\" in text or '"' in text:
        raise InvalidIdentifierError(
            "a backslash or quotation mark cannot be asked for safely at this server"
        )
    return "'" + text.replace("'", "''") + "'"


def among(name: str, values: Iterable[str | int]) -> str:
    """A filter for the rows in which a property has one of the values."""
    texts = [str(value) if isinstance(value, int) else quoted(value) for value in values]
    return f"({' or '.join(f'{name} eq {text}' for text in texts)})"


def in_array(name: str, values: Iterable[str]) -> str:
    """A filter for the rows in which a property is a list with one of the texts."""
    return f"{name}/any(m: {' or '.join(f'm eq {quoted(value)}' for value in values)})"


def within(name: str, ids: Sequence[int]) -> list[tuple[str, int]]:
    """Filters that together hold for the rows with these numbers: the range, if they are close together.

    Each comes with how many of the numbers it is for.
    """
    ordered = sorted(ids)
    if len(ordered) > CHUNK and ordered[-1] - ordered[0] < _DENSE * len(ordered):
        return [(f"({name} ge {ordered[0]} and {name} le {ordered[-1]})", len(ordered))]
    parts = (ordered[place : place + CHUNK] for place in range(0, len(ordered), CHUNK))
    return [(among(name, part), len(part)) for part in parts]
