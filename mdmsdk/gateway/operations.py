"""The requests of the REST face: one table, of which the routes and their description are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from starlette.routing import Route

from mdmsdk.gateway.journal import Asker
from mdmsdk.gateway.questions import Nothing, read, read_body, read_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from mdmsdk.gateway.gateway import Gateway
    from mdmsdk.gateway.settings import RestFace, Scope
    from mdmsdk.models import FrozenModel

__all__ = ["JSON", "NDJSON", "Asked", "Operation"]

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

        async def endpoint(request: Request) -> Response:
            name, client = "", gateway.client(request)
            if face and self.scope:
                header = request.headers.get("authorization", "")
                name = gateway.access.bearer(face.keys, client, header, self.scope)
            asker = Asker("rest", name, client)
            place = read(self.place, request.path_params, status=404)
            if self.method == "GET":
                return await self.serve(Asked(asker, place, read_query(self.question, request)))
            read_query(Nothing, request)
            question = read_body(self.question, await gateway.body(request))
            return await self.serve(Asked(asker, place, question))

        return Route(self.path, endpoint, methods=[self.method], name=self.serve.__name__)
