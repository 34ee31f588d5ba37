"""What a row says, and what it leaves open."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Imei, Mac, Meid, Username
from mdmsdk.models import ComplianceState, Device
from mdmsdk_maas360.records import Record

STATES = ("policyComplianceState", "ruleComplianceState", "appComplianceState", "passcodeCompliance")
FACTS = (*STATES, "maas360ManagedStatus", "deviceStatus", "jailbreakStatus")
BAD = ("Out of Compliance", "out-of-compliance", "Not Compliant", "Non-Compliant", "Not In Compliance")


def device(row: dict[str, Any], *required: str, **changes: Any) -> Device:
    return Record({**row, **changes}).device(required)


def passes(found: Device) -> bool:
    """Whether core would let the device pass."""
    return found.compliance.state is ComplianceState.COMPLIANT and found.registered and not found.doubtful


def test_a_row_is_read(row: dict[str, Any]) -> None:
    found = device(row)
    assert passes(found)
    assert (found.id, found.name, found.serial_number) == ("Appl02TEST0001", "demo-iPhone", "02TEST0001")
    assert found.mac_addresses == (Mac("02:ab:00:00:00:01"),)
    assert (found.udid, found.phone_number, found.meid) == (None, None, None)
    assert (found.imei, found.os, found.os_version) == ("350000000000017", "iOS", "17.1")
    assert found.last_check_in == datetime(2025, 3, 1, 8, tzinfo=UTC)
    assert found.disk_encrypted is True
    assert (found.passcode_set, found.jailbroken) == (None, False)
    assert found.matches(Username("demo"))
    assert found.matches(Username("demo@example.com"))
    said = "policy: In Compliance; app: In Compliance; passcode: Compliant"
    assert found.compliance.vendor_state == said


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("word", BAD)
def test_a_bad_state_is_noncompliant_whatever_the_others_say(
    row: dict[str, Any], name: str, word: str
) -> None:
    verdict = device(row, **{name: word}).compliance
    assert verdict.state is ComplianceState.NONCOMPLIANT
    assert verdict.source
    assert verdict.source in name.lower()
    assert verdict.reasons == (f"The {verdict.source} state is: {word}",)


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize(
    "value", [True, 0, 1.5, [], ["In Compliance"], {"a": 1}, "Splendid", "None", "Offline"]
)
def test_a_fact_in_another_form_is_no_pass(row: dict[str, Any], name: str, value: Any) -> None:
    assert passes(device(row))
    assert not passes(device(row, **{name: value}))


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_that_is_not_there_is_no_pass(row: dict[str, Any], name: str) -> None:
    assert not passes(Record({key: value for key, value in row.items() if key != name}).device())


@pytest.mark.parametrize("name", ["maas360ManagedStatus", "deviceStatus"])
def test_an_empty_status_is_no_pass(row: dict[str, Any], name: str) -> None:
    assert not passes(device(row, **{name: ""}))


def test_a_fresh_row_and_a_good_passcode_alone_say_nothing(row: dict[str, Any]) -> None:
    empty = dict.fromkeys(STATES, "")
    assert device(row, **empty).compliance.state is ComplianceState.UNKNOWN
    assert device(row, **{**empty, STATES[3]: "Compliant"}).compliance.state is ComplianceState.UNKNOWN


@pytest.mark.parametrize("name", STATES[:3])
def test_one_good_state_is_enough_unless_others_are_required(row: dict[str, Any], name: str) -> None:
    only = {**dict.fromkeys(STATES, ""), name: "In Compliance"}
    assert passes(device(row, **only))
    kind = name.removesuffix("ComplianceState")
    assert passes(device(row, kind, **only))
    verdict = device(row, kind, "passcode", **only).compliance
    assert verdict.state is ComplianceState.UNKNOWN
    assert "passcode" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("word", "registered", "passing"),
    [
        ("Enrolled", True, True),
        ("activated", True, True),
        ("Pending Control Removed", True, False),
        ("Control Removed", False, False),
        ("User Removed Control", False, False),
        ("Not Enrolled", False, False),
        ("Inactive", False, False),
        ("", False, False),
        ("Something new", False, False),
    ],
)
def test_who_is_managed(row: dict[str, Any], word: str, *, registered: bool, passing: bool) -> None:
    found = device(row, maas360ManagedStatus=word)
    assert found.registered is registered
    assert passes(found) is passing
    assert ("maas360ManagedStatus" in found.unreadable) == (word in {"", "Something new"}) or not word


@pytest.mark.parametrize(
    ("word", "told"), [("Yes", True), ("No", False), ("Not Available", None), ("", None)]
)
def test_a_jailbroken_device_is_no_pass(row: dict[str, Any], word: str, told: bool | None) -> None:
    found = device(row, jailbreakStatus=word)
    assert found.jailbroken is told
    assert passes(found) is not told
    assert ("jailbroken" in " ".join(found.compliance.reasons)) == bool(told)


@pytest.mark.parametrize(
    ("word", "passing"),
    [("N/a", True), ("", True), ("Not Applied", True), ("REVOKED", True)]
    + [(word, False) for word in ("Applied", "PENDING", "Completed", "Splendid", True, ["N/a"])],
)
def test_a_wiped_device_is_no_pass(row: dict[str, Any], word: Any, *, passing: bool) -> None:
    assert passes(device(row, selectiveWipeStatus=word)) is passing


def test_an_inactive_device_is_no_pass(row: dict[str, Any]) -> None:
    found = device(row, deviceStatus="Inactive")
    assert (found.registered, found.compliance.state) == (True, ComplianceState.UNKNOWN)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (350000000000017, Imei("350000000000017")),
        ("350000000000017", Imei("350000000000017")),
        (1000007919000, Imei("001000007919000")),  # two zeros are lost
        ("A0000012345678", Meid("A0000012345678")),
    ],
)
def test_one_member_holds_imei_or_meid(row: dict[str, Any], value: Any, key: Any) -> None:
    assert device(row, imeiEsn=value).matches(key)


@pytest.mark.parametrize("value", [3.5e14, [350000000000017], True, "****0017"])
def test_an_unreadable_imei_proves_nothing(row: dict[str, Any], value: Any) -> None:
    assert device(row, imeiEsn=value).matches(Imei("350000000000017")) is False


@pytest.mark.parametrize("value", ["", None, [], True])
def test_a_row_without_an_id_is_none(row: dict[str, Any], value: Any) -> None:
    with pytest.raises(MalformedResponseError):
        device(row, maas360DeviceID=value)


@pytest.mark.parametrize(
    ("epoch", "text", "seen"),
    [
        (1740816000000, "", datetime(2025, 3, 1, 8, tzinfo=UTC)),
        ("1740816000000", "", datetime(2025, 3, 1, 8, tzinfo=UTC)),
        ("", "2019-04-23T16:11:23", datetime(2019, 4, 23, 16, 11, 23, tzinfo=UTC)),
        ("", "", None),
    ],
)
def test_the_last_report_is_utc(row: dict[str, Any], epoch: Any, text: str, seen: datetime | None) -> None:
    assert device(row, lastReportedInEpochms=epoch, lastReported=text).last_check_in == seen
