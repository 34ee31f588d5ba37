"""What is asked, in which order, and what is made of scripted answers."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from mdmsdk.client.verdict import settle
from mdmsdk.errors import (
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ResponseError,
    ServerError,
    VersionMismatchError,
)
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import ComplianceState, ServerInfo
from mdmsdk.proof import proven
from mdmsdk.testing.playing import Played, play
from mdmsdk.wire import Request, Response
from mdmsdk_workspaceone import WorkspaceOneProvider
from mdmsdk_workspaceone.provider import UemDescription

Make = Callable[..., WorkspaceOneProvider]
Info = Callable[..., ServerInfo]
Reply = Callable[..., Response]
Sample = Callable[[str], dict[str, Any]]

API = "https://as1.example.com/api"
GUID = "3f0c7a52-91b4-4d0e-8a6f-5c1d2e3f4a5b"
JSON, V2, V3 = ("application/json", "application/json;version=2", "application/json;version=3")
HTML = b"<!DOCTYPE html><html></html>"
ABOUT = {"ProductName": "UEM", "ProductVersion": "24.10", "Version": 1}


def accepts(played: Played) -> list[str]:
    return [request.headers["Accept"] for request in played.requests]


# --- heartbeat ---


def test_heartbeat_reads_product_version_and_quota(make: Make, reply: Reply) -> None:
    played = Played()
    headers = {
        "x_api_version": "v2",
        "api_supported_versions": "1, 2, 3",
        "x_ratelimit_limit": "250000",
        "x_ratelimit_remaining": "249971",
    }
    provider = make()
    info = play(
        provider.heartbeat(), [reply(ABOUT), reply(None, 204, **headers)], provider=provider, record=played
    )
    assert (info.vendor, info.product, info.version, info.api_version) == ("Omnissa", "UEM", "24.10", "2")
    assert info.extra == {"quota": {"limit": 250000, "remaining": 249971}}
    assert UemDescription.of(info) == UemDescription(version=2)
    assert [request.url for request in played.requests] == [
        f"{API}/system/info",
        f"{API}/mdm/devices/search",
    ]
    assert accepts(played) == [JSON, V2]
    assert played.requests[1].params["pagesize"] == 10


def test_heartbeat_remembers_identifiers_that_the_server_has(
    make: Make, reply: Reply, sample: Sample
) -> None:
    left = sample("v1-device") | {"EnrollmentStatus": "Unenrolled", "SerialNumber": "GONE", "EasId": "x"}
    devices = [
        7,
        {"EnrollmentStatus": []},
        sample("v1-device"),
        left,
        {"Id": {"Value": 3}, "MacAddress": "-"},
    ]
    info = play(make().heartbeat(), [reply(ABOUT), reply({"Devices": devices})])
    assert UemDescription.of(info).known == (
        Mac("00:00:5E:00:53:11"),
        Udid("A1B2C3D4E5F60718293A4B5C6D7E8F90"),
        Serial("SIMWS10001"),
        Imei("001001234567891"),
        DeviceId("10001"),
    )


@pytest.mark.parametrize(
    ("zone", "seen", "warned"),
    [
        (None, "2021-06-28T02:59:29.077", True),
        ("Europe/London", "2021-06-28T02:59:29.077", False),
        (None, "2021-06-28T02:59:29.077+01:00", False),
        (None, "0001-01-01T00:00:00.000", False),
    ],
)
def test_heartbeat_warns_of_times_without_a_zone(
    *, make: Make, reply: Reply, caplog: pytest.LogCaptureFixture, zone: str | None, seen: str, warned: bool
) -> None:
    provider = make(time_zone=zone)
    for _ in range(2):  # each one: the provider remembers nothing
        caplog.clear()
        play(provider.heartbeat(), [reply(ABOUT), reply({"Devices": [{"Id": 1, "LastSeen": seen}] * 3})])
        assert [record.name for record in caplog.records] == ["mdmsdk.workspaceone"] * warned
        assert ("time_zone" in caplog.text) is warned


@pytest.mark.parametrize("base_url", ["https://as1.example.com/API", "https://as1.example.com/api/"])
def test_the_api_path_may_be_part_of_the_address(make: Make, reply: Reply, base_url: str) -> None:
    played = Played()
    play(make(base_url=base_url).heartbeat(), [reply(ABOUT), reply(None, 204)], record=played)
    assert played.requests[0].url == f"{base_url.rstrip('/')}/system/info"


@pytest.mark.parametrize("refused", [400, 404, 406, 503])
def test_heartbeat_falls_back_to_version_1(make: Make, reply: Reply, refused: int) -> None:
    provider, played = make(), Played()
    answers = [reply(ABOUT), reply(HTML, refused), reply(None, 204, x_api_version="v1")]
    info = play(provider.heartbeat(), answers, provider=provider, record=played)
    assert (info.api_version, accepts(played)) == ("1", [JSON, V2, JSON])


def test_heartbeat_notices_an_answer_in_version_1(make: Make, reply: Reply) -> None:
    info = play(make().heartbeat(), [reply(ABOUT), reply({"Devices": []}, x_api_version="v1")])
    assert info.api_version == "1"


def test_something_else_than_uem_is_told(make: Make, reply: Reply) -> None:
    provider = make()
    bodies: list[Any] = [HTML, {"name": "another service"}, []]
    for body in bodies:
        with pytest.raises(MalformedResponseError):
            play(provider.heartbeat(), [reply(body)], provider=provider)
    with pytest.raises(EndpointNotFoundError):
        play(provider.heartbeat(), [reply(HTML, 404)], provider=provider)
    with pytest.raises(MalformedResponseError):
        play(provider.heartbeat(), [reply(ABOUT), reply({"Page": 0})], provider=provider)


def test_a_role_without_system_is_enough(make: Make, reply: Reply, refusal: Reply) -> None:
    provider = make()
    info = play(provider.heartbeat(), [refusal(403, 1011), reply({"Devices": []})], provider=provider)
    assert (info.product, info.version) == ("Workspace ONE UEM", None)
    with pytest.raises(PermissionDeniedError):
        play(provider.heartbeat(), [refusal(403, 1013)] * 2, provider=provider)


def test_the_probe_asks_in_the_group(make: Make, reply: Reply, refusal: Reply) -> None:
    provider, played = make(organization_group=571), Played()
    with pytest.raises(ResponseError) as caught:
        play(
            provider.heartbeat(),
            [reply(ABOUT), refusal(400, 6), refusal(400, 6)],
            provider=provider,
            record=played,
        )
    assert played.requests[1].params["lgid"] == 571
    assert "organisation group is unknown" in str(caught.value)
    assert "organization_group" in str(caught.value.hint)


# --- lookups ---


@pytest.mark.parametrize(
    ("key", "searchby", "value"),
    [
        (Mac("00:00:5e:00:53:11"), "Macaddress", "00005E005311"),
        (Udid("a1b2c3d4e5f60718293a4b5c6d7e8f90"), "Udid", "a1b2c3d4e5f60718293a4b5c6d7e8f90"),
        (Serial("simws10001"), "Serialnumber", "simws10001"),
        (Imei("00 100123 456789 6"), "ImeiNumber", "001001234567896"),
        (DeviceId("10001"), "DeviceId", "10001"),
    ],
)
def test_each_key_is_asked_for_by_its_type(
    *, make: Make, info: Info, sample: Sample, reply: Reply, key: Key, searchby: str, value: str
) -> None:
    played = Played()
    answers = [reply(sample("v1-device")), reply(sample("v3-uuid"))]
    (device,) = play(make().find(info(), key), answers, record=played)
    assert played.requests[0].url == f"{API}/mdm/devices"
    assert played.requests[0].params == {"searchby": searchby, "id": value}
    assert played.requests[1].url == f"{API}/mdm/devices/{GUID}"
    assert accepts(played) == [JSON, V3]
    assert device.guid == GUID
    assert device.passcode_set is True


def test_without_details_there_is_one_request(make: Make, info: Info, sample: Sample, reply: Reply) -> None:
    (device,) = play(make(details=False).find(info(), Serial("SIMWS10001")), [reply(sample("v1-device"))])
    assert device.passcode_set is None
    assert str(device.last_check_in) == "2021-06-28 02:59:29.077000+00:00"


def test_the_second_modem_finds_the_device(make: Make, info: Info, sample: Sample, reply: Reply) -> None:
    provider, key = make(details=False), Imei("001009876543217")
    found = play(provider.find(info(), key), [reply(sample("v1-device"))])
    (device,) = proven(provider, key, found)
    assert (device.imei, device.matches(key)) == ("001001234567891", True)


SPELLINGS = [
    (
        Imei("00100123456789"),
        ["001001234567896", "00100123456789", "00 100123 456789 6"],
    ),
    (Udid("00008030-001A2B3C4D5E6F70"), ["00008030-001A2B3C4D5E6F70", "00008030001A2B3C4D5E6F70"]),
    (Mac("00-1b-44-11-3a-b7"), ["001B44113AB7"]),
    (Serial("SIM WS1"), ["SIM WS1"]),
]


@pytest.mark.parametrize(("key", "texts"), SPELLINGS)
@pytest.mark.parametrize("batch", [False, True])
def test_each_spelling_that_the_server_may_hold_is_asked_for(
    *, make: Make, info: Info, key: Key, texts: list[str], batch: bool
) -> None:
    for held in texts:
        provider, server = make(details=False), Server({held}, type(key))
        if batch:
            other = type(key)("353778083456461" if isinstance(key, Imei) else "00005E0053FF")
            found: dict[Key, Any] = dict(
                play(provider.find_batch(info(), [key, other]), server, provider=provider)
            )
            assert [len(found[one]) for one in (key, other)] == [1, 0]
        else:
            assert len(play(provider.find(info(), key), server, provider=provider)) == 1
            assert server.asked == texts[: texts.index(held) + 1]


def test_an_unknown_device_is_an_empty_answer(make: Make, info: Info, refusal: Reply) -> None:
    provider = make()
    for key in (Serial("none-such"), Guid(GUID)):
        assert play(provider.find(info(), key), [refusal(404, 5002)], provider=provider) == []


def test_a_lookup_without_content_is_no_answer(make: Make, info: Info) -> None:
    provider = make()
    nothing = Response(204, {}, b"", f"{API}/mdm/devices")
    for key in (Serial("none-such"), Guid(GUID)):
        with pytest.raises(ProtocolError):
            play(provider.find(info(), key), [nothing], provider=provider)


@pytest.mark.parametrize(
    "key", [Guid("1234"), Guid("../search"), DeviceId("abc"), DeviceId("1/../2"), DeviceId("0010001")]
)
def test_names_of_other_vendors_are_unknown_without_a_request(make: Make, info: Info, key: Key) -> None:
    assert play(make().find(info(), key), []) == []
    assert play(make().find_batch(info(), [key]), []) == {key: []}


@pytest.mark.parametrize("status", [404, 500, 200])
def test_a_web_page_is_no_answer(make: Make, info: Info, reply: Reply, status: int) -> None:
    provider = make()
    with pytest.raises((EndpointNotFoundError, ServerError, MalformedResponseError)):
        play(provider.find(info(), Serial("SIMWS10001")), [reply(HTML, status)], provider=provider)


@pytest.mark.parametrize(
    "content",
    [
        {"error": {"code": "Failed"}},
        {"errorCode": 5002, "message": "no", "activityId": "3f0c7a52"},
        {"Id": {"Value": 0}, "Uuid": ""},
        {"SerialNumber": "SIMWS10001", "ComplianceStatus": "Compliant", "EnrollmentStatus": "Enrolled"},
    ],
)
def test_an_answer_that_names_no_record_is_none(make: Make, info: Info, reply: Reply, content: Any) -> None:
    provider = make()
    for key in (Serial("SIMWS10001"), Guid(GUID)):
        with pytest.raises(MalformedResponseError, match="number"):
            play(provider.find(info(), key), [reply(content)], provider=provider)


@pytest.mark.parametrize("value", ["OTHER1", "", None, 7, ["SIMWS10001"]])
def test_a_record_says_for_itself_which_device_it_is(
    make: Make, info: Info, sample: Sample, reply: Reply, value: Any
) -> None:
    provider, key = make(details=False), Serial("SIMWS10001")
    found = play(provider.find(info(), key), [reply(sample("v1-device") | {"SerialNumber": value})])
    if value:
        with pytest.raises(FilterIgnoredError):
            proven(provider, key, found)
    else:
        (device,) = proven(provider, key, found)
        assert device.serial_number is None
        assert "does not show the serial" in device.compliance.reasons[-1]


def test_another_device_by_guid_is_refused(make: Make, info: Info, sample: Sample, reply: Reply) -> None:
    provider, other = make(), sample("v3-uuid") | {"uuid": "00000000-0000-4000-8000-000000000001"}
    with pytest.raises(FilterIgnoredError):
        proven(provider, Guid(GUID), play(provider.find(info(), Guid(GUID)), [reply(other)]))
    with pytest.raises(FilterIgnoredError):
        play(provider.find(info(), Serial("SIMWS10001")), [reply(sample("v1-device")), reply(other)])


@pytest.mark.parametrize("uuid", [None, "", ["x"]])
def test_details_that_do_not_say_whose_they_are_leave_no_verdict(
    make: Make, info: Info, sample: Sample, reply: Reply, uuid: Any
) -> None:
    row = sample("v1-device") | {"ComplianceStatus": "Compliant", "ComplianceSummary": {}}
    more = sample("v3-uuid")
    more["enrollment_info"]["compliance_status"] = "COMPLIANT"
    flow, key = make().find, Serial("SIMWS10001")
    (device,) = play(flow(info(), key), [reply(row), reply(more)])
    assert settle(device, "uem", "workspaceone").compliance.state is ComplianceState.COMPLIANT
    answers = [reply(row), reply(more | {"uuid": uuid})]
    if uuid:
        with pytest.raises(FilterIgnoredError):
            play(flow(info(), key), answers)
    else:
        (device,) = play(flow(info(), key), answers)
        assert settle(device, "uem", "workspaceone").compliance.state is ComplianceState.UNKNOWN


@pytest.mark.parametrize("status", [400, 404, 406, 503])
def test_guid_falls_back_to_version_2(
    make: Make, info: Info, sample: Sample, reply: Reply, status: int
) -> None:
    provider, played = make(), Played()
    answers = [reply(HTML, status), reply(sample("v2-uuid"))]
    (device,) = play(provider.find(info(), Guid(GUID)), answers, provider=provider, record=played)
    assert accepts(played) == [V3, V2]
    assert device.compliance.state is ComplianceState.NONCOMPLIANT


def test_guid_does_not_fall_back_on_a_refusal(make: Make, info: Info, reply: Reply, refusal: Reply) -> None:
    provider = make()
    for answer, kind in (
        (refusal(403, 1011), PermissionDeniedError),
        (reply(None, 503, retry_after="60"), RateLimitedError),
        (reply(None, 500), ServerError),
    ):
        with pytest.raises(kind):
            play(provider.find(info(), Guid(GUID)), [answer], provider=provider)


def test_an_answer_of_version_2_to_version_3_is_read(
    make: Make, info: Info, sample: Sample, reply: Reply
) -> None:
    (device,) = play(make().find(info(), Guid(GUID)), [reply(sample("v2-uuid"), x_api_version="v2")])
    assert device.compliance.vendor_state == "compliant: false"


STRICTER = [
    # v1's word, v3's word, who wins
    ("Compliant", "COMPLIANT", ComplianceState.COMPLIANT),
    ("Compliant", "NOT_COMPLIANT", ComplianceState.NONCOMPLIANT),
    ("NonCompliant", "COMPLIANT", ComplianceState.NONCOMPLIANT),
    ("Compliant", "PENDING_COMPLIANCE_CHECK", ComplianceState.UNKNOWN),
    ("PendingComplianceCheck", "COMPLIANT", ComplianceState.UNKNOWN),
]


@pytest.mark.parametrize(("first", "second", "state"), STRICTER)
def test_of_two_records_the_stricter_counts(
    *, make: Make, info: Info, sample: Sample, reply: Reply, first: str, second: str, state: ComplianceState
) -> None:
    row = sample("v1-device") | {"ComplianceStatus": first, "ComplianceSummary": {}}
    more = sample("v3-uuid")
    more["enrollment_info"]["compliance_status"] = second
    (device,) = play(make().find(info(), Serial("SIMWS10001")), [reply(row), reply(more)])
    assert device.compliance.state is state


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        ("PendingComplianceCheck", False, ComplianceState.UNKNOWN),
        ("Compliant", False, ComplianceState.NONCOMPLIANT),
        ("PendingComplianceCheck", True, ComplianceState.UNKNOWN),
        ("", False, ComplianceState.NONCOMPLIANT),
    ],
)
def test_a_pending_word_says_more_than_a_no(
    *, make: Make, info: Info, sample: Sample, reply: Reply, first: str, second: bool, state: ComplianceState
) -> None:
    row = sample("v1-device") | {"ComplianceStatus": first, "ComplianceSummary": {}}
    more = sample("v2-uuid")
    more["enrollmentInfo"]["compliant"] = second
    (device,) = play(make().find(info(), Serial("SIMWS10001")), [reply(row), reply(more)])
    assert device.compliance.state is state


def test_a_record_that_went_meanwhile_is_still_answered(
    make: Make, info: Info, sample: Sample, reply: Reply, refusal: Reply
) -> None:
    provider = make()
    answers = [reply(sample("v1-device")), refusal(404, 5061)]
    (device,) = play(provider.find(info(), Serial("SIMWS10001")), answers, provider=provider)
    assert device.serial_number == "SIMWS10001"


@pytest.mark.parametrize("status", [400, 404, 406])
def test_a_server_without_records_by_guid_gives_the_other_one(
    make: Make, info: Info, sample: Sample, reply: Reply, status: int
) -> None:
    provider = make()
    answers = [reply(sample("v1-device")), reply(HTML, status), reply(HTML, status)]
    (device,) = play(provider.find(info(), Serial("SIMWS10001")), answers, provider=provider)
    assert device.compliance.vendor_state == "NonCompliant"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_details_that_fail_are_no_answer(
    *, make: Make, info: Info, sample: Sample, reply: Reply, status: int
) -> None:
    provider = make()
    answers = [reply(sample("v1-device")), reply(HTML, status), reply(HTML, status)]
    with pytest.raises(ResponseError):
        play(provider.find(info(), Serial("SIMWS10001")), answers, provider=provider)


# --- bulk ---


FIELDS: dict[type[Key], str] = {Serial: "SerialNumber", Mac: "MacAddress", Imei: "Imei", Udid: "Udid"}


def serial_row(serial: str, field: str = "SerialNumber") -> dict[str, Any]:
    return {
        field: serial,
        "Uuid": GUID,
        "ComplianceStatus": "Compliant",
        "EnrollmentStatus": "Enrolled",
        "Id": {"Value": 1},
    }


class Server:
    """A server that finds devices by one kind of identifier, to the letter, one by one and in bulk.

    Args:
        known: the identifiers of its devices.
        kind: which kind.
        refuse_any: bulk lookups with a value that is not known are refused as a whole.
        cap: the most rows of a bulk answer.
        invalid: values for which the server refuses a request with this status.
        damaged: those of records that cannot be read.
    """

    def __init__(self, known: set[str], kind: type[Key] = Serial, **habits: Any) -> None:
        self.known, self.field = known, FIELDS[kind]
        self.refuse_any = habits.get("refuse_any", False)
        self.cap = habits.get("cap", 500)
        self.invalid: dict[str, int] = habits.get("invalid", {})
        self.damaged: set[str] = habits.get("damaged", set())
        self.orphans = habits.get("orphans", 0)
        self.sizes: list[int] = []
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Response:
        bulk = request.method == "POST"
        values: list[str] = request.json["BulkValues"]["Value"] if bulk else [str(request.params["id"])]
        if bulk:
            self.sizes.append(len(values))
        else:
            self.asked += values
        hits = [value for value in values if value in self.known]
        status = next((self.invalid[value] for value in values if value in self.invalid), 200)
        if status == 200 and (not hits or (bulk and self.refuse_any and len(hits) < len(values))):
            status = 404
        if status != 200:
            return Response(status, {}, b'{"errorCode": 5002}', request.url)
        rows = [serial_row(value, self.field) for value in hits[: self.cap]]
        for row in rows:
            if row[self.field] in self.damaged:
                row["enrollment_info"] = "damaged"
        content = {"Devices": rows, "OrphanDevicesDetails": {"Count": self.orphans}} if bulk else rows[0]
        return Response(200, {}, json.dumps(content).encode(), request.url)


@pytest.mark.parametrize(
    ("known", "options", "most"),
    [
        (40, {}, 1),
        (39, {}, 2),
        (20, {}, 2),
        (1, {}, 2),
        (0, {}, 26 + 40),
        (39, {"refuse_any": True}, 16),
        (20, {"refuse_any": True}, 26 + 40),
        (40, {"cap": 15}, 3),
        (30, {"cap": 15}, 4),
    ],
)
@pytest.mark.parametrize("witness", [False, True])
def test_bulk_finds_what_there_is_and_nothing_else(
    *, make: Make, info: Info, known: int, options: dict[str, Any], most: int, witness: bool
) -> None:
    keys = [Serial(f"S{number:03}X") for number in range(40)]
    there = {key.value for key in keys[::-1][:known]}
    provider, server = make(), Server({*there, "WITNESS"}, **options)
    told = info(2, Serial("WITNESS")) if witness else info()
    found: dict[Key, Any] = dict(play(provider.find_batch(told, keys), server, provider=provider))
    assert list(found) == keys
    assert {key.value for key, rows in found.items() if rows} == there
    assert all(row.serial_number == key.value for key, rows in found.items() for row in rows)
    assert len(server.sizes) + len(server.asked) <= (2 if witness and most == 66 and not options else most)


@pytest.mark.parametrize("witness", ["WITNESS", "S000X", "GONE"])
def test_a_batch_of_unknown_keys_is_one_request(make: Make, info: Info, witness: str) -> None:
    keys = [Serial(f"S{number:03}X") for number in range(499)]
    provider, server = make(), Server({"WITNESS", "S000X"})
    told = info(2, Serial(witness))
    found: dict[Key, Any] = dict(play(provider.find_batch(told, keys), server, provider=provider))
    assert [key.value for key, rows in found.items() if rows] == ["S000X"]
    assert server.sizes == ([499, 498] if witness == "S000X" else [500, 499])
    if witness == "WITNESS":
        server.known.discard("S000X")
        server.sizes.clear()
        assert not any(play(provider.find_batch(told, keys), server, provider=provider).values())
        assert server.sizes == [500]


def test_a_witness_that_left_makes_no_key_unknown(make: Make, info: Info) -> None:
    keys = [Serial(f"S{number:03}X") for number in range(40)]
    provider, server = make(), Server({"S007X"}, refuse_any=True)
    told = info(2, Serial("GONE"))
    found: dict[Key, Any] = dict(play(provider.find_batch(told, keys), server, provider=provider))
    assert [key.value for key, rows in found.items() if rows] == ["S007X"]
    assert len(server.sizes) + len(server.asked) <= 25 + 40


def test_a_device_that_is_the_witness_and_asked_for_by_another_address_is_found(
    make: Make, info: Info, sample: Sample, reply: Reply
) -> None:
    wifi, ethernet, other = Mac("00005E005311"), Mac("00005E005312"), Mac("00005E0053FF")
    told = info(2, wifi)
    answers = [reply({"Devices": [sample("v1-device")]})] * 2
    found: dict[Key, Any] = dict(play(make().find_batch(told, [ethernet, other]), answers))
    assert [len(found[key]) for key in (ethernet, other)] == [1, 0]


@pytest.mark.parametrize(
    "habits", [{"invalid": {"S013X": 400}}, {"invalid": {"S013X": 422}}, {"damaged": {"S013X"}}]
)
@pytest.mark.parametrize("witness", [False, True])
def test_one_bad_key_spoils_its_own_answer_alone(
    *, make: Make, info: Info, habits: dict[str, Any], witness: bool
) -> None:
    keys = [Serial(f"S{number:03}X") for number in range(499)]
    provider, server = make(), Server({key.value for key in keys[:250]} | {"WITNESS"}, **habits)
    told = info(2, Serial("WITNESS")) if witness else info()
    found: dict[Key, Any] = dict(play(provider.find_batch(told, keys), server, provider=provider))
    bad = [key.value for key, rows in found.items() if isinstance(rows, MdmError)]
    assert bad == ["S013X"]
    assert [len(found[key]) for key in keys if key.value != "S013X"] == [1] * 249 + [0] * 249
    assert len(server.sizes) + len(server.asked) <= 45


@pytest.mark.parametrize("witness", [False, True])
def test_an_invalid_key_among_known_and_unknown_ones_costs_few_requests(
    *, make: Make, info: Info, witness: bool
) -> None:
    # The server's 404 "one is invalid": only with a witness it is not taken for "none matches".
    keys = [Serial(f"S{number:03}X") for number in range(499)]
    provider, server = make(), Server({key.value for key in keys[::2]} | {"WITNESS"}, invalid={"S013X": 404})
    told = info(2, Serial("WITNESS")) if witness else info()
    found: dict[Key, Any] = dict(play(provider.find_batch(told, keys), server, provider=provider))
    assert [len(found[key]) for key in keys] == [1, 0] * 249 + [1]
    assert len(server.sizes) + len(server.asked) <= 45


def test_a_record_that_the_server_cannot_give_is_not_unknown(make: Make, info: Info) -> None:
    keys = [Serial("S1X"), Serial("S2X"), Serial("S3X")]
    provider, server = make(), Server({"S1X", "WITNESS"}, orphans=1)
    told = info(2, Serial("WITNESS"))
    found: dict[Key, Any] = dict(play(provider.find_batch(told, keys), server, provider=provider))
    assert [len(found[key]) for key in keys] == [1, 0, 0]
    assert set(server.asked) >= {"S2X", "S3X"}  # each by itself: there, a 404 is about this device


def test_an_answer_that_lacks_another_record_of_a_key_that_it_names_is_asked_for_again(
    make: Make, info: Info, reply: Reply
) -> None:
    keys = [Serial("S1X"), Serial("S2X")]
    noncompliant = serial_row("S1X") | {"ComplianceStatus": "NonCompliant"}

    def answer(request: Request) -> Response:
        if request.json:
            return reply({"Devices": [serial_row("S1X"), serial_row("S2X")], "Total": 3})
        return reply(noncompliant if request.params["id"] == "S1X" else serial_row("S2X"))

    found: dict[Key, Any] = dict(play(make().find_batch(info(), keys), answer))
    states = [[row.compliance.state.value for row in found[key]] for key in keys]
    assert states == [["noncompliant"], ["compliant"]]


def test_bulk_by_mac_finds_any_interface(make: Make, info: Info, sample: Sample, reply: Reply) -> None:
    keys = [Mac("00005E005312"), Mac("00005E005311")]
    found: dict[Key, Any] = dict(
        play(make().find_batch(info(), keys), [reply({"Devices": [sample("v1-device")]})])
    )
    assert [len(found[key]) for key in keys] == [1, 1]


def test_bulk_gives_every_record_of_a_key(make: Make, info: Info, reply: Reply) -> None:
    rows = [serial_row("S1X"), serial_row("S1X") | {"ComplianceStatus": "NonCompliant"}, serial_row("S2X")]
    keys = [Serial("S1X"), Serial("S2X")]
    found: dict[Key, Any] = dict(play(make().find_batch(info(), keys), [reply({"Devices": rows})]))
    assert [len(found[key]) for key in keys] == [2, 1]


@pytest.mark.parametrize("serial", ["OTHER", ""])
def test_bulk_about_other_devices_is_no_answer_for_those_that_are_missing(
    make: Make, info: Info, reply: Reply, serial: str
) -> None:
    keys = [Serial("S1X"), Serial("S2X")]
    found: dict[Key, Any] = dict(
        play(
            make().find_batch(info(), keys),
            lambda request: reply(
                {"Devices": [serial_row("S1X"), serial_row(serial)]} if request.json else serial_row(serial)
            ),
        )
    )
    assert len(found[keys[0]]) == 1
    assert [device.serial_number for device in found[keys[1]]] == [serial or None]  # for the client to judge


def test_a_bulk_answer_without_a_list_is_no_answer(
    make: Make, info: Info, reply: Reply, refusal: Reply
) -> None:
    keys = [Serial("S1X"), Serial("S2X")]
    provider = make()
    found = play(
        provider.find_batch(info(), keys),
        lambda request: reply({"Total": 0}) if request.json else reply(HTML),
        provider=provider,
    )
    assert all(isinstance(answer, MalformedResponseError) for answer in found.values())


def test_a_batch_of_guids_is_asked_for_one_by_one(make: Make, info: Info, refusal: Reply) -> None:
    keys = [Guid(GUID), Guid(GUID.replace("3f", "4f"))]
    provider, played = make(), Played()
    play(provider.find_batch(info(), keys), [refusal(404, 5002)] * 2, provider=provider, record=played)
    assert [request.method for request in played.requests] == ["GET", "GET"]


# --- lists ---


def rows(*numbers: int, status: str = "NonCompliant", enrolled: str = "Enrolled") -> list[dict[str, Any]]:
    return [
        {"Id": {"Value": number}, "ComplianceStatus": status, "EnrollmentStatus": enrolled}
        for number in numbers
    ]


def test_each_version_names_its_filter(make: Make, info: Info, reply: Reply) -> None:
    played = Played()
    for version in (1, 2):
        provider = make(organization_group=570)
        play(provider.noncompliant_page(info(version), None), [reply(None, 204)], record=played)
    assert accepts(played) == [JSON, V2]
    sort = {"orderby": "deviceid", "sortorder": "ASC"}
    assert [dict(request.params) for request in played.requests] == [
        {"page": 0, "pagesize": 500, **sort, "lgid": 570, "compliantstatus": "false"},
        {"page": 0, "pagesize": 500, **sort, "lgid": 570, "compliance_status": "false"},
    ]


@pytest.mark.parametrize(
    ("zone", "hour"), [(None, "01T12"), ("Europe/London", "02T00"), ("America/New_York", "01T19")]
)
def test_changes_are_what_was_seen_since(
    make: Make, info: Info, reply: Reply, zone: str | None, hour: str
) -> None:
    played, since = Played(), datetime(2026, 7, 2, 0, 30, 9, tzinfo=UTC)
    provider = make(time_zone=zone)
    for version in (1, 2):
        for moment in (since, None):
            flow = provider.devices_since(info(version), moment, None)
            assert play(flow, [reply(None, 204)], record=played).items == []
    plain = {"page": 0, "pagesize": 500, "orderby": "deviceid", "sortorder": "ASC"}
    text = f"2026-07-{hour}:30:09.000"
    assert [dict(request.params) for request in played.requests] == [
        {**plain, "seensince": text},
        plain,
        {**plain, "seen_since": text},
        plain,
    ]


class Listing:
    """A list of devices that a server pages, at most `cap` rows at once."""

    def __init__(self, reply: Reply, numbers: Iterable[int], *, cap: int = 500, **habits: Any) -> None:
        self.reply = reply
        self.numbers = list(numbers)
        self.cap = cap
        self.total: Any = habits.get("total", lambda: len(self.numbers))
        self.end = habits.get("end")
        self.asked: list[int] = []

    def __call__(self, request: Request) -> Response:
        page, size = (int(str(request.params[name])) for name in ("page", "pagesize"))
        size = min(size, self.cap)
        shown = self.numbers[page * size :][:size]
        self.asked.append(page * size)
        if not shown:
            return self.reply(self.end, 204 if self.end is None else 200)
        return self.reply({"Devices": rows(*shown), "Total": self.total()})


def collect(provider: WorkspaceOneProvider, info: ServerInfo, answer: Any) -> list[int]:
    """Read a list to its end, from one answer or from a `Listing`."""
    cursor, found = None, []
    while True:
        answers = answer if callable(answer) else [answer]
        page = play(provider.noncompliant_page(info, cursor), answers, provider=provider)
        found += [int(device.id or 0) for device in page.items]
        if (cursor := page.next_cursor) is None:
            return found


@pytest.mark.parametrize("cap", [500, 40])
def test_pages_until_the_total_is_reached(make: Make, info: Info, reply: Reply, cap: int) -> None:
    listing = Listing(reply, range(1, 1201), cap=cap)
    assert collect(make(), info(), listing) == list(range(1, 1201))
    assert len(listing.asked) <= 1200 // cap * 1.2 + 1


@pytest.mark.parametrize("end", [None, {"Devices": []}, {"Devices": [], "Total": 0}])
@pytest.mark.parametrize("total", [None, 0, "many"])
def test_pages_until_nothing_comes(make: Make, info: Info, reply: Reply, end: Any, total: Any) -> None:
    for count in (0, 1, 499, 500, 501, 1300):
        listing = Listing(reply, range(1, count + 1), total=lambda: total, end=end)
        assert collect(make(), info(), listing) == list(range(1, count + 1))


def test_devices_that_left_are_no_part_of_the_list(make: Make, info: Info, reply: Reply) -> None:
    page = rows(1, 2) + rows(3, enrolled="Unenrolled") + rows(4, status="PendingComplianceCheck")
    page += [row | {"EnrollmentStatus": ["Enrolled"]} for row in rows(5)]  # it is not said that it left
    assert collect(make(), info(), reply({"Devices": page, "Total": 5})) == [1, 2, 5]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        *(({"EnrollmentStatus": word}, "noncompliant") for word in (4, "weird", "UNKNOWN", None)),
        *(({"ComplianceStatus": word}, "unknown") for word in (7, "Weird")),
        ({"ComplianceStatus": "Compliant", "CompromisedStatus": True}, "unknown"),
    ],
)
def test_a_row_that_cannot_be_read_stays_in_the_list(
    make: Make, info: Info, reply: Reply, change: dict[str, Any], state: str
) -> None:
    (row,) = rows(2)
    answer = reply({"Devices": [*rows(1), row | change], "Total": 2})
    page = play(make().noncompliant_page(info(), None), [answer])
    assert [(device.id, device.compliance.state) for device in page.items] == [
        ("1", "noncompliant"),
        ("2", state),
    ]


@pytest.mark.parametrize("status", ["Compliant", "ALLOWED", ""])
def test_a_row_that_complies_shows_that_the_filter_was_ignored(
    make: Make, info: Info, reply: Reply, status: str
) -> None:
    page = rows(1) + rows(2, status=status, enrolled="Unenrolled")
    with pytest.raises(FilterIgnoredError):
        collect(make(), info(), reply({"Devices": page, "Total": 2}))


def test_a_list_that_shrinks_while_it_is_read_loses_none_that_stays(
    make: Make, info: Info, reply: Reply
) -> None:
    listing = Listing(reply, range(1, 901))

    def answer(request: Request) -> Response:
        answered = listing(request)
        if len(listing.asked) == 1:
            del listing.numbers[100:300]
        return answered

    assert collect(make(), info(), answer) == list(range(1, 901))


def test_a_list_that_ends_early_is_incomplete(make: Make, info: Info, reply: Reply) -> None:
    listing = Listing(reply, range(1, 41), total=lambda: 50)
    with pytest.raises(IncompleteListError):
        collect(make(), info(), listing)


def test_a_row_without_number_and_uuid_is_no_device(make: Make, info: Info, reply: Reply) -> None:
    with pytest.raises(MalformedResponseError, match="number"):
        collect(make(), info(), reply({"Devices": [{"SerialNumber": "X"}], "Total": 1}))


def test_a_search_answered_in_another_version_is_refused(make: Make, info: Info, reply: Reply) -> None:
    with pytest.raises(VersionMismatchError):
        play(make().noncompliant_page(info(2), None), [reply({"Devices": []}, x_api_version="v1")])


@pytest.mark.parametrize(
    "content", [{"Page": 0}, {"Devices": {}}, {"Devices": None}, {"Devices": [None]}, {"Devices": [[]]}]
)
def test_an_answer_without_devices_is_no_list(make: Make, info: Info, reply: Reply, content: Any) -> None:
    with pytest.raises(MalformedResponseError):
        collect(make(), info(), reply(content))


# --- reasons ---


def test_reasons_are_the_policies_in_detail(make: Make, info: Info, sample: Sample, reply: Reply) -> None:
    provider, played = make(details=False), Played()
    (device,) = play(provider.find(info(), Serial("SIMWS10001")), [reply(sample("v1-device"))])
    policies = sample("v1-device")["ComplianceSummary"]["DeviceCompliance"]
    more = {"CompliantStatus": False, "CompliancePending": True, "PolicyName": "Later"}
    answer = reply({"DeviceCompliance": [*policies, more], "Total": 3})
    known = play(provider.reasons(info(), device), [answer], record=played)
    assert known.compliance.reasons == ("Disk encryption: Encryption is on",)
    assert known.compliance.state is ComplianceState.NONCOMPLIANT
    assert played.requests[0].url == f"{API}/mdm/devices/10001/compliance"
    by_udid = device.model_copy(update={"id": None})
    play(provider.reasons(info(), by_udid), [reply({"DeviceCompliance": []})], record=played)
    assert played.requests[1].params["searchBy"] == "Udid"


def test_reasons_of_a_device_without_policies(
    make: Make, info: Info, sample: Sample, reply: Reply, refusal: Reply
) -> None:
    provider = make(details=False)
    (device,) = play(provider.find(info(), Serial("SIMWS10001")), [reply(sample("v1-device"))])
    assert play(provider.reasons(info(), device), [refusal(404, 8)], provider=provider) == device


def test_reasons_without_an_end_are_an_error(make: Make, info: Info, sample: Sample, reply: Reply) -> None:
    provider = make(details=False)
    (device,) = play(provider.find(info(), Serial("SIMWS10001")), [reply(sample("v1-device"))])
    endless = reply({"DeviceCompliance": [{"CompliantStatus": True}], "Total": 9999})
    with pytest.raises(IncompleteListError):
        play(provider.reasons(info(), device), lambda _: endless)
