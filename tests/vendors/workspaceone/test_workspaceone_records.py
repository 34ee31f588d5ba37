"""Records in each spelling, from samples."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.client.verdict import pick, settle
from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import ComplianceState, Device
from mdmsdk_workspaceone.records import Record, failed

Sample = Callable[[str], dict[str, Any]]
LONDON = ZoneInfo("Europe/London")
WIFI, ETHERNET = Mac("00005E005311"), Mac("00005E005312")


def read(row: Any, **options: Any) -> Device:
    return Record(row).device(LONDON, **options)


@pytest.mark.parametrize("name", ["v1-device", "v2-uuid", "v3-uuid", "v3-row"])
def test_every_spelling_is_the_same_device(sample: Sample, name: str) -> None:
    device = read(sample(name))
    assert device.guid == "3f0c7a52-91b4-4d0e-8a6f-5c1d2e3f4a5b"
    assert device.udid == "A1B2C3D4E5F60718293A4B5C6D7E8F90"
    assert device.serial_number == "SIMWS10001"
    assert device.imei == "001001234567891"
    assert device.mac_addresses[0] == WIFI
    assert device.user == "mira.novak"
    assert device.model == "Latitude 7450"
    assert device.os_version == "10.0.22631.4602"
    assert device.phone_number == "+12015550101"
    assert device.registered is True
    assert device.disk_encrypted is False
    assert device.compliance.state is ComplianceState.NONCOMPLIANT
    # Naive in searches (an hour ahead, British summer time), with a zone by UUID.
    assert device.last_check_in == datetime(2021, 6, 28, 1, 59, 29, 77000, UTC)


def test_what_only_some_spellings_have(sample: Sample) -> None:
    assert [read(sample(name)).id for name in ("v1-device", "v2-uuid", "v3-uuid", "v3-row")] == [
        "10001",
        None,
        "10001",
        "10001",
    ]
    assert read(sample("v1-device")).name == "laptop-10001"
    assert read(sample("v3-row")).name == "WS-10001"
    assert read(sample("v1-device")).manufacturer == "Dell Inc."
    assert read(sample("v3-uuid")).passcode_set is True
    assert read(sample("v1-device")).passcode_set is None
    assert read(sample("v1-device")).jailbroken is False
    assert read(sample("v3-uuid")).jailbroken is None


def test_all_network_interfaces_count(sample: Sample) -> None:
    for name in ("v1-device", "v3-row"):
        assert read(sample(name)).mac_addresses == (WIFI, ETHERNET)


def test_a_second_modem_counts(sample: Sample) -> None:
    assert read(sample("v1-device")).shown(Imei) == (Imei("001001234567891"), Imei("001009876543217"))


@pytest.mark.parametrize("name", ["v1-device", "v3-row"])
def test_failing_policies_are_the_reasons(sample: Sample, name: str) -> None:
    compliance = read(sample(name)).compliance
    assert compliance.reasons == ("Disk encryption",)
    assert compliance.source == "Disk encryption"


def test_policies_in_detail(sample: Sample) -> None:
    summary = Record(sample("v1-device")["ComplianceSummary"])
    assert failed(summary.policies()) == {"Disk encryption: Encryption is on": "Disk encryption"}


PASS, FAIL, OPEN = ComplianceState.COMPLIANT, ComplianceState.NONCOMPLIANT, ComplianceState.UNKNOWN
STATES = {
    "COMPLIANT": PASS,
    "Compliant": PASS,
    "ALLOWED": PASS,
    "NOT_COMPLIANT": FAIL,
    "NonCompliant": FAIL,
    "NON_COMPLIANT": FAIL,
    "Not Compliant": FAIL,
    "BLOCKED": FAIL,
    "QUARANTINED": FAIL,
    "UNKNOWN": OPEN,
    "NOT_AVAILABLE": OPEN,
    "NotAvailable": OPEN,
    "NOT_APPLICABLE": OPEN,
    "PENDING_COMPLIANCE_CHECK": OPEN,
    "PENDING_COMPLIANCE_CHECK_FOR_A_POLICY": OPEN,
    "REGISTRATION_ACTIVE": OPEN,
    "REGISTRATION_EXPIRED": OPEN,
    "InCompliance": OPEN,
    "true": OPEN,
}


@pytest.mark.parametrize(("word", "state"), STATES.items())
def test_each_word_has_its_state_and_is_kept(word: str, state: ComplianceState) -> None:
    for row in (
        {"ComplianceStatus": word},
        {"compliance_status": word},
        {"enrollment_info": {"compliance_status": word}},
    ):
        compliance = read(row).compliance
        assert (compliance.state, compliance.vendor_state) == (state, word)


def test_words_that_are_no_verdict_have_different_reasons() -> None:
    words = [word for word, state in STATES.items() if state is OPEN and word.isupper() and "_" in word]
    reasons = {read({"ComplianceStatus": word}).compliance.reasons for word in words}
    assert len(reasons) == len(words)
    assert () not in reasons


@pytest.mark.parametrize("number", [0, 1, 3, 4, True])
def test_a_number_is_no_verdict_and_no_enrolment(number: int) -> None:
    device = read({"ComplianceStatus": number, "EnrollmentStatus": number})
    assert (device.compliance.state, device.registered) == (OPEN, False)


@pytest.mark.parametrize(
    ("word", "registered"),
    [
        ("Enrolled", True),
        ("ENROLLED", True),
        ("USER_ENROLLED", True),
        ("Unenrolled", False),
        ("ENROLLMENT_IN_PROGRESS", False),
        ("ENROLLMENTINPROGRESS", False),
        ("ENTERPRISE_WIPE_PENDING", False),
        ("REGISTERED", False),
        ("RETIRED", False),
        ("", False),
        (None, False),
    ],
)
def test_only_enrolled_is_registered(word: str | None, registered: bool) -> None:
    assert read({"EnrollmentStatus": word, "ComplianceStatus": "Compliant"}).registered is registered


@pytest.mark.parametrize(("value", "state"), [(True, PASS), (False, FAIL), ("yes", OPEN), (None, OPEN)])
def test_version_2_has_a_boolean(value: Any, state: ComplianceState) -> None:
    assert read({"enrollmentInfo": {"compliant": value}}).compliance.state is state


def test_a_word_goes_before_a_boolean() -> None:
    row = {"compliance_status": "QUARANTINED", "enrollment_info": {"compliant": True}}
    assert read(row).compliance.state is FAIL


def test_of_two_words_the_stricter_counts() -> None:
    row = {"compliance_status": "COMPLIANT", "compliance_summary": {"overall_compliance_status": "BLOCKED"}}
    assert read(row).compliance.state is FAIL


def test_a_failing_policy_takes_compliant_back() -> None:
    policies = [{"PolicyName": "Passcode", "CompliantStatus": False}]
    row = {"ComplianceStatus": "Compliant", "ComplianceSummary": {"DeviceCompliance": policies}}
    compliance = read(row).compliance
    assert compliance.state is OPEN
    assert compliance.vendor_state == "Compliant"
    assert compliance.reasons[0] == "Passcode"


def test_a_compromised_device_is_told() -> None:
    device = read({"ComplianceStatus": "NonCompliant", "CompromisedStatus": True})
    assert device.jailbroken is True
    assert any("compromised" in reason for reason in device.compliance.reasons)
    assert read({"ComplianceStatus": "Compliant"}).jailbroken is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001-01-01T00:00:00.000", None),
        ("9999-12-31T23:59:59.999", None),
        ("0001-01-01T00:00:00.000Z", None),
        ("1753-01-01T00:00:00.000", None),
        ("1970-01-01T01:00:00.000", None),
        ("", None),
        ("yesterday", None),
        (20210628, None),
        ("2026-01-15T12:00:00.000", datetime(2026, 1, 15, 12, tzinfo=UTC)),
        ("2026-07-15T12:00:00.000", datetime(2026, 7, 15, 11, tzinfo=UTC)),
        ("2026-07-15T12:00:00.000+02:00", datetime(2026, 7, 15, 10, tzinfo=UTC)),
        ("2026-07-15T12:00:00Z", datetime(2026, 7, 15, 12, tzinfo=UTC)),
    ],
)
def test_times(text: Any, expected: datetime | None) -> None:
    assert read({"LastSeen": text}).last_check_in == expected


@pytest.mark.parametrize(
    "row",
    [
        {"Uuid": "00000000-0000-0000-0000-000000000000", "MacAddress": "", "Id": {}, "Imei": ""},
        {"Uuid": "", "MacAddress": "000000000000", "Id": {"Value": 0}, "DeviceNetworkInfo": {}},
        {"Uuid": None, "Id": None, "DeviceNetworkInfo": [{"MACAddress": None}]},
        {},
    ],
)
def test_absent_data_is_none(row: dict[str, Any]) -> None:
    device = read(row)
    assert (device.guid, device.id, device.imei, device.mac_addresses) == (None, None, None, ())
    assert (device.disk_encrypted, device.passcode_set, device.jailbroken) == (None, None, None)
    assert device.compliance.state is OPEN


GOOD = {"Id": {"Value": 1}, "EnrollmentStatus": "Enrolled", "ComplianceStatus": "Compliant"}
NOISE: list[Any] = [[True], {"a": 1}, 1.5, ["Compliant"]]


def judged(row: dict[str, Any]) -> Device:
    """The record as the client hands it out."""
    return settle(read(row), "uem", "workspaceone")


def policy(**changes: Any) -> dict[str, Any]:
    return {
        "ComplianceSummary": {"DeviceCompliance": [{"PolicyName": "P", "CompliantStatus": True, **changes}]}
    }


def test_a_good_record_is_compliant() -> None:
    assert judged(GOOD).compliance.state is PASS
    assert judged(GOOD | policy()).compliance.state is PASS


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("EnrollmentStatus", [*NOISE, True, 1, "YES", "maybe"]),
        ("ComplianceStatus", [*NOISE, True, 1, "YES", "maybe"]),
        ("CompromisedStatus", [*NOISE, 2, "maybe"]),
        ("enrollment_info", [{"compliance_status": value} for value in (*NOISE, True, "maybe")]),
        ("enrollmentInfo", [{"compliant": value} for value in (*NOISE, 1, "yes", "maybe")]),
        ("compliance_summary", [{"overall_compliance_status": value} for value in (*NOISE, True, "maybe")]),
        (
            "ComplianceSummary",
            [policy(CompliantStatus=value)["ComplianceSummary"] for value in (*NOISE, "maybe")],
        ),
        (
            "ComplianceSummary",
            [
                policy(CompliancePending=value, CompliantStatus=False)["ComplianceSummary"]
                for value in (*NOISE, "maybe")
            ],
        ),
    ],
)
def test_a_fact_against_the_device_that_cannot_be_read_leaves_no_verdict(
    member: str, values: list[Any]
) -> None:
    for value in values:
        assert judged(GOOD | {member: value}).compliance.state is OPEN, value


@pytest.mark.parametrize("value", [True, 1, "1", "YES", "true", "Y"])
def test_compromised_is_read_in_every_form_and_no_pass(value: Any) -> None:
    device = judged(GOOD | {"CompromisedStatus": value})
    assert (device.jailbroken, device.compliance.state) == (True, OPEN)
    assert device.compliance.reasons == ("The device is compromised (jailbroken or rooted).",)


@pytest.mark.parametrize("first", [None, [], [{"PolicyName": "P", "CompliantStatus": True}]])
@pytest.mark.parametrize("word", ["NonCompliant", "BLOCKED", "NOT_AVAILABLE", "maybe", None])
def test_both_lists_of_policies_are_read(first: Any, word: str | None) -> None:
    summary = {"DeviceCompliance": first, "CompliancePolicyResults": [{"ComplianceStatus": word}]}
    assert judged(GOOD | {"ComplianceSummary": summary}).compliance.state is OPEN
    summary["CompliancePolicyResults"] = [{"ComplianceStatus": "COMPLIANT"}]
    assert judged(GOOD | {"ComplianceSummary": summary}).compliance.state is PASS


@pytest.mark.parametrize(
    "changes",
    [
        {"CompliantStatus": None},
        {"CompliantStatus": False, "CompliancePending": True},
        {"CompliancePending": 1},
    ],
)
def test_a_policy_without_a_result_is_no_pass(changes: dict[str, Any]) -> None:
    compliance = judged(GOOD | policy(**changes)).compliance
    assert compliance.state is OPEN
    assert compliance.reasons == ("The server calls the device compliant although a policy has no result.",)


def test_a_record_is_passed_over_only_if_it_says_that_its_device_left() -> None:
    def verdict(**changes: Any) -> ComplianceState:
        bad = {"Id": 2, "ComplianceStatus": "NonCompliant", **changes}
        chosen = pick([read(GOOD), read(bad)])
        assert chosen is not None
        return chosen.compliance.state

    unclear: list[Any] = [*NOISE, None, "", "maybe", "UNKNOWN", 4]
    assert {verdict(EnrollmentStatus=value) for value in unclear} == {FAIL}
    assert verdict() is FAIL
    assert verdict(EnrollmentStatus="RETIRED", enrollment_info={"enrollment_status": "maybe"}) is FAIL
    assert {verdict(EnrollmentStatus=word) for word in ("Unenrolled", "DEVICE_WIPE_PENDING")} == {PASS}


def test_a_boolean_counts_beside_a_pass_that_was_taken_back() -> None:
    compromised = Record(GOOD | {"CompromisedStatus": True})
    compromised.add(Record({"enrollmentInfo": {"compliant": False}}))
    assert compromised.device(LONDON).compliance.state is FAIL


def test_another_record_of_the_same_device_adds_what_is_left_out(sample: Sample) -> None:
    record = Record(sample("v1-device") | {"LastSeen": "2021-06-28T02:59:29.077"})
    before = record.device(LONDON)
    record.add(Record(sample("v3-uuid")))
    after = record.device(LONDON)
    assert (before.passcode_set, after.passcode_set) == (None, True)
    changed = {name for name, value in after.model_dump().items() if value != before.model_dump()[name]}
    assert changed == {"passcode_set"}
    silent = Record({"Id": 10001})
    silent.add(Record(sample("v3-uuid")))
    device = silent.device(LONDON)
    assert (device.user, device.passcode_set) == (None, True)
    assert [device.shown(kind) for kind in (Guid, Udid, Serial, Imei, Mac)] == [()] * 5
    never = sample("v3-uuid")
    never["enrollment_info"] |= {"last_seen_timestamp": "0001-01-01T00:00:00Z", "enrollment_status": "maybe"}
    record.add(Record(never))
    assert record.device(LONDON).last_check_in == before.last_check_in
    assert record.device(LONDON).registered is False
    assert "EnrollmentStatus" in record.unreadable


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"CompromisedStatus": True}, OPEN),
        ({"CompromisedStatus": "maybe"}, OPEN),
        ({"Compliant": False}, FAIL),
        ({"ComplianceSummary": {"OverallComplianceStatus": "NonCompliant"}}, FAIL),
        (policy(CompliantStatus=False), OPEN),
    ],
)
def test_what_any_part_of_the_records_says_against_the_device_counts(
    changes: dict[str, Any], state: ComplianceState
) -> None:
    first = GOOD | {"CompromisedStatus": False, "Compliant": True}
    record = Record(first)
    record.add(Record(GOOD | changes))
    assert settle(record.device(LONDON), "uem", "workspaceone").compliance.state is state
    assert judged(first | {"EnrollmentInfo": changes}).compliance.state is state


def test_two_levels_of_one_record_are_both_read() -> None:
    assert judged(GOOD | {"enrollment_info": {"compliance_status": "BLOCKED"}}).compliance.state is FAIL
    assert judged(GOOD | {"enrollment_info": {"enrollment_status": "RETIRED"}}).registered is False
    assert judged(GOOD | {"enrollmentInfo": {"compliant": False}}).compliance.state is FAIL


@pytest.mark.parametrize(
    "row",
    [
        {"ComplianceStatus": "Compliant", "compliance_status": "Compliant"},
        {"Udid": "a", "udid": "b"},
        {"enrollment_info": {"complianceStatus": "COMPLIANT", "compliance_status": "BLOCKED"}},
        {"ComplianceSummary": {"DeviceCompliance": [{"PolicyName": "P", "policy_name": "P"}]}},
        {"ComplianceSummary": "none"},
        {"enrollment_info": [{}]},
        {"DeviceNetworkInfo": [7]},
    ],
)
def test_a_record_that_says_a_thing_twice_or_otherwise_than_it_should_is_malformed(
    row: dict[str, Any],
) -> None:
    with pytest.raises(MalformedResponseError):
        read(row)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"MacAddress": "0026B424FEB"}, Mac("0026B424FEB1")),
        ({"MacAddress": "01005E005311"}, Mac("0026B424FEB1")),
        ({"DeviceNetworkInfo": [{"MACAddress": 7}]}, Mac("0026B424FEB1")),
        ({"Imei": "1234567890"}, Imei("001001234567891")),
        ({"SerialNumber": ["SIMWS10001"]}, Serial("SIMWS10001")),
        ({"Udid": {"a": "b"}}, Udid("A1B2C3D4E5F60718293A4B5C6D7E8F90")),
        ({"Id": {"Value": [1]}}, DeviceId("1")),
        ({"Uuid": 1.5}, Guid("3f0c7a52-91b4-4d0e-8a6f-5c1d2e3f4a5b")),
    ],
)
def test_an_identifier_that_cannot_be_read_contradicts(row: dict[str, Any], key: Key) -> None:
    assert read(row).matches(key) is False
    assert read({}).matches(key) is None


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"Platform": "Apple", "Model": "iPhone 15 (128 GB)"}, "iOS"),
        ({"Platform": "Apple", "Model": "iPad Air"}, "iPadOS"),
        ({"device_type": "APPLE", "platform_name": "iOS"}, "iOS"),
        ({"platform_info": {"device_type": "APPLE", "platform_name": "iOS", "model": "iPad Air"}}, "iPadOS"),
        ({"Platform": "AppleOsX"}, "macOS"),
        ({"device_type": "APPLE_OS_X"}, "macOS"),
        ({"Platform": "WinRT"}, "Windows"),
        ({"device_type": "WIN_RT"}, "Windows"),
        ({"platformInfo": {"platformName": "Android"}}, "Android"),
        ({"Platform": "QNX"}, "QNX"),
        # The name is a text of the vendor's, the type a word of a list.
        ({"platform_name": "Apple iOS", "device_type": "APPLE"}, "iOS"),
        ({"platform_name": "Windows Desktop", "device_type": "WINDOWS_PC"}, "Windows"),
        ({"platform_info": {"device_type": "APPLE_OS_X", "platform_name": "Apple macOS"}}, "macOS"),
        ({"platform_name": "Some board", "device_type": "IOT_DEVICE"}, "Some board"),
        ({}, None),
    ],
)
def test_the_system_has_its_usual_name(row: dict[str, Any], name: str | None) -> None:
    assert read(row).os == name


@pytest.mark.parametrize("row", [None, 7, "text", [], [{}]])
def test_what_is_no_object_is_no_device(row: Any) -> None:
    with pytest.raises(MalformedResponseError):
        Record(row)


def test_the_record_is_kept_on_request_and_without_secrets(sample: Sample) -> None:
    row = sample("v1-device") | {
        "PersonalRecoveryKey": "hush-1",
        "Security": {"UnlockPin": "hush-2", "items": [{"static_recovery_key": "hush-3"}]},
    }
    assert read(row).raw is None
    device = settle(read(row, keep_raw=True), "uem", "workspaceone")
    assert device.raw["SerialNumber"] == "SIMWS10001"
    assert "hush" not in json.dumps(device.raw)
    assert "SIMWS10001" not in repr(device).replace("serial_number='SIMWS10001'", "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(sorted(STATES)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "ComplianceStatus",
        "compliance_status",
        "compliant",
        "CompromisedStatus",
        "EnrollmentStatus",
        "ComplianceSummary",
        "enrollment_info",
        "enrollmentInfo",
        "Id",
        "Uuid",
        "MacAddress",
        "DeviceNetworkInfo",
        "LastSeen",
        "Imei",
        "DataEncryptionYN",
    ]
)


@given(st.dictionaries(FIELDS, JSON, max_size=6))
def test_whatever_comes_only_the_vendors_word_makes_compliant(row: dict[str, Any]) -> None:
    try:
        device = read(row)
    except MalformedResponseError:
        return
    if device.compliance.state is PASS:
        word = device.compliance.vendor_state or ""
        assert word == "compliant: true" or STATES[word] is PASS


DOTLESS = "[Cc][Oo][Mm][Pp][Ll][Ii\N{LATIN SMALL LETTER DOTLESS I}][Aa][Nn][Tt]"


@given(st.text(max_size=40) | st.from_regex(DOTLESS, fullmatch=True))
def test_no_other_word_makes_compliant(word: str) -> None:
    state = read({"ComplianceStatus": word}).compliance.state
    letters = "".join(char for char in word if char.isalpha()).lower()
    assert (state is PASS) <= (letters in {"compliant", "allowed"})
