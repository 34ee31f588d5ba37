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
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from mdmsdk.errors import (
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
)
from mdmsdk.flow import call, send
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import ServerInfo
from mdmsdk.paging import Slice, numbered, page_of, walk
from mdmsdk.proof import proven
from mdmsdk.provider import Capability, Limits, MdmProvider, Token, basic_token
from mdmsdk.search import one_by_one, search, spoils_one
from mdmsdk.wire import Request
from mdmsdk_workspaceone.answers import (
    UnknownRecordError,
    check_answer,
    check_token_answer,
    check_version,
    read_document,
    read_quota,
    spoken_version,
)
from mdmsdk_workspaceone.login import Signer, load_signer, oauth_token
from mdmsdk_workspaceone.records import Record, combine
from mdmsdk_workspaceone.search import SearchNames, left_out, read_rows, select
from mdmsdk_workspaceone.settings import WorkspaceOneSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device
    from mdmsdk.provider import Page
    from mdmsdk.search import Found
    from mdmsdk.wire import Response

__all__ = ["WorkspaceOneProvider"]

_log = logging.getLogger("mdmsdk.workspaceone")

# API help, mdm v1, GET and POST /devices: the types of alternate ids.
_SEARCH_BY: Final[dict[type[Key], str]] = {
    Mac: "Macaddress",
    Udid: "Udid",
    Serial: "Serialnumber",
    Imei: "ImeiNumber",
    DeviceId: "DeviceId",
}
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RECORD_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
# What a server without a version may answer; 503 is what one tenant's gateway does.
_NO_SUCH_VERSION: Final = frozenset({400, 404, 406, 415, 501, 503})
_POLICY_PAGES: Final = 20
_PAGE_SIZE: Final = 500
_PROBED: Final = 10
"""Devices that the heartbeat asks for: among so many, each kind of identifier is likely to be there."""


