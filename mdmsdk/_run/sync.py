"""The runner: performs the steps of flows against one server, and keeps its tokens."""

from __future__ import annotations

import copy
import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception

from mdmsdk._run import rules
from mdmsdk._run.budget import Budget
from mdmsdk._run.gate import Breaker, Gate
from mdmsdk._run.http import Http
from mdmsdk._run.plugin import Plugin
from mdmsdk._run.quiet import exchanging
from mdmsdk._run.waits_sync import Slots, gather, run_blocking, sleep
from mdmsdk.errors import (
    AuthenticationError,
    DeadlineExceededError,
    MdmError,
    MdmTimeoutError,
    ProtocolError,
    RedirectError,
    ServerError,
    TokenError,
    TransportError,
)
from mdmsdk.flow import Call, Flow, Pause, Send, Step
from mdmsdk.settings import secret_values
from mdmsdk.silence import sealed
from mdmsdk.wire import redact_url
from mdmsdk.words import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

    from mdmsdk.provider import MdmProvider, Token
    from mdmsdk.settings import Policy
    from mdmsdk.wire import Request, Response

_log = logging.getLogger("mdmsdk.run")
_http_log = logging.getLogger("mdmsdk.http")

# A token is renewed when a fifth of its life is left, or this much if that is less.
_RENEW_EARLY = 60.0
# Seconds; a server may name a longer life, too large a number to reckon with.
_FOR_EVER = 1e9


@dataclass
class _Entry:
    """What is known of one audience's credential."""

    lock: Slots = field(default_factory=Slots)
    token: Token | None = None
    renew_at: float = 0.0
    expires_at: float = 0.0
    refusal: MdmError | None = None
    refused_at: float = 0.0


