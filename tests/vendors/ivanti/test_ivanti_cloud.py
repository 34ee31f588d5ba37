"""Neurons for MDM from bytes: discovery, queries, lookups, errors, logins."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ProtocolError,
    ResponseError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import Guid, Imei, Mac, Serial, Udid
from mdmsdk.models import ServerInfo
from mdmsdk.testing import Played, play
from mdmsdk.wire import Request, Response
from mdmsdk_ivanti import IvantiCloudProvider
from mdmsdk_ivanti.cloud.records import NONCOMPLIANT, condition
from mdmsdk_ivanti.provider import IvantiServer

Make = Callable[..., IvantiCloudProvider]
Answer = Callable[..., Response]
Sample = Callable[[str], Any]
GUID = "0b6f1b0e-6a3c-4d0f-9a57-2f1d4c8e7a10"


def result(*rows: Any, total: int | None = None) -> dict[str, Any]:
    count = len(rows) if total is None else total
    return {"errors": None, "result": {"searchResults": list(rows), "totalCount": count}}


PARTITIONS = result({"id": 15501, "name": "Global"}, {"id": 15502, "name": "Field staff"})


def info(*partitions: str, masked: tuple[str, ...] = ()) -> ServerInfo:
    base = "https://eu1.mobileiron.example/api/v1"
    return ServerInfo(description=IvantiServer(api_base=base, spaces=partitions or ("15501",), masked=masked))


def found_spaces(info: ServerInfo) -> tuple[str, ...]:
    return IvantiServer.of(info).spaces


def test_heartbeat_finds_all_partitions(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider, played = cloud(), Played()
    answers = [answer(PARTITIONS), *[answer(result(sample("cloud-device.json")))] * 4]
    found = play(provider.heartbeat(), answers, provider=provider, record=played)
    assert found_spaces(found) == ("15501", "15502")
    assert found.product == "Ivanti Neurons for MDM"
    assert [request.url.rpartition("/api/v1/")[2] for request in played.requests] == [
        "tenant/partition/device",
        *["device"] * 4,
    ]
    # It looks at some devices, and tries whether one that it sees is found by its GUID.
    assert [str(request.params.get("fq", ""))[:5] for request in played.requests] == [
        "",
        "",
        "",
        "guid=",
        "guid=",
    ]


def test_partitions_that_are_set(cloud: Make, answer: Answer) -> None:
    provider = cloud(spaces="field staff")
    found = play(provider.heartbeat(), [answer(PARTITIONS), *[answer(result())] * 2], provider=provider)
    assert found_spaces(found) == ("15502",)
    provider = cloud(spaces=[4711])
    with pytest.raises(ConfigurationError, match=r"Field staff \(15502\)") as caught:
        play(provider.heartbeat(), [answer(PARTITIONS)], provider=provider)
    assert "spaces" in str(caught.value.hint)


def test_conditions() -> None:
    # Whether a search cares about capitals is not documented: both are asked for.
    assert condition(Guid(GUID)) == f"guid={GUID} or guid={GUID.upper()}"
    assert condition(Serial("SIM1")) == "serialNumber=SIM1 or serialNumber=sim1"
    assert condition(Serial("Sim1")) == "serialNumber=Sim1 or serialNumber=SIM1 or serialNumber=sim1"
    assert condition(Imei("0010010000000107")) == (
        "imei=001001000000015 or imei=0010010000000107 or imei=00100100000001"
    )
    assert condition(Udid("2b6f0cc904d137be2e1730235f5664094b831186")).startswith("udid=2b6f0cc9")
    assert "udid=00008120000a11223344001e" in condition(Udid("00008120-000A11223344001E"))
    assert condition(Mac("00005E00AB22")) == (
        "wifiMacAddress=00:00:5E:00:AB:22 or wifiMacAddress=00:00:5e:00:ab:22"
    )


@pytest.mark.parametrize(
    "value", ["SIM 1", "a)or(b", "x=1", "a'b", 'a"b', "a,b", "1 or complianceState=true", "é"]
)
def test_what_cannot_stand_in_a_query_is_refused(cloud: Make, value: str) -> None:
    with pytest.raises(InvalidIdentifierError) as caught:
        play(cloud().find(info(), Serial(value)), [])
    assert value not in str(caught.value)
    assert caught.value.hint


@given(st.text(min_size=1, max_size=30).map(Serial.parse).filter(bool))
def test_a_query_is_one_condition(key: Serial) -> None:
    try:
        query = condition(key)
    except InvalidIdentifierError:
        return
    assert {part.lower() for part in query.split(" or ")} == {f"serialnumber={key.value.lower()}"}
    assert not set(key.value) & set(" ()='\"<>,;\\!&|")


def test_lookup_asks_every_partition(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider, played = cloud(), Played()
    answers = [answer(result()), answer(result(sample("cloud-device.json")))]
    found = play(
        provider.find(info("15501", "15502"), Mac("00:00:5E:00:11:22")),
        answers,
        provider=provider,
        record=played,
    )
    assert [device.id for device in found] == ["90210"]
    params = played.requests[1].params
    assert params["dmPartitionId"] == "15502"
    assert (params["rows"], params["start"]) == (200, 0)
    assert "offset" not in params
    assert (params["sortFields[0].name"], params["sortFields[0].order"]) == ("id", "ASC")


def test_masks_found_at_the_heartbeat_stop_lookups(
    cloud: Make, answer: Answer, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    provider = cloud()
    row = {**sample("cloud-device.json"), "imei": "*************19", "altSerialNumber": "xxxxxxxxx01"}
    answers = [answer(PARTITIONS), *[answer(result(row))] * 4]
    play(provider.heartbeat(), answers, provider=provider)
    found = play(provider.heartbeat(), answers, provider=provider)
    assert found.extra["masked"] == ["imei", "serial"]
    warnings = [record.getMessage() for record in caplog.records if record.name == "mdmsdk.ivanti"]
    assert len(warnings) == 2  # one for each heartbeat
    assert "GDPR profile" in warnings[0]
    for key in (Serial("SIMAAAA0001"), Imei("001001000000019")):
        with pytest.raises(UnsupportedOperationError, match=key.kind) as caught:
            play(provider.find(found, key), [])
        assert "GDPR profile" in str(caught.value.hint)
    again = play(provider.find(found, Guid(GUID)), [answer(result(row)), answer(result())], provider=provider)
    assert (again[0].serial_number, again[0].imei) == (None, None)


def test_masks_are_looked_for_until_there_is_evidence(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider, played = cloud(), Played()
    row = sample("cloud-device.json")
    bare = {**row, "imei": None, "altSerialNumber": None}
    answers = [answer(PARTITIONS), answer(result(bare)), answer(result({**row, "imei": "****"}))]
    answers += [answer(result(row))] * 2
    found = play(provider.heartbeat(), answers, provider=provider, record=played)
    assert found.extra["masked"] == ["imei"]


def test_one_odd_value_is_no_mask(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider = cloud()
    row = sample("cloud-device.json")
    rows = [row, {**row, "id": 90211, "altSerialNumber": "XXXXXXXX"}]
    answers = [answer(PARTITIONS), *[answer(result(*rows))] * 4]
    found = play(provider.heartbeat(), answers, provider=provider)
    assert found.extra["masked"] == []


URL = f"https://eu1.mobileiron.example/api/v1/device/{GUID}"
NO_SUCH_DEVICE = {"errors": {"globalErrors": [{"message": "no such device"}]}, "result": None}
NO_SUCH_PROPERTY = {"errors": {"fieldErrors": [{"message": "unknown property", "field": "fq"}]}}


class Tenant:
    """A tenant that answers searches in its own way, and knows the device of the sample by its address.

    Attributes:
        searched: the answer to every search by a property.
        address: whether GUIDs work as addresses.
    """

    def __init__(self, answer: Answer, row: Any, searched: Response, *, address: bool = True) -> None:
        self.answer, self.row, self.searched, self.address = answer, row, searched, address
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Response:
        path = request.url.rpartition("/api/v1/")[2]
        names = {"tenant/partition/device": "tenant", "device": "list"}
        self.asked.append("search" if "fq" in request.params else names.get(path, "address"))
        if path == "tenant/partition/device":
            return self.answer(PARTITIONS)
        if "fq" in request.params:
            return self.searched
        if path == "device":
            return self.answer(result(self.row))
        if path == f"device/{GUID}" and self.address:
            return self.answer({"errors": None, "result": self.row})
        return self.answer(NO_SUCH_DEVICE, 404, request.url)


@pytest.mark.parametrize("searched", ["refused", "refused with status 200", "ignored", "endless"])
def test_guids_by_address_where_a_search_finds_none(
    cloud: Make, answer: Answer, sample: Sample, searched: str
) -> None:
    row, other = sample("cloud-device.json"), {"id": 7, "guid": "another"}
    answers = {
        "refused": answer(NO_SUCH_PROPERTY, 400),
        "refused with status 200": answer({**NO_SUCH_PROPERTY, "result": None}),
        "ignored": answer(result(other)),
        "endless": answer(result(other, total=4000)),
    }
    provider, tenant = cloud(spaces=15501), Tenant(answer, row, answers[searched])
    server = play(provider.heartbeat(), tenant, provider=provider)
    # It tries the address of a device that it knows before it believes one.
    assert tenant.asked == ["tenant", "list", "search", "address"]
    tenant.asked.clear()
    for _ in range(2):
        found = play(provider.find(server, Guid(GUID)), tenant, provider=provider)
        assert [device.id for device in found] == ["90210"]
    assert play(provider.find(server, Guid("an-unknown-one")), tenant, provider=provider) == []
    assert tenant.asked == ["address"] * 3
    with pytest.raises(MdmError):
        play(provider.find(server, Serial("SIM1")), tenant, provider=provider)
    assert tenant.asked[-1] == "search"  # which has nothing to do with other kinds


def test_guids_that_are_found_in_no_way_are_an_error(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider = cloud(spaces=15501)
    tenant = Tenant(answer, sample("cloud-device.json"), answer(NO_SUCH_PROPERTY, 400), address=False)
    server = play(provider.heartbeat(), tenant, provider=provider)
    tenant.asked.clear()
    for _ in range(2):
        with pytest.raises(ResponseError, match="unknown property"):
            play(provider.find(server, Guid(GUID)), tenant, provider=provider)
    assert tenant.asked == ["search"] * 2


def test_only_the_404_of_a_record_is_an_answer(cloud: Make, answer: Answer) -> None:
    provider = cloud()
    known = IvantiServer.of(info()).model_copy(update={"guids_by_address": True})
    server = ServerInfo(description=known)
    assert (
        play(provider.find(server, Guid(GUID)), [answer(NO_SUCH_DEVICE, 404, URL)], provider=provider) == []
    )
    for wrong in (
        answer(b"<html></html>", 404, URL),
        answer({"message": "no route"}, 404, URL),
        answer(NO_SUCH_DEVICE, 404, "https://x.example/api/v1/device"),
    ):
        with pytest.raises(EndpointNotFoundError):
            play(provider.find(server, Guid(GUID)), [wrong], provider=provider)
    with pytest.raises(ProtocolError, match="no such device"):
        play(provider.find(server, Guid(GUID)), [answer(NO_SUCH_DEVICE, 200, URL)], provider=provider)
    with pytest.raises(MalformedResponseError):
        play(provider.find(server, Guid(GUID)), [answer({"errors": None, "result": None})], provider=provider)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"errors": None},
        {"errors": None, "result": None},
        {"errors": None, "result": {"searchResults": None, "totalCount": 0}},
        {"errors": None, "result": {"searchResults": []}},
        b"<html>login</html>",
    ],
)
def test_answers_that_are_none(cloud: Make, answer: Answer, body: Any) -> None:
    with pytest.raises(MalformedResponseError):
        play(cloud().find(info(), Serial("SIM1")), [answer(body)])


@pytest.mark.parametrize("name", ["errors", "Errors"])
def test_an_error_in_an_answer_of_status_200(cloud: Make, answer: Answer, name: str) -> None:
    body = {
        name: {"fieldErrors": [{"code": "Range", "message": "too many", "field": "rows"}]},
        "result": {"searchResults": [], "totalCount": 0},
    }
    with pytest.raises(ProtocolError, match="rows: too many"):
        play(cloud().find(info(), Serial("SIM1")), [answer(body)])


@pytest.mark.parametrize(
    ("status", "error", "kind", "says", "hint"),
    [
        (401, None, AuthenticationError, "refused", "password and PIN"),
        (403, None, PermissionDeniedError, "denies", "Assign Roles"),
        (404, None, EndpointNotFoundError, "no such", "eu1.mobileiron.com"),
        (400, ("Range", "must be between 1 and 500", "rows"), ResponseError, "rows: must be", "page_size"),
        (400, ("Invalid", "unknown", "dmPartitionId"), ResponseError, "dmPartitionId", "setting spaces"),
        (400, ("Invalid", "unknown property x", "fq"), ResponseError, "property x", "another identifier"),
    ],
)
def test_errors_name_fields_and_remedies(  # noqa: PLR0917 - the columns of the table
    cloud: Make, answer: Answer, status: int, error: Any, kind: type[MdmError], says: str, hint: str
) -> None:
    fields = [dict(zip(("code", "message", "field"), error, strict=True))] if error else []
    body = {"errors": {"globalErrors": None, "fieldErrors": fields}, "result": None}
    with pytest.raises(kind) as caught:
        cloud().check(answer(body, status, "https://eu1.example/api/v1/device?fq=serialNumber=private"))
    assert says in str(caught.value)
    assert hint in str(caught.value.hint)
    assert "private" not in str(caught.value)


def test_a_refused_token_is_about_the_token(cloud: Make) -> None:
    provider = cloud(token="t0ken-word")
    with pytest.raises(AuthenticationError) as caught:
        provider.check(Response(401, {}, b"", "https://eu1.example/api/v1/device"))
    assert "token" in str(caught.value.hint)
    assert "password" not in str(caught.value.hint)


def test_logins_cost_no_request(cloud: Make) -> None:
    basic = play(cloud().login("api"), [])
    assert (basic.scheme, basic.static) == ("Basic", True)
    bearer = play(cloud(token="t0ken-word").login("api"), [])
    assert (bearer.scheme, bearer.value, bearer.static) == ("Bearer", "t0ken-word", True)


@pytest.mark.parametrize(
    "change",
    [
        {"token": "t", "username": "nac", "password": "p"},
        {"token": "t", "username": "nac"},
        {"username": None},
        {"password": None},
        {"page_size": 501},
    ],
)
def test_settings_that_cannot_work(cloud: Make, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        cloud(**change)


def test_a_device_that_is_jailbroken_and_compliant_is_unknown_and_not_listed(
    cloud: Make, answer: Answer, sample: Sample
) -> None:
    record = {
        **sample("cloud-device.json"),
        "complianceState": True,
        "quarantined": False,
        "jailbroken": True,
    }
    record |= {"violatedPolicies": [], "policyViolationCount": 0, "registrationState": "ACTIVE"}
    provider = cloud()
    guid = Guid(record["guid"])
    (device,) = play(provider.find(info(), guid), [answer(result(record))], provider=provider)
    assert (device.compliance.state, device.jailbroken) == ("unknown", True)
    assert device.compliance.reasons == ("The device is compromised",)
    # The list holds what the product says does not comply; this device has no place there.
    assert "jailbroken" not in NONCOMPLIANT
    with pytest.raises(FilterIgnoredError):
        play(provider.noncompliant_page(info(), None), [answer(result(record))], provider=provider)
