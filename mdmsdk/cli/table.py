"""Tables that stream: the first rows decide the widths, so memory does not grow with the list."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from mdmsdk.cli.output import Column, Row, View, Writer, put
from mdmsdk.words import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
_FIRST_ROWS = 100
_PATIENCE = 0.5  # seconds for which the first rows are held back
_GAP = "  "
_NARROW = 12  # cells, to which a column may be cut before others move below their rows
_NARROWEST = 8  # and after that
_COMFORTABLE = 40  # cells for a long text beside its row; with less it stands below
_INDENT = 4
_TITLE = "\x1b[1m"
_RESET = "\x1b[0m"
_COLOURS = {
    "compliant": "\x1b[32m",
    "noncompliant": "\x1b[31m",
    "grace": "\x1b[33m",
    "unknown": "\x1b[33m",
    "yes": "\x1b[32m",
    "no": "\x1b[31m",
}


def cell_text(value: Any) -> str:
    """A value as it stands in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return one_line(str(value))


class TableWriter(Writer):
    """Columns under titles. On a terminal long values are cut, or continued below; elsewhere never."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        console = Console(file=sys.stdout)
        self._colours = console.is_terminal and not console.no_color and not console.is_dumb_terminal
        known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
        self._room = shutil.get_terminal_size((80, 24)).columns if known else None
        self._held: list[list[str]] = []
        self._held_since = 0.0
        self._widths: list[int] | None = None
        self._below = False  # whether the last column's texts stand below their rows
        self._moved: list[int] = []  # columns that stand there with them

    def write(self, row: Row) -> None:
        """Write one row, or hold it back until the widths are known."""
        cells = [cell_text(column.value(row)) for column in self._view.table]
        if self._widths is not None:
            put(self._lines(cells, self._widths))
            return
        if not self._held:
            self._held_since = time.monotonic()
        self._held.append(cells)
        if len(self._held) >= _FIRST_ROWS or time.monotonic() > self._held_since + _PATIENCE:
            self._release()

    def close(self) -> None:
        """Write the rows that are still held back."""
        if self._widths is None:
            self._release()

    def _release(self) -> None:
        titles = [column.title for column in self._view.table]
        widths = [max(map(cell_len, column)) for column in zip(titles, *self._held, strict=True)]
        self._widths = widths = self._fitted(widths)
        head = self._lines(titles, widths)
        if self._colours:
            head = f"{_TITLE}{head.rstrip()}{_RESET}\n"
        put(head + "".join(self._lines(cells, widths) for cells in self._held))
        self._held = []

    def _fitted(self, widths: list[int]) -> list[int]:
        """The widths, less where a terminal has not the room and a column may be cut."""
        if self._room is None:
            return widths
        limits = [column.limit for column in self._view.table]
        fitted = [
            width if limit is None else min(width, limit) for width, limit in zip(widths, limits, strict=True)
        ]
        self._below = self._start(fitted) + min(fitted[-1], _COMFORTABLE) > self._room
        if not self._below:
            return fitted
        spare = [index for index, column in enumerate(self._view.table[:-1]) if column.spare]
        full = list(fitted)
        while not self._cut(fitted, _NARROW) and spare:
            self._moved.append(spare.pop())
            fitted[:] = full
        self._cut(fitted, _NARROWEST)
        return fitted

    def _start(self, widths: Sequence[int]) -> int:
        """Where the last column would begin."""
        return sum(width + len(_GAP) for width in self._kept(widths[:-1]))

    def _kept(self, cells: Sequence[T]) -> list[T]:
        """What stands in the row, and not below it."""
        return [cell for index, cell in enumerate(cells) if index not in self._moved]

    def _cut(self, widths: list[int], narrowest: int) -> bool:
        """Narrow the widest columns that may be cut; whether that makes the row fit."""
        room = (self._room or 0) + len(_GAP)
        limits = [column.limit for column in self._view.table[:-1]]
        elastic = self._kept([index if limit else -1 for index, limit in enumerate(limits)])
        able = [index for index in elastic if index >= 0]
        while self._start(widths) > room and able:
            wide = max(able, key=widths.__getitem__)
            if widths[wide] <= narrowest:
                break
            widths[wide] -= 1
        return self._start(widths) <= room

    def _lines(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        *leading, last = cells
        padded = self._kept(
            [
                self._cell(cell, width, column)
                for cell, width, column in zip(leading, widths[:-1], self._view.table[:-1], strict=True)
            ]
        )
        if self._room is None:
            return f"{_GAP.join([*padded, last]).rstrip()}\n"
        start = _INDENT if self._below else self._start(widths)
        if self._below:
            moved = ", ".join(filter(None, (cells[index] for index in sorted(self._moved))))
            text = ": ".join(filter(None, (moved, last)))
            if cells == [column.title for column in self._view.table]:
                text = ""
            lines = [_GAP.join(padded).rstrip()]
            more = _wrapped(text, self._room - start) if text else []
        else:
            first, *more = _wrapped(last, self._room - start)
            lines = [_GAP.join([*padded, first]).rstrip()]
        return "".join(f"{line}\n" for line in [*lines, *(" " * start + line for line in more)])

    def _cell(self, cell: str, width: int, column: Column) -> str:
        # A later row may be wider than the first ones: its line shifts, but nothing is lost.
        if cell_len(cell) > width and column.limit and self._room:
            cell = set_cell_size(cell, width - 1).rstrip() + "…"
        word = cell
        if cell_len(cell) < width:
            cell = set_cell_size(cell, width)
        colour = _COLOURS.get(word) if self._colours and column.verdict else None
        return f"{colour}{word}{_RESET}{cell[len(word) :]}" if colour else cell


def _wrapped(text: str, room: int) -> list[str]:
    if cell_len(text) <= room or room < _NARROWEST:
        return [text]
    return [line.plain.rstrip() for line in Text(text).wrap(Console(width=room), room)]
