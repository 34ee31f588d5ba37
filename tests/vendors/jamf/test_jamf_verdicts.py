"""Compliance from each source: never better than what the server said about this device."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mdmsdk.errors import FilterIgnoredError, MalformedResponseError
from mdmsdk.membership import by_membership
from mdmsdk.rows import Row
from mdmsdk.rules import judge
from mdmsdk.settings import Rules
from mdmsdk_jamf import ComplianceSettings
from mdmsdk_jamf.records import COMPUTERS, MOBILE_DEVICES, Realm, Record
from mdmsdk_jamf.sources.groups import group_of
from mdmsdk_jamf.sources.partners import by_partners

if TYPE_CHECKING:
    from mdmsdk.models import Compliance

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
REPORTED = {"reportDate": "2026-01-15T11:00:00Z", "lastInventoryUpdateDate": "2026-01-15T11:00:00Z"}


def record(realm: Realm = COMPUTERS, answered: datetime | None = NOW, **row: Any) -> Record:
    row = {realm.id_field: "7", "general": REPORTED, **row}
    return Record.read(realm, Row(row), answered)


def membership(
    one: Record, *, member: bool, means_compliant: bool, description: str | None = None
) -> Compliance:
    source = "smart group 'Good'"
    return by_membership(one, source, description, member=member, means_compliant=means_compliant)


@pytest.mark.parametrize(
    ("member", "means_compliant", "state"),
    [(True, True, "compliant"), (False, True, "noncompliant"), (True, False, "noncompliant")]
    + [(False, False, "compliant")],
)
def test_membership_means_what_the_settings_say(member: bool, means_compliant: bool, state: str) -> None:
    verdict = membership(record(), member=member, means_compliant=means_compliant)
    assert verdict.state == state
    assert verdict.source == "smart group 'Good'"
    assert verdict.vendor_state == f"{'in' if member else 'not in'} smart group 'Good'"
    assert bool(verdict.reasons) == (state == "noncompliant")


@pytest.mark.parametrize("general", [{}, {"reportDate": ""}, {"reportDate": "0001-01-01T00:00:00Z"}])
@pytest.mark.parametrize("means_compliant", [True, False])
@pytest.mark.parametrize("member", [True, False])
def test_a_device_that_never_reported_was_not_evaluated(
    general: dict[str, str], means_compliant: bool, member: bool
) -> None:
    assert (
        membership(record(general=general), member=member, means_compliant=means_compliant).state == "unknown"
    )


@pytest.mark.parametrize("date", ["soon", "2026-13-01T00:00:00Z", {"a": 1}, ["2026-01-15T11:00:00Z"], True])
def test_a_damaged_report_date_makes_no_pass_and_takes_no_offender_away(date: Any) -> None:
    one = record(general={"reportDate": date})
    assert membership(one, member=False, means_compliant=True).state == "noncompliant"
    assert membership(one, member=True, means_compliant=True).state == "unknown"


def test_the_description_of_the_group_is_the_reason_for_its_members_only() -> None:
    told = membership(record(), member=True, means_compliant=False, description="FileVault is off")
    assert told.reasons == ("FileVault is off",)
    others = membership(record(), member=False, means_compliant=True, description="Macs in order")
    assert others.reasons == ("The device is not in smart group 'Good'.",)


def test_groups_are_told_apart_by_id() -> None:
    groups = [{"groupId": "1", "groupName": "A"}, {"groupId": "10", "groupName": "B"}]
    group = group_of(record(groupMemberships=groups), "10")
    assert group is not None
    assert group.text("groupName") == "B"
    assert group_of(record(groupMemberships=groups), "11") is None


@pytest.mark.parametrize(
    "groups",
    [None, {}, "x", ["x"], [{}], [{"groupId": None}], [{"groupId": 10.0}], [{"id": "10"}, {"groupId": "10"}]],
)
def test_a_record_without_its_groups_proves_nothing(groups: Any) -> None:
    with pytest.raises(MalformedResponseError):
        group_of(record(groupMemberships=groups), "10")


def state(word: str, *, applicable: Any = True, **more: Any) -> dict[str, Any]:
    return {
        "deviceId": "7",
        "applicable": applicable,
        "complianceState": word,
        "complianceVendor": "Entra",
        **more,
    }


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([state("COMPLIANT")], "compliant"),
        ([state("COMPLIANT"), state("COMPLIANT")], "compliant"),
        ([state("COMPLIANT"), state("UNKNOWN", applicable=False)], "compliant"),
        ([state("COMPLIANT"), state("NON_COMPLIANT", applicable=False)], "compliant"),
        ([state("COMPLIANT"), state("NON_COMPLIANT")], "noncompliant"),
        ([state("NON_COMPLIANT", applicable=None)], "noncompliant"),
        ([state("COMPLIANT"), state("UNKNOWN")], "unknown"),
        ([state("COMPLIANT", applicable=False)], "unknown"),
        ([state("COMPLIANT", applicable=None)], "unknown"),
        ([state("COMPLIANT", applicable="maybe")], "unknown"),
        ([state("COMPLIANT", applicable=[True])], "unknown"),
        ([state("COMPLIANT"), state("NON_COMPLIANT", applicable={"a": 1})], "noncompliant"),
        ([state(["COMPLIANT"])], "unknown"),  # type: ignore[arg-type]
        ([state("COMPLIANT", deviceId=None)], "unknown"),
        ([state("IN_GRACE")], "unknown"),
        ([state("compliant")], "unknown"),
        ([], "unknown"),
    ],
)
def test_all_vendors_that_look_at_a_device_must_agree(states: list[dict[str, Any]], expected: str) -> None:
    assert by_partners(record(), states).state == expected


def test_the_vendor_is_part_of_the_reason() -> None:
    verdict = by_partners(record(), [state("NON_COMPLIANT"), state("COMPLIANT")])
    assert verdict.reasons == ("NON_COMPLIANT (Entra)",)
    assert verdict.vendor_state == "NON_COMPLIANT, COMPLIANT"


def test_states_of_another_device_are_no_verdict() -> None:
    with pytest.raises(FilterIgnoredError):
        by_partners(record(), [state("COMPLIANT", deviceId="8")])


@pytest.mark.parametrize("answer", [None, {}, "COMPLIANT", ["COMPLIANT"]])
def test_what_is_no_list_of_states_is_refused(answer: Any) -> None:
    with pytest.raises(MalformedResponseError):
        by_partners(record(), answer)


def by_rules(one: Record, **rules: Any) -> Compliance:
    """The verdict of core's rules on what the provider makes of a record."""
    return judge(Rules(**rules), one.device, one.answered)


