"""Pages of lists: rows, the link to the next page, the server's own time. Pure.

Source: "Pagination", https://developer.cisco.com/meraki/api-v1/pagination/; the Link header is RFC 8288's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from mdmsdk.errors import MalformedResponseError
from mdmsdk.wire import redact_url

if TYPE_CHECKING:
    from datetime import datetime

    from mdmsdk.wire import Response
    from mdmsdk_meraki.rows import Row

__all__ = ["RawPage", "read_page"]

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RawPage:
    """One page as the server sent it.

    Attributes:
        next_url: the address of the next page, None on the last.
        now: the server's own time.
    """

    rows: list[Row]
    next_url: str | None
    now: datetime | None


def read_page(response: Response, page_size: int) -> RawPage:
    """Read an answer that is a list.

    Args:
        response: the answer.
        page_size: how many rows were asked for.

    Raises:
        MalformedResponseError: it is no list of objects, or does not tell whether it is the last page.
    """
    rows: Any = response.json()
    where = redact_url(response.url)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedResponseError(f"{where} did not answer with a list of objects")
    header = response.header("link")
    if header is None and len(rows) >= page_size:
        raise MalformedResponseError(
            f"{where} gave a full page and no Link header, so that nobody can tell whether it was the last",
            hint="A proxy between here and the dashboard may drop the Link header; let it pass.",
        )
    return RawPage(rows, _next_url(header, response.url), response.date)


def _next_url(header: str | None, url: str) -> str | None:
    links = _LINK.findall(header or "")
    if header and header.strip() and not links:
        raise MalformedResponseError(f"{redact_url(url)} sent a Link header that cannot be read")
    for target, parameters in links:
        relations = " ".join(quoted or plain for quoted, plain in _REL.findall(parameters))
        if "next" in relations.lower().split():
            return _join(url, target)
    return None


def _join(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        raise MalformedResponseError("the server links to an unreadable address") from None
