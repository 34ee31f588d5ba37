"""The REST API of Workspace ONE UEM as flows.

Sources: "Using UEM Functionality With a REST API" (docs.omnissa.com), and the API help of UEM itself
(``/api/help``), mdm versions 1 to 3 and system version 1.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from mdmsdk.errors import (
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
    ServerError,
)
from mdmsdk.flow import call, send, together
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import Device, ServerInfo
from mdmsdk.paging import Slice, numbered, walk
from mdmsdk.provider import Capability, Limits, MdmProvider, Page, Token, basic_token
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
from mdmsdk_workspaceone.records import Record, combine, failing_policies
from mdmsdk_workspaceone.search import SearchNames, read_rows, select
from mdmsdk_workspaceone.settings import WorkspaceOneSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo

    from mdmsdk.flow import Flow
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
_RECORD_NUMBER: Final = re.compile(r"[0-9]{1,18}")
# What a server without a version may answer; 503 is what one tenant's gateway does.
_NO_SUCH_VERSION: Final = frozenset({400, 404, 406, 415, 501, 503})
_PARTS: Final = 4
_POLICY_PAGES: Final = 20


class WorkspaceOneProvider(MdmProvider):
    """Workspace ONE UEM through its REST API."""

    name = "workspaceone"
    vendor = "Omnissa"
    settings_type: ClassVar[type[WorkspaceOneSettings]] = WorkspaceOneSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({*_SEARCH_BY, Guid})
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.BATCH, Capability.INVENTORY, Capability.REASONS}
    )
    # No rate is documented beyond the daily quota. The bulk call names no size: that of a page is taken.
    passing = frozenset({"quota"})
    limits: ClassVar[Limits] = Limits(concurrency=8, batch_size=500, page_size=500)

    settings: WorkspaceOneSettings

    def __init__(self, settings: WorkspaceOneSettings) -> None:
        """Keep the settings."""
        super().__init__(settings)
        self._zone_told = False

    # --- login ---

    def login(self, audience: str) -> Flow[Token]:
        """By user name and password or certificate without a request; by OAuth from the token service."""
        del audience
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
        """Ask for the product, then for one device: that proves the login, the tenant code and the role.

        The second answer also tells the version of the device search and what is left of the daily quota.

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
        read_rows(read_document(answer))
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
            query_max_size=self.limits.page_size,
            extra={"api_versions": offered, "quota": read_quota(answer)},
        )

    def _probe(self, version: int) -> Request:
        names = SearchNames.of(version)
        params = names.params(self.settings, 0, 1, noncompliant=False)
        return self._get("/mdm/devices/search", version, params)

    # --- lookups ---

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """The record of this key.

        Raises:
            FilterIgnoredError: the server answered about another device.
        """
        del info
        if isinstance(key, Guid):
            found = yield from self._by_guid(key.value)
            return [self._verified(key, found)] if found else []
        if isinstance(key, DeviceId) and not _RECORD_NUMBER.fullmatch(key.value):
            return []  # UEM counts its records; a text is another vendor's name
        params = {"searchby": _SEARCH_BY[type(key)], "id": _wire(key)}
        try:
            document = read_document((yield from send(self._get("/mdm/devices", 1, params))))
        except UnknownRecordError:
            return []
        if not document:
            return []
        record = Record(document)
        device = self._verified(key, record)
        more = (yield from self._details(device.guid)) if self.settings.details and device.guid else None
        if more is None or more.last_seen is None:
            self._tell_zone(record)
        return [combine(device, self._verified(Guid(device.guid or ""), more)) if more else device]

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

    # API help, mdm v1, POST /devices and POST /devices/id: BulkValues, many values of one kind.
    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for many keys in one request, without the details that the record by GUID adds.

        Raises:
            FilterIgnoredError: the server answered about devices that were not asked for.
        """
        kinds = {type(key) for key in keys}
        if len(kinds) != 1 or Guid in kinds:
            return (yield from super().find_batch(info, keys))
        numbers = [
            key for key in keys if not isinstance(key, DeviceId) or _RECORD_NUMBER.fullmatch(key.value)
        ]
        found = yield from self._bulk(kinds.pop(), numbers)
        return {key: found.get(key, []) for key in keys}

    # API help: 404 if none matches or one is invalid. So after a 404 the values are asked for in smaller
    # parts; but once they were accepted, a 404 for the missing ones means that there are none. They are asked
    # for again because no limit is documented: a server may have cut its answer.
    def _bulk(self, kind: type[Key], keys: Sequence[Key]) -> Flow[dict[Key, list[Device]]]:
        found: dict[Key, list[Device]] = {key: [] for key in keys}
        missing, accepted = list(keys), False
        while missing:
            body = {"BulkValues": {"Value": [_wire(key) for key in missing]}}
            url = f"{self._root}/mdm/devices"
            request = Request("POST", url, {"searchby": _SEARCH_BY[kind]}, _accept(1), json=body)
            try:
                response = check_version((yield from send(request)), 1)
            except UnknownRecordError:
                if len(missing) > 1 and not accepted:
                    size = -(-len(missing) // _PARTS)
                    parts = [missing[start : start + size] for start in range(0, len(missing), size)]
                    answers = yield from together(*(self._bulk(kind, part) for part in parts))
                    found.update({key: rows for answer in answers for key, rows in answer.items()})
                return found
            rows, _ = read_rows(read_document(response))
            self._assign(kind, rows, found)
            left = [key for key in missing if not found[key]]
            if len(left) == len(missing):
                break
            missing, accepted = left, True
        return found

    def _assign(self, kind: type[Key], rows: Sequence[Any], found: dict[Key, list[Device]]) -> None:
        """Put each row to the keys that it has."""
        for record in map(Record, rows):
            device = self._read(record)
            several: dict[type[Key], tuple[Key, ...]] = {Mac: device.mac_addresses, Imei: record.imeis}
            own = several.get(kind) or (kind.parse(getattr(device, kind.field)),)
            owners = [key for key in own if key in found]
            if not owners:
                raise FilterIgnoredError(
                    f"the server answered about devices whose {kind.kind} was not asked for"
                )
            for key in owners:
                found[key].append(self._verified(key, record))

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        """One page of the enrolled devices that do not comply.

        Raises:
            FilterIgnoredError: the list holds a device that complies.
            IncompleteListError: rows moved while the list was read.
        """
        return (yield from self._page(info, cursor, noncompliant=True))

    def devices_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        """One page of all devices, those that have left included."""
        return (yield from self._page(info, cursor, noncompliant=False))

    def _page(self, info: ServerInfo, cursor: str | None, *, noncompliant: bool) -> Flow[Page[Device]]:
        version = int(info.api_version or 2)
        names = SearchNames.of(version)

        def ask(page: int, size: int) -> Flow[Slice[Record]]:
            params = names.params(self.settings, page, size, noncompliant=noncompliant)
            response = yield from send(self._get("/mdm/devices/search", version, params))
            rows, total = read_rows(read_document(check_version(response, version)))
            return Slice([(record.number, record) for record in map(Record, rows)], total)

        def search(_scope: str, offset: int, limit: int) -> Flow[Slice[Record]]:
            return numbered(ask, offset, limit)

        size, ordered = self.settings.page_size, bool(names.order)
        records, following = yield from walk(search, [""], cursor, size, noun="the list", ordered=ordered)
        items = list(map(self._read, records))
        if noncompliant:
            # Without a filter, those that comply belong to the answer.
            filtered = names.compliance in names.params(self.settings, 0, size, noncompliant=True)
            items = select(items, filtered=filtered)
        return Page(items, following)

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
            request = self._get(path, 1, {**params, "page": page, "pagesize": self.limits.page_size})
            try:
                document = read_document((yield from send(request)))
            except UnknownRecordError:
                break
            policies = document.get("DeviceCompliance")
            count = len(policies) if isinstance(policies, list) else 0
            failing += failing_policies(document, detail=True)
            seen += count
            if not count or seen >= int(document.get("Total") or 0):
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

    def _verified(self, key: Key, record: Record) -> Device:
        """The device of a record that is really about `key`."""
        device = record.device(self.name, self._zone, keep_raw=self.settings.keep_raw)
        if isinstance(key, Imei) and key in record.imeis:
            device = device.model_copy(update={"imei": key.value})  # of the other modem
        if device.matches(key) is not True:
            raise FilterIgnoredError(
                f"the server answered about another device than the {key.kind} asked for"
            )
        return device

    def _read(self, record: Record) -> Device:
        self._tell_zone(record)
        return record.device(self.name, self._zone, keep_raw=self.settings.keep_raw)

    def _tell_zone(self, record: Record) -> None:
        """Warn once that check-ins may be hours off."""
        seen = record.last_seen
        if self._zone_told or self.settings.time_zone or seen is None or seen.tzinfo:
            return
        self._zone_told = True
        _log.warning(
            "%s gives times without a zone, taken for UTC; set time_zone to the zone of the server",
            urlsplit(self.settings.base_url).hostname,
        )


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
