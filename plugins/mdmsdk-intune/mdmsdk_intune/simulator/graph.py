"""Microsoft Graph's part: managed devices with OData options, batches, policies, and Intune's nested errors.

https://learn.microsoft.com/graph/api/resources/intune-graph-overview
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from uuid import NAMESPACE_DNS, uuid5

from mdmsdk.simulator.base import not_simulated
from mdmsdk_intune.simulator.habits import IntuneHabits
from mdmsdk_intune.simulator.odata import QueryError, heeded, selected

if TYPE_CHECKING:
    from mdmsdk.simulator import Fleet, SimDevice

__all__ = ["Graph", "device_row", "stored_macs"]

SERVICE_PATH: Final = "/TrafficGateway/TrafficRoutingService/ResourceAccess/ComplianceRetrievalService"

_DEVICES: Final = "/deviceManagement/managedDevices"
_ENDPOINTS: Final = "/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
_ONE: Final = re.compile(rf"{_DEVICES}(?:\('([^']*)'\)|/([^/]+))(.*)")
_BATCH_SIZE: Final = 20
_SKIP: Final = re.compile(r"LastDeviceName='(.*)',LastDeviceId='(.*)'")
_NEVER: Final = "0001-01-01T00:00:00Z"
_NO_END: Final = "9999-12-31T23:59:59.9999999Z"
_WORDS: Final = {"grace": "inGracePeriod"}
_JAILBROKEN: Final = {True: "True", False: "False", None: "Unknown"}

Answer = tuple[int, dict[str, Any], dict[str, str]]
NotTaken = Callable[[str, Iterable[str]], Sequence[str]]


def stored_macs(device: "SimDevice") -> tuple[str | None, str | None]:
    """Give the two addresses that Intune keeps of a device: one Wi-Fi, one Ethernet, be it a dock's."""
    return device.wifi_mac, device.ethernet_mac or device.dock_mac


def _time(moment: datetime | None) -> str:
    return _NEVER if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S}.1234567Z"


def device_row(device: "SimDevice", habits: IntuneHabits) -> dict[str, Any]:
    """Write a managedDevice with all that Graph knows of it."""
    wifi, ethernet = stored_macs(device)
    apple = device.platform in {"iOS", "iPadOS", "macOS"}
    state = _WORDS.get(device.compliance, device.compliance)
    return {
        "id": device.guid,
        "azureADDeviceId": device.directory_id or "00000000-0000-0000-0000-000000000000",
        "azureADRegistered": None if device.directory_id is None else True,
        "deviceName": device.hostname,
        "managedDeviceName": f"{device.username}_{device.platform}_1/15/2026_9:00 AM",
        "userId": str(uuid5(NAMESPACE_DNS, device.email)) if device.email else "",
        "userPrincipalName": device.email,
        "emailAddress": device.email,
        "userDisplayName": device.full_name,
        "serialNumber": device.serial_number,
        "imei": device.imei or "",
        "meid": device.meid or "",
        "phoneNumber": device.phone_number or "",
        "wiFiMacAddress": wifi or "",
        "ethernetMacAddress": ethernet,
        "udid": device.udid if apple else None,
        "operatingSystem": device.platform,
        "osVersion": device.os_version,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "complianceState": dict(habits.words).get(state, state),
        "complianceGracePeriodExpirationDateTime": _time(device.grace_until)
        if device.grace_until
        else _NO_END,
        "jailBroken": _JAILBROKEN[device.jailbroken],
        "isEncrypted": bool(device.disk_encrypted),
        "isSupervised": device.supervised,
        "lastSyncDateTime": _time(device.last_check_in),
        "enrolledDateTime": _time(device.enrolled_at),
        "managedDeviceOwnerType": "personal" if device.ownership == "personal" else "company",
        "managementAgent": "google" if device.platform == "Android" else "mdm",
        "managementState": "managed" if device.registered else "retireIssued",
        "deviceRegistrationState": habits.registration if device.registered else "revoked",
        "deviceEnrollmentType": "androidAOSPUserOwnedDeviceEnrollment",
        "totalStorageSpaceInBytes": -1,
    }


