"""The mutation fuzzing finds what it is there to find."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client import verdict
from mdmsdk.flow import Flow, attempt
from mdmsdk.ise import IseProvider
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.testing import fuzz as package
from mdmsdk.testing.fuzz import Corpus, fuzz, main
from mdmsdk.testing.mutations import mutate
from mdmsdk.wire import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus("ise", fleet_size=20)


def test_good_rules_pass_nothing_and_a_seed_repeats_itself(corpus: Corpus) -> None:
    first, again = (fuzz(corpus, 150, clients=5, seed=3) for _ in range(2))
    assert first.clean
    assert first.mutations == 160
    assert len(first.outcomes) > 4
    assert again.outcomes == first.outcomes


def test_records_that_are_not_proven_are_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def unproven(provider: Any, key: Key, devices: Sequence[Device]) -> list[Device]:
        return list(devices)

    monkeypatch.setattr(package, "proven", unproven)
    monkeypatch.setattr(IseProvider, "_check_answer", lambda *_: None)
    assert fuzz(corpus, 150).passes


def test_a_word_that_is_taken_for_a_pass_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Compliance(state=ComplianceState.COMPLIANT)

    def generous(device: Device, server: str, provider: str) -> Device:
        settled = settle(device, server, provider)
        odd = settled.compliance.vendor_state not in {"true", "false"}
        return settled.model_copy(update={"compliance": good}) if odd else settled

    settle = verdict.settle
    monkeypatch.setattr(verdict, "settle", generous)
    assert fuzz(corpus, 300).passes


def test_a_flow_in_circles_is_told(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def circles(self: IseProvider, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        while True:
            yield from attempt(self.ask(Request("GET", f"{self.settings.base_url}/again")))

    monkeypatch.setattr(IseProvider, "find", circles)
    monkeypatch.setattr(package, "_MOST_REQUESTS", 5)
    assert len(fuzz(corpus, 3).hangs) == 3


@pytest.mark.parametrize(
    "body", [b'{"a": [{"id": 1, "state": "bad"}], "total": 1}', b"<a><b>x</b></a>", b"", b"[]"]
)
def test_every_change_gives_bytes_and_words(body: bytes) -> None:
    other = body.replace(b"bad", b"good").replace(b"1", b"2")
    for seed in range(200):
        damaged, how = mutate(body, other, frozenset({"S1"}), random.Random(seed))  # noqa: S311 - reproducible
        assert isinstance(damaged, bytes)
        assert how


def test_the_command_prints_a_line_for_each_provider(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ise", "--count", "20", "--clients", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "false compliant 0  escaped 0  hangs 0" in line
