"""The servers themselves: routes, logins, versions and errors."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, IseHabits, IseSimulator, SimDevice, Simulator, basic_credentials
from mdmsdk.simulator.base import not_simulated
from mdmsdk_workspaceone.simulator.cms import signed_by
from mdmsdk_workspaceone.simulator.habits import MOST_ROWS, WorkspaceOneHabits
from mdmsdk_workspaceone.simulator.records import RecordWriter, fails, security

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

__all__ = ["WorkspaceOneIseHabits", "WorkspaceOneIseSimulator", "WorkspaceOneSimulator"]

_CMS: Final = "CMSURL`1 "
_DAY: Final = 86_400
# Parameter names of the device search in each version; those of another version are refused.
_COMPLIANCE: Final = {1: "compliantstatus", 2: "compliance_status", 3: "compliance_status"}
_SINCE: Final = {1: "seensince", 2: "seen_since", 3: "seen_since"}
_PAGE_SIZE: Final = {1: "pagesize", 2: "pagesize", 3: "page_size"}
_GROUP: Final = {1: "lgid", 2: "lgid", 3: "organization_group_uuid"}
_SORTED: Final = {1: frozenset({"orderby", "sortorder"}), 2: frozenset({"orderby", "sortorder"})}
_SEARCHED: Final = {
    version: frozenset({"page", _COMPLIANCE[version], _SINCE[version], _PAGE_SIZE[version], _GROUP[version]})
    | _SORTED.get(version, frozenset())
    for version in _GROUP
}
_WHAT: Final = {
    6: "Organization group is unknown.",
    1005: "Login failed.",
    1011: "Not permitted.",
    1013: "Tenant code is not valid.",
    5002: "No such device.",
    5003: "No such search type.",
    5061: "No such device.",
}


class WorkspaceOneSimulator(Simulator[WorkspaceOneHabits]):
    """A local server of the UEM REST API.

    Attributes:
        spent: Requests that count against the quota.
        tokens_issued: How many tokens were given.
        token_requests: Bodies of the token service's requests, without the secret.
        bulk_sizes: How many values each bulk lookup had.
        security_reads: How often `/security` was asked for.
    """

    name: ClassVar[str] = "workspaceone"
    habits_type: ClassVar[type[WorkspaceOneHabits]] = WorkspaceOneHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        "/mdm/devices": frozenset({"searchby", "id"}),
        "/mdm/devices/search": frozenset().union(*_SEARCHED.values()),
        "/mdm/devices/compliance": frozenset({"searchBy", "id", "page", "pagesize"}),
        r"/mdm/devices/\d+/compliance": frozenset({"page", "pagesize"}),
    }

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `WorkspaceOneHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.spent = 0
        self.tokens_issued = 0
        self.token_requests: list[dict[str, str]] = []
        self.bulk_sizes: list[int] = []
        self.security_reads = 0
        self._tokens: dict[str, float] = {}
        self._known: tuple[Fleet, bool, list[SimDevice]] | None = None

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        habits = self.habits
        settings: dict[str, Any] = {"provider": self.name, "base_url": origin, "time_zone": habits.zone}
        if habits.login != "oauth" or habits.oauth_needs_tenant_code:
            settings["tenant_code"] = habits.tenant_code
        if habits.login == "basic":
            return settings | {"username": habits.username, "password": habits.password}
        if habits.login == "oauth":
            url = f"{origin}/connect/token"
            return settings | {
                "client_id": habits.client_id,
                "client_secret": habits.client_secret,
                "token_url": url,
            }
        if not (habits.certificate and habits.certificate_key):
            message = "the certificate login needs the habits certificate and certificate_key"
            raise ValueError(message)
        files = {"file": habits.certificate, "key_file": habits.certificate_key}
        return settings | {"certificate": files | {"sign_query": habits.certificate_signs_query}}

    def register(self, certificate: Path) -> bool:
        """Let requests in that are signed with the certificate's key."""
        self.behave(certificate=str(certificate))
        return True

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers by which a lookup gives this very record.

        A lookup answers with one record: of a device that was enrolled again, with the newest.
        """
        known = {"guid": device.guid, "id": str(device.id)}
        for kind, search in (
            ("mac", "macaddress"),
            ("udid", "udid"),
            ("serial", "serialnumber"),
            ("imei", "imeinumber"),
        ):
            value = _own(device, search)
            if value and self._lookup(search, value) is device:
                known[kind] = value
        return known

    def verdict(self, device: SimDevice) -> str:
        """Give the state that this vendor's words leave; a device in grace is one whose check is pending."""
        state = super().verdict(device)
        return "unknown" if state == "grace" else state

    def routes(self) -> Sequence[Route]:
        """Give the routes; the API is there as /api and as /API."""
        routes = [Route("/connect/token", self._token, methods=["POST"])]
        for root in ("/api", "/API"):
            for path, answer in (
                ("/system/info", self._about),
                ("/mdm/devices/search", self._search),
                ("/mdm/devices/compliance", self._policies),
                ("/mdm/devices/{number:int}/compliance", self._policies),
                ("/mdm/devices/{number:int}/security", self._security),
                ("/mdm/devices/{number:int}", self._one),
                ("/mdm/devices/{uuid}", self._by_uuid),
                ("/mdm/devices", self._one),
            ):
                routes.append(Route(f"{root}{path}", self._guarded(answer), methods=["GET"]))
            routes.append(Route(f"{root}/mdm/devices", self._guarded(self._bulk), methods=["POST"]))
        return [*routes, Route("/{path:path}", _no_page, methods=["GET", "POST"])]

    # --- who may ask ---

    def _guarded(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        async def guarded(request: Request) -> Response:
            habits, accept = self.habits, request.headers.get("accept", "")
            if habits.strict_gateway and ";version=1" in accept.replace(" ", ""):
                return HTMLResponse("<html><body>Service Unavailable</body></html>", 503)
            if self.spent >= habits.quota:
                return self._finish(self._error(429, 0))
            self.spent += 1
            refusal = self._refusal(request)
            if refusal is None and "json" not in accept:
                page = '<?xml version="1.0"?><DeviceSearchResult/>'
                return self._finish(Response(page, media_type="application/xml"))
            body = await request.body()
            # Not `or`: an answer without content is false.
            return self._finish(refusal if refusal is not None else answer(request, body))

        return guarded

    def _refusal(self, request: Request) -> Response | None:
        habits, headers = self.habits, request.headers
        login = headers.get("authorization", "")
        bearer = login.startswith("Bearer ")
        if bearer:
            known = self._tokens.get(login.removeprefix("Bearer "), 0.0) > time.monotonic()
        elif login.startswith(_CMS):
            known = self._signed(request, login.removeprefix(_CMS))
        else:
            known = basic_credentials(login) == (habits.username, habits.password)
        if not known:
            return self._error(401, 1005)
        wanted = not bearer or habits.oauth_needs_tenant_code or "aw-tenant-code" in headers
        if wanted and headers.get("aw-tenant-code") != habits.tenant_code:
            return self._error(403, 1013)
        if not habits.may_read_devices and "/mdm/" in request.url.path:
            return self._error(403, 1011)
        return None

    def _signed(self, request: Request, encoded: str) -> bool:
        if self.habits.certificate is None:
            return False
        from cryptography.x509 import load_pem_x509_certificate

        certificate = load_pem_x509_certificate(Path(self.habits.certificate).read_bytes())
        signed: bytes = request.scope["raw_path"]
        if self.habits.certificate_signs_query and request.scope["query_string"]:
            signed += b"?" + request.scope["query_string"]
        try:
            signature = base64.b64decode(encoded, validate=True)
        except ValueError:
            return False
        return signed_by(signature, signed, certificate)

    async def _token(self, request: Request) -> Response:
        given = dict(parse_qsl((await request.body()).decode("ascii", "replace")))
        habits = self.habits
        known = given.pop("client_secret", None) == habits.client_secret
        self.token_requests.append(given)
        if given.get("grant_type") != "client_credentials":
            return _json({"error": "unsupported_grant_type"}, 400)
        if not known or given.get("client_id") != habits.client_id:
            return _json({"error": "invalid_client"}, 400)
        token = secrets.token_hex(24)
        self._tokens[token] = time.monotonic() + habits.token_lifetime
        self.tokens_issued += 1
        return _json({"access_token": token, "expires_in": habits.token_lifetime, "token_type": "Bearer"})

    # --- what is asked ---

    def _about(self, _request: Request, _body: bytes) -> Response:
        about = {
            "ProductName": "AirWatch Platform Service",
            "ProductVersion": "24.10.0.0",
            "ProductCopyright": "Simulated",
            "Version": 1,
            "BuildKey": "SIM",
            "CommitId": "0000000",
            "Resources": {"Workspaces": [{"Name": "MDM", "Location": "/api/mdm"}], "Collections": []},
        }
        return _json(about, version=1)

    def _one(self, request: Request, _body: bytes) -> Response:
        search = request.query_params.get("searchby", "DeviceId").lower()
        value = request.path_params.get("number", request.query_params.get("id", ""))
        if search not in _SEARCHES:
            return self._error(422, 5003)
        device = self._lookup(search, str(value))
        if device is None:
            return self._error(404, 5002)
        record = self._writer.extended(self._shown(device))
        for name in ("EasIds", "TimeZone"):  # only searches have them
            del record[name]
        if self.habits.no_identifiers:
            record |= dict.fromkeys(("Udid", "SerialNumber", "MacAddress", "Imei"), "") | {"Id": {}}
            record |= {"DeviceNetworkInfo": [], "DeviceCellularNetworkInfo": []}
        return _json(record, version=1)

    def _by_uuid(self, request: Request, _body: bytes) -> Response:
        version = self._version(request, self.habits.uuid_version)
        if isinstance(version, Response):
            return version
        found = self.fleet.by_guid(request.path_params["uuid"])
        if not found:
            return self._error(404, 5061)
        device, writer = self._shown(found[0]), self._writer
        record = writer.by_uuid_v3(device) if version == 3 else writer.by_uuid_v2(device)  # noqa: PLR2004
        return _json(record, version=version)

    def _bulk(self, request: Request, body: bytes) -> Response:
        search = request.query_params.get("searchby", "").lower()
        if search not in _SEARCHES:
            return self._error(422, 5003)
        try:
            given = json.loads(body)["BulkValues"]
            values = given.get("Value") or given["value"]
        except (ValueError, KeyError, AttributeError):
            return self._error(422, 1012)
        self.bulk_sizes.append(len(values))
        found = [self._lookup(search, str(value)) for value in values]
        if not any(found) or (self.habits.bulk_refuses == "any" and not all(found)):
            return self._error(404, 5002)
        devices = list({device.id: device for device in found if device}.values())[: self.habits.bulk_cap]
        rows = [self._writer.extended(self._shown(device)) for device in devices]
        return _json(self._listing(rows, 0, MOST_ROWS, len(rows), 1), version=1)

    def _search(self, request: Request, _body: bytes) -> Response:
        version = self._version(request, self.habits.search_version)
        if isinstance(version, Response):
            return version
        given, habits = request.query_params, self.habits
        if others := given.keys() - _SEARCHED[_asked(request)]:
            return self.refusal(sorted(others))
        order = given.get("sortorder", "ASC").upper()
        if given.get("orderby", "deviceid").lower() != "deviceid" or order not in {"ASC", "DESC"}:
            return self.refusal(["this order"])
        group = given.get(_GROUP[version])
        if group not in {None, str(habits.group_id), habits.group_uuid}:
            return self._error(404 if version == 3 else 400, 6)  # noqa: PLR2004 - as the descriptions have it
        try:
            page = int(given.get("page", "0"))
            size = min(int(given.get(_PAGE_SIZE[version], MOST_ROWS)), MOST_ROWS, habits.page_cap)
        except ValueError:
            return self._error(400, 6)
        devices = self._filtered(given.get(_COMPLIANCE[version]), version)
        if since := given.get(_SINCE[version]):
            try:
                devices = self._seen_since(devices, since)
            except ValueError:
                return self._error(400, 6)
        devices = devices[::-1] if order == "DESC" else devices
        shown = devices[: len(devices) - habits.lost_rows][page * size : page * size + size]
        if not shown and habits.past_the_end == "204":
            return Response(status_code=204, headers=_versions(version))
        rows = [
            self._writer.row_v3(device) if version == 3 else self._writer.extended(device)  # noqa: PLR2004
            for device in shown
        ]
        return _json(self._listing(rows, page, size, len(devices), version), version=version)

    def _policies(self, request: Request, _body: bytes) -> Response:
        number = request.path_params.get("number")
        search = "deviceid" if number is not None else request.query_params.get("searchBy", "").lower()
        device = self._lookup(search, str(number if number is not None else request.query_params.get("id")))
        if device is None:
            return self._error(404, 5002)
        rows = self._writer.policies(device, detail=number is not None)
        try:
            page = int(request.query_params.get("page", "0"))
            size = min(int(request.query_params.get("pagesize", MOST_ROWS)), MOST_ROWS)
        except ValueError:
            return self._error(400, 6)
        shown = rows[page * size : (page + 1) * size]
        answer: dict[str, Any] = {
            "DeviceCompliance": shown,
            "Page": page,
            "PageSize": size,
            "Total": len(rows),
        }
        if number is not None:
            answer["OverallCompliantStatus"] = "NonCompliant" if fails(device) else "Compliant"
        return _json(answer, version=1)

    def _security(self, request: Request, _body: bytes) -> Response:
        self.security_reads += 1
        device = self.fleet.by_id(request.path_params["number"])
        if device is None or device.last_check_in is None:
            return self._error(404, 8)
        return _json(security(device), version=1)

    # --- how it is found and said ---

    @property
    def _writer(self) -> RecordWriter:
        habits = self.habits
        return RecordWriter(habits.zone, habits.varied_states, habits.integer_enums, habits.network_details)

    def _lookup(self, search: str, value: str) -> SimDevice | None:
        """Give the one record that a lookup answers with: enrolled before retired, then the newest."""
        if search == "deviceid":
            return self.fleet.by_id(value)
        found = [
            device for device in _SEARCHES[search](self.fleet, value) if _own(device, search) is not None
        ]
        if search == "macaddress":
            # Other interfaces than the first are part of the record, but not searched.
            found = [device for device in found if device.mac_addresses[0] == value.upper()]
        return max(found, key=_newest, default=None)

    def _shown(self, device: SimDevice) -> SimDevice:
        if not self.habits.wrong_device:
            return device
        return next(other for other in self.fleet if other.serial_number != device.serial_number)

    def _filtered(self, wanted: str | None, version: int) -> list[SimDevice]:
        if wanted is None or self.habits.ignore_filter:
            return list(self.fleet)
        words = {"true": False, "false": True}
        if version == 3 and self.habits.v3_filter == "words":  # noqa: PLR2004 - the version with its own words
            words = {"compliant": False, "not_compliant": True}
        failing = words.get(wanted.lower())
        if failing is None:
            return []
        if self._known is None or self._known[:2] != (self.fleet, failing):
            # Kept, because every page of a long list asks again. Retired records are not left out.
            rows = [
                device
                for device in self.fleet
                if fails(device) == failing and _judged(device, failing=failing)
            ]
            self._known = self.fleet, failing, rows
        return self._known[2]

    def _seen_since(self, devices: list[SimDevice], text: str) -> list[SimDevice]:
        """Those that checked in since; the time is one of the server's own zone."""
        if self.habits.ignore_filter:
            return devices
        since = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=ZoneInfo(self.habits.zone))
        return [one for one in devices if one.last_check_in and one.last_check_in > since]

    def _version(self, request: Request, highest: int) -> int | Response:
        asked = _asked(request)
        if asked <= highest:
            return asked
        if self.habits.missing_version == "lower":
            return highest
        return _no_page(request, self.habits.missing_version)

    def _listing(self, rows: list[Any], page: int, size: int, total: int, version: int) -> dict[str, Any]:
        names = ("devices", "page", "page_size", "total")
        if version < 3:  # noqa: PLR2004 - the version with other names
            names = ("Devices", "Page", "PageSize", "Total")
        values = (rows, page, size, total)
        listed = dict(zip(names, values, strict=True))
        if not self.habits.totals:
            del listed[names[-1]]
        return listed

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse parameters that are not implemented, as Workspace ONE writes errors."""
        return self._error(400, 6, not_simulated(*names))

    def _error(self, status: int, code: int, message: str = "") -> Response:
        message = message or _WHAT.get(code, "The request was refused.")
        if self.habits.old_errors:
            return _json({"Message": message, "Error": code}, status)
        return _json({"errorCode": code, "message": message, "activityId": str(uuid.uuid4())}, status)

    def _finish(self, response: Response) -> Response:
        habits, headers = self.habits, response.headers
        headers["x-correlation-id"] = str(uuid.uuid4())
        headers["x-ratelimit-limit"] = str(habits.quota)
        headers["x-ratelimit-remaining"] = str(max(0, habits.quota - self.spent))
        headers["x-ratelimit-reset"] = str(int(time.time()) + _DAY)
        if not habits.names_version:
            for name in ("x-api-version", "api-supported-versions"):
                if name in headers:
                    del headers[name]
        return response


_SEARCHES: Final[dict[str, Callable[[Fleet, str], Sequence[SimDevice]]]] = {
    "deviceid": lambda fleet, value: [found] if (found := fleet.by_id(value)) else [],
    "macaddress": Fleet.by_mac,
    "udid": Fleet.by_udid,
    "serialnumber": Fleet.by_serial,
    "imeinumber": Fleet.by_imei,
}


def _asked(request: Request) -> int:
    """The version of the API that a request asks for."""
    _, _, text = request.headers.get("accept", "").replace(" ", "").partition("version=")
    return int(text) if text in {"1", "2", "3"} else 1


def _own(device: SimDevice, search: str) -> str | None:
    """The value by which a search finds a record."""
    return {
        "macaddress": device.mac_addresses[0] if device.mac_addresses else None,
        "udid": device.udid,
        "serialnumber": device.serial_number,
        "imeinumber": device.imei,
    }.get(search)


def _newest(device: SimDevice) -> tuple[bool, float, int]:
    seen = device.last_check_in.timestamp() if device.last_check_in else 0.0
    return device.registered, seen, device.id


def _judged(device: SimDevice, *, failing: bool) -> bool:
    return failing or device.compliance == "compliant"


def _versions(version: int) -> dict[str, str]:
    return {"x-api-version": f"v{version}", "api-supported-versions": "1, 2, 3"}


def _json(content: Any, status: int = 200, *, version: int | None = None) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    headers = _versions(version) if version else None
    return Response(body, status, headers, "application/json; charset=utf-8")


def _no_page(_request: Request, status: int = 404) -> Response:
    return HTMLResponse("<!DOCTYPE html><html><body><h1>Not here</h1></body></html>", status)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceOneIseHabits(IseHabits):
    """How the endpoint for Cisco ISE behaves; the fields are those of `IseHabits`."""

    username: str = "mdmsdk-ise"
    vendor: str = "Omnissa"
    product_name: str = "Workspace ONE UEM"
    product_version: str = "24.10.0.0"
    # Sources name no messages, so none are promised.
    messaging_support: bool = False


class WorkspaceOneIseSimulator(IseSimulator):
    """A local server of Workspace ONE's endpoint for Cisco ISE: version 3 from UEM 2402, 2 before."""

    name: ClassVar[str] = "workspaceone-ise"
    habits_type: ClassVar[type[IseHabits]] = WorkspaceOneIseHabits
