"""The servers: UEM's REST API with the endpoint for Cisco ISE beside it, and that endpoint alone."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
import uuid
import zlib
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, IseHabits, IseSimulator, SimDevice, Simulator, basic_credentials
from mdmsdk.simulator.base import not_simulated
from mdmsdk_blackberry.simulator.habits import MOST_ROWS, BlackBerryHabits, BlackBerryIseHabits
from mdmsdk_blackberry.simulator.records import (
    device_record,
    user_device_record,
    user_guid,
    user_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from starlette.requests import Request

__all__ = ["BlackBerryIseSimulator", "BlackBerrySimulator"]

_TYPE: Final = "application/vnd.blackberry.{}-v1+json"
_ISE: Final = {"ise_api_version", "paging", "querycriteria", "value", "filter", "deviceidentifier"}
_LISTED: Final = frozenset({"query", "max", "offset", "includeTotal", "sortBy"})
_SUBSTATUS: Final = {"NOT_AUTHORIZED": 403, "APPLICATION_NOT_FOUND": 113}
_DEFAULT_ROWS: Final = 100
_MACS: Final = {
    "any": r"(?:[0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}",
    "lower": r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}",
    "upper": r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}",
    "bare": r"[0-9a-f]{12}",
}


class BlackBerryIseSimulator(IseSimulator):
    """A local server of UEM's endpoint for Cisco ISE."""

    name: ClassVar[str] = "blackberry-ise"
    habits_type: ClassVar[type[IseHabits]] = BlackBerryIseHabits


