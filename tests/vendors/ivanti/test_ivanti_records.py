"""What records mean: verdicts, reasons, times, masks, awkward values."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.client.verdict import ruled, settle
from mdmsdk.identifiers import Mac
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.settings import Rules
from mdmsdk_ivanti.cloud.records import CloudRecord
from mdmsdk_ivanti.core.records import FIELDS, CoreRecord

Sample = Callable[[str], Any]
LATEST = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


def read_core(row: dict[str, Any]) -> Device:
    return CoreRecord(row).device()


def read_cloud(row: dict[str, Any]) -> Device:
    return CloudRecord(row).device()


def test_core_record(sample: Sample) -> None:
    device = read_core(sample("core-device.json"))
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
        compliance=Compliance(
            state=ComplianceState.NONCOMPLIANT,
            reasons=("COMPROMISED", "SOMETHING_NEW", "The device is quarantined"),
            vendor_state="not compliant, quarantined",
        ),
        disk_encrypted=True,
        jailbroken=True,
        last_check_in=datetime(2026, 1, 15, 9, 30, tzinfo=UTC),
    )
    assert device.compliance.state is ComplianceState.NONCOMPLIANT
    assert device.compliance.reasons[-1] == "The device is quarantined"
    assert device.compliance.vendor_state == "not compliant, quarantined"


def test_cloud_record(sample: Sample) -> None:
    device = read_cloud(sample("cloud-device.json"))
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
        compliance=Compliance(
            state=ComplianceState.NONCOMPLIANT,
            reasons=("Out of Contact", "Required OS"),
            vendor_state="not compliant",
        ),
        jailbroken=False,
        last_check_in=datetime(2026, 1, 15, 9, 30, tzinfo=UTC),
    )
    # It says nothing about a passcode that a device may not need.
    assert device.passcode_set is None


# What the record says about the device of the sample when nothing is wrong with it.
CALM: dict[str, Any] = {
    "common.compliant": True,
    "common.quarantined": False,
    "common.noncompliance_reasons": [],
    "common.quarantined_reasons": [],
    "common.device_is_compromised": False,
}
CALM_CLOUD: dict[str, Any] = {"complianceState": True, "violatedPolicies": [], "policyViolationCount": 0}


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
        **CALM,
    }
    device = read_core(row)
    assert (device.registered, device.compliance.state) == (registered, state)
    assert read_core({**row, "common.retired": True}).registered is False


@pytest.mark.parametrize("state", ["RETIRED", "RETIRE_PENDING", "WIPED", "SOMETHING_NEW", None])
def test_cloud_states_but_active_are_not_registered(sample: Sample, state: str | None) -> None:
    row = {**sample("cloud-device.json"), "registrationState": state, **CALM_CLOUD}
    device = read_cloud(row)
    assert (device.registered, device.compliance.state) == (False, "unknown")
    assert (state or "UNKNOWN STATE") in (device.compliance.vendor_state or "")


def test_a_pass_with_reasons_against_it_is_none(sample: Sample) -> None:
    row = {**sample("core-device.json"), **CALM, "common.noncompliance_reasons": ["OS_VERSION"]}
    assert read_core(row).compliance.state is ComplianceState.UNKNOWN
    assert read_core({**row, **CALM, "common.device_is_compromised": True}).compliance.state == "unknown"
    reasons = {
        "violatedPolicies": (["Required OS"], "Required OS"),
        "policyViolationCount": (2, "2 policies are violated"),
        "jailbroken": (True, "The device is compromised"),
        "lostModeEnabled": (True, "The device is in lost mode"),
        "blocked": (True, "The device is blocked"),
    }
    for name, (value, reason) in reasons.items():
        device = read_cloud({**sample("cloud-device.json"), **CALM_CLOUD, name: value})
        assert (device.compliance.state, device.compliance.reasons) == ("unknown", (reason,))


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (True, "compliant"),
        (" TRUE ", "compliant"),
        ("false", "noncompliant"),
        (1, "unknown"),
        ("Y", "unknown"),
    ],
)
def test_only_yes_is_yes(sample: Sample, value: object, state: str) -> None:
    row = {**sample("core-device.json"), **CALM, "common.compliant": value}
    assert read_core(row).compliance.state == state


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_core_never_passes_without_the_word(row: dict[str, Any]) -> None:
    device = read_core(row)
    if device.compliance.state is ComplianceState.COMPLIANT and not device.unreadable:
        assert str(row["common.compliant"]).strip().lower() == "true"
        assert str(row["common.status"]).strip().upper() == "ACTIVE"
        assert row.get("common.quarantined") in {None, False, ""} or not str(row["common.quarantined"])


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
    device = read_cloud(row)
    if device.compliance.state is ComplianceState.COMPLIANT and not device.unreadable:
        assert str(row["complianceState"]).strip().lower() == "true"
        assert device.registered


@pytest.mark.parametrize("value", ["", "  ", "null", "NULL", "Not Present", None])
def test_words_for_nothing(value: object) -> None:
    device = read_cloud({"registrationState": "ACTIVE", "imei": value, "serialNumber": value, "guid": value})
    assert (device.imei, device.serial_number, device.guid) == (None, None, None)
    assert device.unreadable == set()


def newest(*values: object) -> datetime | None:
    return CoreRecord(dict(zip("abc", values, strict=False))).newest(*"abc")


def test_times() -> None:
    assert newest("2026-01-14T08:00:00.000Z", 1_768_469_400_000, None) == LATEST
    assert newest(0, -5, "") is None
    assert newest("0001-01-01T00:00:00Z", "soon", [1]) is None
    assert newest(10**30) is None


# A Windows record says `osxFdeEnabled: false`, and every record says both.
@pytest.mark.parametrize(
    ("platform", "encrypted"),
    [("OSX", True), ("WINDOWS_PHONE", False), ("IOS", None), ("ANDROID", None), ("TVOS", None)],
)
def test_cloud_encryption_is_that_of_the_system(platform: str, encrypted: bool | None) -> None:
    device = read_cloud({"platformType": platform, "osxFdeEnabled": True, "windowsEncrypted": False})
    assert device.disk_encrypted is encrypted


@pytest.mark.parametrize(
    ("platform", "build", "version"),
    [
        ("WINDOWS_PHONE", "10.0.19041.329", "10.0.19041.329"),
        ("WINDOWS_PHONE", None, "10.0"),
        ("ANDROID", "QP1A.191005.007.A3", "10.0"),
    ],
)
def test_cloud_version_of_windows_is_that_of_the_build(
    platform: str, build: str | None, version: str
) -> None:
    row = {"platformType": platform, "platformVersion": "10.0", "osBuildVersion": build}
    assert read_cloud(row).os_version == version


def test_masked_values_are_not_handed_out(sample: Sample) -> None:
    row = {**sample("core-device.json"), "common.SerialNumber": "*********01", "user.user_id": "****"}
    device = read_core(row)
    assert (device.serial_number, device.user) == (None, None)
    assert device.unreadable == {"serial_number", "user"}
    assert not device.doubtful


@pytest.mark.parametrize("word", ["NON_COMPLIANT", "no", 0, [False], {"value": False}])
def test_rules_are_no_pass_beside_a_state_that_nobody_can_read(word: object) -> None:
    devices = (
        read_core({"common.id": 1, "common.status": "ACTIVE", "common.compliant": word}),
        read_cloud({"id": 1, "registrationState": "ACTIVE", "complianceState": word}),
    )
    for device in devices:
        judged = settle(ruled(device, Rules(registered=True), LATEST), "server", "ivanti")
        assert judged.compliance.state is ComplianceState.UNKNOWN
