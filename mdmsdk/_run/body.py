"""Reading a body up to a limit that counts what it decompresses to."""

from __future__ import annotations

import zlib

from mdmsdk.errors import MalformedResponseError, ProtocolError, ResponseTooLargeError

ACCEPTED = "gzip, deflate"
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32  # tells the two apart by their header


class BodyReader:
    """Collects chunks as they come off the wire.

    Decompression happens here and not in the HTTP library, because there one small chunk, or a
    chain of encodings, may swell beyond all bounds before it can be measured.
    """

    def __init__(self, encoding: str | None, limit: int) -> None:
        """Begin a body.

        Raises:
            ProtocolError: the encoding is not one that was offered.
        """
        self._limit = limit
        self._size = 0
        self._begun = False
        self._parts: list[bytes] = []
        encoding = (encoding or "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip", "deflate"}:
            raise ProtocolError(f"the answer comes in an encoding that was not asked for: {encoding[:40]!r}")
        self._inflate = None if encoding == "identity" else zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, chunk: bytes) -> None:
        """Take a chunk.

        Raises:
            ResponseTooLargeError: the body exceeds the limit.
            MalformedResponseError: the compressed data are broken, or something follows them.
        """
        self._begun = True
        if self._inflate is not None:
            rest = chunk if self._inflate.eof else b""
            try:
                chunk = self._inflate.decompress(chunk, self._limit - self._size + 1)
            except zlib.error as error:
                raise MalformedResponseError("the compressed answer is broken") from error
            if rest or self._inflate.unused_data:
                raise MalformedResponseError("the compressed answer goes on behind its end")
        self._size += len(chunk)
        if self._size > self._limit:
            raise ResponseTooLargeError(f"the answer is larger than {self._limit:,} bytes")
        self._parts.append(chunk)

    def finish(self) -> bytes:
        """The whole body.

        Raises:
            MalformedResponseError: compressed data end too early.
        """
        if self._inflate is not None and self._begun and not self._inflate.eof:
            raise MalformedResponseError("the compressed answer ends too early")
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
