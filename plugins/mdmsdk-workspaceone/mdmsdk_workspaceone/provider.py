"""The REST API of Workspace ONE UEM as flows.

Sources: "Using UEM Functionality With a REST API" (docs.omnissa.com), and the API help of UEM itself
(``/api/help``), mdm versions 1 to 3 and system version 1.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mdmsdk.changes import earliest
from mdmsdk.errors import (
    MalformedResponseError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    VersionMismatchError,
)
from mdmsdk.flow import newest, or_none, send
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.logins import basic, client_credentials
from mdmsdk.models import Description, ServerInfo
from mdmsdk.paging import Slice, by_number, collect, page_of, walk
from mdmsdk.proof import proven
from mdmsdk.provider import Capability, Limits, MdmProvider, Token
from mdmsdk.search import Search, find_with, of_one, one_by_one, spoils_one
from mdmsdk.wire import Request
from mdmsdk_workspaceone.records import Record, failed, select
from mdmsdk_workspaceone.refusals import (
    REFUSALS,
    UnknownRecordError,
    check_login,
    read_complaint,
    read_quota,
)
from mdmsdk_workspaceone.settings import UUID, WorkspaceOneSettings
from mdmsdk_workspaceone.signature import signed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mdmsdk.errors import MdmError
    from mdmsdk.flow import Flow
    from mdmsdk.models import Device
    from mdmsdk.provider import Page
    from mdmsdk.search import Found, Texts
    from mdmsdk.wire import Response

__all__ = ["UemDescription", "WorkspaceOneProvider"]

_log = logging.getLogger("mdmsdk.workspaceone")

# API help, mdm v1, GET and POST /devices: the types of alternate ids.
_SEARCH_BY: Final = {
    Mac: "Macaddress",
    Udid: "Udid",
    Serial: "Serialnumber",
    Imei: "ImeiNumber",
    DeviceId: "DeviceId",
}
# API help: DeviceId: an integer. Another text, like a GUID that is no UUID, is another vendor's name.
_FORMS: Final = {Guid: UUID, DeviceId: re.compile(r"[1-9][0-9]{0,17}")}
# API help, GET /devices/search of mdm v1 and v2; the name of another version is ignored. Version 3 is not
# asked: it does not say which values its filter takes, and one that is not understood might give an empty
# list, which reads "all comply".
_NONCOMPLIANT: Final = {2: "compliance_status", 1: "compliantstatus"}
_SEEN_SINCE: Final = {2: "seen_since", 1: "seensince"}
# Sorted, so that pages stay put while devices change.
_BY_NUMBER: Final = {"orderby": "deviceid", "sortorder": "ASC"}
# What a server without a version may answer; 503 is what one tenant's gateway does.
_NO_SUCH_VERSION: Final = frozenset({400, 404, 406, 415, 501, 503})
_NO_DETAILS: Final = frozenset({400, 404, 406, 415})
_MOST_ROWS: Final = 500
_PROBED: Final = 10
"""Devices that the heartbeat asks for: among so many, each kind of identifier is likely to be there."""


class UemDescription(Description):
    """What the heartbeat learns.

    Attributes:
        version: of the device search, as the server speaks it.
        known: an identifier of each kind that the server has, for `WorkspaceOneProvider._bulk`.
    """

    version: int
    known: tuple[Key, ...] = ()


class WorkspaceOneProvider(MdmProvider):
    """Workspace ONE UEM through its REST API."""

    name = "workspaceone"
    vendor = "Omnissa"
    settings_type: ClassVar[type[WorkspaceOneSettings]] = WorkspaceOneSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({*_SEARCH_BY, Guid})
    capabilities: ClassVar = frozenset(
        {Capability.BATCH, Capability.INVENTORY, Capability.REASONS, Capability.CHANGES}
    )
    # No rate is documented beyond the daily quota. The bulk call names no size: that of a page is taken, with
    # room for one more value (see `_bulk`).
    limits: ClassVar[Limits] = Limits(concurrency=8, batch_size=_MOST_ROWS - 1)
    refusals = REFUSALS
    # JupiterOne's recording of a tenant: a search without rows is 204 with an empty body.
    may_be_empty = "/devices/search"
    complaint = staticmethod(read_complaint)

    settings: WorkspaceOneSettings

    # --- login ---

    @property
    def login_url(self) -> str | None:
        """The token service of OAuth."""
        return self.settings.login_url

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """By user name and password or certificate without a request; by OAuth from the token service."""
        del audience, previous
        settings = self.settings
        if certificate := settings.certificate:
            pair = yield from certificate.load()
            return Token("", static=True, extra=partial(signed, pair=pair, sign_query=certificate.sign_query))
        if settings.login_url:
            return (yield from client_credentials(settings.login_url, settings, check=check_login))
        return basic(settings)

    # "Using UEM Functionality With a REST API": the API key is a header of its own beside the login.
    def authorize(self, request: Request, token: Token) -> Request:
        """Put the login and the tenant code on a request."""
        code, sign = self.settings.tenant_code, token.extra
        request = sign(request) if self.settings.certificate else token.on(request)
        return request.with_headers({"aw-tenant-code": code.get_secret_value()}) if code else request

    # --- reachability ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the product, then for some devices: that proves the login, the tenant code and the role.

        The second answer also tells the version of the device search, what is left of the daily quota, and
        identifiers that the server knows.

        Raises:
            EndpointNotFoundError: no UEM API at this address.
            PermissionDeniedError: wrong tenant code, or a role without devices.
            VersionMismatchError: the server speaks another version than it was asked in.
        """
        # None for a role that may see devices alone; a wrong tenant code is refused below as well.
        told = yield from or_none(self._get("/system/info"), PermissionDeniedError)
        about = Record(told.json() if told else {}, "a description")
        if told and not about.has("ProductName", "ProductVersion"):
            raise MalformedResponseError("what answers here does not describe itself as UEM")
        asked, answer = yield from newest(partial(self._search, 0, _PROBED), (2, 1), _lacks_version)
        version = _version_of(answer, asked, 1)
        return ServerInfo(
            vendor=self.vendor,
            product=about.text("ProductName") or "Workspace ONE UEM",
            version=about.text("ProductVersion"),
            api_version=str(version),
            query_max_size=_MOST_ROWS,
            extra={"quota": read_quota(answer)},
            description=UemDescription(version=version, known=self._known(answer)),
        )

    def _known(self, answer: Response) -> tuple[Key, ...]:
        """An identifier of each kind that the server has, of devices that are enrolled if there are any.

        Warns where check-ins may be hours off.
        """
        devices, naive = [], False
        for row in _listing(answer).documents("Devices"):
            with suppress(MalformedResponseError):  # whoever asks for that device is told
                record = Record(row)
                devices.append(self._device(record))
                naive = naive or bool((seen := record.seen()) and seen.tzinfo is None)
        if naive and not self.settings.time_zone:
            _log.warning("%s gives times without a zone: set time_zone to its own", self.settings.base_url)
        devices.sort(key=lambda device: not device.registered)
        shown = (next((key for one in devices for key in one.shown(kind)), None) for kind in _SEARCH_BY)
        return tuple(key for key in shown if key)

    # --- lookups ---

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """The records of keys in one request; of a single key with the details that the record by GUID adds.

        Raises:
            FilterIgnoredError: the record by GUID is another one than the lookup gave.
        """
        found = yield from self._find(info, keys, details=len(keys) == 1 and self.settings.details)
        untold = [key for key, answer in found.items() if isinstance(answer, UnknownRecordError)]
        return {**found, **(yield from one_by_one(untold, partial(self._find_one, info)))}

    def _find_one(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        return of_one((yield from self._find(info, [key])), key)

    def _find(self, info: ServerInfo, keys: Sequence[Key], *, details: bool = False) -> Flow[Found]:
        ask = partial(self._ask, UemDescription.of(info).known, details=details)
        most = 1 if isinstance(keys[0], Guid) else None
        return find_with(self, Search(ask=ask, spellings=_spellings, most=most, splits=_splits), keys)

    def _ask(self, known: Sequence[Key], texts: Texts, *, details: bool) -> Flow[Sequence[Device]]:
        if len(texts) > 1:
            return (yield from self._bulk(known, {key: text for key, (text,) in texts.items()}))
        ((key, (text,)),) = texts.items()
        record = yield from or_none(self._read(type(key), text), UnknownRecordError)
        if record is None:
            return []
        if details and not isinstance(key, Guid):
            yield from self._add_details(record)
        return [self._device(record)]

    # API help, mdm v1, GET /devices: one device by an alternate id; mdm v3 and v2, GET /devices/{uuid}, of
    # which version 2 knows no pending compliance.
    def _read(self, kind: type[Key], text: str) -> Flow[Record]:
        if kind is Guid:
            _, answer = yield from newest(partial(self._get, f"/mdm/devices/{text}"), (3, 2), _lacks_version)
        else:
            answer = yield from self._get("/mdm/devices", params={"searchby": _SEARCH_BY[kind], "id": text})
        return Record(answer.json())

    def _add_details(self, record: Record) -> Flow[None]:
        """Add the record by GUID, as far as this server has it, and such an operation at all."""
        guid = record.text("Uuid") or ""
        if not UUID.fullmatch(guid):
            return
        try:
            more = yield from self._read(Guid, guid)
        except ResponseError as error:
            if error.status not in _NO_DETAILS:
                raise
        else:
            proven(self, Guid(guid), [device := self._device(more)])
            record.doubt("Uuid", device.matches(Guid(guid)))  # of another device, for all that it shows
            record.add(more)

    # API help, mdm v1, POST /devices: BulkValues, many values of one kind; 404 if none matches or one is
    # invalid. So one is added that the heartbeat saw: then a 404 can only mean that one is invalid. Values
    # that were accepted once are valid, and a 404 for some of them means that there are none. Those that an
    # answer lacks are asked for again, because no limit is documented: a server may have cut its answer.
    def _bulk(self, known: Sequence[Key], texts: Mapping[Key, str]) -> Flow[list[Device]]:
        """All records of these keys.

        Raises:
            UnknownRecordError: which of them the server does not have cannot be told.
            MalformedResponseError: the server says that it left records out.
        """
        kind = type(next(iter(texts)))
        witnesses = {key for key in known if type(key) is kind} - texts.keys()
        found: list[Device] = []
        missing = texts
        while missing:
            try:
                values = [*missing.values(), *(text for key in witnesses for text in _spellings(key)[:1])]
                devices = yield from self._post(kind, values)
            except UnknownRecordError:
                if missing is texts:
                    raise
                break
            shown = [(device, set(device.shown(kind))) for device in devices]
            # Not those of the witness alone, nor those that came before.
            before = {*texts, *witnesses} - missing.keys()
            found += [device for device, keys in shown if keys.isdisjoint(before) or keys & missing.keys()]
            named = {key for _, keys in shown for key in keys}
            if named.isdisjoint(missing):
                break
            missing = {key: text for key, text in missing.items() if key not in named}
        return found

    def _post(self, kind: type[Key], values: Sequence[str]) -> Flow[list[Device]]:
        """The records of these values; all that the server has."""
        params, body = {"searchby": _SEARCH_BY[kind]}, {"BulkValues": {"Value": values}}
        answer = yield from self._get("/mdm/devices", params=params, body=body)
        _version_of(answer, 1)
        listing = _listing(answer)
        devices = [self._device(record) for record in listing.records("Devices")]
        # API help: OrphanDevicesDetails {Count, Devices[{DeviceUuid, ErrorCode, …}]}.
        orphans = listing.row("OrphanDevicesDetails")
        if orphans.number("Count") or orphans.has("Devices") or (listing.total() or 0) > len(devices):
            # What it lacks may be another record of a key that it names.
            raise MalformedResponseError("the server left out records that it has")
        return devices

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the enrolled devices that do not comply.

        Raises:
            FilterIgnoredError: the list holds a device that complies.
            IncompleteListError: rows moved while the list was read.
        """
        return self._page(info, cursor, _NONCOMPLIANT, "false")

    # API help, GET /devices/search: the devices that were seen after a date, without a word on its zone.
    def devices_since(self, info: ServerInfo, since: datetime | None, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that the server saw since a time, or of all; those that left included."""
        text = f"{earliest(since, self.settings.time_zone):%Y-%m-%dT%H:%M:%S}.000" if since else None
        return self._page(info, cursor, _SEEN_SINCE, text)

    def _page(
        self, info: ServerInfo, cursor: Any, by: dict[int, str], text: str | None
    ) -> Flow[Page[Device]]:
        version, seen = UemDescription.of(info).version, by is _SEEN_SINCE

        def ask(page: int, size: int) -> Flow[Slice[Device]]:
            answer = yield from self._search(page, size, version, **({by[version]: text} if text else {}))
            _version_of(answer, version)
            listing = _listing(answer)
            rows = [(record.order(), self._device(record)) for record in listing.records("Devices")]
            return Slice(rows, listing.total())

        read = partial(walk, by_number(ask), [""], noun="the list", ordered=True, growing=seen and bool(text))
        devices, place = yield from read(cursor, self.settings.page_size)
        return page_of(devices if seen else select(devices), place)

    # API help, mdm v1, GET /devices/{id}/compliance and, by another key, GET /devices/compliance.
    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the policies that it fails and what they demand.

        Raises:
            IncompleteListError: the list of its policies has no end.
        """
        del info
        path = f"/mdm/devices/{device.id}/compliance" if device.id else "/mdm/devices/compliance"
        by = {} if device.id else {"searchBy": "Udid", "id": device.udid or ""}

        def ask(page: int, size: int) -> Flow[Slice[Record]]:
            answer = yield from self._get(path, params={**by, "page": page, "pagesize": size})
            listing = Record(answer.json(), "a list of policies")
            return Slice(list(enumerate(listing.policies(), page * size)), listing.total())

        pages = collect(by_number(ask), [""], _MOST_ROWS, max_pages=20, ordered=True)
        if (policies := (yield from or_none(pages, UnknownRecordError))) is None:
            return device
        failing = failed(policies)
        kept = [reason for reason in device.compliance.reasons if reason not in failing.values()]
        return device.judged(reasons=tuple(dict.fromkeys([*failing, *kept])))

    # --- requests and records ---

    # "Using UEM Functionality With a REST API": the version stands in Accept. One tenant's gateway refuses
    # ";version=1" and wants none for version 1; others take both. Without JSON in Accept the answer is XML.
    def _get(
        self, path: str, version: int = 1, *, params: Mapping[str, str | int] | None = None, body: Any = None
    ) -> Flow[Response]:
        accept = "application/json" if version == 1 else f"application/json;version={version}"
        method, url = "POST" if body else "GET", f"{self.settings.base_url}{path}"
        return send(Request(method, url, params or {}, {"Accept": accept}, json=body))

    def _search(self, page: int, size: int, version: int, **only: str) -> Flow[Response]:
        """One page of a list; pages count from 0."""
        params: dict[str, str | int] = {"page": page, "pagesize": size, **_BY_NUMBER, **only}
        if self.settings.organization_group is not None:
            params["lgid"] = self.settings.organization_group
        return self._get("/mdm/devices/search", version, params=params)

    def _device(self, record: Record) -> Device:
        """What a record says.

        Raises:
            MalformedResponseError: it has neither number nor UUID, like an error that comes with status 200.
        """
        if not record.order():
            raise MalformedResponseError("the server lists a device without number and UUID")
        return record.device(self.settings.time_zone or UTC, keep_raw=self.settings.keep_raw)


def _listing(answer: Response) -> Record:
    return Record({"Devices": []} if answer.nothing else answer.json(), "a list of devices")


def _lacks_version(error: MdmError) -> bool:
    """Whether an error may only mean that the server lacks this version of an operation."""
    told = isinstance(error, UnknownRecordError | RateLimitedError)
    return isinstance(error, ResponseError) and error.status in _NO_SUCH_VERSION and not told


# JupiterOne's recording: x-api-version: v2; a resource without version 2 answers 200 in version 1.
def _version_of(answer: Response, *versions: int) -> int:
    """The version in which an answer is written; the first one where it does not say.

    The versions name their filters differently and ignore names that they do not know.

    Raises:
        VersionMismatchError: it is none of these.
    """
    said = re.fullmatch(r"v?(\d{1,3})(?:\.\d+)?", (answer.header("x-api-version") or "").strip())
    spoken = int(said[1]) if said else versions[0]
    if spoken not in versions:
        raise VersionMismatchError(f"the server answered in version {spoken} of its API, not {versions[0]}")
    return spoken


# API help: Macaddress: 848506B900BA, twelve digits without separators; the others as they are. Apple devices
# report an IMEI in groups, and some records keep it so.
def _spellings(key: Key) -> tuple[str, ...]:
    """The texts under which the server may hold an identifier; none for what only other vendors have."""
    if isinstance(key, Mac):
        return (key.hex,)
    if form := _FORMS.get(type(key)):
        return (key.value,) if form.fullmatch(key.value) else ()
    return (*key.spellings, key.grouped) if isinstance(key, Imei) else key.spellings


def _splits(error: MdmError) -> bool:
    return isinstance(error, UnknownRecordError) or spoils_one(error)
