"""A local server of the shelf API, strict where a real one would be."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mdmsdk.simulator import Fleet, SimDevice, Simulator

CONDITION = re.compile(r"(\w+) eq '((?:[^'\\]|\\.)*)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfHabits:
    """How the server behaves.

    Attributes:
        page_cap: items in one answer, however many are asked for.
    """

    api_key: str = "simulated-shelf-key"
    page_cap: int = 50


class ShelfSimulator(Simulator[ShelfHabits]):
    """A local server of the shelf API."""

    name = "shelf"
    habits_type = ShelfHabits

    def settings(self, origin: str) -> dict[str, Any]:
        return {"provider": "shelf", "base_url": origin, "api_key": self.habits.api_key}

    def verdict(self, device: SimDevice) -> str:
        """Retired items are not in the lists, and nobody judges them."""
        return super().verdict(device)

    def routes(self) -> list[Route]:
        return [
            Route("/api/info", self._info),
            Route("/api/items", self._items),
            Route("/api/items/{rest:path}", self._item),
        ]

    async def _info(self, request: Request) -> JSONResponse:
        return self._refuse(request) or JSONResponse({"product": "Shelf", "build": "3.1"})

    async def _items(self, request: Request) -> JSONResponse:
        if refusal := self._refuse(request):
            return refusal
        asked = request.query_params
        parts = [part for part in asked.get("filter", "").split(" or ") if part]
        conditions = [match for part in parts if (match := CONDITION.fullmatch(part))]
        if len(conditions) < len(parts):
            return JSONResponse({"code": "1001"}, 400)
        rows = [self._row(device) for device in self.fleet]
        if conditions:
            rows = [row for row in rows if any(self._holds(row, *match.groups()) for match in conditions)]
            if not {"hw", "host"} & {match[1] for match in conditions}:
                rows = [row for row in rows if row["enrolled"]]
        start, count = int(asked.get("start", "0")), int(asked.get("count", "25"))
        shown = rows[start : start + min(count, self.habits.page_cap)]
        return JSONResponse({"items": shown, "total": len(rows)})

    def _holds(self, row: dict[str, Any], name: str, text: str) -> bool:
        """Whether a condition holds: `*` stands for anything unless there is a backslash before it."""
        pattern = re.sub(r"\\(.)|([*])|(.)", _as_glob, text, flags=re.DOTALL)
        value = row[name]
        values = (
            value if isinstance(value, list) else [str(value).lower() if isinstance(value, bool) else value]
        )
        return any(fnmatchcase(str(one), pattern) for one in values)

    async def _item(self, request: Request) -> JSONResponse:
        if refusal := self._refuse(request):
            return refusal
        name = unquote(request.scope["raw_path"].decode().removeprefix("/api/items/"))
        device = next((device for device in self.fleet if str(device.id) == name), None)
        return JSONResponse(self._row(device)) if device else JSONResponse({"code": 1002}, 404)

    def _refuse(self, request: Request) -> JSONResponse | None:
        if request.headers.get("authorization") == f"Key {self.habits.api_key}":
            return None
        return JSONResponse({"code": 1000}, 401)

    def _row(self, device: SimDevice) -> dict[str, Any]:
        word, seen = device.compliance, device.last_check_in
        bad = word == "noncompliant"
        return {
            "id": device.id,
            "host": device.hostname,
            "hw": ["-".join(mac[at : at + 2] for at in range(0, 12, 2)) for mac in device.mac_addresses],
            "owner": device.username,
            "enrolled": int(device.registered),
            # An item that is locked may have been fine otherwise.
            "ok": None if word == "unknown" else not bad or device.id % 2 == 0,
            "locked": bad and device.id % 2 == 0,
            "grace": word == "grace",
            "why": list(device.failure_reasons),
            "encrypted": device.disk_encrypted,
            "pin": device.passcode_set,
            "rooted": device.jailbroken,
            "contact": int(seen.timestamp() * 1000) if seen else 0,
        }


def _as_glob(match: re.Match[str]) -> str:
    literal = match[1] or match[3]
    return "*" if literal is None else f"[{literal}]" if literal in "*?[" else literal


__all__ = ["Fleet", "ShelfSimulator"]
