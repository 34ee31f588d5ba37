"""The simulated server: what is asked for, and what it answers; see `mdmsdk_jamf.simulator`."""

import asyncio
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, SimDevice
from mdmsdk.simulator.base import not_simulated
from mdmsdk_jamf.simulator import records
from mdmsdk_jamf.simulator.habits import JamfHabits
from mdmsdk_jamf.simulator.login import LoginSimulator, Refusal
from mdmsdk_jamf.simulator.rsql import BadFilterError, Predicate, ordered, parse

__all__ = ["AppleFleet", "JamfSimulator"]

# From which release on each version of the inventory is there; of versions 2 and 3 the release is assumed.
_INVENTORY_SINCE: Final = {"1": (10, 39), "2": (11, 10), "3": (11, 20), "4": (11, 30)}
_LENIENT_SINCE: Final = (11, 29)
_NEW_GROUPS_SINCE: Final = (11, 28)
_LISTED: Final = frozenset({"page", "page-size", "sort", "filter"})
_FORBIDDEN, _NOT_FOUND, _TOO_LONG = 403, 404, 414


class AppleFleet:
    """Mixin of simulators that know Apple's devices only: the others of a fleet never enrolled here."""

    _fleet: Fleet

    @property
    def fleet(self) -> Fleet:
        """The devices that the server knows."""
        return self._fleet

    @fleet.setter
    def fleet(self, fleet: Fleet) -> None:
        self._fleet = Fleet(fleet.select(lambda device: device.platform in records.APPLE))


@dataclass(frozen=True, slots=True)
class _Stock:
    """The records of one fleet in one version, made once."""

    fleet: Fleet
    rows: Mapping[bool, Sequence[tuple[SimDevice, Mapping[str, Any], Mapping[str, Sequence[str]]]]]


