"""Run a flow on given answers, without a network, a clock or a thread."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mdmsdk._run.plugin import wrong_step
from mdmsdk._run.rules import without_secrets
from mdmsdk.errors import MdmError, PluginError
from mdmsdk.flow import Call, Flow, Pause, Send, Step
from mdmsdk.settings import Policy, secret_values
from mdmsdk.wire import Request, Response
from mdmsdk.words import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mdmsdk.provider import MdmProvider

    Outcome = Response | MdmError | bytes | str

__all__ = ["Played", "play"]

T = TypeVar("T")


class Played:
    """What a flow did while it was played.

    Attributes:
        requests: the requests that it sent, in order.
        pauses: the waits that it asked for.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.pauses: list[Pause] = []


def play(
    flow: Flow[T],
    answers: Iterable[Outcome] | Callable[[Request], Outcome],
    *,
    provider: MdmProvider | None = None,
    record: Played | None = None,
) -> T:
    """Perform a flow's steps on scripted answers and give its result.

    Args:
        flow: the flow.
        answers: one for each request in order, or a function from request to answer. An answer is a
            `Response`, the body of a 200, or an error to raise in the flow.
        provider: whose `check` looks at each response, as the runner lets it.
        record: takes down what the flow did.

    Raises:
        MdmError: what leaves the flow.
        PluginError: the flow yields something else than steps that can be performed.
        AssertionError: the flow asks for more than there are answers.
    """
    record = Played() if record is None else record
    answer = answers if callable(answers) else _Script(answers)

    def perform(step: Step) -> Any:
        if isinstance(step, Send):
            record.requests.append(step.request)
            return _checked(answer(step.request), step.request, provider)
        if isinstance(step, Pause):
            record.pauses.append(step)
            return not step.optional or step.seconds <= Policy().max_wait
        if isinstance(step, Call):
            return step.function()
        return [play(inner, answer, provider=provider, record=record) for inner in step.flows]

    outcome: Any = None
    failure: MdmError | None = None
    try:
        while True:
            step = flow.send(outcome) if failure is None else flow.throw(failure)
            outcome, failure = None, None
            if wrong := wrong_step(step):
                raise PluginError(f"the flow {wrong}")
            try:
                outcome = perform(step)
            except MdmError as error:
                failure = error
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        flow.close()


class _Script:
    """Answers in the order in which they were written."""

    def __init__(self, answers: Iterable[Outcome]) -> None:
        self._answers = iter(answers)

    def __call__(self, request: Request) -> Outcome:
        for answer in self._answers:
            return answer
        raise AssertionError(f"no answer is left for {request!r}")


def _checked(outcome: Outcome, request: Request, provider: MdmProvider | None) -> Response:
    if isinstance(outcome, MdmError):
        raise outcome
    if isinstance(outcome, str):
        outcome = outcome.encode()
    response = outcome if isinstance(outcome, Response) else Response(200, {}, outcome, request.full_url)
    if not response.url:
        response = replace(response, url=request.full_url)
    if provider is None:
        return request.check(response) if request.check else response
    check = request.check or provider.check
    secrets = Secrets(secret_values(provider.settings))
    return check(without_secrets(request, response, secrets))
