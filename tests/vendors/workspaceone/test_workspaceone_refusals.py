"""Statuses, error bodies, documents, versions and the quota, from bytes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ResponseError,
    ServerError,
    TokenError,
    VersionMismatchError,
)
from mdmsdk.identifiers import Guid, Serial
from mdmsdk.models import ServerInfo
from mdmsdk.testing.playing import play
from mdmsdk.wire import Response
from mdmsdk_workspaceone import WorkspaceOneProvider
from mdmsdk_workspaceone.refusals import UnknownRecordError, check_login, read_quota

Make = Callable[..., WorkspaceOneProvider]
Info = Callable[..., ServerInfo]
Reply = Callable[..., Response]
Check = Callable[[Response], Response]
HTML = b"<!DOCTYPE html><html><body>Not here</body></html>"


@pytest.fixture
def check(make: Make) -> Check:
    return make().check


@pytest.mark.parametrize(
    ("status", "code", "kind", "hint"),
    [
        (401, 1005, AuthenticationError, "user name and password"),
        (403, 1013, PermissionDeniedError, "tenant_code"),
        (403, 1011, PermissionDeniedError, "role"),
        (403, 5035, PermissionDeniedError, "role"),
        (400, 6, ResponseError, "organization_group"),
        (404, 6, EndpointNotFoundError, "organization_group"),
        (404, 5177, EndpointNotFoundError, "organization_group"),
        (422, 6, ResponseError, "organization_group"),
        (422, 1012, ResponseError, "report"),
        (404, 9999, EndpointNotFoundError, "base_url"),
        (500, 400, ServerError, "log"),
    ],
)
def test_each_code_has_its_error_and_its_hint(
    *, refusal: Reply, check: Check, status: int, code: int, kind: type[MdmError], hint: str
) -> None:
    with pytest.raises(kind) as caught:
        check(refusal(status, code))
    assert type(caught.value) is kind
    assert f"[{code}]" in str(caught.value)
    assert hint in str(caught.value.hint)
    assert caught.value.request_id == "a-1"
    assert "secret-words" not in f"{caught.value!r}{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("code", [8, 33, 400, 404, 5002, 5061])
def test_a_404_with_a_code_is_an_unknown_record(refusal: Reply, check: Check, code: int) -> None:
    with pytest.raises(UnknownRecordError):
        check(refusal(404, code))


def test_the_older_error_body_is_read_too(reply: Reply, check: Check) -> None:
    with pytest.raises(UnknownRecordError):
        check(reply({"Message": "not there", "Error": 1002}, 404))


@pytest.mark.parametrize(
    "content", [HTML, None, {}, [], {"error": {"code": 404}}, {"errorCode": "5002"}, {"errorCode": True}]
)
def test_any_other_404_is_a_wrong_address(reply: Reply, check: Check, content: Any) -> None:
    with pytest.raises(EndpointNotFoundError) as caught:
        check(reply(content, 404))
    assert not isinstance(caught.value, UnknownRecordError)
    assert "asNNNN.awmdm.com" in str(caught.value.hint)


def test_a_message_may_be_an_object(reply: Reply, check: Check) -> None:
    with pytest.raises(PermissionDeniedError):
        check(reply({"errorCode": 1013, "message": {"text": "no"}}, 403))


def test_the_correlation_id_is_kept(refusal: Reply, check: Check) -> None:
    with pytest.raises(AuthenticationError) as caught:
        check(refusal(401, 1005, x_correlation_id="c-9"))
    assert caught.value.request_id == "c-9"


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_spent_quota_has_its_own_error(refusal: Reply, check: Check, status: int) -> None:
    headers = {
        "x_ratelimit_limit": "250000",
        "x_ratelimit_remaining": "0",
        "x_ratelimit_reset": "1698754208",
        "date": "Tue, 31 Oct 2023 11:10:08 GMT",
    }
    with pytest.raises(RateLimitedError) as caught:
        check(refusal(status, 0, **headers))
    assert "250000 requests is spent" in str(caught.value)
    assert "2023-10-31T12:10:08" in str(caught.value)
    assert caught.value.retry_after == 3600.0
    assert "quota" in str(caught.value.hint)


def test_an_unknown_record_stays_one_although_the_quota_is_spent(refusal: Reply, check: Check) -> None:
    with pytest.raises(UnknownRecordError):
        check(refusal(404, 5002, x_ratelimit_remaining="0"))


def test_a_wait_that_is_named_needs_no_end_of_the_quota(refusal: Reply, check: Check) -> None:
    with pytest.raises(RateLimitedError) as caught:
        check(refusal(429, 0, x_ratelimit_remaining="0", retry_after="7"))
    assert (caught.value.retry_after, caught.value.retryable) == (7.0, True)


def test_a_spent_quota_without_a_date_is_not_tried_again(refusal: Reply, check: Check) -> None:
    with pytest.raises(RateLimitedError) as caught:
        check(refusal(429, 0, x_ratelimit_remaining="0", x_ratelimit_reset="never"))
    assert caught.value.retryable is False


def test_a_429_with_quota_left_is_a_plain_one(refusal: Reply, check: Check) -> None:
    with pytest.raises(RateLimitedError) as caught:
        check(refusal(429, 0, x_ratelimit_remaining="17", retry_after="5"))
    assert caught.value.retry_after == 5.0
    assert "spent" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_wait_that_is_named_goes_before_the_quota(refusal: Reply, check: Check, status: int) -> None:
    headers = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1698754208"}
    date = "Tue, 31 Oct 2023 11:10:08 GMT"
    with pytest.raises(RateLimitedError) as caught:
        check(refusal(status, 0, **headers, date=date, retry_after="1"))
    assert (caught.value.retry_after, caught.value.retryable) == (1.0, True)


def test_the_quota_is_read(reply: Reply) -> None:
    answer = reply(
        {"a": 1},
        x_ratelimit_limit="250000",
        x_ratelimit_remaining="249972",
        x_ratelimit_reset="1698754208",
    )
    assert read_quota(answer) == {
        "limit": 250000,
        "remaining": 249972,
        "resets_at": "2023-10-31T12:10:08+00:00",
    }
    assert read_quota(reply({"a": 1}, x_ratelimit_limit="many", x_ratelimit_reset="9" * 30)) == {}


def test_only_204_says_that_there_is_nothing(make: Make, info: Info, reply: Reply) -> None:
    provider = make()
    nothing = reply(None, 204)
    assert play(provider.devices_page(info(), None), [nothing], provider=provider).items == []
    with pytest.raises(ProtocolError, match="no whole answer"):
        provider.check(replace(nothing, url="https://mdm.example/api/mdm/devices/7"))
    for empty in (None, b" \r\n"):
        with pytest.raises(MalformedResponseError):
            play(provider.devices_page(info(), None), [reply(empty)], provider=provider)


@pytest.mark.parametrize("content", [HTML, [], "text", 7, {}, b"{", b"\xff\xfe{", b"null"])
def test_what_is_no_object_is_malformed(make: Make, info: Info, reply: Reply, content: Any) -> None:
    provider, answer = make(), reply(content)
    for flow in (
        provider.heartbeat(),
        provider.find(info(), Serial("SIMWS10001")),
        provider.find(info(), Guid("3f0c7a52-91b4-4d0e-8a6f-5c1d2e3f4a5b")),
        provider.devices_page(info(), None),
    ):
        with pytest.raises(MalformedResponseError) as caught:
            play(flow, [answer], provider=provider)
        assert "base_url" in str(caught.value.hint)


@pytest.mark.parametrize("said", ["v2", "2", "2.0", "", "soon"])
def test_the_version_of_an_answer_fits(make: Make, info: Info, reply: Reply, said: str) -> None:
    answer = reply({"Devices": []}, x_api_version=said)
    assert play(make().devices_page(info(2), None), [answer]).items == []


def test_an_answer_in_another_version_is_refused(make: Make, info: Info, reply: Reply) -> None:
    with pytest.raises(VersionMismatchError, match="in version 1 of its API, not 2"):
        play(make().devices_page(info(2), None), [reply({"Devices": []}, x_api_version="v1")])


LOGIN = "https://login.example.com/t"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error":"invalid_client"}', "invalid_client"),
        (b'{"error":"the secret hush-word is wrong"}', None),
        (HTML, None),
        (b"", None),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refused_client_is_a_token_error(status: int, body: bytes, code: str | None) -> None:
    with pytest.raises(TokenError) as caught:
        check_login(Response(status, {}, body, LOGIN))
    assert (caught.value.step, caught.value.vendor_code) == ("token", code)
    assert "region" in str(caught.value.hint)
    assert "hush-word" not in f"{caught.value!r}{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_token_service_that_fails_may_be_asked_again(status: int) -> None:
    with pytest.raises(ResponseError) as caught:
        check_login(Response(status, {}, b"", LOGIN))
    assert caught.value.retryable
