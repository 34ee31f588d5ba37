"""Answers that the cache alone gave, with the merging of their records. Pure.

One may be given again while the servers' words are the same, byte for byte, and may be used. Rules that count
days are applied anew each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdmsdk.identifiers import Guid

if TYPE_CHECKING:
    from mdmsdk.federation.merge import Answer
    from mdmsdk.federation.shelf import Words
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device

_MOST = 20_000


class Before(NamedTuple):
    """An answer as it was given before.

    Attributes:
        answer: all of it.
        merged: its device before the rules of the federation.
        goes_on: whether a chain that begins with its key goes on to the next.
        words: what it was made of.
    """

    answer: Answer
    merged: Device | None
    goes_on: bool
    words: Words


class Remembered:
    """The latest answer for each key and choice of servers."""

    def __init__(self) -> None:
        self._known: dict[tuple[Key, tuple[str, ...]], Before] = {}

    def find(self, key: Key, names: tuple[str, ...]) -> Before | None:
        """The answer to this very question, in this spelling and for the servers of the same vendor."""
        known = self._known.get((key, names))
        return known if known and _spoken(known.answer.key) == _spoken(key) else None

    def keep(self, key: Key, names: tuple[str, ...], before: Before) -> None:
        """Remember it."""
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key, names] = before

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()


def _spoken(key: Key | str) -> tuple[str, str | None]:
    """What two keys may differ in that count as equal."""
    return str(key), key.issuer if isinstance(key, Guid) else None