class Graph:
    """Answers requests below the version of the API.

    Attributes:
        parts: How many requests came within batches.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.parts = 0
        self._throttled = 0
        self._rows: tuple[Fleet, IntuneHabits, list[dict[str, Any]]] | None = None

    def answer(
        self, fleet: "Fleet", habits: IntuneHabits, target: str, origin: str, not_taken: NotTaken
    ) -> Answer:
        """Answer a GET.

        Args:
            fleet: The devices.
            habits: Of the server.
            target: Path and query below the version.
            origin: Of Graph, for links.
            not_taken: Gives those of a path's options that are not simulated.
        """
        path, options = _split(target)
        refused = _refuse(habits, path)
        if refused:
            return refused
        if unknown := not_taken(path, options):
            return _error(400, "BadRequest", not_simulated(*unknown))
        try:
            return self._read(fleet, habits, path, options, origin)
        except QueryError as error:
            return _error(400, "BadRequest", str(error))

    def _read(
        self, fleet: "Fleet", habits: IntuneHabits, path: str, options: Mapping[str, str], origin: str
    ) -> Answer:
        if path == _ENDPOINTS:
            return self._services(habits, origin)
        if path == _DEVICES:
            return self._list(fleet, habits, options, origin)
        found = _ONE.fullmatch(path)
        if found is None:
            return _error(400, "BadRequest", "No method match route template")
        device = next(iter(fleet.by_guid(found[1] or found[2])), None)
        if device is None:
            return _nested(404, "ResourceNotFound", "no such device")
        match [part for part in found[3].split("/") if part]:
            case []:
                row = device_row(device, habits)
                if "$select" not in options:
                    row |= {"udid": None}
                context = f"{origin}/v1.0/$metadata#deviceManagement/managedDevices/$entity"
                shown = selected(row, options.get("$select", ""))
                return 200, {"@odata.context": context, **shown}, {}
            case ["deviceCompliancePolicyStates"]:
                return 200, {"value": _policies(device)}, {}
            case ["deviceCompliancePolicyStates", policy, "settingStates"]:
                return 200, {"value": _settings(device, policy)}, {}
        return _error(400, "BadRequest", "No method match route template")

    def batch(self, body: Any, habits: IntuneHabits, answer: Callable[[str], Answer]) -> Answer:
        """Answer a batch; `answer` answers a single target."""
        requests = body.get("requests") if isinstance(body, dict) else None
        if not isinstance(requests, list) or not 0 < len(requests) <= _BATCH_SIZE:
            return _error(400, "BadRequest", "a batch has 1 to 20 requests")
        responses = [self._part(request, habits, answer) for request in requests]
        if habits.swap_batch and len(responses) > 1:
            bodies = [responses[1]["body"], responses[0]["body"]]
            responses[0]["body"], responses[1]["body"] = bodies
        responses.reverse()  # the order is not promised
        return 200, {"responses": responses[: len(responses) - habits.truncate_batch]}, {}

    def _part(
        self, request: Mapping[str, Any], habits: IntuneHabits, answer: Callable[[str], Answer]
    ) -> dict[str, Any]:
        self.parts += 1
        if self._throttled < habits.throttle_parts:
            self._throttled += 1
            status, body, headers = _error(429, "TooManyRequests", "Too many requests.")
            headers = {"Retry-After": str(habits.throttle_seconds)}
        else:
            status, body, headers = answer(str(request["url"]))
        headers = {"Content-Type": "application/json", **headers}
        return {"id": request["id"], "status": status, "headers": headers, "body": body}

    def _services(self, habits: IntuneHabits, origin: str) -> Answer:
        here = habits.service_origin or origin.replace("127.0.0.1", "localhost")
        paths = {
            "ComplianceRetrievalService": SERVICE_PATH,
            "NACAPIService": "/StatelessNACService",
        }
        rows = [
            {
                "id": f"00000000-0000-4000-8000-{number:012}",
                "capability": name,
                "providerId": None,
                "providerName": name,
                "providerResourceId": None,
                "uri": here + paths.get(name, f"/{name}"),
            }
            for number, name in enumerate(habits.services)
        ]
        return 200, {"value": rows}, {}

    def _all(self, fleet: "Fleet", habits: IntuneHabits) -> list[dict[str, Any]]:
        """Give all rows in the order of Graph's pages; kept, because every page asks again."""
        if self._rows is None or self._rows[0] is not fleet or self._rows[1] != habits:
            rows = sorted((device_row(device, habits) for device in fleet), key=_position)
            self._rows = fleet, habits, rows
        return self._rows[2]

    def _list(self, fleet: "Fleet", habits: IntuneHabits, options: Mapping[str, str], origin: str) -> Answer:
        rows = self._all(fleet, habits)
        if rows:
            fits = heeded(options.get("$filter", ""), rows[0])
            rows = [row for row in rows if habits.drop_filters or fits(row)]
        if found := _SKIP.fullmatch(options.get("$skiptoken", "")):
            rows = [row for row in rows if _position(row) > (found[1], found[2])]
        elif "$skiptoken" in options:
            raise QueryError("the skip token was never given out")
        top = options.get("$top", str(habits.page_size))
        if not top.isdecimal() or not int(top):
            raise QueryError(f"Invalid value {top!r} for $top query option found.")
        size = min(int(top), habits.page_size)
        shown = rows[:size]
        context = f"{origin}/v1.0/$metadata#deviceManagement/managedDevices"
        body: dict[str, Any] = {"@odata.context": context, "@odata.count": len(shown)}
        if len(rows) > size:
            body["@odata.nextLink"] = _link(options, shown[-1], habits.foreign_link or origin)
        if not habits.list_all_fields:
            shown = [{**row, "ethernetMacAddress": None, "udid": None} for row in shown]
        names = options.get("$select", "")
        return 200, {**body, "value": [selected(row, names) for row in shown]}, {}


