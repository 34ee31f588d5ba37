"""What a good plugin for the shelf API looks like; the mutation table breaks it in many ways."""

from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from mdmsdk.errors import EndpointNotFoundError
from mdmsdk.flow import Flow, done, send
from mdmsdk.identifiers import DeviceId, Hostname, Key, Mac
from mdmsdk.logins import ApiKeyLogin, Credential, api_key
from mdmsdk.models import Compliance, ComplianceState, Device, ServerInfo
from mdmsdk.paging import Slice, collect, page_of, walk
from mdmsdk.provider import Capability, Limits, MdmProvider, Page, ProviderSettings, Token
from mdmsdk.refusals import Complaint, Refusal
from mdmsdk.rows import Row
from mdmsdk.wire import Request, Response

PAGE = 25
GRACES = {
    True: ComplianceState.GRACE,
    False: ComplianceState.COMPLIANT,
    None: ComplianceState.UNKNOWN,
}


class UnknownItemError(EndpointNotFoundError):
    """The server says that it has no such item."""


class ShelfSettings(ApiKeyLogin, ProviderSettings):
    """Settings of `ShelfProvider`: a key of an API account."""

    api_key: Credential


class ShelfProvider(MdmProvider):
    """Shelf, API version 3."""

    name = "shelf"
    vendor = "Shelf"
    settings_type: ClassVar[type[ShelfSettings]] = ShelfSettings
    keys = frozenset({Mac, Hostname, DeviceId})
    capabilities = frozenset({Capability.INVENTORY})
    limits = Limits(burst=5, concurrency=4)
    refusals = (Refusal(404, code="1002", error=UnknownItemError),)
    settings: ShelfSettings

    def complaint(self, response: Response, row: Row) -> Complaint:
        return Complaint(code=row.text("code") or "")

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        return done(api_key(self.settings, "Key"))

    def heartbeat(self) -> Flow[ServerInfo]:
        about = yield from self._get("/api/info")
        return ServerInfo(vendor=self.vendor, product="Shelf", version=about.required("build"))

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        if isinstance(key, DeviceId):
            try:
                row = yield from self._get(f"/api/items/{quote(key.value, safe='')}")
            except UnknownItemError:
                return []
            return [self._device(row)]
        text = "-".join(key.value.split(":")) if isinstance(key, Mac) else key.value
        name = "hw" if isinstance(key, Mac) else "host"
        read = partial(self._items, f"{name} eq '{_escaped(text)}'")
        return (yield from collect(read, [""], PAGE, max_pages=self.settings.policy.max_pages, ordered=True))

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        return self._page("ok eq 'false' or locked eq 'true'", cursor)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        return self._page("", cursor)

    def _page(self, query: str, cursor: Any) -> Flow[Page[Device]]:
        devices, following = yield from walk(partial(self._items, query), [""], cursor, PAGE, ordered=True)
        return page_of(devices, following)

    def _items(self, query: str, scope: str, start: int, count: int) -> Flow[Slice[Device]]:
        answer = yield from self._get("/api/items", filter=query, start=str(start), count=str(count))
        rows = answer.records("items")
        total = answer.number("total")
        devices = [(int(row.required("id")), self._device(row)) for row in rows]
        return Slice(devices, None if total is None else int(total))

    def _get(self, path: str, **params: str) -> Flow[Row]:
        answer = yield from send(Request("GET", self.settings.base_url + path, params))
        return Row(answer.json())

    def _device(self, row: Row) -> Device:
        compliant, locked = row.veto("ok"), row.veto("locked")
        if compliant is False or locked:
            state = ComplianceState.NONCOMPLIANT
        elif compliant and locked is False:
            state = GRACES[row.veto("grace")]
        else:
            state = ComplianceState.UNKNOWN
        return Device(
            id=row.required("id"),
            name=row.key(Hostname, "host"),
            mac_addresses=row.macs("hw"),
            user=row.text("owner"),
            registered=row.veto("enrolled") is True,
            compliance=Compliance(state=state, vendor_state=row.text("ok"), reasons=tuple(row.words("why"))),
            disk_encrypted=row.flag("encrypted"),
            passcode_set=row.flag("pin"),
            jailbroken=row.flag("rooted"),
            last_check_in=row.time("contact"),
            raw=row.document if self.settings.keep_raw else None,
            unreadable=row.unreadable,
        )


def _escaped(text: str) -> str:
    """A text as the filter language wants it: its own signs behind a backslash."""
    return "".join(f"\\{sign}" if sign in "\\'*" else sign for sign in text)
