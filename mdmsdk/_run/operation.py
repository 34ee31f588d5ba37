"""One operation on a server: performs the steps of its flows within its budget."""

from __future__ import annotations

import logging
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tenacity import AsyncRetrying, retry_if_exception

from mdmsdk._run import rules
from mdmsdk._run.quotas import Asked
from mdmsdk._run.signals import from_signal_handler
from mdmsdk._run.telemetry import Exchange
from mdmsdk.errors import (
    AuthenticationError,
    DeadlineExceededError,
    MdmError,
    MdmTimeoutError,
    ProtocolError,
    RateLimitedError,
    RedirectError,
    ServerError,
    TransportError,
)
from mdmsdk.flow import Call, Flow, Pause, Send, Step
from mdmsdk.settings import secret_values
from mdmsdk.silence import sealed
from mdmsdk.wire import Response, redact_url

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from mdmsdk._run.budget import Budget
    from mdmsdk._run.runner import Runner
    from mdmsdk._run.telemetry import Watched
    from mdmsdk.provider import Token
    from mdmsdk.wire import Request

_http_log = logging.getLogger("mdmsdk.http")
# An exchange that ran out of time says something about the server if it had at least this share of the
# time that one may take; what it lacked, our own queue had used up.
_FAIR_SHARE = 0.5
# Seconds up to which a wait that one request is told concerns everybody. A longer one is a quota,
# as of a list that may be read once in four hours, and says nothing about other requests.
_LONGEST_HOLD = 60.0
# Bytes of answers, the reading of which would hold up an event loop.
_LARGE = 256 * 1024


def _size(outcome: Any) -> int:
    """How many bytes of answers a flow gets."""
    if isinstance(outcome, Response):
        return len(outcome.body)
    return sum(map(_size, outcome)) if isinstance(outcome, list) else 0


