"""Graph's batches, pages and errors, from bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdmsdk.batch import in_envelopes
from mdmsdk.client.verdict import settle as client_verdict
from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ResponseError,
    ServerError,
    VersionMismatchError,
)
from mdmsdk.flow import Pause, attempt, send, together
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Mac, Serial, Username
from mdmsdk.ise import IseDescription
from mdmsdk.models import ComplianceState, ServerInfo
from mdmsdk.paging import Link
from mdmsdk.proof import proven
from mdmsdk.testing import Played, play
from mdmsdk.wire import Request, Response
from mdmsdk_intune.graph import devices_request, envelopes, get, next_link, rows_of
from mdmsdk_intune.refusals import RecordNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.flow import Flow
    from tests.vendors.intune.conftest import Make

BASE = "https://graph.microsoft.com"
DEVICES = f"{BASE}/v1.0/deviceManagement/managedDevices"
INFO = ServerInfo(
    api_version="3", description=IseDescription(api_base="https://fef.manage.microsoft.com/cisco")
)
GUID = "6f1b0e52-9a55-4c0c-8d14-0d5a3c1f7e{:02}"
WORDS = st.sampled_from(["responses", "id", "status", "headers", "body", "0", "1", "Message", "RetryAfter"])


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
    assert "[UnknownError: busy]" in str(caught.value)
    with pytest.raises(RateLimitedError) as caught:
        make().check(error(429, "TooManyRequests", "x", retry_after="7"))
    assert caught.value.retry_after == 7


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
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
            asked[part["url"]] = asked.get(part["url"], 0) + 1
            answers.append(reply(part, asked[part["url"]]))
        return json.dumps({"responses": [found for found in answers if found]}).encode()

    return answer


def read_many(provider: Any, requests: list[Request]) -> Flow[list[Response | MdmError]]:
    """Send each request in a flow of its own, in envelopes."""
    return in_envelopes(provider, envelopes(BASE), together(*(attempt(send(one)) for one in requests)))


def number_of(part: dict[str, str]) -> int:
    """Which of `requests` a part is; its id tells its place in the envelope alone."""
    return int(part["url"].partition("')")[0][-2:])


def fine(part: dict[str, str], _: int = 1) -> dict[str, Any]:
    return {"id": part["id"], "status": 200, "headers": {"Date": "x"}, "body": {"url": part["url"]}}


def requests(count: int) -> list[Request]:
    return [devices_request(BASE, GUID.format(number), select="id,udid") for number in range(count)]


def test_many_requests_go_in_batches_of_twenty_and_come_back_in_order(make: Make) -> None:
    record = Played()
    answers = play(read_many(make(), requests(45)), batch_of(fine), record=record)
    assert [len(request.json["requests"]) for request in record.requests] == [20, 20, 5]
    urls = [answer.json()["url"] for answer in answers if isinstance(answer, Response)]
    assert urls == [
        f"/deviceManagement/managedDevices('{GUID.format(n)}')?$select=id,udid" for n in range(45)
    ]
    assert all(request.audience == "graph" and request.idempotent for request in record.requests)


def test_one_request_goes_by_itself(make: Make) -> None:
    record = Played()
    play(read_many(make(), requests(1)), [b"{}"], record=record)
    assert [request.method for request in record.requests] == ["GET"]


def test_a_record_that_is_gone_is_told_and_the_others_are_there(make: Make) -> None:
    guids = [Guid(GUID.format(number)) for number in range(3)]

    def reply(part: dict[str, str], _: int) -> dict[str, Any]:
        if number_of(part) == 1:
            gone = json.loads(error(404, "ResourceNotFound", "x").body)
            return {"id": part["id"], "status": 404, "body": gone}
        return {**fine(part), "body": {"id": GUID.format(number_of(part))}}

    first, second, third = play(read_many(make(), requests(3)), batch_of(reply))
    assert type(second) is RecordNotFoundError
    assert isinstance(first, Response)
    assert isinstance(third, Response)
    found = play(make(backends=["graph"]).find_batch(INFO, guids), batch_of(reply))
    assert [len(found[guid]) for guid in guids] == [1, 0, 1]


def test_throttled_parts_are_sent_again_after_their_wait(make: Make) -> None:
    def reply(part: dict[str, str], times: int) -> dict[str, Any]:
        if times == 1 and number_of(part) % 2:
            return {"id": part["id"], "status": 429, "headers": {"Retry-After": "3"}, "body": None}
        return fine(part)

    record = Played()
    outcomes = play(read_many(make(), requests(6)), batch_of(reply), record=record)
    assert all(isinstance(outcome, Response) for outcome in outcomes)
    assert [len(request.json["requests"]) for request in record.requests] == [6, 3]
    # The lane is held back for everybody, then they wait themselves.
    assert record.pauses == [Pause(3, lane="graph"), Pause(3, optional=True)]


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
def test_a_part_that_fails_for_good_spoils_no_other(
    make: Make, part: dict[str, Any], kind: type[MdmError], sent: int
) -> None:
    record = Played()
    answer = batch_of(lambda asked, _: {**part, "id": asked["id"]} if number_of(asked) == 1 else fine(asked))
    first, failed, last = play(read_many(make(), requests(3)), answer, record=record)
    assert type(failed) is kind
    assert isinstance(first, Response)
    assert isinstance(last, Response)
    assert len(record.requests) == sent


def test_a_batch_that_is_refused_for_one_part_is_asked_again_in_halves(make: Make) -> None:
    def answer(request: Request) -> bytes | Response:
        parts = request.json["requests"]
        if any(number_of(part) == 13 for part in parts):
            return error(400, "BadRequest", "Invalid batch payload format.", request.url)
        return batch_of(fine)(request)

    record, provider = Played(), make()
    outcomes = play(read_many(provider, requests(20)), answer, provider=provider, record=record)
    assert [index for index, outcome in enumerate(outcomes) if not isinstance(outcome, Response)] == [13]
    assert "Invalid batch payload format." in str(outcomes[13])
    assert len(record.requests) <= 11


def test_a_server_that_refuses_every_batch_is_not_asked_without_end(make: Make) -> None:
    record, provider = Played(), make()
    outcomes = play(
        read_many(provider, requests(20)),
        lambda request: error(400, "BadRequest", "x", request.url),
        provider=provider,
        record=record,
    )
    assert {type(outcome) for outcome in outcomes} == {ResponseError}
    assert len(record.requests) <= 11


def test_the_parts_of_batches_come_no_faster_than_graph_allows(make: Make) -> None:
    record = Played()
    play(read_many(make(), requests(60)), batch_of(fine), record=record)
    # 2000 requests in 20 seconds.
    assert [pause.seconds for pause in record.pauses] == [0.2, 0.2]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"responses": {}}',
        b'{"responses": [1]}',
        b'{"responses": []}',
        b'{"responses": [], "responses": []}',
        b'{"responses": [{"id": "7", "status": 200, "body": {}}, {"id": "8", "status": 200, "body": {}}]}',
    ],
)
def test_a_batch_that_is_none_answers_nothing(make: Make, body: bytes) -> None:
    outcomes = play(read_many(make(), requests(2)), lambda _: body)
    assert {type(outcome) for outcome in outcomes} == {MalformedResponseError}


@pytest.mark.parametrize(
    "part",
    [
        None,
        {"status": "200", "body": {}},
        {"status": True, "body": {}},
        {"status": 200.0, "body": {}},
        {"status": 0, "body": {}},
        {"status": 204},
        {"status": 206, "body": {}},
        {"status": 200},
        {"status": 200, "body": None},
        {"status": 10**9, "body": {}},
        {"status": 200, "headers": ["a"], "body": {}},
        {"status": 200, "body": {}, "id": 1},
        {"status": 200, "body": {}, "id": ["1"]},
        {"status": 200, "body": {}, "id": "0"},
    ],
)
def test_a_part_that_cannot_be_read_spoils_no_other(make: Make, part: dict[str, Any] | None) -> None:
    # In the last case there are two answers for the first request, and none for the second.
    twice = part is not None and part.get("id") == "0"
    answer = batch_of(lambda asked, _: part and {"id": "1", **part} if asked["id"] == "1" else fine(asked))
    first, second, third = play(read_many(make(), requests(3)), answer)
    assert isinstance(second, MalformedResponseError)
    assert isinstance(first, MalformedResponseError if twice else Response)
    assert isinstance(third, Response)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(JSON | st.fixed_dictionaries({"responses": st.lists(st.dictionaries(WORDS, JSON), max_size=4)}))
def test_whatever_a_batch_holds_each_request_has_one_outcome(make: Make, body: Any) -> None:
    outcomes = play(read_many(make(), requests(3)), lambda _: json.dumps(body).encode())
    assert len(outcomes) == 3
    assert all(isinstance(outcome, Response | MdmError) for outcome in outcomes)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(400, 599), JSON)
def test_whatever_an_error_holds_it_is_an_error(make: Make, status: int, inner: Any) -> None:
    for message in (json.dumps(inner), json.dumps({"Message": json.dumps(inner)})):
        body = json.dumps({"error": {"code": "x", "message": message, "innerError": inner}}).encode()
        with pytest.raises(MdmError):
            make().check(Response(status, {}, body, DEVICES))


@pytest.mark.parametrize(
    "document",
    ['{"RetryAfter": 9, "RetryAfter": 1}', '{"RetryAfter": NaN}', '{"RetryAfter": 1e999}', "{" * 10_000],
)
def test_a_nested_document_that_contradicts_itself_says_nothing(make: Make, document: str) -> None:
    with pytest.raises(MdmError) as caught:
        make().check(error(503, "UnknownError", document))
    assert isinstance(caught.value, ServerError)
    assert caught.value.retry_after is None


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
        "https://graph.microsoft.com.evil.example/x",
        "https://graph.microsoft.com:444/x",
        "https://graph.microsoft.com@evil.example/x",
    ],
)
def test_a_link_to_elsewhere_is_not_followed(link: str) -> None:
    response = Response(200, {}, json.dumps({"value": [], "@odata.nextLink": link}).encode(), DEVICES)
    with pytest.raises(RedirectError) as caught:
        next_link(response, BASE)
    assert caught.value.hint


@pytest.mark.parametrize("link", ["/v1.0/x", " ", "null", "https://[", 7, 0, False, [], {}, ["x"], {"a": 1}])
def test_a_link_that_cannot_be_read_is_not_the_end(make: Make, link: object) -> None:
    page = json.dumps({"value": [], "@odata.nextLink": link}).encode()
    with pytest.raises(MalformedResponseError):
        next_link(Response(200, {}, page, DEVICES), BASE)
    provider = make(backends=["graph"])
    for flow in (provider.noncompliant_page(INFO, None), provider.devices_page(INFO, None)):
        with pytest.raises(MalformedResponseError):
            play(flow, [page])


@pytest.mark.parametrize("page", [{}, {"@odata.nextLink": ""}, {"@odata.nextLink": None}])
def test_without_a_link_a_page_is_the_last(make: Make, page: dict[str, Any]) -> None:
    body = json.dumps({"value": [], **page}).encode()
    assert next_link(Response(200, {}, body, DEVICES), BASE) is None
    assert play(make(backends=["graph"]).devices_page(INFO, None), [body]).next_cursor is None


@pytest.mark.parametrize(
    "name", ["@odata.nextLink", "@odata.nextlink", "@nextLink", "odata.nextLink", "nextLink"]
)
def test_a_link_under_another_name_is_a_link_too(name: str) -> None:
    link = f"{DEVICES}?$skiptoken=x"
    assert next_link(Response(200, {}, json.dumps({name: link}).encode(), DEVICES), BASE) == link
    both = {"@odata.nextLink": f"{link}2", "@nextLink": link}
    with pytest.raises(MalformedResponseError):
        next_link(Response(200, {}, json.dumps(both).encode(), DEVICES), BASE)


def test_a_link_is_followed_as_it_stands() -> None:
    link = f"{DEVICES}?$skiptoken=LastDeviceName%3d%27a%27%2cLastDeviceId%3d%27b%27"
    assert next_link(Response(200, {}, json.dumps({"@odata.nextLink": link}).encode(), DEVICES), BASE) == link
    assert next_link(Response(200, {}, b"{}", DEVICES), BASE) is None


# --- searches ---

FILTERED = [
    (Serial("O'BRIEN & SONS"), "serialNumber"),
    (Imei("001012345678902"), "imei"),
    (DeviceId("c2a1e7d4-8f39-4b6a-90d5-1e4f7a2b3c58"), "azureADDeviceId"),
    (Hostname("laptop-1"), "deviceName"),
    (Username("user@example.com"), "userPrincipalName"),
]


@pytest.mark.parametrize(("key", "name"), FILTERED)
def test_a_search_sends_a_filter_that_graph_is_known_to_heed(make: Make, key: Any, name: str) -> None:
    provider = make(backends=["graph"])
    (first, *_) = urls_of(provider, key)
    expected = key.value.replace("'", "''")
    assert f"?$filter={name} eq '{expected}'&$select=id,{name}" in unquote(first)
    assert "&" not in first.partition("$filter=")[2].partition("&$select")[0]


def urls_of(provider: Any, *keys: Any) -> list[str]:
    """The addresses of all searches for some keys, in batches or not."""
    record = Played()
    found = play(provider.find_batch(INFO, keys), either_way({"value": []}), record=record)
    assert found == {key: [] for key in keys}
    return [
        url
        for request in record.requests
        for url in ([part["url"] for part in request.json["requests"]] if request.json else [request.url])
    ]


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        (Imei("353778083456461"), ["353778083456461", "35377808345646"]),
        (Imei("35377808345646"), ["353778083456461", "35377808345646"]),
        (Imei("35 377808 345646 1"), ["353778083456461", "35377808345646"]),
        (Imei("3537780834564602"), ["353778083456461", "3537780834564602", "35377808345646"]),
        (Serial(" c02xk0aajg5h "), ["c02xk0aajg5h", "C02XK0AAJG5H"]),
        (Serial("C02XK0AAJG5H"), ["C02XK0AAJG5H"]),
        (DeviceId("C2A1E7D4-8F39-4B6A-90D5-1E4F7A2B3C58"), ["C2A1E7D4-8F39-4B6A-90D5-1E4F7A2B3C58"]),
        (Hostname("caf\u00e9"), ["caf\u00e9", "cafe\u0301"]),
        (Hostname("laptop-1"), ["laptop-1"]),
    ],
)
def test_every_spelling_is_asked_for_that_graph_may_hold(make: Make, key: Any, texts: list[str]) -> None:
    asked = [unquote(url).partition(" eq '")[2].partition("'&")[0] for url in urls_of(make(), key)]
    if isinstance(key, DeviceId):
        texts = [*texts, texts[0].lower()]
    assert asked == texts


@pytest.mark.parametrize(("key", "name"), FILTERED)
def test_rows_of_other_devices_are_no_answer(make: Make, key: Any, name: str) -> None:
    provider = make(backends=["graph"])
    for row in ({"id": "g-1", name: "001019999999990"}, {"id": "g-1"}, {"id": "g-1", name: None}):
        with pytest.raises(FilterIgnoredError):
            play(provider.find(INFO, key), either_way({"value": [row]}))


def either_way(body: dict[str, Any]) -> Callable[[Request], bytes]:
    """Answers every request with a body, and each in a batch."""
    in_batch = batch_of(lambda part, _: {"id": part["id"], "status": 200, "body": body})
    return lambda request: in_batch(request) if request.json else json.dumps(body).encode()


@pytest.mark.parametrize("other", ["caf\u00e9", "\u201ccafe\u201d"])
def test_a_loose_search_gives_the_exact_device_alone(make: Make, other: str) -> None:
    rows = [{"id": GUID.format(1), "deviceName": "CAFE"}, {"id": GUID.format(2), "deviceName": other}]
    record = json.dumps({"id": GUID.format(1), "deviceName": "CAFE"}).encode()
    provider = make(backends=["graph"])
    (device,) = play(provider.find(INFO, Hostname("cafe")), [json.dumps({"value": rows}).encode(), record])
    assert device.guid == GUID.format(1)
    with pytest.raises(FilterIgnoredError):
        play(provider.find(INFO, Hostname("cafe")), [json.dumps({"value": rows[1:]}).encode()])


@pytest.mark.parametrize("other", ["cafe-2", ["cafe"], None, "", 7, {"a": "cafe"}])
def test_one_row_of_another_device_spoils_the_answer(make: Make, other: object) -> None:
    # The one that cannot be read may be another record of the device, and the noncompliant one.
    rows = [{"id": GUID.format(1), "deviceName": "cafe"}, {"id": GUID.format(2), "deviceName": other}]
    with pytest.raises(FilterIgnoredError):
        play(make(backends=["graph"]).find(INFO, Hostname("cafe")), [json.dumps({"value": rows}).encode()])


@pytest.mark.parametrize("name", [["cafe"], [[]], "cafe\u0301-2"])
def test_a_record_that_does_not_say_what_the_search_said_spoils_the_answer(make: Make, name: object) -> None:
    # It may be the noncompliant one of several, so that leaving it out could make a pass.
    row = {"id": GUID.format(1), "deviceName": "cafe"}
    answers = [json.dumps({"value": [row]}).encode(), json.dumps({**row, "deviceName": name}).encode()]
    with pytest.raises(FilterIgnoredError):
        play(make(backends=["graph"]).find(INFO, Hostname("cafe")), answers)


def test_a_key_that_is_refused_is_its_own_error_in_the_vendors_words(make: Make) -> None:
    names = [Hostname(name) for name in ("good", "bad", "gone", "loose")]

    def reply(part: dict[str, str], _: int) -> dict[str, Any]:
        url = unquote(part["url"])
        body: dict[str, Any] = {"value": []}
        if "'bad'" in url:
            refusal = json.loads(error(400, "BadRequest", nested("Invalid filter clause - Url: x")).body)
            return {"id": part["id"], "status": 400, "body": refusal}
        if "'good'" in url:
            body = {"value": [{"id": GUID.format(1), "deviceName": "GOOD"}]}
        if "'loose'" in url:
            body = {"value": [{"id": GUID.format(2), "deviceName": "other"}]}
        return {"id": part["id"], "status": 200, "body": body}

    record = json.dumps({"id": GUID.format(1), "deviceName": "GOOD"}).encode()
    answer = batch_of(reply)
    found = play(
        make(backends=["graph"]).find_batch(INFO, names),
        lambda request: answer(request) if request.json else record,
    )
    good, bad, gone, loose = (found[name] for name in names)
    assert [device.guid for device in good] == [GUID.format(1)]
    assert type(bad) is ResponseError
    assert "Invalid filter clause" in str(bad)
    assert "Url" not in str(bad)
    assert gone == []
    assert isinstance(loose, FilterIgnoredError)


def test_unknown_addresses_cost_one_request_each(make: Make) -> None:
    keys = [Mac(f"00005E0000{number:02X}") for number in range(20)]
    nothing = "<ise_api><name>attributes</name><deviceList/></ise_api>"
    record = Played()
    assert play(make().find_batch(INFO, keys), lambda _: nothing, record=record) == {key: [] for key in keys}
    assert len(record.requests) == len(keys)


def test_an_address_that_fails_fails_alone(make: Make) -> None:
    keys = [Mac(f"00005E0000{number:02X}") for number in range(3)]
    nothing = "<ise_api><name>attributes</name><deviceList/></ise_api>"

    def answer(request: Request) -> str:
        return "<damaged" if keys[1].hex in request.full_url else nothing

    found = play(make().find_batch(INFO, keys), answer)
    assert isinstance(found[keys[1]], MalformedResponseError)
    assert (found[keys[0]], found[keys[2]]) == ([], [])


def test_a_service_that_has_moved_has_moved_for_all(make: Make) -> None:
    keys = [Mac(f"00005E0000{number:02X}") for number in range(3)]
    moved = EndpointNotFoundError("moved", status=404)
    with pytest.raises(EndpointNotFoundError):
        play(make().find_batch(INFO, keys), lambda _: moved)


@pytest.mark.parametrize("damaged", [{}, {"id": ["x"]}, [], {"id": GUID.format(2)}, {"id": "0"}])
def test_a_damaged_record_spoils_its_own_answer_alone(make: Make, damaged: Any) -> None:
    guids = [Guid(GUID.format(number)) for number in (1, 3)]

    def reply(part: dict[str, str], _: int) -> dict[str, Any]:
        body = {"id": guids[0].value} if guids[0].value in part["url"] else damaged
        return {"id": part["id"], "status": 200, "body": body}

    found = play(make(backends=["graph"]).find_batch(INFO, guids), batch_of(reply))
    assert [device.guid for device in found[guids[0]]] == [guids[0].value]
    assert isinstance(found[guids[1]], MdmError)


def test_a_search_over_pages_that_go_in_circles_ends(make: Make) -> None:
    link = f"{DEVICES}?$skiptoken=x"
    page = json.dumps({"value": [], "@odata.nextLink": link}).encode()
    with pytest.raises(IncompleteListError, match="repeats a page"):
        play(make(backends=["graph"]).find(INFO, Serial("S-1")), lambda _: page)
    numbers = iter(range(1000))

    def endless(_: Any) -> bytes:
        return json.dumps({"value": [], "@odata.nextLink": f"{link}{next(numbers)}"}).encode()

    with pytest.raises(IncompleteListError, match="brought nothing new"):
        play(make(backends=["graph"]).find(INFO, Serial("S-1")), endless)
    assert next(numbers) <= 12


def test_another_record_than_the_one_asked_for_is_no_answer(make: Make) -> None:
    provider = make(backends=["graph"])
    with pytest.raises(FilterIgnoredError):
        play(provider.find(INFO, Guid(GUID.format(1))), [json.dumps({"id": GUID.format(2)}).encode()])
    with pytest.raises(MalformedResponseError):
        play(provider.find(INFO, Guid(GUID.format(1))), [b"[]"])


def test_graph_and_compliance_retrieval_about_two_devices_are_no_answer(make: Make) -> None:
    # Compliance Retrieval names the device by its GUID alone; Graph shows that it has other addresses.
    key, provider = Mac("00005E0000FF"), make()
    record = {"wiFiMacAddress": "00005E000001", "ethernetMacAddress": "00005E000002"}
    with pytest.raises(FilterIgnoredError):
        play(provider.find(INFO, key), retrieved_and(record))


@pytest.mark.parametrize(
    ("record", "state"),
    [
        ({"ethernetMacAddress": "00005E0000FF", "wiFiMacAddress": "00005E000001"}, ComplianceState.COMPLIANT),
        # Compliance Retrieval by MAC address does not repeat it: its one record is the device.
        ({}, ComplianceState.COMPLIANT),
        ({"wiFiMacAddress": ""}, ComplianceState.COMPLIANT),
        # Graph does not show the Ethernet address of every device.
        ({"wiFiMacAddress": "00005E000001"}, ComplianceState.UNKNOWN),
    ],
)
def test_what_graph_shows_of_addresses_proves_a_device_or_not(
    make: Make, record: dict[str, Any], state: ComplianceState
) -> None:
    key, provider = Mac("00005E0000FF"), make()
    (device,) = proven(provider, key, play(provider.find(INFO, key), retrieved_and(record)))
    assert device.compliance.state is state
    # No address stands there that nobody showed.
    shown = {Mac(value) for value in record.values() if value}
    assert set(device.mac_addresses) == shown
    assert ("does not show the mac" in str(device.compliance.reasons)) == (state is ComplianceState.UNKNOWN)


@pytest.mark.parametrize("address", ["00005E000001", "0026B424FEB", "01005E000001"])
def test_compliance_retrieval_that_names_another_address_is_no_answer(make: Make, address: str) -> None:
    found, _ = retrieved_and({}, f"<macaddress>{address}</macaddress>")
    for provider in (make(), make("intune-ise")):
        with pytest.raises(FilterIgnoredError):
            play(provider.find(INFO, Mac("00005E0000FF")), [found])


def test_a_record_without_device_id_is_no_pass_where_graph_has_to_agree(make: Make) -> None:
    found, _ = retrieved_and({}, named=False)
    (device,) = play(make().find(INFO, Mac("00005E0000FF")), [found])
    assert client_verdict(device, "s", "intune").compliance.state is ComplianceState.UNKNOWN


def retrieved_and(record: dict[str, Any], more: str = "", *, named: bool = True) -> list[str]:
    """What Compliance Retrieval and Graph say about one compliant device."""
    guid = GUID.format(1)
    name = f"<guid>{guid}</guid>" if named else ""
    verdict = "<register_status>true</register_status><Compliance><status>true</status></Compliance>"
    row = f"<device>{name}{more}<Attributes>{name}{verdict}</Attributes></device>"
    document = f"<ise_api><name>attributes</name><deviceList>{row}</deviceList></ise_api>"
    judged = {"complianceState": "compliant", "managementState": "managed"}
    return [document, json.dumps({"id": guid, **judged, **record})]


def test_another_vendors_guid_needs_no_request(make: Make) -> None:
    assert play(make().find(INFO, Guid("584342051651325")), []) == []
    assert play(make("intune-ise").find(INFO, Guid("584342051651325")), []) == []


def test_the_list_is_checked_for_the_state_asked_for(make: Make) -> None:
    provider = make(backends=["graph"])
    rows = [{"id": "a", "complianceState": "noncompliant"}, {"id": "b", "complianceState": "compliant"}]
    with pytest.raises(FilterIgnoredError):
        play(provider.noncompliant_page(INFO, None), [json.dumps({"value": rows}).encode()])


def test_lists_take_one_request_a_page(make: Make) -> None:
    provider = make(backends=["graph"], page_size=7)
    rows = [{"id": GUID.format(number), "complianceState": "noncompliant"} for number in range(3)]
    record = Played()
    page = play(provider.noncompliant_page(INFO, None), [json.dumps({"value": rows}).encode()], record=record)
    assert (len(page.items), len(record.requests), page.next_cursor) == (
        3,
        1,
        Link(
            ("complianceState eq 'conflict'", "complianceState eq 'error'"),
            done=("complianceState eq 'noncompliant'",),
        ),
    )
    assert "$top=7" in record.requests[0].url


def test_conflicts_and_errors_are_listed_too(make: Make) -> None:
    provider = make(backends=["graph"])
    cursor: Link | None = None
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
