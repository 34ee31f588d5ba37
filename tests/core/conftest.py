"""A small provider and a server that does what a test says, for everything below the protocols."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

import pytest
from pydantic import SecretStr
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse

from mdmsdk._run import gate, tokens
from mdmsdk.client import described
from mdmsdk.errors import EndpointNotFoundError
from mdmsdk.flow import Flow, done, send, together
from mdmsdk.identifiers import Mac, Serial
from mdmsdk.models import Compliance, Device, ServerInfo
from mdmsdk.provider import Capability, Limits, MdmProvider, Page, Token, basic_token
from mdmsdk.settings import ProviderSettings
from mdmsdk.simulator.server import serve
from mdmsdk.testing import Modal, open_client
from mdmsdk.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.types import Receive, Scope
    from starlette.types import Send as AsgiSend

    from mdmsdk.identifiers import Key

SECRET = "correct-horse-battery"


def printed(error: BaseException, without: str = "") -> str:
    """All that a program may write down of an exception: its chain, what that holds, variables of frames.

    Args:
        without: a file whose frames are left out, such as the test's own.
    """
    shown: list[str] = []
    chain = [error]
    for one in islice(chain, 50):  # it grows meanwhile
        chain += [link for link in (one.__cause__, one.__context__) if link]
        shown += traceback.format_exception_only(one)
        shown.append(f"{one!r}{vars(one)}{getattr(one, 'doc', '')}{getattr(one, 'object', '')}")
        frames = traceback.TracebackException.from_exception(one, capture_locals=True).stack
        shown += [f"{frame}{frame.locals}" for frame in frames if frame.filename != without]
    return "".join(shown)


class TinySettings(ProviderSettings):
    password: SecretStr = SecretStr(SECRET)
    login: str = "basic"  # or "token", "none"


class TinyProvider(MdmProvider):
    """``GET /find?mac=`` answers with serial numbers, one a line; ``GET /page?cursor=`` with a page."""

    name = "tiny"
    vendor = "Tiny"
    settings_type = TinySettings
    keys = frozenset({Mac, Serial})
    capabilities: ClassVar = frozenset({Capability.INVENTORY})
    limits = Limits(concurrency=8)
    settings: TinySettings

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        secret = self.settings.password.get_secret_value()
        if self.settings.login == "basic":
            return (yield from done(basic_token("tiny", secret)))
        request = Request(
            "POST", self.url("/token"), form={"password": secret, "for": audience}, audience=None
        )
        answer = (yield from send(request)).json()
        return Token(answer["token"], expires_in=answer.get("expires_in"))

    def logout(self, token: Token) -> Flow[None]:
        yield from send(
            Request("POST", self.url("/logout"), headers={"X-Given-Back": token.value}, audience=None)
        )

    def heartbeat(self) -> Flow[ServerInfo]:
        answer = yield from send(self.get("/info"))
        return ServerInfo(vendor="Tiny", version=answer.text)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        answer = yield from send(self.get(f"/find{info.version or ''}", **{key.kind: key.value}))
        return [Device(registered=True, id=line, serial_number=line) for line in answer.text.split()]

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        page = (yield from send(self.get("/page", cursor=cursor or "start"))).json()
        verdict = Compliance.model_validate({"state": page.get("state", "noncompliant")})
        rows = [Device(registered=True, id=str(row), compliance=verdict) for row in page["rows"]]
        return Page(rows, page.get("next"), page.get("total"), page.get("sent"), moved="moved" in page)

    devices_page = noncompliant_page

    def url(self, path: str) -> str:
        return self.settings.base_url + path

    def get(self, path: str, **params: str) -> Request:
        audience = None if self.settings.login == "none" else "api"
        return Request("GET", self.url(path), params, audience=audience)

    def fan_out(self, paths: Sequence[str]) -> Flow[list[str]]:
        answers = yield from together(*(send(self.get(path)) for path in paths))
        return [answer.text for answer in answers]


@dataclass
class Answer:
    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0


class Script:
    """An ASGI application whose routes a test fills in: an answer, or a function from request to answer."""

    def __init__(self) -> None:
        self.routes: dict[str, Any] = {"/info": "", "/find": "S1"}
        self.requests: list[HttpRequest] = []
        self.forms: list[dict[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.times: list[float] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        request = HttpRequest(scope, receive)
        form = dict(parse_qsl((await request.body()).decode()))
        with self._lock:
            self.requests.append(request)
            self.forms.append(form)
            self.counts[request.url.path] += 1
            self.times.append(time.monotonic())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            answer = self.routes.get(request.url.path, Answer("no such path", 404))
            if callable(answer):
                answer = answer(request)
            if isinstance(answer, str | bytes):
                answer = Answer(answer)
            await asyncio.sleep(answer.wait)
            response = HttpResponse(answer.body, answer.status, answer.headers)
            await response(scope, receive, send)
        finally:
            with self._lock:
                self._now -= 1

    def credentials(self) -> list[str]:
        return [
            request.headers["authorization"]
            for request in self.requests
            if "authorization" in request.headers
        ]


class Clock:
    """What modules of ours take for the time, put forward by a test.

    Attributes:
        ahead: seconds.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of tokens, breaker and descriptions."""
    made = Clock()
    for module in (described, gate, tokens):
        monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def origin(script: Script) -> Iterator[str]:
    with serve(script) as running:
        yield running.origin


@pytest.fixture
def tiny(origin: str, mdm_mode: str) -> Iterator[Callable[..., Modal]]:
    """Opens clients of the tiny provider in the test's mode; keywords are settings."""
    opened: list[Modal] = []

    def connect(*, kind: type[TinyProvider] = TinyProvider, http: Any = None, **settings: Any) -> Modal:
        policy = {"timeout": 5.0, "deadline": 8.0, "max_wait": 2.0, **settings.pop("policy", {})}
        provider = kind(TinySettings(**{"base_url": origin, "policy": policy, **settings}))
        opened.append(open_client(provider, mdm_mode, server="tiny", http=http))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


def token_entries(client: Modal) -> dict[str, Any]:
    """What a client knows of its credentials, by audience."""
    inner = getattr(client.wrapped, "_inner", client.wrapped)
    entries: dict[str, Any] = inner._runner.shared._state.tokens._entries
    return entries


__all__ = [
    "SECRET",
    "Answer",
    "Clock",
    "EndpointNotFoundError",
    "Script",
    "TinyProvider",
    "TinySettings",
    "printed",
    "token_entries",
]