def _split(target: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(target)
    return unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))


def _position(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row["deviceName"]), str(row["id"])


def _link(options: Mapping[str, str], last: Mapping[str, Any], origin: str) -> str:
    kept = {name: value for name, value in options.items() if name != "$skiptoken"}
    name, identifier = _position(last)
    kept["$skiptoken"] = f"LastDeviceName='{name}',LastDeviceId='{identifier}'"
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in kept.items())
    return f"{origin}/v1.0{_DEVICES}?{query}"


def _policies(device: "SimDevice") -> list[dict[str, Any]]:
    bad = "nonCompliant" if device.compliance in {"noncompliant", "grace"} else "compliant"
    rows = [("11111111-0000-4000-8000-000000000001", "Baseline", bad)]
    rows.append(("11111111-0000-4000-8000-000000000002", "Default device compliance", "compliant"))
    return [
        {
            "id": number,
            "displayName": name,
            "state": state,
            "version": 3,
            "settingCount": 9,
            "settingStates": [],
        }
        for number, name, state in rows
    ]


def _settings(device: "SimDevice", policy: str) -> list[dict[str, Any]]:
    rows: list[tuple[str, str, str | None]] = [("PasswordRequired", "compliant", None)]
    if policy.endswith("1"):
        rows += [
            (re.sub(r"[^A-Za-z0-9]+", "", text.title()), "nonCompliant", text)
            for text in device.failure_reasons
        ]
    return [
        {
            "setting": f"{device.platform}CompliancePolicy.{name}",
            "settingName": None,
            "instanceDisplayName": None,
            "state": state,
            "errorCode": 0,
            "errorDescription": text,
            "userPrincipalName": user,
        }
        for name, state, text in rows
        for user in (device.email, "System account")
    ]


def _refuse(habits: IntuneHabits, path: str) -> Answer | None:
    """Refuse what the tenant does not have or nobody has consented to."""
    needed = {"DeviceManagementManagedDevices.Read.All"}
    if path.startswith("/servicePrincipals"):
        needed = {"Application.Read.All"}
    elif path.endswith(("deviceCompliancePolicyStates", "settingStates")):
        needed.add("DeviceManagementConfiguration.Read.All")
    elif not path.startswith(_DEVICES):
        return _error(400, "BadRequest", "No method match route template")
    if lacking := sorted(needed - habits.permissions):
        text = f"Application is not authorized; it lacks one of: {', '.join(lacking)}"
        return (
            _nested(403, "Forbidden", text) if path.startswith(_DEVICES) else _error(403, "Forbidden", text)
        )
    if not habits.has_intune and path.startswith("/deviceManagement"):
        return _error(400, "BadRequest", "Request not applicable to target tenant.")
    return None


def _error(status: int, code: str, message: str) -> Answer:
    inner = {"date": "2026-01-15T12:00:00", "request-id": "00000000-0000-4000-8000-00000000a11d"}
    return status, {"error": {"code": code, "message": message, "innerError": inner}}, {}


def _nested(status: int, code: str, message: str) -> Answer:
    """Write an error as Intune's own services do: a document of JSON in the message."""
    document = {
        "_version": 3,
        "Message": f"{message} - Activity ID: 00000000-0000-4000-8000-00000000ac71 - Url: "
        "https://fef.example.com/x",
        "CustomApiErrorPhrase": "",
        "RetryAfter": None,
        "ErrorSourceService": "",
        "HttpHeaders": "{}",
    }
    return _error(status, code, json.dumps(document, indent=2))


def lookup_macs(device: "SimDevice") -> Sequence[str]:
    """Give the addresses by which Intune finds a device."""
    return [mac for mac in stored_macs(device) if mac]
