"""One of all vendors' simulators is killed while they are asked: that is told, and nothing is wrong."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import DeadlineExceededError, MdmTimeoutError, ServerUnavailableError
from mdmsdk.federation import decide
from mdmsdk.registry import SIMULATORS, installed, load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import Modal, open_client, open_federation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.federation import Answer

COUNT = int(os.environ.get("MDM_KILLED_LOOKUPS", "12"))
"""How many lookups; `nox -s killed` has a thousand, one by one."""
DEADLINE, SLACK = 20.0, 5.0
VICTIM = "workspaceone"
LATE = (MdmTimeoutError, DeadlineExceededError, ServerUnavailableError)


def keys() -> list[str]:
    """Of different devices; a few share one."""
    return list(dict.fromkeys(f"mac:{one.wifi_mac}" for one in fleet() if one.wifi_mac))[:COUNT]


def fleet() -> Fleet:
    return Fleet.generate(COUNT * 2, seed=5)


@pytest.fixture
def running() -> Iterator[dict[str, Any]]:
    """All simulators that there are, by name."""
    with ExitStack() as stack:
        devices = fleet()
        yield {
            plugin.name: stack.enter_context(serve(load_simulator(plugin.name)(devices)))
            for plugin in installed(SIMULATORS)
        }


@pytest.fixture
def federation(running: dict[str, Any], mdm_mode: str) -> Iterator[Modal]:
    if mdm_mode == "trio":
        pytest.skip("nothing here depends on the event loop")
    with ExitStack() as stack:
        clients = []
        for name, one in running.items():
            settings = one.settings
            provider = make_provider(settings.pop("provider"), settings)
            clients.append(stack.enter_context(open_client(provider, mdm_mode, server=name)))
        yield stack.enter_context(open_federation(clients, mdm_mode, patience=DEADLINE))


def words(answer: Answer) -> dict[str, str]:
    """What each server said, in a word."""
    return {
        one.server: one.device.compliance.state.value if one.device else one.status.value
        for one in answer.outcomes
    }


@pytest.mark.timeout(240 + 6 * COUNT)  # a busy machine
def test_who_is_missing_is_told_and_nothing_is_wrong(federation: Modal, running: dict[str, Any]) -> None:
    wanted = keys()
    whole = {str(one.key): one for one in federation.lookup_many(wanted)}
    for _ in range(3):  # a busy machine was too slow
        for key in [key for key, one in whole.items() if not one.complete]:
            whole[key] = federation.lookup(key)
    assert len(whole) == sum(one.complete for one in whole.values()) == COUNT
    assert {decide(one) for one in whole.values()} >= {"compliant", "noncompliant"}
    lacking = 0
    for number, (answer, seconds) in enumerate(one_by_one(federation, wanted)):
        if number == COUNT // 6:
            running[VICTIM].close()
        lacking += check(answer, whole[str(answer.key)])
        assert seconds < DEADLINE + SLACK
    assert number == COUNT - 1
    assert 0 < lacking < COUNT


def one_by_one(federation: Modal, wanted: list[str]) -> Iterator[tuple[Answer, float]]:
    """The answers, and how long each took: of one call for all, or of as many calls."""
    began = time.monotonic()
    if COUNT < 100:
        for answer in federation.lookup_many(wanted, deadline=DEADLINE):
            yield answer, time.monotonic() - began
        return
    for start in range(0, COUNT, 10):
        calls = list(map(_lookup, wanted[start : start + 10]))
        began = time.monotonic()
        for answer in federation.side_by_side(calls):
            yield answer, time.monotonic() - began


def _lookup(key: str) -> Callable[[Modal], Any]:
    return lambda federation: federation.lookup(key, deadline=DEADLINE)


def check(answer: Answer, whole: Answer) -> bool:
    """Whether the killed one is missing; the others say what they said before, or are late."""
    said, expected = words(answer), words(whole)
    lost = {
        one.server: one.error
        for one in answer.outcomes
        if one.error and said[one.server] != expected[one.server]
    }
    for server, error in lost.items():
        # On a busy machine any of them may be late.
        assert server == VICTIM or isinstance(error, LATE), error
        said[server] = expected[server]
    assert said == expected
    if lost:
        assert not answer.complete
        assert decide(answer) in {"no_answer", "noncompliant", "unknown"}
        assert decide(answer) != "unknown" or decide(whole) == "unknown"
        assert decide(answer) != "noncompliant" or decide(whole) == "noncompliant"
    else:
        assert (answer.complete, decide(answer)) == (whole.complete, decide(whole))
    return VICTIM in lost
