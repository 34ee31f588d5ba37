"""Whether the place that a store stands on works; while it does not, nobody waits for it."""

from __future__ import annotations

import logging
import time

from mdmsdk.errors import StoreError

_log = logging.getLogger("mdmsdk.store")
# Seconds for which a place that failed is left alone.
_REST = 5.0
# Seconds that the one may take who tries whether it works again, while all others do not wait.
_TRY = 2.5


class Health:
    """Tells once that the store fails, and once that it works again.

    Args:
        place: where it is, as people are told.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._failure: StoreError | None = None
        self._rests_until = 0.0

    @property
    def good(self) -> bool:
        """Whether it answered when it was asked last."""
        return self._failure is None

    def check(self) -> None:
        """Go on.

        Raises:
            StoreError: it failed a short while ago.
        """
        failure, now = self._failure, time.monotonic()
        if failure is None:
            return
        if now < self._rests_until:
            raise StoreError(failure.message, hint=failure.hint)
        self._rests_until = now + min(_REST, _TRY)

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
