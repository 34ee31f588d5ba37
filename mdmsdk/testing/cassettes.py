"""Cassettes: recorded exchanges, scrubbed before they are written, replayed without a network."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urlsplit

import vcr
import yaml
from pydantic import SecretStr
from vcr.request import Request as VcrRequest

from mdmsdk._run.http import AsyncHttp, Http
from mdmsdk.client.build import kinds_of
from mdmsdk.identifiers import parse_key
from mdmsdk.testing.scrub import REDACTED, Pseudonyms
from mdmsdk.wire import Response, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import BaseModel

    from mdmsdk.wire import Request

__all__ = [
    "PLACE",
    "NotRecordedError",
    "Operation",
    "load_operations",
    "operations_file",
    "publishable",
    "recording",
    "replaying",
]

PLACE = "https://mdm.example"
"""Stands for the server's address in every cassette."""

UNKNOWN = {
    "mac": "02:DE:AD:BE:EF:01",
    "udid": "00008999-0123456789ABCDEF",
    "guid": "00000000-dead-4bad-8bad-00000000c0de",
    "serial": "NOSUCHSERIAL9",
    "imei": "999999999999994",
    "meid": "FEDCBA98765432",
    "hostname": "no-such-host",
    "username": "no.such.user",
    "id": "987654321",
}
"""One key of each kind that no fleet has."""

_KEPT_HEADERS = frozenset({"content-type", "retry-after", "link", "location"})
ACCOUNT = re.compile("user|client|tenant|account|organization|network|space|partition")
_SENT_AGAIN = frozenset({429, 503})
# JSON bodies tell batches apart; forms hold what changes at each login.
_MATCH_ON = ("method", "scheme", "host", "path", "query", "json")


class NotRecordedError(Exception):
    """A provider asks what its cassette does not hold."""


@dataclass(frozen=True)
class Operation:
    """One recorded operation and what it answered.

    Attributes:
        name: of the cassette, such as ``lookup-mac``.
        call: the client's method: ``heartbeat``, ``find``, ``noncompliant`` or ``devices``.
        key: the key asked for, as ``kind:value``.
        expected: the answer as JSON, under the same pseudonyms as the cassette.
    """

    name: str
    call: str
    key: str | None = None
    expected: Any = None


def operations_file(folder: Path) -> Path:
    """The file beside the cassettes that lists their operations."""
    return folder / "operations.json"


def load_operations(folder: Path) -> tuple[dict[str, Any], list[Operation]]:
    """The settings and operations of a folder of cassettes.

    Raises:
        FileNotFoundError: nothing was recorded there yet.
    """
    path = operations_file(folder)
    if not path.is_file():
        raise _not_recorded(path, folder)
    data = json.loads(path.read_text(encoding="utf-8"))
    return data["settings"], [Operation(**operation) for operation in data["operations"]]


def _not_recorded(path: Path, folder: Path) -> FileNotFoundError:
    elsewhere = "" if folder.parent.name == "cassettes" else f" --folder {folder.parent}"
    return FileNotFoundError(
        f"{path} is not there; record it with: python -m mdmsdk.testing.record {folder.name}{elsewhere}"
    )


def perform(client: Any, call: str, key: str | None) -> Any:
    """Do a recorded operation and give its answer as JSON.

    Args:
        client: a sync client, or what behaves like one.
        call: ``heartbeat``, ``find``, ``noncompliant`` or ``devices``.
        key: for ``find``, as ``kind:value``.
    """
    if call == "heartbeat":
        return client.heartbeat().model_dump(mode="json", exclude={"server"})
    found = client.find(parse_key(key or "")) if call == "find" else getattr(client, call)()
    return [device.model_dump(mode="json", exclude={"server"}) for device in found]


def load_yaml(text: str) -> Any:
    """What a YAML document holds, read by libyaml where PyYAML has it: ten times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


@dataclass
class _Serializer:
    """YAML as vcrpy writes it, below a first line that says what was recorded."""

    source: str = ""
    pseudonyms: Pseudonyms | None = None

    def serialize(self, cassette: dict[str, Any]) -> str:
        scrubbed = [self._scrub(interaction) for interaction in cassette["interactions"]]
        body = yaml.safe_dump(
            {**cassette, "interactions": scrubbed}, sort_keys=False, width=110, allow_unicode=True
        )
        return f"# Recorded from: {self.source}\n{body}"

    @staticmethod
    def deserialize(text: str) -> Any:
        return load_yaml(text)

    def _scrub(self, interaction: dict[str, Any]) -> dict[str, Any]:
        request, response = interaction["request"], interaction["response"]
        return {
            "request": {
                "method": request["method"],
                "uri": self.clean(request["uri"]),
                "headers": _kept(request["headers"], self.clean),
                "body": self.clean(_text(request["body"])) or None,
            },
            "response": {
                "status": response["status"],
                "headers": _kept(response["headers"], self.clean),
                "body": {"string": self.clean(_text(response["body"]["string"]))},
            },
        }

    def clean(self, text: str) -> str:
        """The text as it may be published."""
        return self.pseudonyms.apply(text) if self.pseudonyms else text


def _text(body: bytes | str | None) -> str:
    return body.decode("utf-8", errors="replace") if isinstance(body, bytes) else body or ""


def _kept(headers: dict[str, Any], clean: Callable[[str], str]) -> dict[str, list[str]]:
    return {
        name.lower(): [clean(value) for value in ([values] if isinstance(values, str) else values)]
        for name, values in headers.items()
        if name.lower() in _KEPT_HEADERS
    }


@contextmanager
def recording(
    path: Path, *, source: str, pseudonyms: Pseudonyms, origins: Mapping[str, str]
) -> Iterator[None]:
    """Record what is exchanged inside the block into a cassette, scrubbed.

    Args:
        path: the cassette's file; an older one is replaced.
        source: what is recorded, for the first line.
        pseudonyms: learns from every body, and replaces.
        origins: the real addresses, and what is written for them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    for origin, stand_in in origins.items():
        pseudonyms.learn_origin(origin, stand_in)
    recorder = _recorder(_Serializer(source, pseudonyms))

    def learn(response: dict[str, Any]) -> dict[str, Any] | None:
        if response["status"]["code"] in _SENT_AGAIN:
            return None  # a replay gives the first answer for ever
        pseudonyms.learn_body(_text(response["body"]["string"]))
        return response

    with (
        recorder.use_cassette(str(path), record_mode=vcr.mode.ALL, before_record_response=learn) as cassette,
        _exchanging(cassette),
    ):
        yield


