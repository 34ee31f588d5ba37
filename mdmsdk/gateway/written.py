"""What was written of an answer, for as long as the federation gives the very same one."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from mdmsdk.federation import Answer

__all__ = ["Written"]

T = TypeVar("T")
_MOST = 4
"""Ways in which one answer is kept; more are written anew."""


class Written(Generic[T]):
    """What was written of answers that the cache gives again and again; it goes with them.

    An answer is frozen, so what was written of it stays right.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Answer], dict[Hashable, T]]] = {}

    def of(self, answer: Answer, how: Hashable, write: Callable[[], T]) -> T:
        """What is written of an answer.

        Args:
            answer: which.
            how: all that counts besides it.
            write: writes it, if that was not done yet.
        """
        # A number names an object only while it lives.
        number = id(answer)
        found = self._kept.get(number)
        if found is None or found[0]() is not answer:
            found = self._kept[number] = weakref.ref(answer, partial(self._forget, number)), {}
        ways = found[1]
        if how not in ways:
            text = write()
            if len(ways) >= _MOST:
                return text
            ways[how] = text
        return ways[how]

    def _forget(self, number: int, gone: weakref.ref[Answer]) -> None:
        if (found := self._kept.get(number)) and found[0] is gone:
            del self._kept[number]
