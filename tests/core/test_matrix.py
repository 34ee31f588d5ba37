"""The fault matrix: what is wrong is told, and no fault is a verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mdmsdk.ise import IseProvider
from mdmsdk.testing import matrix as package
from mdmsdk.testing.fuzz import Corpus
from mdmsdk.testing.matrix import BREAKS, main, run

if TYPE_CHECKING:
    from mdmsdk.wire import Response


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


def test_a_provider_that_takes_any_status_for_an_answer_is_told(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lenient(self: IseProvider, response: Response) -> Response:
        return response

    monkeypatch.setattr(IseProvider, "check", lenient)
    assert run(corpus, ["status-206"]).wrong


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
