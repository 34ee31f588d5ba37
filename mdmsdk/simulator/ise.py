"""A server of the Cisco ISE MDM API, versions 1 to 3: as Cisco describes it, and as vendors deviate from it.

Source: the MDM API of versions 1, 2 and 3, https://developer.cisco.com/docs/identity-services-engine/
"""

import dataclasses
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from mdmsdk.simulator._inject import hold
from mdmsdk.simulator._ise_bodies import texts as read_texts
from mdmsdk.simulator._ise_habits import IseHabits
from mdmsdk.simulator._ise_requests import (
    RefusedError,
    asked_version,
    is_acceptable,
    path_query,
    tail_of,
    url_query,
)
from mdmsdk.simulator._ise_xml import CRITERIA, Query, Writer, truth_compliant
from mdmsdk.simulator.base import Simulator
from mdmsdk.simulator.fleet import Fleet, SimDevice
from mdmsdk.simulator.recording import basic_credentials

__all__ = ["IseHabits", "IseSimulator", "truth_compliant"]

_DISCOVERY: Final = "/ciscoise/mdminfo"
_AWKWARD: Final = "next page/+&=?#%é "
_MARK_BITS: Final = 32


class IseSimulator(Simulator[IseHabits]):
    """A local server of the Cisco ISE MDM API.

    Attributes:
        writer_type: What writes the answers; another one for a dialect with members of its own.
        failed_logins: Wrong passwords since the last right one.
    """

    name: ClassVar[str] = "ise"
    habits_type: ClassVar[type[IseHabits]] = IseHabits
    writer_type: ClassVar[type[Writer]] = Writer

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `IseHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.failed_logins: int = 0
        self._next_bulk = 0.0
        self._busy = 0
        self._noncompliant: tuple[Fleet, tuple[SimDevice, ...]] | None = None

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        settings = {
            "provider": self.name,
            "base_url": origin,
            "username": self.habits.username,
            "password": self.habits.password,
        }
        return settings | ({"instance": self.habits.instance} if self.habits.instance else {})

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers of a record; none of a retired one that the server no longer knows."""
        hidden = self.habits.hide_retired and not device.registered
        return {} if hidden else super().identifiers(device)

    def verdict(self, device: SimDevice) -> str:
        """Give the state that this protocol's boolean and `register_status` leave."""
        if not truth_compliant(device):
            return "noncompliant"
        return "compliant" if device.registered else "unknown"

    def check_in(self, device: SimDevice) -> datetime | None:
        """Give the last check-in, which version 3 alone tells."""
        told = self.habits.max_api_version > 2 and "lastCheckinTimeStamp" not in self.habits.missing  # noqa: PLR2004
        return device.last_check_in if told else None

    def noncompliant(self) -> tuple[SimDevice, ...]:
        """Give the devices of a complete noncompliant list, by id: enrolled, and not compliant for ISE."""
        fleet, known = self.fleet, self._noncompliant
        if known is None or known[0] is not fleet:
            rows = fleet.select(lambda device: device.registered and not truth_compliant(device))
            # Kept, because every page of a long list asks again.
            self._noncompliant = known = fleet, rows
        return known[1]

    def routes(self) -> Sequence[Route]:
        """Give the one route; prefixes are habits, so each request's path is taken apart when it comes."""
        return [Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE"])]

    async def _answer(self, request: Request) -> Response:
        response = self._refuse(request) or await self._serve(request)
        if self.habits.latency:
            await hold(request.receive, self.habits.latency)
        return response

    def _refuse(self, request: Request) -> Response | None:
        habits = self.habits
        credentials = basic_credentials(request.headers.get("authorization", ""))
        locked = habits.lock_after is not None and self.failed_logins >= habits.lock_after
        if credentials != (habits.username, habits.password) or locked:
            # A first request without any credentials is no attempt at a password.
            self.failed_logins += credentials is not None
            return self._unauthorised()
        self.failed_logins = 0
        if habits.deny == 403:  # noqa: PLR2004 - Forbidden
            return self._error(403, "this account may not use the API")
        return None if habits.deny is None else self._unauthorised()

    async def _serve(self, request: Request) -> Response:
        habits, raw = self.habits, request.scope["raw_path"].decode("ascii")
        try:
            if raw in {habits.instance + _DISCOVERY, f"{habits.instance}{_DISCOVERY}/"}:
                return self._discover(request, slash=raw.endswith("/"))
            for version in range(habits.max_api_version, 0, -1):
                served = habits.instance + (habits.api_path or f"/ciscoise/mdmapi/v{version}").rstrip("/")
                if raw.startswith(f"{served}/"):
                    return await self._call(request, version, tail_of(raw[len(served) :], habits))
        except RefusedError as error:
            return self._error(habits.refusal, str(error))
        return self._no_such_path()

    def _discover(self, request: Request, *, slash: bool) -> Response:
        habits = self.habits
        if habits.mdminfo_form == ("no_slash" if slash else "slash"):
            if habits.mdminfo_other_form == "not_found":
                return self._no_such_path()
            other = request.url.replace(path=f"{habits.instance}{_DISCOVERY}{'' if slash else '/'}")
            return RedirectResponse(str(other), status_code=302)
        if refused := self._refuse_headers(request, "GET"):
            return refused
        asked = asked_version(request.query_params.multi_items(), habits, slash=slash)
        if asked > habits.max_api_version and habits.higher_version != "negotiate":
            if habits.higher_version == "html":
                return HTMLResponse("<html><body><p>Unsupported version</p></body></html>")
            return self._error(habits.higher_version, "this version is not supported")
        return self._server_info(max(1, min(asked, habits.max_api_version)))

    def _server_info(self, version: int) -> Response:
        habits, write = self.habits, self.writer_type(self.habits)
        path = habits.api_path or f"/ciscoise/mdmapi/v{version}"
        content = write.name("mdminfo")
        # Version 1 has no such element: ISE 2.7's schema lacks it.
        if version > 1 or habits.announce_highest:
            shown = habits.max_api_version if habits.announce_highest else version
            content += write.element("api_version", shown)
        announced = path if habits.api_path_style == "instance" else habits.instance + path
        content += write.element("api_path", announced)
        content += write.element("redirect_url", "https://enrol.example.com/start?from=ise&lang=en")
        content += write.element("query_max_size", habits.query_max_size)
        content += write.element("messaging_support", habits.messaging_support)
        if version > 1:
            content += write.element("vendor", habits.vendor)
            content += write.element("product_name", habits.product_name)
            content += write.element("product_version", habits.product_version)
        return self._xml(write.document(content))

    async def _call(self, request: Request, version: int, tail: str) -> Response:
        habits, pairs = self.habits, request.query_params.multi_items()
        match tail.split("/")[1:]:
            case ["devices", ""] if version > 1:
                return self._refuse_headers(request, "GET") or self._devices(
                    url_query(pairs, version, habits)
                )
            case ["devices", first, second, *more] if version == 1 or habits.api_path:
                parts = [unquote(part) for part in (first, second, *more)]
                return self._refuse_headers(request, "GET") or self._devices(path_query(parts, pairs, habits))
            case ["batchdevices", ""] if version == 2:  # noqa: PLR2004 - the only version that has it
                values = [value for _, value in read_texts(await request.body(), {"value"})]
                return self._refuse_headers(request, "POST") or self._devices(
                    url_query(pairs, version, habits, values)
                )
        return self._no_such_path()

    def _refuse_headers(self, request: Request, method: str) -> Response | None:
        """Refuse what a known path does not take: another method, another media type."""
        if request.method != method:
            return self._error(405, "no such method", {"Allow": method})
        if not is_acceptable(request.headers.get("accept", ""), self.habits):
            return self._error(406, "only application/xml is given")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != "application/xml" and "any_media" not in self.habits.accepts:
            return self._error(415, "only application/xml is taken")
        return None

    def _devices(self, query: Query) -> Response:
        start = self._position(query)
        if start is None:
            raise RefusedError("unknown page")
        wait = self._throttle(query)
        if wait is not None:
            return self._error(503, "too many lists", {"Retry-After": str(wait)})
        if query.is_bulk and query.version == 3 and self._busy < self.habits.busy_lists:  # noqa: PLR2004
            self._busy += 1
            return self._page(query, (), start, busy=True)
        if not query.criterion or query.criterion in CRITERIA[query.version]:
            rows = self.rows(query)
        else:
            rows = self.fleet[:] if self.habits.unsupported_criterion == "everything" else ()
        return self._page(query, rows[: self.habits.total_cap], start)

    def _throttle(self, query: Query) -> int | None:
        """Give the seconds to wait if a list comes too soon after the last; later pages are always given."""
        if not self.habits.bulk_interval or query.criterion != "compliance" or query.paging != "0":
            return None
        wait = self._next_bulk - time.monotonic()
        if wait > 0:
            return int(wait) + 1
        self._next_bulk = time.monotonic() + self.habits.bulk_interval
        return None

    def rows(self, query: Query) -> Sequence[SimDevice]:
        """Give the records that answer a query, for a dialect that shows them otherwise."""
        habits, fleet = self.habits, self.fleet
        if query.criterion == "compliance" and habits.wrong_filter != "everything":
            wanted = {value.lower() != "false" for value in query.values}
            if wanted == {False}:
                return self.noncompliant()
            return fleet.select(lambda device: device.registered and truth_compliant(device) in wanted)
        if not query.criterion or habits.wrong_filter == "everything":
            rows: Sequence[SimDevice] = fleet[:]
        else:
            rows = self._matches(query.criterion, query.values)
            if habits.wrong_filter == "other_device":
                found = {device.serial_number for device in rows}
                rows = [device for device in fleet if device.serial_number not in found][:1]
        return [device for device in rows if device.registered] if habits.hide_retired else rows

    def _matches(self, criterion: str, values: Sequence[str]) -> list[SimDevice]:
        fleet = self.fleet
        find = {
            "macaddress": fleet.by_mac,
            "guid": fleet.by_guid,
            "guidhn": fleet.by_hostname,
            "udid": fleet.by_udid,
            "imei": fleet.by_imei,
            "meid": fleet.by_meid,
            "username": fleet.by_username,
        }[criterion]
        return list({device.id: device for value in values for device in find(value)}.values())

    def _page(self, query: Query, rows: Sequence[SimDevice], start: int, *, busy: bool = False) -> Response:
        habits, write = self.habits, self.writer_type(self.habits)
        shown, following = self._cut(rows, start)
        if busy and not habits.busy_ends:
            following = start
        last = "0" if habits.final_paging == "zero" else None
        token = last if following is None else self._token(query, following)
        head = write.name("attributes")
        head += write.element("api_version", habits.answer_api_version or query.version)
        head += write.element("paging_info", token)
        if query.version == 3:  # noqa: PLR2004 - the version that brought it
            head += write.element("server_busy_wait_seconds", max(habits.busy_wait_seconds, int(busy)))

        def pieces() -> Iterator[str]:
            yield head
            yield from write.devices(shown, query)

        stream = write.stream(pieces())
        if len(shown) <= 1 or habits.truncate:
            return self._xml(b"".join(stream))
        return StreamingResponse(iterate_in_threadpool(stream), headers={"Content-Type": habits.content_type})

    def _cut(self, rows: Sequence[SimDevice], start: int) -> tuple[Sequence[SimDevice], int | None]:
        """Give the rows of the page that starts at a position, and where the next one starts, if any."""
        habits = self.habits
        size = habits.page_size or habits.query_max_size
        if habits.repeat_token and len(rows) > size:
            return rows[start : start + size], size
        # A blank second page shifts all later positions by one, which tells them from the second page's.
        shift = 1 if habits.blank_page and start > size else 0
        if habits.blank_page and start == size:
            return (), start + 1
        begin, end = start - shift, start - shift + size
        shown = rows[max(0, begin - habits.page_overlap) : end]
        return shown, end + shift if end < len(rows) else None

    def _token(self, query: Query, position: int) -> str:
        """Make a token that belongs to one query."""
        text = str(position << _MARK_BITS | _mark(query))
        if self.habits.tokens == "number":
            return text
        return _AWKWARD + text if self.habits.tokens == "awkward" else f"page-{text}"

    def _position(self, query: Query) -> int | None:
        """Give the position at which the page starts; None for a token that was not given for this query."""
        if query.paging == "0":
            return 0
        text = query.paging.removeprefix({"awkward": _AWKWARD, "text": "page-"}.get(self.habits.tokens, ""))
        if not (text.isascii() and text.isdecimal()):
            return None
        position, mark = divmod(int(text), 1 << _MARK_BITS)
        return position if mark == _mark(query) else None

    def _xml(self, body: bytes) -> Response:
        shown = body[: len(body) * 2 // 3] if self.habits.truncate else body
        return Response(shown, headers={"Content-Type": self.habits.content_type})

    def _no_such_path(self) -> Response:
        return self._error(404, "no such path")

    def _unauthorised(self) -> Response:
        return self._error(401, "login failed", {"WWW-Authenticate": 'Basic realm="MDM API"'})

    def _error(self, status: int, text: str, headers: dict[str, str] | None = None) -> Response:
        return Response(f"{text}\n", status, headers, "text/plain")


def _mark(query: Query) -> int:
    return zlib.crc32(repr(dataclasses.replace(query, paging="")).encode())
