"""Rate limit and circuit breaker of one server, shared by all its flows.

A request waits in its lane until its turn is due and a place among those under way is free, and takes both at
once. So nothing is booked ahead, a place is never held by one who waits, and one who leaves owes nothing.

A list's request lets some others go before it, and leaves a turn to the next one that comes, where several
may go at once. So nobody waits longer for a walk through everything than for one of its requests.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import DeadlineExceededError, ServerUnavailableError

if TYPE_CHECKING:
    from types import ModuleType

    from mdmsdk._run.budget import Budget
    from mdmsdk._run.quotas import Asked, SharedLimits, Wait
    from mdmsdk._run.stop import Stop
    from mdmsdk.provider import Limits

# Seconds after which a request that waits looks whether those before it still live. A signal handler's
# exception may have ended one of them at any point.
_LOOK_AGAIN = 0.5
# Requests that go before one of a list that came earlier.
_GO_BEFORE = 3


_HELD_HINT = (
    "Ask again when it is over, or raise {} above it. If it happens often, lower limits.rate of "
    "the server: other programs may use up the same quota."
)


class _Lane:
    """One rate limit, by the generic cell rate algorithm (ITU-T I.371): a time stamp is the whole bucket."""

    def __init__(self, rate: float | None, burst: int) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._slack = self._interval * (burst - 1)
        self._next = 0.0
        self._not_before = 0.0
        self.asked: Asked | None = None
        # No plain dicts: where the first ones are taken out, finding the next takes ever longer there.
        self._queue: OrderedDict[Turn, None] = OrderedDict()
        self._patient: OrderedDict[Turn, None] = OrderedDict()

    def queue(self, turn: Turn) -> OrderedDict[Turn, None]:
        """Where it waits, or would."""
        return self._patient if turn.patient else self._queue

    def due(self, turn: Turn, ahead: int) -> float:
        """When one may go that has so many others before it."""
        at = self._next + ahead * self._interval - self._slack
        if turn.gives_way:
            at += min(self._interval, self._slack)
        return max(at, self._not_before, turn.not_before)

    def due_in_all(self) -> float:
        """When one may go where this is the lane of all."""
        return self._next

    def hold(self, until: float, asked: Asked | None = None) -> None:
        """Let nobody go before then."""
        if until > self._not_before:
            self._not_before, self.asked = until, asked

    def free(self) -> None:
        """Let them go again, whatever the server asked for."""
        self._not_before, self.asked = 0.0, None

    def asked_until(self, due: float) -> Asked | None:
        """What the server asked for, if it is over then."""
        return self.asked if due <= self._not_before else None

    def room(self, now: float) -> float:
        """How many may go at once now."""
        if now < self._not_before:
            return 0.0
        if not self._interval:
            return math.inf
        return max(0.0, (now - max(self._next, now) + self._slack) // self._interval + 1)

    def book(self, now: float) -> None:
        """Note that one goes."""
        self._next = max(self._next, now) + self._interval

    def book_as(self, other: _Lane) -> None:
        """Note what another lane has noted."""
        self._next = other._next
        self._not_before, self.asked = other._not_before, other.asked

    def give_back(self) -> None:
        """Note that one did not go after all."""
        self._next -= self._interval

    def first(self, coming: Turn | None = None) -> Turn | None:
        """Whose turn is next, of those that wait and of one that may be coming."""
        head, patient = _head(self._queue), _head(self._patient)
        if coming:
            head, patient = (head, patient or coming) if coming.patient else (head or coming, patient)
        return patient if patient and not (head and patient.gives_way) else head

    def ahead(self, turn: Turn) -> int:
        """How many there are before one that is not the first."""
        others = len(self._queue) + (len(self._patient) if turn.patient else 0)
        return max(1, others - (turn in self.queue(turn)))

    def go(self, turn: Turn, now: float) -> None:
        """Note that one goes, maybe before one that gives way."""
        self.queue(turn).pop(turn, None)
        self.book(now)
        if not turn.patient and (waiting := _head(self._patient)):
            waiting.gone_before += 1


def _head(queue: OrderedDict[Turn, None]) -> Turn | None:
    """The first that waits and lives."""
    while (turn := next(iter(queue), None)) and turn.owner.over:
        queue.pop(turn, None)
    return turn


class Gate:
    """Lets requests go when the server bears them. Without rates it is a semaphore, with one place a lock."""

    def __init__(
        self, waits: ModuleType, stop: Stop, concurrency: int = 1, limits: Limits | None = None
    ) -> None:
        self.waits = waits
        self.stop = stop
        self._concurrency = concurrency
        self._limits = limits
        self.shared: SharedLimits | None = None
        self._all = _Lane(limits.total_rate if limits else None, 1)
        self._lanes: dict[str, _Lane] = {}
        self._held_until = 0.0
        self._asked: Asked | None = None
        # The garbage collector may end a turn that was left over, in the middle of anything in here.
        self._lock = threading.RLock()
        self._under_way: set[Turn] = set()

    def anew(self, stop: Stop) -> Gate:
        """The same rates, as far as they are used up, with nobody under way or waiting."""
        gate = Gate(self.waits, stop, self._concurrency, self._limits)
        gate._held_until, gate._asked, gate.shared = self._held_until, self._asked, self.shared
        gate._all.book_as(self._all)
        for name, lane in list(self._lanes.items()):
            gate._lanes[name] = gate._lane()
            gate._lanes[name].book_as(lane)
        return gate

    def _lane(self) -> _Lane:
        return _Lane(self._limits.rate, self._limits.burst) if self._limits else _Lane(None, 1)

    def turn(self, lane: str = "", *, patient: bool = False) -> Turn:
        """A request's way through the gate; in `finally`, its `done` has to be called.

        Args:
            lane: whose rate counts for it.
            patient: it belongs to a list, and gives way to others.
        """
        return Turn(self, lane, patient=patient)

    def hold(self, asked: Asked, lane: str | None = None) -> None:
        """Let no request go for so long, in a lane or at all: the server said that it is busy."""
        with self._lock:
            until = time.monotonic() + asked.seconds
            if lane is not None:
                self._lane_of(lane).hold(until, asked)
            elif until > self._held_until:
                self._held_until, self._asked = until, asked

    def free(self) -> None:
        """Let those go who only log out, whatever wait the server asked for in a lane."""
        for lane in list(self._lanes.values()):
            lane.free()

    def _lane_of(self, name: str) -> _Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = self._lane()
        return lane

    def room(self) -> float:
        """How many requests may go at once now, by the rates of this process."""
        with self._lock:
            now = time.monotonic()
            if now < self._held_until:
                return 0.0
            lane = self._lanes.get("") or self._lane()
            return min(self._concurrency - len(self._under_way), lane.room(now), self._all.room(now))

    def enter(self, turn: Turn, budget: Budget | None) -> float | None:
        """Let a request go if it may: None then, else the seconds after which to ask again at the latest.

        Raises:
            DeadlineExceededError: its turn would come after its deadline.
        """
        with self._lock:
            now = time.monotonic()
            lane = self._lane_of(turn.lane)
            ahead = 0 if lane.first(turn) is turn else lane.ahead(turn)
            due = max(lane.due(turn, ahead), self._all.due_in_all(), self._held_until)
            if due > now or ahead or not self._has_room():
                if budget is None:
                    return _LOOK_AGAIN
                if not ahead or turn not in lane.queue(turn):
                    asked = self._asked if due <= self._held_until else lane.asked_until(due)
                    self._check_deadline(due, now, budget, asked)
                lane.queue(turn)[turn] = None
                if ahead:
                    return 10 * _LOOK_AGAIN  # the one before wakes it
                return min(due - now, _LOOK_AGAIN) if due > now else _LOOK_AGAIN
            self._under_way.add(turn)
            lane.go(turn, now)
            self._all.book(now)
            following = lane.first()
        if following:
            following.wake()
        return None

    async def admit(self, turn: Turn, seconds: float) -> Wait | None:
        """Have a turn counted over all processes; None if it may go, else how long to wait."""
        if self.shared is None or self._limits is None:
            return None
        turn.place = self.shared.place()  # before it is asked for: whoever is stopped meanwhile frees it
        wait = await self.shared.admit(turn.place, turn.lane, self._limits, seconds, gives_way=turn.gives_way)
        if wait is not None:
            turn.place = ""
        return wait

    def step_back(self, turn: Turn, wait: Wait) -> None:
        """Let a turn that has to wait for other processes be the first of its lane again."""
        with self._lock:
            lane, until = self._lanes[turn.lane], time.monotonic() + wait.seconds
            if turn.gives_way and not wait.asked:  # it may be told to wait for longer than others
                turn.not_before = until
                turn.gone_before += 1
            else:
                lane.hold(until, wait.asked)  # before others are woken, who would only be told the same
            self.leave(turn)
            lane.queue(turn)[turn] = None
            lane.queue(turn).move_to_end(turn, last=False)

    def _check_deadline(self, due: float, now: float, budget: Budget, asked: Asked | None) -> None:
        if due < budget.at:
            return
        if asked:
            raise DeadlineExceededError(
                f"the server asked for a wait of {asked.seconds:g} s (429), which is longer than the "
                f"deadline of {budget.seconds:g} s: the next turn comes in {due - now:.1f} s",
                hint=" ".join(filter(None, (asked.hint, _HELD_HINT.format(budget.setting)))),
            )
        raise DeadlineExceededError(
            f"the server's rate limit has no turn within the deadline of {budget.seconds:g} s, "
            f"the next one comes in {due - now:.1f} s",
            hint=f"Ask less often, or wait longer: raise {budget.setting}.",
        )

    def _has_room(self) -> bool:
        if len(self._under_way) < self._concurrency:
            return True
        for turn in list(self._under_way):
            if turn.owner.over and not turn.lent:
                self._under_way.discard(turn)
        return len(self._under_way) < self._concurrency

    def leave(self, turn: Turn) -> None:
        """Note that a request is done, or does not want to go any more."""
        with self._lock:
            if lane := self._lanes.get(turn.lane):
                lane.queue(turn).pop(turn, None)
                if turn in self._under_way and not turn.used:
                    lane.give_back()
                    self._all.give_back()
            self._under_way.discard(turn)
            place, turn.place = turn.place, ""
            waiting = self._heads()
        if place and self.shared:
            self.shared.forget(place, turn.lane)
        for head in waiting:
            head.wake()

    def _heads(self) -> list[Turn]:
        """The first of each lane."""
        return [head for lane in list(self._lanes.values()) if (head := lane.first())]


class Turn:
    """A request's place in the queue, then among those under way.

    Attributes:
        lane: which rate counts for it.
        owner: whose it is; where that has ended without a word, the turn is free.
        used: whether it has served, so that it cannot be given back.
        lent: whether a thread of the pool has it, and calls `done` at its end.
        place: its place among those of all processes, where these are counted.
        patient: whether it belongs to a list.
        gone_before: how many went before it that came later.
        not_before: the time before which it does not ask again.
    """

    __slots__ = (
        "_gate",
        "_park",
        "gone_before",
        "lane",
        "lent",
        "not_before",
        "owner",
        "patient",
        "place",
        "used",
    )

    def __init__(self, gate: Gate, lane: str, *, patient: bool = False) -> None:
        self._gate = gate
        self._park: Any = None
        self.lane: str = lane
        self.owner: Any = gate.waits.current_owner()
        self.used: bool = False
        self.lent: bool = False
        self.place: str = ""
        self.patient: bool = patient
        self.gone_before: int = 0
        self.not_before: float = 0.0

    @property
    def gives_way(self) -> bool:
        """Whether others go before it."""
        return self.patient and self.gone_before < _GO_BEFORE

    async def take(self, budget: Budget, seconds: float = 0.0) -> None:
        """Wait for the turn and a place, here and among all processes.

        Args:
            budget: the time there is for it.
            seconds: how long it is needed at most.

        Raises:
            DeadlineExceededError: they do not come in time.
            ClientClosedError: the client is closed meanwhile.
        """
        await self._take_here(budget)
        while (wait := await self._gate.admit(self, seconds)) is not None:
            self._gate.step_back(self, wait)
            await self._take_here(budget)

    async def _take_here(self, budget: Budget) -> None:
        if self._gate.enter(self, budget) is None:
            return
        self._park, stop = self._gate.waits.Park(), self._gate.stop
        try:
            stop.add(self.wake)
            await self._wait(budget)
        finally:
            stop.discard(self.wake)

    async def _wait(self, budget: Budget) -> None:
        # It asks once more before it waits for the first time: nobody could wake it until now.
        while (wait := self._gate.enter(self, budget)) is not None:
            self._gate.stop.check()
            await self._park.wait(min(wait, budget.remaining()))
            budget.remaining()

    def take_at_once(self) -> bool:
        """Take them if that needs no waiting."""
        return self._gate.enter(self, None) is None

    def wake(self) -> None:
        """Let it look whether it may go."""
        if self._park:
            self._park.wake()

    def done(self) -> None:
        """Give the place back, or leave the queue; a second call does nothing."""
        self._gate.leave(self)


class Breaker:
    """Leaves a server alone after it failed at several operations in a row, then lets one try."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self._trying_until = 0.0
        self._lock = threading.Lock()

    def anew(self) -> Breaker:
        """The same failures, with nobody trying."""
        breaker = Breaker()
        breaker._failures, breaker._open_until = self._failures, self._open_until
        return breaker

    @property
    def is_open(self) -> bool:
        """Whether the server is left alone, or is to show with one operation how it is."""
        return bool(self._open_until)

    def admit(self, patience: float) -> None:
        """Let an operation begin, which may take so many seconds.

        Raises:
            ServerUnavailableError: the breaker is open, or one operation is trying already.
        """
        if not self._open_until:
            return
        with self._lock:
            now = time.monotonic()
            left = self._open_until - now
            if self._open_until and (left > 0 or now < self._trying_until):
                raise ServerUnavailableError(
                    f"left alone after {self._failures} failures in a row"
                    + (f"; next try in {left:.0f} s" if left > 0 else "; one try is under way")
                )
            self._trying_until = now + patience

    def success(self) -> None:
        """The server answered."""
        if self._failures or self._trying_until:
            with self._lock:
                self._failures, self._open_until, self._trying_until = 0, 0.0, 0.0

    def failure(self, threshold: int, reset: float) -> None:
        """The server was unreachable or broken."""
        with self._lock:
            self._failures += 1
            self._trying_until = 0.0
            if self._failures >= threshold:
                self._open_until = time.monotonic() + reset

    def abandon(self) -> None:
        """An operation ended without showing how the server is."""
        if self._trying_until:
            with self._lock:
                self._trying_until = 0.0
