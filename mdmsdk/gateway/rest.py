"""The REST face: lookups, lists and servers, in the JSON of the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError, model_validator
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mdmsdk.errors import InvalidIdentifierError, MdmError
from mdmsdk.federation.rows import device_row, heartbeat_row
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.journal import Asker, decided_row, journal_row
from mdmsdk.gateway.problems import problem_of
from mdmsdk.identifiers import KEY_KINDS, Key, parse_key
from mdmsdk.models import FrozenModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.requests import Request

    from mdmsdk.gateway.gateway import Gateway
    from mdmsdk.gateway.settings import RestFace, Scope
    from mdmsdk.models import Device

__all__ = ["Question", "rest_face"]

_MOST_KEYS = 10_000
_NDJSON = "application/x-ndjson"
_Text = Annotated[str, Field(min_length=1, max_length=1_000)]


class Question(FrozenModel):
    """The body of ``POST /v1/lookup``; `chain` or `keys`.

    Attributes:
        chain: identifiers of one device, the surest first; one answer.
        keys: of many devices; one answer each, a line each, in the order given.
        servers: only these are asked.
        deadline: seconds for the whole, within that of the gateway for each answer.
        fresh: whether answers that are kept do not count.
        max_age: seconds that a kept answer may be old.
    """

    chain: tuple[_Text, ...] = Field(default=(), max_length=16)
    keys: tuple[_Text, ...] = Field(default=(), max_length=_MOST_KEYS)
    servers: tuple[_Text, ...] | None = None
    deadline: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    fresh: bool = False
    max_age: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _check(self) -> Question:
        if bool(self.chain) is bool(self.keys):
            raise ValueError("either chain or keys is wanted")
        return self


def rest_face(gateway: Gateway, face: RestFace) -> list[Route]:
    """The routes of the face."""
    served = _Face(gateway, face)
    return [
        Route("/v1/devices/{kind}/{value:path}", served.device, methods=["GET"]),
        Route("/v1/lookup", served.lookup, methods=["POST"]),
        Route("/v1/noncompliant", served.noncompliant, methods=["GET"]),
        Route("/v1/devices", served.devices, methods=["GET"]),
        Route("/v1/servers", served.servers, methods=["GET"]),
        Route("/v1/decisions", served.decisions, methods=["GET"]),
    ]


class _Face:
    """Answers of the REST face."""

    def __init__(self, gateway: Gateway, face: RestFace) -> None:
        self._gateway = gateway
        self._face = face

    async def device(self, request: Request) -> Response:
        """What the servers say about one key."""
        asker = self._log_in(request, "lookup")
        kind, value = request.path_params["kind"], request.path_params["value"]
        if kind not in KEY_KINDS:
            raise Refusal(404, f"there is no kind of key of this name: {', '.join(KEY_KINDS)}")
        given: dict[str, Any] = _parameters(request)
        if "servers" in given:
            given["servers"] = given["servers"].split(",")
        return await self._one(asker, _read({**given, "chain": [value]}), KEY_KINDS[kind])

    async def lookup(self, request: Request) -> Response:
        """What they say about a chain of keys, or about many."""
        asker = self._log_in(request, "lookup")
        asked = _read(await self._gateway.body(request))
        if asked.chain:
            return await self._one(asker, asked, parse_key)
        decisions = self._gateway.lookup_many(
            asker,
            asked.keys,
            servers=asked.servers,
            deadline=asked.deadline,
            fresh=asked.fresh,
            max_age=asked.max_age,
        )
        return await _stream(decided_row(decided) async for decided in decisions)

    async def _one(self, asker: Asker, asked: Question, read: Callable[[str], Key]) -> Response:
        decided = await self._gateway.lookup(
            asker,
            _keys(asked.chain, read),
            servers=asked.servers,
            deadline=asked.deadline,
            fresh=asked.fresh,
            max_age=asked.max_age,
        )
        return JSONResponse(decided_row(decided))

    async def noncompliant(self, request: Request) -> Response:
        """The devices that do not comply, a line each; ends with a line of the error if it is not whole."""
        self._log_in(request, "lists")
        return await _stream(map_rows(self._gateway.federation.noncompliant(servers=_servers(request))))

    async def devices(self, request: Request) -> Response:
        """All records, likewise."""
        self._log_in(request, "lists")
        return await _stream(map_rows(self._gateway.federation.devices(servers=_servers(request))))

    async def servers(self, request: Request) -> Response:
        """Whether each server is there."""
        self._log_in(request, "servers")
        return JSONResponse([heartbeat_row(beat) for beat in await self._gateway.beats()])

    async def decisions(self, request: Request) -> Response:
        """The newest decisions of both faces, the last one first."""
        self._log_in(request, "decisions")
        return JSONResponse([journal_row(decided) for decided in self._gateway.journal.newest()])

    def _log_in(self, request: Request, scope: Scope) -> Asker:
        gateway, header = self._gateway, request.headers.get("authorization", "")
        client = gateway.client(request)
        return Asker("rest", gateway.access.bearer(self._face.keys, client, header, scope), client)


async def map_rows(devices: AsyncIterator[Device]) -> AsyncIterator[dict[str, Any]]:
    """The devices of a list as rows."""
    async for device in devices:
        yield device_row(device)


async def _stream(rows: AsyncIterator[dict[str, Any]]) -> Response:
    """An answer line by line. What fails before the first line is an error of the whole."""
    first = await anext(rows, None)

    async def lines() -> AsyncIterator[bytes]:
        if first is None:
            return
        yield _line(first)
        try:
            async for row in rows:
                yield _line(row)
        except MdmError as error:
            yield _line({"error": problem_of(error)})

    return StreamingResponse(lines(), media_type=_NDJSON)


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"


def _parameters(request: Request) -> dict[str, str]:
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Refusal(400, "a parameter is there twice")
    return given


def _servers(request: Request) -> list[str] | None:
    given = _parameters(request)
    if given.keys() - {"servers"}:
        raise Refusal(400, "a list takes no parameter but servers")
    return given["servers"].split(",") if given else None


def _read(given: bytes | dict[str, Any]) -> Question:
    try:
        if isinstance(given, bytes):
            return Question.model_validate_json(given)
        return Question.model_validate(given)
    except ValidationError as error:
        found = [
            f"{'.'.join(map(str, one['loc'])) or 'the body'}: {one['msg']}" for one in error.errors()[:5]
        ]
        raise Refusal(400, "the request cannot be read", "; ".join(found)) from None


def _keys(texts: Sequence[str], read: Callable[[str], Key]) -> list[Key]:
    try:
        return list(map(read, texts))
    except InvalidIdentifierError as error:
        raise Refusal(400, error.message, error.hint or "") from None
