"""What a slow, dead or broken server costs the others, and which answers need not wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    ConfigurationError,
    DeadlineExceededError,
    IncompleteListError,
    ServerUnavailableError,
)
from mdmsdk.federation import AsyncMdmFederation, MdmFederation, Status, decide
from mdmsdk.federation.lists import Known
from mdmsdk.identifiers import Mac
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.settings import Policy, Rules
from mdmsdk.testing import FakeMdmFederation
from tests.federation.conftest import MAC, record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.federation.conftest import Servers

SLOW = 3.0


def elapsed(function: Any, *args: Any, **options: Any) -> tuple[float, Any]:
    began = time.monotonic()
    result = function(*args, **options)
    return time.monotonic() - began, result


class TestPatience:
    def test_a_slow_server_costs_a_lookup_so_long_and_no_longer(self, servers: Servers) -> None:
        servers.knows("a", record())
        servers.knows("b", wait=SLOW)
        federation = servers.open("a", "b", patience=0.2)
        federation.heartbeat()
        spent, answer = elapsed(federation.lookup, MAC)
        assert spent < SLOW
        assert (answer.found, answer.complete, decide(answer)) == (True, False, "no_answer")
        late = answer.outcomes[1]
        assert (late.status, type(late.error), late.error.server) == ("error", DeadlineExceededError, "b")
        assert "patience" in late.error.hint

    def test_nobody_is_left_before_somebody_has_answered(self, servers: Servers) -> None:
        servers.knows("a", record(), wait=1.2)
        servers.fails("b")
        servers.knows("c", wait=1.25)
        answer = servers.open("a", "b", "c", patience=1.0).lookup(MAC)
        assert [one.status for one in answer.outcomes] == ["found", "error", "not_found"]

    def test_who_is_left_again_and_again_is_left_alone(self, servers: Servers) -> None:
        servers.knows("a", record())
        servers.knows("b", wait=SLOW)
        federation = servers.open("a", "b", patience=0.1, policy=Policy(attempts=1, breaker_failures=2))
        federation.heartbeat()
        errors = [type(federation.lookup(MAC).outcomes[1].error) for _ in range(3)]
        assert errors == [DeadlineExceededError, DeadlineExceededError, ServerUnavailableError]

    def test_a_lookup_may_have_a_deadline_of_its_own(self, servers: Servers) -> None:
        servers.knows("a", record(), wait=SLOW)
        federation = servers.open("a")
        federation.heartbeat()
        spent, answer = elapsed(federation.lookup, MAC, deadline=0.2)
        assert spent < SLOW
        assert decide(answer) == "no_answer"

    def test_of_many_keys_a_server_that_goes_on_answering_is_waited_for(self, servers: Servers) -> None:
        servers.knows("a")
        servers.knows("b", wait=0.25)
        federation = servers.open("a", "b", patience=2.0)
        macs = [f"00:1B:44:11:00:{number:02X}" for number in range(80)]  # takes more than its patience
        answers = list(federation.lookup_many(macs))
        assert [answer.key for answer in answers] == [Mac(mac) for mac in macs]
        assert all(answer.complete for answer in answers)

    def test_of_many_keys_one_that_is_silent_is_not(self, servers: Servers) -> None:
        servers.knows("a")
        servers.knows("b", wait=SLOW)
        federation = servers.open("a", "b", patience=0.8)
        federation.heartbeat()
        spent, answers = elapsed(lambda: list(federation.lookup_many([MAC, "serial:S1"])))
        assert spent < SLOW
        assert [[one.status for one in answer.outcomes] for answer in answers] == [["not_found", "error"]] * 2


class TestEarly:
    def test_a_managed_record_that_does_not_comply_ends_the_question(self, servers: Servers) -> None:
        servers.knows("a", record(state="noncompliant"))
        servers.knows("b", record(), wait=SLOW)
        federation = servers.open("a", "b")
        federation.heartbeat()
        spent, answer = elapsed(federation.lookup, MAC, early=True)
        assert spent < SLOW
        assert (decide(answer), answer.complete) == ("noncompliant", False)

    @pytest.mark.parametrize(
        ("row", "options"),
        [
            (record(), {}),
            (record(state="unknown"), {}),
            (record(state="noncompliant", registered=False), {}),
            (record(state="noncompliant"), {"merge": "newest"}),
        ],
    )
    def test_nothing_else_does(self, servers: Servers, row: dict[str, Any], options: dict[str, Any]) -> None:
        servers.knows("a", row)
        servers.knows("b", wait=0.2)
        answer = servers.open("a", "b", **options).lookup(MAC, early=True)
        assert answer.complete


class TestChoice:
    def test_servers_can_be_chosen_for_a_call(self, servers: Servers) -> None:
        servers.knows("a", record())
        servers.knows("b", record(state="noncompliant"))
        federation = servers.open("a", "b")
        answer = federation.lookup(MAC, servers=["a"])
        assert ([one.server for one in answer.outcomes], decide(answer)) == (["a"], "compliant")
        assert [one.server for one in federation.find(MAC, servers=["b"])] == ["b"]
        assert [len(one.outcomes) for one in federation.lookup_many([MAC], servers=["b"])] == [1]
        assert not servers.asked("b") or servers.asked("a") == ["mac"]

    @pytest.mark.parametrize(("names", "words"), [(["aa"], "is a meant"), ([], "no server is chosen")])
    def test_a_wrong_name_is_told_with_the_nearest(
        self, servers: Servers, names: list[str], words: str
    ) -> None:
        federation = servers.open("a", "b")
        with pytest.raises(ConfigurationError, match=words):
            federation.lookup(MAC, servers=names)


class TestFind:
    def test_all_records_of_all_servers(self, servers: Servers) -> None:
        servers.knows("a", record(id="1"), record(id="2"))
        servers.knows("b", record(id="3"))
        found = servers.open("a", "b").find(MAC)
        assert [(one.server, one.id) for one in found] == [("a", "1"), ("a", "2"), ("b", "3")]

    def test_a_server_that_fails_is_told(self, servers: Servers) -> None:
        servers.knows("a", record())
        servers.fails("b")
        with pytest.raises(IncompleteListError) as caught:
            servers.open("a", "b").find(MAC)
        assert [error.server for error in caught.value.failures] == ["b"]


def device(server: str, **facts: Any) -> Device:
    return Device(server=server, registered=True, **facts)


class TestLists:
    def test_a_device_comes_once_unless_its_records_contradict_each_other(self) -> None:
        known = Known()
        assert known.add(device("a", serial_number="C02XK0AAJG5H", udid="UDID-1"))
        assert not known.add(device("b", serial_number="c02xk0aajg5h"))
        assert known.add(device("a", serial_number="C02XK0AAJG5H"))  # a server's own rows are its own affair
        assert known.add(device("b", serial_number="C02XK0AAJG5H", udid="UDID-2"))
        assert not known.add(device("c", udid="UDID-2", imei="353778083456461"))
        assert known.add(device("b", mac_addresses=[MAC]))
        assert known.add(device("a", mac_addresses=[MAC]))  # of a dock, perhaps

    def test_a_record_that_shows_little_does_not_stand_for_two_devices(self) -> None:
        known = Known()
        assert known.add(device("a", serial_number="C02XK0AAJG5H"))
        assert not known.add(device("b", serial_number="C02XK0AAJG5H", udid="UDID-1"))
        assert known.add(device("b", serial_number="C02XK0AAJG5H", udid="UDID-2"))
        assert known.add(device("c", serial_number="C02XK0AAJG5H", udid="UDID-3"))
        assert known.add(device("a", serial_number="C02XK0AAJG5J", udid="UDID-4"))
        assert not known.add(device("b", serial_number="C02XK0AAJG5J", imei="353778083456461"))
        assert known.add(device("b", udid="UDID-4", imei="001001000000019"))

    def test_the_lists_are_read_side_by_side(self, servers: Servers) -> None:
        servers.lists("a", [1], [2], [3])
        servers.lists("b", [4], [5])
        federation = servers.open("a", "b")
        expected = [("a", "1"), ("b", "4"), ("a", "2"), ("b", "5"), ("a", "3")]
        assert [(one.server, one.id) for one in federation.noncompliant()] == expected
        assert [(one.server, one.id) for one in federation.devices()] == expected
        assert [one.server for one in federation.devices(servers=["b"])] == ["b", "b"]


def test_the_rules_count_wherever_devices_are_given() -> None:
    passed = Device(
        registered=True,
        id="1",
        mac_addresses=(Mac(MAC),),
        passcode_set=False,
        compliance=Compliance(state=ComplianceState.COMPLIANT),
    )
    with FakeMdmFederation({"a": [passed]}, rules=Rules(passcode_set=True)) as federation:
        given = [federation.lookup(MAC).device, *federation.find(MAC), *federation.devices()]
        assert [one and one.compliance.state for one in given] == ["noncompliant"] * 3
    with FakeMdmFederation({"a": [passed]}) as federation:
        assert next(iter(federation.devices())).compliance.state == "compliant"


CONFIG = """
[servers.good]
provider = "ise"
base_url = "https://good.example"
username = "nac"
password = "x"
[servers.bad]
{bad}
[federation]
order = ["bad", "good"]
"""


class TestBroken:
    @pytest.mark.parametrize(
        "bad",
        [
            'provider = "nosuch"',
            'base_url = "https://x.example"',
            'provider = "ise"\nbase_url = "https://x.example"\nusername = "nac"',
            'provider = "ise"\nbase_url = "https://x.example"\nusername = "n"\npassword = { env = "NO" }',
            'provider = "ise"\nbase_url = "https://x.example"\nusername = "n"\npassword = "x"\nlimits = 7',
        ],
    )
    @pytest.mark.parametrize("kind", [MdmFederation, AsyncMdmFederation])
    def test_a_server_that_cannot_be_asked_is_a_failed_outcome(
        self, bad: str, kind: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "mdm.toml"
        path.write_text(CONFIG.format(bad=bad))
        federation = kind.from_config(path)
        assert list(federation.clients) == ["good"]
        assert list(federation.broken) == ["bad"]
        outcome = federation.broken["bad"].outcome()
        assert (outcome.status, outcome.judges) == (Status.ERROR, True)
        assert outcome.error.hint
        with pytest.raises(ConfigurationError):
            kind.from_config(path, servers=["bad"])

    def test_the_others_are_asked(self, servers: Servers, tmp_path: Path) -> None:
        servers.knows("a", record())
        federation = servers.open("a")
        path = tmp_path / "mdm.toml"
        path.write_text(CONFIG.format(bad='provider = "nosuch"\njudges = false'))
        inner: Any = getattr(federation.wrapped, "_inner", federation.wrapped)
        inner.broken.update(MdmFederation.from_config(path).broken)
        inner._servers.order = ("bad", "a")
        answer = federation.lookup(MAC)
        assert [one.status for one in answer.outcomes] == ["error", "found"]
        assert decide(answer) == "compliant"  # the setting says that nobody depends on the other
        assert [beat.ok for beat in federation.heartbeat()] == [False, True]
        with pytest.raises(IncompleteListError):
            list(federation.devices())


def test_a_policy_for_all(servers: Servers) -> None:
    servers.knows("a", record(), wait=SLOW)
    federation = servers.open("a")
    federation.heartbeat()
    spent, answer = elapsed(federation.with_policy(deadline=0.2).lookup, MAC)
    assert spent < SLOW
    assert decide(answer) == "no_answer"
    with pytest.raises(ConfigurationError, match="policy"):
        federation.with_policy(dead=1)


def test_an_answer_says_when(servers: Servers) -> None:
    servers.knows("a", record())
    outcome = servers.open("a").lookup(MAC).outcomes[0]
    assert 0 <= outcome.age < 60
    assert outcome.model_dump(mode="json")["answered_at"].endswith("Z")
