"""A progress bar on stderr, for people who wait. It has a line of its own, below what is written."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_INTERVAL = 0.1  # seconds between two drawings
_GAUGE = 20  # cells
_ERASE = "\r\x1b[K"


class _Line:
    """The line of the terminal on which the cursor stands."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.wanted = True
        self.has_bar = False
        self.is_empty = True  # but for the bar

    def draw(self, text: str) -> None:
        with self.lock, suppress(OSError, ValueError):
            if self.is_empty:
                sys.stderr.write(f"{_ERASE}{text[: _columns() - 1]}")
                sys.stderr.flush()
                self.has_bar = True

    def erase(self) -> None:
        with self.lock, suppress(OSError, ValueError):
            if self.has_bar:
                self.has_bar = False
                sys.stderr.write(_ERASE)
                sys.stderr.flush()


_line = _Line()


def want_bars(wanted: bool) -> None:
    """Whether bars are shown at all."""
    _line.wanted = wanted


def at_line_start() -> bool:
    """Whether nothing stands on the line of the terminal, but for the bar."""
    return _line.is_empty


@contextmanager
def aside(text: str) -> Iterator[None]:
    """Have no bar on the terminal while this text is written, nor after it if it ends within a line."""
    with _line.lock:
        _line.erase()
        yield
        if text:
            _line.is_empty = text.endswith("\n")


def leave() -> None:
    """Erase the bar whoever is writing: the process ends."""
    if _line.has_bar:
        with suppress(OSError):
            os.write(2, _ERASE.encode())


class Bar:
    """Counts what has come, where that disturbs nobody. It erases itself in the end.

    That is where stderr is a terminal, and nobody else writes to it: a program at the other end of a pipe
    might.

    Args:
        what: what is counted, such as ``"devices"``.
        total: how many there will be, if that is known.
        wanted: False never shows it.
    """

    def __init__(self, what: str, total: int | None = None, *, wanted: bool = True) -> None:
        self._what = what
        self._total = total
        self._wanted = wanted
        self._count = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._wanted and _line.wanted and _is_possible():
            self._thread = threading.Thread(target=self._run, name="bar", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread:
            self._over.set()
            self._thread.join()
            self._thread = None
            _line.erase()

    def step(self, count: int = 1) -> None:
        """So many more have come."""
        self._count += count

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.is_set():
            _line.draw(self._text(time.monotonic() - began))
            self._over.wait(_INTERVAL)

    def _text(self, seconds: float) -> str:
        elapsed = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
        if not self._total:
            return f"{self._count} {self._what}  {elapsed}"
        full = min(_GAUGE, _GAUGE * self._count // self._total)
        gauge = "#" * full + "." * (_GAUGE - full)
        return f"{self._count}/{self._total} {self._what}  [{gauge}]  {elapsed}"


def _is_possible() -> bool:
    if not sys.stderr.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        return False
    if os.name == "nt":
        from rich.console import detect_legacy_windows

        if detect_legacy_windows():
            return False
    return sys.stdout.isatty() or not _is_pipe()


def _is_pipe() -> bool:
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _columns() -> int:
    with suppress(OSError, ValueError):
        if columns := os.get_terminal_size(sys.stderr.fileno()).columns:
            return columns
    return shutil.get_terminal_size().columns
