"""The doctor finds what is wrong, where it is wrong, and says what to do."""

from __future__ import annotations

import re
import socket
import ssl
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme

from mdmsdk._run.probe import Sight
from mdmsdk.doctor import STEPS, Finding, adiagnose, diagnose
from mdmsdk.doctor.chain import read_chain
from mdmsdk.errors import ConfigurationError
from mdmsdk.simulator import IseSimulator
from tests.doctor.scenarios import FLEET, NOW, PASSWORD, SCENARIOS, Scenario, Stage, account, config_of

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
    steps = [finding.step for finding in found if finding.step != "agreement"]
    assert steps == list(STEPS) * len(config.servers)
    assert PASSWORD not in repr(found)
    # Of several servers, what is wrong with one.
    return {finding.step: finding for finding in sorted(found, key=lambda one: one.ok is False)}


@pytest.mark.parametrize(("scenario", "mode"), CASES)
def test_scenario(stage: Stage, scenario: Scenario, mode: str) -> None:
    found = findings(config_of(stage.folder, mdm=scenario.arrange(stage), **stage.beside), mode)
    [first, *_] = [one for one in found.values() if (one.remedy if scenario.warning else one.ok is False)]
    assert scenario.warning is (first.ok is True)
    assert first.step == scenario.step
    assert scenario.detail in first.detail
    assert scenario.remedy in (first.remedy or "")
    assert first.misconfigured is scenario.misconfigured


@pytest.mark.parametrize("mode", ["sync", "asyncio", "trio"])
def test_nothing_wrong(stage: Stage, mode: str) -> None:
    server = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    found = findings(config_of(stage.folder, mdm=server.settings), mode)
    assert {step: one.ok for step, one in found.items()} == dict.fromkeys(STEPS, True) | {
        "tls": None,
        "login-host": None,
    }
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
    heads: SimpleQueue[bytes] = SimpleQueue()
    stage.patch.setattr("tests.transports.conftest.Peer.answer_each", lambda peer, *_: heads.put(peer.head()))
    found = findings(config_of(stage.folder, mdm=scenario.arrange(stage)))
    assert found["tls"].ok is False
    assert heads.get(timeout=60) == b""  # of the handshake that was only looked at
    assert heads.empty()


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
    listed = [line for line in text.splitlines() if re.match(r"\|.*\| `[a-z-]+` \|", line)]
    assert listed == rows, "the table has to read:\n" + "\n".join(rows)


def test_an_address_that_does_not_answer_beside_one_that_does(stage: Stage) -> None:
    server = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "localhost":
            return real(host, *args, **kwargs)
        if kwargs.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        return [found for name in ("127.0.0.2", "127.0.0.1") for found in real(name, *args, **kwargs)]

    stage.patch.setattr(socket, "getaddrinfo", resolve)
    url = server.origin.replace("127.0.0.1", "localhost")
    found = findings(config_of(stage.folder, mdm={**server.settings, "base_url": url}))
    assert found["name"].detail == "localhost is 127.0.0.2, 127.0.0.1"
    assert found["tcp"].ok is True
    assert found["tcp"].detail.endswith("127.0.0.2 refused, 127.0.0.1 answers")
    assert found["tcp"].remedy == "Connections try these in vain first: mend or remove 127.0.0.2 in DNS."
    assert found["heartbeat"].ok is True


class TestChain:
    """What certificates say, without a connection."""

    @staticmethod
    def leaf(**times: Any) -> list[bytes]:
        issued = trustme.CA().issue_cert("mdm.example", **times)
        return [ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())]

    def test_one_that_ends_soon_is_a_warning(self) -> None:
        chain = self.leaf(not_after=NOW + timedelta(days=5, hours=1))
        reading = read_chain("mdm.example", Sight(chain, "TLSv1.3"), NOW)
        assert reading.detail.startswith("TLSv1.3; 'mdm.example', issued by 'trustme")
        assert reading.remedy == "Renew the certificate of 'mdm.example' soon: it ends in 5 days."

    @pytest.mark.parametrize("code", [10, 0x800B0101])
    def test_the_end_is_seen_with_the_numbers_of_any_system(self, code: int) -> None:
        chain = self.leaf(not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=2))
        reading = read_chain("mdm.example", Sight(chain, "TLSv1.3", code, "expired"), NOW)
        assert reading.detail.startswith("the certificate of 'mdm.example' ended on")

    def test_what_is_no_certificate_is_told_as_it_is(self) -> None:
        reading = read_chain("mdm.example", Sight([b"x"], "TLSv1.3", 20, "no issuer"), NOW)
        assert reading.detail == "the certificate of mdm.example is not trusted: no issuer"
