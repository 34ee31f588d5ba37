"""Graph's batches, pages and errors, from bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ResponseError,
    ServerError,
    VersionMismatchError,
)
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Mac, Serial, Username
from mdmsdk.models import ServerInfo
from mdmsdk.testing import Played, play
from mdmsdk.wire import Request, Response
from mdmsdk_intune.graph import RecordNotFoundError, devices_request, get, next_link, read_many, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.vendors.intune.conftest import Make

BASE = "https://graph.microsoft.com"
DEVICES = f"{BASE}/v1.0/deviceManagement/managedDevices"
INFO = ServerInfo(api_version="3", extra={"api_base": "https://fef.manage.microsoft.com/cisco"})
GUID = "6f1b0e52-9a55-4c0c-8d14-0d5a3c1f7e{:02}"


def error(status: int, code: str, message: str, url: str = DEVICES, **headers: str) -> Response:
    inner = {"date": "2026-01-15T12:00:00", "request-id": "request-1"}
    body = {"error": {"code": code, "message": message, "innerError": inner}}
    return Response(
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps(body).encode(),
        url,
    )


def nested(message: str, **more: Any) -> str:
    """JSON in JSON, as Intune wraps its own errors, once more wrapped by its gateway."""
    inner = json.dumps({"_version": 3, "Message": message, "CustomApiErrorPhrase": "", **more})
    return json.dumps({"_version": 3, "Message": inner, "ErrorSourceService": "x"})


# --- errors ---


@pytest.mark.parametrize(
    ("response", "kind", "hint"),
    [
        (
            error(400, "BadRequest", "Request not applicable to target tenant."),
            ResponseError,
            "no active Intune",
        ),
        (error(400, "BadRequest", "No method match route template"), ResponseError, None),
        (error(401, "Authorization_IdentityNotFound", "x"), AuthenticationError, "consent"),
        (error(401, "InvalidAuthenticationToken", "x"), AuthenticationError, "cloud"),
        (error(401, "UnknownError", nested("ErrorCode: Forbidden")), PermissionDeniedError, "licence"),
        (
            error(403, "UnknownError", nested("ErrorCode: Forbidden")),
            PermissionDeniedError,
            "ManagedDevices.Read.All",
        ),
        (
            error(403, "Forbidden", "x", f"{BASE}/v1.0/servicePrincipals/a/endpoints"),
            PermissionDeniedError,
            "Application.Read.All",
        ),
        (
            error(403, "Forbidden", "x", f"{DEVICES}('1')/deviceCompliancePolicyStates"),
            PermissionDeniedError,
            "DeviceManagementConfiguration.Read.All",
        ),
        (error(404, "ResourceNotFound", nested("nothing")), RecordNotFoundError, None),
        (error(404, "Request_BadRequest", "x"), EndpointNotFoundError, None),
        (error(429, "TooManyRequests", "x", retry_after="7"), RateLimitedError, None),
        (error(503, "UnknownError", nested("busy", RetryAfter=9)), RateLimitedError, None),
        (error(500, "InternalError", nested("oops")), ServerError, None),
        (error(504, "", ""), ServerError, None),
        (Response(502, {}, b"<html>", DEVICES), ServerError, None),
        (Response(404, {}, b"<html>", DEVICES), EndpointNotFoundError, None),
        (Response(400, {}, b'{"error": "text"}', DEVICES), ResponseError, None),
        (
            Response(400, {}, b'{"error": {"code": 7, "message": ["x"], "innerError": "y"}}', DEVICES),
            ResponseError,
            None,
        ),
        (Response(400, {}, b"[1]", DEVICES), ResponseError, None),
    ],
)
def test_errors_say_what_to_do(
    make: Make, response: Response, kind: type[MdmError], hint: str | None
) -> None:
    with pytest.raises(kind) as caught:
        make().check(response)
    assert type(caught.value) is kind
    if hint:
        assert hint in str(caught.value.hint)
    assert isinstance(caught.value, ResponseError)
    assert caught.value.status == response.status
    assert "$filter" not in str(caught.value)


def test_the_support_desks_number_and_the_wait_are_kept(make: Make) -> None:
    with pytest.raises(RateLimitedError) as caught:
        make().check(error(503, "UnknownError", nested("busy", RetryAfter=9)))
    assert (caught.value.retry_after, caught.value.request_id) == (9, "request-1")
    assert "[UnknownError]" in str(caught.value)
    with pytest.raises(RateLimitedError) as caught:
        make().check(error(429, "TooManyRequests", "x", retry_after="7"))
    assert caught.value.retry_after == 7


@given(st.integers(300, 599), st.binary(max_size=200))
def test_no_error_status_passes(make: Make, status: int, body: bytes) -> None:
    provider = make()
    for url in (DEVICES, "https://fef.manage.microsoft.com/x/cisco/devices/?querycriteria=compliance"):
        with pytest.raises(MdmError):
            provider.check(Response(status, {}, body, url))


# --- batches ---


def batch_of(reply: Callable[[dict[str, str], int], dict[str, Any] | None]) -> Callable[[Request], bytes]:
    """Answers batches; `reply` gives the answer to one part, from the part and how often it was asked."""
    asked: dict[str, int] = {}

    def answer(request: Request) -> bytes:
        assert request.json is not None
        assert request.url == f"{BASE}/v1.0/$batch"
        parts = request.json["requests"]
        assert 0 < len(parts) <= 20
        answers = []
        for part in reversed(parts):
            asked[part["id"]] = asked.get(part["id"], 0) + 1
            answers.append(reply(part, asked[part["id"]]))
        return json.dumps({"responses": [found for found in answers if found]}).encode()

    return answer


def fine(part: dict[str, str], _: int = 1) -> dict[str, Any]:
    return {"id": part["id"], "status": 200, "headers": {"Date": "x"}, "body": {"url": part["url"]}}


def requests(count: int) -> list[Request]:
    return [devices_request(BASE, GUID.format(number), select="id,udid") for number in range(count)]


def test_many_requests_go_in_batches_of_twenty_and_come_back_in_order(make: Make) -> None:
    record = Played()
    answers = play(read_many(make(), requests(45)), batch_of(fine), record=record)
    assert [len(request.json["requests"]) for request in record.requests] == [20, 20, 5]
    urls = [answer.json()["url"] for answer in answers if answer]
    assert urls == [
        f"/deviceManagement/managedDevices('{GUID.format(n)}')?$select=id,udid" for n in range(45)
    ]
    assert all(request.audience == "graph" and request.idempotent for request in record.requests)


def test_one_request_goes_by_itself(make: Make) -> None:
    record = Played()
    play(read_many(make(), requests(1)), [b"{}"], record=record)
    assert [request.method for request in record.requests] == ["GET"]


def test_a_record_that_is_gone_is_none_and_the_others_are_there(make: Make) -> None:
    def reply(part: dict[str, str], _: int) -> dict[str, Any]:
        if part["id"] != "1":
            return fine(part)
        return {"id": "1", "status": 404, "body": json.loads(error(404, "ResourceNotFound", "x").body)}

    first, second, third = play(read_many(make(), requests(3)), batch_of(reply))
    assert second is None
    assert first is not None
    assert third is not None


def test_throttled_parts_are_sent_again_after_their_wait(make: Make) -> None:
    def reply(part: dict[str, str], times: int) -> dict[str, Any]:
        if times == 1 and int(part["id"]) % 2:
            return {"id": part["id"], "status": 429, "headers": {"Retry-After": "3"}, "body": None}
        return fine(part)

    record = Played()
    assert all(play(read_many(make(), requests(6)), batch_of(reply), record=record))
    assert [len(request.json["requests"]) for request in record.requests] == [6, 3]
    assert [pause.seconds for pause in record.pauses] == [3]


@pytest.mark.parametrize(
    ("part", "kind", "sent"),
    [
        ({"status": 429, "headers": {"Retry-After": "3"}}, RateLimitedError, 3),
        ({"status": 429, "headers": {"Retry-After": "3600"}}, RateLimitedError, 1),
        ({"status": 503}, ServerError, 3),
        ({"status": 403}, PermissionDeniedError, 1),
        ({"status": 401}, AuthenticationError, 1),
        ({"status": 400}, ResponseError, 1),
    ],
)
def test_parts_that_fail_for_good_fail_the_whole(
    make: Make, part: dict[str, Any], kind: type[MdmError], sent: int
) -> None:
    record = Played()
    answer = batch_of(lambda asked, _: {**part, "id": asked["id"]} if asked["id"] == "1" else fine(asked))
    with pytest.raises(kind):
        play(read_many(make(), requests(3)), answer, record=record)
    assert len(record.requests) == sent


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"responses": {}}',
        b'{"responses": [1]}',
        b'{"responses": [{"id": "0", "status": "200"}]}',
        b'{"responses": []}',
        b'{"responses": [{"id": "0", "status": 200, "body": {}}]}',
        b'{"responses": [{"id": "7", "status": 200, "body": {}}, {"id": "8", "status": 200, "body": {}}]}',
        b'{"responses": [{"id": "0", "status": 200, "body": {}}, {"id": "0", "status": 200, "body": {}}]}',
    ],
)
def test_a_batch_that_is_not_whole_is_malformed(make: Make, body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        play(read_many(make(), requests(2)), [body])


# --- pages ---


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"value": {}}', b'{"value": [1]}', b'{"value": null}', b'"x"']
)
def test_a_list_that_is_none_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        rows_of(Response(200, {}, body, DEVICES))


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/x",
        "http://graph.microsoft.com/v1.0/x",
        "//evil.example/x",
        "/v1.0/x",
        "",
        "https://[",
        7,
    ]
    + ["https://graph.microsoft.com.evil.example/x", "https://graph.microsoft.com:444/x", ["x"]],
)
def test_a_link_to_elsewhere_is_not_followed(link: object) -> None:
    response = Response(200, {}, json.dumps({"value": [], "@odata.nextLink": link}).encode(), DEVICES)
    with pytest.raises(RedirectError) as caught:
        next_link(response, BASE)
    assert caught.value.hint


def test_a_link_is_followed_as_it_stands() -> None:
    link = f"{DEVICES}?$skiptoken=LastDeviceName%3d%27a%27%2cLastDeviceId%3d%27b%27"
    assert next_link(Response(200, {}, json.dumps({"@odata.nextLink": link}).encode(), DEVICES), BASE) == link
    assert next_link(Response(200, {}, b"{}", DEVICES), BASE) is None


# --- searches ---

FILTERED = [
    (Serial("O'Brien & Söhne"), "serialNumber"),
    (Imei("001012345678905"), "imei"),
    (DeviceId("c2a1e7d4-8f39-4b6a-90d5-1e4f7a2b3c58"), "azureADDeviceId"),
    (Hostname("laptop-1"), "deviceName"),
    (Username("user@example.com"), "userPrincipalName"),
]


@pytest.mark.parametrize(("key", "name"), FILTERED)
def test_a_search_sends_a_filter_that_graph_is_known_to_heed(make: Make, key: Any, name: str) -> None:
    provider = make(backends=["graph"])
    record = Played()
    assert play(provider.find(INFO, key), [b'{"value": []}'], record=record) == []
    (request,) = record.requests
    assert unquote(request.url).startswith(DEVICES + "?$filter=")
    expected = key.value.replace("'", "''")
    assert f"{name} eq '{expected}'" in unquote(request.url)
    assert "&" not in request.url.partition("$filter=")[2].partition("&$select")[0]


@pytest.mark.parametrize(("key", "name"), FILTERED)
def test_rows_of_other_devices_are_no_answer(make: Make, key: Any, name: str) -> None:
    provider = make(backends=["graph"])
    for row in ({"id": "g-1", name: "001019999999990"}, {"id": "g-1"}, {"id": "g-1", name: None}):
        with pytest.raises(FilterIgnoredError):
            play(provider.find(INFO, key), [json.dumps({"value": [row]}).encode()])


def test_a_search_over_pages_that_go_in_circles_ends(make: Make) -> None:
    link = f"{DEVICES}?$skiptoken=x"
    page = json.dumps({"value": [], "@odata.nextLink": link}).encode()
    with pytest.raises(MalformedResponseError):
        play(make(backends=["graph"]).find(INFO, Serial("S-1")), lambda _: page)


def test_another_record_than_the_one_asked_for_is_no_answer(make: Make) -> None:
    provider = make(backends=["graph"])
    with pytest.raises(FilterIgnoredError):
        play(provider.find(INFO, Guid(GUID.format(1))), [json.dumps({"id": GUID.format(2)}).encode()])
    with pytest.raises(MalformedResponseError):
        play(provider.find(INFO, Guid(GUID.format(1))), [b"[]"])


def test_graph_and_compliance_retrieval_about_two_devices_are_no_answer(make: Make) -> None:
    # Compliance Retrieval names the device by its GUID alone; Graph shows that it has another address.
    guid = GUID.format(1)
    row = f"<device><guid>{guid}</guid><a><register_status>true</register_status></a></device>"
    found = f"<ise_api><name>attributes</name><deviceList>{row}</deviceList></ise_api>"
    for macs, expected in [
        ({"wiFiMacAddress": "00005E000001"}, None),
        ({"ethernetMacAddress": "00005E0000FF"}, guid),
    ]:
        record = json.dumps({"id": guid, "complianceState": "compliant", **macs})
        if expected is None:
            with pytest.raises(FilterIgnoredError):
                play(make().find(INFO, Mac("00005E0000FF")), [found, record])
        else:
            (device,) = play(make().find(INFO, Mac("00005E0000FF")), [found, record])
            assert device.guid == expected


def test_another_vendors_guid_needs_no_request(make: Make) -> None:
    assert play(make().find(INFO, Guid("584342051651325")), []) == []
    assert play(make("intune-ise").find(INFO, Guid("584342051651325")), []) == []


def test_the_list_is_checked_for_the_state_asked_for(make: Make) -> None:
    provider = make(backends=["graph"])
    rows = [{"id": "a", "complianceState": "noncompliant"}, {"id": "b", "complianceState": "compliant"}]
    with pytest.raises(FilterIgnoredError):
        play(provider.noncompliant_page(INFO, None), [json.dumps({"value": rows}).encode()])


def test_lists_without_details_take_one_request_a_page(make: Make) -> None:
    provider = make(backends=["graph"], list_details=False, page_size=7)
    rows = [{"id": str(number), "complianceState": "noncompliant"} for number in range(3)]
    record = Played()
    page = play(provider.noncompliant_page(INFO, None), [json.dumps({"value": rows}).encode()], record=record)
    assert (len(page.items), len(record.requests), page.next_cursor) == (3, 1, "1 ")
    assert "$top=7" in record.requests[0].url


def test_conflicts_and_errors_are_listed_too(make: Make) -> None:
    provider = make(backends=["graph"], list_details=False)
    cursor: str | None = None
    states = []
    while True:
        record = Played()
        page = play(provider.noncompliant_page(INFO, cursor), [b'{"value": []}'], record=record)
        states.append(unquote(record.requests[0].url).partition("eq '")[2].partition("'")[0])
        if (cursor := page.next_cursor) is None:
            break
    assert states == ["noncompliant", "conflict", "error"]


# --- finding the service ---


def services(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"value": list(rows)}).encode()


@pytest.mark.parametrize("name", ["providerName", "serviceName"])
def test_the_service_is_found_by_its_name(make: Make, name: str) -> None:
    uri = "https://fef.msub01.manage.microsoft.com/TrafficGateway/x/ComplianceRetrievalService/"
    body = services({name: "Other", "uri": "https://x"}, {name: "ComplianceRetrievalService", "uri": uri})
    record = Played()
    assert play(make("intune-ise").find_service(), [body], record=record) == uri.rstrip("/")
    expected = f"{BASE}/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
    assert (record.requests[0].url, record.requests[0].audience) == (expected, "graph")


@pytest.mark.parametrize(
    ("rows", "kind", "words"),
    [
        ([], EndpointNotFoundError, "does not know the Compliance Retrieval service"),
        (
            [{"providerName": "NACAPIService", "uri": "https://x.manage.microsoft.com"}],
            VersionMismatchError,
            "retired",
        ),
        (
            [{"providerName": "ComplianceRetrievalService", "uri": None}],
            EndpointNotFoundError,
            "does not know",
        ),
        (
            [{"providerName": "ComplianceRetrievalService", "uri": "https://evil.example/x"}],
            RedirectError,
            "evil.example",
        ),
        (
            [{"providerName": "ComplianceRetrievalService", "uri": "http://a.manage.microsoft.com"}],
            RedirectError,
            "outside",
        ),
        ([{"providerName": "ComplianceRetrievalService", "uri": "https://["}], RedirectError, "outside"),
    ],
)
def test_without_the_service_there_is_advice(
    make: Make, rows: list[dict[str, Any]], kind: type[MdmError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        play(make("intune-ise").find_service(), [services(*rows)])
    assert caught.value.hint


def test_requests_for_one_device_are_written_as_microsoft_writes_them() -> None:
    assert get(BASE, "/x").full_url == f"{BASE}/v1.0/x"
    request = devices_request(BASE, "a'/b", "/deviceCompliancePolicyStates", select="id,udid", top=3)
    assert request.full_url == f"{DEVICES}('a%27%2Fb')/deviceCompliancePolicyStates?$select=id,udid&$top=3"