class Tokens:
    """One credential per audience: got once, renewed early, never sent again once it was refused."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def get(self, audience: str, budget: Budget, runner: Runner) -> Token:
        """The credential to send, from a login if there is no good one."""
        entry = self._entries.get(audience) or self._entries.setdefault(audience, _Entry())
        asked_at = time.monotonic()
        if entry.token and asked_at < entry.renew_at:
            return entry.token
        if not entry.lock.acquire_nowait():
            if entry.token and asked_at < entry.expires_at:
                return entry.token  # another flow renews it; this one is still good
            entry.lock.acquire(budget)
        try:
            if entry.token and time.monotonic() < entry.renew_at:
                return entry.token
            self._raise_refusal(entry, asked_at, runner.policy.refused_wait)
            return self._renew(entry, partial(runner.login, audience, budget))
        finally:
            entry.lock.release()

    def _renew(self, entry: _Entry, login: Callable[[], Token]) -> Token:
        began = time.monotonic()
        try:
            token = login()
        except MdmError as error:
            error.locate(server=None, provider=None, operation="login")
            if entry.token and began < entry.expires_at and error.retryable:
                _log.warning("renewing the token early failed (%s); the old one is still good", error)
                return entry.token
            entry.token, entry.refusal, entry.refused_at = None, error, time.monotonic()
            raise
        life = _FOR_EVER if token.expires_in is None else min(token.expires_in, _FOR_EVER)
        entry.expires_at = began + life
        entry.renew_at = (
            entry.expires_at - min(_RENEW_EARLY, life / 5) if token.expires_in else entry.expires_at
        )
        entry.token, entry.refusal = token, None
        return token

    @staticmethod
    def _raise_refusal(entry: _Entry, asked_at: float, refused_wait: float) -> None:
        """Spare the account another bad login: those who waited for one share its outcome."""
        if entry.refusal is None:
            return
        lasting = isinstance(entry.refusal, (AuthenticationError, TokenError)) and not entry.refusal.retryable
        if asked_at <= entry.refused_at or (lasting and time.monotonic() < entry.refused_at + refused_wait):
            raise copy.copy(entry.refusal)

    def refuse(self, audience: str, token: Token, error: AuthenticationError) -> bool:
        """Note that the server refused a credential; tells whether a new login may help."""
        entry = self._entries[audience]
        if entry.token is token:  # otherwise another flow has seen to it meanwhile
            entry.token = None
            if token.static:
                entry.refusal, entry.refused_at = error, time.monotonic()
        return not token.static

    def drain(self) -> list[Token]:
        """Forget all credentials, and give those that can be given back to the server."""
        tokens = [entry.token for entry in self._entries.values() if entry.token and not entry.token.static]
        self._entries.clear()
        return tokens


class Runner:
    """Runs a provider's flows. Clients with another policy share everything else with the first."""

    def __init__(self, provider: MdmProvider, server: str, policy: Policy, http: Any = None) -> None:
        self.provider = provider
        self.server = server
        self.policy = policy
        self._plugin = Plugin(provider)
        self._gate = Gate(provider.limits)
        self._breaker = Breaker()
        self._slots = Slots(provider.limits.concurrency)
        self._tokens = Tokens()
        # At most one, opened at the first request; a list, so that `with_policy` can share it before.
        self._http: list[Http] = []
        self._http_lock = Slots()
        self._given_http = http
        self._secrets = Secrets(secret_values(provider.settings))

    def with_policy(self, policy: Policy) -> Runner:
        """The same server, limits, tokens and connections under another policy."""
        twin = copy.copy(self)
        twin.policy = policy
        return twin

    def run(self, operation: str, budget: Budget, method: str, *args: Any) -> Any:
        """Perform the flow of a provider's method, and give its result.

        Raises:
            MdmError: with server, provider and operation filled in.
        """
        with sealed(self._secrets):
            try:
                self._breaker.admit()
                return self._observe(budget, method, args)
            except MdmError as error:
                error.locate(server=self.server, provider=self.provider.name, operation=operation)
                raise

    def _observe(self, budget: Budget, method: str, args: tuple[Any, ...]) -> Any:
        """Run a method's flow and let the circuit breaker see how the server is."""
        try:
            result = self._ask(budget, method, *args)
        except (TransportError, ServerError):
            self._breaker.failure(self.policy.breaker_failures, self.policy.breaker_reset)
            raise
        except MdmError:
            self._breaker.success()  # an answer, if not the one hoped for
            raise
        except BaseException:
            self._breaker.abandon()
            raise
        self._breaker.success()
        return result

    def _ask(self, budget: Budget, method: str, *args: Any) -> Any:
        result = self._drive(method, self._plugin.start(method, *args), budget)
        return self._plugin.result(method, args, result)

    def _drive(self, method: str, flow: Flow[Any], budget: Budget) -> Any:
        outcome: Any = None
        failure: MdmError | None = None
        try:
            while True:
                try:
                    step = self._plugin.step(method, flow, outcome, failure)
                except StopIteration as stop:
                    return stop.value
                outcome, failure = None, None
                try:
                    outcome = self._perform(method, step, budget)
                except DeadlineExceededError:
                    raise  # no flow can do anything about it
                except MdmError as error:
                    failure = error
        finally:
            self._plugin.close(method, flow)

    def _perform(self, method: str, step: Step, budget: Budget) -> Any:
        if isinstance(step, Send):
            return self._send(step.request, budget)
        if isinstance(step, Call):
            return self._call(step, budget)
        if isinstance(step, Pause):
            seconds = min(step.seconds, self.policy.max_wait)
            if step.server_wide:
                return self._gate.hold(seconds)
            return sleep(budget.spend(seconds))
        family = budget.child()
        return gather([partial(self._drive, method, flow, family) for flow in step.flows], family.stop)

    def _call(self, step: Call, budget: Budget) -> Any:
        try:
            return run_blocking(step.function, budget)
        except MdmError:
            raise
        except Exception as error:
            raise ProtocolError(
                f"a library that the provider uses failed ({type(error).__name__})",
                hint="Report this with the debug log to the plugin.",
            ) from error

    def login(self, audience: str, budget: Budget) -> Token:
        """Get a new credential, whatever the store holds."""
        with sealed(self._secrets):
            token: Token = self._ask(budget, "login", audience)
        self._secrets.add(token.value, *secret_values(token.extra))
        return token

    def _send(self, request: Request, budget: Budget) -> Response:
        try:
            return self._attempt(request, budget)
        except MdmError as error:
            if not request.idempotent or not rules.worth_retrying(error):
                raise
            first = [error]

        # Only a failure pays for the machinery of retries, which takes the failed attempt as its first.
        def attempt() -> Response:
            if first:
                raise first.pop()
            return self._attempt(request, budget)

        def useless(state: RetryCallState) -> bool:
            wait = state.upcoming_sleep
            return state.attempt_number >= self.policy.attempts or wait < 0 or wait >= budget.left

        retrying = Retrying(
            retry=retry_if_exception(rules.worth_retrying),
            wait=self._retry_wait,
            stop=useless,
            sleep=sleep,
            reraise=True,
        )
        return retrying(attempt)

    def _retry_wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wait = rules.wait_before_retry(error, state.attempt_number, self.policy.max_wait)
        return -1.0 if wait is None else wait

    def _attempt(self, request: Request, budget: Budget) -> Response:
        """Send with a credential; after a 401 once more with a new one, if there can be a new one."""
        audience = request.audience
        if audience is None:
            return self._exchange(request, budget)
        rules.check_destination(request.url, self.provider.settings.base_url, self._plugin.trusts)
        token = self._tokens.get(audience, budget, self)
        try:
            return self._exchange(self._plugin.authorize(request, token), budget)
        except AuthenticationError as error:
            if not self._tokens.refuse(audience, token, error):
                raise
        token = self._tokens.get(audience, budget, self)
        try:
            return self._exchange(self._plugin.authorize(request, token), budget)
        except AuthenticationError as error:
            self._tokens.refuse(audience, token, error)
            raise

    def _exchange(self, request: Request, budget: Budget) -> Response:
        """Send when it is this request's turn, and follow redirects that may be followed."""
        for _ in range(rules.MAX_HOPS + 1):
            self._slots.acquire(budget)
            try:
                if wait := self._gate.reserve(request.lane):
                    sleep(budget.spend(wait))
                response = self._exchange_once(request, budget)
            finally:
                self._slots.release()
            if not rules.is_redirect(response):
                return self._plugin.check(rules.without_secrets(request, response, self._secrets))
            request = rules.next_hop(request, response, self._plugin.trusts)
        raise RedirectError(f"the server redirects more than {rules.MAX_HOPS} times")

    def _exchange_once(self, request: Request, budget: Budget) -> Response:
        left = budget.remaining()
        seconds = min(request.timeout or self.policy.timeout, left)
        http = self._http[0] if self._http else self._open(budget)
        began = time.monotonic()
        try:
            with exchanging() if self._given_http is None else nullcontext():
                response = http.exchange(request, seconds, self.policy.max_body)
        except MdmTimeoutError:
            if seconds == left:
                raise budget.exceeded() from None
            raise
        if _http_log.isEnabledFor(logging.DEBUG):
            _http_log.debug(
                "%s: %s %s -> %d, %d bytes in %.0f ms",
                self.server,
                request.method,
                redact_url(request.full_url),
                response.status,
                len(response.body),
                (time.monotonic() - began) * 1000,
            )
        return response

    def _open(self, budget: Budget) -> Http:
        self._http_lock.acquire(budget)
        try:
            if not self._http:
                self._http.append(Http(self.provider.settings, self._given_http))
            return self._http[0]
        finally:
            self._http_lock.release()

    def close(self) -> None:
        """Give credentials back and close the connections. The runner may be used again."""
        try:
            for token in self._tokens.drain():
                try:
                    self._ask(Budget(self.policy.timeout), "logout", token)
                except MdmError as error:
                    _log.info("%s: giving the token back failed: %s", self.server, error.message)
        finally:
            while self._http:
                self._http.pop().close()
