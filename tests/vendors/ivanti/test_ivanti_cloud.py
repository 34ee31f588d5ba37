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
from mdmsdk.wire import Response
from mdmsdk_ivanti import IvantiCloudProvider
from mdmsdk_ivanti.cloud.records import condition

Make = Callable[..., IvantiCloudProvider]
Answer = Callable[..., Response]
Sample = Callable[[str], Any]
GUID = "0b6f1b0e-6a3c-4d0f-9a57-2f1d4c8e7a10"


def result(*rows: Any, total: int | None = None) -> dict[str, Any]:
    count = len(rows) if total is None else total
    return {"errors": None, "result": {"searchResults": list(rows), "totalCount": count}}


PARTITIONS = result({"id": 15501, "name": "Global"}, {"id": 15502, "name": "Field staff"})


def info(*partitions: str, masked: tuple[str, ...] = ()) -> ServerInfo:
    spaces = [{"id": number, "name": number} for number in partitions or ("15501",)]
    return ServerInfo(extra={"spaces": spaces, "masked": list(masked)})


def test_heartbeat_finds_all_partitions(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider, played = cloud(), Played()
    answers = [answer(PARTITIONS), answer(result(sample("cloud-device.json")))]
    found = play(provider.heartbeat(), answers, provider=provider, record=played)
    assert provider.scopes(found) == ["15501", "15502"]
    assert found.product == "Ivanti Neurons for MDM"
    assert [request.url.rpartition("/api/v1/")[2] for request in played.requests] == [
        "tenant/partition/device",
        "device",
    ]


def test_partitions_that_are_set(cloud: Make, answer: Answer) -> None:
    provider = cloud(partitions="field staff")
    found = play(provider.heartbeat(), [answer(PARTITIONS), answer(result())], provider=provider)
    assert provider.scopes(found) == ["15502"]
    provider = cloud(partitions=[4711])
    with pytest.raises(ConfigurationError, match=r"Field staff \(15502\)") as caught:
        play(provider.heartbeat(), [answer(PARTITIONS)], provider=provider)
    assert "partitions" in str(caught.value.hint)


def test_conditions() -> None:
    assert condition(Guid(GUID)) == f"guid={GUID}"
    assert condition(Udid("00008120-000A11223344001E")) == "udid=00008120-000A11223344001E"
    assert condition(Serial("SIM1")) == "serialNumber=SIM1"
    assert condition(Imei("001001000000019")) == "imei=001001000000019"
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
    assert query == f"serialNumber={key.value}"
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


def test_rows_of_others_are_refused(cloud: Make, answer: Answer, sample: Sample) -> None:
    row = sample("cloud-device.json")
    with pytest.raises(FilterIgnoredError):
        play(cloud().find(info(), Guid("another")), [answer(result(row))])
    with pytest.raises(FilterIgnoredError):
        play(cloud().find(info(), Imei("001001000000999")), [answer(result(row, {**row, "imei": None}))])


def test_masks_found_at_the_heartbeat_stop_lookups(
    cloud: Make, answer: Answer, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    provider = cloud()
    row = {**sample("cloud-device.json"), "imei": "*************19", "altSerialNumber": "xxxxxxxxx01"}
    answers = [answer(PARTITIONS), answer(result(row))]
    play(provider.heartbeat(), answers, provider=provider)
    found = play(provider.heartbeat(), answers, provider=provider)
    assert found.extra["masked"] == ["imei", "serial"]
    warnings = [record.getMessage() for record in caplog.records if record.name == "mdmsdk.ivanti"]
    assert len(warnings) == 1
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
    found = play(provider.heartbeat(), answers, provider=provider, record=played)
    assert found.extra["masked"] == ["imei"]


def test_one_odd_value_is_no_mask(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider = cloud()
    row = sample("cloud-device.json")
    rows = [row, {**row, "id": 90211, "altSerialNumber": "XXXXXXXX"}]
    found = play(provider.heartbeat(), [answer(PARTITIONS), answer(result(*rows))], provider=provider)
    assert found.extra["masked"] == []


def test_guids_by_address(cloud: Make, answer: Answer, sample: Sample) -> None:
    provider, played = cloud(guid_lookup="path"), Played()
    url = f"https://eu1.mobileiron.example/api/v1/device/{GUID}"
    unknown = {"errors": {"globalErrors": [{"message": "no such device"}]}, "result": None}
    answers = [answer(unknown, 404, url), answer({"errors": None, "result": sample("cloud-device.json")})]
    found = play(provider.find(info("15501", "15502"), Guid(GUID)), answers, provider=provider, record=played)
    assert [device.id for device in found] == ["90210"]
    assert {request.url for request in played.requests} == {url}
    # Only the API's own 404 is an answer, and only about a record; nor is an error with status 200.
    for wrong in (
        answer(b"<html></html>", 404, url),
        answer(unknown, 404, "https://x.example/api/v1/device"),
    ):
        with pytest.raises(EndpointNotFoundError):
            play(provider.find(info(), Guid(GUID)), [wrong], provider=provider)
    with pytest.raises(ProtocolError, match="no such device"):
        play(provider.find(info(), Guid(GUID)), [answer(unknown, 200, url)], provider=provider)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"errors": None},
        {"errors": None, "result": None},
        {"errors": None, "result": {"searchResults": None, "totalCount": 0}},
        {"errors": None, "result": {"searchResults": []}},
        result({"guid": GUID}),
        b"<html>login</html>",
    ],
)
def test_answers_that_are_none(cloud: Make, answer: Answer, body: Any) -> None:
    with pytest.raises(MalformedResponseError):
        play(cloud().find(info(), Guid(GUID)), [answer(body)])


def test_an_error_in_an_answer_of_status_200(cloud: Make, answer: Answer) -> None:
    body = {
        "errors": {"fieldErrors": [{"code": "Range", "message": "too many", "field": "rows"}]},
        "result": None,
    }
    with pytest.raises(ProtocolError, match="rows: too many"):
        play(cloud().find(info(), Guid(GUID)), [answer(body)])


@pytest.mark.parametrize(
    ("status", "error", "kind", "says", "hint"),
    [
        (401, None, AuthenticationError, "refused", "password and PIN"),
        (403, None, PermissionDeniedError, "denies", "Assign Roles"),
        (404, None, EndpointNotFoundError, "no such", "eu1.mobileiron.com"),
        (400, ("Range", "must be between 1 and 500", "rows"), ResponseError, "rows: must be", "page_size"),
        (400, ("Invalid", "unknown", "dmPartitionId"), ResponseError, "dmPartitionId", "partitions"),
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
        {"guid_lookup": "luck"},
    ],
)
def test_settings_that_cannot_work(cloud: Make, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        cloud(**change)
