"""A local server of Ivanti EPMM's API, version 2.

Built from the API v2 guide.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from mdmsdk.simulator import SimDevice
from mdmsdk_ivanti.simulator.language import QueryError, QueryLanguage
from mdmsdk_ivanti.simulator.server import IvantiHabits, IvantiSimulator, Record

__all__ = ["IvantiCoreHabits", "IvantiCoreSimulator"]

_SEARCHED: Final = frozenset({"adminDeviceSpaceId", "query"})
_LONGEST_QUERY: Final = 255
_MOST_FIELDS: Final = 512
# A word in what the fleet says about a device -> the product's name for such a reason.
_NAMES: Final = (
    ("jailbroken", "COMPROMISED"),
    ("OS version", "OS_VERSION"),
    ("encrypted", "DATA_PROTECTION"),
    ("passcode", "DATA_PROTECTION"),
    ("contact", "DEVICE_OUT_OF_CONTACT"),
    ("app", "REQUIRED_APP_CONTROL"),
    ("Antivirus", "POLICY_OUT_OF_DATE"),
)
_SEARCHED_BY_TEXT: Final = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class IvantiCoreHabits(IvantiHabits):
    """How the server behaves, besides what both products do.

    Attributes:
        prefix: Path before the API, as Connected Cloud has one: `/account/rest`.
        v2: `missing` answers 404 to version 2, `refused` 403.
        mac_style: How addresses are kept.
        null_words: Empty values are the word `null`.
        unknown_fields: Fields that this release does not have.
        search_fields: Status of the list of fields, if it is not to be had.
        security_alarm: Some devices are called compliant, and have a security state that is not Ok.
        blank_security_state: Devices without a fault have no security state at all.
        error_format: Of the bodies of errors.
        say_more: Whether `hasMore` is part of the answers.
    """

    prefix: str = ""
    v2: Literal["served", "missing", "refused"] = "served"
    mac_style: Literal["hex", "lower_hex", "colons", "lower_colons"] = "lower_hex"
    null_words: bool = False
    unknown_fields: frozenset[str] = frozenset()
    search_fields: Literal[200, 403, 404] = 200
    security_alarm: bool = True
    blank_security_state: bool = False
    error_format: Literal["json", "html"] = "json"
    say_more: bool = True


class IvantiCoreSimulator(IvantiSimulator[IvantiCoreHabits]):
    """Ivanti EPMM on this machine."""

    name: ClassVar[str] = "ivanti-core"
    habits_type: ClassVar[type[IvantiCoreHabits]] = IvantiCoreHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        "/v2/devices": _SEARCHED | {"fields", "limit", "offset", "sortField", "sortOrder"},
        "/v2/devices/count": _SEARCHED,
        "/v2/devices/search_fields": frozenset({"adminDeviceSpaceId"}),
        "/v1/dm/devices": frozenset({"status", "limit", "offset"}),
    }
    masked_fields: ClassVar[dict[str, Sequence[str]]] = {
        "serial": ("common.SerialNumber",),
        "imei": ("common.imei", "common.imsi"),
        "mac": ("common.wifi_mac_address", "common.ethernet_mac", "ios.iPhone MAC_ADDRESS_EN0"),
        "udid": ("ios.iPhone UDID",),
    }

    def mac_of(self, device: SimDevice) -> str | None:
        """Give the Wi-Fi address, or else the built-in port's."""
        return device.wifi_mac or device.ethernet_mac

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        # For Connected Cloud people write the account's path, and leave out the segment after it.
        return {
            **super().settings(origin),
            "base_url": origin + self.habits.prefix.removesuffix("/rest"),
        }

    def flags(self, device: SimDevice) -> tuple[bool | None, bool]:
        """Give compliance and quarantine; a security alarm can stand for both."""
        if self._alarm(device):
            return True, False
        return super().flags(device)

    def _alarm(self, device: SimDevice) -> str | None:
        if self.habits.security_alarm and self.verdict(device) == "noncompliant" and device.id % 7 == 0:
            return "Device has been out of contact"
        return None

    # --- records ---

    def record(self, device: SimDevice) -> Record:
        """Give the flat record with dotted keys."""
        compliant, quarantined = self.flags(device)
        reasons = self._reasons(device)
        apple_mobile = device.platform in {"iOS", "iPadOS"}
        nothing = "null" if self.habits.null_words else ""
        calm = None if self.habits.blank_security_state else "Ok"
        record = {
            "common.id": device.id,
            "common.uuid": device.guid,
            "common.status": self._status(device),
            "common.retired": not device.registered,
            "common.compliant": compliant,
            "common.noncompliance_reasons": reasons if compliant is False else [],
            "common.quarantined": quarantined,
            "common.quarantined_reasons": reasons if quarantined else [],
            "common.blocked": False,
            "common.blocked_reasons": [],
            "common.security_state": self._alarm(device) or calm,
            "common.device_is_compromised": device.jailbroken,
            "common.device_encrypted": None if apple_mobile else device.disk_encrypted,
            "common.data_protection_enabled": device.disk_encrypted if apple_mobile else None,
            "common.mdm_managed": device.managed,
            "common.owner": "COMPANY" if device.ownership == "corporate" else "EMPLOYEE",
            "common.wifi_mac_address": self._mac(device.wifi_mac) or nothing,
            "common.ethernet_mac": self._mac(device.ethernet_mac) or nothing,
            "ios.iPhone MAC_ADDRESS_EN0": (self._mac(device.wifi_mac) if apple_mobile else None) or nothing,
            "ios.iPhone UDID": device.udid if device.platform in {"iOS", "iPadOS", "macOS"} else nothing,
            "common.SerialNumber": device.serial_number,
            "common.imei": device.imei or nothing,
            "common.imsi": f"20408{device.id:010}" if device.imei else nothing,
            "common.current_phone_number": device.phone_number or f"PDA {device.id}",
            "common.platform": "iOS" if apple_mobile else device.platform,
            "common.platform_name": f"{device.platform} {device.os_version}",
            "common.os_version": device.os_version,
            "common.manufacturer": device.manufacturer,
            "common.model": device.model,
            "common.last_connected_at": _iso(device.last_check_in),
            "common.miclient_last_connected_at": None,
            "common.registration_date": _iso(device.enrolled_at),
            "common.ip_address": f"{device.ip_address},192.0.2.1",
            "common.current_country_code": "NL",
            "common.current_country_name": "Netherlands",
            "common.home_country_code": "NL",
            "common.home_country_name": "Netherlands",
            "ios.Current MCC": "204" if apple_mobile and device.imei else nothing,
            "android.afw_capable": device.platform == "Android",
            "user.user_id": device.username,
            "user.sam_account_name": device.username,
            "user.display_name": device.full_name,
            "user.email_address": device.email,
        }
        return {name: value for name, value in record.items() if name not in self.habits.unknown_fields}

    def _status(self, device: SimDevice) -> str:
        if device.registered:
            return "ACTIVE"
        return "WIPED" if device.id % 2 else "RETIRED"

    def _mac(self, mac: str | None) -> str | None:
        if mac is None:
            return None
        text = mac if self.habits.mac_style.endswith("hex") else ":".join(re.findall("..", mac))
        return text.lower() if self.habits.mac_style.startswith("lower") else text

    @staticmethod
    def _reasons(device: SimDevice) -> list[str]:
        names = [
            next((name for word, name in _NAMES if word in text), "UNKNOWN")
            for text in device.failure_reasons
        ]
        return list(dict.fromkeys(names))

    # --- requests ---

    def serve(self, request: Request) -> Response:
        """Answer a request of an account that is let in."""
        habits, path = self.habits, request.url.path
        if request.method != "GET" or not path.startswith(f"{habits.prefix}/api/"):
            return _no_such_page()
        rest = path.removeprefix(f"{habits.prefix}/api/")
        if rest.startswith("v2/") and habits.v2 == "refused":
            return self.error(403, "Access is denied", None)
        if rest.startswith("v2/") and habits.v2 == "served":
            return self._serve_v2(rest.removeprefix("v2/"), dict(request.query_params))
        return _no_such_page()

    def _serve_v2(self, path: str, given: dict[str, str]) -> Response:
        match path:
            case "ping":
                return _results({"apiVersion": 2.0, "vspVersion": "VSP 12.5.0.0 Build 35"})
            case "device_spaces/mine" | "device_spaces":
                return _results([{"id": index + 1, "name": name} for index, name in self.visible_spaces()])
            case "devices/search_fields":
                return self._search_fields()
            case "devices" | "devices/count":
                return self._search(given, count_only=path.endswith("count"))
        return _no_such_page()

    def _search_fields(self) -> Response:
        if self.habits.search_fields != 200:  # noqa: PLR2004 - OK
            return self.error(self.habits.search_fields, "not to be had", None)
        device = self.fleet[0] if len(self.fleet) else None
        names = self.record(device) if device else {}
        return _results([{"name": name, "type": "string"} for name in names])

    def _search(self, given: dict[str, str], *, count_only: bool) -> Response:
        names = [name for name in given.get("fields", "").split(",") if name]
        known = self.record(self.fleet[0]).keys() if len(self.fleet) else set(names)
        wrong = _objection(given, names, known, self.habits, count_only=count_only)
        if wrong:
            return self.error(400, *wrong)
        space = given["adminDeviceSpaceId"]
        visible = {str(index + 1): index for index, _ in self.visible_spaces()}
        if space not in visible:
            return self.error(403, f"device space {space} is not assigned to this user", None)
        try:
            test = QueryLanguage(fields=frozenset(known)).parse(given["query"])
            limit, offset = int(given.get("limit", 50)), int(given.get("offset", 0))
        except QueryError as error:
            return self.error(400, str(error), "query")
        except ValueError:
            return self.error(400, "a number is expected", "limit")
        sort = given.get("sortField", "common.id")
        if sort not in known:
            return self.error(400, "cannot be sorted by", "sortField")
        order = given.get("sortOrder", "ASC").upper()
        if order not in {"ASC", "DESC"}:
            return self.error(400, "must be ASC or DESC", "sortOrder")
        if count_only:
            return JSONResponse({"totalCount": self.find(visible[space], test, 0, 1, _number).total})
        found = self.find(
            visible[space],
            test,
            offset,
            limit,
            _number if sort == "common.id" else lambda device: str(self.record(device)[sort]),
            backwards=order == "DESC",
        )
        rows = [{name: row[name] for name in names} for row in found.rows]
        more = {"hasMore": offset + len(rows) < found.total and bool(rows)} if self.habits.say_more else {}
        return JSONResponse(
            {
                "results": rows,
                "totalCount": found.total,
                "resultCount": len(rows),
                "searchTimeMillis": 7,
                "currentServerTimeMilliseconds": 1_768_478_400_000,
                **more,
            }
        )

    def error(self, status: int, text: str, field: str | None) -> Response:
        """Write an error: a list of messages, or a web page."""
        shown = f"{field}: {text}" if field else text
        if self.habits.error_format == "html":
            return HTMLResponse(
                f"<html><body><h1>HTTP Status {status}</h1><p>{shown}</p></body></html>", status
            )
        return JSONResponse({"messages": [{"type": "Error", "localizedMessage": shown}]}, status)


