"""Several requests in one envelope, as some APIs take them. Pure.

The parts of an envelope fail each for itself: what is throttled or failed is sent again after the wait that
the server asks for, and an envelope that is refused for one of its parts is sent again in halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdmsdk.errors import MdmError, RateLimitedError, ServerError
from mdmsdk.flow import Flow, attempt, pause, send
from mdmsdk.search import spoils_one
from mdmsdk.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.provider import MdmProvider

__all__ = ["Batch", "Outcome", "send_batch"]

Outcome = Response | MdmError
"""What became of one request: its answer, which `MdmProvider.check` has looked at, or its failure."""

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
    """

    most: int
    pack: Callable[[Sequence[Request]], Request]
    unpack: Callable[[Response, Sequence[Request]], Sequence[Outcome]]


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
        wait = max((error.retry_after or 2.0**times for error in again.values()), default=0)
        if not again or times == policy.attempts or wait > policy.max_wait:
            break
        yield from pause(wait)
        pending = {place: pending[place] for place in again}
    return [outcomes[place] for place in range(len(requests))]


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
