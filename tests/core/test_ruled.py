"""Rules in the client and over a federation: what they may decide, and what they may not."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk._run.clock import Clock
from mdmsdk.client import verdict
from mdmsdk.client.build import checked
from mdmsdk.config import load_config
from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    ServerError,
    UnsupportedOperationError,
)
from mdmsdk.federation import Decision, decide
from mdmsdk.flow import Flow, send
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.provider import Capability, Limits, Page
from mdmsdk.settings import Rules
from mdmsdk.simulator.server import serve
from mdmsdk.testing import open_client, open_federation
from mdmsdk.wire import Response
from tests.core.conftest import Answer, Script, TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from mdmsdk.search import Found
    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

MAC = "00:1B:44:11:3A:B7"
BY_RULES: dict[str, Any] = {"source": "rules", "rules": {"passcode_set": True}}
STATES = [state.value for state in ComplianceState]


class Facts(TinyProvider):
    """Its server answers with devices as they stand in `Device`."""

    capabilities: ClassVar = frozenset({Capability.INVENTORY, Capability.BATCH, Capability.REASONS})
    limits = Limits(batch_size=10)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        return _devices((yield from send(self.get("/find"))).json())

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        devices = yield from self.find(info, keys[0])
        return dict.fromkeys(keys, devices)

    def noncompliant_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        raise AssertionError("with rules, the inventory is read")

    def devices_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        page = (yield from send(self.get("/page", cursor=cursor or "start"))).json()
        return Page(_devices(page["rows"]), page.get("next"), page.get("total"))

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        return _devices((yield from send(self.get("/find"))).json())[0]


class Bare(Facts):
    capabilities: ClassVar = frozenset()


def _devices(rows: list[dict[str, Any]]) -> list[Device]:
    return [Device.model_validate(row) for row in rows]


def row(
    number: int = 1, *, state: str = "unknown", reasons: Sequence[str] = (), **facts: Any
) -> dict[str, Any]:
    """A managed device with this MAC address and a passcode, as the server gives it."""
    compliance = {"state": state, "reasons": reasons, "vendor_state": state}
    basic = {"id": str(number), "registered": True, "mac_addresses": [MAC], "passcode_set": True}
    return {**basic, "compliance": compliance, **facts}


class TestLookup:
    @pytest.mark.parametrize(
        ("state", "reasons", "passcode", "expected", "source"),
        [
            # The vendor has no verdict, or a good one: the rules decide.
            ("unknown", [], True, "compliant", "rules"),
            ("unknown", [], False, "noncompliant", "rules"),
            ("unknown", [], None, "unknown", "rules"),
            ("compliant", [], True, "compliant", "rules"),
            ("compliant", [], False, "noncompliant", "rules"),
            ("compliant", [], None, "unknown", "rules"),
            # The vendor says something against the device: that stands, and the rules may add to it.
            ("noncompliant", ["blocked"], True, "noncompliant", None),
            ("noncompliant", ["blocked"], False, "noncompliant", None),
            ("noncompliant", ["blocked"], None, "noncompliant", None),
            ("grace", ["old"], True, "grace", None),
            ("grace", ["old"], False, "noncompliant", "rules"),
            ("grace", ["old"], None, "unknown", "rules"),
            ("unknown", ["lost"], True, "unknown", None),
            ("unknown", ["lost"], False, "noncompliant", "rules"),
            ("unknown", ["lost"], None, "unknown", None),
        ],
    )
    def test_the_rules_decide_where_the_vendor_has_nothing_against_it(
        self, state: str, reasons: list[str], passcode: bool | None, expected: str, source: str | None
    ) -> None:
        given = Device.model_validate(row(state=state, reasons=reasons, passcode_set=passcode))
        found = verdict.ruled(given, Rules(passcode_set=True), datetime.now(UTC)).compliance
        assert (found.state, found.source, found.vendor_state) == (expected, source, state)
        broken = ["No passcode is set."] if passcode is False else []
        unknown = ["Not known: whether a passcode is set."] if passcode is None else []
        told = broken or (unknown if state != "noncompliant" else [])
        assert found.reasons == (*reasons, *told)

    @pytest.mark.parametrize(("passcode", "told"), [(True, None), (False, "Call us."), (None, "Call us.")])
    def test_a_remedy_is_for_those_who_need_it(self, passcode: bool | None, told: str | None) -> None:
        given = Device.model_validate(row(passcode_set=passcode))
        given = given.model_copy(update={"compliance": Compliance(remediation="Call us.")})
        found = verdict.ruled(given, Rules(passcode_set=True), datetime.now(UTC))
        assert found.compliance.remediation == told

    def test_every_way_to_a_record_is_judged(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = json.dumps([row()])
        client, good = tiny(kind=Facts, compliance=BY_RULES), Compliance(state=ComplianceState.COMPLIANT)
        ways: list[Callable[[], Device]] = [
            lambda: client.lookup(MAC),
            lambda: client.find(MAC)[0],
            lambda: next(iter(client.lookup_many([MAC]))).device,
            lambda: next(iter(client.lookup_many([MAC, "serial:S1"]))).device,
            lambda: client.reasons(Device(registered=True, compliance=good)),
        ]
        for state, passcode in (("compliant", True), ("noncompliant", False), ("unknown", None)):
            script.routes["/find"] = json.dumps([row(serial_number="S1", passcode_set=passcode)])
            assert [way().compliance.state for way in ways] == [state] * len(ways)

    @pytest.mark.parametrize(
        "facts",
        [
            {"mac_addresses": [], "serial_number": "S1"},
            {"unreadable": ["quarantined"]},
            {"unreadable": ["mac_addresses"], "mac_addresses": []},
            {"registered": False},
        ],
    )
    def test_rules_prove_nothing_about_whose_record_it_is(
        self, tiny: Connect, script: Script, facts: dict[str, Any]
    ) -> None:
        script.routes["/find"] = json.dumps([row(**facts)])
        client = tiny(kind=Facts, compliance=BY_RULES)
        try:
            found = client.lookup(MAC)
        except FilterIgnoredError:
            return
        assert found.compliance.state == "unknown"
        assert found.compliance.reasons

    def test_reasons_never_make_a_verdict_milder(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = json.dumps([row(state="compliant", reasons=["all well"])])
        client = tiny(kind=Facts)
        refused = Compliance(state=ComplianceState.NONCOMPLIANT, reasons=("old",), source="rules")
        found = client.reasons(Device(registered=True, id="1", compliance=refused)).compliance
        assert (found.state, found.reasons, found.source) == ("noncompliant", ("all well", "old"), "rules")
        assert client.reasons(Device(registered=True, id="1", compliance=Compliance())).compliance.state == (
            "unknown"
        )

    def test_without_rules_nothing_changes(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = json.dumps([row(state="compliant", passcode_set=False)])
        for compliance in (None, {"source": "vendor"}):
            found = tiny(kind=Facts, compliance=compliance).lookup(MAC)
            assert found.compliance == Compliance(state=ComplianceState.COMPLIANT, vendor_state="compliant")

    @given(st.sampled_from(STATES), st.booleans(), st.sampled_from([True, False, None]))
    def test_nothing_against_a_device_is_lost(
        self, state: str, has_reasons: bool, passcode: bool | None
    ) -> None:
        reasons = ["why"] if has_reasons else []
        given = Device.model_validate(row(state=state, reasons=reasons, passcode_set=passcode))
        for change in (verdict.ruled, verdict.tightened):
            found = change(given, Rules(passcode_set=True), datetime.now(UTC)).compliance
            if state in {"noncompliant", "grace"} or change is verdict.tightened:
                assert found.state.severity >= given.compliance.state.severity
            assert found.state != "compliant" or passcode


class TestClock:
    @pytest.fixture
    def origin(self, script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A server that leaves the Date to the test."""
        monkeypatch.setattr(uvicorn, "Config", partial(uvicorn.Config, date_header=False))
        with serve(script) as running:
            yield running.origin

    def answer(self, date: str | None) -> Response:
        return Response(200, {"date": date} if date else {}, b"", "https://a.example")

    def test_it_goes_on_from_the_last_date(self, monkeypatch: pytest.MonkeyPatch) -> None:
        here = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: here[0])
        clock = Clock()
        clock.hear(self.answer("Sun, 01 Mar 2026 12:00:00 GMT"))
        clock.hear(self.answer(None))
        here[0] += 90
        assert clock.now() == datetime(2026, 3, 1, 12, 1, 30, tzinfo=UTC)

    @pytest.mark.parametrize("date", [None, "yesterday", "Fri, 31 Dec 9999 23:59:59 GMT", ""])
    def test_without_one_it_is_the_local_one(self, date: str | None) -> None:
        clock = Clock()
        clock.hear(self.answer(date))
        assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)

    def test_a_check_in_counts_by_the_servers_clock(self, tiny: Connect, script: Script) -> None:
        there = datetime(2020, 5, 1, 12, tzinfo=UTC)
        seen = [(there - timedelta(days=days)).isoformat() for days in (1, 31, -3)]
        compliance = {"source": "rules", "rules": {"max_days_since_check_in": 30}}
        states = []
        for moment in seen:
            client = tiny(kind=Facts, compliance=compliance)
            body = json.dumps([row(last_check_in=moment)])
            script.routes["/find"] = Answer(body, headers={"date": format_datetime(there, usegmt=True)})
            states.append(client.lookup(MAC).compliance.state)
            assert abs(client.wrapped.server_time - there) < timedelta(minutes=1)
        assert states == ["compliant", "noncompliant", "unknown"]

    def test_a_refusal_may_come_from_another_clock(self, tiny: Connect, script: Script) -> None:
        client = tiny(kind=Facts, compliance=BY_RULES, policy={"attempts": 1})
        script.routes["/find"] = Answer("", 502, headers={"date": "Fri, 01 May 2020 12:00:00 GMT"})
        with pytest.raises(ServerError):
            client.lookup(MAC)
        assert client.wrapped.server_time > datetime(2021, 1, 1, tzinfo=UTC)