PHONES = ["iOS", "iPadOS"]
MANAGED = {"managed": True, "remoteManagement": {"managed": True}}
MAC: dict[str, Any] = {
    "general": {**REPORTED, **MANAGED, "lastContact": "2026-01-10T12:00:00Z"},
    "operatingSystem": {"name": "macOS", "version": "14.7.1"},
    "diskEncryption": {"fileVault2Enabled": True},
}
PHONE: dict[str, Any] = {
    "deviceType": "iOS",
    "general": {**REPORTED, **MANAGED, "lastContactDate": "2026-01-10T12:00:00Z", "osVersion": "17.7.2"},
    "security": {"passcodePresent": True, "jailBreakDetected": False},
}


@pytest.mark.parametrize(
    ("rules", "changes", "expected"),
    [
        ({"disk_encrypted": ["macOS"]}, {}, "compliant"),
        ({"disk_encrypted": ["macOS"]}, {"diskEncryption": {"fileVault2Enabled": False}}, "noncompliant"),
        ({"disk_encrypted": ["macOS"]}, {"diskEncryption": None}, "unknown"),
        ({"passcode_set": PHONES, "not_jailbroken": PHONES}, {}, "unknown"),
        ({"minimum_os": {"macOS": "14.7.1"}}, {}, "compliant"),
        ({"minimum_os": {"macOS": "14.7"}}, {}, "compliant"),
        ({"minimum_os": {"macOS": "14.10"}}, {}, "noncompliant"),
        ({"minimum_os": {"macOS": "14.7.1.0"}}, {}, "compliant"),
        ({"minimum_os": {"iOS": "17"}}, {}, "unknown"),
        (
            {"minimum_os": {"macOS": "14"}},
            {"operatingSystem": {"name": "macOS", "version": "beta"}},
            "unknown",
        ),
        ({"minimum_os": {"macOS": "14"}}, {"operatingSystem": None}, "unknown"),
        # All computers are Macs, whatever the name was when their system came out.
        *(
            (
                {"disk_encrypted": ["macOS"], "minimum_os": {"macOS": "14.7"}},
                {"operatingSystem": system},
                state,
            )
            for system, state in [
                ({"name": "Mac OS X", "version": "10.13.6"}, "noncompliant"),
                ({"name": "OS X", "version": "10.11.6"}, "noncompliant"),
                ({"name": "MacOS", "version": "12.0"}, "noncompliant"),
                ({"name": "macos", "version": "15.1"}, "compliant"),
                ({"name": None, "version": "15.1"}, "compliant"),
                ({"name": "macOS", "version": None}, "unknown"),
            ]
        ),
        ({"minimum_os": {"MACOS": "14.10"}}, {}, "noncompliant"),
        ({"max_days_since_check_in": 5}, {}, "compliant"),
        ({"max_days_since_check_in": 4}, {}, "noncompliant"),
        ({"max_days_since_check_in": 4}, {"general": MANAGED}, "unknown"),
        (
            {"disk_encrypted": ["macOS"], "max_days_since_check_in": 4},
            {"diskEncryption": None},
            "noncompliant",
        ),
    ],
)
def test_rules_over_computers(rules: dict[str, Any], changes: dict[str, Any], expected: str) -> None:
    assert by_rules(record(**{**MAC, **changes}), **rules).state == expected


