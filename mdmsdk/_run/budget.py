"""How much time an operation has left, and whether it is still wanted."""

from __future__ import annotations

import time

from mdmsdk.errors import DeadlineExceededError


class Cancelled(BaseException):
    """A sibling failed, so this flow's result is not wanted any more. Never leaves the runner."""


class Budget:
    """The time that one operation may take, shared by everything done for it."""

    __slots__ = ("_parent", "_stopped", "at", "seconds")

    def __init__(self, seconds: float, parent: Budget | None = None) -> None:
        self.seconds = seconds
        self.at: float = parent.at if parent else time.monotonic() + seconds
        self._parent = parent
        self._stopped = False

    def child(self) -> Budget:
        """The same time, for flows that can be stopped together."""
        return Budget(self.seconds, self)

    def stop(self) -> None:
        """Make every flow that runs on this budget end at its next step."""
        self._stopped = True

    @property
    def stopped(self) -> bool:
        """Whether this budget or one above it was stopped."""
        return self._stopped or (self._parent is not None and self._parent.stopped)

    @property
    def left(self) -> float:
        """Seconds left, negative when the time is up."""
        return self.at - time.monotonic()

    def remaining(self) -> float:
        """Seconds left.

        Raises:
            DeadlineExceededError: none are.
            Cancelled: the result is not wanted any more.
        """
        if self.stopped:
            raise Cancelled
        if (left := self.left) <= 0:
            raise self.exceeded()
        return left

    def exceeded(self) -> DeadlineExceededError:
        """The error to raise when the time is up."""
        return DeadlineExceededError(f"the operation was not done within its deadline of {self.seconds:g} s")

    def spend(self, seconds: float) -> float:
        """The wait itself, if there is time for it.

        Raises:
            DeadlineExceededError: the wait would end after the deadline.
        """
        if seconds >= self.remaining():
            raise self.exceeded()
        return seconds