class JamfSimulator(AppleFleet, LoginSimulator):
    """A local Jamf Pro server.

    Attributes:
        logins: Tokens given for a secret or password.
        renewals: Tokens given for an older token.
        given_back: Tokens ended by the client.
        busiest: Most requests that were under way at once.
    """

    name: ClassVar[str] = "jamf"
    habits_type: ClassVar[type[JamfHabits]] = JamfHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        "/computers-inventory": _LISTED | {"section"},
        "/mobile-devices/detail": _LISTED | {"section", "exception-handling"},
        r"/computers-inventory/\d+": frozenset({"section"}),
        "/smart-groups": _LISTED,
    }

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents. Apple's are known.
            **habits: Fields of `JamfHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.busiest = 0
        self._busy = 0
        self._stocks: dict[tuple[int, JamfHabits], _Stock] = {}
        self._lock = threading.Lock()

    # --- what tests and applications ask ---

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        habits = self.habits
        account = {"client_id": habits.client_id, "client_secret": habits.client_secret}
        if habits.login == "user":
            account = {"username": habits.username, "password": habits.password}
        settings = {"provider": self.name, "base_url": origin + habits.context, **account}
        source = self._source()
        return settings | ({"compliance": source, "remediation": "Open Self Service."} if source else {})

    def _source(self) -> dict[str, Any]:
        habits = self.habits
        which = 0 if habits.members == "compliant" else 1
        names = records.GROUPS if habits.source == "smart-group" else records.SEARCHES
        named = {"computers": names[True][which][0], "mobile_devices": names[False][which][0]}
        match habits.source:
            case "none":
                return {}
            case "conditional-access":
                return {"source": habits.source}
            case "rules":
                phones = ["iOS", "iPadOS"]
                rules = {"disk_encrypted": ["macOS"], "passcode_set": phones, "not_jailbroken": phones}
                return {"source": habits.source, "rules": rules}
            case _:
                return {"source": habits.source, **named, "members": habits.members}

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers of a record; a computer's name is its host name."""
        found = super().identifiers(device)
        del found["id"]  # computers and mobile devices are numbered apart
        return found if records.is_computer(device) else {**found, "hostname": device.name}

    def verdict(self, device: SimDevice) -> str:
        """Give the state that the configured source leaves."""
        state = "compliant" if device.compliance == "grace" else device.compliance
        if self.habits.source == "none":
            return "unknown"
        if self.habits.source == "rules":
            sound = None if device.jailbroken is None else not device.jailbroken
            facts = [device.disk_encrypted] if records.is_computer(device) else [device.passcode_set, sound]
            state = "noncompliant" if False in facts else "unknown" if None in facts else "compliant"
        elif records.reported(device) is None:
            state = "unknown"
        return state if device.registered or state == "noncompliant" else "unknown"

    def second_mac(self, device: SimDevice) -> str | None:
        """Give the address of a computer that only the record shows, and no filter finds."""
        return records.alternative_mac(device) if records.is_computer(device) else None

    # --- the server ---

    def routes(self) -> Sequence[Route]:
        """Give the one route; what is there depends on the version, so paths are read when they come."""
        return [Route("/{path:path}", self._answer, methods=["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        try:
            form = dict(parse_qsl((await request.body()).decode("utf-8", errors="replace")))
            try:
                response = self._serve(request, form)
            except Refusal as refusal:
                response = self._error(request.url.path, refusal)
            if self.habits.latency:
                await asyncio.sleep(self.habits.latency)
            return response
        finally:
            with self._lock:
                self._busy -= 1

    def _serve(self, request: Request, form: Mapping[str, Any]) -> Response:
        target = request.scope["raw_path"].decode("ascii") + "?" + request.url.query
        if len(target) > self.habits.max_url:
            raise Refusal(_TOO_LONG)
        path = request.url.path
        if not path.startswith(self.habits.context + "/"):
            raise Refusal(_NOT_FOUND)
        path = path.removeprefix(self.habits.context)
        if request.method == "POST":
            return self._log_in(request, path, form)
        if path == "/api/v1/health-check":
            return Response(status_code=204)
        self._authorise(request)
        for pattern, handler in self._handlers():
            if found := re.fullmatch(pattern, path):
                return handler(request, *found.groups())
        raise Refusal(_NOT_FOUND)

    def _handlers(self) -> list[tuple[str, Callable[..., Response]]]:
        new = self.release >= _NEW_GROUPS_SINCE
        return [
            ("/api/v1/jamf-pro-version", lambda _request: JSONResponse({"version": self.habits.version})),
            (r"/api/v(\d)/computers-inventory", self._computers),
            (r"/api/v(\d)/computers-inventory/(\d+)", self._computer),
            (r"/api/v(\d)/computers-inventory-detail/(\d+)", self._whole_computer),
            ("/api/v2/mobile-devices/detail", self._mobile_devices),
            (r"/api/v2/mobile-devices/(\d+)/detail", self._mobile_device),
            (f"/api/v{3 if new else 2}/computer-groups/smart-groups", self._computer_groups),
            (f"/api/v{2 if new else 1}/mobile-device-groups/smart-groups", self._mobile_groups),
            ("/api/v1/computer-groups", self._all_computer_groups),
            (
                r"/api/v1/conditional-access/device-compliance-information/(computer|mobile)/(\d+)",
                self._states,
            ),
            ("/JSSResource/computers/match/(.+)", self._match),
            (r"/JSSResource/advanced(computer|mobiledevice)searches", self._searches),
            (r"/JSSResource/advanced(computer|mobiledevice)searches/id/(\d+)", self._search),
        ]

    # --- privileges ---

    def _need(self, *privileges: str) -> None:
        if not self.habits.privileges.issuperset(privileges):
            raise Refusal(_FORBIDDEN, "INVALID_PRIVILEGE")

    # --- inventories ---

    def _rows(self, version: int) -> _Stock:
        habits = self.habits
        stock = self._stocks.get((version, habits))
        if stock is None or stock.fleet is not self.fleet:
            rows: dict[bool, list[Any]] = {True: [], False: []}
            for device in self.fleet:
                computer = records.is_computer(device)
                row = (
                    records.computer(device, habits, version) if computer else records.mobile(device, habits)
                )
                rows[computer].append((device, row, records.filter_values(row)))
            self._stocks[version, habits] = stock = _Stock(self.fleet, rows)
        return stock

    def _computers(self, request: Request, version: str) -> Response:
        return self._inventory(request, computers=True, version=self._readable(version))

    def _computer(self, request: Request, version: str, number: str) -> Response:
        wanted = self._sections(request, records.COMPUTER_SECTIONS)
        return self._one(number, wanted, computers=True, version=self._readable(version))

    def _whole_computer(self, _request: Request, version: str, number: str) -> Response:
        return self._one(number, None, computers=True, version=self._readable(version))

    def _readable(self, version: str) -> int:
        if self.release < _INVENTORY_SINCE.get(version, (99,)):
            raise Refusal(_NOT_FOUND)
        self._need("Read Computers")
        return int(version)

    def _mobile_devices(self, request: Request) -> Response:
        self._need("Read Mobile Devices")
        return self._inventory(request, computers=False, version=2)

    def _mobile_device(self, _request: Request, number: str) -> Response:
        self._need("Read Mobile Devices")
        return self._one(number, None, computers=False, version=2)

    def _inventory(self, request: Request, *, computers: bool, version: int) -> Response:
        stock = self._rows(version).rows[computers]
        names = records.COMPUTER_FIELDS if computers else records.MOBILE_FIELDS
        known = stock[0][2].keys() if stock else names
        fits = self._predicate(request, names & known)
        found = [entry for entry in stock if fits(entry[2])]
        if request.query_params.get("filter") and self.habits.wrong_filter != "no":
            other = [entry for entry in stock if entry not in found][:1]
            found = list(stock) if self.habits.wrong_filter == "everything" else other
        default = "general.name:asc" if computers else "displayName:asc"
        _sort(found, request, records.SORTED[computers] & known, default, lambda entry: entry[2])
        page = _cut(found, request, self.habits.page_cap)
        mode = request.query_params.get("exception-handling", "STRICT")
        if mode not in {"STRICT", "LENIENT"}:
            raise Refusal(400, "INVALID_FIELD", "exception-handling")
        lenient = self.release >= _LENIENT_SINCE and mode == "LENIENT"
        if not lenient and any(device.id in self.habits.damaged for device, *_ in page):
            raise Refusal(500, "PROCESSING_ERROR")
        wanted = self._sections(request, records.COMPUTER_SECTIONS if computers else records.MOBILE_SECTIONS)
        rows = [self._cut_down(device, record, wanted, computers=computers) for device, record, _ in page]
        return JSONResponse({"totalCount": len(found), "results": rows})

    def _sections(self, request: Request, names: Mapping[str, str]) -> set[str]:
        asked = request.query_params.getlist("section")
        wanted = [names.get(name) for part in asked for name in part.split(",")] or ["general"]
        if None in wanted:
            raise Refusal(400, "INVALID_FIELD", "section")
        return {"general"} if self.habits.ignores_sections else set(filter(None, wanted))

    def _cut_down(
        self, device: SimDevice, record: Mapping[str, Any], wanted: set[str] | None, *, computers: bool
    ) -> dict[str, Any]:
        """A record with the sections that are wanted; None for all."""
        names = records.COMPUTER_SECTIONS if computers else records.MOBILE_SECTIONS
        absent = {name: None for name in names.values() if wanted is not None and name not in wanted}
        if device.id in self.habits.damaged:
            absent |= {"security": None, "groups": None}
        return {**record, **absent}

    def _one(self, number: str, wanted: set[str] | None, *, computers: bool, version: int) -> Response:
        for device, record, _ in self._rows(version).rows[computers]:
            if str(device.id) == number:
                return JSONResponse(self._cut_down(device, record, wanted, computers=computers))
        raise Refusal(_NOT_FOUND, "INVALID_ID")

    def _predicate(self, request: Request, fields: frozenset[str]) -> Predicate:
        try:
            return parse(request.query_params.get("filter", ""), fields, has_in=self.habits.has_in)
        except BadFilterError as error:
            raise Refusal(400, "INVALID_FILTER", error.field) from None

    # --- groups, states ---

    def _computer_groups(self, request: Request) -> Response:
        self._need("Read Smart Computer Groups")
        return self._listing(request, computers=True)

    def _mobile_groups(self, request: Request) -> Response:
        self._need("Read Smart Mobile Device Groups")
        return self._listing(request, computers=False)

    def _listing(self, request: Request, *, computers: bool) -> Response:
        names = ("id", "name", "siteId") if computers else ("groupId", "groupName", "siteId")
        fits = self._predicate(request, frozenset(names))
        found = [
            (row, values)
            for row in records.group_rows(self.fleet, self.habits, computers=computers)
            if fits(values := {name: [row[name]] for name in names})
        ]
        _sort(found, request, frozenset(names), f"{names[0]}:asc", lambda entry: entry[1])
        rows = [row for row, _ in _cut(found, request, self.habits.page_cap)]
        return JSONResponse({"totalCount": len(found), "results": rows})

    def _all_computer_groups(self, _request: Request) -> Response:
        self._need("Read Smart Computer Groups", "Read Static Computer Groups")
        smart = records.group_rows(self.fleet, self.habits, computers=True)
        rows = [{"id": row["id"], "name": row["name"], "smartGroup": True} for row in smart]
        return JSONResponse([*rows, {"id": "19", "name": "Hand-picked Macs", "smartGroup": False}])

    def _states(self, _request: Request, realm: str, number: str) -> Response:
        self._need("Read Device Compliance Information")
        device = self.fleet.by_id(number)
        if device is None or records.is_computer(device) != (realm == "computer"):
            raise Refusal(_NOT_FOUND, "INVALID_ID")
        return JSONResponse(records.states(device, self.habits))

    # --- Classic API ---

    def _match(self, _request: Request, text: str) -> Response:
        habits = self.habits
        if habits.match == "gone":
            raise Refusal(_NOT_FOUND)
        self._need("Read Computers")
        names = ["name", "serial_number", "mac_address", "username"]
        names += ["alt_mac_address"] if habits.match == "both" else []
        # Like the search field of the web interface: any part of a text will do.
        wanted = text.strip("*").casefold()
        rows = [records.classic_row(device, habits) for device in self.fleet if records.is_computer(device)]
        found = [row for row in rows if any(wanted in str(row[name]).casefold() for name in names)]
        return self._classic({"computers": records.listed(found, self.habits)})

    def _searches(self, _request: Request, kind: str) -> Response:
        computers = self._need_search(kind)
        rows = [{"id": number, "name": name} for number, name in records.SEARCHES[computers]]
        name = f"advanced_{'computer' if computers else 'mobile_device'}_searches"
        return self._classic({name: records.listed(rows, self.habits)})

    def _search(self, _request: Request, kind: str, number: str) -> Response:
        computers = self._need_search(kind)
        searches = records.SEARCHES[computers]
        if int(number) not in dict(searches):
            raise Refusal(_NOT_FOUND)
        return self._classic(
            records.search_content(self.fleet, self.habits, int(number), computers=computers)
        )

    def _need_search(self, kind: str) -> bool:
        computers = kind == "computer"
        self._need(f"Read Advanced {'Computer' if computers else 'Mobile Device'} Searches")
        return computers

    @staticmethod
    def _classic(content: Any) -> Response:
        # Whatever the Accept header says, JSON comes under this name.
        response = JSONResponse(content)
        response.headers["content-type"] = "text/plain;charset=UTF-8"
        return response

    # --- errors ---

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse parameters that are not implemented, as Jamf Pro writes errors."""
        return self._error("/api/", Refusal(400, "INVALID_FIELD", ", ".join(names)), not_simulated(*names))

    def _error(self, path: str, refusal: Refusal, text: str = "") -> Response:
        status = refusal.status
        if "/api/" not in path or self.habits.html_errors or status == _TOO_LONG:
            phrase = escape(HTTPStatus(status).phrase)
            page = f"<html><head><title>Status page</title></head><body><p>{phrase}</p></body></html>"
            return Response(page, status, media_type="text/html")
        causes = []
        if refusal.code:
            text = text or HTTPStatus(status).phrase
            causes = [{"code": refusal.code, "description": text, "id": "0", "field": refusal.field}]
        return JSONResponse({"httpStatus": status, "errors": causes}, status)


def _sort(
    entries: list[Any],
    request: Request,
    fields: frozenset[str],
    default: str,
    values: Callable[[Any], Mapping[str, Sequence[str]]],
) -> None:
    """Sort by `property:asc` or `property:desc`, several separated by commas; values that lack come first."""
    asked = ",".join(request.query_params.getlist("sort")) or default
    for criterion in reversed(asked.split(",")):
        name, _, order = criterion.partition(":")
        if name not in fields or order not in {"asc", "desc"}:
            raise Refusal(400, "INVALID_FIELD", "sort")
        keys = [[*map(ordered, values(entry)[name])] for entry in entries]
        places = sorted(range(len(entries)), key=keys.__getitem__, reverse=order == "desc")
        entries[:] = [entries[place] for place in places]


def _cut(rows: Sequence[Any], request: Request, cap: int) -> list[Any]:
    """Give the rows of the page that is asked for; more than the server's own limit are not given."""
    try:
        page = int(request.query_params.get("page", "0"))
        size = int(request.query_params.get("page-size", "100"))
    except ValueError:
        raise Refusal(400, "INVALID_FIELD", "page") from None
    if page < 0 or size < 1:
        raise Refusal(400, "INVALID_FIELD", "page-size")
    size = min(size, cap)
    return list(rows[page * size : (page + 1) * size])
