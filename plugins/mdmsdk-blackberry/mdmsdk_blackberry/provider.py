"""The REST API of BlackBerry UEM as flows, with the endpoint for Cisco ISE for what it does not tell.

Source: BlackBerry UEM REST API reference, 12.6 to 12.21,
https://developer.blackberry.com/files/bws/reference/blackberry_uem_12_21_rest/. It knows devices, users and
whether a device is compromised; no compliance and no last contact.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mdmsdk.errors import (
    FilterIgnoredError,
    InvalidIdentifierError,
    MalformedResponseError,
    PermissionDeniedError,
)
from mdmsdk.evidence import check_sight
from mdmsdk.flow import done, joined, or_none, send, together
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Meid, Serial, Udid, Username
from mdmsdk.models import ComplianceState, Description, ServerInfo
from mdmsdk.paging import Place, Slice, collect, page_of, walk
from mdmsdk.progress import Progress, Seen, row_identity
from mdmsdk.provider import Capability, MdmProvider, Token
from mdmsdk.rows import Row
from mdmsdk.search import Search, find_with, of_one
from mdmsdk.wire import Request
from mdmsdk_blackberry.ise import ISE_ROLE, LIMITS, BlackBerryIseProvider
from mdmsdk_blackberry.login import authorization_line, oauth
from mdmsdk_blackberry.records import COMPROMISED, UUID, Record, Told, about, settle
from mdmsdk_blackberry.refusals import REFUSALS, ROLE, OrderRefusedError, UnknownUserError, read_complaint
from mdmsdk_blackberry.settings import BlackBerrySettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device
    from mdmsdk.provider import Limits, Page
    from mdmsdk.search import Texts
    from mdmsdk.wire import Response

__all__ = ["BlackBerryProvider", "UemDescription"]

_log = logging.getLogger("mdmsdk.blackberry")

# UEM REST API reference, Devices: the keys of a query.
_SEARCH_BY: Final = {Mac: "wifiMacAddress", Guid: "guid", Udid: "udid", Imei: "imei", Meid: "meid"}
# The grammar of a query is k=v,k=v, with < and > for times and a star for a prefix; no way to quote is named.
_GRAMMAR: Final = re.compile(r"[,=<>*]")
_TOTAL: Final = re.compile(r"total|count", re.IGNORECASE)
_BY_GUID: Final = "guid ASC"
_PROBED: Final = 10
"""Devices that the heartbeat asks for: among so many, one has an address."""
_NO_COMPLIANCE: Final = (
    "%s: without ise_username and ise_password nothing tells compliance: devices are unknown, and the "
    "noncompliant list has the compromised ones alone"
)


class UemDescription(Description):
    """What the heartbeat learns.

    Attributes:
        sorted: whether lists come sorted by GUID.
        mac_form: how an address has to be written in a query, by its place among `_mac_forms`; None if that
            could not be found out.
        ise: the description of the endpoint for Cisco ISE; None where it is not asked.
    """

    sorted: bool
    mac_form: int | None = None
    ise: ServerInfo | None = None


@dataclass(frozen=True, slots=True)
class _At:
    """How far the list of devices was read, and the list of noncompliant ones that it is joined with."""

    place: Place | None
    told: Told = field(compare=False, repr=False)


class BlackBerryProvider(MdmProvider):
    """BlackBerry UEM through its REST API, and its endpoint for Cisco ISE where that is filled in."""

    name = "blackberry"
    vendor = "BlackBerry"
    settings_type: ClassVar[type[BlackBerrySettings]] = BlackBerrySettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({*_SEARCH_BY, Username})
    capabilities: ClassVar = frozenset({Capability.INVENTORY})
    limits: ClassVar[Limits] = LIMITS
    record_key = Guid
    # Lists and searches give the same records; that these show the MEID is not certain.
    listed: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Guid, Udid, Imei, Serial})
    refusals = REFUSALS
    complaint = staticmethod(read_complaint)

    settings: BlackBerrySettings

    def __init__(self, settings: BlackBerrySettings) -> None:
        super().__init__(settings)
        self._service = BlackBerryIseProvider(settings.ise) if settings.ise else None

    # --- login ---

    @property
    def login_url(self) -> str | None:
        """The token service of OAuth."""
        return self.settings.login_url

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The authorization line, or a token; for the endpoint for Cisco ISE its own account."""
        if self._service and audience == self._service.audience:
            return self._service.login(audience, previous)
        return oauth(self.settings) if self.settings.client_id else authorization_line(self.settings)

    # --- reachability ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask whether the service runs, then for some devices: that proves the login and the role.

        Raises:
            EndpointNotFoundError: the service does not run, or there is no such tenant.
            PermissionDeniedError: a role without devices.
        """
        yield from send(Request("GET", f"{self.settings.api}/util/ping", audience=None))
        in_order, form = yield from self._probe()
        more: list[Flow[Any]] = [self._service.heartbeat()] if self._service else []
        version, *ise = yield from together(or_none(self._about(), PermissionDeniedError), *more)
        if not ise:
            _log.warning(_NO_COMPLIANCE, self.settings.base_url)
        told = f"the endpoint for Cisco ISE, version {ise[0].api_version}" if ise else "nothing"
        return ServerInfo(
            vendor=self.vendor,
            product="BlackBerry UEM",
            version=version,
            api_version="1",
            extra={"compliance_from": told},
            description=UemDescription(sorted=in_order, mac_form=form, ise=ise[0] if ise else None),
        )

    # UEM REST API reference, Utilities: info/systeminfo. What it names the version is not certain.
    def _about(self) -> Flow[str | None]:
        answer = yield from self._get("/info/systeminfo", "systeminfo")
        return answer.text("version")

    def _probe(self) -> Flow[tuple[bool, int | None]]:
        """Whether lists can be sorted by GUID, and how addresses are written in a query."""
        in_order = True
        try:
            part = yield from self._page("", 0, _PROBED, in_order=True)
        except OrderRefusedError:
            in_order = False
            part = yield from self._page("", 0, _PROBED, in_order=False)
        devices = (self._device(record) for _, record in part.rows)
        mac = next((mac for device in devices for mac in device.mac_addresses), None)
        for place, text in enumerate(_mac_forms(mac)) if mac else ():
            found = yield from self._page(f"wifiMacAddress={text}", 0, 2, in_order=False)
            if any(mac in self._device(record).mac_addresses for _, record in found.rows):
                return in_order, place
        return in_order, None

    # --- lookups ---

    # That an administrator whose role is limited to groups sees the devices of those alone is inferred.
    def see_a_device(self, info: ServerInfo) -> Flow[None]:
        """Make sure that the administrator sees a device."""
        del info
        check_sight((yield from self._page("", 0, 1, in_order=False)).rows, ROLE)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record of this key, with its user, and judged by the endpoint for Cisco ISE.

        Raises:
            FilterIgnoredError: the server answered about other users.
            InvalidIdentifierError: the value cannot stand in a query.
        """
        how = Search(
            ask=partial(self._ask, info), spellings=partial(_spellings, UemDescription.of(info)), most=1
        )
        return of_one((yield from find_with(self, how, [key])), key)

    def _ask(self, info: ServerInfo, texts: Texts) -> Flow[Sequence[Device]]:
        ((key, (text,)),) = texts.items()
        if isinstance(key, Username):
            return (yield from self._of_user(info, key, text))
        records = yield from self._search(f"{_SEARCH_BY[type(key)]}={text}")
        # What is searched by is part of a record, so that only a sole one may leave it out.
        sole = len(records) == 1
        return (yield from joined(*(self._complete(info, key, record, sole=sole) for record in records)))

    def _search(self, query: str) -> Flow[list[Record]]:
        """All records that a query finds; more than a page of them is no answer to it."""
        ask = partial(self._rows, query, in_order=False)
        return collect(ask, [""], self.settings.page_size, max_pages=2)

    # UEM REST API reference, Users: query=username=..., and userDevices; public clients read the device in
    # each row of those. Its own record is read again, because its link tells whose it is.
    def _of_user(self, info: ServerInfo, key: Username, text: str) -> Flow[list[Device]]:
        answer = yield from self._get("/users", "users", {"query": f"username={text}", "max": 100})
        users = [user for user in answer.records("users") if Username.parse(user.text("username")) == key]
        if not users and answer.documents("users"):
            raise FilterIgnoredError("asked for a user, the server answered about other ones")
        paths = [f"/users/{_guid(user)}/userDevices" for user in users]
        ties = yield from together(*(self._get(path, "userdevices") for path in paths))
        guids = [_guid(tie.row("device")) for answer in ties for tie in answer.records("userDevices")]
        records = yield from joined(*map(self._own_record, dict.fromkeys(guids)))
        return (yield from joined(*(self._complete(info, key, record, sole=True) for record in records)))

    def _own_record(self, guid: str) -> Flow[list[Record]]:
        records = yield from self._search(f"guid={guid}")
        if {_guid(record).lower() for record in records} != {guid.lower()}:
            raise FilterIgnoredError("the server answers without the device of a user, or with another one")
        return records

    def _complete(self, info: ServerInfo, key: Key, record: Record, *, sole: bool) -> Flow[list[Device]]:
        """The device of a record, with what takes further requests; without, if it is another device."""
        device, ise = self._device(record), UemDescription.of(info).ise
        match = device.matches(key)
        if match is False or not (match or sole):
            return [device]
        wanted = self.settings.users or isinstance(key, Username)
        user, rows = yield from together(
            self._username(record.user) if wanted and record.user else done(None),
            self._judge(ise, device) if ise else done(None),
        )
        device = device.model_copy(update={"user": user})
        return [device if rows is None else settle(device, rows)]

    def _username(self, guid: str) -> Flow[Any]:
        flow = self._get(f"/users/{guid}", "userdetail")
        answer = yield from or_none(flow, UnknownUserError)
        if answer is None or not answer.has("guid"):
            return None
        if _guid(answer).lower() != guid.lower():
            raise FilterIgnoredError("the server answered with another user than the one asked for")
        return answer.key(Username, "username")

    def _judge(self, info: ServerInfo, device: Device) -> Flow[Any]:
        """What the endpoint for Cisco ISE says about a device; nothing if it does not know it."""
        assert self._service  # noqa: S101 - it was described
        version = int(info.api_version or 1)
        for key in (*device.shown(Mac), *device.shown(Udid)):
            if self._service.criteria[type(key)].since <= version:
                rows = yield from self._service.find(info, key)
                if own := [row for row in rows if about(device, row)]:
                    return own
        return []

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that do not comply, as either API says: of all devices, those.

        Without the endpoint for Cisco ISE these are the compromised ones.

        Raises:
            IncompleteListError: one of the lists changed so that devices may be missing, or has no end.
            PermissionDeniedError: the endpoint's account sees none of the devices.
        """
        page, ise = (yield from self.devices_page(info, cursor)), UemDescription.of(info).ise
        failing = [one for one in page.items if one.compliance.state is ComplianceState.NONCOMPLIANT]
        if cursor is None and ise and all(one.compliance.vendor_state == COMPROMISED for one in failing):
            yield from self._see_one_of(ise, page.items)
        return page_of(failing, page.next_cursor)

    def _see_one_of(self, info: ServerInfo, devices: Sequence[Device]) -> Flow[None]:
        """Make sure that an empty list of the endpoint for Cisco ISE means something: it knows a device."""
        named = [one for one in devices if one.shown(Mac) or one.shown(Udid)][:_PROBED]
        for device in named:
            if (yield from self._judge(info, device)):
                return
        if named:
            check_sight((), ISE_ROLE)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices; compliance is what the list of noncompliant ones says.

        Raises:
            IncompleteListError: one of the lists changed so that devices may be missing, or has no end.
        """
        server = UemDescription.of(info)
        if cursor is None:
            cursor = _At(None, Told.of((yield from self._noncompliant(server.ise)) if server.ise else []))
        ask, size = partial(self._rows, "", in_order=server.sorted), self.settings.page_size
        rows, place = yield from walk(ask, [""], cursor.place, size, noun="the list", ordered=server.sorted)
        devices, told = cursor.told.join(map(self._device, rows))
        if place is None:
            return page_of([*devices, *told.rest], None)
        return page_of(devices, _At(place, told))

    def _noncompliant(self, info: ServerInfo) -> Flow[list[Device]]:
        """The whole list of the endpoint for Cisco ISE."""
        assert self._service  # noqa: S101 - it was described
        progress, seen = Progress(self.settings.policy.max_pages), Seen()
        rows: list[Device] = []
        cursor = None
        while True:
            page = yield from self._service.noncompliant_page(info, cursor)
            rows += page.items
            if (cursor := page.next_cursor) is None:
                return rows
            progress.collected = len(rows)
            progress.go_on(cursor, fresh=seen.add_all(map(row_identity, page.items)))

    # --- requests and records ---

    # UEM REST API reference, "Getting started": each type of answer has a media type of its own.
    def _get(self, path: str, kind: str, params: dict[str, str | int] | None = None) -> Flow[Row]:
        headers = {"Accept": f"application/vnd.blackberry.{kind}-v1+json"}
        answer: Response = yield from send(Request("GET", self.settings.api + path, params or {}, headers))
        return Row(answer.json(), "an answer of UEM")

    def _rows(
        self, query: str, _scope: str, offset: int, limit: int, *, in_order: bool
    ) -> Flow[Slice[Record]]:
        return self._page(query, offset, limit, in_order=in_order)

    # UEM REST API reference, Devices: max, offset, includeTotal and sortBy. What the total is called, and the
    # order without sortBy, is not said.
    def _page(self, query: str, offset: int, limit: int, *, in_order: bool) -> Flow[Slice[Record]]:
        params: dict[str, str | int] = {"query": query} if query else {}
        params |= {"max": limit, "offset": offset, "includeTotal": "true"}
        params |= {"sortBy": _BY_GUID} if in_order else {}
        answer = yield from self._get("/devices", "devices", params)
        records = [Record(row) for row in answer.documents("devices")]
        return Slice(
            [(int(_guid(record).replace("-", ""), 16), record) for record in records],
            _total(answer),
        )

    def _device(self, record: Record) -> Device:
        return record.device(keep_raw=self.settings.keep_raw)


