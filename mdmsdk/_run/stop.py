"""The end of what is under way, when a client is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.errors import ClientClosedError

if TYPE_CHECKING:
    from collections.abc import Callable


class Stop:
    """Wakes all that wait, which then find that it is over."""

    def __init__(self) -> None:
        self._stopped = False
        self._waiting: set[Callable[[], object]] = set()

    def add(self, wake: Callable[[], object]) -> None:
        """Have something called when it is over."""
        self._waiting.add(wake)

    def discard(self, wake: Callable[[], object]) -> None:
        """Have it called no more."""
        self._waiting.discard(wake)

    def now(self) -> None:
        """Wake all."""
        self._stopped = True
        for wake in list(self._waiting):
            wake()

    def check(self) -> None:
        """Go on.

        Raises:
            ClientClosedError: it is over.
        """
        if self._stopped:
            raise ClientClosedError("the client was closed meanwhile")
