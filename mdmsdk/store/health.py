"""Whether the place that a store stands on works; while it does not, nobody waits for it."""

from __future__ import annotations

import logging
import time

from mdmsdk.errors import StoreError

_log = logging.getLogger("mdmsdk.store")
# Seconds for which a place that failed is left alone.
_REST = 5.0


class Health:
    """Tells once that the store fails, and once that it works again.

    Args:
        place: where it is, as people are told.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._failure: StoreError | None = None
        self._rests_until = 0.0

    def check(self) -> None:
        """Go on.

        Raises:
            StoreError: it failed a short while ago.
        """
        if self._failure and time.monotonic() < self._rests_until:
            raise StoreError(self._failure.message, hint=self._failure.hint)

    def fails(self, message: str, hint: str) -> StoreError:
        """The error to raise; the place is left alone for a while."""
        error = StoreError(f"{self._place} {message}", hint=hint)
        if self._failure is None:
            _log.warning("%s; lookups go on without it. %s", error.message, hint)
        self._failure, self._rests_until = error, time.monotonic() + _REST
        return error

    def works(self) -> None:
        """Note that it answered."""
        if self._failure:
            self._failure = None
            _log.warning("%s works again", self._place)
