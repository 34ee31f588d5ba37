"""The REST face: lookups, lists and servers, in the JSON of the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NotRequired

from starlette.responses import PlainTextResponse, Response, StreamingResponse
from typing_extensions import TypedDict

from mdmsdk.errors import InvalidIdentifierError, MdmError
from mdmsdk.federation.rows import DeviceRow, HeartbeatRow, device_row, heartbeat_row
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.journal import DecidedRow, JournalRow, decided_row, journal_row
from mdmsdk.gateway.lists import offending, records
from mdmsdk.gateway.openapi import describe
from mdmsdk.gateway.operations import JSON, NDJSON, Operation
from mdmsdk.gateway.problems import Problem, problem_of
from mdmsdk.gateway.questions import Named, Narrowed, OfServers, Question, key_of
from mdmsdk.gateway.written import Written
from mdmsdk.identifiers import KEY_KINDS, Key, parse_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from mdmsdk.gateway.gateway import Gateway
    from mdmsdk.gateway.journal import Decided
    from mdmsdk.gateway.operations import Asked
    from mdmsdk.models import Device

__all__ = ["HEALTH", "description", "health", "rest_face"]

HEALTH = "/healthz"


class Ready(TypedDict):
    """Whether the gateway can answer.

    Attributes:
        ready: whether at least one server answers.
        servers: how many there are.
        answering: how many of them answer.
        store: whether the store answers, where there is one that others use as well.
    """

    ready: bool
    servers: int
    answering: int
    store: NotRequired[bool]


class End(TypedDict):
    """How a stream of lines ended.

    Attributes:
        complete: whether nothing is missing.
        lines: how many came before this one.
        error: why something is missing.
    """

    complete: bool
    lines: int
    error: Problem | None


class LastLine(TypedDict):
    """The last line of each stream. A stream without it was cut off.

    Attributes:
        end: how the stream ended.
    """

    end: End


def rest_face(gateway: Gateway) -> list[Operation]:
    """The requests of the face."""
    served = _Face(gateway)
    devices = {NDJSON: DeviceRow | LastLine}
    return [
        Operation(
            path="/v1/devices/{kind}/{value}",
            serve=served.device,
            scope="lookup",
            place=Named,
            question=Narrowed,
            answers={JSON: DecidedRow},
        ),
        Operation(
            path="/v1/lookup",
            serve=served.lookup,
            scope="lookup",
            method="POST",
            question=Question,
            answers={JSON: DecidedRow, NDJSON: DecidedRow | LastLine},
        ),
        Operation(
            path="/v1/noncompliant",
            serve=served.noncompliant,
            scope="lists",
            question=OfServers,
            answers=devices,
        ),
        Operation(
            path="/v1/devices", serve=served.devices, scope="lists", question=OfServers, answers=devices
        ),
        Operation(
            path="/v1/servers", serve=served.servers, scope="servers", answers={JSON: list[HeartbeatRow]}
        ),
        Operation(
            path="/v1/decisions",
            serve=served.decisions,
            scope="decisions",
            answers={JSON: list[JournalRow]},
        ),
    ]


def health(gateway: Gateway) -> list[Operation]:
    """What needs no key and names no server."""

    async def alive(_: Asked) -> Response:
        """Say that the gateway runs."""
        return PlainTextResponse("ok\n")

    async def ready(_: Asked) -> Response:
        """Say whether at least one server answers; 503 where none does."""
        beats = await gateway.beats()
        answering = sum(beat.ok for beat in beats)
        found: Ready = {"ready": answering > 0, "servers": len(beats), "answering": answering}
        if (works := await gateway.store_works()) is not None:
            found["store"] = works
        return _json(found, 200 if answering else 503)

    return [
        Operation(path=HEALTH, serve=alive, answers={"text/plain": str}),
        Operation(path="/readyz", serve=ready, answers={JSON: Ready}, statuses=(200, 503)),
    ]


def description(operations: Sequence[Operation]) -> Operation:
    """The request that gives the description of the others, and of itself."""
    kept: list[Response] = []

    async def openapi(_: Asked) -> Response:
        """Describe what can be asked, as OpenAPI 3.1."""
        if not kept:
            kept.append(_json(describe([*operations, operation])))
        return kept[0]

    operation = Operation(path="/openapi.json", serve=openapi, answers={JSON: dict[str, Any]})
    return operation


class _Face:
    """Answers of the REST face."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._written: Written[bytes] = Written()

    async def device(self, asked: Asked) -> Response:
        """Look one device up.

        All servers are asked for the key, unless an answer is kept that is young enough.
        """
        return await self._one(asked, [asked.place.value], KEY_KINDS[asked.place.kind])

    async def lookup(self, asked: Asked) -> Response:
        """Look up by several identifiers of one device, or look many devices up.

        A `chain` gives one answer as JSON: its identifiers are asked for in order, the next one only where
        every server that could know the one before says that it does not. `keys` give a line each, in their
        order.
        """
        question: Question = asked.question
        if question.chain:
            return await self._one(asked, question.chain, parse_key)
        decisions = self._gateway.lookup_many(asked.asker, question.keys, question)
        return await _stream(decided_row(decided) async for decided in decisions)

    async def _one(self, asked: Asked, texts: Sequence[str], parse: Callable[[str], Key]) -> Response:
        decided = await self._gateway.lookup(asked.asker, _keys(texts, parse), asked.question)
        if decided.override:
            return _json(decided_row(decided))
        row = self._written.of(decided.answer, "", lambda: _without_age(decided))
        return Response(b'%s,"age":%r}' % (row, decided.age), media_type=JSON)

    async def noncompliant(self, asked: Asked) -> Response:
        """List the devices that do not comply, or are denied by an override.

        A line for each, page by page as the servers give them, and a last line that says whether the list is
        whole.
        """
        gateway, servers = self._gateway, asked.question.servers
        return await self._list(offending(gateway.federation, gateway.overrides, servers))

    async def devices(self, asked: Asked) -> Response:
        """List all records, those of devices that an override denies as denied.

        A line for each, page by page as the servers give them, and a last line that says whether the list is
        whole.
        """
        gateway, servers = self._gateway, asked.question.servers
        return await self._list(records(gateway.federation, gateway.overrides, servers))

    async def _list(self, devices: AsyncIterator[Device]) -> Response:
        return await _stream(device_row(device) async for device in devices)

    async def servers(self, _: Asked) -> Response:
        """Say whether each server is there; what was heard some seconds ago counts."""
        return _json([heartbeat_row(beat) for beat in await self._gateway.beats()])

    async def decisions(self, _: Asked) -> Response:
        """List the newest decisions of both faces, the last one first."""
        return _json([journal_row(decided) for decided in self._gateway.journal.newest()])