class BlackBerrySimulator(Simulator[BlackBerryHabits]):
    """A local server of UEM's REST API, with the endpoint for Cisco ISE on the same port.

    Attributes:
        failed_logins: Wrong passwords since the last right one.
        lines_issued: How many authorization lines were given.
        tokens_issued: How many OAuth tokens were given.
    """

    name: ClassVar[str] = "blackberry"
    habits_type: ClassVar[type[BlackBerryHabits]] = BlackBerryHabits
    takes: ClassVar[Mapping[str, frozenset[str]] | None] = {
        "/api/v1/(?:devices|users)": _LISTED,
        "/ciscoise/.*": frozenset(_ISE),
    }
    habits: BlackBerryHabits

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `BlackBerryHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.failed_logins = self.lines_issued = self.tokens_issued = 0
        self._ise = BlackBerryIseSimulator(self.fleet)
        self._uses: dict[str, int] = {}
        self._ends: dict[str, float] = {}
        self._known: tuple[Fleet, str, list[SimDevice]] | None = None
        self._users_of: tuple[Fleet, dict[str, SimDevice]] | None = None

    def routes(self) -> Sequence[Route]:
        """Give the routes: REST below the tenant, the token service, and the endpoint for Cisco ISE."""
        base = "/{tenant}/api/v1"
        return [
            Route("/ciscoise/{path:path}", self._answer_ise),
            Route("/op/tenant/{tenant}/token", self._token, methods=["POST"]),
            Route(f"{base}/util/ping", self._ping),
            Route(f"{base}/util/authorization", self._authorize, methods=["POST"]),
            Route(f"{base}/ping", self._guarded(self._pong)),
            Route(f"{base}/info/systeminfo", self._guarded(self._about, "systeminfo")),
            Route(f"{base}/devices", self._guarded(self._devices, "devices")),
            Route(f"{base}/devices/{{guid}}", self._guarded(self._missing)),
            Route(f"{base}/users", self._guarded(self._users, "users")),
            Route(f"{base}/users/{{guid}}", self._guarded(self._user, "userdetail")),
            Route(f"{base}/users/{{guid}}/userDevices", self._guarded(self._user_devices, "userdevices")),
        ]

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        habits = self.habits
        settings = {"provider": self.name, "base_url": origin, "tenant": habits.tenant}
        if habits.login == "oauth":
            settings |= {"client_id": habits.client_id, "client_secret": habits.client_secret}
            settings |= {"token_url": f"{origin}/op/tenant/{habits.tenant}/token"}
        else:
            settings |= {"username": habits.username, "password": habits.password}
            settings |= {"domain": habits.domain} if habits.domain else {}
        if habits.ise:
            settings |= {"ise_username": habits.ise_username, "ise_password": habits.ise_password}
        return settings

    # --- what is true ---

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers of a record; a device that was deactivated has none any more."""
        if not device.registered:
            return {}
        known = super().identifiers(device) | {"id": device.guid}
        if device.wifi_mac is None:
            known.pop("mac", None)
        else:
            known["mac"] = device.wifi_mac
        if device.ownership == "shared":
            known.pop("username")
        return known

    def verdict(self, device: SimDevice) -> str:
        """Give the state that a careful client must read: what either API says against the device counts.

        Without GUIDs, before version 3, that for Cisco ISE says the same of all records of one device.
        """
        if device.registered and device.jailbroken:
            return "noncompliant"
        if not (device.registered and self.habits.ise):
            return "unknown"
        records = [device] if self.habits.ise_version > 2 else self.fleet.by_udid(device.udid)  # noqa: PLR2004
        judged = {self._ise.verdict(record) for record in records if record.registered}
        return "noncompliant" if "noncompliant" in judged else "compliant"

    def check_in(self, device: SimDevice) -> datetime | None:
        """Give the last check-in, which version 3 of the endpoint for Cisco ISE alone tells."""
        return device.last_check_in if self.habits.ise and self.habits.ise_version > 2 else None  # noqa: PLR2004

    # --- the endpoint for Cisco ISE ---

    async def _answer_ise(self, request: Request) -> Response:
        habits, inner = self.habits, self._ise
        inner.fleet = self.fleet if habits.ise_sees else Fleet(())
        inner.habits = BlackBerryIseHabits(
            username=habits.ise_username,
            password=habits.ise_password,
            max_api_version=habits.ise_version,
            page_size=habits.page_cap,
            higher_version="negotiate",
        )
        return await inner._answer(request)  # noqa: SLF001 - one server, two APIs

    # --- logging in ---

    # UEM REST API reference, getting started: provider LOCAL or AD, the password in Base64; 400 if wrong.
    async def _authorize(self, request: Request) -> Response:
        habits = self.habits
        if refusal := self._elsewhere(request):
            return refusal
        if request.headers.get("content-type") != _TYPE.format("authorizationrequest"):
            return self._error(415, "UNSUPPORTED_MEDIA_TYPE")
        try:
            given = json.loads(await request.body())
            password = base64.b64decode(given.pop("password"), validate=True).decode()
        except (ValueError, KeyError, AttributeError):
            return self._error(400, "INVALID_REQUEST")
        domain = {"provider": "AD", "domain": habits.domain} if habits.domain else {"provider": "LOCAL"}
        locked = habits.lock_after is not None and self.failed_logins >= habits.lock_after
        if given != {**domain, "username": habits.username} or password != habits.password or locked:
            self.failed_logins += 1
            return self._error(400, "INVALID_CREDENTIALS")
        self.failed_logins = 0
        self.lines_issued += 1
        line = self._line()
        self._uses[line] = 0
        return PlainTextResponse({"bare": line, "newline": f"{line}\r\n", "quoted": f'"{line}"'}[habits.line])

    def _line(self) -> str:
        habits = self.habits
        facts = {
            "provider": "AD" if habits.domain else "LOCAL",
            "tenant": habits.tenant,
            "username": habits.username,
            "credentials": base64.b64encode(habits.password.encode()).decode(),
        }
        told = ",".join(f'{name}="{value}"' for name, value in facts.items())
        return f"besng-basic {base64.b64encode(told.encode()).decode()}"

    # BWS OAuth implementation: client credentials by HTTP Basic, the secret percent-encoded, 10 minutes.
    async def _token(self, request: Request) -> Response:
        habits = self.habits
        form = dict(parse_qsl((await request.body()).decode("ascii", "replace")))
        client, secret = basic_credentials(request.headers.get("authorization", "")) or ("", "")
        scopes = set(form.get("scope", "").split())
        if form.get("grant_type") != "client_credentials" or "MDMBWS.All" not in scopes:
            return _json({"error": "invalid_request"}, 400)
        if (client, unquote(secret)) != (habits.client_id, habits.client_secret):
            return _json({"error": "invalid_client"}, 401)
        token = secrets.token_urlsafe(24)
        self.tokens_issued += 1
        self._uses[f"Bearer {token}"] = 0
        self._ends[f"Bearer {token}"] = time.monotonic() + habits.token_lifetime
        life = {"expires_in": habits.token_lifetime} if habits.names_lifetime else {}
        return _json({"access_token": token, "token_type": "Bearer", **life})

    def _guarded(
        self, answer: Callable[[Request], Response], kind: str = ""
    ) -> Callable[[Request], Response]:
        """Answer only whoever is logged in, and accepts exactly the media type of the answer."""

        def guarded(request: Request) -> Response:
            # Not `or`: an answer without content is false.
            refusal = self._refusal(request, kind)
            return answer(request) if refusal is None else refusal

        return guarded

    def _refusal(self, request: Request, kind: str) -> Response | None:
        habits, credential = self.habits, request.headers.get("authorization", "")
        if refusal := self._elsewhere(request):
            return refusal
        uses = self._uses.get(credential)
        over = self._ends.get(credential, time.monotonic() + 1) <= time.monotonic()
        if uses is None or over or (habits.credential_uses is not None and uses >= habits.credential_uses):
            return self._error(401, "NOT_AUTHENTICATED")
        self._uses[credential] = uses + 1
        if habits.deny:
            return self._error(403, habits.deny)
        if kind and request.headers.get("accept") != _TYPE.format(kind):
            return self._error(406, "NOT_ACCEPTABLE")
        return None

    def _elsewhere(self, request: Request) -> Response | None:
        if request.path_params["tenant"] == self.habits.tenant:
            return None
        return PlainTextResponse("Not Found", 404)

    # --- what is asked ---

    def _ping(self, request: Request) -> Response:
        if self.habits.down:
            return PlainTextResponse("", 404)
        return self._elsewhere(request) or PlainTextResponse("Up and running...")

    def _pong(self, _request: Request) -> Response:
        return PlainTextResponse("", 404) if self.habits.down else PlainTextResponse("Up and running...")

    def _about(self, _request: Request) -> Response:
        if self.habits.version is None:
            return self._error(403, "NOT_AUTHORIZED")
        return _json({"version": self.habits.version}, kind="systeminfo")

    def _missing(self, _request: Request) -> Response:
        """A device by its address: seen to be missing in the cloud, though a query finds it."""
        return self._error(404, "DEVICE_NOT_FOUND")

    def _devices(self, request: Request) -> Response:
        given = request.query_params
        conditions = _conditions(given.get("query", ""), _KEYS)
        if conditions is None:
            return self._error(400, "INVALID_QUERY")
        rows = self._activated(given.get("sortBy"))
        if rows is None:
            return self._error(400, "INVALID_SORT")
        if not self.habits.ignore_filter:
            rows = self._matching(rows, conditions)
        base = self._base(request)
        nameless = self.habits.no_identifiers
        return self._page(request, "devices", rows, lambda one: device_record(one, base, nameless=nameless))

    def _activated(self, order: str | None) -> Sequence[SimDevice] | None:
        """The devices in an order; those of a user that was deactivated are gone. None: no such order."""
        if order and (not self.habits.sorts or not re.fullmatch(r"(?:guid|os)(?: (?:ASC|DESC))?", order)):
            return None
        order = order or ""
        known = self._known
        if known is None or known[0] is not self.fleet or known[1] != order:
            key = {"guid": lambda one: one.guid, "os": lambda one: (one.platform, one.os_version)}
            rows = sorted(
                (device for device in self.fleet if device.registered),
                key=key.get(order.partition(" ")[0], lambda one: zlib.crc32(one.guid.encode())),
                reverse=order.endswith(" DESC"),
            )
            # Kept, because every page of a long list asks again.
            self._known = known = self.fleet, order, rows
        return known[2]

    def _matching(self, rows: Sequence[SimDevice], conditions: dict[str, str]) -> Sequence[SimDevice]:
        if not conditions:
            return rows
        everything = rows
        for name, value in conditions.items():
            if name == "wifiMacAddress" and not re.fullmatch(_MACS[self.habits.mac_search], value):
                return []
            found = [device for device in _KEYS[name](self.fleet, value) if device.registered]
            rows = found if rows is everything else [device for device in rows if device in found]
        if self.habits.wrong_device and rows:
            serial = rows[0].serial_number
            return [next(one for one in self.fleet if one.registered and one.serial_number != serial)]
        return rows

    # UEM REST API reference, Users: username=..., with a star for a prefix.
    def _users(self, request: Request) -> Response:
        conditions = _conditions(request.query_params.get("query", ""), {"username": None})
        if conditions is None:
            return self._error(400, "INVALID_QUERY")
        wanted = conditions.get("username", "*").casefold()
        rows = [
            device
            for device in self._people().values()
            if device.username.casefold() == wanted
            or (wanted.endswith("*") and device.username.casefold().startswith(wanted[:-1]))
            or self.habits.ignore_filter
        ]
        base = self._base(request)
        return self._page(request, "users", rows, lambda one: user_record(one, base))

    def _user(self, request: Request) -> Response:
        found = self._people().get(request.path_params["guid"])
        if found is None:
            return self._error(404, "USER_NOT_FOUND")
        return _json(user_record(found, self._base(request)), kind="userdetail")

    def _user_devices(self, request: Request) -> Response:
        found = self._people().get(request.path_params["guid"])
        if found is None:
            return self._error(404, "USER_NOT_FOUND")
        own = (one for one in self.fleet.by_username(found.username) if one.registered)
        base = self._base(request)
        rows = [user_device_record(one, base) for one in own if one.ownership != "shared"]
        return _json({"userDevices": rows}, kind="userdevices")

    # --- how it is said ---

    def _people(self) -> dict[str, SimDevice]:
        if self._users_of is None or self._users_of[0] is not self.fleet:
            people = {user_guid(device.username): device for device in self.fleet if device.registered}
            self._users_of = self.fleet, people
        return self._users_of[1]

    def _base(self, request: Request) -> str:
        host = self.habits.link_host or request.url.netloc
        return f"{request.url.scheme}://{host}/{self.habits.tenant}/api/v1"

    def _page(
        self,
        request: Request,
        noun: str,
        rows: Sequence[SimDevice],
        write: Callable[[SimDevice], dict[str, Any]],
    ) -> Response:
        given = request.query_params
        try:
            most, offset = int(given.get("max", _DEFAULT_ROWS)), int(given.get("offset", "0"))
        except ValueError:
            return self._error(400, "INVALID_PAGE")
        if not (1 <= most <= MOST_ROWS and offset >= 0):
            return self._error(400, "INVALID_PAGE")
        shown = rows[offset : offset + min(most, self.habits.page_cap)]
        told = self.habits.totals and given.get("includeTotal") == "true"
        total = {self.habits.total_name: len(rows)} if told else {}
        return _json({**total, noun: [write(one) for one in shown]}, kind=noun)

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse parameters that are not implemented, as UEM writes errors."""
        return self._error(400, "INVALID_PARAMETER", not_simulated(*names))

    def _error(self, status: int, code: str, message: str = "The request was refused.") -> Response:
        substatus = _SUBSTATUS.get(code)
        content = {
            "id": str(uuid.uuid4()),
            "subStatusCode": f"{code} ({substatus})" if substatus else code,
            "message": message,
        }
        return _json(content, status, kind="error")


_KEYS: Final[Mapping[str, Callable[[Fleet, str], Sequence[SimDevice]]]] = {
    "guid": Fleet.by_guid,
    "udid": Fleet.by_udid,
    "wifiMacAddress": lambda fleet, value: [
        one for one in fleet.by_mac(value) if one.wifi_mac == re.sub("[:-]", "", value).upper()
    ],
    "imei": Fleet.by_imei,
    "meid": Fleet.by_meid,
}


def _conditions(query: str, known: Mapping[str, Any]) -> dict[str, str] | None:
    """The conditions of a query, which all hold; None where it is none that the simulator implements."""
    found: dict[str, str] = {}
    for part in query.split(",") if query else []:
        name, sign, value = part.partition("=")
        if not sign or not value or name not in known or "=" in value:
            return None
        found[name] = value
    return found


def _json(content: Any, status: int = 200, *, kind: str = "") -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, media_type=_TYPE.format(kind) if kind else "application/json")
