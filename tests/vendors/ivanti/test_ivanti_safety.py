"""What may never become a pass: facts that cannot be read, and members that say two things."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mdmsdk.client.verdict import pick, settle
from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Imei, Udid
from mdmsdk.models import Device
from mdmsdk.registry import load_simulator
from mdmsdk.simulator import Fleet, RunningSimulator, serve
from mdmsdk.testing import Modal
from mdmsdk.wire import read_json
from mdmsdk_ivanti.cloud.records import CloudRecord
from mdmsdk_ivanti.core.records import CoreRecord

Connect = Callable[..., Modal]
Fields = dict[str, tuple[str, ...]]

UNREADABLE: tuple[Any, ...] = (
    2,
    -1,
    1.5,
    "maybe",
    "J",
    "unknown",
    [True],
    [],
    [False],
    {"a": 1},
    {},
    {"value": False},
)
ODD: tuple[Any, ...] = ({"a": 1}, [{}], "maybe")
FLAGS = (1, "1", "YES", "y", " True ", "TRUE", True)
"""Readable: the device is quarantined, blocked, retired …"""

VETOES: Fields = {
    "ivanti-core": (
        "common.quarantined",
        "common.blocked",
        "common.retired",
        "common.device_is_compromised",
    ),
    "ivanti-cloud": ("quarantined", "blocked", "jailbroken", "lostModeEnabled"),
}
WORDS: Fields = {
    "ivanti-core": ("common.status", "common.security_state"),
    "ivanti-cloud": ("registrationState",),
}
LISTS: Fields = {
    "ivanti-core": (
        "common.noncompliance_reasons",
        "common.quarantined_reasons",
        "common.blocked_reasons",
    ),
    "ivanti-cloud": ("violatedPolicies",),
}
VERDICT = {"ivanti-core": "common.compliant", "ivanti-cloud": "complianceState"}
GOOD: dict[str, dict[str, Any]] = {
    "ivanti-core": {
        "common.id": 1,
        "common.uuid": "g-1",
        "common.status": "ACTIVE",
        "common.compliant": True,
        "common.security_state": "Ok",
    },
    "ivanti-cloud": {"id": 1, "guid": "g-1", "registrationState": "ACTIVE", "complianceState": True},
}
READ: dict[str, Callable[..., Device]] = {
    "ivanti-core": lambda row: CoreRecord(row).device(),
    "ivanti-cloud": lambda row: CloudRecord(row).device(),
}


def state(name: str, **change: Any) -> str:
    return settle(READ[name]({**GOOD[name], **change}), "s", name).compliance.state


def fields(kinds: Fields) -> list[tuple[str, str]]:
    return [(name, field) for name, found in kinds.items() for field in found]


@pytest.mark.parametrize(("name", "field"), fields(VETOES))
def test_a_veto_that_cannot_be_read_is_no_pass(name: str, field: str) -> None:
    assert state(name) == "compliant"
    assert {repr(value): state(name, **{field: value}) for value in UNREADABLE} == {
        repr(value): "unknown" for value in UNREADABLE
    }
    wrong = "noncompliant" if field.endswith("quarantined") else "unknown"
    assert {state(name, **{field: value}) for value in FLAGS} == {wrong}
    assert {state(name, **{field: value}) for value in (None, "", "null", False, "No", 0, "0")} == {
        "compliant"
    }


@pytest.mark.parametrize(("name", "field"), fields(WORDS))
def test_a_word_that_cannot_be_read_is_no_pass(name: str, field: str) -> None:
    odd: tuple[Any, ...] = ([], ["Ok"], ["ACTIVE"], {}, {"a": 1}, {"state": "Ok"}, 1.5, True, False, "maybe")
    for value in odd:
        assert state(name, **{field: value}) != "compliant", value


@pytest.mark.parametrize("name", READ)
def test_a_record_is_passed_over_only_if_it_says_that_its_device_left(name: str) -> None:
    member = {"ivanti-core": "common.status", "ivanti-cloud": "registrationState"}[name]
    good, reader = GOOD[name], READ[name]
    unclear: tuple[Any, ...] = (None, "", "null", "maybe", ["RETIRED"], {}, False, 7)
    bad = good | {VERDICT[name]: False}
    silent = {field: value for field, value in bad.items() if field != member}

    def verdict(other: dict[str, Any]) -> str:
        device = pick([reader(good), reader(other)])
        assert device is not None
        return device.compliance.state

    for value in unclear:
        assert verdict(silent | {member: value}) == "noncompliant", value
    assert verdict(silent) == "noncompliant"
    assert {verdict(bad | {member: word}) for word in ("RETIRED", "retire_pending", "WIPED")} == {"compliant"}


@pytest.mark.parametrize(("name", "field"), fields(LISTS))
def test_reasons_that_cannot_be_read_are_no_pass(name: str, field: str) -> None:
    odd: tuple[Any, ...] = ({}, {"a": 1}, 1, True, [1], [{}], [None, {"name": "x"}], "OS_VERSION", ["x"])
    for value in odd:
        assert state(name, **{field: value}) == "unknown", value
    assert {state(name, **{field: value}) for value in (None, [], "", [None], [""])} == {"compliant"}


@pytest.mark.parametrize("name", READ)
def test_only_the_word_is_a_pass(name: str) -> None:
    others: tuple[Any, ...] = (None, "", 1, "1", "yes", "Y")
    for value in (*UNREADABLE, *others):
        assert state(name, **{VERDICT[name]: value}) == "unknown", value
    assert state(name, **{VERDICT[name]: " TRUE "}) == "compliant"


# --- a member twice ---


@pytest.mark.parametrize(
    ("name", "twice"),
    [
        ("ivanti-core", {"common": {"compliant": True}}),
        ("ivanti-core", {"common": {"Compliant": False}}),
        ("ivanti-core", {"Common.Compliant": False}),
        ("ivanti-core", {"common_compliant": False}),
        ("ivanti-core", {"common.quarantined": True, "common": {"quarantined": False}}),
        ("ivanti-cloud", {"ComplianceState": False}),
        ("ivanti-cloud", {"compliance_state": True}),
        ("ivanti-cloud", {"quarantined": False, "QUARANTINED": True}),
    ],
)
def test_a_member_in_two_spellings_is_no_record(name: str, twice: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponseError, match="twice"):
        READ[name]({**GOOD[name], **twice})


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("second", ["true", "false"])
def test_a_member_twice_is_no_answer(name: str, second: str) -> None:
    record = json.dumps(GOOD[name])
    for first in ("true", "false"):
        text = f'{record[:-1]}, "quarantined": {first}, "quarantined": {second}}}'
        with pytest.raises(MalformedResponseError):
            read_json(text, "a test")


def test_records_are_flat() -> None:
    nested: tuple[dict[str, Any], ...] = ({"common": {"status": "ACTIVE", "compliant": True}}, {"common": {}})
    for row in nested:
        with pytest.raises(MalformedResponseError, match="twice"):
            READ["ivanti-core"](row)


# --- through the clients ---


@pytest.fixture(scope="module", params=READ)
def running(request: pytest.FixtureRequest) -> Iterator[RunningSimulator[Any]]:
    with serve(load_simulator(request.param)(Fleet.generate(60, seed=3))) as running:
        yield running


def test_no_client_passes_what_it_cannot_read(
    running: RunningSimulator[Any], mdm_connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator, name = running.simulator, running.settings["provider"]
    device = next(
        device for device in simulator.fleet if device.registered and simulator.verdict(device) == "compliant"
    )
    plain = simulator.record
    change: dict[str, Any] = {}
    monkeypatch.setattr(simulator, "record", lambda other: plain(other) | (change if other is device else {}))
    client = mdm_connect(**running.settings, policy={"timeout": 20.0, "deadline": 50.0})
    simulator._cache = None
    assert client.lookup(f"guid:{device.guid}").compliance.state == "compliant"
    for field in (*VETOES[name], *WORDS[name], *LISTS[name], VERDICT[name]):
        for value in ODD:
            change.clear()
            change[field] = value
            simulator._cache = None
            assert client.lookup(f"guid:{device.guid}").compliance.state != "compliant", (field, value)
    # A noncompliant list that holds such a row does not end because of it.
    change.clear()
    change[VETOES[name][0]] = {"a": 1}
    simulator._cache = None
    listed = {int(found.id) for found in client.noncompliant()}
    assert listed == simulator.noncompliant()
    simulator._cache = None


# Each device is asked for by every text that people and certificates hold of it.
def test_clients_find_a_device_by_every_spelling(
    running: RunningSimulator[Any], mdm_connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator, name = running.simulator, running.settings["provider"]
    phone = next(device for device in simulator.fleet if device.imei and device.platform == "iOS")
    body, imei = phone.imei[:14], Imei(phone.imei)
    kept = [imei.spellings[0], body]
    if name == "ivanti-core":  # Neurons for MDM can be asked for whole values alone, without blanks
        kept += [f"{body}07", f"{body[:2]} {body[2:8]} {body[8:]} 1"]
    field = {"ivanti-core": "common.imei", "ivanti-cloud": "imei"}[name]
    udid_field = {"ivanti-core": "ios.iPhone UDID", "ivanti-cloud": "udid"}[name]
    plain = simulator.record
    change: dict[str, Any] = {}
    monkeypatch.setattr(simulator, "record", lambda other: plain(other) | (change if other is phone else {}))
    client = mdm_connect(**running.settings, policy={"timeout": 20.0, "deadline": 50.0})
    for text in kept:
        change[field] = text
        simulator._cache = None
        for asked in (body, imei.spellings[0], f"{body}99", f"{body[:2]} {body[2:8]} {body[8:]} 1"):
            assert client.lookup(Imei(asked)).id == str(phone.id), (text, asked)
    udid = "00008120-000A11223344001E"
    for text in (udid, udid.replace("-", ""), udid.lower()):
        change[udid_field] = text
        simulator._cache = None
        for asked in (udid, udid.lower(), udid.replace("-", "")):
            assert client.lookup(Udid(asked)).id == str(phone.id), (text, asked)
    simulator._cache = None
