"""Commands in a terminal of their own, and what stands on its screen afterwards."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import Spawn

ERASE = "\r\x1b[K"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A command that has one terminal for everything.

    Attributes:
        written: all that it wrote so far.
    """

    def __init__(self, spawn: Spawn, *args: object, columns: int = 80, **options: Any) -> None:
        import fcntl
        import struct
        import termios

        self.written = ""
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        files = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        self.process = spawn(*args, start_new_session=True, **{**files, **options})
        os.close(theirs)

    def read_until(self, text: str) -> None:
        """Read until this has been written; the end of the command is an error."""
        seen = len(self.written)
        while text not in self.written[seen:]:
            chunk = self._read()
            assert chunk, self.written
            self.written += chunk

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, then type a line."""
        self.read_until(question)
        os.write(self._ours, f"{text}\n".encode())

    def end(self) -> int:
        """Read the rest; gives the exit code."""
        while chunk := self._read():
            self.written += chunk
        os.close(self._ours)
        return self.process.wait(60)

    def _read(self) -> str:
        with contextlib.suppress(OSError):  # EIO: the other side has gone
            return os.read(self._ours, 65536).decode(errors="replace").replace("\r\n", "\n")
        return ""

    @property
    def screen(self) -> str:
        """What stands there in the end."""
        return "".join(f"{line.rpartition(ERASE)[2]}\n" for line in self._plain.split("\n")).rstrip() + "\n"

    @property
    def bars(self) -> Iterator[str]:
        """What was erased again, each with what stood before it on its line."""
        for line in self._plain.split("\n"):
            yield from filter(None, line.split(ERASE)[:-1])

    @property
    def _plain(self) -> str:
        return _COLOUR.sub("", self.written)
