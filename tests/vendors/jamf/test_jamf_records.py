"""What records say: both inventories, every version, and what is missing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Meid, Serial, Udid
from mdmsdk.models import Device
from mdmsdk.rows import Row
from mdmsdk_jamf.inventory import read_page
from mdmsdk_jamf.records import COMPUTERS, MOBILE_DEVICES, REALMS, Realm, Record

SAMPLES = Path(__file__).parents[2] / "samples" / "jamf"


def sample(name: str) -> dict[str, Any]:
    return dict(json.loads((SAMPLES / name).read_text(encoding="utf-8"))["results"][0])


def read(realm: Realm, row: dict[str, Any]) -> Device:
    return realm.read(Row(row))


def test_a_computer_of_version_4() -> None:
    assert read(COMPUTERS, sample("computers-v4.json")) == Device(
        id="17",
        name="mac-0017",
        guid="11c1f3f6-6c1c-4ae2-9a27-3a4f5b1f0e17",
        udid="5F8E0C7A-2D4B-4F0E-9C55-0A1B2C3D4E5F",
        serial_number="SIMAC00017",
        mac_addresses=(Mac("00:00:5E:00:53:11"), Mac("00:00:5E:00:53:12")),
        user="ada",
        phone_number="555-0117",
        manufacturer="Apple",
        model="MacBook Air (13-inch, M3, 2024)",
        os="macOS",
        os_version="15.5.0",
        registered=True,
        disk_encrypted=True,
        last_check_in=datetime(2026, 1, 15, 11, 58, 0, 250000, tzinfo=UTC),
        other_identifiers=(Guid("5F8E0C7A-2D4B-4F0E-9C55-0A1B2C3D4E5F"),),
    )


def test_a_computer_of_an_earlier_version_has_its_contact_elsewhere() -> None:
    row = sample("computers-v4.json")
    contact = row["general"].pop("lastContact")
    del row["general"]["lastCheckIn"]
    row["general"]["lastContactTime"] = contact
    assert read(COMPUTERS, row) == read(COMPUTERS, sample("computers-v4.json"))


def test_a_mobile_device() -> None:
    device = read(MOBILE_DEVICES, sample("mobile-devices.json"))
    assert (device.id, device.guid) == ("17", "22d2f3f6-6c1c-4ae2-9a27-3a4f5b1f0e22")
    assert device.udid == "00008999-000000000000001E"
    assert (device.imei, device.meid) == ("001001000000017", None)
    assert device.mac_addresses == (Mac("02:00:5E:00:53:21"),)
    assert (device.os, device.os_version, device.registered) == ("iOS", "18.5", True)
    assert (device.disk_encrypted, device.passcode_set, device.jailbroken) == (True, True, False)
    assert device.last_check_in == datetime(2026, 1, 15, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("realm", "id_field"), [(COMPUTERS, "id"), (MOBILE_DEVICES, "mobileDeviceId")])
def test_sections_that_were_not_given_leave_values_open(realm: Realm, id_field: str) -> None:
    device = read(
        realm, {id_field: "1", "general": None, "hardware": None, "security": None, "network": None}
    )
    assert (device.disk_encrypted, device.passcode_set, device.jailbroken) == (None, None, None)
    assert device.mac_addresses == ()
    assert device.last_check_in is None
    assert not device.registered


def disk(state: str, *, enabled: bool = True) -> dict[str, Any]:
    details = {"partitionFileVault2State": state}
    return {"diskEncryption": {"fileVault2Enabled": enabled, "bootPartitionEncryptionDetails": details}}


@pytest.mark.parametrize(
    ("row", "encrypted"),
    [
        ({"diskEncryption": {"fileVault2Enabled": False}}, False),
        (
            {"diskEncryption": {"bootPartitionEncryptionDetails": {"partitionFileVault2State": "ENCRYPTED"}}},
            True,
        ),
        (
            {
                "diskEncryption": {
                    "bootPartitionEncryptionDetails": {"partitionFileVault2State": "ENCRYPTING"}
                }
            },
            None,
        ),
        ({"operatingSystem": {"fileVault2Status": "BOOT_ENCRYPTED"}}, True),
        ({"operatingSystem": {"fileVault2Status": "SOME_ENCRYPTED"}}, False),
        ({"operatingSystem": {"fileVault2Status": "NOT_APPLICABLE"}}, None),
        # What contradicts itself is not encrypted, but for other partitions than the one that it starts from.
        *(
            ({**disk(state), "operatingSystem": {"fileVault2Status": whole}}, encrypted)
            for state, whole, encrypted in [
                ("ENCRYPTED", "ALL_ENCRYPTED", True),
                ("ENCRYPTED", "SOME_ENCRYPTED", True),
                ("UNENCRYPTED", "ALL_ENCRYPTED", False),
                ("DECRYPTING", "BOOT_ENCRYPTED", False),
                ("ENCRYPTED", "NOT_ENCRYPTED", False),
                ("ENCRYPTING", "", True),
            ]
        ),
        (disk("ENCRYPTED", enabled=False), False),
        ({"operatingSystem": {"fileVault2Status": "A_NEW_WORD"}}, None),
    ],
)
def test_encryption_of_computers(row: dict[str, Any], encrypted: bool | None) -> None:
    assert read(COMPUTERS, {"id": "1", **row}).disk_encrypted is encrypted


@pytest.mark.parametrize(
    ("security", "encrypted"),
    [({"dataProtected": False, "hardwareEncryption": 3}, False), ({"hardwareEncryption": 3}, True)]
    + [({"hardwareEncryption": 1}, None)],
)
def test_encryption_of_mobile_devices(security: dict[str, Any], encrypted: bool | None) -> None:
    assert read(MOBILE_DEVICES, {"mobileDeviceId": "1", "security": security}).disk_encrypted is encrypted


def test_words_are_flags_where_they_say_yes_or_no() -> None:
    row = {"mobileDeviceId": "1", "security": {"jailBreakDetected": "Normal", "passcodePresent": "true"}}
    device = read(MOBILE_DEVICES, row)
    assert (device.jailbroken, device.passcode_set) == (None, True)


ODD: list[Any] = [[True], {"a": 1}, "maybe", 2, 1.0]


@pytest.mark.parametrize("value", [*ODD, 1, "YES", True, False, None, ""])
@pytest.mark.parametrize("realm", REALMS.values(), ids=list(REALMS))
def test_a_device_is_managed_only_if_the_record_says_so_readably(realm: Realm, value: Any) -> None:
    management = {"remoteManagement": {"managed": value}} if realm is COMPUTERS else {"managed": value}
    device = read(realm, {realm.id_field: "1", "general": management})
    readable = value in (True, False, "YES") and not isinstance(value, float)
    assert device.registered == (readable and bool(value))
    assert device.unreadable == (set() if readable else {"managed"})


@pytest.mark.parametrize("general", [None, {}, {"remoteManagement": None}, {"remoteManagement": {}}])
@pytest.mark.parametrize("realm", REALMS.values(), ids=list(REALMS))
def test_a_record_that_is_silent_about_management_says_not_that_the_device_left(
    realm: Realm, general: Any
) -> None:
    assert read(realm, {realm.id_field: "1", "general": general}).unreadable == {"managed"}


@pytest.mark.parametrize("value", ODD)
def test_what_cannot_be_read_keeps_no_rule(value: Any) -> None:
    computer: dict[str, Any] = {
        "diskEncryption": {"fileVault2Enabled": value},
        "operatingSystem": {"fileVault2Status": "ALL_ENCRYPTED"},
    }
    assert read(COMPUTERS, {"id": "1", **computer}).disk_encrypted is None
    security = dict.fromkeys(("jailBreakDetected", "passcodePresent", "dataProtected"), value)
    device = read(MOBILE_DEVICES, {"mobileDeviceId": "1", "security": {**security, "hardwareEncryption": 3}})
    assert (device.jailbroken, device.passcode_set, device.disk_encrypted) == (None, None, None)


@pytest.mark.parametrize("state", ["ENCRYPTED", ["ENCRYPTED"]])
@pytest.mark.parametrize("whole", ["ALL_ENCRYPTED", {"a": 1}])
def test_encryption_that_cannot_be_read_in_one_place_is_not_taken_from_another(
    state: Any, whole: Any
) -> None:
    row = {"id": "1", **disk(state), "operatingSystem": {"fileVault2Status": whole}}
    readable = isinstance(state, str) and isinstance(whole, str)
    assert read(COMPUTERS, row).disk_encrypted is (True if readable else None)


@pytest.mark.parametrize(
    ("section", "name", "value", "key"),
    [
        ("hardware", "wifiMacAddress", "0026B424FEB", Mac("00:26:B4:24:FE:B1")),
        ("hardware", "wifiMacAddress", ["00:26:B4:24:FE:B1"], None),
        ("hardware", "serialNumber", ["S1"], Serial("S1")),
        ("general", "udid", {"a": 1}, Udid("U-1")),
        ("general", "managementId", [True], Guid("G-1")),
        ("network", "imei", "0123456789", Imei("001001000000017")),
        ("network", "meid", ["A1"], Meid("A1000009ABCDEF")),
    ],
)
def test_an_identifier_that_cannot_be_read_contradicts_the_key(
    section: str, name: str, value: Any, key: Key | None
) -> None:
    device = read(MOBILE_DEVICES, {"mobileDeviceId": "1", section: {name: value}})
    assert device.matches(key or Mac("00:26:B4:24:FE:B1")) is (key is None)


def test_a_device_is_known_by_two_guids_and_all_its_addresses() -> None:
    device = read(COMPUTERS, sample("computers-v4.json"))
    for guid in (device.guid, device.udid):
        assert device.matches(Guid(guid or ""))
    for udid in ("5F8E0C7A-2D4B-4F0E-9C55-0A1B2C3D4E5F", "5f8e0c7a2d4b4f0e9c550a1b2c3d4e5f"):
        assert device.matches(Udid(udid))
    assert device.shown(Mac) == device.mac_addresses
    assert device.shown(Serial) == (Serial("simac00017"),)


def test_the_numbers_of_all_lines_are_known() -> None:
    row = sample("mobile-devices.json")
    row["serviceSubscriptions"] = [
        {"imei": "00 100100 000001 7", "meid": "A1000009ABCDEF"},
        {"imei": "00 100100 000002 5", "meid": ""},
    ]
    device = read(MOBILE_DEVICES, row)
    assert (device.imei, device.meid) == ("001001000000017", "A1000009ABCDEF")
    for text in ("00100100000001", "001001000000025", "00-100100-000002-5", "0010010000000299"):
        assert device.matches(Imei(text)), text
    assert device.matches(Imei("001001000000033")) is False


@pytest.mark.parametrize("realm", REALMS.values(), ids=list(REALMS))
def test_a_record_without_an_id_or_with_odd_sections_is_refused(realm: Realm) -> None:
    with pytest.raises(MalformedResponseError):
        Record.read(realm, Row({}))
    with pytest.raises(MalformedResponseError):
        read(realm, {realm.id_field: "1", "general": "odd"})


leaves = st.none() | st.booleans() | st.integers() | st.text()
rows = st.dictionaries(
    st.sampled_from(
        ["id", "mobileDeviceId", "udid", "general", "hardware", "security", "network", "deviceType"]
    ),
    leaves
    | st.dictionaries(st.sampled_from(["managed", "udid", "lastContact", "macAddress", "imei"]), leaves),
)


@given(rows, st.sampled_from(list(REALMS.values())))
def test_any_record_is_a_device_or_refused(row: dict[str, Any], realm: Realm) -> None:
    try:
        device = read(realm, row)
    except MalformedResponseError:
        return
    assert device.registered in {True, False}


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"results": []}, {"results": {}, "totalCount": 0}, {"results": ["x"], "totalCount": 1}]
    + [{"results": [], "totalCount": total} for total in (True, -1, "many", None, 1.0)],
)
def test_what_is_no_page_is_refused(payload: Any) -> None:
    with pytest.raises(MalformedResponseError):
        read_page(payload)
