"""Keys from the command line and from files: one a line, or a column of CSV."""

from __future__ import annotations

import csv
import io
import re
import sys
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mdmsdk.errors import ConfigurationError, InvalidIdentifierError, MdmError
from mdmsdk.identifiers import KEY_KINDS, Key, parse_key
from mdmsdk.words import nearest, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

# What columns are called in exports of the vendors' consoles, without blanks and marks, by the kind of key
# that stands there; None where the form of each key tells. Our own CSV is among them. The first kind that is
# there is taken: what was asked before, then what ISE asks by.
_TITLES: dict[str | None, str] = {
    None: "key|identifier",
    "mac": "(?:wifi|wlan|wireless|ethernet|lan|primary|endpoint|device)?mac(?:address(?:es)?)?(?:wifi|wlan)?",
    "serial": "(?:device)?serial(?:no|number)?",
    "udid": "(?:device)?udid",
    "guid": "(?:device)?guid",
    "imei": "imei(?:number)?",
    "meid": "meid(?:number)?",
    "hostname": "hostname|computername",
    "username": "username|userprincipalname|upn",
}
_DELIMITERS = "\t;,|"


@contextmanager
def all_keys(
    given: Sequence[str], source: str | None, *, by: str | None, column: str | None
) -> Iterator[tuple[Iterator[Key | str], int | None]]:
    """The keys given and those of a file, and how many there are; None where they can be read only once.

    Args:
        given: keys as text.
        source: a file; ``-`` is stdin.
        by: the kind of all keys.
        column: title or number of the file's column.

    Raises:
        ConfigurationError: the file cannot be read, or has no such column.
    """
    if source is None:
        yield as_keys(((text, by) for text in given), by), len(given)
        return
    try:
        total = None
        if Path(source).is_file():
            with _open(source) as file:
                total = len(given) + sum(1 for _ in read_keys(file, source, column))
        with _open(source) as file:
            listed = read_keys(file, source, column)
            yield as_keys(chain(((text, None) for text in given), listed), by), total
    except OSError as error:
        # Errors of the network are MdmErrors, which some of the builtin ones are too.
        if isinstance(error, MdmError):
            raise
        raise ConfigurationError(
            f"{source} cannot be read: {error.strerror}", hint="Check the path and the file's permissions."
        ) from None


def as_keys(texts: Iterable[tuple[str, str | None]], by: str | None) -> Iterator[Key | str]:
    """The texts with their kinds as keys; one that is none stays text, which the client refuses in its place.

    Args:
        texts: each with the kind that its column names; a kind before it, as in ``serial:…``, is stronger.
        by: the kind that all have.
    """
    for text, kind in texts:
        prefixed = text.partition(":")[0].lower() in KEY_KINDS
        if named := by or (kind if not prefixed else None):
            yield KEY_KINDS[named].parse(text) or f"{named}:{text}"
            continue
        try:
            yield parse_key(text)
        except InvalidIdentifierError:
            yield text


def _open(source: str) -> AbstractContextManager[IO[str]]:
    # What does not fit the encoding stays visible in the error about that key.
    if source == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8-sig", errors="backslashreplace", newline="")
        return nullcontext(sys.stdin)
    with Path(source).open("rb") as file:
        mark = file.read(2)
    # Spreadsheets and PowerShell write UTF-16 with a byte-order mark, too.
    encoding = "utf-16" if mark in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    return Path(source).open(encoding=encoding, errors="backslashreplace", newline="")


def read_keys(lines: Iterable[str], source: str, column: str | None) -> Iterator[tuple[str, str | None]]:
    """The keys of a column with the kind that its title tells, if there are titles.

    Blank lines and those that begin with ``#`` do not count. A row that has nothing in the column gives an
    empty text: nobody is to believe that its device was asked for.

    Raises:
        ConfigurationError: there is no such column, or titles and no column that is known.
    """
    told = (line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    first = next(told, None)
    if first is None:
        return
    delimiter = max(_DELIMITERS, key=re.sub(r'"[^"]*"', "", first).count)
    if delimiter not in first:
        delimiter = ","
    rows = csv.reader(chain([first], told), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        head = next(rows)
        if chosen := _choose(head, source, column):
            place, kind = chosen
        else:
            place, kind = _number(column or "1", head, source), None
            yield _cell(head, place), kind
        for row in rows:
            yield _cell(row, place), kind
    except csv.Error as error:
        raise ConfigurationError(f"{source} is not CSV: {error}", hint="Check its quotes.") from None


def _cell(row: Sequence[str], place: int) -> str:
    """What stands in a column; of several values, as our own CSV has them, the first."""
    return row[place].partition("; ")[0].strip() if place < len(row) else ""


def _plain(title: str) -> str:
    return re.sub(r"[\W_]", "", title.removeprefix("device.")).lower()


def _choose(head: Sequence[str], source: str, column: str | None) -> tuple[int, str | None] | None:
    """Place and kind of the column; None where the first row holds no titles."""
    titles = [_plain(cell) for cell in head]
    kinds = [(place, kind) for kind, form in _TITLES.items() for place in _places(form, titles)]
    if column is None:
        return kinds[0] if kinds else None
    if column.isdecimal():
        place = _number(column, head, source)
        return (place, dict(kinds).get(place)) if kinds else None
    if _plain(column) not in titles:
        raise ConfigurationError(
            f"{source} has no column {column!r}{nearest(column, head)}",
            hint=f"It has: {', '.join(map(one_line, head))}.",
        )
    place = titles.index(_plain(column))
    return place, dict(kinds).get(place)


def _places(form: str, titles: Sequence[str]) -> list[int]:
    return [place for place, title in enumerate(titles) if re.fullmatch(form, title)]


def _number(column: str, head: Sequence[str], source: str) -> int:
    if not (column.isdecimal() and 1 <= int(column) <= len(head)):
        raise ConfigurationError(
            f"{source} has no column {column}", hint=f"They are numbered from 1 to {len(head)}."
        )
    return int(column) - 1