async def _stream(rows: AsyncIterator[Mapping[str, Any]]) -> Response:
    """An answer line by line. What fails before the first line is an error of the whole."""
    first = await anext(rows, None)

    async def lines() -> AsyncIterator[bytes]:
        count, failure = 0, None
        if first is not None:
            yield _line(first)
            count = 1
            try:
                async for row in rows:
                    yield _line(row)
                    count += 1
            except (MdmError, Refusal) as error:
                failure = problem_of(error)
        yield _line({"end": {"complete": failure is None, "lines": count, "error": failure}})

    return StreamingResponse(lines(), media_type=NDJSON)


def _without_age(decided: Decided) -> bytes:
    """The JSON of an answer up to its age, which is another one each time."""
    row = {name: value for name, value in decided_row(decided).items() if name != "age"}
    return _line(row).removesuffix(b"}\n")


def _json(content: Any, status: int = 200) -> Response:
    return Response(_encoded(content), status, media_type=JSON)


def _line(row: Mapping[str, Any]) -> bytes:
    return _encoded(row) + b"\n"


def _encoded(content: Any) -> bytes:
    # Half a character, as a server's words may hold it, is shown as a question mark.
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _keys(texts: Sequence[str], parse: Callable[[str], Key]) -> list[Key]:
    try:
        return [key_of(parse, text) for text in texts]
    except InvalidIdentifierError as error:
        raise Refusal(400, error.message, error.hint or "") from None
