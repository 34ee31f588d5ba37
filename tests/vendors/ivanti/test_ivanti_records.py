"""What records mean: verdicts, reasons, times, masks, awkward values."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.identifiers import Mac
from mdmsdk.models import ComplianceState, Device
from mdmsdk_ivanti.cloud.records import read as read_cloud
from mdmsdk_ivanti.core.records import FIELDS, read_v1, read_v2
from mdmsdk_ivanti.records import flag, judge, newest, text
from mdmsdk_ivanti.settings import MASKS

Sample = Callable[[str], Any]
NO_MASKS = re.compile(r"(?!)")
MASK = re.compile(MASKS, re.IGNORECASE | re.DOTALL)
NO = False
LATEST = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


def test_core_record(sample: Sample) -> None:
    device = read_v2(sample("core-device.json")).build(NO_MASKS)
    assert device == Device(
        id="4711",
        guid="0b6f1b0e-6a3c-4d0f-9a57-2f1d4c8e7a10",
        udid="00008120-000A11223344001E",
        serial_number="SIMAAAA0001",
        imei="001001000000019",
        mac_addresses=(Mac("00:00:5E:00:11:22"),),
        user="noor.visser",
        manufacturer="Apple",
        model="iPhone 15",
        os="iOS",
        os_version="18.5",
        registered=True,
        compliance=judge(
            NO,
            quarantined=True,
            blocked=False,
            reasons=["The device is jailbroken or rooted", "SOMETHING_NEW"],
        ),
        disk_encrypted=True,
        jailbroken=True,
        last_check_in=datetime(2026, 1, 15, 9, 30, tzinfo=UTC),
    )
    assert device.compliance.state is ComplianceState.NONCOMPLIANT
    assert device.compliance.reasons[-1] == "The device is quarantined"
    assert device.compliance.vendor_state == "not compliant, quarantined"


def test_core_v1_record(sample: Sample) -> None:
    device = read_v1(sample("core-v1-device.json")).build(NO_MASKS)
    assert (device.id, device.serial_number, device.imei) == ("4711", "SIMAAAA0001", "001001000000019")
    assert device.mac_addresses == (Mac("00005E001122"),)
    assert device.phone_number == "+12015550123"
    assert device.compliance.state is ComplianceState.NONCOMPLIANT
    assert device.compliance.reasons == ("The operating system is too old", "A required app is missing")


def test_core_v1_needs_zero_for_a_pass(sample: Sample) -> None:
    row = sample("core-v1-device.json")
    passed = read_v1({**row, "compliance": 0}).build(NO_MASKS)
    assert passed.compliance.state is ComplianceState.COMPLIANT
    for broken in (None, "", "ok", True, -1, "0x0"):
        device = read_v1({**row, "compliance": broken}).build(NO_MASKS)
        assert device.compliance.state is ComplianceState.UNKNOWN
    quarantined = read_v1({**row, "compliance": 0, "quarantinedStatus": 32}).build(NO_MASKS)
    assert quarantined.compliance.state is ComplianceState.NONCOMPLIANT
    assert quarantined.compliance.reasons[0] == "The device has not been in contact for too long"
    odd = read_v1({**row, "compliance": 1 << 30}).build(NO_MASKS)
    assert odd.compliance.reasons == ("Reason 0x40000000",)


def test_cloud_record(sample: Sample) -> None:
    device = read_cloud(sample("cloud-device.json")).build(NO_MASKS)
    assert device == Device(
        id="90210",
        name="Noor's iPhone",
        guid="0b6f1b0e-6a3c-4d0f-9a57-2f1d4c8e7a10",
        udid="00008120-000A11223344001E",
        serial_number="SIMAAAA0001",
        imei="001001000000019",
        mac_addresses=(Mac("00:00:5E:00:11:22"),),
        user="noor.visser",
        manufacturer="Apple",
        model="iPhone 15",
        os="iOS",
        os_version="18.5",
        registered=True,
        compliance=judge(NO, quarantined=False, blocked=None, reasons=["Out of Contact", "Required OS"]),
        jailbroken=False,
        last_check_in=datetime(2026, 1, 15, 9, 30, tzinfo=UTC),
    )
    # It says nothing about a passcode that a device may not need.
    assert device.passcode_set is None


# What each state that the product reports becomes: registered, and the state when it is called compliant.
@pytest.mark.parametrize(
    ("status", "registered", "state"),
    [
        ("ACTIVE", True, "compliant"),
        ("active", True, "compliant"),
        ("LOST", True, "unknown"),
        ("INFECTED", True, "unknown"),
        ("BLOCKED", True, "unknown"),
        ("RETIRED", False, "unknown"),
        ("RETIRE_PENDING", False, "unknown"),
        ("WIPED", False, "unknown"),
        ("EXPIRED", False, "unknown"),
        ("VERIFICATION_PENDING", False, "unknown"),
        ("IENROLL_COMPLETE", False, "unknown"),
        ("SOMETHING_NEW", False, "unknown"),
        (None, False, "unknown"),
    ],
)
def test_core_states(sample: Sample, status: str | None, registered: bool, state: str) -> None:
    row = {
        **sample("core-device.json"),
        "common.status": status,
        "common.compliant": True,
        "common.quarantined": False,
    }
    device = read_v2(row).build(NO_MASKS)
    assert (device.registered, device.compliance.state) == (registered, state)
    assert read_v2({**row, "common.retired": True}).build(NO_MASKS).registered is False


@pytest.mark.parametrize("state", ["RETIRED", "RETIRE_PENDING", "WIPED", "SOMETHING_NEW", None])
def test_cloud_states_but_active_are_not_registered(sample: Sample, state: str | None) -> None:
    row = {**sample("cloud-device.json"), "registrationState": state, "complianceState": True}
    device = read_cloud(row).build(NO_MASKS)
    assert (device.registered, device.compliance.state) == (False, "unknown")
    assert (state or "UNKNOWN STATE") in (device.compliance.vendor_state or "")


@pytest.mark.parametrize(
    ("compliant", "quarantined", "blocked", "alarm", "state", "word"),
    [
        (True, False, False, None, "compliant", "compliant"),
        ("true", None, None, None, "compliant", "compliant"),
        (False, False, False, None, "noncompliant", "not compliant"),
        (True, True, False, None, "noncompliant", "compliant, quarantined"),
        (None, True, None, None, "noncompliant", "quarantined"),
        (True, False, False, "Compromised", "noncompliant", "compliant, Compromised"),
        (True, False, True, None, "unknown", "compliant, blocked"),
        (None, False, False, None, "unknown", None),
        ("perhaps", False, False, None, "unknown", "perhaps"),
        (1, False, False, None, "unknown", "1"),
    ],
)
def test_verdicts(  # noqa: PLR0917 - the columns of the table
    compliant: object,
    quarantined: bool | None,
    blocked: bool | None,
    alarm: str | None,
    state: str,
    word: str | None,
) -> None:
    verdict = judge(compliant, quarantined=quarantined, blocked=blocked, alarm=alarm)
    assert (verdict.state, verdict.vendor_state) == (state, word)
    assert bool(verdict.reasons) == ((state == "noncompliant" and compliant is not False) or bool(blocked))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_core_never_passes_without_the_word(row: dict[str, Any]) -> None:
    device = read_v2(row).build(MASK)
    if device.compliance.state is ComplianceState.COMPLIANT:
        assert flag(row["common.compliant"]) is True
        assert str(row["common.status"]).strip().upper() == "ACTIVE"
        assert flag(row.get("common.quarantined")) is not True


CLOUD_FIELDS: tuple[str, ...] = (
    "id",
    "guid",
    "complianceState",
    "quarantined",
    "blocked",
    "registrationState",
)
CLOUD_FIELDS += ("violatedPolicies", "wifiMacAddress", "serialNumber", "imei", "lastCheckin", "platformType")


@given(st.dictionaries(st.sampled_from(CLOUD_FIELDS), ANYTHING))
def test_cloud_never_passes_without_the_word(row: dict[str, Any]) -> None:
    device = read_cloud(row).build(MASK)
    if device.compliance.state is ComplianceState.COMPLIANT:
        assert flag(row["complianceState"]) is True
        assert device.registered
        assert flag(row.get("quarantined")) is not True


@pytest.mark.parametrize("value", ["", "  ", "null", "NULL", "Not Present", None, True, [], {}])
def test_words_for_nothing(value: object) -> None:
    assert text(value) is None


def test_times() -> None:
    assert newest("2026-01-14T08:00:00.000Z", 1_768_469_400_000, None) == LATEST
    assert newest(0, -5, "", "0001-01-01T00:00:00Z", "soon", None) is None
    assert newest(10**30) is None


@pytest.mark.parametrize(
    "value", ["*********42", "XXXXXXXX", "xxxxx1234", "####", "••••••", "masked", "Redacted"]
)
def test_masks_are_known(value: str) -> None:
    assert MASK.fullmatch(value)


@given(st.from_regex(r"[0-9A-WYZ]{8,14}", fullmatch=True))
def test_serial_numbers_are_no_masks(value: str) -> None:
    assert not MASK.fullmatch(value)


def test_masked_values_are_not_handed_out(sample: Sample) -> None:
    row = {**sample("core-device.json"), "common.SerialNumber": "*********01", "user.user_id": "****"}
    device = read_v2(row).build(MASK)
    assert (device.serial_number, device.user) == (None, None)
    assert read_v2(row).masked(MASK) == {"serial"}
