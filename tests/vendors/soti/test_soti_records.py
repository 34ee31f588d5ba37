"""What a record says, and that nothing but the vendor's word is a pass."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mdmsdk.client.verdict import settle
from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Hostname, Imei, Key, Mac, Meid, Serial, Udid
from mdmsdk.models import ComplianceState, Device
from mdmsdk_soti.records import Judging, Record, failing, selected
from mdmsdk_soti.settings import POLICED

PASS, FAIL, OPEN = ComplianceState.COMPLIANT, ComplianceState.NONCOMPLIANT, ComplianceState.UNKNOWN
KINDS = frozenset(kind.lower() for kind in POLICED)
ANDROID: dict[str, Any] = {
    "$type": "DeviceAndroidForWork",
    "Kind": "AndroidForWork",
    "Family": "AndroidPlus",
    "Platform": "AndroidPlus",
    "DeviceId": "and-0001",
    "DeviceName": "scanner-7",
    "Manufacturer": "Acme",
    "Model": "T1",
    "OSVersion": "13",
    "HostName": "192.0.2.17",
    "MACAddress": "00AB00000017",
    "WifiMAC": "00AB00000018",
    "HardwareSerialNumber": "SN0017 ",
    "IMEI_MEID_ESN": "350000000000017",
    "Mode": "Active",
    "IsAgentOnline": False,
    "IsEnrolled": False,
    "ComplianceStatus": True,
    "CompliancePolicyStatus": "Compliant",
    "ComplianceItems": [
        {"ComplianceType": "IsSecured", "ComplianceValue": True},
        {"ComplianceType": "IsEnrolled", "ComplianceValue": None},
    ],
    "IsEncrypted": True,
    "PasscodeEnabled": True,
    "IsOSSecure": True,
    "SafetynetAttestationStatus": "Passed",
    "LastCheckInTime": "2025-03-01T08:00:00.55Z",
    "LastAgentConnectTime": "2025-03-01T09:00:00",
    "DeviceUserInfo": {"UserName": None, "Email": None},
    "LastLoggedOnUser": "jo",
    "AzureComplianceStatus": "NotApplicable",
}
IOS = ANDROID | {
    "Kind": "iOS",
    "DeviceId": "0123456789abcdef0123456789abcdef01234567",
    "ManufacturerSerialNumber": "C02XK0AAJG5H",
    "HardwareSerialNumber": None,
    "MACAddress": "00:ab:00:00:00:18",
    "IsMDMLostModeEnabled": False,
    "ProductName": "iPad14,1",
    "ActivationLockBypassCode": "BYPASS-ME-NOT",
}
WINDOWS = {
    name: value
    for name, value in ANDROID.items()
    if not name.startswith(("IsOS", "Safety", "IsEncrypted", "CompliancePolicy"))
} | {"Kind": "WindowsDesktop", "HostName": "pc-7.example.com"}


def read(row: dict[str, Any], *, policies: bool = True, azure: bool = False, raw: bool = False) -> Device:
    device = Record(row).device(Judging(policies, KINDS, azure, raw))
    return settle(device, "", "soti")


def state(row: dict[str, Any], **options: bool) -> ComplianceState:
    return read(row, **options).compliance.state


def test_a_record_is_read() -> None:
    device = read(ANDROID)
    assert (device.id, device.name, device.user) == ("and-0001", "scanner-7", "jo")
    assert device.serial_number == "SN0017"
    assert device.imei == "350000000000017"
    assert device.mac_addresses == (Mac("00AB00000018"), Mac("00AB00000017"))
    assert device.os == "Android"
    assert device.registered
    assert (device.disk_encrypted, device.passcode_set, device.jailbroken) == (True, True, False)
    assert device.last_check_in == datetime(2025, 3, 1, 9, tzinfo=UTC)
    assert device.compliance.state is PASS
    assert device.compliance.vendor_state == "Compliant"
    assert device.raw is None


def test_apples_id_is_the_udid() -> None:
    device = read(IOS)
    assert device.udid == IOS["DeviceId"]
    assert device.os == "iPadOS"
    assert device.serial_number == "C02XK0AAJG5H"
    assert read(IOS | {"DeviceId": "ios-1"}).udid is None
    assert read(ANDROID | {"DeviceId": IOS["DeviceId"]}).udid is None


@pytest.mark.parametrize(
    ("kind", "system"),
    [
        ("Mac", "macOS"),
        ("Linux", "Linux"),
        ("Chrome", "ChromeOS"),
        ("WindowsPhone", "Windows"),
        ("WindowsCE", "Windows CE"),
        ("AndroidElm", "Android"),
        ("Toaster", "Android"),
    ],
)
def test_systems_have_their_usual_names(kind: str, system: str) -> None:
    assert read(ANDROID | {"Kind": kind, "Platform": "Android"}).os == system


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("35 000000 000001 7", Imei("350000000000017")),
        ("35000000000001", Imei("350000000000017")),
        ("A0000000ABCDEF", Meid("A0000000ABCDEF")),
        ("270113177709600000", Meid("270113177709600000")),
    ],
)
def test_one_text_is_an_imei_or_a_meid(text: str, key: Key) -> None:
    device = read(ANDROID | {"IMEI_MEID_ESN": text})
    assert device.matches(key) is True
    assert len(device.shown(Imei) + device.shown(Meid)) == 1


def test_a_second_modem_counts() -> None:
    sims = {"Sims": [{"ImeiOrMeid": "350000000000017"}, {"ImeiOrMeid": "350000000000025"}]}
    device = read(ANDROID | sims | {"IMEI_MEID_ESN_SIM2": "350000000000033"})
    assert {key.value[-2:] for key in device.shown(Imei)} == {"17", "25", "33"}


@pytest.mark.parametrize("text", ["N/A", "", None, "00000000", "80ABCDEF"])
def test_no_number_is_none(text: str | None) -> None:
    device = read(ANDROID | {"IMEI_MEID_ESN": text})
    assert (device.imei, device.meid, device.unreadable) == (None, None, frozenset())


@pytest.mark.parametrize("value", ["35****0017", "hello", ["350000000000017"], 3.5])
def test_a_number_that_cannot_be_read_is_no_proof(value: Any) -> None:
    device = read(ANDROID | {"IMEI_MEID_ESN": value})
    assert device.matches(Imei("350000000000017")) is False
    assert device.matches(Meid("A0000000ABCDEF")) is False


def test_an_address_is_no_host_name() -> None:
    device = read(WINDOWS)
    assert device.matches(Hostname("pc-7.example.com")) is True
    assert device.matches(Hostname("scanner-7")) is True
    assert read(ANDROID).matches(Hostname("192.0.2.17")) is False


# --- the verdict ---


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"CompliancePolicyStatus": "NonCompliant"}, FAIL),
        ({"CompliancePolicyStatus": "Pending"}, OPEN),
        ({"CompliancePolicyStatus": None}, OPEN),
        ({"CompliancePolicyStatus": "Splendid"}, OPEN),
        ({"CompliancePolicyStatus": True}, OPEN),
        ({"CompliancePolicyStatus": 2}, OPEN),
        ({"ComplianceStatus": False}, FAIL),
        ({"ComplianceStatus": None}, PASS),
        ({"ComplianceStatus": "maybe"}, OPEN),
        ({"Kind": None}, OPEN),
        ({"Kind": ["AndroidForWork"]}, OPEN),
        ({"Kind": "AndroidToaster"}, OPEN),
        ({"IsOSSecure": False}, OPEN),
        ({"IsOSSecure": "perhaps"}, OPEN),
        ({"SafetynetAttestationStatus": "Failed"}, OPEN),
        ({"SafetynetAttestationStatus": {}}, OPEN),
        ({"SafetynetAttestationStatus": "FailedBasicIntegrity"}, OPEN),
        ({"SafetynetAttestationStatus": "Unknown"}, PASS),
        ({"Knox": {"KnoxAttestationStatus": "Failed"}}, OPEN),
        ({"Knox": {"KnoxAttestationStatus": "Tampered"}}, OPEN),
        ({"Knox": {"KnoxAttestationStatus": "Passed"}}, PASS),
        ({"ComplianceItems": [{"ComplianceType": "IsSecured", "ComplianceValue": False}]}, OPEN),
        ({"ComplianceItems": [{"ComplianceType": "IsNew", "ComplianceValue": False}]}, OPEN),
        ({"ComplianceItems": [{"ComplianceType": "IsSecured", "ComplianceValue": "?"}]}, OPEN),
        ({"ComplianceItems": None}, PASS),
        ({"IsMDMLostModeEnabled": True}, OPEN),
        ({"IsMDMLostModeEnabled": "x"}, OPEN),
        ({"Mode": "Disabled"}, OPEN),
        ({"Mode": "UnenrolledByUser"}, OPEN),
        ({"Mode": "Dancing"}, OPEN),
        ({"Mode": None}, OPEN),
        ({"Mode": "Disabled", "CompliancePolicyStatus": "NonCompliant"}, FAIL),
    ],
)
def test_only_the_vendors_word_is_a_pass_and_only_if_nothing_speaks_against_it(
    changes: dict[str, Any], expected: ComplianceState
) -> None:
    device = read(ANDROID | changes)
    assert device.compliance.state is expected
    assert device.registered is (changes.get("Mode", "Active") in {"Active", "Disabled"})


def test_no_verdict_has_a_reason() -> None:
    for changes in ({"CompliancePolicyStatus": None}, {"CompliancePolicyStatus": "Pending"}, {"Kind": "X"}):
        assert read(ANDROID | changes).compliance.reasons


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, PASS),
        ({"ComplianceStatus": False}, FAIL),
        ({"ComplianceStatus": None}, OPEN),
        ({"CompliancePolicyStatus": "Pending"}, PASS),
        ({"CompliancePolicyStatus": "NonCompliant"}, FAIL),
        ({"CompliancePolicyStatus": "Splendid"}, OPEN),
        ({"CompliancePolicyStatus": "Compliant", "ComplianceStatus": None}, OPEN),
        ({"Kind": "ZebraPrinter"}, PASS),
    ],
)
def test_windows_and_printers_have_the_default_check_alone(
    changes: dict[str, Any], expected: ComplianceState
) -> None:
    assert state(WINDOWS | changes) is expected


def test_an_older_server_has_the_default_check_alone() -> None:
    old = {name: value for name, value in ANDROID.items() if name != "CompliancePolicyStatus"}
    assert state(old, policies=False) is PASS
    assert state(old | {"ComplianceStatus": False}, policies=False) is FAIL
    assert state(old) is OPEN  # on a newer one, it is a device without policy
    assert state(old | {"CompliancePolicyStatus": "Pending"}, policies=False) is OPEN


@pytest.mark.parametrize(
    ("word", "expected"),
    [("NotApplicable", PASS), ("Compliant", PASS), ("NonCompliant", FAIL), ("New", OPEN), (7.5, OPEN)],
)
def test_entras_word_counts_where_the_settings_say_so(word: Any, expected: ComplianceState) -> None:
    row = ANDROID | {"AzureComplianceStatus": word}
    assert state(row, azure=True) is expected
    assert state(row) is PASS


@pytest.mark.parametrize(
    ("changes", "encrypted"),
    [
        ({"HardwareEncryption": "None"}, False),
        ({"HardwareEncryption": "DataProtectionEnabled"}, True),
        ({"HardwareEncryption": "Both"}, None),
        ({"FDEEnabled": True, "HardwareEncryption": "None"}, True),
    ],
)
def test_what_hardware_can_do_is_no_encryption(changes: dict[str, Any], encrypted: bool | None) -> None:
    assert read(WINDOWS | changes).disk_encrypted is encrypted


def test_recovery_values_are_left_out() -> None:
    row = IOS | {"Inner": [{"FileVaultRecoveryKey": "RECOVER-ME", "Left": 1}]}
    kept = read(row, raw=True).raw
    assert kept["Inner"] == [{"Left": 1}]
    assert kept["PasscodeEnabled"] is True
    assert "BYPASS-ME-NOT" not in repr(kept)


def test_policies_that_fail_are_named() -> None:
    rows = [
        Record({"Name": "Apps", "Status": "NonCompliant", "Description": "No games"}),
        Record({"Name": "Default", "Status": "Compliant"}),
    ]
    assert failing(rows) == {"Apps: No games": "Apps"}
    with pytest.raises(MalformedResponseError):
        failing([Record({"Name": "Apps"})])


def test_the_noncompliant_list_has_no_devices_that_left() -> None:
    bad = ANDROID | {"CompliancePolicyStatus": "NonCompliant"}
    rows = [ANDROID, bad, bad | {"Mode": "UnenrolledByAdmin"}, bad | {"Mode": "Dancing"}]
    assert len(selected([read(row) for row in rows])) == 2


@pytest.mark.parametrize("row", [{}, {"ErrorMessage": "no"}, [], None, ANDROID | {"DeviceId": None}])
def test_what_has_no_id_is_no_device(row: Any) -> None:
    with pytest.raises(MalformedResponseError):
        read(row)


def test_keys_are_proven_by_what_is_shown() -> None:
    device = read(IOS)
    assert device.matches(Udid(IOS["DeviceId"].upper())) is True
    assert device.matches(Serial("SN0017")) is False