@pytest.mark.parametrize(
    ("rules", "security", "expected"),
    [
        ({"passcode_set": PHONES, "not_jailbroken": PHONES}, PHONE["security"], "compliant"),
        ({"passcode_set": PHONES}, {"passcodePresent": False}, "noncompliant"),
        ({"not_jailbroken": PHONES}, {"jailBreakDetected": True}, "noncompliant"),
        ({"passcode_set": PHONES, "not_jailbroken": PHONES}, {"passcodePresent": True}, "unknown"),
        ({"passcode_set": PHONES}, None, "unknown"),
        ({"disk_encrypted": ["macOS"]}, PHONE["security"], "unknown"),
        ({"minimum_os": {"iOS": "18"}}, PHONE["security"], "noncompliant"),
    ],
)
def test_rules_over_mobile_devices(rules: dict[str, Any], security: Any, expected: str) -> None:
    one = record(MOBILE_DEVICES, **{**PHONE, "security": security})
    assert by_rules(one, **rules).state == expected


@pytest.mark.parametrize(
    ("kind", "model", "minimum", "state"),
    [
        ("iOS", "iPad Pro", {"iOS": "17", "iPadOS": "18"}, "noncompliant"),
        ("iOS", "iPad Pro", {"iOS": "17"}, "compliant"),
        ("ios", "iPhone 15", {"iOS": "18", "iPadOS": "17"}, "noncompliant"),
        ("iOS", "iPhone 15", {"iPadOS": "18"}, "compliant"),  # nothing is asked of it but a passcode
        ("tvOS", "Apple TV", {"tvOS": "17"}, "compliant"),
        ("Unknown", "iPhone 15", {"iOS": "17"}, "unknown"),
        (None, "iPhone 15", {"iOS": "17"}, "unknown"),
    ],
)
def test_each_system_has_its_lowest_version(
    kind: str | None, model: str, minimum: dict[str, str], state: str
) -> None:
    one = record(MOBILE_DEVICES, **{**PHONE, "deviceType": kind, "hardware": {"model": model}})
    assert by_rules(one, passcode_set=True, minimum_os=minimum).state == state


def test_without_the_servers_clock_nothing_is_recent() -> None:
    assert by_rules(record(answered=None, **MAC), max_days_since_check_in=30).state == "unknown"


def test_every_broken_rule_is_a_reason() -> None:
    one = record(**{**MAC, "diskEncryption": {"fileVault2Enabled": False}})
    verdict = by_rules(one, disk_encrypted=True, minimum_os={"macOS": "15"}, max_days_since_check_in=1)
    assert len(verdict.reasons) == 3


versions = st.lists(st.integers(0, 40), min_size=1, max_size=4)


@given(versions, versions)
def test_versions_are_compared_by_number(have: list[int], want: list[int]) -> None:
    written = ".".join(map(str, have))
    one = record(**{**MAC, "operatingSystem": {"name": "macOS", "version": written}})
    wanted = {"macOS": ".".join(map(str, want))}
    length = max(len(have), len(want))
    enough = have + [0] * (length - len(have)) >= want + [0] * (length - len(want))
    assert (by_rules(one, minimum_os=wanted).state == "compliant") == enough


@pytest.mark.parametrize(
    "settings",
    [
        {"source": "smart-group"},
        {"source": "smart-group", "computers": ""},
        {"source": "smart-group", "computers": 0},
        {"source": "smart-group", "computers": "x", "rules": {"passcode_set": True}},
        {"source": "rules"},
        {"source": "rules", "rules": {}},
        {"source": "rules", "rules": {"minimum_os": {"macOS": "fourteen"}}},
        {"source": "rules", "rules": {"minimum_os": {"mac": "14"}}},
        {"source": "rules", "rules": {"max_days_since_check_in": 10**10}},
        {"source": "advanced-search", "computers": 1, "search_max_age": 60},
        {"source": "conditional-access", "computers": "x"},
        {"source": "astrology"},
    ],
)
def test_sources_that_contradict_themselves_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ComplianceSettings.model_validate(settings)
