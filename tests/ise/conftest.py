"""Drive flows of the ISE provider with made-up answers; nothing is sent and nothing waits."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from mdmsdk.errors import MdmError
from mdmsdk.flow import Pause, Send
from mdmsdk.ise import IseDescription, IseProvider, IseSettings
from mdmsdk.models import ServerInfo
from mdmsdk.provider import MdmProvider
from mdmsdk.wire import Request, Response

SAMPLES = Path(__file__).parents[1] / "samples" / "ise"
BASE = "https://mdm.example.com"
Reply = Response | MdmError | bytes | int
Answers = Sequence[Reply] | Callable[[Request], Reply]
Drive = Callable[[MdmProvider, Generator[Any, Any, Any], Answers], "Played"]
Make = Callable[..., IseProvider]
Server = Callable[..., ServerInfo]


@dataclass
class Played:
    """What a flow did and gave."""

    result: Any = None
    requests: list[Request] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        return [request.full_url for request in self.requests]


def drive(provider: MdmProvider, flow: Generator[Any, Any, Any], answers: Answers) -> Played:
    """Play a flow as a runner does; too many requests fail, too few answers used up fail as well."""
    played = Played()
    queue = None if callable(answers) else list(answers)
    outcome: Response | MdmError | None = None
    while True:
        try:
            step = flow.throw(outcome) if isinstance(outcome, MdmError) else flow.send(outcome)
        except StopIteration as end:
            played.result = end.value
            assert not queue, f"{len(queue or ())} answers were not asked for"
            return played
        if isinstance(step, Pause):
            played.pauses.append(step)
            outcome = None
            continue
        assert isinstance(step, Send)
        request = step.request
        played.requests.append(request)
        if queue is not None:
            assert queue, f"one request too many: {request.full_url}"
        outcome = answer(provider, request, answers(request) if callable(answers) else (queue or []).pop(0))


def answer(provider: MdmProvider, request: Request, reply: Reply) -> Response | MdmError:
    if isinstance(reply, MdmError):
        return reply
    if isinstance(reply, int):
        reply = Response(reply)
    if isinstance(reply, bytes):
        reply = Response(200, {"content-type": "application/xml"}, reply)
    response = Response(reply.status, reply.headers, reply.body, request.full_url)
    try:
        return provider.check(response)
    except MdmError as error:
        return error


class Xml:
    """Bytes as servers send them."""

    @staticmethod
    def sample(path: str) -> bytes:
        return (SAMPLES / path).read_bytes()

    @staticmethod
    def elements(**values: Any) -> str:
        parts = []
        for name, value in values.items():
            if isinstance(value, dict):
                parts.append(f"<{name}>{Xml.elements(**value)}</{name}>")
            elif value is not None:
                parts.append(f"<{name}>{escape(str(value))}</{name}>")
        return "".join(parts)

    @staticmethod
    def info(**changes: Any) -> bytes:
        given = {"name": "mdminfo", "api_version": 3, "api_path": "/ise/mdm/api", **changes}
        return f"<ise_api>{Xml.elements(**given)}</ise_api>".encode()

    @staticmethod
    def row(status: Any = "true", register: Any = "true", outer: Any = None, **inner: Any) -> str:
        compliance = None if status is None else {"status": status}
        attributes = {"register_status": register, "compliance": compliance, **inner}
        return f"<device>{Xml.elements(**(outer or {}), attributes=attributes)}</device>"

    @staticmethod
    def answer(*rows: str, **envelope: Any) -> bytes:
        given = {"name": "attributes", "api_version": 3, **envelope}
        return f"<ise_api>{Xml.elements(**given)}<deviceList>{''.join(rows)}</deviceList></ise_api>".encode()


def make(**settings: Any) -> IseProvider:
    given = {"base_url": BASE, "username": "nac", "password": "s3cret", **settings}
    return IseProvider(IseSettings(**given))


def server(version: int = 3, base: str = f"{BASE}/ise/mdm/api") -> ServerInfo:
    return ServerInfo(api_version=str(version), description=IseDescription(api_base=base))


@pytest.fixture(scope="session", name="drive")
def _drive() -> Drive:
    return drive


@pytest.fixture(scope="session", name="make")
def _make() -> Make:
    return make


@pytest.fixture(scope="session", name="server")
def _server() -> Server:
    return server


@pytest.fixture(scope="session")
def xml() -> type[Xml]:
    return Xml
