"""The requests of the REST face: one table, of which the routes and their description are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from starlette.requests import Request
from starlette.routing import Route

from mdmsdk.gateway.journal import Asker
from mdmsdk.gateway.questions import Nothing, read, read_body, read_path, read_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.responses import Response
    from starlette.types import Receive, Send
    from starlette.types import Scope as Connection

    from mdmsdk.gateway.gateway import Gateway
    from mdmsdk.gateway.settings import RestFace, Scope
    from mdmsdk.models import FrozenModel

__all__ = ["JSON", "NDJSON", "Asked", "Endpoint", "Operation"]

JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was let in and read.

    Attributes:
        asker: who made it; nameless where no key is needed.
        place: what its path says.
        question: its parameters or its body.
    """

    asker: Asker
    place: Any
    question: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request: what it takes, who may make it, and what it gives.

    Attributes:
        path: as Starlette writes it.
        serve: answers it; its name and docstring are those of the description.
        answers: types of what it gives, by media type; for lines, that of a line.
        scope: that a key needs; None for a request without a key.
        method: of HTTP.
        place: the model of what stands in the path.
        question: the model of the parameters of a GET, or the body of a POST.
        statuses: with which it gives them.
    """

    path: str
    serve: Callable[[Asked], Awaitable[Response]]
    answers: Mapping[str, Any]
    scope: Scope | None = None
    method: Literal["GET", "POST"] = "GET"
    place: type[FrozenModel] = Nothing
    question: type[FrozenModel] = Nothing
    statuses: tuple[int, ...] = (200,)

    def route(self, gateway: Gateway, face: RestFace | None) -> Route:
        """The route that serves it."""
        plain = read(self.question, {}) if self.method == "GET" else None

        async def answer(request: Request) -> Response:
            name, client = "", gateway.client(request)
            if face and self.scope:
                header = request.headers.get("authorization", "")
                name = gateway.access.bearer(client, header, self.scope)
            asker = Asker("rest", name, client)
            place = read_path(self.place, tuple(request.path_params.items()))
            if self.method == "GET":
                asks = request.scope["query_string"]
                question = read_query(self.question, request) if asks else plain
                return await self.serve(Asked(asker, place, question))
            read_query(Nothing, request)
            question = read_body(self.question, await gateway.body(request))
            return await self.serve(Asked(asker, place, question))

        return Route(self.path, Endpoint(answer), methods=[self.method], name=self.serve.__name__)


class Endpoint:
    """An application of ASGI that gives an answer to each request.

    Starlette makes one of a function, with a look-out for errors around it; that is the door's affair.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer."""
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)
