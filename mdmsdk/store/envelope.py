"""What is put around every value, so that nobody without the key can make, change, move or revive one."""

from __future__ import annotations

import hashlib
import hmac
import math
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Version, when it was written, when it ends: seconds since 1970, infinite where it has no end.
_HEAD = struct.Struct(">Bdd")
_VERSION = 1
# RFC 2104, section 5: at least half of the hash. 128 bits are no guess, and a directory has many entries.
_CODE = 16
_BEGIN = _HEAD.size + _CODE
# Seconds by which the clocks of machines that share a store may differ.
SKEW = 5.0
# Bytes of entries whose codes are known to be right, so that the same bytes need not be hashed again.
_PROVEN = 8 * 1024 * 1024


def written_after(moment: float) -> tuple[int, int, bytes]:
    """Where in an entry it stands when it was written, from 1 on, how long that is, and a text for a moment.

    What was written later has a greater text: numbers from 0 on are in the order of their bytes (IEEE 754).
    """
    return 2, 8, struct.pack(">d", moment)


class Envelope:
    """Seals values, and opens those that were sealed with the same key under the same name.

    Args:
        secret: what the key is made from.
        clock: what time it is, in seconds since 1970.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float]) -> None:
        key = hmac.digest(secret, b"mdmsdk store", hashlib.sha256)
        # Hashes the key once, and not anew for each text.
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)
        self._clock = clock
        self._proven: dict[bytes, bytes] = {}
        self._size = 0

    def seal(self, name: bytes, value: bytes, expires: float | None) -> bytes:
        """The entry for a value that ends after so many seconds."""
        now = self._clock()
        head = _HEAD.pack(_VERSION, now, math.inf if expires is None else now + expires)
        return b"".join((head, self._code(name, head, value), value))

    def open(self, name: bytes, entry: bytes) -> bytes | None:
        """The value; None for what was not sealed here for this name, or is over."""
        if len(entry) < _BEGIN:
            return None
        if self._proven.get(name) != entry and not self._proves(name, entry):
            return None
        version, written, ends = _HEAD.unpack_from(entry)
        # One from the future was written before somebody put the clock back: how old it is, nobody knows.
        good = version == _VERSION and written - SKEW <= self._clock() < ends
        return entry[_BEGIN:] if good else None

    def _proves(self, name: bytes, entry: bytes) -> bool:
        """Whether an entry was sealed here for this name."""
        head, code, value = entry[: _HEAD.size], entry[_HEAD.size : _BEGIN], entry[_BEGIN:]
        if not hmac.compare_digest(code, self._code(name, head, value)):
            return False
        self._size += len(name) + len(entry)
        if self._size > _PROVEN:
            self._proven.clear()
            self._size = len(name) + len(entry)
        self._proven[name] = entry
        return True

    def digest(self, text: bytes) -> str:
        """What stands for a text where nobody without the key may know it."""
        return self._hmac(b"digest" + text).hex()

    def _code(self, name: bytes, head: bytes, value: bytes) -> bytes:
        text = b"".join((len(name).to_bytes(4, "big"), name, head, value))
        return self._hmac(text)

    def _hmac(self, text: bytes) -> bytes:
        code = self._keyed.copy()
        code.update(text)
        return code.digest()[:_CODE]
