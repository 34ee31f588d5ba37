"""Whatever happens in whatever order, the cache gives what a few lines say that it may give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmsdk import parse_key
from mdmsdk.errors import ConnectError
from tests.federation.conftest import MAC
from tests.federation.test_cache import SERIAL, Open, device

TTL, NEGATIVE, SKEW, LINKED = 60, 10, 5, 3600
SERVERS, KEYS = ("a", "b"), (MAC, SERIAL)
servers, keys = st.sampled_from(SERVERS), st.sampled_from(KEYS)
STEP = st.one_of(
    st.tuples(st.just("look up"), keys, st.sampled_from([None, None, 0, 5, 30, 600])),
    st.tuples(st.just("look up"), keys, st.sampled_from([None, None, 0, 5, 30, 600])),
    st.tuples(st.just("ask afresh"), keys),
    st.tuples(st.just("change"), servers, st.sampled_from(["compliant", "noncompliant", None])),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 4, 9, 30, 59, 61])),
    st.tuples(st.just("set the clock"), st.sampled_from([-4, -4, 3, 30, 3600])),
    st.tuples(st.just("forget"), st.one_of(keys, st.just("imei:353778083456461"))),
    st.tuples(st.just("fail"), servers, st.booleans()),
)


class Model:
    """What each server knows, what is kept of it, and when that was asked for by both clocks."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.truth: dict[str, str | None] = dict.fromkeys(SERVERS, "compliant")
        self.fails = dict.fromkeys(SERVERS, False)
        self.kept: dict[tuple[str, str], tuple[str | None, float, float]] = {}
        self.asked = dict.fromkeys(SERVERS, 0)
        self.linked: dict[str, float] = {}
        self.latest = clock.now

    def look_up(self, key: str, max_age: float | None = None) -> list[str]:
        """What the outcomes are."""
        return [self._of_server(name, key, max_age) for name in SERVERS]

    def _of_server(self, name: str, key: str, max_age: float | None) -> str:
        if (kept := self.kept.get((name, key))) and self._counts(*kept, max_age):
            return kept[0] or "not_found"
        self.asked[name] += 1
        if self.fails[name]:
            return "error"
        said = self.truth[name]
        self.kept[name, key] = said, self.clock.now, self.clock.running
        if said:
            self.linked[name] = self.clock.now + TTL + LINKED
        return said or "not_found"

    def _counts(self, said: str | None, wall: float, running: float, max_age: float | None) -> bool:
        by_wall: float = self.clock.now - wall
        age: float = self.clock.running - running
        ttl = TTL if said else NEGATIVE
        most = ttl if max_age is None else min(ttl, max_age)
        return max(by_wall, age) < most and by_wall >= -SKEW

    def forget(self, key: str) -> None:
        """Drop what is kept under a key, and under those of the same record if the server showed one."""
        for name in SERVERS:
            self.renew(name, *(KEYS if self.clock.now < self.linked.get(name, 0.0) else (key,)))

    def renew(self, name: str, *keys: str) -> None:
        """Drop what is kept of a server."""
        for key in keys:
            self.kept.pop((name, key), None)

    def set_clock(self, seconds: float) -> None:
        """Set the clock, but not back by more than clocks of machines may differ: nothing is read then."""
        self.latest = max(self.latest, self.clock.now)
        self.clock.now = max(self.clock.now + seconds, self.latest - SKEW)


@pytest.mark.parametrize("mode", ["sync", "asyncio"])
def test_any_sequence(mode: str) -> None:
    @settings(max_examples=60 if mode == "sync" else 15, deadline=None)
    @given(st.lists(STEP, max_size=30))
    def holds(steps: list[tuple[Any, ...]]) -> None:
        opened = Open(mode)
        with opened(dict.fromkeys(SERVERS, ()), cache_ttl=TTL, cache_negative_ttl=NEGATIVE) as federation:
            federation.heartbeat()
            model = Model(opened.clock)
            for name in SERVERS:
                apply(federation, name, "compliant", fails=False)
            asked = federation.with_policy(breaker_failures=0)
            for step in steps:
                take(step, model, federation, asked)
            assert {name: len(fake.asked) for name, fake in federation.fakes.items()} == model.asked

    holds()


def apply(federation: Any, name: str, state: str | None, *, fails: bool) -> None:
    """Have a server know the device in this state, or not at all, and fail or not."""
    fake = federation.fakes[name]
    fake.devices[:] = [device(state, imei="353778083456461")] if state else []
    fake.down = ConnectError("no route") if fails else None


def take(step: tuple[Any, ...], model: Model, federation: Any, asked: Any) -> None:
    """Do one step in both, and compare."""
    match step:
        case "look up", key, max_age:
            expected = model.look_up(key, max_age)
            assert said(asked.lookup(key, max_age=max_age)) == expected
        case "ask afresh", key:
            for name in SERVERS:
                model.renew(name, key)
            assert said(asked.lookup(key, fresh=True)) == model.look_up(key)
        case "change", name, state:
            model.truth[name] = state
            apply(federation, name, state, fails=model.fails[name])
        case "fail", name, fails:
            model.fails[name] = fails
            apply(federation, name, model.truth[name], fails=fails)
        case "pass", seconds:
            model.clock.step(seconds)
        case "set the clock", seconds:
            model.set_clock(seconds)
        case "forget", key:
            federation.invalidate(parse_key(key))
            model.forget(key)


def said(answer: Any) -> list[str]:
    """The outcomes in the words of the model."""
    return [one.device.compliance.state.value if one.device else one.status.value for one in answer.outcomes]
