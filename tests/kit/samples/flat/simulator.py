"""A local server of the flat API, strict where a real one would be."""

from dataclasses import dataclass
from datetime import UTC, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, unquote

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mdmsdk.simulator import SimDevice, Simulator

WORDS = {"compliant": "ok", "noncompliant": "failed", "grace": "pending", "unknown": "none"}
ZONES = [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-5, minutes=-30))]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatHabits:
    """How the server behaves.

    Attributes:
        page_size: devices on a page.
        uneven: every other page has only half of them.
        life: seconds that a token is good for.
    """

    client_secret: str = "simulated-flat-secret"
    page_size: int = 50
    uneven: bool = False
    life: int = 3600


class FlatSimulator(Simulator[FlatHabits]):
    """A local server of the flat API."""

    name = "flat"
    habits_type = FlatHabits
    logins = 0

    def settings(self, origin: str) -> dict[str, Any]:
        secret = self.habits.client_secret
        return {"provider": "flat", "base_url": origin, "client_id": "reader", "client_secret": secret}

    def routes(self) -> list[Route]:
        return [
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/v1/about", self._about),
            Route("/v1/devices", self._devices),
            Route("/v1/lookup", self._lookup, methods=["POST"]),
            Route("/v1/users/{rest:path}", self._user),
            Route("/v1/devices/{number:int}", self._device),
            Route("/v1/devices/{number:int}/{what}", self._device),
        ]

    async def _token(self, request: Request) -> JSONResponse:
        form = parse_qs((await request.body()).decode())
        if form.get("client_secret") != [self.habits.client_secret]:
            return JSONResponse({"error": "invalid_client"}, 401)
        return JSONResponse({"access_token": "a-simulated-flat-token", "expires_in": self.habits.life})

    async def _about(self, request: Request) -> JSONResponse:
        return self._refuse(request) or JSONResponse({"version": "7.2"})

    async def _devices(self, request: Request) -> JSONResponse:
        if refusal := self._refuse(request):
            return refusal
        asked = request.query_params
        if "mac" in asked or "serial" in asked:
            kind = "mac" if "mac" in asked else "serial"
            return self._answer(list(self._search(kind, [asked[kind]])))
        rows = [device for device in self.fleet if self._word(device, asked.get("state", "")) is not None]
        rows = [device for device in rows if device.id > int(asked.get("after", "0"))]
        size = self.habits.page_size
        if self.habits.uneven and rows and rows[0].id % 2:
            size = max(1, size // 2)
        following = rows[size - 1].id if len(rows) > size else None
        return self._answer(rows[:size], following, full=True)

    def _word(self, device: SimDevice, wanted: str) -> str | None:
        """The word of a device, if it is wanted; retired devices stay in every list."""
        posture = self._posture(device)
        words = {posture["state"], *(["quarantined"] if posture["quarantined"] else [])}
        return posture["state"] if not wanted or words & set(wanted.split(",")) else None

    async def _lookup(self, request: Request) -> JSONResponse:
        if refusal := self._refuse(request):
            return refusal
        body = await request.json()
        # Each record once, in the order of its number: nothing says which value it answers.
        found = {device.id: device for device in self._search(body["field"], body["values"])}
        return self._answer([found[number] for number in sorted(found)])

    def _search(self, kind: str, values: list[str]) -> list[SimDevice]:
        if kind == "mac":  # compared as texts, lower case with colons
            return [device for device in self.fleet if set(values) & set(self._macs(device))]
        return [device for device in self.fleet if device.serial_number in values]

    async def _user(self, request: Request) -> JSONResponse:
        if refusal := self._refuse(request):
            return refusal
        name = request.scope["raw_path"].decode().removeprefix("/v1/users/")
        if "/" in name:  # an address of which this server has nothing
            return JSONResponse({"code": "no-such-endpoint"}, 404)
        name = unquote(name)
        found = [device.id for device in self.fleet if device.username == name]
        if not found:
            return JSONResponse({"code": "no-such-user"}, 404)
        return JSONResponse({"user": name, "devices": found})

    async def _device(self, request: Request) -> JSONResponse:
        if refusal := self._refuse(request):
            return refusal
        device = self.fleet.by_id(request.path_params["number"])
        if device is None:
            return JSONResponse({"code": "no-such-device"}, 404)
        what = request.path_params.get("what")
        if what == "posture":
            return JSONResponse(self._posture(device))
        if what == "reasons":
            reasons = list(device.failure_reasons) or ["quarantined"]
            return JSONResponse({"id": device.id, "reasons": reasons})
        return JSONResponse(self._row(device))

    def _answer(
        self, found: list[SimDevice], following: int | None = None, *, full: bool = False
    ) -> JSONResponse:
        rows = [self._row(device) | ({"posture": self._posture(device)} if full else {}) for device in found]
        return JSONResponse({"devices": rows, "next": following})

    def _refuse(self, request: Request) -> JSONResponse | None:
        if request.headers.get("authorization") == "Bearer a-simulated-flat-token":
            return None
        return JSONResponse({"code": "unauthorized"}, 401)

    def _macs(self, device: SimDevice) -> list[str]:
        return [":".join(mac[at : at + 2] for at in range(0, 12, 2)).lower() for mac in device.mac_addresses]

    def _posture(self, device: SimDevice) -> dict[str, Any]:
        word, quarantined = WORDS[device.compliance], False
        if word == "failed":
            word, quarantined = [("failed", False), ("blocked", False), ("ok", True)][device.id % 3]
        return {"id": device.id, "state": word, "quarantined": quarantined}

    def _row(self, device: SimDevice) -> dict[str, Any]:
        seen, zone = device.last_check_in, ZONES[device.id % 3]
        return {
            "id": device.id,
            "serial": device.serial_number,
            "macs": self._macs(device),
            "user": device.username,
            "name": device.name,
            "enrolled": device.registered,
            "encrypted": device.disk_encrypted,
            "passcode": device.passcode_set,
            "jailbroken": device.jailbroken,
            "seen": seen.astimezone(zone).isoformat() if seen else None,
        }
