"""What a good plugin for the flat API looks like; the mutation table breaks it in many ways."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import SecretStr

from mdmsdk.errors import EndpointNotFoundError, FilterIgnoredError
from mdmsdk.flow import Flow, send, together
from mdmsdk.identifiers import Key, Mac, Serial, Username
from mdmsdk.logins import ClientCredentials, client_credentials
from mdmsdk.models import Compliance, ComplianceState, Device, ServerInfo
from mdmsdk.paging import walk_links
from mdmsdk.provider import Capability, Limits, MdmProvider, Page, ProviderSettings, Token
from mdmsdk.refusals import Complaint, Refusal
from mdmsdk.rows import Row
from mdmsdk.search import Found, Search, find_with
from mdmsdk.wire import Request, Response

STATES = {
    "ok": ComplianceState.COMPLIANT,
    "failed": ComplianceState.NONCOMPLIANT,
    "blocked": ComplianceState.NONCOMPLIANT,
    "pending": ComplianceState.GRACE,
}


class NobodyError(EndpointNotFoundError):
    """The server says that it knows no such user."""


class FlatSettings(ClientCredentials, ProviderSettings):
    """Settings of `FlatProvider`: an API client."""

    client_id: str
    client_secret: SecretStr


class FlatProvider(MdmProvider):
    """Flat Device Manager, API version 1."""

    name = "flat"
    vendor = "Flat"
    settings_type: ClassVar[type[FlatSettings]] = FlatSettings
    keys = frozenset({Mac, Serial, Username})
    capabilities = frozenset({Capability.BATCH, Capability.INVENTORY, Capability.REASONS})
    limits = Limits(burst=5, concurrency=4, batch_size=10)
    refusals = (Refusal(404, code="no-such-user", error=NobodyError),)
    settings: FlatSettings

    def complaint(self, response: Response, row: Row) -> Complaint:
        return Complaint(code=row.text("code") or "")

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        return client_credentials(f"{self.settings.base_url}/oauth/token", self.settings)

    def heartbeat(self) -> Flow[ServerInfo]:
        about = yield from self._get("/v1/about")
        return ServerInfo(vendor=self.vendor, product="Flat", version=about.required("version"))

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        if isinstance(key, Username):
            return (yield from self._of_user(key.value))
        answer = yield from self._get("/v1/devices", **{key.kind: self._text(key)})
        return (yield from self._judged(answer.records("devices")))

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        def ask(texts: Any) -> Flow[Sequence[Device]]:
            if isinstance(keys[0], Username):
                (key,) = texts
                return (yield from self._of_user(key.value))
            body = {"field": keys[0].kind, "values": [text for own in texts.values() for text in own]}
            request = Request("POST", f"{self.settings.base_url}/v1/lookup", json=body)
            answer = Row((yield from send(request)).json())
            return (yield from self._judged(answer.records("devices")))

        most = 1 if isinstance(keys[0], Username) else self.limits.batch_size
        return find_with(self, Search(ask=ask, spellings=lambda key: [self._text(key)], most=most), keys)

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        page = yield from self._list(cursor, state="failed,blocked,quarantined")
        left = [device for device in page.items if device.registered]
        return Page(left, page.next_cursor, sent=[device.id for device in page.items])

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        return self._list(cursor)

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        answer = yield from self._get(f"/v1/devices/{device.id}/reasons")
        if answer.text("id") != device.id:
            raise FilterIgnoredError("the server gave the reasons of another device")
        return device.judged(state=device.compliance.state, reasons=tuple(answer.words("reasons")))

    def _text(self, key: Key) -> str:
        return key.value.lower() if isinstance(key, Mac) else key.value

    def _of_user(self, name: str) -> Flow[list[Device]]:
        try:
            user = yield from self._get(f"/v1/users/{quote(name, safe='')}")
        except NobodyError:
            return []
        asked = [self._get(f"/v1/devices/{number}") for number in user.documents("devices")]
        return (yield from self._judged((yield from together(*asked))))

    def _judged(self, rows: Sequence[Row]) -> Flow[list[Device]]:
        """Devices out of records without a verdict, which is an answer of its own."""
        asked = [self._get(f"/v1/devices/{row.required('id')}/posture") for row in rows]
        postures = yield from together(*asked)
        devices = []
        for row, posture in zip(rows, postures, strict=True):
            if posture.text("id") != row.text("id"):
                raise FilterIgnoredError("the server gave the posture of another device")
            devices.append(self._device(row, posture))
        return devices

    def _list(self, cursor: Any, **params: str) -> Flow[Page[Device]]:
        devices, following = yield from walk_links(partial(self._listed, params), [""], cursor)
        return Page(devices, following)

    def _listed(
        self, params: dict[str, str], scope: str, page: str | None
    ) -> Flow[tuple[list[Device], str | None]]:
        answer = yield from self._get("/v1/devices", **params, after=page or "0")
        rows = answer.records("devices")
        return [self._device(row, row.row("posture")) for row in rows], answer.text("next")

    def _get(self, path: str, **params: str) -> Flow[Row]:
        answer = yield from send(Request("GET", self.settings.base_url + path, params))
        return Row(answer.json())

    def _device(self, row: Row, posture: Row) -> Device:
        word = posture.word("state")
        state = STATES.get(word or "", ComplianceState.UNKNOWN)
        quarantined = posture.veto("quarantined")
        if quarantined:
            state = ComplianceState.NONCOMPLIANT
        elif quarantined is None and state is ComplianceState.COMPLIANT:
            state = ComplianceState.UNKNOWN
        return Device(
            id=row.required("id"),
            serial_number=row.key(Serial, "serial"),
            mac_addresses=row.macs("macs"),
            user=row.key(Username, "user"),
            name=row.text("name"),
            registered=row.veto("enrolled") is True,
            compliance=Compliance(state=state, vendor_state=word),
            disk_encrypted=row.flag("encrypted"),
            passcode_set=row.flag("passcode"),
            jailbroken=row.flag("jailbroken"),
            last_check_in=row.time("seen"),
            raw=row.document if self.settings.keep_raw else None,
            unreadable=row.unreadable | posture.unreadable,
        )
