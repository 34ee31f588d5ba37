"""Where an answer ends on its connection, so that what follows it is noticed (RFC 9112, section 6)."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

# Blank lines, statuses and lengths are read as h11 reads them, the parser of the HTTP library: the two have
# to agree about the end. Whatever looks unusual here only costs the connection its next use.
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")
_FIELD = re.compile(rb"\n(content-length|transfer-encoding)[ \t]*:[ \t]*(.*?)[ \t]*\r?(?=\n)", re.IGNORECASE)
_FOLDED = re.compile(rb"\n[ \t]")
_CHUNK_SIZE = re.compile(rb"([0-9a-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n", re.IGNORECASE)


class _At(Enum):
    NOTHING = auto()  # no request yet
    HEAD = auto()
    BODY = auto()  # so many bytes to come
    CHUNK_SIZE = auto()
    CHUNK = auto()  # so many bytes to come, the line end behind them included
    TRAILER = auto()
    END = auto()
    UNKNOWN = auto()  # only the end of the connection tells, or it is unusual


class Framing:
    """Follows the requests and answers of one connection."""

    __slots__ = ("_at", "_buffer", "_left", "_method", "_position", "_search")

    def __init__(self) -> None:
        self._at = _At.NOTHING
        self._buffer = b""
        self._position = 0  # in the buffer: what lies before it has been taken
        self._search = 0  # where the end of the head may begin
        self._left = 0
        self._method = b""

    @property
    def complete(self) -> bool:
        """Whether the last answer has come in full, and not a byte more."""
        return self._at is _At.END and not self._buffer

    def sent(self, data: bytes) -> None:
        """Note what was sent: a request, or more of its content."""
        if self._at is _At.NOTHING or self.complete:
            self._at = _At.HEAD
            self._method = bytes(data[:8]).partition(b" ")[0]

    def received(self, data: bytes) -> None:
        """Note what was received."""
        if self._at is _At.BODY and len(data) <= self._left:  # the many pieces of a long body
            self._left -= len(data)
            if not self._left:
                self._at = _At.END
            return
        if self._at is _At.UNKNOWN:
            return
        self._buffer += data
        while self._position < len(self._buffer) and self._STEPS[self._at](self):
            pass
        if self._position:
            self._buffer = self._buffer[self._position :]
            self._position = self._search = 0

    # Each takes one element off the buffer; False where more bytes are needed, or none are expected.

    def _head(self) -> bool:
        end = _END_OF_HEAD.search(self._buffer, max(self._position, self._search))
        if end is None:
            self._search = max(0, len(self._buffer) - 2)
            return False
        head, self._position = self._buffer[self._position : end.end()], end.end()
        found = _STATUS.match(head)
        status = int(found[1]) if found else 0
        fields = [(name.lower(), value.lower()) for name, value in _FIELD.findall(head)]
        if 100 <= status < 200 and status != 101:  # noqa: PLR2004 - HTTP's own numbers
            return True  # another head follows
        if not status or _FOLDED.search(head) or len(fields) > 1:
            self._at = _At.UNKNOWN
        elif status in {204, 304} or self._method == b"HEAD":
            self._at = _At.END
        elif fields == [(b"transfer-encoding", b"chunked")]:
            self._at = _At.CHUNK_SIZE
        elif fields and fields[0][1].isdigit():
            self._left = int(fields[0][1])
            self._at = _At.BODY if self._left else _At.END
        else:
            self._at = _At.UNKNOWN
        return True

    def _body(self) -> bool:
        taken = min(len(self._buffer) - self._position, self._left)
        self._position += taken
        self._left -= taken
        if not self._left:
            self._at = _At.END if self._at is _At.BODY else _At.CHUNK_SIZE
        return True

    def _chunk_size(self) -> bool:
        line = _CHUNK_SIZE.match(self._buffer, self._position)
        if line is None:
            if self._buffer.find(b"\n", self._position) >= 0:
                self._at = _At.UNKNOWN
            return False
        self._position = line.end()
        size = int(line[1], 16)
        # Two bytes more for the line end behind the chunk.
        self._at, self._left = (_At.CHUNK, size + 2) if size else (_At.TRAILER, 0)
        return True

    def _trailer(self) -> bool:
        if self._buffer.startswith(b"\r\n", self._position):
            self._position += 2
            self._at = _At.END
        elif len(self._buffer) - self._position > 1:
            self._at = _At.UNKNOWN  # trailer fields, which nobody reads
        return False

    def _nothing(self) -> bool:
        return False

    _STEPS: ClassVar[dict[_At, Callable[[Framing], bool]]] = {
        _At.NOTHING: _nothing,
        _At.HEAD: _head,
        _At.BODY: _body,
        _At.CHUNK: _body,
        _At.CHUNK_SIZE: _chunk_size,
        _At.TRAILER: _trailer,
        _At.END: _nothing,
        _At.UNKNOWN: _nothing,
    }
