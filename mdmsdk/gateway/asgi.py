"""The ASGI application: the faces, behind one door."""

from __future__ import annotations

import logging
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
from starlette.exceptions import HTTPException
from starlette.routing import Router

from mdmsdk._run.telemetry import Served, is_watched
from mdmsdk.errors import MdmError
from mdmsdk.gateway.access import Refusal, Room
from mdmsdk.gateway.audit import audited
from mdmsdk.gateway.clients import Networks, behind
from mdmsdk.gateway.gateway import CLOSE, Gateway
from mdmsdk.gateway.ise import ise_face
from mdmsdk.gateway.page import page
from mdmsdk.gateway.problems import failed, refused, refused_plainly
from mdmsdk.gateway.rest import HEALTH, description, health, rest_face

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from mdmsdk.federation import AsyncMdmFederation
    from mdmsdk.gateway.metrics import Metrics
    from mdmsdk.gateway.settings import GatewaySettings

__all__ = ["CROWDED", "HEADERS", "MOST_HEADERS", "Door", "build"]

_log = logging.getLogger("mdmsdk.gateway")
_access = logging.getLogger("mdmsdk.gateway.access")
_HTTP = {"1.0", "1.1", "2", "3"}
_FACE = "mdmsdk.face"
_NO_ROUTE = {404: "there is nothing at this path", 405: "this path does not take this method"}
_IN_PATHS = "/!$&'()*+,;=:@~"
"""What stands in a path as it is, https://www.rfc-editor.org/rfc/rfc3986#section-3.3."""
MOST_HEADERS = 32 * 1024
CROWDED = "crowded"
"""Stands in the state of a request whose connection is one too many, and says what `Room` there is."""
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


def build(federation: AsyncMdmFederation, settings: GatewaySettings) -> Door:
    """The application over a federation."""
    gateway = Gateway(federation, settings)
    metrics = _measured(gateway)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        with audited(gateway.journal, settings.audit, metrics.lost if metrics else None):
            async with anyio.create_task_group() as tasks:
                gateway.start(tasks)
                if metrics:
                    tasks.start_soon(metrics.keep)
                yield
                tasks.cancel_scope.cancel()

    operations = rest_face(gateway) if settings.rest else []
    operations += health(gateway)
    if settings.rest:
        operations.append(description(operations))
    # They are tried in order: what is asked most comes first.
    routes = [one.route(gateway, settings.rest) for one in operations]
    routes[1:1] = ise_face(gateway, settings.ise) if settings.ise else []
    if settings.rest and settings.rest.page:
        routes += page(settings.workers)
    if metrics:
        routes.append(metrics.route())
    return Door(Router(routes, redirect_slashes=False, lifespan=lifespan), gateway, metrics)


def _measured(gateway: Gateway) -> Metrics | None:
    """The metrics of a gateway, if they are wanted."""
    if gateway.settings.metrics == "off":
        return None
    from mdmsdk.gateway.metrics import Metrics

    metrics = Metrics(gateway)
    gateway.journal.listeners.append(metrics)
    return metrics


