"""The fault matrix: what is wrong is told, and no fault is a verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mdmsdk.errors import MdmError
from mdmsdk.flow import Flow, attempt
from mdmsdk.ise import IseProvider
from mdmsdk.testing import matrix as package
from mdmsdk.testing.fuzz import Corpus
from mdmsdk.testing.matrix import BREAKS, main, run

if TYPE_CHECKING:
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus("ise", fleet_size=20)


def test_no_fault_is_a_verdict(corpus: Corpus) -> None:
    matrix = run(corpus)
    assert matrix.wrong == []
    assert matrix.calls == len(BREAKS) * 6
    assert len(BREAKS) >= 60
    assert {fault.group for fault in BREAKS.values()} >= {
        "connect",
        "tls",
        "status",
        "header",
        "body",
        "time",
    }


def test_a_provider_that_takes_failures_for_not_found_is_told(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lenient(self: IseProvider, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        outcome = yield from attempt(find(self, info, key))
        return [] if isinstance(outcome, MdmError) else outcome

    find = IseProvider.find
    monkeypatch.setattr(IseProvider, "find", lenient)
    wrong = run(corpus, ["status-500"]).wrong
    assert len(wrong) == 2
    assert all("lookup: wrong: no error but None" in line for line in wrong)


def test_a_list_that_is_cut_is_told(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(
        BREAKS["content-type-wrong"], change=lambda good: replace(good, body=_without_a_row(good.body))
    )
    monkeypatch.setitem(package.BREAKS, "short", short)
    wrong = run(corpus, ["short"]).wrong
    assert len(wrong) == 2
    assert all("noncompliant" in line for line in wrong)


def _without_a_row(body: bytes) -> bytes:
    if body.count(b"<device>") < 2:
        return body
    start = body.index(b"<device>")
    return body[:start] + body[body.index(b"</device>") + len(b"</device>") :]


def test_the_command_prints_a_line_for_each_provider(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "run", lambda corpus: run(corpus, ["refused", "login-page"]))
    assert main(["ise"]) == 0
    assert "calls    12  wrong 0" in capsys.readouterr().out
