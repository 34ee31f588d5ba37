"""The web services themselves: login, search, and the answers about compliance."""

from __future__ import annotations

import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final
from xml.sax.saxutils import escape

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, SimDevice, Simulator
from mdmsdk_maas360.simulator.habits import PAGE_SIZES, Maas360Habits
from mdmsdk_maas360.simulator.records import (
    FILTERS,
    attributes,
    failing,
    fresh,
    number_of,
    row,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

__all__ = ["Maas360Simulator"]

_SEARCH: Final = "/device-apis/devices/2.0/search/customer/{billing}"
_COMPLIANCE: Final = "/device-apis/devices/1.0/mdSecurityCompliance/{billing}"
_LOGIN: Final = "/auth-apis/auth/2.0/authenticate/customer/{billing}"
# Parameters whose whole value a row has.
_WHOLE: Final[dict[str, Callable[[SimDevice], str | None]]] = {
    "wifiMacAddress": lambda device: device.wifi_mac,
    "udid": lambda device: device.udid,
    "imeiMeid": lambda device: device.meid or device.imei,
    "maas360DeviceId": number_of,
    "email": lambda device: device.email,
}
_BEGINNING: Final[dict[str, Callable[[SimDevice], str]]] = {
    "partialUsername": lambda device: device.username,
    "partialDeviceName": lambda device: device.name,
}
_TOKEN: Final = re.compile(r"MaaS token=(?P<quote>[\"']?)(?P<token>[^\"']+)(?P=quote)")
_EXPIRED, _WRONG_ACCOUNT, _WRONG_LOGIN = 1007, 1008, 1002
_WHAT: Final = {
    _EXPIRED: "Token has expired",
    _WRONG_ACCOUNT: "Billing ID is not valid",
    _WRONG_LOGIN: "Invalid credentials or access key",
}
_USUAL: Final[dict[str, str]] = {
    "deviceStatus": "Active",
    "match": "0",
    "pageNumber": "1",
    "pageSize": "50",
    "sortAttribute": "lastReported",
    "sortOrder": "dsc",
}
_VALUES: Final = {
    "deviceStatus": {"Active", "Inactive"},
    "match": {"0", "1"},
    "pageSize": set(map(str, PAGE_SIZES)),
    "sortAttribute": {"lastReported", "installedDate"},
    "sortOrder": {"asc", "dsc"},
    **{name: {"OOC", "ALL"} for name in FILTERS},
}


class Maas360Simulator(Simulator[Maas360Habits]):
    """A local server of the web services.

    Attributes:
        logins: Bodies of the requests for a token, without what is secret.
    """

    name: ClassVar[str] = "maas360"
    habits_type: ClassVar[type[Maas360Habits]] = Maas360Habits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        r"/search/customer/\d+": frozenset({*_WHOLE, *_BEGINNING, *_USUAL, *FILTERS}),
        r"/mdSecurityCompliance/\d+": frozenset({"deviceId"}),
    }

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `Maas360Habits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.logins: list[dict[str, Any]] = []
        self._tokens: dict[str, float] = {}
        self._known: tuple[Fleet, dict[int, SimDevice]] | None = None
        self._turn = 0

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        names = ("billing_id", "username", "password", "app_id", "app_version", "app_access_key")
        given = {name: getattr(self.habits, name) for name in names}
        return {"provider": self.name, "base_url": origin, **given}

    # --- what is true ---

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers by which a record is found; none of an older enrolment of the same device.

        Apple's devices have one record each, which is named after the serial number.
        """
        if device.id not in self._devices():
            return {}
        known = {
            "mac": device.wifi_mac,
            "udid": device.udid,
            "imei": None if device.meid else device.imei,
            "meid": device.meid,
            "username": device.username,
            "id": number_of(device),
        }
        return {kind: value for kind, value in known.items() if value}

    def verdict(self, device: SimDevice) -> str:
        """Give the state that a careful client must read; there is no time of grace."""
        if device.id not in self._devices():
            return "unknown"
        if failing(device):
            return "noncompliant"
        passes = device.registered and not fresh(device) and not device.jailbroken
        return "compliant" if passes else "unknown"

    def noncompliant(self) -> set[int]:
        """Give the numbers of the devices that belong on a complete noncompliant list."""
        return {
            device.id for device in self.fleet if device.registered and self.verdict(device) == "noncompliant"
        }

    def _devices(self) -> dict[int, SimDevice]:
        """Give the records that there are, by the fleet's numbers."""
        if self._known is None or self._known[0] is not self.fleet:
            named: dict[str, SimDevice] = {}
            for device in self.fleet:
                other = named.get(number_of(device))
                if other is None or _rank(device) > _rank(other):
                    named[number_of(device)] = device
            self._known = self.fleet, {device.id: device for device in named.values()}
        return self._known[1]

    # --- requests ---

    def routes(self) -> list[Route]:
        """Give login, search and compliance; every other address is unknown."""
        return [
            Route(_LOGIN, self._login, methods=["POST"]),
            Route(_SEARCH, self._search),
            Route(_COMPLIANCE, self._compliance),
            Route("/{path:path}", _no_page, methods=["GET", "POST"]),
        ]

    async def _login(self, request: Request) -> Response:
        habits = self.habits
        if habits.sleepy and not self.logins:
            self.logins.append({})
            return HTMLResponse("<html><body>Service Unavailable</body></html>", 500)
        try:
            given = json.loads(await request.body())["authRequest"]["maaS360AdminAuth"]
        except (ValueError, KeyError, TypeError):
            return self._refused(request, _WRONG_LOGIN)
        self.logins.append({name: given[name] for name in given if name not in {"password", "appAccessKey"}})
        wanted = {
            "billingID": habits.billing_id,
            "platformID": "3",
            "appID": habits.app_id,
            "appVersion": habits.app_version,
            "appAccessKey": habits.app_access_key,
            "userName": habits.username,
            "password": habits.password,
        }
        if request.path_params["billing"] != habits.billing_id:
            return self._refused(request, _WRONG_ACCOUNT)
        if given != wanted:
            return self._refused(request, _WRONG_LOGIN)
        token = secrets.token_hex(20)
        self._tokens[token] = time.monotonic() + habits.token_lifetime
        answer = {"authToken": token, "refreshToken": secrets.token_hex(20), "errorCode": 0, "errorDesc": ""}
        return _answer(request, {"authResponse": answer})

    def _refusal(self, request: Request) -> Response | None:
        """Give the answer to a request without a good token, or without the right."""
        habits = self.habits
        found = _TOKEN.fullmatch(request.headers.get("authorization", ""))
        if found is None or self._tokens.get(found["token"], 0) <= time.monotonic():
            if habits.says_expired:
                return PlainTextResponse("I have expired. Please log in again.")
            return self._refused(request, _EXPIRED)
        if request.path_params["billing"] != habits.billing_id:
            return self._refused(request, _WRONG_ACCOUNT)
        return None if habits.may_view_devices else Response(status_code=403)

    def _refused(self, request: Request, code: int) -> Response:
        body = {"authResponse": {"errorCode": code, "errorDesc": _WHAT[code]}}
        return _answer(request, body, self.habits.refusal_status)

    async def _search(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        habits = self.habits
        given = {name: value for name, value in request.query_params.items() if name not in habits.ignored}
        asked = {**_USUAL, **given}
        if any(asked[name] not in values for name, values in _VALUES.items() if name in asked):
            return Response(status_code=400)
        if not re.fullmatch(r"[1-9]\d{0,8}", asked["pageNumber"], re.ASCII):
            return Response(status_code=400)
        found = self._sorted(self._found(asked), asked)
        size, number = min(int(asked["pageSize"]), habits.page_cap), int(asked["pageNumber"])
        last = max(1, -(-len(found) // size))
        if number > last and habits.repeats_last_page:
            number = last
        kept = found[: len(found) - habits.lost_rows]
        rows = [row(device, habits) for device in kept[(number - 1) * size : number * size]]
        devices: dict[str, Any] = {"count": len(found), "pageNumber": number, "pageSize": len(rows)}
        return _answer(request, {"devices": {**self._listed("device", rows), **devices}})

    def _found(self, asked: dict[str, str]) -> list[SimDevice]:
        found = list(self._devices().values())
        for name in _WHOLE.keys() & asked.keys():
            found = [device for device in found if self._has(device, name, asked[name])]
        for name in _BEGINNING.keys() & asked.keys():
            found = [device for device in found if _begins(device, name, asked)]
        for name in FILTERS:
            if asked.get(name) == "OOC":
                found = [device for device in found if name in failing(device)]
        if "deviceStatus" in self.habits.ignored:
            return found
        return [device for device in found if status_of(device) == asked["deviceStatus"]]

    def _has(self, device: SimDevice, name: str, wanted: str) -> bool:
        value = _WHOLE[name](device)
        if name != "wifiMacAddress" or value is None:
            return value is not None and value.casefold() == wanted.casefold()
        if self.habits.mac_search == "any":
            return re.sub("[^0-9A-Fa-f]", "", wanted).upper() == value
        return wanted == ":".join(re.findall("..", value.lower()))

    def _sorted(self, found: list[SimDevice], asked: dict[str, str]) -> list[SimDevice]:
        if self.habits.reorder:
            self._turn += 1
            step = self._turn % max(1, len(found))
            return found[step:] + found[:step]
        installed = asked["sortAttribute"] == "installedDate"

        def place(device: SimDevice) -> tuple[float, int]:
            moment = device.enrolled_at if installed else device.last_check_in
            return (moment.timestamp() if moment else 0.0), device.id

        return sorted(found, key=place, reverse=asked["sortOrder"] == "dsc")

    async def _compliance(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        wanted = request.query_params.get("deviceId")
        device = next((one for one in self._devices().values() if number_of(one) == wanted), None)
        if device is None:
            return Response(status_code=400)
        answer = attributes(device, self.habits)
        told = answer["securityCompliance"]
        told["complianceAttributes"] = self._listed(
            "complianceAttribute", told["complianceAttributes"]["complianceAttribute"]
        )
        return _answer(request, answer)

    def _listed(self, name: str, rows: Sequence[Any]) -> dict[str, Any]:
        """Give rows under a name: an object for one, a list for several, nothing for none."""
        if not rows:
            return {}
        return {name: rows[0] if len(rows) == 1 and self.habits.single_object else rows}


def _begins(device: SimDevice, name: str, asked: dict[str, str]) -> bool:
    value, wanted = _BEGINNING[name](device).casefold(), asked[name].casefold()
    return value == wanted if asked["match"] == "1" else value.startswith(wanted)


def _rank(device: SimDevice) -> tuple[bool, float]:
    """Give what tells the record that the server keeps, of several of one device."""
    return device.registered, device.last_check_in.timestamp() if device.last_check_in else 0.0


def _answer(request: Request, content: Any, status: int = 200) -> Response:
    if "application/json" not in request.headers.get("accept", ""):
        return Response(f'<?xml version="1.0"?>{_xml(content)}', status, media_type="application/xml")
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json")


def _xml(content: Any) -> str:
    if isinstance(content, dict):
        return "".join(
            f"<{name}>{_xml(one)}</{name}>"
            for name, value in content.items()
            for one in (value if isinstance(value, list) else [value])
        )
    return escape(str(content))


def _no_page(_request: Request) -> Response:
    return HTMLResponse("<html><body><h1>Not Found</h1></body></html>", 404)
