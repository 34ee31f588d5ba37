"""The log of `mdm serve` as lines of JSON."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["write_json"]

_FIELDS = ("face", "decision", "status", "client", "elapsed_ms")


class _Lines(logging.Handler):
    """Writes a line of JSON for each record to stderr: ASCII, without traces, which may hold a secret."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001 - a log record that is wrong ends no program
            said = str(record.msg)
        row: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": said,
        }
        row |= {name: record.__dict__[name] for name in _FIELDS if name in record.__dict__}
        if record.exc_info and record.exc_info[0]:
            row["error"] = record.exc_info[0].__name__
        line = json.dumps(row, separators=(",", ":"), default=str).replace("\x7f", "\\u007f")
        with contextlib.suppress(OSError, ValueError):  # nobody listens: no reason to end
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def write_json() -> None:
    """Let this process log lines of JSON alone, of its own and of what it uses, and one for each response."""
    ours, root = logging.getLogger("mdmsdk"), logging.getLogger()
    ours.handlers.clear()
    root.handlers[:] = [_Lines()]
    logging.getLogger("mdmsdk.gateway.access").setLevel(logging.INFO)
