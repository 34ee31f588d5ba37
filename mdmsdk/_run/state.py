"""What the clients of one server share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdmsdk._run.gate import Breaker, Gate
from mdmsdk._run.pool import Pool
from mdmsdk._run.tokens import Tokens

if TYPE_CHECKING:
    from types import ModuleType

    from mdmsdk.provider import MdmProvider


class State:
    """What belongs to one process, and in async to one event loop.

    Attributes:
        era: that process or event loop.
        gate: lets requests go when the server bears them.
        breaker: leaves the server alone when it fails.
        tokens: the credentials.
        pool: the threads for what blocks.
        describing: held by who asks the server for its description.
    """

    def __init__(self, era: object, gate: Gate, breaker: Breaker, tokens: Tokens, pool: Pool) -> None:
        self.era = era
        self.gate = gate
        self.breaker = breaker
        self.tokens = tokens
        self.pool = pool
        self.describing = Gate(gate.waits, 1)


class Shared:
    """The state of now: another one after a fork, and on another event loop.

    Tokens, rates and failures are carried over; locks, threads and waiting lists are not. The connections
    look to that themselves.
    """

    def __init__(self, waits: ModuleType, provider: MdmProvider, http: Any = None) -> None:
        self.waits = waits
        self._settings = provider.settings
        self.given_http = http
        self._http: dict[str, Any] = {}
        limits = provider.limits
        self._concurrency = limits.concurrency
        gate = Gate(waits, limits.concurrency, limits)
        self._state = State(None, gate, Breaker(), Tokens(waits), Pool(limits.concurrency))

    @property
    def now(self) -> State:
        """The state that belongs to this process and event loop."""
        state, era = self._state, self.waits.era()
        if state.era is None:
            state.era = era
        elif state.era != era:
            state = State(
                era, state.gate.anew(), state.breaker.anew(), state.tokens.inherit(), Pool(self._concurrency)
            )
            self._state = state
        return state

    def http(self) -> Any:
        """The connections, which are opened at the first request."""
        return self._http.get("") or self._http.setdefault(
            "", self.waits.Http(self._settings, self.given_http)
        )

    def take_http(self) -> Any:
        """The connections, if there are any, to be closed."""
        return self._http.pop("", None)