class TestList:
    def pages(self, script: Script, *pages: Any) -> None:
        def page(request: Any) -> Any:
            cursor = request.query_params["cursor"]
            number = 0 if cursor == "start" else int(cursor)
            found = pages[number]
            return found if isinstance(found, Answer) else json.dumps(found)

        script.routes["/page"] = page

    def test_it_is_the_inventory_without_those_who_comply(self, tiny: Connect, script: Script) -> None:
        self.pages(
            script,
            {"rows": [row(1), row(2, passcode_set=False), row(3, passcode_set=None)], "next": "1"},
            {
                "rows": [row(4, registered=False), row(5, state="noncompliant")],
                "next": "2",
            },
            {"rows": [row(6, state="grace"), row(2, passcode_set=False)], "next": "3"},
            {"rows": [row(7, passcode_set=False, registered=False)], "next": "4"},
            {
                "rows": [row(8, passcode_set=False, registered=False, unreadable=["managed"])],
                "total": 8,
            },
        )
        client = tiny(kind=Facts, compliance=BY_RULES)
        listed = [("2", "tiny"), ("5", "tiny"), ("8", "tiny")]
        assert [(found.id, found.server) for found in client.noncompliant()] == listed
        states = {found.id: found.compliance.state for found in client.devices()}
        assert list(states.values()) == [
            *("compliant", "noncompliant", "unknown", "unknown", "noncompliant", "grace"),
            "noncompliant",  # which left, and is in no list
            "noncompliant",  # of which nobody knows whether it left
        ]

    @pytest.mark.parametrize(
        ("last", "why"),
        [
            ({"rows": [], "total": 9}, "counts 9 devices, only 3 came"),
            ({"rows": [], "next": "1"}, "repeats a page"),
            (Answer("", 500), "broke off after 1 devices"),
        ],
    )
    def test_it_is_complete_or_an_error(self, tiny: Connect, script: Script, last: Any, why: str) -> None:
        self.pages(script, {"rows": [row(1), row(2, passcode_set=False), row(3)], "next": "1"}, last)
        client = tiny(kind=Facts, compliance=BY_RULES, policy={"attempts": 1})
        listed: list[Device] = []
        with pytest.raises(IncompleteListError, match=why) as caught:
            listed.extend(client.noncompliant())
        assert [found.id for found in listed] == ["2"]
        assert caught.value.collected == 1

    def test_it_needs_an_inventory(self, tiny: Connect, script: Script) -> None:
        client = tiny(kind=Bare, compliance=BY_RULES)
        with pytest.raises(UnsupportedOperationError, match="no inventory") as caught:
            list(client.noncompliant())
        assert (caught.value.server, script.requests) == ("tiny", [])

    @pytest.mark.parametrize(
        "facts",
        [{"passcode_set": None}, {"passcode_set": None, "state": "compliant"}],
    )
    def test_rules_that_say_nothing_about_anybody_are_an_error(
        self, tiny: Connect, script: Script, facts: dict[str, Any]
    ) -> None:
        client = tiny(kind=Facts, compliance=BY_RULES)
        gone = row(9, registered=False)
        self.pages(script, {"rows": [row(1, **facts), gone], "next": "1"}, {"rows": [row(2, **facts)]})
        client.heartbeat()  # which does not read on
        with pytest.raises(ConfigurationError, match="any of the 2 managed devices") as caught:
            list(client.noncompliant())
        assert (caught.value.server, caught.value.operation) == ("tiny", "noncompliant")
        assert caught.value.hint
        self.pages(script, {"rows": [row(1, **facts), gone]})
        with pytest.raises(ConfigurationError, match="any of the 1 managed devices") as caught:
            client.heartbeat()
        assert (caught.value.server, caught.value.operation) == ("tiny", "heartbeat")

    def test_what_was_handed_out_before_makes_it_an_incomplete_list(
        self, tiny: Connect, script: Script
    ) -> None:
        guilty = row(1, state="noncompliant", passcode_set=None)
        self.pages(script, {"rows": [guilty, row(2, passcode_set=None)]})
        with pytest.raises(IncompleteListError, match="say nothing about any of the 2") as caught:
            list(tiny(kind=Facts, compliance=BY_RULES).noncompliant())
        assert caught.value.collected == 1

    @pytest.mark.parametrize("last", [{"rows": []}, {"rows": [row(registered=False)]}])
    def test_a_server_that_manages_nobody_has_nobody_to_judge(
        self, tiny: Connect, script: Script, last: dict[str, Any]
    ) -> None:
        self.pages(script, last)
        client = tiny(kind=Facts, compliance=BY_RULES)
        client.heartbeat()
        assert list(client.noncompliant()) == []

    @pytest.mark.parametrize("answer", [Answer("", 403), Answer("", 500), Answer("<html>")])
    def test_a_heartbeat_lives_without_the_list(self, tiny: Connect, script: Script, answer: Answer) -> None:
        script.routes["/page"] = answer
        client = tiny(kind=Facts, compliance=BY_RULES, policy={"attempts": 1})
        assert client.heartbeat().vendor == "Tiny"
        assert tiny(kind=Bare, compliance=BY_RULES).heartbeat().vendor == "Tiny"


