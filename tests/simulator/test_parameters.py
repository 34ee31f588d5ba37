"""A simulator refuses the query parameters that it does not implement; it never passes over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from mdmsdk.registry import SIMULATORS, installed, load_simulator
from mdmsdk.simulator import Fleet, Simulator, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


class Small(Simulator[Any]):
    name: ClassVar[str] = "small"
    habits_type: ClassVar[type[Any]] = dict
    takes: ClassVar[Mapping[str, frozenset[str]] | None] = {"/list": frozenset({"page"})}

    def routes(self) -> Sequence[BaseRoute]:
        async def answer(_request: Request) -> Response:
            return PlainTextResponse("good")

        async def elsewhere(_request: Request) -> Response:
            return RedirectResponse("/list")

        async def refuse(_request: Request) -> Response:
            return PlainTextResponse("who are you?", 401)

        return [
            *(Route(path, answer) for path in ("/list", "/list/1", "/other")),
            Route("/moved", elsewhere),
            Route("/secret", refuse),
        ]

    def settings(self, origin: str) -> dict[str, Any]:
        return {"base_url": origin}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with serve(Small(Fleet([]))) as running, httpx.Client(base_url=running.origin) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/list", 200),
        ("/list?page=2", 200),
        ("/list?page=2&page=3", 200),
        ("/list?sort=name", 400),
        ("/list?page=2&Page=3", 400),
        ("/list?sort=", 400),
        ("/list/1?page=2", 400),
        ("/other", 200),
        ("/other?page=2", 400),
        # A login that is wrong, an address that is not there, and one that moved, come first.
        ("/secret?sort=name", 401),
        ("/nothing?sort=name", 404),
        ("/moved?sort=name", 307),
    ],
)
def test_parameters_that_are_not_implemented_are_refused(http: httpx.Client, path: str, status: int) -> None:
    answer = http.get(path)
    assert answer.status_code == status
    assert ("does not implement" in answer.text) == (status == 400)
    assert answer.text.count("good") == (status == 200)


@pytest.mark.parametrize("name", [plugin.name for plugin in installed(SIMULATORS)])
def test_every_simulator_says_what_it_takes(name: str) -> None:
    kind = load_simulator(name)
    # The ISE protocol's own server reads its parameters strictly itself.
    assert kind.takes is not None or name == "ise" or name.endswith("-ise")
