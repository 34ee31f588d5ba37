"""A gateway over one vendor's simulator that plays the simulator of our own `ise` provider."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.routing import Mount

from mdmsdk.client.aio import AsyncMdmClient
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.gateway import GatewaySettings, app
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.registry import load_provider
from mdmsdk.simulator import Simulator, serve
from tests.gateway.conftest import LOGIN
from tests.vendors.relay import unlimited

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send

    from mdmsdk.gateway.asgi import Door
    from mdmsdk.simulator import Fleet, SimDevice

_PATIENT = {"timeout": 20.0, "deadline": 20.0, "list_patience": 20.0}
_POLICY = {**_PATIENT, "attempts": 1, "breaker_failures": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How the gateway behaves.

    Attributes:
        small_pages: A page of a list has three devices.
    """

    small_pages: bool = False


class GatewaySimulator(Simulator[Habits]):
    """The ISE face of a gateway. Its fleet is that of the simulator behind it, whose faults are its own.

    Attributes:
        behind: The vendor's simulator.
    """

    name: ClassVar[str] = "ise"
    habits_type: ClassVar[type[Habits]] = Habits

    def __init__(self, behind: Simulator[Any], **habits: Any) -> None:
        self.behind = behind
        self._doors: dict[bool, Door] = {}
        self._keys = load_provider(behind.name).keys
        super().__init__(behind.fleet, **habits)

    @property
    def fleet(self) -> Fleet:  # one and the same for both
        return self.behind.fleet

    @fleet.setter
    def fleet(self, fleet: Fleet) -> None:
        self.behind.fleet = fleet

    def routes(self) -> Sequence[BaseRoute]:
        return [Mount("/", self._serve)]

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        with ExitStack() as stack:
            running = stack.enter_context(serve(self.behind))
            provider = unlimited(running, policy=_POLICY)
            async with AsyncMdmFederation([AsyncMdmClient(provider, server="behind")]) as federation:
                usual, small = (app(federation, _settings(size)) for size in (500, 3))
                async with usual.lifespan(), small.lifespan():
                    self._doors = {False: usual, True: small}
                    yield

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._doors[self.habits.small_pages](scope, receive, send)

    def settings(self, origin: str) -> dict[str, Any]:
        return {"provider": "ise", "base_url": origin, "username": LOGIN[0], "password": LOGIN[1]}

    def identifiers(self, device: SimDevice) -> dict[str, str]:
        """Those by which the server behind can be asked.

        None of a device that left, which is as if the gateway had never known it.
        """
        known = self.behind.identifiers(device).items() if device.registered else ()
        return {kind: value for kind, value in known if KEY_KINDS.get(kind) in self._keys}

    def verdict(self, device: SimDevice) -> str:
        """A pass or not: a controller knows no third."""
        return "compliant" if self.behind.verdict(device) == "compliant" else "noncompliant"

    def check_in(self, device: SimDevice) -> datetime | None:
        return self.behind.check_in(device)


def _settings(page_size: int) -> GatewaySettings:
    ise = {"username": LOGIN[0], "password": LOGIN[1], "page_size": page_size, "list_age": 0}
    return GatewaySettings.model_validate({"ise": ise, "rate": 1e6, "deadline": 30})
