"""Microsoft Graph: addresses, envelopes, and the links between pages. Pure.

https://learn.microsoft.com/graph/api/resources/intune-graph-overview
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mdmsdk.batch import Batch, Outcome
from mdmsdk.errors import MalformedResponseError, RedirectError
from mdmsdk.wire import Request, Response, origin_of
from mdmsdk_intune.records import GraphRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BATCH_SIZE", "devices_request", "envelopes", "follow", "get", "next_link", "rows_of"]

_VERSION: Final = "/v1.0"
# Microsoft Graph, "Combine multiple requests", https://learn.microsoft.com/graph/json-batching
BATCH_SIZE: Final = 20

_DEVICES: Final = "/deviceManagement/managedDevices"
_BARE: Final = "',"
_NEXT: Final = frozenset({"@odata.nextlink", "@nextlink", "odata.nextlink", "nextlink"})
_TRUNCATED_HINT = "Graph's answer was not whole: try again, and look at what stands between here and Graph."


def get(base: str, path: str) -> Request:
    """A request to Graph; `path` is what follows the version."""
    return follow(f"{base}{_VERSION}{path}")


def follow(link: str) -> Request:
    """A request for an address as it stands."""
    return Request("GET", link, audience="graph", lane="graph")


# OData 4.01, URL conventions; written as Microsoft's own examples are, with bare dollars and quotes.
def devices_request(base: str, device: str = "", below: str = "", /, **options: str | int) -> Request:
    """A request for the managed devices, or for one of them.

    Args:
        base: where Graph is.
        device: its Intune device id.
        below: the path below it.
        options: OData's without the dollar sign, such as ``select`` and ``filter``; an empty one is left out.
    """
    one = f"('{quote(device, safe='')}')" if device else ""
    query = "&".join(f"${name}={quote(str(value), safe=_BARE)}" for name, value in options.items() if value)
    return get(base, f"{_DEVICES}{one}{below}{'?' if query else ''}{query}")


def rows_of(response: Response) -> list[GraphRow]:
    """The records of a list.

    Raises:
        MalformedResponseError: it is no list of records.
    """
    return GraphRow(response.json(), "a list of records").records("value")


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
    link = links[0] if len(links) == 1 and isinstance(links[0], str) else ""
    try:
        origin = origin_of(link)
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
    return link


def envelopes(base: str) -> Batch:
    """How Graph takes several requests at once: those for records and searches, not the links to pages."""
    root = f"{base}{_VERSION}"

    def pack(requests: Sequence[Request]) -> Request:
        parts = [
            {"id": str(number), "method": request.method, "url": request.url.removeprefix(root)}
            for number, request in enumerate(requests)
        ]
        return Request("POST", f"{root}/$batch", json={"requests": parts}, audience="graph", lane="graph")

    def takes(request: Request) -> bool:
        return request.url.startswith(f"{root}/") and "$skip" not in request.url

    return Batch(most=BATCH_SIZE, pack=pack, unpack=_unpack, takes=takes)


def _unpack(answer: Response, requests: Sequence[Request]) -> list[Outcome]:
    envelope = answer.json()
    rows = envelope.get("responses") if isinstance(envelope, dict) else None
    if not isinstance(rows, list):
        raise MalformedResponseError("the answer to a batch is not one", hint=_TRUNCATED_HINT)
    named = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
    times = Counter(row["id"] for row in named)
    by_name = {row["id"]: row for row in named if times[row["id"]] == 1}
    return [
        _part(by_name.get(str(number), {}), answer, request.url) for number, request in enumerate(requests)
    ]


def _part(row: Mapping[str, Any], batch: Response, url: str) -> Outcome:
    """One answer of a batch, as if it had come by itself."""
    status, headers, body = row.get("status"), row.get("headers") or {}, row.get("body")
    if (
        type(status) is not int
        or status not in {200, *range(300, 600)}
        or not isinstance(headers, dict)
        or (status == 200 and body is None)  # noqa: PLR2004 - HTTP's own number
    ):
        return MalformedResponseError(
            "one of the requests in a batch was not answered, or not once in a form that can be read",
            hint=_TRUNCATED_HINT,
        )
    # The answers of a batch have no date of their own.
    named = {"date": batch.header("date") or ""}
    named |= {str(name).lower(): value for name, value in headers.items() if isinstance(value, str)}
    return Response(status, named, json.dumps(body).encode(), url)
