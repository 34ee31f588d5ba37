"""The four formats, and which of them suits who reads."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mdmsdk.cli.output import CsvWriter, JsonWriter, NdjsonWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.cli.options import Format
    from mdmsdk.cli.output import View, Writer


def default_format() -> Format:
    """A table for people, lines of JSON for programs."""
    return "table" if sys.stdout.isatty() else "ndjson"


@contextmanager
def writing(view: View, chosen: Format | None) -> Iterator[Writer]:
    """A writer to stdout for the time of a `with` block.

    Args:
        view: how the rows look.
        chosen: the format; None for the one that suits who reads it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal of another encoding shows what it cannot print as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    writer: Writer
    match chosen or default_format():
        case "table":
            from mdmsdk.cli.table import TableWriter  # with it comes rich, which takes a while

            writer = TableWriter(view)
        case "json":
            writer = JsonWriter(view)
        case "ndjson":
            writer = NdjsonWriter(view)
        case "csv":
            writer = CsvWriter(view)
    writer.open()
    yield writer
    writer.close()
