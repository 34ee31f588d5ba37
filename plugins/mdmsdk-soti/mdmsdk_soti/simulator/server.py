"""The server itself: routes, login, searches and errors."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, SimDevice, Simulator, basic_credentials
from mdmsdk.simulator.base import not_simulated
from mdmsdk_soti.simulator.habits import SotiHabits
from mdmsdk_soti.simulator.records import (
    APPLE,
    POLICED,
    fails_default_check,
    kind_of,
    modem,
    record,
    seen,
    serial_name,
    spelled,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from starlette.requests import Request

__all__ = ["SotiSimulator"]

_FILTER: Final = re.compile(r"(?P<name>\w+)='(?P<value>[^']*)'")
_LIST: Final = frozenset({"order", "skip", "take"})
_TAKE: Final = 50  # for requests that do not say how many
_MACS: Final[dict[str, Callable[[SimDevice], str | None]]] = {
    "MACAddress": lambda device: device.ethernet_mac or device.wifi_mac,
    "WifiMAC": lambda device: device.wifi_mac,
}
_SERIALS: Final = frozenset({"HardwareSerialNumber", "ManufacturerSerialNumber"})


class SotiSimulator(Simulator[SotiHabits]):
    """A local server of MobiControl's REST API.

    Attributes:
        tokens_issued: How many tokens were given.
    """

    name: ClassVar[str] = "soti"
    habits_type: ClassVar[type[SotiHabits]] = SotiHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        "/devices": _LIST | {"ids"},
        "/devices/search": _LIST | {"filter", "verifyAndSync"},
    }

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `SotiHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.tokens_issued = 0
        self._tokens: dict[str, float] = {}
        self._synced = False
        self._ids: dict[int, str] = {}
        self._named: tuple[Fleet, dict[str, SimDevice]] | None = None

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        habits = self.habits
        login = {"client_auth": "body"} if habits.client_in_body else {}
        return {
            "provider": self.name,
            "base_url": origin,
            "client_id": habits.client_id,
            "client_secret": habits.client_secret,
            "username": habits.username,
            "password": habits.password,
            **login,
        }

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers by which the server finds a record."""
        device_id = self.device_id(device)
        known = {"id": device_id, "hostname": device.hostname}
        if kind_of(device) in APPLE and device_id == device.udid:
            known["udid"] = device_id
        if mac := device.ethernet_mac or device.wifi_mac:
            known["mac"] = mac
        if serial_name(device):
            known["serial"] = device.serial_number
        if number := modem(device):
            known["meid" if number == device.meid else "imei"] = number
        return known

    def verdict(self, device: SimDevice) -> str:
        """Give the state that this vendor's words leave."""
        fails = fails_default_check(device)
        if fails or (kind_of(device) not in POLICED and fails is None):
            return "noncompliant" if fails else "unknown"
        return "unknown" if device.compliance == "grace" else device.compliance

    def check_in(self, device: SimDevice) -> datetime | None:
        """Give the last check-in as the record has it."""
        return seen(device)

    def device_id(self, device: SimDevice) -> str:
        """Give the id of a record: Apple's devices have their UDID, the first time that they enrol."""
        self._names()
        return self._ids[device.id]

    def routes(self) -> Sequence[Route]:
        """Give the routes; the API is there in both spellings of its path."""
        routes = []
        for root in ("/MobiControl/api", "/mobicontrol/api"):
            routes.append(Route(f"{root}/token", self._token, methods=["POST"]))
            for path, answer in (
                ("/servers", self._servers),
                ("/devices", self._devices),
                ("/devices/search", self._search),
                ("/devices/{device}/compliancePolicies", self._policies),
                ("/devices/{device}", self._one),
            ):
                routes.append(Route(f"{root}{path}", self._guarded(answer), methods=["GET"]))
        return [*routes, Route("/{path:path}", _no_page, methods=["GET", "POST"])]

    # --- who may ask ---

    async def _token(self, request: Request) -> Response:
        habits, form = self.habits, dict(parse_qsl((await request.body()).decode("ascii", "replace")))
        client = basic_credentials(request.headers.get("authorization", ""))
        if habits.client_in_body:
            client = (form.get("client_id", ""), form.get("client_secret", ""))
        if client != (habits.client_id, habits.client_secret):
            return _json({"error": "invalid_client", "error_description": "Unknown client."}, 400)
        if form.get("grant_type") != "password":
            return _json({"error": "unsupported_grant_type", "error_description": "Not supported."}, 400)
        if (form.get("username"), form.get("password")) != (habits.username, habits.password):
            return _json({"error": "invalid_grant", "error_description": "Wrong user or password."}, 400)
        token = secrets.token_hex(24)
        self._tokens[token] = time.monotonic() + habits.token_lifetime
        self.tokens_issued += 1
        return _json({"access_token": token, "token_type": "bearer", "expires_in": habits.token_lifetime})

    def _guarded(self, answer: Callable[[Request], Response]) -> Callable[..., Any]:
        async def guarded(request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if self._tokens.get(token, 0.0) < time.monotonic():
                return _json({"ErrorMessage": "Authorization has been denied for this request."}, 401)
            if self.habits.xml_without_accept and "json" not in request.headers.get("accept", ""):
                return Response('<?xml version="1.0"?><ArrayOfDeviceBase/>', media_type="application/xml")
            return answer(request)

        return guarded

    # --- what is asked ---

    def _servers(self, _request: Request) -> Response:
        habits = self.habits
        if not habits.may_use_console:
            return self._error(403, "Access is denied.")
        servers = [
            {"Name": name, "Status": status, "Fqdn": f"{name.lower()}.example.com", "PortNumber": 443}
            | {"StatusTime": "2026-01-15T11:58:00"}  # without a zone
            for name, status in (("MS1", habits.management), ("MS2", "Offline"))
        ]
        about = {"ProductVersion": habits.version, "ProductVersionBuild": "1234", "DeploymentServers": []}
        return _json({**about, "ManagementServers": servers})

    def _one(self, request: Request) -> Response:
        device = self._by_path(request.path_params["device"])
        return self._unknown() if device is None else _json(self._row(device))

    def _devices(self, request: Request) -> Response:
        given = request.query_params
        if "ids" not in given:
            return self._page(self._visible(), given)
        if len(given) > 1:
            return self._error(400, "No other parameter is allowed with ids.")
        named = self._names()
        found = [named[one] for one in given["ids"].split(",") if one in named]
        return _json([self._row(device) for device in found if device.id not in self.habits.hidden])

    def _search(self, request: Request) -> Response:
        given, habits = request.query_params, self.habits
        if not habits.search_available:
            return self._error(503, "The search service is not available.")
        self._synced = self._synced or given.get("verifyAndSync") == "true"
        expression = self._expression(given.get("filter", ""))
        if isinstance(expression, Response):
            return expression
        devices = self._visible()
        if expression:
            try:
                devices = self._matching(*expression)
            except ValueError:
                return self._error(400, "The filter names a property that is not known.")
        return self._page(devices, given, lagging=habits.index_lag and not self._synced)

    def _policies(self, request: Request) -> Response:
        device = self._by_path(request.path_params["device"])
        if not self.habits.policies:
            return _no_page(request)
        if not self.habits.may_see_policies:
            return self._error(403, "Access is denied.")
        if device is None:
            return self._unknown()
        failing = device.failure_reasons if device.compliance == "noncompliant" else ()
        states = [*((reason, "NonCompliant") for reason in failing), ("Everybody's policy", "Compliant")]
        rows = [
            {
                "ReferenceId": f"policy-{number}",
                "DeviceId": self.device_id(device),
                "Name": name,
                "Status": status,
                "Description": "",
                "NonComplianceDate": "2026-01-14T08:00:00Z" if status == "NonCompliant" else None,
                "LastComplianceCheckDate": "2026-01-15T08:00:00Z",
            }
            for number, (name, status) in enumerate(states, 1)
        ]
        return _json(rows if kind_of(device) in POLICED else [])

    # --- how it is found and said ---

    def _names(self) -> dict[str, SimDevice]:
        """Give the devices by their ids, in the order of these; a device keeps its id."""
        if self._named is None or self._named[0] is not self.fleet:
            taken = set(self._ids.values())
            for device in self.fleet:
                if device.id not in self._ids:
                    kind = kind_of(device)
                    own = device.udid if kind in APPLE else f"{kind.lower()}-{device.id:06d}"
                    self._ids[device.id] = f"{own}-{device.id}" if own in taken else own
                    taken.add(own)
            named = sorted(((self._ids[one.id], one) for one in self.fleet), key=lambda pair: pair[0])
            self._named = self.fleet, dict(named)
        return self._named[1]

    def _visible(self) -> list[SimDevice]:
        return [device for device in self._names().values() if device.id not in self.habits.hidden]

    def _by_path(self, text: str) -> SimDevice | None:
        if text.startswith("mac:"):
            found = (
                self._matching("MACAddress", text.removeprefix("mac:"))[:1] if self.habits.mac_path else []
            )
        else:
            device = self._names().get(text)
            found = [device] if device and device.id not in self.habits.hidden else []
        return found[0] if found else None

    def _expression(self, text: str) -> tuple[str, str] | Response | None:
        """Give the property and the value of a filter; None where it is passed over."""
        habits = self.habits
        if not text:
            return None
        decoded = unquote(text)
        twice = decoded != text
        if habits.encoding != "either" and twice != (habits.encoding == "double"):
            if habits.wrong_encoding == "everything":
                return None
            return self._error(habits.wrong_encoding, "The filter cannot be read.")
        found = _FILTER.fullmatch(decoded)
        if not found:
            return self._error(400, "The filter cannot be read.")
        return None if found["name"] in habits.ignored else (found["name"], found["value"])

    def _matching(self, name: str, value: str) -> list[SimDevice]:
        """Give the devices with this value.

        Raises:
            ValueError: There is no such property.
        """
        found: Sequence[SimDevice]
        if name in _MACS:
            own = _MACS[name]
            bare = re.sub(r"[^0-9A-Fa-f]", "", value).upper()
            stored = (device for device in self.fleet.by_mac(value) if own(device) == bare)
            any_way = self.habits.any_spelling
            found = [one for one in stored if any_way or spelled(one, own(one)) == value]
        elif name in _SERIALS:
            # Databases pass over blanks at the end.
            found = [one for one in self.fleet.by_serial(value.rstrip()) if serial_name(one) == name]
        elif name == "MobileSerialNumber":
            found = []
        elif name == "IMEI_MEID_ESN":
            both = (*self.fleet.by_imei(value), *self.fleet.by_meid(value))
            found = [device for device in both if modem(device) == value]
        elif name in {"HostName", "DeviceName"}:
            computers = name == "DeviceName"
            found = [
                one
                for one in self.fleet.by_hostname(value)
                if computers or kind_of(one).startswith("Windows")
            ]
        elif name == "IMEI_MEID_ESN_SIM2":
            found = []
        elif name == "DeviceId":
            found = [self._names()[value]] if value in self._names() else []
        else:
            raise ValueError(name)
        return [device for device in found if device.id not in self.habits.hidden]

    def _page(
        self, devices: Sequence[SimDevice], given: Mapping[str, str], *, lagging: bool = False
    ) -> Response:
        order = given.get("order", "+DeviceId")
        if order not in {"+DeviceId", "-DeviceId"}:
            return self._error(400, "The order names no property, or no direction.")
        try:
            skip, take = int(given.get("skip", "0")), int(given.get("take", _TAKE))
        except ValueError:
            return self._error(400, "A number is wanted.")
        take = min(take, self.habits.page_cap or take)
        devices = devices if order[0] == "+" else devices[::-1]
        return _json([self._row(device, lagging=lagging) for device in devices[skip : skip + take]])

    def _row(self, device: SimDevice, *, lagging: bool = False) -> dict[str, Any]:
        habits, device_id = self.habits, self.device_id(device)
        if lagging:
            device = dataclasses.replace(device, compliance="compliant", jailbroken=False)
        return record(
            device, device_id, types=habits.types, old_words=habits.old_words, policies=habits.policies
        )

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse parameters that are not implemented, as MobiControl writes errors."""
        return self._error(400, not_simulated(*names))

    def _unknown(self) -> Response:
        habit = self.habits.unknown_id
        if habit == "null":
            return _json(None)
        if habit == "bare":
            return HTMLResponse("<!DOCTYPE html><html><body><h1>404</h1></body></html>", 404)
        return self._error(habit, "The device was not found.")

    @staticmethod
    def _error(status: int, message: str) -> Response:
        return _json({"ErrorCode": 0, "ErrorMessage": message, "Data": [], "HelpLink": None}, status)


def _json(content: Any, status: int = 200) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json; charset=utf-8")


def _no_page(_request: Request) -> Response:
    return HTMLResponse("<!DOCTYPE html><html><body><h1>Not here</h1></body></html>", 404)
