"""A local server of the API of Ivanti Neurons for MDM, built from its customer integration API guide."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from mdmsdk.simulator import SimDevice
from mdmsdk.simulator.base import not_simulated
from mdmsdk_ivanti.simulator.language import QueryError, QueryLanguage
from mdmsdk_ivanti.simulator.server import IvantiHabits, IvantiSimulator, Record

__all__ = ["IvantiCloudHabits", "IvantiCloudSimulator"]

_PLATFORMS: Final = {
    "iOS": "IOS",
    "iPadOS": "IOS",
    "Android": "ANDROID",
    "macOS": "OSX",
    "Windows": "WINDOWS_PHONE",
}
_SORTED: Final = ("sortFields[0].name", "sortFields[0].order")
_FIRST_PARTITION: Final = 15501


@dataclass(frozen=True, slots=True, kw_only=True)
class IvantiCloudHabits(IvantiHabits):
    """How the server behaves, besides what both products do.

    Attributes:
        token: Accepted as a bearer token.
        mfa: Administrators sign in with password and PIN, so that passwords are refused.
        mac_style: How addresses are kept.
        guid_search: Whether a search by GUID works, is ignored, or is refused.
        error_in_200: Errors of searches come with status 200.
    """

    token: str = "simulated-bearer"
    mfa: bool = False
    mac_style: Literal["upper", "lower"] = "upper"
    guid_search: Literal["served", "ignored", "refused"] = "served"
    error_in_200: bool = False


class IvantiCloudSimulator(IvantiSimulator[IvantiCloudHabits]):
    """Ivanti Neurons for MDM on this machine."""

    name: ClassVar[str] = "ivanti-cloud"
    habits_type: ClassVar[type[IvantiCloudHabits]] = IvantiCloudHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        "/v1/device": frozenset({"dmPartitionId", "rows", "start", "q", "fq", *_SORTED}),
        "/v1/device/[^/]+": frozenset({"dmPartitionId"}),
    }
    masked_fields: ClassVar[dict[str, Sequence[str]]] = {
        "serial": ("serialNumber", "altSerialNumber"),
        "imei": ("imei", "imei2"),
        "meid": ("meid",),
        "user": ("uid", "emailAddress", "displayName", "phoneNumber"),
    }

    def knows(self, authorization: str) -> bool:
        """Whether this is the account's password, unless passwords are refused, or its token."""
        if authorization == f"Bearer {self.habits.token}":
            return True
        return not self.habits.mfa and super().knows(authorization)

    # --- records ---

    def record(self, device: SimDevice) -> Record:
        """Give the record; the real one has more than a hundred fields, of which many are left out."""
        compliant, quarantined = self.flags(device)
        apple = device.platform in {"iOS", "iPadOS", "macOS"}
        mac = device.wifi_mac and ":".join(re.findall("..", device.wifi_mac))
        policies = list(device.failure_reasons) if self.verdict(device) == "noncompliant" else []
        return {
            "id": device.id,
            "guid": device.guid,
            "udid": device.udid if apple else None,
            "mdmChannelId": device.directory_id,
            "deviceName": device.name,
            "entityName": device.hostname,
            "wifiMacAddress": mac.lower() if mac and self.habits.mac_style == "lower" else mac,
            "wifiMacAddressForInventory": None,
            "serialNumber": device.serial_number,
            "altSerialNumber": "",
            "imei": device.imei or ("Not Present" if device.platform == "Windows" else None),
            "imei2": None,
            "meid": device.meid,
            "imsi": "Not Present" if device.platform == "Windows" else None,
            "registrationState": self._state(device),
            "complianceState": compliant,
            "violatedPolicies": policies,
            "policyViolationCount": len(policies),
            "quarantined": quarantined,
            "blocked": None if device.id % 2 else False,
            "jailbroken": device.jailbroken,
            "passcodeCompliant": device.passcode_set,
            "supervised": device.supervised,
            "lostModeEnabled": None,
            "platformType": _PLATFORMS[device.platform],
            "platformVersion": device.os_version,
            "osBuildVersion": device.os_build,
            "windowsDeviceType": "WINDOWS_DESKTOP" if device.platform == "Windows" else None,
            "manufacturer": device.manufacturer,
            "deviceModel": device.model_identifier,
            "prettyModel": device.model,
            "ownershipType": "COMPANY" if device.ownership == "corporate" else "UNKNOWN",
            "phoneNumber": device.phone_number or f"PDA {device.id}",
            "lastCheckin": _milliseconds(device.last_check_in),
            "clientLastCheckin": None,
            "lastRegistrationTime": _milliseconds(device.enrolled_at),
            "uid": device.username,
            "emailAddress": device.email,
            "displayName": device.full_name,
            "dmPartitionId": _FIRST_PARTITION + self.space_of(device),
            "dmPartitionName": self.habits.spaces[self.space_of(device)],
        }

    @staticmethod
    def _state(device: SimDevice) -> str:
        if device.registered:
            return "ACTIVE"
        return "RETIRE_PENDING" if device.id % 2 else "RETIRED"

    # --- requests ---

    def serve(self, request: Request) -> Response:
        """Answer a request of an account that is let in."""
        path, given = request.url.path, dict(request.query_params)
        if request.method == "GET" and path.startswith("/api/v1/"):
            match path.removeprefix("/api/v1/").split("/"):
                case ["tenant", "partition", "device"]:
                    return self._partitions()
                case ["metadata", "tenant"]:
                    return _result({"defaultDmPartitionId": _FIRST_PARTITION})
                case ["device"]:
                    return self._search(given)
                case ["device", number]:
                    return self._one(number, given)
        return HTMLResponse("<html><body>Not Found</body></html>", 404)

    def _partitions(self) -> Response:
        rows = [
            {
                "id": _FIRST_PARTITION + index,
                "name": name,
                "defaultPartition": index == 0,
                "deviceCount": sum(self.space_of(device) == index for device in self.fleet),
                "priority": index,
                "domainRule": None,
            }
            for index, name in self.visible_spaces()
        ]
        return _result({"searchResults": rows, "totalCount": len(rows), "offset": 0, "limit": len(rows)})

    def _partition(self, given: dict[str, str]) -> int | None:
        visible = {str(_FIRST_PARTITION + index): index for index, _ in self.visible_spaces()}
        return visible.get(given.get("dmPartitionId", ""))

    def _search(self, given: dict[str, str]) -> Response:
        habits = self.habits
        space = self._partition(given)
        if space is None:
            return self.error(400, "unknown device space", "dmPartitionId")
        # `offset` is in the guide and does nothing, so that it is refused here; `start` counts.
        rows, start = given.get("rows", "10"), given.get("start", "0")
        if not (rows.isdecimal() and 1 <= int(rows) <= habits.most_rows):
            return self.error(400, f"must be between 1 and {habits.most_rows}", "rows")
        if not start.isdecimal():
            return self.error(400, "must be a number", "start")
        if given.get("q"):
            return self.error(400, not_simulated("a text for q"), "q")
        name, order = (given.get(part) for part in _SORTED)
        if name not in {None, "id"} or order not in {None, "ASC", "DESC"}:
            return self.error(400, not_simulated("this order"), _SORTED[0])
        query = given.get("fq", "")
        if query.startswith("guid="):
            if habits.guid_search == "refused":
                return self.error(400, "unknown property guid", "fq")
            query = "" if habits.guid_search == "ignored" else query
        try:
            # No record has a `deviceId`; actions know the id by that name, and clients ask for it.
            test = self._language().parse(re.sub(r"\bdeviceId=", "id=", query))
        except QueryError as error:
            return self.error(400, str(error), "fq")
        found = self.find(
            space,
            test,
            int(start),
            int(rows),
            (lambda device: device.id) if name else lambda device: device.guid,
            backwards=order == "DESC",
        )
        return _result(
            {
                "searchResults": list(found.rows),
                "totalCount": found.total,
                "offset": int(start),
                "limit": int(rows),
                "queryTime": 3,
                "facetedResults": {},
                "totalUnfilteredResultCount": len(self.fleet),
            }
        )

    def _language(self) -> QueryLanguage:
        names = [*self.record(self.fleet[0])] if len(self.fleet) else []
        return QueryLanguage(
            ignore_case=False,
            quoted_fields=False,
            fields=frozenset(names),
            # Index names are in capitals and have no underscores. There is no full list of them.
            rules={name.upper(): name for name in names},
        )

    def _one(self, number: str, given: dict[str, str]) -> Response:
        space = self._partition(given)
        by_id = self.fleet.by_id(number)
        found = [device for device in (by_id, *self.fleet.by_guid(number)) if device]
        if space is None or not found or self.space_of(found[0]) != space:
            return self.error(404, "no such device", None)
        # The record of one device has null for some lists.
        return _result(self._entry(found[0]).shown | {"violatedPolicies": None, "osxFdeEnabled": None})

    def error(self, status: int, text: str, field: str | None) -> Response:
        """Write an error in the usual envelope."""
        general = None if field else [{"code": "Error", "message": text}]
        code = "Range" if field == "rows" else "Invalid"
        fields = [{"code": code, "message": text, "field": field}] if field else None
        body = {"errors": {"globalErrors": general, "fieldErrors": fields}, "result": None}
        in_200 = self.habits.error_in_200 and status == 400  # noqa: PLR2004 - Bad Request
        return JSONResponse(body, 200 if in_200 else status)


def _result(result: Any) -> Response:
    return JSONResponse({"errors": None, "result": result})


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
