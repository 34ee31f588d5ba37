"""Microsoft Graph: addresses, batches, pages, and what its errors mean.

https://learn.microsoft.com/graph/api/resources/intune-graph-overview
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mdmsdk.errors import (
    EndpointNotFoundError,
    MalformedResponseError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ResponseError,
    ServerError,
)
from mdmsdk.flow import pause, send
from mdmsdk.provider import check_status
from mdmsdk.wire import Request, Response, origin_of, redact_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.provider import MdmProvider

__all__ = [
    "BATCH_SIZE",
    "VERSION",
    "RecordNotFoundError",
    "check_graph",
    "devices_request",
    "get",
    "next_link",
    "read_many",
    "rows_of",
]

VERSION: Final = "/v1.0"
# Microsoft Graph, "Combine multiple requests", https://learn.microsoft.com/graph/json-batching
BATCH_SIZE: Final = 20

_DEVICES: Final = "/deviceManagement/managedDevices"
_BARE: Final = "',"
_CONSENT = "with administrator's consent, granted again after every change; it takes 5 to 10 minutes to work"
# What each address needs; that the policy states need both is inferred, Microsoft documents neither.
_PERMISSIONS: Final = (
    ("/servicePrincipals/", "Application.Read.All", ""),
    (
        "/deviceCompliancePolicyStates",
        "DeviceManagementConfiguration.Read.All and DeviceManagementManagedDevices.Read.All",
        "",
    ),
    (_DEVICES, "DeviceManagementManagedDevices.Read.All", ' Or leave "graph" out of backends.'),
)
_NO_RECORD: Final = frozenset({"ResourceNotFound", "NotFound"})
_NO_INTUNE = "not applicable to target tenant"
_NO_INTUNE_HINT = "This tenant has no active Intune subscription: check tenant_id and the licence."
_IDENTITY_HINT = (
    "The application is not set up in this tenant: grant administrator's consent to its permissions, "
    "and check "
    "tenant_id."
)
_REFUSED_HINT = "Graph refuses the token: check cloud and graph_url, which have to be those of the tenant."
_TRUNCATED_HINT = (
    "The answer to a batch was not whole: try again, and look at what stands between here and Graph."
)


class RecordNotFoundError(EndpointNotFoundError):
    """The address is right; the record that was asked for does not exist."""


def get(base: str, path: str) -> Request:
    """A request to Graph; `path` is what follows the version."""
    return Request("GET", f"{base}{VERSION}{path}", audience="graph", lane="graph")


# OData 4.01, URL conventions; written as Microsoft's own examples are, with bare dollars and quotes.
def devices_request(base: str, device: str = "", below: str = "", /, **options: str | int) -> Request:
    """A request for the managed devices, or for one of them.

    Args:
        base: where Graph is.
        device: its Intune device id.
        below: the path below it.
        options: OData's without the dollar sign, such as ``select`` and ``filter``.
    """
    one = f"('{quote(device, safe='')}')" if device else ""
    query = "&".join(f"${name}={quote(str(value), safe=_BARE)}" for name, value in options.items())
    return get(base, f"{_DEVICES}{one}{below}{'?' if query else ''}{query}")


def rows_of(response: Response) -> list[dict[str, Any]]:
    """The records of a list.

    Raises:
        MalformedResponseError: it is no list of records.
    """
    answer = response.json()
    rows = answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedResponseError(f"{redact_url(response.url)} did not answer with a list of records")
    return rows


# Microsoft Graph, "Paging", https://learn.microsoft.com/graph/paging: the link is to be followed as it
# stands.
def next_link(response: Response, base: str) -> str | None:
    """Where the next page is, None on the last one.

    Raises:
        RedirectError: on another server than Graph.
    """
    link = response.json().get("@odata.nextLink")
    if link is None:
        return None
    try:
        origin = origin_of(str(link))
    except ValueError:
        origin = ("", "(unreadable)", None)
    if origin != origin_of(base):
        raise RedirectError(
            f"the link to the next page leads from {origin_of(base)[1]} to {origin[1] or 'nowhere'}",
            hint="Graph's pages stay on Graph's own host: find out what answers there, such as a proxy.",
        )
    return str(link)


def read_many(provider: MdmProvider, requests: Sequence[Request]) -> Flow[list[Response | None]]:
    """Send requests to Graph, several of them in batches; None for a record that does not exist.

    What a batch says to a single one counts for that one alone: those that were throttled or failed are sent
    again after the wait that Graph asks for.

    Raises:
        MalformedResponseError: a batch came back without all its answers.
        ResponseError: one of the requests failed for good.
    """
    if len(requests) == 1:
        try:
            return [(yield from send(requests[0]))]
        except RecordNotFoundError:
            return [None]
    policy = provider.settings.policy
    pending = {str(index): request for index, request in enumerate(requests)}
    done: dict[str, Response | None] = {}
    for attempt in range(1, policy.attempts + 1):
        failed: dict[str, ResponseError] = {}
        for name, response in (yield from _send_batches(provider, pending)).items():
            try:
                done[name] = provider.check(response)
            except RecordNotFoundError:
                done[name] = None
            except (RateLimitedError, ServerError) as error:
                failed[name] = error
        if not failed:
            break
        worst = max(failed.values(), key=lambda error: error.retry_after or 0)
        wait = 2.0**attempt if worst.retry_after is None else worst.retry_after
        if attempt == policy.attempts or wait > policy.max_wait:
            raise worst
        yield from pause(wait)
        pending = {name: pending[name] for name in failed}
    return [done[str(index)] for index in range(len(requests))]


# One after the other: each request in a batch counts against Graph's limits as if it had come by itself.
def _send_batches(provider: MdmProvider, pending: Mapping[str, Request]) -> Flow[dict[str, Response]]:
    base, names = provider.settings.base_url, list(pending)
    answers: dict[str, Response] = {}
    for start in range(0, len(names), BATCH_SIZE):
        chunk = names[start : start + BATCH_SIZE]
        parts = [_part(name, pending[name], base) for name in chunk]
        post = Request(
            "POST", f"{base}{VERSION}/$batch", json={"requests": parts}, audience="graph", lane="graph"
        )
        found = dict(_parts_of((yield from send(post)), pending))
        if missing := len(set(chunk) - found.keys()):
            raise MalformedResponseError(
                f"{missing} of {len(chunk)} requests in a batch were not answered", hint=_TRUNCATED_HINT
            )
        answers |= {name: found[name] for name in chunk}
    return answers


def _part(name: str, request: Request, base: str) -> dict[str, str]:
    return {"id": name, "method": request.method, "url": request.url.removeprefix(base + VERSION)}


def _parts_of(response: Response, asked: Mapping[str, Request]) -> list[tuple[str, Response]]:
    """The answers in a batch, as if each had come by itself."""
    batch = response.json()
    parts = batch.get("responses") if isinstance(batch, dict) else None
    found = []
    for part in parts if isinstance(parts, list) else [None]:
        if not isinstance(part, dict) or not isinstance(part.get("status"), int):
            raise MalformedResponseError("the answer to a batch is not one", hint=_TRUNCATED_HINT)
        name = str(part.get("id"))
        headers = {str(key).lower(): str(value) for key, value in (part.get("headers") or {}).items()}
        # The answers of a batch have no date of their own.
        headers = {"date": response.header("date") or ""} | headers
        url = asked[name].url if name in asked else response.url
        found.append((name, Response(part["status"], headers, json.dumps(part.get("body")).encode(), url)))
    return found


def check_graph(response: Response) -> Response:
    """Turn an error of Graph into one that says what to do.

    https://learn.microsoft.com/graph/errors; Intune's own services put a document of JSON into the message.
    """
    if response.status < 400:  # noqa: PLR2004 - HTTP's own numbers
        return check_status(response)
    code, text, details = _error_in(response)
    hint = _hint(response.status, response.url, code, text)
    wait = details.get("RetryAfter")
    if response.status in {429, 503} and response.header("retry-after") is None and isinstance(wait, int):
        response = replace(response, headers={**response.headers, "retry-after": str(wait)})
    try:
        return check_status(response, hint=hint)
    except ResponseError as error:
        kind = type(error)
        if error.status == 404 and code in _NO_RECORD:  # noqa: PLR2004
            kind = RecordNotFoundError
        elif error.status == 401 and "Forbidden" in text:  # noqa: PLR2004
            # A good token that lacks a role or a licence; a new one would lack it too.
            kind, hint = PermissionDeniedError, _hint(403, response.url, code, text)
        raise kind(
            f"{error.message} [{code[:60]}]" if code else error.message,
            status=error.status,
            retry_after=error.retry_after,
            url=error.url,
            request_id=error.request_id or _text(details.get("request-id")),
            retryable=kind.retryable,
            hint=hint,
        ) from None


def _hint(status: int, url: str, code: str, text: str) -> str | None:
    path = url.partition("?")[0]
    if _NO_INTUNE in text.lower():
        return _NO_INTUNE_HINT
    if status == 401:  # noqa: PLR2004
        return _IDENTITY_HINT if code == "Authorization_IdentityNotFound" else _REFUSED_HINT
    if status == 403:  # noqa: PLR2004
        for part, permission, otherwise in _PERMISSIONS:
            if part in path:
                return (
                    f"Give the app registration Microsoft Graph's application permission {permission}, "
                    f"{_CONSENT}. "
                    f"It also takes an Intune licence in the tenant.{otherwise}"
                )
    return None


def _error_in(response: Response) -> tuple[str, str, dict[str, Any]]:
    """The code, all the text, and the innermost details of an error."""
    try:
        answer = response.json()
    except MalformedResponseError:
        return "", "", {}
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return "", "", {}
    inner = error.get("innerError")
    details: dict[str, Any] = dict(inner) if isinstance(inner, dict) else {}
    message = error.get("message")
    for _ in range(2):
        document = _json_in(message)
        if document is None:
            break
        details |= document
        message = document.get("Message")
    return _text(error.get("code")) or "", f"{error.get('message')} {message}", details


def _json_in(text: object) -> dict[str, Any] | None:
    try:
        document = json.loads(text) if isinstance(text, str) and text.lstrip()[:1] == "{" else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