class Operation:
    """What a runner does for one call of a client."""

    __slots__ = ("_budget", "_plugin", "_policy", "_runner", "_seen", "_state", "_waits")

    def __init__(self, runner: Runner, budget: Budget, seen: Watched | None = None) -> None:
        self._runner = runner
        self._plugin = runner.plugin
        self._policy = runner.policy
        self._waits = runner.shared.waits
        self._state = runner.shared.now
        self._budget = budget
        self._seen = seen

    async def observed(self, method: str, *args: Any) -> Any:
        """What a method gives, while the circuit breaker looks on how the server is."""
        policy, breaker, budget = self._policy, self._state.breaker, self._budget
        if not policy.breaker_failures:
            return await self.ask(method, *args)
        breaker.admit(budget.seconds)
        budget.failed = budget.answered = False
        try:
            result = await self.ask(method, *args)
        except BaseException as error:
            if budget.given_up or (budget.failed and isinstance(error, TransportError | ServerError)):
                breaker.failure(policy.breaker_failures, policy.breaker_reset)
            elif budget.answered and isinstance(error, MdmError):
                breaker.success()  # an answer, if not the one hoped for
            else:
                breaker.abandon()
            raise
        breaker.success()
        return result

    async def ask(self, method: str, *args: Any) -> Any:
        """What a method of the provider gives."""
        result = await self._drive(method, self._plugin.start(method, *args))
        return self._plugin.result(method, args, result)

    async def _drive(self, method: str, flow: Flow[Any]) -> Any:
        outcome: Any = None
        failure: MdmError | None = None
        try:
            while True:
                if _size(outcome) >= _LARGE:
                    step, result = await self._step_elsewhere(method, flow, outcome)
                    if step is None:
                        return result
                else:
                    try:
                        step = self._plugin.step(method, flow, outcome, failure)
                    except StopIteration as stop:
                        return stop.value
                outcome, failure = None, None
                try:
                    outcome = await self._perform(method, step)
                except DeadlineExceededError:
                    raise  # no flow can do anything about it
                except MdmError as error:
                    failure = error
        finally:
            self._plugin.close(method, flow)

    async def _step_elsewhere(self, method: str, flow: Flow[Any], outcome: Any) -> tuple[Step | None, Any]:
        """Resume a flow with answers that take long to read, while the event loop goes on.

        Gives the next step, or None and the flow's result.
        """

        def resume() -> tuple[Step | None, Any]:
            try:
                return self._plugin.step(method, flow, outcome, None), None
            except StopIteration as stop:  # which no thread can hand over
                return None, stop.value

        resumed: tuple[Step | None, Any] = await self._waits.blocking(resume, self._budget, self._state.pool)
        self._budget.remaining()  # a thread that reads cannot be stopped
        return resumed

    async def _perform(self, method: str, step: Step) -> Any:
        if isinstance(step, Send):
            return await self._send(step.request)
        if isinstance(step, Call):
            return await self._call(step)
        if isinstance(step, Pause):
            return await self._pause(step)
        return await self._waits.gather([partial(self._drive, method, flow) for flow in step.flows])

    async def _pause(self, step: Pause) -> bool:
        if step.lane is not None:
            if step.seconds <= _LONGEST_HOLD:
                await self._hold(Asked(step.seconds), step.lane)
        elif step.server_wide:
            await self._hold(Asked(min(step.seconds, self._max_wait)))
        elif step.optional and (step.seconds > self._max_wait or step.seconds >= self._budget.left):
            return False
        else:
            await self._sleep(self._budget.spend(min(step.seconds, self._max_wait)))
        return True

    async def _sleep(self, seconds: float) -> None:
        park, stop = self._waits.Park(), self._state.stop
        try:
            stop.add(park.wake)
            await park.wait(seconds)
        finally:
            stop.discard(park.wake)
        stop.check()

    async def _call(self, step: Call) -> Any:
        try:
            return await self._waits.blocking(step.function, self._budget, self._state.pool)
        except MdmError:
            raise
        except Exception as error:
            if from_signal_handler(error):
                raise
            raise ProtocolError(
                f"a library that the provider uses failed ({type(error).__name__})",
                hint="Report this with the debug log to the plugin.",
            ) from error

    async def _send(self, request: Request) -> Response:
        try:
            return await self._attempt(request)
        except MdmError as error:
            if not request.idempotent or not rules.worth_retrying(error):
                raise
            first = [error]

        # Only a failure pays for the machinery of retries, which takes the failed attempt as its first.
        async def attempt() -> Response:
            if first:
                raise first.pop()
            return await self._attempt(request)

        def useless(state: RetryCallState) -> bool:
            wait = state.upcoming_sleep
            error = state.outcome.exception() if state.outcome else None
            asked = self._budget.patient and isinstance(error, RateLimitedError)
            tired = state.attempt_number >= self._policy.attempts and not asked
            return tired or wait < 0 or wait >= self._budget.left

        retrying = AsyncRetrying(
            retry=retry_if_exception(rules.worth_retrying),
            wait=self._retry_wait,
            stop=useless,
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(attempt)

    def _retry_wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wait = rules.wait_before_retry(error, state.attempt_number, self._max_wait)
        return -1.0 if wait is None else wait

    @property
    def _max_wait(self) -> float:
        return self._policy.list_patience if self._budget.patient else self._policy.max_wait

    async def _attempt(self, request: Request) -> Response:
        """Send with a credential; after a 401 once more with a new one, if there can be a new one."""
        audience = request.audience
        if audience is None:
            return await self._exchange(request)
        rules.check_destination(request.url, self._runner.provider.settings.base_url, self._plugin.trusts)
        token = await self.token(audience)
        try:
            return await self._exchange(request, token)
        except AuthenticationError as error:
            if not self._state.tokens.refuse(audience, token, error):
                raise
        token = await self.token(audience)
        try:
            return await self._exchange(request, token)
        except AuthenticationError as error:
            self._state.tokens.refuse(audience, token, error)
            raise

    async def token(self, audience: str) -> Token:
        """The credential for an audience, from a login if there is no good one."""
        return await self._state.tokens.get(audience, self._budget, self._login, self._policy.refused_wait)

    async def _login(self, audience: str, previous: Token | None) -> Token:
        secrets = self._runner.secrets
        with sealed(secrets):
            token: Token = await self.ask("login", audience, previous)
        secrets.add(token.value, *secret_values(token.extra))
        return token

    async def _exchange(self, request: Request, token: Token | None = None) -> Response:
        """Send when it is this request's turn, and follow redirects that may be followed."""
        if token is not None:
            request = self._plugin.authorize(request, token)
        for _ in range(rules.MAX_HOPS + 1):
            response = await self.exchange_once(request)
            if not rules.is_redirect(response):
                response = rules.without_secrets(request, response, self._runner.secrets)
                if request.audience is not None:
                    self._runner.shared.note(response)
                response = await self._checked(request, response)
                if request.audience is not None:  # a login may be another server's
                    self._runner.shared.clock.hear(response)
                return response
            rules.learn_cookies(response, self._runner.secrets)  # the address may hold one
            request = rules.next_hop(request, response, self._plugin.trusts)
            if token is not None and token.single_use and request.audience is not None:
                request = self._plugin.authorize(request, await self.token(request.audience))
        raise RedirectError(f"the server redirects more than {rules.MAX_HOPS} times")

    async def _checked(self, request: Request, response: Response) -> Response:
        try:
            response = self._plugin.check(request, response)
        except RateLimitedError as error:
            self._budget.answered = True
            wait = error.retry_after or 0.0
            # A 503 may be about this question alone, and a login may be another server's.
            ours = error.status == HTTPStatus.TOO_MANY_REQUESTS and request.audience is not None
            if ours and 0 < wait <= _LONGEST_HOLD:
                await self._hold(Asked(wait, error.hint), request.lane)
            raise
        except ServerError:
            self._budget.failed = True
            raise
        except MdmError:
            self._budget.answered = True
            raise
        self._budget.answered = True
        return response

    async def _hold(self, asked: Asked, lane: str | None = None) -> None:
        """Let nobody send anything for so long, in a lane or at all, here and in other processes."""
        self._state.gate.hold(asked, lane)
        if limits := self._runner.shared.limits:
            await limits.hold(lane, asked.seconds)

    async def exchange_once(self, request: Request) -> Response:
        """Send once, when it is this request's turn, and take any answer."""
        limits = self._runner.shared.limits
        if limits is None:
            return await self._exchange_once(request)
        try:
            response = await self._exchange_once(request)
        except MdmError:
            await limits.settle()
            raise
        await limits.settle()
        return response

    async def _exchange_once(self, request: Request) -> Response:
        shared, state, budget, policy = self._runner.shared, self._state, self._budget, self._policy
        # Lookups may be waiting for the same login.
        turn = state.gate.turn(request.lane, patient=budget.patient and request.audience is not None)
        most = policy.timeout
        left = seconds = most
        try:
            await turn.take(budget, most)
            left = budget.remaining()
            seconds = min(most, left)
            http = shared.http()
            began = time.monotonic()
            turn.used = True
            budget.exchanging += 1  # and stays so where nobody waits for the end: see `Budget.given_up`
            send = partial(http.exchange, request, seconds, policy.max_body)
            quiet = not shared.given_http
            with Exchange(request, self._seen) as seen:
                response: Response = await self._waits.exchange(send, budget, state.pool, turn, quiet=quiet)
                seen.answered(response.status)
            budget.exchanging -= 1
            shared.heard_at = time.monotonic()
        except (MdmTimeoutError, DeadlineExceededError) as error:
            if turn.used:
                budget.exchanging -= 1
                budget.failed |= seconds >= min(most, budget.seconds) * _FAIR_SHARE
                if seconds == left and isinstance(error, MdmTimeoutError):
                    raise budget.exceeded() from None
            raise
        except TransportError:
            budget.exchanging -= 1
            budget.failed = True
            raise
        finally:
            if not turn.lent:
                turn.done()
        if _http_log.isEnabledFor(logging.DEBUG):
            _http_log.debug(
                "%s: %s %s -> %d, %d bytes in %.0f ms",
                self._runner.server,
                request.method,
                redact_url(request.full_url),
                response.status,
                len(response.body),
                (time.monotonic() - began) * 1000,
            )
        return response
