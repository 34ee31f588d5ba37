"""Microsoft Graph: addresses, batches, pages, and what its errors mean.

https://learn.microsoft.com/graph/api/resources/intune-graph-overview
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mdmsdk.errors import (
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ResponseError,
    ServerError,
)
from mdmsdk.flow import attempt, pause, send
from mdmsdk.provider import check_status
from mdmsdk.search import spoils_one
from mdmsdk.wire import Request, Response, origin_of, read_json, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.provider import MdmProvider

__all__ = [
    "BATCH_SIZE",
    "VERSION",
    "Outcome",
    "RecordNotFoundError",
    "answers_in",
    "check_graph",
    "devices_request",
    "get",
    "next_link",
    "read_many",
    "rows_of",
]

Outcome = Response | MdmError | None
"""What became of one request of many: its answer, None for a record that does not exist, or its failure."""

VERSION: Final = "/v1.0"
# Microsoft Graph, "Combine multiple requests", https://learn.microsoft.com/graph/json-batching
BATCH_SIZE: Final = 20

_DEVICES: Final = "/deviceManagement/managedDevices"
_BARE: Final = "',"
_NEXT: Final = frozenset({"@odata.nextlink", "@nextlink", "odata.nextlink"})
_MORE_BATCHES: Final = 10
"""What may be spent on the one request for which Graph refuses a batch of 20."""
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
# stands. OData JSON Format 4.01, "Control Information": its name may come without "odata.".
def next_link(response: Response, base: str) -> str | None:
    """Where the next page is, None on the last one, where the link is missing or empty.

    Raises:
        MalformedResponseError: there is a link that is none, or more than one.
        RedirectError: it leads to another server than Graph.
    """
    named = [link for name, link in response.json().items() if name.lower() in _NEXT]
    links = [link for link in named if link is not None and link != ""]
    if not links:
        return None
    link, *more = links
    try:
        origin = origin_of(link) if isinstance(link, str) and not more else ("", "", None)
    except ValueError:
        origin = ("", "", None)
    if not origin[1]:
        raise MalformedResponseError(
            "the link to the next page cannot be read, so that nobody knows whether the list is whole",
            hint=_TRUNCATED_HINT,
        )
    if origin != origin_of(base):
        raise RedirectError(
            f"the link to the next page leads from {origin_of(base)[1]} to {origin[1]}",
            hint="Graph's pages stay on Graph's own host: find out what answers there, such as a proxy.",
        )
    return str(link)


def answers_in(outcomes: Iterable[Outcome]) -> list[Response | None]:
    """The outcomes, where each is needed.

    Raises:
        MdmError: one of the requests failed.
    """
    answers = []
    for outcome in outcomes:
        if isinstance(outcome, MdmError):
            raise outcome
        answers.append(outcome)
    return answers


def read_many(provider: MdmProvider, requests: Sequence[Request]) -> Flow[list[Outcome]]:
    """Send requests to Graph, several of them in batches; one that fails does not spoil the others.

    What a batch says to a single one counts for that one alone: those that were throttled or failed are sent
    again after the wait that Graph asks for.

    Raises:
        MdmError: a whole batch failed, and not for what is in it.
    """
    if len(requests) == 1:
        outcome = yield from attempt(send(requests[0]))
        return [None if isinstance(outcome, RecordNotFoundError) else outcome]
    policy = provider.settings.policy
    pending = {str(index): request for index, request in enumerate(requests)}
    done: dict[str, Outcome] = {}
    for times in range(1, policy.attempts + 1):
        done |= yield from _send_batches(provider, pending)
        again = {
            name: error
            for name, error in done.items()
            if name in pending and isinstance(error, RateLimitedError | ServerError)
        }
        wait = max((error.retry_after or 2.0**times for error in again.values()), default=0)
        if not again or times == policy.attempts or wait > policy.max_wait:
            break
        yield from pause(wait)
        pending = {name: pending[name] for name in again}
    return [done[str(index)] for index in range(len(requests))]


# One after the other, and as slowly as Graph allows: each request in a batch counts against Graph's limits as
# if it had come by itself. A batch that is refused or cannot be read is asked again in halves.
def _send_batches(provider: MdmProvider, pending: Mapping[str, Request]) -> Flow[dict[str, Outcome]]:
    names, more = list(pending), _MORE_BATCHES
    todo = [names[start : start + BATCH_SIZE] for start in range(0, len(names), BATCH_SIZE)]
    outcomes: dict[str, Outcome] = {}
    while todo:
        chunk = todo.pop(0)
        if outcomes and provider.limits.rate:
            yield from pause(len(chunk) / provider.limits.rate)
        try:
            outcomes |= yield from _send_batch(provider, {name: pending[name] for name in chunk})
        except MdmError as error:
            if not spoils_one(error):
                raise
            half = len(chunk) // 2
            if half and more > 1:
                more -= 2
                todo = [chunk[:half], chunk[half:], *todo]
            else:
                outcomes |= dict.fromkeys(chunk, error)
    return outcomes


def _send_batch(provider: MdmProvider, asked: Mapping[str, Request]) -> Flow[dict[str, Outcome]]:
    base = f"{provider.settings.base_url}{VERSION}"
    parts = [
        {"id": name, "method": request.method, "url": request.url.removeprefix(base)}
        for name, request in asked.items()
    ]
    post = Request("POST", f"{base}/$batch", json={"requests": parts}, audience="graph", lane="graph")
    answer = yield from send(post)
    envelope = answer.json()
    rows = envelope.get("responses") if isinstance(envelope, dict) else None
    if not isinstance(rows, list):
        raise MalformedResponseError("the answer to a batch is not one", hint=_TRUNCATED_HINT)
    found = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    times = Counter(row["id"] for row in found)
    by_name = {row["id"]: row for row in found if times[row["id"]] == 1}
    outcomes: dict[str, Outcome] = {}
    for name, request in asked.items():
        try:
            outcomes[name] = provider.check(_part(by_name.get(name, {}), answer, request.url))
        except RecordNotFoundError:
            outcomes[name] = None
        except MdmError as error:
            outcomes[name] = error
    return outcomes


def _part(row: Mapping[str, Any], batch: Response, url: str) -> Response:
    """One answer of a batch, as if it had come by itself."""
    status, headers, body = row.get("status"), row.get("headers") or {}, row.get("body")
    if (
        type(status) is not int
        or status not in {200, *range(300, 600)}
        or not isinstance(headers, dict)
        or (status == 200 and body is None)  # noqa: PLR2004 - HTTP's own number
    ):
        raise MalformedResponseError(
            "one of the requests in a batch was not answered, or not once in a form that can be read",
            hint=_TRUNCATED_HINT,
        )
    # The answers of a batch have no date of their own.
    named = {"date": batch.header("date") or ""}
    named |= {str(name).lower(): value for name, value in headers.items() if isinstance(value, str)}
    return Response(status, named, json.dumps(body).encode(), url)


def check_graph(response: Response) -> Response:
    """Turn an error of Graph into one that says what to do.

    https://learn.microsoft.com/graph/errors; Intune's own services put a document of JSON into the message.
    """
    if response.status < 400:  # noqa: PLR2004 - HTTP's own numbers
        return check_status(response)
    code, said, text, details = _error_in(response)
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
            f"{error.message} [{': '.join(filter(None, (code[:60], said)))}]" if code else error.message,
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


def _error_in(response: Response) -> tuple[str, str, str, dict[str, Any]]:
    """The code, what Graph says about it, all the text, and the innermost details of an error."""
    try:
        answer = response.json()
    except MalformedResponseError:
        return "", "", "", {}
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return "", "", "", {}
    inner = error.get("innerError")
    details: dict[str, Any] = dict(inner) if isinstance(inner, dict) else {}
    message = error.get("message")
    for _ in range(2):
        document = _json_in(message)
        if document is None:
            break
        details |= document
        message = document.get("Message")
    # Intune goes on with the numbers and addresses of its own services.
    said = (_text(message) or "").partition(" - ")[0]
    return _text(error.get("code")) or "", said, f"{error.get('message')} {message}", details


def _json_in(text: object) -> dict[str, Any] | None:
    try:
        document = read_json(text, "Graph") if isinstance(text, str) and text.lstrip()[:1] == "{" else None
    except MalformedResponseError:
        return None
    return document if isinstance(document, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