class Door:
    """Lets requests in by where they come from, and says nothing of the house in its headers."""

    def __init__(self, inner: Router, gateway: Gateway, metrics: Metrics | None) -> None:
        self._inner = inner
        self._metrics = metrics
        self._gateway = gateway
        self._proxies = Networks(gateway.settings.proxies)
        ise = gateway.settings.ise
        self._ise = f"{ise.instance if ise else ''}/ciscoise/"

    def lifespan(self) -> AbstractAsyncContextManager[Any]:
        """While this is entered, the application runs; for a server that does not speak of lifespans."""
        return self._inner.lifespan_context(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        # A route is the path as it was sent: encoded in another way, it is another path.
        face = self._face_of(_inside(scope, scope["path"]))
        scope = {**scope, "path": _inside(scope, _sent(scope)), "root_path": "", _FACE: face, "app": self}
        if self._proxies and (client := scope.get("client")):
            scope["client"] = behind(self._proxies, client[0], scope["headers"]), client[1]
        if not is_watched():
            await self._serve(scope, receive, send)
            return
        with Served(scope["method"], scope["headers"], scope[_FACE]) as seen:
            await self._serve(scope, receive, send, seen)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, seen: Served | None = None) -> None:
        began, answering = time.perf_counter(), False

        async def answer(message: Any) -> None:
            nonlocal answering
            if message["type"] == "http.response.start":
                answering = True
                self._note(scope, message["status"], began)
                if seen:
                    seen.responded(message["status"])
                message = {**message, "headers": [*message["headers"], *HEADERS, *more]}
            await send(message)

        room = scope.get("state", {}).get(CROWDED, Room.ENOUGH)
        more = [] if room is Room.ENOUGH else [(b"connection", b"close")]
        client = (scope.get("client") or ("",))[0]
        try:
            if scope["path"] == HEALTH:
                # Who restarts what is dead has to hear that this is only busy.
                self._gateway.access.admit_to_health(client)
            else:
                self._gateway.access.admit(client)
                _check_room(room)
            _check_headers(scope)
            await self._inner(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the server would log its words and its trace
            if not answering:
                await _told(scope, error)(scope, receive, answer)
            else:
                _log_fault(error)

    def _note(self, scope: Scope, status: int, began: float) -> None:
        """Count a response, and log it without its path, which may name a device."""
        if self._metrics:
            self._metrics.responded(scope[_FACE], status)
        if _access.isEnabledFor(logging.INFO):
            face, client = scope[_FACE], (scope.get("client") or ("",))[0]
            took = round((time.perf_counter() - began) * 1000, 1)
            told = {"face": face, "client": client, "status": status, "elapsed_ms": took}
            _access.info("%s: %d", face, status, extra=told)

    def _face_of(self, path: str) -> str:
        """The face that a path, which was decoded, means or would like to mean."""
        if path.startswith("/v1/"):
            return "rest"
        if path.startswith(self._ise):
            return "ise"
        plain = re.sub(r"[/\\]+", "/", f"/{path}".lower())
        return "ise" if plain.startswith(self._ise.lower()) else "other"


def _sent(scope: Scope) -> str:
    """The path of a request as it was sent; as it has to be sent, where the server does not tell."""
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"], safe=_IN_PATHS) if raw is None else raw.decode("latin-1")


def _inside(scope: Scope, path: str) -> str:
    """A path below the one at which another application has this one."""
    root = scope.get("root_path", "")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


def _check_room(room: Room) -> None:
    """Refuse a request on a connection above those that there may be."""
    if room is not Room.ENOUGH:
        status = 503 if room is Room.TOO_MANY else 429
        raise Refusal(status, room.value, headers={"Retry-After": "10"})


def _check_headers(scope: Scope) -> None:
    """Refuse large headers, and a request that another program on its way may see end somewhere else.

    A server bounds what it waits for, and not what comes at once.

    Source: https://www.rfc-editor.org/rfc/rfc9112#section-6.1
    """
    if scope["http_version"] not in _HTTP:
        raise Refusal(505, "this version of HTTP is not spoken", headers=CLOSE)
    size, chunked, counted = 0, False, False
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        chunked = chunked or name == b"transfer-encoding"
        counted = counted or name == b"content-length"
    if chunked and (counted or scope["http_version"] == "1.0"):
        raise Refusal(400, "a request ends in one place", headers=CLOSE)
    if size > MOST_HEADERS:
        raise Refusal(431, f"all headers together have at most {MOST_HEADERS} bytes")


def _in_format(scope: Scope, refusal: Refusal) -> Response:
    return refused_plainly(refusal) if scope[_FACE] == "ise" else refused(refusal)


def _told(scope: Scope, error: Exception) -> Response:
    """What a client learns of an error; a network access controller, only that there is no answer."""
    if isinstance(error, Refusal):
        return _in_format(scope, error)
    if isinstance(error, HTTPException):
        title = _NO_ROUTE.get(error.status_code, error.detail)
        return _in_format(scope, Refusal(error.status_code, title, headers=error.headers))
    if isinstance(error, MdmError):
        return refused_plainly(Refusal(503, "no answer")) if scope[_FACE] == "ise" else failed(error)
    # Who is told of a fault finds it in the log.
    _log_fault(error)
    return _in_format(scope, Refusal(500, "a fault of the gateway", "Report it."))


def _log_fault(error: Exception) -> None:
    """Log a fault without its words, which may name a device."""
    _log.error("a fault of the gateway: %s", type(error).__name__)
