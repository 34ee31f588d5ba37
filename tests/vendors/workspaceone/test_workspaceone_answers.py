"""Statuses, error bodies, versions and the quota, from bytes."""

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
from mdmsdk.wire import Response
from mdmsdk_workspaceone import WorkspaceOneProvider
from mdmsdk_workspaceone.answers import (
    UnknownRecordError,
    check_answer,
    check_version,
    read_document,
    read_quota,
)

Reply = Callable[..., Response]
HTML = b"<!DOCTYPE html><html><body>Not here</body></html>"


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
    refusal: Reply, status: int, code: int, kind: type[MdmError], hint: str
) -> None:
    with pytest.raises(kind) as caught:
        check_answer(refusal(status, code))
    assert type(caught.value) is kind
    assert f"error {code}" in str(caught.value)
    assert hint in str(caught.value.hint)
    assert caught.value.request_id == "a-1"
    assert "secret-words" not in f"{caught.value!r}{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("code", [8, 33, 400, 404, 5002, 5061])
def test_a_404_with_a_code_is_an_unknown_record(refusal: Reply, code: int) -> None:
    with pytest.raises(UnknownRecordError):
        check_answer(refusal(404, code))


def test_the_older_error_body_is_read_too(reply: Reply) -> None:
    with pytest.raises(UnknownRecordError):
        check_answer(reply({"Message": "not there", "Error": 1002}, 404))


@pytest.mark.parametrize(
    "content", [HTML, None, {}, [], {"error": {"code": 404}}, {"errorCode": "5002"}, {"errorCode": True}]
)
def test_any_other_404_is_a_wrong_address(reply: Reply, content: Any) -> None:
    with pytest.raises(EndpointNotFoundError) as caught:
        check_answer(reply(content, 404))
    assert not isinstance(caught.value, UnknownRecordError)
    assert "asNNNN.awmdm.com" in str(caught.value.hint)


def test_a_message_may_be_an_object(reply: Reply) -> None:
    with pytest.raises(PermissionDeniedError):
        check_answer(reply({"errorCode": 1013, "message": {"text": "no"}}, 403))


def test_the_correlation_id_is_kept(refusal: Reply) -> None:
    with pytest.raises(AuthenticationError) as caught:
        check_answer(refusal(401, 1005, x_correlation_id="c-9"))
    assert caught.value.request_id == "c-9"


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_spent_quota_has_its_own_error(refusal: Reply, status: int) -> None:
    headers = {
        "x_ratelimit_limit": "250000",
        "x_ratelimit_remaining": "0",
        "x_ratelimit_reset": "1698754208",
        "date": "Tue, 31 Oct 2023 11:10:08 GMT",
    }
    with pytest.raises(RateLimitedError) as caught:
        check_answer(refusal(status, 0, **headers))
    assert "250000 requests is spent" in str(caught.value)
    assert "2023-10-31T12:10:08" in str(caught.value)
    assert caught.value.retry_after == 3600.0
    assert "quota" in str(caught.value.hint)


def test_a_spent_quota_without_a_date_is_not_tried_again(refusal: Reply) -> None:
    with pytest.raises(RateLimitedError) as caught:
        check_answer(refusal(429, 0, x_ratelimit_remaining="0", x_ratelimit_reset="never"))
    assert caught.value.retryable is False


def test_a_429_with_quota_left_is_a_plain_one(refusal: Reply) -> None:
    with pytest.raises(RateLimitedError) as caught:
        check_answer(refusal(429, 0, x_ratelimit_remaining="17", retry_after="5"))
    assert caught.value.retry_after == 5.0
    assert "spent" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_wait_that_is_named_goes_before_the_quota(refusal: Reply, status: int) -> None:
    headers = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1698754208"}
    date = "Tue, 31 Oct 2023 11:10:08 GMT"
    with pytest.raises(RateLimitedError) as caught:
        check_answer(refusal(status, 0, **headers, date=date, retry_after="1"))
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


def test_only_204_says_that_there_is_nothing(reply: Reply) -> None:
    nothing = replace(reply(None, 204), url="https://mdm.example/api/mdm/devices/search")
    assert read_document(check_answer(nothing)) == {}
    with pytest.raises(ProtocolError, match="no whole answer"):
        check_answer(replace(nothing, url="https://mdm.example/api/mdm/devices/7"))
    for empty in (None, b" \r\n"):
        with pytest.raises(MalformedResponseError):
            check_answer(reply(empty))


@pytest.mark.parametrize("content", [HTML, [], "text", 7, {}, b"{", b"\xff\xfe{"])
def test_what_is_no_object_is_malformed(reply: Reply, content: Any) -> None:
    with pytest.raises(MalformedResponseError) as caught:
        read_document(reply(content))
    assert "base_url" in str(caught.value.hint)


@pytest.mark.parametrize(("said", "asked"), [("v2", 2), ("2", 2), ("2.0", 2), ("", 2), ("soon", 2)])
def test_the_version_of_an_answer_fits(reply: Reply, said: str, asked: int) -> None:
    assert check_version(reply({"a": 1}, x_api_version=said), asked).json() == {"a": 1}


def test_an_answer_in_another_version_is_refused(reply: Reply) -> None:
    with pytest.raises(VersionMismatchError) as caught:
        check_version(reply({"a": 1}, x_api_version="v1"), 2)
    assert "api_version to 1" in str(caught.value.hint)


LOGIN = "https://login.example.com/t"


@pytest.fixture
def oauth(make: Callable[..., WorkspaceOneProvider]) -> WorkspaceOneProvider:
    gone = dict.fromkeys(("tenant_code", "username", "password"))
    return make(**gone, client_id="client", client_secret="hush-word", token_url=LOGIN)


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
def test_a_refused_client_is_a_token_error(
    oauth: WorkspaceOneProvider, status: int, body: bytes, code: str | None
) -> None:
    with pytest.raises(TokenError) as caught:
        oauth.check(Response(status, {}, body, LOGIN))
    assert (caught.value.step, caught.value.vendor_code) == ("token", code)
    assert "region" in str(caught.value.hint)
    assert "hush-word" not in f"{caught.value!r}{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_token_service_that_fails_may_be_asked_again(oauth: WorkspaceOneProvider, status: int) -> None:
    with pytest.raises(ResponseError) as caught:
        oauth.check(Response(status, {}, b"", LOGIN))
    assert caught.value.retryable
