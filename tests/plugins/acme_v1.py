"""Acme Device Manager, API version 1."""

from typing import Any, ClassVar

from pydantic import SecretStr

from mdmsdk.flow import Flow, send
from mdmsdk.identifiers import Key, Mac, Serial
from mdmsdk.models import Compliance, ComplianceState, Device, ServerInfo
from mdmsdk.provider import Limits, MdmProvider, Page, ProviderSettings, Token
from mdmsdk.rows import Row
from mdmsdk.wire import Request

STATES = {
    "ok": ComplianceState.COMPLIANT,
    "failed": ComplianceState.NONCOMPLIANT,
    "pending": ComplianceState.GRACE,
}


class AcmeSettings(ProviderSettings):
    """Settings of `AcmeProvider`.

    Attributes:
        client_id: of an API client with the role "reader".
        client_secret: its secret.
    """

    client_id: str
    client_secret: SecretStr


class AcmeProvider(MdmProvider):
    """Acme Device Manager, API version 1."""

    name = "acme"
    vendor = "Acme"
    settings_type: ClassVar[type[AcmeSettings]] = AcmeSettings
    keys = frozenset({Mac, Serial})
    limits = Limits(rate=20, burst=5, concurrency=4)
    settings: AcmeSettings

    def login(self, audience: str) -> Flow[Token]:
        form = {
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret.get_secret_value(),
        }
        # No credential goes with it, and a refused login is not repeated.
        url = f"{self.settings.base_url}/oauth/token"
        request = Request("POST", url, form=form, audience=None, idempotent=False)
        answer = (yield from send(request)).json()
        return Token(answer["access_token"], expires_in=answer["expires_in"])

    def heartbeat(self) -> Flow[ServerInfo]:
        about = yield from self._get("/v1/about")
        return ServerInfo(vendor=self.vendor, product="Acme Device Manager", version=about["version"])

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        value = key.hex.lower() if isinstance(key, Mac) else key.value
        rows = yield from self._get("/v1/devices", **{key.kind: value})
        return [self._device(row) for row in rows["devices"]]

    def noncompliant_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        rows = yield from self._get("/v1/devices", state="failed", page=cursor or "1")
        following = rows["next"]
        return Page([self._device(row) for row in rows["devices"]], str(following) if following else None)

    def _get(self, path: str, **params: str) -> Flow[Any]:
        answer = yield from send(Request("GET", self.settings.base_url + path, params))
        return answer.json()

    def _device(self, document: Any) -> Device:
        row = Row(document)
        word = row.word("state")
        state = STATES.get(word or "", ComplianceState.UNKNOWN)
        return Device(
            id=row.text("id"),
            serial_number=row.key(Serial, "serial"),
            mac_addresses=row.macs("macs"),
            registered=row.veto("enrolled") is True,
            compliance=Compliance(state=state, reasons=tuple(document["why"]), vendor_state=word),
            last_check_in=row.time("seen"),
            raw=document if self.settings.keep_raw else None,
            unreadable=row.unreadable,
        )
