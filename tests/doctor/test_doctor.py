"""The doctor finds what is wrong, where it is wrong, and says what to do."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from mdmsdk.doctor import STEPS, Finding, adiagnose, diagnose
from mdmsdk.errors import ConfigurationError
from mdmsdk.simulator import IseSimulator
from tests.doctor.scenarios import FLEET, PASSWORD, SCENARIOS, Scenario, Stage, account, config_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.config import Config

PAGE = Path(__file__).parents[2] / "docs/how-to/doctor.md"
# Up to here core performs in both modes; after that, the clients' own tests see to them.
IN_BOTH_MODES = {"proxy", "name", "tcp", "tls", "http"}
CASES = [
    pytest.param(scenario, mode, id=f"{scenario.arrange.__name__}-{number}-{mode}")
    for number, scenario in enumerate(SCENARIOS)
    for mode in ("sync", "asyncio")
    if mode == "sync" or scenario.step in IN_BOTH_MODES
]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack, tmp_path, monkeypatch)


def findings(config: Config, mode: str = "sync", **options: Any) -> dict[str, Finding]:
    async def collect() -> list[Finding]:
        return [finding async for finding in adiagnose(config, **options)]

    found = list(diagnose(config, **options)) if mode == "sync" else anyio.run(collect, backend=mode)
    assert [finding.step for finding in found] == list(STEPS) * len(config.servers)
    assert PASSWORD not in repr(found)
    return {finding.step: finding for finding in found}


@pytest.mark.parametrize(("scenario", "mode"), CASES)
def test_scenario(stage: Stage, scenario: Scenario, mode: str) -> None:
    found = findings(config_of(stage.folder, mdm=scenario.arrange(stage)), mode)
    [first, *_] = [finding for finding in found.values() if finding.ok is False]
    assert first.step == scenario.step
    assert scenario.detail in first.detail
    assert scenario.remedy in (first.remedy or "")
    assert first.misconfigured is scenario.misconfigured


@pytest.mark.parametrize("mode", ["sync", "asyncio", "trio"])
def test_nothing_wrong(stage: Stage, mode: str) -> None:
    server = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    found = findings(config_of(stage.folder, mdm=server.settings), mode)
    assert {step: one.ok for step, one in found.items()} == dict.fromkeys(STEPS, True) | {"tls": None}
    assert not any(one.remedy for one in found.values())
    assert "noncompliant" in found["compliance"].detail


def test_steps_that_make_no_sense_any_more_are_not_tried(stage: Stage) -> None:
    [scenario] = [one for one in SCENARIOS if one.arrange.__name__ == "port_closed"]
    found = findings(config_of(stage.folder, mdm=scenario.arrange(stage)))
    later = STEPS[STEPS.index("tcp") + 1 :]
    assert {(found[step].ok, found[step].detail) for step in later} == {(None, "not tried")}


def test_a_sick_server_does_not_end_the_others(stage: Stage) -> None:
    good = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    config = config_of(stage.folder, sick=account("https://mdm.example", usrname="x"), good=good.settings)
    found = findings(config)  # the last server's stand for their steps
    assert (found["limits"].server, found["limits"].ok) == ("good", True)


def test_a_server_that_nobody_configured(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match="has no server nobody"):
        list(diagnose(config_of(stage.folder, mdm=account("https://mdm.example")), servers=["nobody"]))


def test_nothing_is_sent_to_a_server_that_is_not_trusted(stage: Stage) -> None:
    [scenario] = [one for one in SCENARIOS if one.arrange.__name__ == "authority_unknown"]
    heads: list[bytes] = []
    stage.patch.setattr(
        "tests.transports.conftest.Peer.answer_each", lambda peer, *_: heads.append(peer.head())
    )
    found = findings(config_of(stage.folder, mdm=scenario.arrange(stage)))
    assert found["tls"].ok is False
    assert not any(heads)


def test_a_redacted_report_tells_neither_who_nor_where(stage: Stage) -> None:
    names = [
        "port_closed",
        "name_unknown",
        "basic_disabled",
        "other_name",
        "proxy_wants_login",
        "instance_wrong",
    ]
    arranged = {one.arrange.__name__: one.arrange for one in SCENARIOS}
    for name in names:
        config = config_of(stage.folder, **{name: arranged[name](stage)})
        text = " ".join(f"{one.detail} {one.remedy}" for one in findings(config, redacted=True).values())
        assert not re.search(r"127\.0\.0\.1|mdm\.example|nac\.door", text), (name, text)
        assert re.search(r"host-1|address-1", text)


def test_a_redacted_name_is_always_the_same(stage: Stage) -> None:
    server = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    found = findings(config_of(stage.folder, mdm=server.settings), redacted=True)
    assert found["name"].detail == "host-1: no name to look up"
    assert "host-1 answers" in found["tcp"].detail


def test_the_page_lists_every_scenario() -> None:
    rows = [f"| {one.title} | `{one.step}` | {one.remedy} |" for one in SCENARIOS]
    text = PAGE.read_text(encoding="utf-8")
    listed = [line for line in text.splitlines() if re.match(r"\|.*\| `[a-z]+` \|", line)]
    assert listed == rows, "the table has to read:\n" + "\n".join(rows)