def _total(answer: Row) -> int | None:
    """How many rows there are in all; None where the server does not say.

    Raises:
        MalformedResponseError: it says so in a form that cannot be read.
    """
    names = [name for name, value in answer.document.items() if _TOTAL.search(name) or type(value) is int]
    named = [name for name in names if _TOTAL.search(name)] or names
    if len(named) != 1:
        return None
    if (total := answer.whole(named[0])) is None and answer.has(named[0]):
        raise MalformedResponseError("the server's answer has a count of devices that cannot be read")
    return total


def _guid(row: Row) -> str:
    """The GUID of a record.

    Raises:
        MalformedResponseError: it has none that can be read.
    """
    guid = row.required("guid")
    if not UUID.fullmatch(guid):
        raise MalformedResponseError("the server's answer holds a record, the GUID of which cannot be read")
    return guid


def _mac_forms(mac: Key) -> tuple[str, ...]:
    """How a server may want an address; the samples have it in lower case, with colons."""
    return mac.value.lower(), mac.value, mac.value.replace(":", "").lower()


def _spellings(server: UemDescription, key: Key) -> Sequence[str]:
    """The texts under which the server may hold a key; none for a GUID that only another vendor has.

    Raises:
        InvalidIdentifierError: a text cannot stand in a query.
    """
    if isinstance(key, Guid):
        return (key.value,) if UUID.fullmatch(key.value) else ()
    if isinstance(key, Mac):
        forms = _mac_forms(key)
        return forms if server.mac_form is None else (forms[server.mac_form],)
    texts = key.cases if isinstance(key, Username) else key.spellings
    if any(map(_GRAMMAR.search, texts)):
        raise InvalidIdentifierError(
            f"this {key.kind} holds a character that UEM's queries give a meaning to",
            hint="Commas, stars and the signs = < > have no spelling there: ask by another identifier.",
        )
    return texts
