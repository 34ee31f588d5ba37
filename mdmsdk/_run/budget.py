"""How much time an operation has left, and what it has seen of the server."""

from __future__ import annotations

import math
import time

from mdmsdk.errors import ConfigurationError, DeadlineExceededError


class Hurry:
    """Somebody who waits for operations, and may leave before they have ended.

    Args:
        whole: the time for all of them; None for as long as a policy gives each.

    Attributes:
        left: whether he has left.
    """

    __slots__ = ("_whole", "left")

    def __init__(self, whole: Budget | None = None) -> None:
        self._whole = whole
        self.left: bool = False

    def budget(self, seconds: float) -> Budget:
        """The time for one of the operations, to which a policy gives so many seconds."""
        budget = Budget(seconds) if self._whole is None else self._whole.again()
        budget.hurry = self
        return budget


class Budget:
    """The time that one operation may take, shared by everything done for it.

    Attributes:
        seconds: the time at the beginning.
        at: when it is up.
        patient: whether it belongs to a list, which waits as long and as often as the server asks.
        answered: whether the server answered one of its requests.
        failed: whether the server failed at one that it had time for.
        exchanging: how many requests are with the server.
    """

    __slots__ = ("answered", "at", "exchanging", "failed", "hurry", "patient", "seconds")

    def __init__(self, seconds: float, *, patient: bool = False) -> None:
        self.seconds: float = seconds
        self.patient: bool = patient
        self.hurry: Hurry | None = None
        self.at: float = time.monotonic() + seconds
        self.answered: bool = False
        self.failed: bool = False
        self.exchanging: int = 0

    @classmethod
    def of_call(cls, deadline: float) -> Budget:
        """What a caller gives, in seconds.

        Raises:
            ConfigurationError: no number of seconds above 0.
        """
        if not 0 < deadline < math.inf:
            raise ConfigurationError(
                "deadline is no number of seconds above 0", hint="Leave it out, or raise it."
            )
        return cls(deadline)

    @property
    def setting(self) -> str:
        """What sets it, where a caller does not."""
        return "policy.list_patience" if self.patient else "policy.deadline"

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for it any more, while the server still had the word."""
        return self.exchanging > 0 and self.hurry is not None and self.hurry.left

    def again(self) -> Budget:
        """A budget of another operation that ends at the same time."""
        other = Budget(self.seconds, patient=self.patient)
        other.at = self.at
        return other

    @property
    def left(self) -> float:
        """Seconds left, negative when the time is up."""
        return self.at - time.monotonic()

    def remaining(self) -> float:
        """Seconds left.

        Raises:
            DeadlineExceededError: none are.
        """
        if (left := self.left) <= 0:
            raise self.exceeded()
        return left

    def exceeded(self) -> DeadlineExceededError:
        """The error to raise when the time is up."""
        if self.patient:
            return DeadlineExceededError(
                f"the page did not come within the {self.seconds:g} s of policy.list_patience",
                hint="Raise policy.list_patience, or ask less often: the server makes the list wait.",
            )
        return DeadlineExceededError(f"the operation was not done within its deadline of {self.seconds:g} s")

    def spend(self, seconds: float) -> float:
        """The wait itself, if there is time for it.

        Raises:
            DeadlineExceededError: the wait would end after the deadline.
        """
        if seconds >= self.remaining():
            raise self.exceeded()
        return seconds
