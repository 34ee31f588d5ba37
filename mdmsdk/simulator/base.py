"""What all simulators share: an application over a fleet, a log of its requests, and faults to inject."""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mdmsdk.simulator._inject import Injector
from mdmsdk.simulator.faults import Faults
from mdmsdk.simulator.fleet import Fleet, SimDevice
from mdmsdk.simulator.recording import ReceivedRequest, RequestLog

__all__ = ["Simulator", "not_simulated"]

HabitsT = TypeVar("HabitsT")
_NO_ANSWER = 300  # and above: redirections and refusals


def not_simulated(*names: str) -> str:
    """Say in an error's text what the simulator does not implement."""
    return f"the simulator does not implement {', '.join(names)}"


class Simulator(ABC, Generic[HabitsT]):
    """A local server of one vendor's API.

    A subclass names its provider and its habits, and gives routes. Tests reach in from their own thread: they
    read `requests`, add to `faults`, set `fleet` to another one, or call `behave`; the next request sees it.

    A server that passes over a parameter which it does not know hides the client's mistake. So a simulator
    says in `takes` which parameters it implements, and refuses a request that has others.

    Attributes:
        name: Entry-point name of the provider that speaks this API.
        habits_type: Frozen dataclass of the switches, all with defaults.
        takes: Names of query parameters, by a regular expression for the end of the path; a path that fits
            none takes none. None: the simulator looks after its parameters itself.
        fleet: The devices that the server knows.
        habits: How the server behaves.
        requests: What came in.
        faults: What is to go wrong below the protocol.
    """

    name: ClassVar[str]
    habits_type: ClassVar[type[Any]]
    takes: ClassVar[Mapping[str, frozenset[str]] | None] = None

    def __init__(self, fleet: Fleet | None = None, **habits: Any) -> None:
        """Prepare a server.

        Args:
            fleet: Devices; by default the 200 that `Fleet.generate` invents.
            **habits: Switches that differ from their defaults.
        """
        self.fleet: Fleet = Fleet.generate() if fleet is None else fleet
        self.habits: HabitsT = self.habits_type(**habits)
        self.requests: RequestLog = RequestLog()
        self.faults: Faults = Faults()
        self._app: ASGIApp | None = None

    @property
    def app(self) -> ASGIApp:
        """The ASGI application; one and the same at each access."""
        if self._app is None:
            router = Starlette(routes=list(self.routes()), lifespan=lambda _: self.lifespan())
            # A vendor's server decides itself what the other slash form of a path gets.
            router.router.redirect_slashes = False
            self._app = _Gate(self, router)
        return self._app

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Hold what the routes need as long as the server runs, such as clients of other servers."""
        yield

    @abstractmethod
    def routes(self) -> Sequence[BaseRoute]:
        """Give the routes of the API."""

    @abstractmethod
    def settings(self, origin: str) -> dict[str, Any]:
        """Give what an administrator writes into `mdm.toml` for this server.

        Args:
            origin: Scheme, host and port at which it listens.
        """

    def not_taken(self, path: str, names: Iterable[str]) -> list[str]:
        """Give those of the names of query parameters that the simulator does not implement for a path."""
        if self.takes is None:
            return []
        taken = next(
            (taken for end, taken in self.takes.items() if re.search(f"(?:{end})$", path)), frozenset()
        )
        return sorted(set(names) - taken)

    def refusal(self, names: Sequence[str]) -> Response:
        """Give the answer to a request with parameters that the simulator does not implement.

        Args:
            names: Those parameters.
        """
        return JSONResponse({"error": not_simulated(*names)}, 400)

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Give the identifiers by which this server knows a record, by kind of key, as a client writes them.

        Kinds that the vendor does not have may stay in; the provider says which of them it can ask for.
        """
        known = {
            "mac": device.mac_addresses[0] if device.mac_addresses else None,
            "udid": device.udid,
            "guid": device.guid,
            "serial": device.serial_number,
            "imei": device.imei,
            "meid": device.meid,
            "hostname": device.hostname,
            "username": device.username,
            "id": str(device.id),
        }
        return {kind: value for kind, value in known.items() if value}

    def verdict(self, device: SimDevice) -> str:
        """Give the compliance state that a careful client must read from this server's record of a device.

        Nobody judges a retired device any more, so that its last good state is none.
        """
        return device.compliance if device.registered or device.compliance == "noncompliant" else "unknown"

    def register(self, certificate: Path) -> bool:  # noqa: ARG002 - most vendors know no such login
        """Let the owner of a certificate log in.

        Args:
            certificate: A PEM file.

        Returns:
            Whether this vendor's server knows such a login.
        """
        return False

    def check_in(self, device: SimDevice) -> datetime | None:
        """Give the last check-in that a careful client must read from this server's record of a device.

        None where the server does not tell it.
        """
        return device.last_check_in

    def behave(self, **changes: Any) -> None:
        """Change some habits of a server, running or not."""
        self.habits = dataclasses.replace(self.habits, **changes)  # type: ignore[type-var]  # always a dataclass


class _Gate:
    """Logs every request and lets a fault take it before the vendor's routes do."""

    def __init__(self, simulator: Simulator[Any], app: ASGIApp) -> None:
        self._simulator = simulator
        self._app = app
        self._inject = Injector(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = ReceivedRequest.from_scope(scope)
        self._simulator.requests.append(request)
        fault = self._simulator.faults.take(request)
        unknown = self._simulator.not_taken(request.path, (name for name, _ in request.query))
        if unknown:
            send = _Instead(send, scope, self._simulator.refusal(unknown))
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._inject(fault, scope, receive, send)


class _Instead:
    """Sends another answer in place of a good one; what is refused anyway stays as it is."""

    def __init__(self, send: Send, scope: Scope, answer: Response) -> None:
        self._send, self._scope, self._answer = send, scope, answer
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < _NO_ANSWER:
            self._replaced = True
            await self._answer(self._scope, _nothing, self._send)
        elif not self._replaced:
            await self._send(message)


async def _nothing() -> Message:
    return {"type": "http.request"}
