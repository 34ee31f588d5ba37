"""Several requests in one envelope, as some APIs take them. Pure.

The parts of an envelope fail each for itself: what is throttled or failed is sent again after the wait that
the server asks for, and an envelope that is refused for one of its parts is sent again in halves.

A provider writes the flow for one key or record, as if each request went by itself; `in_envelopes` joins what
such flows send at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from mdmsdk.errors import MdmError, RateLimitedError, ServerError
from mdmsdk.flow import Flow, Send, Step, Together, attempt, bear, pause, send, together
from mdmsdk.search import spoils_one
from mdmsdk.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from mdmsdk.provider import MdmProvider

__all__ = ["Batch", "Outcome", "in_envelopes", "send_batch"]

T = TypeVar("T")
Outcome = Response | MdmError
"""What became of one request. That is its answer, which `MdmProvider.check` has looked at, or its failure."""

_MORE_ENVELOPES = 10
"""What may be spent on the one request for which a server refuses an envelope of 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How an API takes several requests at once.

    Attributes:
        most: requests in one envelope.
        pack: makes the envelope.
        unpack: the answers in the envelope's answer, one for each request and in their order, as if each had
            come by itself; an error for one that was not answered. Raises `MalformedResponseError` where it
            is no envelope.
        takes: whether a request may be part of an envelope, for `in_envelopes`; default: all may.
    """

    most: int
    pack: Callable[[Sequence[Request]], Request]
    unpack: Callable[[Response, Sequence[Request]], Sequence[Outcome]]
    takes: Callable[[Request], bool] = lambda _request: True


def send_batch(provider: MdmProvider, how: Batch, requests: Sequence[Request]) -> Flow[list[Outcome]]:
    """Send requests, in envelopes where there are several; one that fails does not spoil the others.

    Args:
        provider: whose `check` looks at each answer, and whose policy and rate count.
        how: how the API takes them.
        requests: what to send.

    Returns:
        The outcomes in the order of the requests.

    Raises:
        MdmError: a whole envelope failed, and not for what is in it.
    """
    if len(requests) == 1:
        return [(yield from attempt(send(requests[0])))]
    policy = provider.settings.policy
    pending = dict(enumerate(requests))
    outcomes: dict[int, Outcome] = {}
    for times in range(1, policy.attempts + 1):
        outcomes |= yield from _send_envelopes(provider, how, pending)
        again = {
            place: error
            for place in pending
            if isinstance(error := outcomes[place], RateLimitedError | ServerError)
        }
        for lane, wait in _throttled(pending, again).items():
            yield from pause(wait, lane=lane)
        wait = max((error.retry_after or 2.0**times for error in again.values()), default=0)
        if not again or times == policy.attempts or not (yield from bear(wait)):
            break
        pending = {place: pending[place] for place in again}
    return [outcomes[place] for place in range(len(requests))]


def _throttled(
    pending: Mapping[int, Request], again: Mapping[int, RateLimitedError | ServerError]
) -> dict[str, float]:
    """How long nobody is to send anything in a lane, where a part is refused as too many (429)."""
    waits: dict[str, float] = {}
    for place, error in again.items():
        if error.status == HTTPStatus.TOO_MANY_REQUESTS and (wait := error.retry_after):
            lane = pending[place].lane
            waits[lane] = max(wait, waits.get(lane, 0.0))
    return waits


# One after the other, as slowly as the server allows: each part counts against its limits as if it had come
# by itself. An envelope that is refused or cannot be read is asked again in halves.
def _send_envelopes(
    provider: MdmProvider, how: Batch, pending: Mapping[int, Request]
) -> Flow[dict[int, Outcome]]:
    places, more = list(pending), _MORE_ENVELOPES
    todo = [places[start : start + how.most] for start in range(0, len(places), how.most)]
    outcomes: dict[int, Outcome] = {}
    while todo:
        chunk = todo.pop(0)
        if outcomes and provider.limits.rate:
            yield from pause(len(chunk) / provider.limits.rate)
        parts = [pending[place] for place in chunk]
        try:
            answers = how.unpack((yield from send(how.pack(parts))), parts)
        except MdmError as error:
            if not spoils_one(error):
                raise
            half = len(chunk) // 2
            if half and more > 1:
                more -= 2
                todo = [chunk[:half], chunk[half:], *todo]
            else:
                outcomes |= dict.fromkeys(chunk, error)
        else:
            outcomes |= {
                place: _checked(provider, answer) for place, answer in zip(chunk, answers, strict=True)
            }
    return outcomes


def _checked(provider: MdmProvider, answer: Outcome) -> Outcome:
    if isinstance(answer, MdmError):
        return answer
    try:
        return provider.check(answer)
    except MdmError as error:
        return error


@dataclass(frozen=True, slots=True)
class _Failed:
    error: MdmError


def in_envelopes(provider: MdmProvider, how: Batch, flow: Flow[T]) -> Flow[T]:
    """Run a flow; what the flows in its `Together` steps send at the same time goes in envelopes.

    They are run in step: each round waits for the slowest of its steps. Where one of them fails, the others
    still go on to their end.

    Args:
        provider: as for `send_batch`.
        how: how the API takes several requests, and which of them.
        flow: what to run.

    Raises:
        MdmError: what leaves the flow; or a whole envelope failed, and not for what is in it.
    """
    run = _run(flow)
    try:
        steps = next(run)
        while True:
            steps = run.send((yield from _perform(provider, how, steps)))
    except StopIteration as end:
        if isinstance(end.value, _Failed):
            raise end.value.error from None
        ended: T = end.value
        return ended
    finally:
        run.close()


def _perform(provider: MdmProvider, how: Batch, steps: Sequence[Step]) -> Flow[list[Any]]:
    """The outcomes of steps that do not depend on each other."""
    parts = {
        place: step.request
        for place, step in enumerate(steps)
        if isinstance(step, Send) and how.takes(step.request)
    }
    others = [place for place in range(len(steps)) if place not in parts]
    envelopes: list[Flow[Any]] = [send_batch(provider, how, list(parts.values()))] if parts else []
    answers = yield from together(*envelopes, *(attempt(_step(steps[place])) for place in others))
    joined = answers.pop(0) if parts else []
    outcomes = dict(zip([*parts, *others], [*joined, *answers], strict=True))
    return [outcomes[place] for place in range(len(steps))]


def _step(step: Step) -> Flow[Any]:
    return (yield step)


def _rounds(flows: Sequence[Flow[Any]]) -> Generator[list[Step], list[Any], list[Any]]:
    """Run flows: yields their next steps, no `Together` among them, and takes the outcomes in this order."""
    runs = [_run(flow) for flow in flows]
    try:
        return (yield from _in_step(runs))
    finally:
        for run in runs:
            run.close()


def _in_step(
    runs: Sequence[Generator[list[Step], list[Any], Any]],
) -> Generator[list[Step], list[Any], list[Any]]:
    ended: dict[int, Any] = {}
    open_: dict[int, list[Step]] = {}
    answers: dict[int, list[Any] | None] = dict.fromkeys(range(len(runs)))
    while answers:
        for place, answer in answers.items():
            try:
                open_[place] = runs[place].send(answer) if answer is not None else next(runs[place])
            except StopIteration as end:
                ended[place] = end.value
                open_.pop(place, None)
        outcomes = iter((yield [step for steps in open_.values() for step in steps]) if open_ else ())
        answers = {place: [next(outcomes) for _ in steps] for place, steps in open_.items()}
    return [ended[place] for place in range(len(runs))]


def _run(flow: Flow[Any]) -> Generator[list[Step], list[Any], Any]:
    """Run one flow, as `_rounds`; gives what it ends with."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, Together):
                outcomes = yield from _rounds(step.flows)
                failed = (outcome.error for outcome in outcomes if isinstance(outcome, _Failed))
                outcome: Any = next(failed, outcomes)
            else:
                (outcome,) = yield [step]
            step = flow.throw(outcome) if isinstance(outcome, MdmError) else flow.send(outcome)
    except StopIteration as end:
        return end.value
    except MdmError as error:
        return _Failed(error)
    finally:
        flow.close()
