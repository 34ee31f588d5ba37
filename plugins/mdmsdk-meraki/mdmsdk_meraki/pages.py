"""Pages of lists: rows, the link to the next page, the server's own time. Pure.

Source: "Pagination", https://developer.cisco.com/meraki/api-v1/pagination/; the Link header is RFC 8288's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import MalformedResponseError
from mdmsdk.wire import redact_url
from mdmsdk_meraki.rows import Row

if TYPE_CHECKING:
    from datetime import datetime

    from mdmsdk.wire import Response

__all__ = ["RawPage", "read_page"]


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

    @property
    def names(self) -> list[str | None]:
        """The ids of the rows, None for one without."""
        return [row.text("id") for row in self.rows]

    def tags(self, field: str) -> set[str]:
        """All tags in one field of the rows."""
        return {tag for row in self.rows for tag in row.texts(field) or ()}


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
    if len(rows) >= page_size and not (response.header("link") or "").strip():
        raise MalformedResponseError(
            f"{where} gave a full page and no Link header, so that nobody can tell whether it was the last",
            hint="A proxy between here and the dashboard may drop the Link header; let it pass.",
        )
    return RawPage([Row(row) for row in rows], response.link("next"), response.date)
