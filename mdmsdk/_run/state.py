"""What the clients of one server share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mdmsdk._run.clock import Clock
from mdmsdk._run.gate import Breaker, Gate
from mdmsdk._run.pool import Pool
from mdmsdk._run.stop import Stop
from mdmsdk._run.tokens import Tokens

if TYPE_CHECKING:
    from types import ModuleType

    from mdmsdk._run.quotas import SharedLimits
    from mdmsdk.provider import Limits, MdmProvider, Token
    from mdmsdk.settings import ProviderSettings
    from mdmsdk.wire import Response


class State:
    """What belongs to one process, and in async to one event loop.

    Attributes:
        era: that process or event loop.
        process: that process.
        stop: ends all that waits.
        gate: lets requests go when the server bears them.
        breaker: leaves the server alone when it fails.
        tokens: the credentials.
        pool: the threads for what blocks.
        describing: held by who asks the server for its description.
    """

    def __init__(self, waits: ModuleType, limits: Limits, before: State | None = None) -> None:
        self.era: object = None
        self.process: int = os.getpid()
        self.stop: Stop = Stop()
        self.pool: Pool = Pool(limits.concurrency, self.stop)
        self.describing: Gate = Gate(waits, self.stop)
        self.gate: Gate
        self.breaker: Breaker
        self.tokens: Tokens
        if before is None:
            self.gate = Gate(waits, self.stop, limits.concurrency, limits)
            self.breaker = Breaker()
            self.tokens = Tokens(waits, self.stop)
        else:
            self.gate = before.gate.anew(self.stop)
            self.breaker = before.breaker.anew()
            self.tokens = before.tokens.inherit(self.stop, foreign=before.process != self.process)


class Shared:
    """The state of now: another one after a fork, and on another event loop.

    Tokens, rates and failures are carried over; locks, threads and waiting lists are not. The connections
    look to that themselves.

    Attributes:
        closed: whether new work is refused.
        clock: what time it is for the server.
        last: the server's last answer, with the setting ``keep_raw``.
        heard_at: when the server last answered a request, by the monotonic clock.
        limits: counts what all processes send, where that is done.
    """

    def __init__(self, waits: ModuleType, provider: MdmProvider, http: Any = None) -> None:
        self.waits = waits
        self.closed: bool = False
        self.clock: Clock = Clock()
        self.heard_at: float = 0.0
        self.limits: SharedLimits | None = None
        self.given_http = http
        self.last: Response | None = None
        self._settings = provider.settings
        self._limits = provider.limits.lowered(provider.settings.limits)
        self._http: dict[str, Any] = {}
        self._state = State(waits, self._limits)

    @property
    def now(self) -> State:
        """The state that belongs to this process and event loop."""
        state, era = self._state, self.waits.era()
        if state.era is None:
            state.era = era
        elif state.era != era:
            state = self._anew(state)
            state.era = era
        return state

    def _anew(self, before: State | None) -> State:
        self._state = state = State(self.waits, self._limits, before)
        return state

    def renew(self, settings: ProviderSettings) -> Any:
        """Forget all credentials; gives the connections, to be closed, if these settings make other ones."""
        before, self._settings = self._settings, settings
        self.now.tokens.drain()
        same = (before.tls, before.proxy) == (settings.tls, settings.proxy)
        return None if same or self.given_http else self.take_http()

    def share_limits(self, limits: SharedLimits) -> None:
        """Count what is sent together with all other processes."""
        self.limits = limits
        self._state.gate.shared = limits

    def note(self, response: Response) -> None:
        """Remember an answer for debugging, where the settings say so."""
        if self._settings.keep_raw:
            self.last = response

    def close(self) -> list[Token]:
        """Refuse new work and end what is under way; gives the credentials that may be given back."""
        self.closed = True
        state = self.now
        tokens = state.tokens.drain()
        self._anew(state).gate.free()  # logging out still goes through a gate
        state.stop.now()
        return tokens

    def http(self) -> Any:
        """The connections, which are opened at the first request."""
        return self._http.get("") or self._http.setdefault(
            "", self.waits.Http(self._settings, self.given_http)
        )

    def take_http(self) -> Any:
        """The connections, if there are any, to be closed."""
        return self._http.pop("", None)
