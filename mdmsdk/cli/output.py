"""How rows are written. A command makes rows in the documented JSON shape; a `View` shows them otherwise."""

from __future__ import annotations

import csv
import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from mdmsdk.cli.bar import aside
from mdmsdk.cli.report import NotWrittenError, ReaderGoneError
from mdmsdk.words import one_line

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table or of a CSV file.

    Attributes:
        value: what stands in it for a row; None leaves it empty.
        limit: cells that it may take on a terminal; None for all that it needs.
        verdict: whether good and bad words in it get their colours.
        spare: whether it may stand below its row where a terminal is narrow.
    """

    title: str
    value: Callable[[Row], Any]
    limit: int | None = None
    verdict: bool = False
    spare: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """How the rows of a command are shown; json and ndjson print them as they are.

    Attributes:
        table: columns for people; a long text in the last one is continued below.
        csv: columns for programs.
    """

    table: Sequence[Column]
    csv: Sequence[Column]


class Writer(ABC):
    """Writes rows as they come.

    `close` is called only if all went well: what broke off shall not look complete.
    """

    def __init__(self, view: View) -> None:
        self._view = view

    def open(self) -> None:  # noqa: B027 - most formats have nothing there
        """Write what stands before all rows."""

    @abstractmethod
    def write(self, row: Row) -> None:
        """Write one row."""

    def close(self) -> None:  # noqa: B027
        """Write what stands behind all rows."""


def put(text: str) -> None:
    """Write text to stdout, and see that it gets there.

    Raises:
        ReaderGoneError: nobody reads it.
        NotWrittenError: it cannot be written.
    """
    try:
        with aside(text) if sys.stdout.isatty() else nullcontext():
            sys.stdout.write(text)
            sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise NotWrittenError(error.strerror or type(error).__name__) from None


def to_json(row: Row, *, indent: int | None = None) -> str:
    """A row as JSON in ASCII: safe on any terminal and in any encoding."""
    return json.dumps(row, indent=indent, default=str)


class NdjsonWriter(Writer):
    """One JSON object a line."""

    def write(self, row: Row) -> None:
        """Write one line."""
        put(f"{to_json(row)}\n")


class JsonWriter(Writer):
    """One JSON document: the list of all rows."""

    _before = "[\n"

    def write(self, row: Row) -> None:
        """Write one element."""
        put(f"{self._before}{to_json(row, indent=2)}")
        self._before = ",\n"

    def close(self) -> None:
        """End the list."""
        put("\n]\n" if self._before == ",\n" else "[]\n")


# What a spreadsheet takes for a formula (OWASP, "CSV Injection"), in full width too. Some spreadsheets
# begin a new cell behind a semicolon.
_FORMULA = re.compile(r"((?:^|;)\s*)(?=[=+@\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20-])")


def csv_text(value: Any) -> str:
    """A value as the text of a CSV field.

    Lists are joined by "; ". A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        value = "; ".join(map(str, value))
    text = one_line(str(value))
    return _FORMULA.sub(r"\1'", text)


class CsvWriter(Writer):
    """Comma-separated values with a line of titles, lines ended by LF."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._csv = csv.writer(_Lines(put), lineterminator="\n")

    def open(self) -> None:
        """Write the titles."""
        self._csv.writerow([column.title for column in self._view.csv])

    def write(self, row: Row) -> None:
        """Write one line."""
        self._csv.writerow([csv_text(column.value(row)) for column in self._view.csv])


class _Lines:
    """The one method of a file that `csv.writer` uses."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write
