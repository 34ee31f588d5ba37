"""From Graph's records to devices, and one verdict from two."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from mdmsdk.client.verdict import ruled
from mdmsdk.client.verdict import settle as client_verdict
from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Mac
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.settings import Rules
from mdmsdk_intune.records import GraphRow, is_leaving, read_device, settle
from mdmsdk_intune.settings import IntuneSettings

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = IntuneSettings(tenant_id="example.com", client_id="app-1", client_secret=SecretStr("a-secret"))
NOW = datetime(2026, 1, 20, tzinfo=UTC)
ROW = {
    "id": "6f1b0e52-9a55-4c0c-8d14-0d5a3c1f7e01",
    "complianceState": "compliant",
    "managementState": "managed",
}


def read(**changes: Any) -> Device:
    return read_device(GraphRow({**ROW, **changes}), SETTINGS, now=NOW)


@pytest.fixture
def samples(request: pytest.FixtureRequest) -> Path:
    return request.path.parents[2] / "samples/intune"


def test_a_phone_with_odd_values(samples: Path) -> None:
    row = json.loads((samples / "phone.json").read_text(encoding="utf-8"))
    device = read_device(GraphRow(row), SETTINGS)
    assert device.id is None  # zeros: not known to Entra ID
    assert device.guid == "0b7d5a1e-52c4-4e0f-9a63-7c1f3f6e2d10"
    assert device.serial_number is None  # "0" is no serial number
    assert device.mac_addresses == (Mac("A0:00:00:5E:00:01"),)
    assert (device.udid, device.meid, device.user) == (None, None, None)
    assert device.imei == "001012345678905"
    assert device.last_check_in is None
    assert device.disk_encrypted is None  # not False: it never said
    assert device.jailbroken is None
    assert device.compliance.state is ComplianceState.GRACE
    assert "2026-02-01" in device.compliance.reasons[0]
    assert "never checked in" in str(device.compliance.remediation)


def test_a_laptop_with_everything(samples: Path) -> None:
    row = json.loads((samples / "laptop.json").read_text(encoding="utf-8"))
    device = read_device(
        GraphRow(row), SETTINGS.model_copy(update={"keep_raw": True}), portal="https://portal.example.com"
    )
    assert device.mac_addresses == (Mac("00:00:5E:00:00:0A"), Mac("00:00:5E:00:00:0B"))
    assert device.id == "c2a1e7d4-8f39-4b6a-90d5-1e4f7a2b3c58"
    assert device.last_check_in == datetime(2026, 1, 14, 8, 15, 30, 123456, tzinfo=UTC)
    assert (device.disk_encrypted, device.jailbroken, device.registered) == (True, False, True)
    assert (
        device.compliance.remediation
        == "Open https://portal.example.com on the device, or sync it in the Company Portal app."
    )
    assert device.raw["futureProperty"] == {"nested": [1]}


@pytest.mark.parametrize(
    ("word", "state", "reasons"),
    [
        ("compliant", ComplianceState.COMPLIANT, 0),
        ("noncompliant", ComplianceState.NONCOMPLIANT, 0),
        ("inGracePeriod", ComplianceState.GRACE, 0),
        ("conflict", ComplianceState.NONCOMPLIANT, 1),
        ("error", ComplianceState.NONCOMPLIANT, 1),
        ("unknown", ComplianceState.UNKNOWN, 1),
        ("configManager", ComplianceState.UNKNOWN, 1),
        ("brandNewWord", ComplianceState.UNKNOWN, 0),
    ],
)
def test_each_state(word: str, state: ComplianceState, reasons: int) -> None:
    compliance = read(complianceState=word).compliance
    assert compliance.state is state
    assert len(compliance.reasons) == reasons
    assert compliance.vendor_state == word


UNREADABLE: list[Any] = [[True], {"a": 1}, True, ["managed"], ["compliant"], 1.5]


@pytest.mark.parametrize("value", ["", None, 1, "YES", "maybe", *UNREADABLE])
def test_a_state_that_is_no_word_of_intunes_is_no_verdict(value: object) -> None:
    assert read(complianceState=value).compliance.state is ComplianceState.UNKNOWN
    assert read(managementState=value).registered is False


@pytest.mark.parametrize("name", ["complianceState", "managementState", "deviceRegistrationState"])
@pytest.mark.parametrize("value", UNREADABLE)
def test_what_could_speak_against_a_device_and_cannot_be_read_is_told(name: str, value: object) -> None:
    device = read(**{name: value})
    assert device.unreadable == {name}
    assert client_verdict(device, "s", "intune").compliance.state is ComplianceState.UNKNOWN


@given(st.text())
def test_only_the_one_word_is_a_pass(word: str) -> None:
    state = read(complianceState=word).compliance.state
    assert (state is ComplianceState.COMPLIANT) == (word.lower() == "compliant")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("True", True),
        ("False", False),
        ("true", True),
        ("Unknown", None),
        ("", None),
        (None, None),
        ([True], None),
        ("maybe", None),
    ],
)
def test_jailbroken_is_a_text(text: object, expected: bool | None) -> None:
    assert read(jailBroken=text).jailbroken is expected


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59Z", "", None, "soon"],
)
def test_sentinel_dates_are_none(moment: str | None) -> None:
    assert read(lastSyncDateTime=moment).last_check_in is None


@pytest.mark.parametrize(
    "moment", ["2026-01-15T12:00:00Z", "2026-01-15T12:00:00.000000Z", "2026-01-15T12:00:00.0000000Z"]
)
def test_dates_of_any_precision(moment: str) -> None:
    assert read(lastSyncDateTime=moment).last_check_in == datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "registered", "leaving"),
    [
        ("managed", True, False),
        ("unhealthy", True, False),
        ("wipeCanceled", True, False),
        ("retireFailed", True, False),
        ("retireIssued", False, True),
        ("wipePending", False, True),
        ("discovered", False, True),
        # Nobody knows, so that it does not pass; but one that is noncompliant stays in the list.
        ("somethingNew", False, False),
        (None, False, False),
    ],
)
def test_a_device_on_its_way_out_is_not_registered(
    *, state: str | None, registered: bool, leaving: bool
) -> None:
    assert read(managementState=state).registered is registered
    assert is_leaving(GraphRow({**ROW, "managementState": state})) is leaving
    unclear = set() if registered or leaving else {"managementState"}
    assert read(managementState=state).unreadable == unclear


@pytest.mark.parametrize(
    "registration",
    ["notRegistered", "notRegisteredPendingEnrollment", "revoked", "keyConflict", "approvalPending", "new"],
)
@pytest.mark.parametrize("word", ["compliant", "noncompliant"])
def test_how_a_device_stands_with_entra_id_is_told_and_is_no_verdict(word: str, registration: str) -> None:
    device = read(complianceState=word, deviceRegistrationState=registration)
    assert device.registered
    assert device.compliance.state == word
    assert device.compliance.vendor_state == f"{word} (registration: {registration})"
    assert read(deviceRegistrationState="registered").compliance.vendor_state == "compliant"


@pytest.mark.parametrize(
    ("seen", "hint"),
    [
        ("2026-01-19T00:00:00Z", None),
        ("2025-12-01T00:00:00Z", "for 50 days"),
        ("2026-01-25T00:00:00Z", None),
        (None, "never checked in"),
    ],
)
def test_a_device_that_does_not_check_in_gets_a_hint_and_keeps_its_verdict(
    seen: str | None, hint: str | None
) -> None:
    compliance = read(lastSyncDateTime=seen).compliance
    assert compliance.state is ComplianceState.COMPLIANT
    assert (hint in str(compliance.remediation)) if hint else compliance.remediation is None


@pytest.mark.parametrize("value", ["", None, [ROW["id"]], "0", "00000000-0000-0000-0000-000000000000"])
def test_a_record_without_id_is_malformed(value: object) -> None:
    with pytest.raises(MalformedResponseError):
        read(id=value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"serialNumber": ["S-1"]}, "serial_number"),
        ({"imei": {"a": 1}}, "imei"),
        ({"azureADDeviceId": True}, "id"),
        ({"deviceName": ["laptop"]}, "name"),
        ({"userPrincipalName": 1.5}, "user"),
        ({"udid": []}, "udid"),
        ({"wiFiMacAddress": "01005E000001"}, "mac_addresses"),
        ({"ethernetMacAddress": "0026B424FEB"}, "mac_addresses"),
    ],
)
def test_identifiers_that_cannot_be_read_are_told(changes: dict[str, Any], field: str) -> None:
    assert read(**changes).unreadable == {field}


def test_an_address_that_compliance_retrieval_names_is_the_devices_too() -> None:
    row = Device(registered=True, guid=ROW["id"], mac_addresses=(Mac("00005E000003"),))
    device = settle(read(wiFiMacAddress="00005E000001", ethernetMacAddress="00005E000002"), [row])
    assert [mac.hex[-1] for mac in device.mac_addresses] == ["1", "2", "3"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "serialNumber",
                "imei",
                "jailBroken",
                "wiFiMacAddress",
                "isEncrypted",
                "lastSyncDateTime",
                "managementState",
                "deviceName",
                "azureADDeviceId",
            ]
        ),
        JSON,
    )
)
def test_any_value_in_any_field_gives_a_device(changes: dict[str, Any]) -> None:
    assert read(**changes).guid == ROW["id"]


# --- two services, one verdict ---

C, G, U, N = (
    ComplianceState.COMPLIANT,
    ComplianceState.GRACE,
    ComplianceState.UNKNOWN,
    ComplianceState.NONCOMPLIANT,
)


@pytest.mark.parametrize(
    ("graph", "retrieval", "expected", "says_so"),
    [
        (C, C, C, False),
        (N, N, N, False),
        (G, C, G, False),  # a boolean has no word for grace
        (C, N, N, True),
        (N, C, N, True),
        (G, N, N, True),
        (U, C, U, True),
        (U, N, N, True),
        (C, U, U, True),
        (U, U, U, False),
    ],
)
def test_the_strictest_counts(graph: Any, retrieval: Any, expected: Any, says_so: bool) -> None:
    own = Device(
        registered=True,
        guid="g",
        compliance=Compliance(state=graph, vendor_state=f"graph-{graph}", reasons=("own",)),
    )
    other = Device(registered=True, guid="g", compliance=Compliance(state=retrieval, vendor_state="x"))
    compliance = settle(own, [other]).compliance
    assert compliance.state is expected
    assert any("strictest" in reason for reason in compliance.reasons) == says_so
    assert (compliance.source is not None) == says_so


def test_what_retrieval_does_not_know_nobody_vouches_for() -> None:
    own = Device(registered=True, guid="g", compliance=Compliance(state=C, vendor_state="compliant"))
    compliance = settle(own, []).compliance
    assert compliance.state is U
    assert "does not know" in compliance.reasons[-1]


def test_either_can_say_that_a_device_has_left() -> None:
    own = Device(registered=True, guid="g", compliance=Compliance(state=C))
    assert (
        settle(own, [Device(guid="g", registered=False, compliance=Compliance(state=C))]).registered is False
    )


@given(st.sampled_from([C, G, U, N]), st.lists(st.sampled_from([C, G, U, N]), max_size=3))
def test_a_pass_takes_both(own: Any, others: list[Any]) -> None:
    rows = [Device(registered=True, guid="g", compliance=Compliance(state=state)) for state in others]
    state = settle(Device(registered=True, guid="g", compliance=Compliance(state=own)), rows).compliance.state
    assert (state is C) == (own is C and bool(others) and all(other is C for other in others))


@pytest.mark.parametrize("word", ["quarantined", "notCompliant", 7])
def test_rules_are_no_pass_beside_a_state_that_nobody_knows(word: object) -> None:
    device = ruled(read(complianceState=word), Rules(registered=True), NOW)
    assert client_verdict(device, "server", "intune").compliance.state is ComplianceState.UNKNOWN
    silent = ruled(read(complianceState=None), Rules(registered=True), NOW)
    assert client_verdict(silent, "server", "intune").compliance.state is ComplianceState.COMPLIANT


@pytest.mark.parametrize("word", [None, "compliant", "unknown"])
def test_rules_are_no_pass_for_a_device_that_compliance_retrieval_does_not_know(word: str | None) -> None:
    device = ruled(settle(read(complianceState=word), []), Rules(registered=True), NOW)
    assert client_verdict(device, "server", "intune").compliance.state is ComplianceState.UNKNOWN
