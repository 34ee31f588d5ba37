"""From a response to an error or a document: status quirks, error bodies, versions, the daily quota. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import (
    EndpointNotFoundError,
    MalformedResponseError,
    RateLimitedError,
    ResponseError,
    TokenError,
    VersionMismatchError,
)
from mdmsdk.provider import check_status, retry_after_seconds
from mdmsdk.wire import redact_url

if TYPE_CHECKING:
    from mdmsdk.wire import Response

__all__ = [
    "UnknownRecordError",
    "check_answer",
    "check_token_answer",
    "check_version",
    "read_document",
    "read_quota",
    "spoken_version",
]

_ADDRESS_HINT: Final = (
    "Set base_url to the API's address, for SaaS https://asNNNN.awmdm.com (the console is at cnNNNN) as it "
    "stands in the console under Groups & Settings > All Settings > System > Advanced > Site URLs."
)
_LOGIN_HINT: Final = (
    "Check user name and password, client or certificate; the account has to be an administrator of UEM that "
    "is active, not locked, and may use the API."
)
_ROLE_HINT: Final = (
    "Give the account a role that may read devices through the REST API (REST > Devices > Read), in the "
    "organisation group of the devices or above."
)
_TENANT_HINT: Final = (
    "Check tenant_code: the API key under Groups & Settings > All Settings > System > Advanced > API > "
    "REST API, in the organisation group of the account."
)
_GROUP_HINT: Final = (
    "Check organization_group: the number (with api_version 3 the UUID) of a group that the account may see."
)
_QUOTA_HINT: Final = (
    "Ask less often or let Omnissa raise the quota; heartbeat() shows in extra['quota'] what is left."
)
_REGION_HINT: Final = (
    "Check client_id and client_secret (Groups & Settings > Configurations > OAuth Client Management), and "
    "that region is the data centre of this tenant: na, emea, apac, or uat for all UAT."
)
# Workspace ONE API help, mdm v1-v3, the errors of each operation: errorCode, what it means, what to do.
_MEANINGS: Final[dict[int, tuple[str, str]]] = {
    6: ("the organisation group is unknown or not visible to the account", _GROUP_HINT),
    1005: ("the user is unknown or the password wrong", _LOGIN_HINT),
    1011: ("the account lacks a permission", _ROLE_HINT),
    1013: ("the tenant code is missing or belongs to no organisation group", _TENANT_HINT),
    5035: ("the account may not see the device", _ROLE_HINT),
    5177: ("the organisation group is unknown", _GROUP_HINT),
}
_REFUSED_HINT: Final = (
    "If api_version or organization_group is set, try without; otherwise report this with the request's "
    "number to the plugin."
)
_HINTS: Final = {
    **dict.fromkeys((400, 406, 415, 422), _REFUSED_HINT),
    401: _LOGIN_HINT,
    403: _ROLE_HINT,
    404: _ADDRESS_HINT,
}
# The same pages: device not found by alternate id, uuid or number; 1002 is from the older body.
_NO_RECORD: Final = frozenset({8, 33, 400, 404, 1002, 5002, 5061})
_SPENT: Final = frozenset({403, 429, 503})


class UnknownRecordError(EndpointNotFoundError):
    """The server has no such record, and said so in its own words; to flows, an empty answer."""


def check_answer(response: Response) -> Response:
    """Turn an error status of the API into the error that says what to do.

    Raises:
        UnknownRecordError: 404 with the vendor's code for a device that it does not have.
        EndpointNotFoundError: any other 404: HTML comes from a wrong address or a gateway.
        RateLimitedError: the daily quota is spent, or fewer requests are asked for.
        MalformedResponseError: a success with nothing in it; only 204 says that there is nothing.
        ResponseError: every other error status.
        ProtocolError: a success that is no whole answer.
    """
    status = response.status
    if status < 400:  # noqa: PLR2004 - HTTP's own numbers
        # JupiterOne's recording of a tenant: a search without rows is 204 with an empty body.
        response = check_status(response, may_be_empty="/devices/search" in response.url)
        if status == 200 and not response.body.strip():  # noqa: PLR2004
            raise MalformedResponseError(
                f"{redact_url(response.url)} answered {status} with nothing in it", hint=_ADDRESS_HINT
            )
        return response
    code, activity = _read_error(response)
    quota = read_quota(response)
    if status in _SPENT and quota.get("remaining") == 0:
        raise _spent(response, quota)
    meaning, hint = _MEANINGS.get(code, (None, _HINTS.get(status)))
    try:
        return check_status(response, hint=hint)
    except EndpointNotFoundError as error:
        failure: ResponseError = error
        if code in _NO_RECORD:
            failure = UnknownRecordError(
                "the server has no such device", status=status, url=error.url, hint=hint
            )
    except ResponseError as error:
        failure = error
    if code:
        failure.message += f" [error {code}{f': {meaning}' if meaning else ''}]"
    failure.request_id = failure.request_id or activity
    raise failure


def check_token_answer(response: Response) -> Response:
    """`check_answer` for the token service (RFC 6749, section 5.2).

    Raises:
        TokenError: the client is refused, or this is no token service.
        ResponseError: the service is busy or failed.
    """
    status = response.status
    if status >= 500 or status == 429 or 200 <= status < 300:  # noqa: PLR2004 - HTTP's own numbers
        return check_status(response)
    body = _as_object(response)
    found = body.get("error")
    # A word of the protocol such as invalid_client; anything longer could quote what was sent.
    word = found if isinstance(found, str) and re.fullmatch(r"[a-z_]{1,40}", found) else None
    refusal = f"{status}, {word}" if word else str(status)
    raise TokenError(
        f"the token service {redact_url(response.url)} refused the client ({refusal})",
        step="token",
        vendor_code=word,
        hint=_REGION_HINT,
    )


def read_document(response: Response) -> dict[str, Any]:
    """The JSON object of an answer; empty for 204, which says that there is nothing.

    Raises:
        MalformedResponseError: it is something else, such as a web page.
    """
    if not response.body.strip():
        return {}
    try:
        found = response.json()
    except MalformedResponseError as error:
        error.hint = _ADDRESS_HINT
        raise
    # An empty one would read as "nothing there", which is 204's to say.
    if not isinstance(found, dict) or not found:
        raise MalformedResponseError(
            f"{redact_url(response.url)} did not answer with an object", hint=_ADDRESS_HINT
        )
    return found


# JupiterOne's recording: x-api-version: v2; a resource without version 2 answers 200 in version 1.
def spoken_version(response: Response) -> int | None:
    """The version in which an answer is written, where it says so."""
    found = re.fullmatch(r"v?(\d{1,3})(?:\.\d+)?", (response.header("x-api-version") or "").strip())
    return int(found[1]) if found else None


def check_version(response: Response, asked: int) -> Response:
    """Make sure that a search was understood in the version in which it was asked.

    The versions name their filters differently and ignore names that they do not know.

    Raises:
        VersionMismatchError: the server answered in another one.
    """
    spoken = spoken_version(response)
    if spoken not in {None, asked}:
        raise VersionMismatchError(
            f"the server answered in version {spoken} of its API instead of {asked}",
            hint=f"Set api_version to {spoken}, if that is 1, 2 or 3, or leave it out.",
        )
    return response


# JupiterOne's recording: x-ratelimit-limit, -remaining, and -reset in Unix seconds, about a day ahead.
def read_quota(response: Response) -> dict[str, Any]:
    """What is left of the daily quota: limit, remaining, resets_at (ISO 8601); empty if nothing is said."""
    quota: dict[str, Any] = {}
    for name in ("limit", "remaining"):
        text = response.header(f"x-ratelimit-{name}") or ""
        if text.isascii() and text.isdigit():
            quota[name] = int(text)
    if reset := _reset(response):
        quota["resets_at"] = reset.isoformat()
    return quota


def _reset(response: Response) -> datetime | None:
    text = response.header("x-ratelimit-reset") or ""
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _spent(response: Response, quota: dict[str, Any]) -> RateLimitedError:
    reset, now = _reset(response), response.date
    # A wait that the server names goes before what it counts: the last request of a day may be throttled too.
    wait = retry_after_seconds(response)
    if wait is None and reset and now:
        wait = max(0.0, (reset - now).total_seconds())  # both by the server's clock
    until = f"; it begins anew at {quota['resets_at']}" if reset else ""
    return RateLimitedError(
        f"the quota of {quota.get('limit', 'all')} requests is spent{until}",
        status=response.status,
        retry_after=wait,
        url=redact_url(response.url),
        request_id=response.header("x-correlation-id"),
        retryable=wait is not None,
        hint=_QUOTA_HINT,
    )


# Workspace ONE API help: {"errorCode", "message", "activityId"}; VMware's own connector also knows the older
# {"Message", "Error"}. The message is left out of ours: it may quote what was sent.
def _read_error(response: Response) -> tuple[int, str | None]:
    body = {name.lower(): value for name, value in _as_object(response).items()}
    code, activity = body.get("errorcode", body.get("error")), body.get("activityid")
    number = code if isinstance(code, int) and not isinstance(code, bool) else 0
    return number, activity if isinstance(activity, str) else None


def _as_object(response: Response) -> dict[str, Any]:
    try:
        found = response.json()
    except MalformedResponseError:
        return {}
    return found if isinstance(found, dict) else {}