class WorkspaceOneProvider(MdmProvider):
    """Workspace ONE UEM through its REST API."""

    name = "workspaceone"
    vendor = "Omnissa"
    settings_type: ClassVar[type[WorkspaceOneSettings]] = WorkspaceOneSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({*_SEARCH_BY, Guid})
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.BATCH, Capability.INVENTORY, Capability.REASONS}
    )
    passing = frozenset({"quota", "known"})
    # No rate is documented beyond the daily quota. The bulk call names no size: that of a page is taken, with
    # room for one more value (see `_bulk`).
    limits: ClassVar[Limits] = Limits(concurrency=8, batch_size=499)

    settings: WorkspaceOneSettings

    # --- login ---

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """By user name and password or certificate without a request; by OAuth from the token service."""
        del audience, previous
        settings = self.settings
        if settings.certificate:
            signer = yield from call(partial(load_signer, settings.certificate))
            return Token("", static=True, extra=signer)
        if settings.client_id:
            return (yield from oauth_token(settings))
        password = settings.password.get_secret_value() if settings.password else ""
        return basic_token(settings.username or "", password)

    # "Using UEM Functionality With a REST API": the API key is a header of its own beside the login.
    def authorize(self, request: Request, token: Token) -> Request:
        """Put the login and the tenant code on a request."""
        if isinstance(token.extra, Signer):
            request = request.with_headers({"Authorization": token.extra.header(request.full_url)})
        else:
            request = super().authorize(request, token)
        code = self.settings.tenant_code
        return request.with_headers({"aw-tenant-code": code.get_secret_value()}) if code else request

    def check(self, response: Response) -> Response:
        """Turn an error status into an error; the token service has its own."""
        login_url = self.settings.login_url
        if login_url and response.url.partition("?")[0] == login_url:
            return check_token_answer(response)
        return check_answer(response)

    # --- reachability ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the product, then for some devices: that proves the login, the tenant code and the role.

        The second answer also tells the version of the device search, what is left of the daily quota, and
        identifiers that the server knows.

        Raises:
            EndpointNotFoundError: no UEM API at this address.
            PermissionDeniedError: wrong tenant code, or a role without devices.
            VersionMismatchError: the server does not speak `api_version`.
        """
        try:
            about = read_document((yield from send(self._get("/system/info"))))
            if not {"ProductName", "ProductVersion"} & about.keys():
                raise MalformedResponseError("what answers here does not describe itself as UEM")
        except PermissionDeniedError:
            about = {}  # a role for devices alone; a wrong tenant code is refused below as well
        version = self.settings.api_version or 2
        try:
            answer = yield from send(self._probe(version))
        except ResponseError as error:
            if self.settings.api_version or not _lacks_version(error):
                raise
            version = 1
            answer = yield from send(self._probe(version))
        rows, _ = read_rows(read_document(answer))
        if self.settings.api_version is None and spoken_version(answer) == 1:
            version = 1
        check_version(answer, version)
        offered = [int(found) for found in re.findall(r"\d+", answer.header("api-supported-versions") or "")]
        product = about.get("ProductVersion")
        return ServerInfo(
            provider=self.name,
            vendor=self.vendor,
            product=str(about.get("ProductName") or "Workspace ONE UEM"),
            version=str(product) if product else None,
            api_version=str(version),
            query_max_size=_PAGE_SIZE,
            extra={"api_versions": offered, "quota": read_quota(answer), "known": self._learn(rows)},
        )

    def _probe(self, version: int) -> Request:
        names = SearchNames.of(version)
        params = names.params(self.settings, 0, _PROBED, noncompliant=False)
        return self._get("/mdm/devices/search", version, params)

    # --- lookups ---

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """The record of this key, with the details that the record by GUID adds.

        Raises:
            FilterIgnoredError: the record by GUID is another one than the lookup gave.
        """
        del info
        devices = yield from self._by_key(key)
        if isinstance(key, Guid) or not (self.settings.details and devices and devices[0].guid):
            return devices
        same = Guid(devices[0].guid)
        more = yield from self._details(same.value)
        return [combine(devices[0], *proven(self, same, [self._device(more)]))] if more else devices

    def _by_key(self, key: Key) -> Flow[list[Device]]:
        """The record of a key, which is asked for in each spelling that the server may hold."""
        if isinstance(key, Guid):
            record = yield from self._by_guid(key.value)
            return [self._device(record)] if record else []
        devices: list[Device] = []
        for text in _spellings(key):
            devices = devices or (yield from self._one(type(key), text))
        return devices

    # API help, mdm v1, GET /devices: one device by an alternate id.
    def _one(self, kind: type[Key], text: str) -> Flow[list[Device]]:
        try:
            response = yield from send(
                self._get("/mdm/devices", 1, {"searchby": _SEARCH_BY[kind], "id": text})
            )
        except UnknownRecordError:
            return []
        document = read_document(response)
        return [self._device(Record(document))] if document else []

    def _details(self, guid: str) -> Flow[Record | None]:
        """The record by GUID, as far as this server has such an operation at all."""
        try:
            return (yield from self._by_guid(guid))
        except ResponseError as error:
            if isinstance(error, ServerError) or not _lacks_version(error):
                raise
        return None

    # API help, mdm v3 and v2, GET /devices/{uuid}. Version 2 knows no pending compliance.
    def _by_guid(self, guid: str) -> Flow[Record | None]:
        if not _UUID.fullmatch(guid):
            return None  # UEM's are UUIDs; another text is another vendor's name
        request = self._get(f"/mdm/devices/{guid}", 3)
        try:
            try:
                response = yield from send(request)
            except ResponseError as error:
                if not _lacks_version(error):
                    raise
                response = yield from send(request.with_headers(_accept(2)))
        except UnknownRecordError:
            return None
        document = read_document(response)
        return Record(document) if document else None

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for many keys in one request, without the details that the record by GUID adds."""
        kinds = {type(key) for key in keys}
        if len(kinds) != 1 or Guid in kinds:
            return (yield from super().find_batch(info, keys))
        found: dict[Key, list[Device] | MdmError] = {key: [] for key in keys}
        for turn in range(max(len(_spellings(key)) for key in keys)):
            texts = {key: own[turn] for key in keys if not found[key] and turn < len(own := _spellings(key))}
            if texts:
                found |= yield from search(self, [*texts], partial(self._bulk, info, texts), splits=_splits)
        untold = [key for key, answer in found.items() if isinstance(answer, UnknownRecordError)]
        return {**found, **(yield from one_by_one(untold, self._by_key))}

    # API help, mdm v1, POST /devices: BulkValues, many values of one kind; 404 if none matches or one is
    # invalid. So one is added that the heartbeat saw: then a 404 can only mean that one is invalid. Values
    # that were accepted once are valid, and a 404 for some of them means that there are none. Those that an
    # answer lacks are asked for again, because no limit is documented: a server may have cut its answer.
    def _bulk(self, info: ServerInfo, texts: Mapping[Key, str], keys: Sequence[Key]) -> Flow[list[Device]]:
        """All records of these keys.

        Raises:
            UnknownRecordError: which of them the server does not have cannot be told.
            MalformedResponseError: the server says that it left records out.
        """
        kind = type(keys[0])
        if len(keys) == 1:
            return (yield from self._one(kind, texts[keys[0]]))
        witness = kind.parse(info.extra.get("known", {}).get(kind.kind))
        beside = [] if witness is None or witness in keys else [_wire(witness)]
        found: list[Device] = []
        missing, accepted = {key: texts[key] for key in keys}, False
        while missing:
            try:
                devices, whole = yield from self._post(kind, [*missing.values(), *beside])
            except UnknownRecordError:
                if not accepted:
                    raise
                break
            named: set[Key] = set()
            for device in devices:
                shown = set(device.shown(kind))
                if shown & missing.keys() or not shown & {
                    *keys,
                    witness,
                }:  # neither the witness nor one again
                    found.append(device)
                    named |= shown
            left = {key: text for key, text in missing.items() if key not in named}
            if len(left) == len(missing) and whole:
                break
            if len(left) == len(missing):
                raise MalformedResponseError("the server left out records that it has")
            missing, accepted = left, True
        return found

    def _post(self, kind: type[Key], values: Sequence[str]) -> Flow[tuple[list[Device], bool]]:
        """The records of these values, and whether the server says that these are all."""
        body = {"BulkValues": {"Value": values}}
        url = f"{self._root}/mdm/devices"
        request = Request("POST", url, {"searchby": _SEARCH_BY[kind]}, _accept(1), json=body)
        document = read_document(check_version((yield from send(request)), 1))
        rows, total = read_rows(document)
        devices = [self._device(Record(row)) for row in rows]
        return devices, not left_out(document) and (total or 0) <= len(rows)

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the enrolled devices that do not comply.

        Raises:
            FilterIgnoredError: the list holds a device that complies.
            IncompleteListError: rows moved while the list was read.
        """
        return (yield from self._page(info, cursor, noncompliant=True))

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices, those that have left included."""
        return (yield from self._page(info, cursor, noncompliant=False))

    def _page(self, info: ServerInfo, cursor: Any, *, noncompliant: bool) -> Flow[Page[Device]]:
        version = int(info.api_version or 2)
        names = SearchNames.of(version)

        def ask(page: int, size: int) -> Flow[Slice[Record]]:
            params = names.params(self.settings, page, size, noncompliant=noncompliant)
            response = yield from send(self._get("/mdm/devices/search", version, params))
            rows, total = read_rows(read_document(check_version(response, version)))
            return Slice([(record.order, record) for record in map(Record, rows)], total)

        def part(_scope: str, offset: int, limit: int) -> Flow[Slice[Record]]:
            return numbered(ask, offset, limit)

        size, ordered = self.settings.page_size, bool(names.order)
        records, following = yield from walk(part, [""], cursor, size, noun="the list", ordered=ordered)
        items = list(map(self._device, records))
        if noncompliant:
            items = select(list(zip(records, items, strict=True)), filtered=bool(names.compliance))
        return page_of(items, following)

    # API help, mdm v1, GET /devices/{id}/compliance and, by another key, GET /devices/compliance.
    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the policies that it fails and what they demand.

        Raises:
            IncompleteListError: the list of its policies has no end.
        """
        del info
        path, params = f"/mdm/devices/{device.id}/compliance", {}
        if device.id is None:
            path, params = "/mdm/devices/compliance", {"searchBy": "Udid", "id": device.udid or ""}
        failing: list[str] = []
        seen = 0
        for page in range(_POLICY_PAGES):
            request = self._get(path, 1, {**params, "page": page, "pagesize": _PAGE_SIZE})
            try:
                document = read_document((yield from send(request)))
            except UnknownRecordError:
                break
            answer = Record(document, "a list of policies")
            failing += answer.failing(detail=True)
            seen += len(answer.policies)
            if not answer.policies or seen >= (answer.number("Total") or 0):
                break
        else:
            raise IncompleteListError("the list of the device's policies has no end", collected=seen)
        if not failing:
            return device
        names = {reason.partition(":")[0] for reason in failing}
        kept = [reason for reason in device.compliance.reasons if reason not in names]
        reasons = tuple(dict.fromkeys([*failing, *kept]))
        return device.model_copy(
            update={"compliance": device.compliance.model_copy(update={"reasons": reasons})}
        )

    # --- requests and records ---

    @property
    def _root(self) -> str:
        """The address below which the sections mdm and system are."""
        base = self.settings.base_url
        return base if urlsplit(base).path.lower().endswith("/api") else f"{base}/api"

    def _get(self, path: str, version: int = 1, params: Mapping[str, str | int] | None = None) -> Request:
        return Request("GET", f"{self._root}{path}", params or {}, _accept(version))

    @property
    def _zone(self) -> tzinfo:
        return ZoneInfo(self.settings.time_zone) if self.settings.time_zone else UTC

    def _device(self, record: Record) -> Device:
        """What a record says.

        Raises:
            MalformedResponseError: it has neither number nor UUID, like an error that comes with status 200.
        """
        _ = record.order
        return record.device(self.name, self._zone, keep_raw=self.settings.keep_raw)

    def _learn(self, rows: Sequence[Any]) -> dict[str, str]:
        """An identifier of each kind that the server has, of devices that are enrolled if there are any.

        Warns where check-ins may be hours off.
        """
        devices, naive = [], False
        for row in rows:
            with suppress(MalformedResponseError):  # whoever asks for that device is told
                record = Record(row)
                devices.append(self._device(record))
                naive = naive or bool(record.last_seen and record.last_seen.tzinfo is None)
        if naive and not self.settings.time_zone:
            _log.warning(
                "%s gives times without a zone, taken for UTC; set time_zone to the zone of the server",
                urlsplit(self.settings.base_url).hostname,
            )
        devices.sort(key=lambda device: device.registered)
        return {
            kind.kind: own[0].value
            for device in devices
            for kind in _SEARCH_BY
            if (own := device.shown(kind))
        }


def _lacks_version(error: ResponseError) -> bool:
    """Whether an error may only mean that the server lacks this version of an operation."""
    told = isinstance(error, UnknownRecordError | RateLimitedError)
    return error.status in _NO_SUCH_VERSION and not told


# "Using UEM Functionality With a REST API": the version stands in Accept. One tenant's gateway refuses
# ";version=1" and wants none for version 1; others take both. Without JSON in Accept the answer is XML.
def _accept(version: int) -> dict[str, str]:
    return {"Accept": "application/json" if version == 1 else f"application/json;version={version}"}


# API help: Macaddress: 848506B900BA, twelve digits without separators; the others as they are.
def _wire(key: Key) -> str:
    return key.hex if isinstance(key, Mac) else key.value


# API help: DeviceId: an integer. Apple devices report an IMEI in groups, and some records keep it so.
def _spellings(key: Key) -> tuple[str, ...]:
    """The texts under which the server may hold an identifier; none for what only other vendors have."""
    if isinstance(key, Mac | DeviceId):
        return (_wire(key),) if isinstance(key, Mac) or _RECORD_NUMBER.fullmatch(key.value) else ()
    texts = key.spellings
    return (*texts, re.sub(r"(..)(.{6})(.{6})", r"\1 \2 \3 ", texts[0])) if isinstance(key, Imei) else texts


def _splits(error: MdmError) -> bool:
    return isinstance(error, UnknownRecordError) or spoils_one(error)
