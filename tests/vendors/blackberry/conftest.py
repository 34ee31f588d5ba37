"""What the tests of this vendor share."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from mdmsdk.models import ServerInfo
from mdmsdk.provider import Token
from mdmsdk.wire import Response
from mdmsdk_blackberry import BlackBerryProvider, BlackBerrySettings
from mdmsdk_blackberry.provider import UemDescription

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.wire import Request

BASE = "https://uem.example.com:18084"
API = f"{BASE}/S12345678/api/v1"
PASSWORD = "pass word/of+tests"
ISE_PASSWORD = "ise-pass-of-tests"
SETTINGS: dict[str, Any] = {
    "base_url": BASE,
    "tenant": "S12345678",
    "username": "reader",
    "password": PASSWORD,
}
ISE: dict[str, Any] = {"ise_username": "ise-reader", "ise_password": ISE_PASSWORD}
OAUTH: dict[str, Any] = {
    "base_url": BASE,
    "tenant": "S12345678",
    "client_id": "app",
    "client_secret": "se/cret+of tests",
}
GUID = "33333333-0000-4000-8000-000000000003"
USER = "11111111-0000-4000-8000-000000000001"
TIE = "22222222-0000-4000-8000-000000000002"
MAC = "02:AB:00:00:00:17"
ROW: dict[str, Any] = {
    "links": [{"rel": "userDevice", "href": f"{API}/users/{USER}/userDevices/{TIE}"}],
    "guid": GUID,
    "activationDate": "2025-03-01T08:00:00.000Z",
    "compromised": False,
    "hardwareModel": "T1",
    "hardwareVendorCompanyName": "Acme",
    "imei": "350000000000017",
    "os": "Android 13",
    "osFamilyName": "Android",
    "osVersion": "13",
    "ownership": "CORPORATE",
    "serialNumber": "SN0017",
    "udid": "a-udid-17",
    "wifiMacAddress": MAC.lower(),
}
ISE_ROW: dict[str, Any] = {
    "macaddress": MAC.replace(":", ""),
    "udid": "a-udid-17",
    "serial_number": "SN0017",
    "register_status": "true",
}


def line_of(password: str = PASSWORD) -> str:
    """The authorization line as UEM gives it: the password is in Base64, twice."""
    inner = base64.b64encode(password.encode()).decode()
    told = f'provider="LOCAL",tenant="S12345678",username="reader",credentials="{inner}"'
    return f"besng-basic {base64.b64encode(told.encode()).decode()}"


def ise_answer(*rows: dict[str, Any]) -> str:
    """An answer of the endpoint for Cisco ISE, version 2; `status` and `reason` are inside of compliance."""
    devices = ""
    for row in rows:
        given = dict(row)
        status, reason = given.pop("status", None), given.pop("reason", "")
        verdict = f"<status>{status}</status><failure_reason>{reason}</failure_reason>"
        members = "".join(f"<{name}>{value}</{name}>" for name, value in given.items())
        told = "" if status is None else f"<compliance>{verdict}</compliance>"
        devices += f"<device>{members}<attributes>{told}</attributes></device>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ise_api><name>attributes</name><api_version>2</api_version>'
        f"<paging_info>0</paging_info><deviceList>{devices}</deviceList></ise_api>"
    )


class Server:
    """Answers requests of a played flow by their paths.

    Attributes:
        rows: what a query for devices finds, by the text of the query; the key "" for all else.
        ise: rows of the endpoint for Cisco ISE.
        asked: paths and queries that came in.
    """

    def __init__(self, *rows: dict[str, Any], ise: tuple[dict[str, Any], ...] = ()) -> None:
        self.rows, self.ise = rows, ise
        self.users: list[dict[str, Any]] = [{"guid": USER, "username": "jane.doe"}]
        self.ties: list[dict[str, Any]] = [{"guid": TIE, "device": {"guid": GUID}}]
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Response | str:
        self.asked.append(request.full_url.removeprefix(API).removeprefix(BASE))
        path = request.url.partition("?")[0].removeprefix(API)
        if "/ciscoise/" in request.url:
            wanted = dict(parse_qsl(urlsplit(request.full_url).query)).get("value", "")
            return ise_answer(*(row for row in self.ise if wanted in row.values()))
        if path == "/info/systeminfo":
            return '{"version": "12.21.0"}'
        if path == "/devices":
            return json.dumps({"totalMatches": len(self.rows), "devices": list(self.rows)})
        if path == "/users":
            return json.dumps({"users": self.users})
        if path == f"/users/{USER}":
            return json.dumps(self.users[0])
        if path == f"/users/{USER}/userDevices":
            return json.dumps({"userDevices": self.ties})
        return Response(404, {}, b"", request.full_url)


def make(**changes: Any) -> BlackBerryProvider:
    return BlackBerryProvider(BlackBerrySettings(**{**SETTINGS, **changes}))


def info(*, ise: bool = False, **changes: Any) -> ServerInfo:
    inner = None
    if ise:
        from mdmsdk.ise import IseDescription

        base = IseDescription(api_base=f"{BASE}/ciscoise/mdmapi/v2")
        inner = ServerInfo(api_version="2", description=base)
    return ServerInfo(description=UemDescription(**{"sorted": True, "mac_form": 0, "ise": inner, **changes}))


@pytest.fixture(name="make")
def _make() -> Callable[..., BlackBerryProvider]:
    return make


@pytest.fixture
def token() -> Token:
    scheme, _, value = line_of().partition(" ")
    return Token(value, scheme=scheme)
