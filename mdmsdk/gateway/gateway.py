"""What the faces stand on: whom to ask, who may ask, and what is known of the servers."""

from __future__ import annotations

import logging
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import anyio
from starlette.requests import ClientDisconnect

from mdmsdk.errors import StoreError
from mdmsdk.gateway.access import Access, Refusal
from mdmsdk.gateway.journal import Asker, Decided, Journal, oldest
from mdmsdk.gateway.lists import LONGEST, Readings
from mdmsdk.gateway.overrides import Overrides
from mdmsdk.gateway.questions import Narrowed
from mdmsdk.gateway.shared_lists import SharedLists
from mdmsdk.gateway.written import Written
from mdmsdk.identifiers import Key
from mdmsdk.models import Decision

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from anyio.abc import TaskGroup
    from starlette.requests import Request

    from mdmsdk.federation import Answer, AsyncMdmFederation, Heartbeat
    from mdmsdk.gateway.settings import GatewaySettings

__all__ = ["CLOSE", "Gateway"]

_log = logging.getLogger("mdmsdk.gateway")
CLOSE = {"Connection": "close"}
_OVERRIDDEN = {"allow": Decision.COMPLIANT, "deny": Decision.NONCOMPLIANT}
_PLAINLY = Narrowed()
_READ_AND_DROPPED = 16
"""Times the largest body that are read: who still sends when the connection is closed may lose the answer."""
_BEATS_AGE = 15.0
"""Seconds for which what was heard of the servers stands."""


class Gateway:
    """The gateway as its faces see it.

    Attributes:
        federation: whom to ask.
        settings: how.
        access: who may ask.
        overrides: the administrator's word on single devices.
        journal: what was decided.
        readings: of the lists of the ISE face; there while the application runs.
        version: of mdmsdk.
    """

    readings: Readings

    def __init__(self, federation: AsyncMdmFederation, settings: GatewaySettings) -> None:
        self.federation: AsyncMdmFederation = federation
        self.settings: GatewaySettings = settings
        self.access: Access = Access(settings)
        self.overrides: Overrides = Overrides(settings.overrides)
        self.journal: Journal = Journal()
        self.version: str = version("mdmsdk")
        self._judged: Written[tuple[Decision, float | None]] = Written()
        self._plainly: dict[str, Any] = self._narrowed(_PLAINLY)
        self._beats: list[Heartbeat] = []
        self._heard_at = -float("inf")
        self._listening: anyio.Lock | None = None

    def start(self, tasks: TaskGroup) -> None:
        """Begin to run, in the event loop that serves."""
        ise = self.settings.ise
        age, passing = (ise.list_age, ise.passing) if ise else (0.0, frozenset[Decision]())
        shared = None
        if (store := self.federation.store) and store.shared:
            scope = repr((sorted(passing), self.settings.overrides))
            shared = SharedLists(self.federation, store, scope, LONGEST)
        self.readings = Readings(self.federation, tasks, age, passing, self.overrides, shared)
        self._listening = anyio.Lock()

    def client(self, request: Request) -> str:
        """The address that a request comes from."""
        return request.client.host if request.client else ""

    async def lookup(self, asker: Asker, keys: Sequence[Key], how: Narrowed = _PLAINLY) -> Decided:
        """What to make of a device, within the deadline of the gateway at most."""
        began = time.perf_counter()
        chain = keys[0] if len(keys) == 1 else keys
        answer = await self.federation.lookup(chain, **self._options(how))
        return self._decide(asker, keys, answer, began)

    async def lookup_many(
        self, asker: Asker, keys: Sequence[Key | str], how: Narrowed = _PLAINLY
    ) -> AsyncIterator[Decided]:
        """What to make of each of several devices, in order, all within the deadline of the gateway."""
        if len(keys) == 1 and isinstance(key := keys[0], Key):
            yield await self.lookup(asker, [key], how)
            return
        began = time.perf_counter()
        async for answer in self.federation.lookup_many(keys, **self._options(how)):
            yield self._decide(asker, (), answer, began)

    def _decide(self, asker: Asker, keys: Sequence[Key], answer: Answer, began: float) -> Decided:
        """Make a decision of an answer: the one place of all faces."""
        override = self.overrides.of(keys, answer)
        # The cache gives the very same answer again and again.
        decision, said_at = self._judged.of(answer, "", lambda: (answer.decision, oldest(answer)))
        if override:
            decision = _OVERRIDDEN[override.decision]
        taken = time.perf_counter() - began
        decided = Decided(time.time(), asker, answer, decision, taken, override, said_at)
        self.journal.note(decided)
        if _log.isEnabledFor(logging.DEBUG):
            extra = {"face": asker.face, "decision": decision.value}
            _log.debug("%s: %s", asker.face, decision, extra=extra)
        return decided

    def _options(self, how: Narrowed) -> Any:
        """How the federation is asked."""
        return self._narrowed(how) if how.model_fields_set else self._plainly

    def _narrowed(self, how: Narrowed) -> dict[str, Any]:
        most = self.settings.deadline
        return {
            "servers": how.servers,
            "deadline": min(how.deadline or most, most),
            "fresh": how.fresh,
            "max_age": how.max_age,
        }

    async def body(self, request: Request) -> bytes:
        """The body of a request.

        Raises:
            Refusal: it is too large, or does not come.
        """
        most = self.settings.max_body
        too_large = Refusal(413, f"a body has at most {most} bytes", headers=CLOSE)
        told = request.headers.get("content-length", "")
        # Who asks first whether to send a body, or means to send a huge one, is told at once.
        if told.isdecimal() and int(told[:20]) > most * (
            1 if "expect" in request.headers else _READ_AND_DROPPED
        ):
            raise too_large
        try:
            with anyio.fail_after(self.settings.deadline):
                body = await _read(request, most)
        except TimeoutError:
            raise Refusal(408, "the body did not come", headers=CLOSE) from None
        except ClientDisconnect:
            raise Refusal(400, "the client went away") from None
        if body is None:
            raise too_large
        return body

    async def store_works(self) -> bool | None:
        """Whether the store answers; None where there is none that others use as well."""
        store = self.federation.store
        if store is None or not store.shared:
            return None
        try:
            await store.get("gateway")
        except StoreError:
            return False
        return True

    async def beats(self) -> list[Heartbeat]:
        """What is known of the servers, at most some seconds old."""
        if self._listening is None:
            return await self.federation.heartbeat()
        async with self._listening:
            if time.monotonic() - self._heard_at > _BEATS_AGE:
                self._beats = await self.federation.heartbeat()
                self._heard_at = time.monotonic()
        return self._beats


async def _read(request: Request, most: int) -> bytes | None:
    """A body; None if it is too large."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= most:
            parts.append(part)
        elif size > most * _READ_AND_DROPPED:
            break
    return b"".join(parts) if size <= most else None
