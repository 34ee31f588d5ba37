"""Compliance by membership, and what it shares with tags and rules: verdicts from reasons, and coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    ConfigurationError,
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    VersionMismatchError,
)
from mdmsdk.evidence import check_meant, conclude, offends
from mdmsdk.flow import attempt, done, newest
from mdmsdk.identifiers import Guid, Imei, Serial
from mdmsdk.membership import Judged, Membership, Named
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.rows import Row
from mdmsdk.scopes import choose
from mdmsdk.testing import play

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.evidence import Meant
    from mdmsdk.flow import Flow

GROUPS = {"laptops": [Named("7", "Good"), Named("8", "7")], "phones": [Named("9", "Fine", site="north")]}


class Groups(Membership[Judged]):
    """Groups whose members are known."""

    word = "group"

    def __init__(self, members: Mapping[str, Any], wanted: Mapping[str, str | int], *, good: bool) -> None:
        self.inside, self.wanted, self.members_comply = members, wanted, good

    def catalogue(self, part: str) -> Flow[Sequence[Named]]:
        return done(GROUPS[part])

    def members(self, part: str, group: Named, records: Sequence[Judged]) -> Flow[Any]:
        assert {record.part for record in records} == {part}
        return done(self.inside)


def record(
    number: str = "1", *, part: str = "laptops", evaluated: bool | None = True, site: str | None = None
) -> Judged:
    return Judged(part, number, Device(id=number, registered=True), evaluated, site)


def verdicts(source: Groups, *records: Judged) -> list[Any]:
    return list(play(source.judge(play(source.resolve(), []), records), []))


@pytest.mark.parametrize(
    ("good", "member", "evaluated", "state"),
    [
        (True, True, True, "compliant"),
        (True, False, True, "noncompliant"),
        (False, True, True, "noncompliant"),
        (False, False, True, "compliant"),
        *((good, member, False, "unknown") for good in (True, False) for member in (True, False)),
        (True, True, None, "unknown"),
        (False, False, None, "unknown"),
        (True, False, None, "noncompliant"),
        (False, True, None, "noncompliant"),
    ],
)
def test_being_in_a_group_means_what_the_settings_say(
    good: bool, member: bool, evaluated: bool | None, state: str
) -> None:
    source = Groups({"1": None} if member else {}, {"laptops": "Good"}, good=good)
    (verdict,) = verdicts(source, record(evaluated=evaluated))
    assert (verdict.state, verdict.source) == (state, "group 'Good'")
    assert bool(verdict.reasons) == (state != "compliant")


def test_a_part_without_a_group_and_a_record_that_cannot_be_read_are_no_pass() -> None:
    broken = MalformedResponseError("no groups")
    source = Groups({"1": None, "2": broken}, {"laptops": 7}, good=False)
    first, second, other = verdicts(source, record(), record("2"), record(part="phones"))
    assert (first.state, second, other.state) == ("noncompliant", broken, "unknown")
    assert "compliance.phones" in other.reasons[0]


@pytest.mark.parametrize(("site", "state"), [("north", "compliant"), ("south", "unknown"), (None, "unknown")])
def test_a_group_of_offenders_of_one_site_says_nothing_of_others(site: str | None, state: str) -> None:
    source = Groups({}, {"phones": "fine"}, good=False)
    (verdict,) = verdicts(source, record(part="phones", site=site))
    assert verdict.state == state


@pytest.mark.parametrize(
    ("wanted", "number"), [("Good", "7"), ("7", "8"), (7, "7"), ("8", "8"), ("good", "7")]
)
def test_a_group_by_name_or_number(wanted: str | int, number: str) -> None:
    assert play(Groups({}, {"laptops": wanted}, good=True).resolve(), [])["laptops"].id == number


@pytest.mark.parametrize("wanted", ["Godo", 9, "9"])
def test_a_group_that_is_not_there(wanted: str | int) -> None:
    with pytest.raises(ConfigurationError, match=r"no single group .*it sees: Good \(7\), 7 \(8\)"):
        play(Groups({}, {"laptops": wanted}, good=True).resolve(), [])


def test_a_number_is_no_name_and_names_that_are_like_the_wanted_come_first() -> None:
    known = {"1": "2024", "5": "Everybody", "6": "Compliant Macs\x1b[31m"}
    with pytest.raises(ConfigurationError, match="no single group 2024"):
        choose([2024], known, "group", "hint")
    assert choose(["2024"], known, "group", "hint") == ("1",)
    with pytest.raises(ConfigurationError, match="it sees: Compliant Macs") as caught:
        choose(["Complaint Macs"], known, "group", "hint")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("good", "states", "silent"),
    [
        (True, ["noncompliant", "noncompliant"], True),
        (True, ["noncompliant", "compliant"], False),
        (False, ["compliant", "compliant"], False),
        (True, [], False),
    ],
)
def test_a_group_in_which_nobody_is_says_nothing(good: bool, states: list[str], silent: bool) -> None:
    source = Groups({}, {}, good=good)
    records = [record(str(number)) for number in range(len(states))]
    devices = [
        Device(
            registered=True,
            compliance=Compliance(state=ComplianceState(state), source="group", vendor_state="not in group"),
        )
        for state in states
    ]
    gone = Device(registered=False, compliance=Compliance(state=ComplianceState.NONCOMPLIANT))
    meant = source.see([*records, record("9"), record("10", evaluated=None)], [*devices, gone, gone])
    assert {means for _, means in meant} <= {True, False}
    if silent:
        with pytest.raises(ConfigurationError, match="says nothing about any of the managed laptops"):
            source.check(meant)
    else:
        source.check(meant)


@pytest.mark.parametrize(
    ("meant", "words"),
    [
        (frozenset(), None),
        ({("a", True), ("a", False), ("b", None)}, None),
        ({("a", False), ("b", True)}, "nothing about any of the a$"),
        ({("b", False), ("a", False)}, "nothing about any of the a or b$"),
        ({("b", None), ("a", None)}, "the devices of this server, which are a and b$"),
    ],
)
def test_a_source_tells_of_every_part_that_it_is_for(meant: Meant, words: str | None) -> None:
    if words is None:
        check_meant(meant, "it says", "hint")
        return
    with pytest.raises(ConfigurationError, match=words) as caught:
        check_meant(meant, "it says", "hint")
    assert caught.value.hint == "hint"


@pytest.mark.parametrize(
    ("against", "doubts", "state", "reasons"),
    [(["a"], ["b"], "noncompliant", ("a",)), ([], ["b"], "unknown", ("b",)), ([], [], "compliant", ())],
)
def test_a_verdict_from_reasons(against: list[str], doubts: list[str], state: str, reasons: Any) -> None:
    verdict = conclude(against, doubts, vendor_state="word", source="rule")
    assert verdict == Compliance(
        state=ComplianceState(state), reasons=reasons, vendor_state="word", source="rule"
    )


@pytest.mark.parametrize(
    ("registered", "unreadable", "state", "listed"),
    [
        (True, frozenset(), "noncompliant", True),
        (False, frozenset(), "noncompliant", False),
        (False, {"managed"}, "noncompliant", True),
        (False, {"udid"}, "noncompliant", False),
        (True, frozenset(), "unknown", False),
    ],
)
def test_who_belongs_into_a_list_of_offenders(
    registered: bool, unreadable: frozenset[str], state: str, listed: bool
) -> None:
    device = Device(registered=registered, unreadable=frozenset(unreadable))
    assert offends(device.judged(state=ComplianceState(state))) is listed


def test_a_server_that_has_no_version_of_an_operation() -> None:
    missing, too_old = EndpointNotFoundError("no", status=404), VersionMismatchError("too old")

    def ask(version: int) -> Flow[int]:
        yield from done(None)
        if version > 1:
            raise missing
        return version

    assert play(newest(ask, (3, 2, 1), otherwise=too_old), []) == (1, 1)
    for versions in ((3, 2), (2,)):
        with pytest.raises(VersionMismatchError, match="too old") as caught:
            play(newest(ask, versions, otherwise=too_old), [])
        assert caught.value.__cause__ is missing
    with pytest.raises(EndpointNotFoundError):
        play(newest(ask, (3, 2)), [])


def test_only_some_failures_are_a_result() -> None:
    def fail(error: MdmError) -> Flow[None]:
        yield from done(None)
        raise error

    missing, broken = EndpointNotFoundError("no", status=404), MalformedResponseError("odd")
    assert play(attempt(fail(missing), EndpointNotFoundError), []) is missing
    assert play(attempt(fail(broken)), []) is broken
    with pytest.raises(MalformedResponseError):
        play(attempt(fail(broken), EndpointNotFoundError), [])


NESTED: dict[str, Any] = {
    "id": "1",
    "general": {"udid": "U-1", "site": {"id": "3"}, "managed": {"a": 1}},
    "lines": [{"imei": "001001000000017"}],
    "network.imei": "001001000000025",
    "network": {"imei": "001001000000033"},
    "hardware": {"serialNumber": "S1"},
    "empty": None,
}


def test_a_name_with_dots_leads_into_objects() -> None:
    row = Row(NESTED)
    assert row.text("general.site.id") == "3"
    assert row.text("general.name", "empty.id", "absent.id", "id") == "1"
    assert row.has("general.site") is True
    assert row.text("network.imei") == "001001000000025"  # a member of the whole name comes first
    assert row.veto("general.managed") is None
    assert row.unreadable == {"general.managed"}
    found = row.identifiers(
        *row.rows("lines"), udid="general.udid", serial="hardware.serialNumber", imei=("network.imei", "imei")
    )
    assert (found["udid"], found["serial_number"]) == ("U-1", Serial("S1").value)
    assert found["other_identifiers"] == (Imei("001001000000017"),)
    assert row.keys(Guid, "general.udid") == [Guid("U-1")]


@pytest.mark.parametrize("name", ["lines.imei", "id.name", "general.udid.more"])
def test_what_is_no_object_has_nothing_inside(name: str) -> None:
    with pytest.raises(MalformedResponseError, match="not an object"):
        Row(NESTED).text(name)