@pytest.fixture
def federation(origin: str, script: Script, mdm_mode: str) -> Iterator[Modal]:
    """Two servers with everybody's passcode wanted, of which the second has nobody at first."""
    settings = [TinySettings(base_url=origin), TinySettings(base_url=f"{origin}/b")]
    clients = [
        open_client(kind(one), mdm_mode, server=name)
        for kind, one, name in zip((Facts, Facts), settings, ("a", "b"), strict=True)
    ]
    script.routes |= {"/b/info": "", "/b/find": "[]", "/b/page": '{"rows": []}'}
    federation = open_federation(clients, mdm_mode, rules=Rules(passcode_set=True))
    yield federation
    federation.close()
    for client in clients:
        client.close()


class TestFederation:
    @pytest.mark.parametrize(
        ("state", "passcode", "decision"),
        [
            ("compliant", True, Decision.COMPLIANT),
            ("compliant", False, Decision.NONCOMPLIANT),
            ("compliant", None, Decision.UNKNOWN),
            ("grace", True, Decision.GRACE),
            ("grace", None, Decision.UNKNOWN),
            ("unknown", True, Decision.UNKNOWN),
            ("noncompliant", True, Decision.NONCOMPLIANT),
        ],
    )
    def test_they_only_make_a_verdict_stricter(
        self, federation: Modal, script: Script, state: str, passcode: bool | None, decision: Decision
    ) -> None:
        script.routes["/find"] = json.dumps([row(state=state, passcode_set=passcode)])
        answer = federation.lookup(MAC)
        assert decide(answer) is decision
        assert answer.outcomes[0].device.compliance.state == state
        assert next(iter(federation.lookup_many([MAC]))).device == answer.device
        if passcode is False:
            assert answer.device.compliance.reasons == ("No passcode is set.",)

    @pytest.mark.parametrize(
        ("first", "second", "decision"),
        [
            (True, False, Decision.NONCOMPLIANT),
            (False, True, Decision.NONCOMPLIANT),
            (True, None, Decision.COMPLIANT),
            (True, True, Decision.COMPLIANT),
            (None, True, Decision.UNKNOWN),
        ],
    )
    def test_a_rule_that_any_server_knows_to_be_broken_counts(
        self, federation: Modal, script: Script, first: bool | None, second: bool | None, decision: Decision
    ) -> None:
        for path, passcode in (("/find", first), ("/b/find", second)):
            script.routes[path] = json.dumps([row(state="compliant", passcode_set=passcode)])
        answer = federation.lookup(MAC)
        assert decide(answer) is decision
        assert ("No passcode is set." in answer.device.compliance.reasons) == (False in {first, second})
        left = row(state="compliant", passcode_set=False, registered=False)
        script.routes["/b/find"] = json.dumps([left])
        assert (decide(federation.lookup(MAC)) is Decision.COMPLIANT) == bool(first)

    def test_the_list_names_those_who_break_them(self, federation: Modal, script: Script) -> None:
        script.routes["/page"] = json.dumps(
            {
                "rows": [
                    row(1, state="compliant"),
                    row(2, state="compliant", passcode_set=False),
                    row(3, state="noncompliant"),
                    row(4, registered=False, passcode_set=False),
                ]
            }
        )
        assert [(found.server, found.id) for found in federation.noncompliant()] == [("a", "2"), ("a", "3")]

    def test_a_server_without_an_inventory_leaves_the_list_incomplete(
        self, origin: str, script: Script, mdm_mode: str
    ) -> None:
        client = open_client(Bare(TinySettings(base_url=origin)), mdm_mode, server="a")
        federation = open_federation([client], mdm_mode, rules=Rules(passcode_set=True))
        with pytest.raises(IncompleteListError) as caught:
            list(federation.noncompliant())
        assert [type(error) for error in caught.value.failures] == [UnsupportedOperationError]
        federation.close()
        client.close()


