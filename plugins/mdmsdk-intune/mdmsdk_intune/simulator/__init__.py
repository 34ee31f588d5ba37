"""A local tenant: Entra ID, Microsoft Graph and the Compliance Retrieval service, in one server over https.

Graph is at ``https://127.0.0.1:PORT``; the login authority and the Compliance Retrieval service, which do not
stand on Graph's host in reality either, at ``https://localhost:PORT``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mdmsdk.simulator import Fleet, SimDevice, Simulator, TlsFiles
from mdmsdk.simulator.base import not_simulated
from mdmsdk_intune.simulator.entra import GRAPH, INTUNE, Entra
from mdmsdk_intune.simulator.graph import SERVICE_PATH, Graph, lookup_macs
from mdmsdk_intune.simulator.habits import IntuneHabits
from mdmsdk_intune.simulator.retrieval import Retrieval, compliant_text
from mdmsdk_intune.simulator.tls import local_files

__all__ = ["IntuneHabits", "IntuneIseSimulator", "IntuneSimulator"]

_VERSION: Final = "/v1.0"


class IntuneSimulator(Simulator[IntuneHabits]):
    """One tenant of Intune.

    Attributes:
        entra: Its login authority, which counts the tokens that it gives.
        graph: Its part of Microsoft Graph.
        retrieval: Its Compliance Retrieval service.
    """

    name: ClassVar[str] = "intune"
    habits_type: ClassVar[type[IntuneHabits]] = IntuneHabits
    takes: ClassVar[Mapping[str, frozenset[str]]] = {
        "/managedDevices": frozenset({"$filter", "$select", "$top", "$skiptoken"}),
        r"/managedDevices(/[^/]+|\('[^/]+'\))": frozenset({"$select"}),
        "/mdminfo/": frozenset({"ise_api_version"}),
        "/cisco/devices/": frozenset({"paging", "querycriteria", "value", "deviceidentifier", "filter"}),
    }

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare the servers.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Fields of `IntuneHabits` that differ from their defaults.
        """
        super().__init__(fleet, **habits)
        self.entra, self.graph, self.retrieval = Entra(), Graph(), Retrieval()

    def tls(self) -> TlsFiles:
        """Give the files to serve it with; a program has one authority for all its simulators."""
        return TlsFiles(*local_files())

    def register(self, certificate: Path) -> bool:
        """Register a certificate for the application."""
        text = certificate.read_text(encoding="utf-8")
        self.behave(certificates=(*self.habits.certificates, text))
        return True

    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server."""
        return {
            "provider": self.name,
            "tenant_id": self.habits.tenant_id,
            "client_id": self.habits.client_id,
            "client_secret": self.habits.client_secret,
            "graph_url": origin,
            "authority_url": origin.replace("127.0.0.1", "localhost"),
        }

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers by which Intune knows a record; `id` is the Entra device id."""
        macs = lookup_macs(device)
        known = {
            **super().identifiers(device),
            "mac": macs[0] if macs else "",
            "id": device.directory_id or "",
            "username": device.email,
        }
        return {kind: value for kind, value in known.items() if value}

    def routes(self) -> Sequence[Route]:
        """Give the routes of all three."""
        tenant = "/{tenant}"
        return [
            Route(f"{tenant}/v2.0/.well-known/openid-configuration", self._describe),
            Route(f"{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
            Route(f"{tenant}/oauth2/token", self._token, methods=["POST"]),
            Route(f"{SERVICE_PATH}/ciscoise/mdminfo/", self._server_info),
            Route(f"{SERVICE_PATH}/cisco/devices/", self._compliance),
            Route(f"{_VERSION}/$batch", self._batch, methods=["POST"]),
            Route(f"{_VERSION}/{{path:path}}", self._graph),
        ]

    async def _describe(self, request: Request) -> Response:
        status, body = self.entra.describe(self.habits, request.path_params["tenant"], _origin(request))
        return JSONResponse(body, status)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        host, old = self.habits.token_host or _origin(request), not request.url.path.endswith("/v2.0/token")
        status, body = self.entra.token(self.habits, request.path_params["tenant"], form, host, old=old)
        return JSONResponse(body, status, {"Cache-Control": "no-store, no-cache"})

    async def _graph(self, request: Request) -> Response:
        if self._audience(request) != GRAPH:
            return _no_token()
        target = request.url.path.removeprefix(_VERSION)
        query = request.scope["query_string"].decode("ascii")
        status, body, headers = self._answer(request, f"{target}?{query}" if query else target)
        return JSONResponse(body, status, headers)

    async def _batch(self, request: Request) -> Response:
        if self._audience(request) != GRAPH:
            return _no_token()
        try:
            asked = json.loads(await request.body())
        except ValueError:
            asked = None
        status, body, headers = self.graph.batch(
            asked, self.habits, lambda target: self._answer(request, target)
        )
        return JSONResponse(body, status, headers)

    def _answer(self, request: Request, target: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        return self.graph.answer(self.fleet, self.habits, target, _origin(request), self.not_taken)

    def refusal(self, names: Sequence[str]) -> Response:
        """Refuse parameters that are not implemented, as Graph writes errors."""
        return JSONResponse({"error": {"code": "BadRequest", "message": not_simulated(*names)}}, 400)

    async def _server_info(self, request: Request) -> Response:
        refused = self._refuse(request)
        return refused or _xml(self.retrieval.describe(self.habits))

    async def _compliance(self, request: Request) -> Response:
        refused = self._refuse(request)
        return refused or _xml(self.retrieval.devices(self.fleet, self.habits, dict(request.query_params)))

    def _refuse(self, request: Request) -> Response | None:
        if self._audience(request) != INTUNE:
            return Response("the token is for another audience", 401, media_type="text/plain")
        if "get_device_compliance" not in self.habits.permissions:
            return Response("the application has no such role", 403, media_type="text/plain")
        return None

    def _audience(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.entra.audience_of(token) if scheme.lower() == "bearer" else None


class IntuneIseSimulator(IntuneSimulator):
    """The same tenant, for the provider that only asks the Compliance Retrieval service."""

    name: ClassVar[str] = "intune-ise"

    def verdict(self, device: SimDevice) -> str:
        """Give the state that a boolean and `register_status` leave."""
        text = compliant_text(device, self.habits)
        if text == "false":
            return "noncompliant"
        return "compliant" if text == "true" and device.registered else "unknown"

    def check_in(self, device: SimDevice) -> None:
        """The service tells none."""


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _no_token() -> Response:
    error = {
        "code": "InvalidAuthenticationToken",
        "message": "Access token is missing, expired or for another API.",
    }
    return JSONResponse({"error": error}, 401)


def _xml(answer: tuple[int, str]) -> Response:
    status, text = answer
    return Response(text, status, media_type="application/xml")