def _no_such_page() -> Response:
    return HTMLResponse("<html><body>HTTP Status 404</body></html>", 404)


def _results(results: Any) -> Response:
    return JSONResponse({"results": results})


def _number(device: SimDevice) -> int:
    return device.id


def _objection(
    given: dict[str, str], names: list[str], known: Any, habits: IvantiCoreHabits, *, count_only: bool
) -> tuple[str, str] | None:
    """What is wrong with the parameters of a search, and with which of them."""
    if "adminDeviceSpaceId" not in given:
        return "is required", "adminDeviceSpaceId"
    if _SEARCHED_BY_TEXT not in given:
        return "is required unless labelId is given", _SEARCHED_BY_TEXT
    if len(given[_SEARCHED_BY_TEXT]) > _LONGEST_QUERY:
        return f"has more than {_LONGEST_QUERY} characters", _SEARCHED_BY_TEXT
    if count_only:
        return None
    if not names or len(names) > _MOST_FIELDS or set(names) >= set(known):
        return f"1 to {_MOST_FIELDS} names are expected", "fields"
    if unknown := [name for name in names if name not in known]:
        return f"unknown field {unknown[0]}", "fields"
    if given.get("limit", "1").isdecimal() and int(given.get("limit", "1")) > habits.most_rows:
        return f"must be at most {habits.most_rows}", "limit"
    return None


def _iso(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z") if moment else None