class TestConfig:
    SERVER = "[servers.a]\nprovider = 'ise'\nbase_url = 'https://a.example'\nusername = 'u'\npassword = 'p'\n"

    def test_rules_stand_in_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "mdm.toml"
        path.write_text(
            self.SERVER
            + "[servers.a.compliance]\nsource = 'rules'\n[servers.a.compliance.rules]\n"
            + "minimum_os = { macOS = '14.7' }\ndisk_encrypted = ['macos']\n"
            + "[federation.rules]\nnot_jailbroken = true\n"
        )
        path.chmod(0o600)
        config = load_config(path)
        assert config.federation.rules == Rules(not_jailbroken=True)
        assert verdict.rules_of(config.provider("a").settings) == Rules(
            minimum_os={"macOS": "14.7"}, disk_encrypted=("macOS",)
        )

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[servers.a.compliance]\nsource = 'rules'", "belong together"),
            ("[servers.a.compliance]\nsource = 'ruls'", "compliance.source: Input should be"),
            (
                "[servers.a.compliance]\nsource = 'rules'\nrules = { minimun_os = { macOS = '14' } }",
                "compliance.rules.minimun_os is not known, is compliance.rules.minimum_os meant",
            ),
            (
                "[servers.a.compliance]\nsource = 'rules'\nrules = { minimum_os = { Mac = '14' } }",
                "the systems are: macOS, iOS",
            ),
            (
                "[servers.a.compliance]\nsource = 'rules'\nrules = { disk_encrypted = 'macOS' }",
                "compliance.rules.disk_encrypted: true, or a list of systems",
            ),
            ("minimum_os = { macOS = '14' }", "is compliance.rules.minimum_os meant"),
            ("[federation.rules]\npasscode = true", "is federation.rules.passcode_set meant"),
            ("[federation.rules]", "at least one rule is wanted"),
        ],
    )
    def test_a_typing_error_is_told_with_its_place(self, tmp_path: Path, text: str, words: str) -> None:
        path = tmp_path / "mdm.toml"
        path.write_text(f"{self.SERVER}{text}\n")
        path.chmod(0o600)
        with pytest.raises(ConfigurationError) as caught:
            load_config(path).provider("a")
        assert words in caught.value.message
        assert len(caught.value.message) < 400

    def test_a_setting_that_moved_is_found_by_its_name(self) -> None:
        with pytest.raises(ConfigurationError, match=r"is policy\.attempts meant"):
            checked(TinySettings, {"base_url": "https://a.example", "atempts": 1}, "tiny")