@contextmanager
def replaying(path: Path) -> Iterator[None]:
    """Answer everything inside the block from a cassette; a request that is not in it fails."""
    if not path.is_file():
        raise _not_recorded(path, path.parent)
    recorder = _recorder(_Serializer())
    with (
        recorder.use_cassette(str(path), record_mode=vcr.mode.NONE, allow_playback_repeats=True) as cassette,
        _exchanging(cassette),
    ):
        yield


@contextmanager
def _exchanging(cassette: Any) -> Iterator[None]:
    """Lead the exchanges of all clients through a cassette: vcrpy knows no HTTP library's core."""
    really, really_async = Http.exchange, AsyncHttp.exchange

    def exchange(self: Http, request: Request, *limits: Any) -> Response:
        return _played(cassette, request) or _noted(cassette, request, really(self, request, *limits))

    async def exchange_async(self: AsyncHttp, request: Request, *limits: Any) -> Response:
        played = _played(cassette, request)
        return played or _noted(cassette, request, await really_async(self, request, *limits))

    with patch.object(Http, "exchange", exchange), patch.object(AsyncHttp, "exchange", exchange_async):
        yield


def _asked(request: Request) -> VcrRequest:
    return VcrRequest(request.method, request.full_url, request.content()[0], dict(request.headers))


def _played(cassette: Any, request: Request) -> Response | None:
    asked = _asked(request)
    if not cassette.can_play_response_for(asked):
        if cassette.write_protected:
            path = Path(cassette._path)  # noqa: SLF001 - vcrpy tells it nowhere else
            raise NotRecordedError(
                f"{path} has no answer to {request.method} {redact_url(request.full_url)}; if that is what "
                f"should be asked, record it again: python -m mdmsdk.testing.record {path.parent.name}"
            )
        return None
    answer = cassette.play_response(asked)
    headers = {name.lower(): ", ".join(values) for name, values in answer["headers"].items()}
    return Response(answer["status"]["code"], headers, answer["body"]["string"], request.full_url)


def _noted(cassette: Any, request: Request, response: Response) -> Response:
    recorded = {
        "status": {"code": response.status, "message": ""},
        "headers": {name: [value] for name, value in response.headers.items()},
        "body": {"string": response.body},
    }
    cassette.append(_asked(request), recorded)
    return response


def _same_json(one: Any, other: Any) -> bool:
    bodies = _text(one.body), _text(other.body)
    return bodies[0] == bodies[1] or not all(body.startswith("{") for body in bodies)


def _recorder(serializer: _Serializer) -> Any:
    recorder = vcr.VCR(serializer="mdm", match_on=_MATCH_ON)
    recorder.register_serializer("mdm", serializer)
    recorder.register_matcher("json", _same_json)
    return recorder


def publishable(
    settings: dict[str, Any], pseudonyms: Pseudonyms, model: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings as they may stand beside cassettes, and the addresses in them with what stands for each.

    Secrets give way to one word, accounts and tenants to pseudonyms, addresses to ones that nobody has.
    """
    origins: dict[str, str] = {}
    published: dict[str, Any] = {}
    for name, value in settings.items():
        if name in {"tls", "proxy", "policy"}:
            continue
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            parts = urlsplit(value)
            own = PLACE if name == "base_url" else f"https://{name.replace('_', '-')}.example"
            stand_in = origins.setdefault(f"{parts.scheme}://{parts.netloc}", own)
            published[name] = stand_in + parts.path
        elif SecretStr in kinds_of(model.model_fields[name].annotation):
            published[name] = REDACTED
        else:
            if isinstance(value, str) and ACCOUNT.search(name):
                pseudonyms.learn(value)
            published[name] = json.loads(pseudonyms.apply(json.dumps(value)))
    return published, origins
