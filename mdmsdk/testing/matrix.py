"""The fault matrix: what may go wrong between a client and a server, over a provider's recorded answers.

Each fault meets heartbeat, lookup and noncompliant list, in both modes, without a socket: what the sockets
themselves may do is tested where they are, and `BaseProviderContract` has a server that breaks for real.

``python -m mdmsdk.testing.matrix [PROVIDER …]`` runs all faults, and prints a line for each provider.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import ssl
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mdmsdk import errors
from mdmsdk._run.library import lib
from mdmsdk.errors import MdmError
from mdmsdk.models import ComplianceState
from mdmsdk.registry import SIMULATORS, installed
from mdmsdk.testing.fuzz import Corpus
from mdmsdk.testing.modes import open_client
from mdmsdk.testing.secrets import secret_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mdmsdk.wire import Response

__all__ = ["BREAKS", "Break", "Matrix", "main", "run"]

_MODES = ("sync", "asyncio")


@dataclass(frozen=True)
class Break:
    """One thing that goes wrong with every answer.

    Attributes:
        group: connect, tls, status, header, body, paging, semantics, time or process.
        change: makes the damaged answer of a good one, or raises what the HTTP library would.
        errors: what a call must end with; empty where it may also be answered rightly.
    """

    group: str
    change: Callable[[Response], Response]
    errors: tuple[type[MdmError], ...] = ()


def _raises(kind: str, cause: BaseException | None = None) -> Callable[[Response], Response]:
    def change(_: Response) -> Response:
        raise getattr(lib, kind)("broken on purpose") from cause

    return change


def _status(status: int, body: bytes | None = None, **headers: str) -> Callable[[Response], Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def change(good: Response) -> Response:
        kept = {"content-type": "text/plain"} if body is not None else good.headers
        return replace(
            good, status=status, headers={**kept, **named}, body=good.body if body is None else body
        )

    return change


def _headers(**headers: str) -> Callable[[Response], Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda good: replace(good, headers={**good.headers, **named})


def _body(change: Callable[[bytes], bytes]) -> Callable[[Response], Response]:
    return lambda good: replace(good, body=change(good.body))


def _json(change: Callable[[Any], Any]) -> Callable[[Response], Response]:
    """Changes a JSON body; one of XML becomes an empty one, which is no answer either."""

    def apply(body: bytes) -> bytes:
        try:
            return json.dumps(change(json.loads(body))).encode()
        except ValueError:
            return b""

    return _body(apply)


def _untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def _closed(_: Response) -> Response:
    raise RuntimeError("Cannot send a request, as the client has been closed.")


def _page(_: bytes) -> bytes:
    return b"<!DOCTYPE html><html><body><form action='/login'>Sign in</form></body></html>"


_ZIPPED = {"content-encoding": "gzip"}
_TLS, _CONNECT, _TIMEOUT = (errors.TlsError,), (errors.ConnectError,), (errors.MdmTimeoutError,)
_ANY: tuple[type[MdmError], ...] = (MdmError,)
# A list waits as it is asked to, until its patience is at an end.
_ASKED_TO_WAIT = (errors.TokenError, errors.ResponseError, errors.DeadlineExceededError)
_BAD_BODY = (errors.ProtocolError, errors.TokenError)

BREAKS: dict[str, Break] = {
    "refused": Break("connect", _raises("ConnectError"), _CONNECT),
    "no-route": Break("connect", _raises("ConnectError", OSError(113, "No route to host")), _CONNECT),
    "connect-slow": Break("connect", _raises("ConnectTimeout"), _TIMEOUT),
    "reset": Break("connect", _raises("ReadError"), _CONNECT),
    "reset-while-sending": Break("connect", _raises("WriteError"), _CONNECT),
    "closed-early": Break("connect", _raises("RemoteProtocolError"), _CONNECT),
    "read-slow": Break("connect", _raises("ReadTimeout"), _TIMEOUT),
    "write-slow": Break("connect", _raises("WriteTimeout"), _TIMEOUT),
    "pool-full": Break("connect", _raises("PoolTimeout"), (errors.TransportError,)),
    "proxy-refuses": Break("connect", _raises("ProxyError"), _CONNECT),
    "not-http": Break("connect", _raises("LocalProtocolError"), _ANY),
    "protocol": Break("connect", _raises("UnsupportedProtocol"), (errors.TransportError,)),
    "untrusted": Break("tls", _raises("ConnectError", _untrusted()), _TLS),
    "handshake": Break("tls", _raises("ConnectError", ssl.SSLError("alert handshake failure")), _TLS),
    "wants-certificate": Break("tls", _raises("ReadError", ssl.SSLError("certificate required")), _TLS),
    "end-of-tls": Break("tls", _raises("ConnectError", ssl.SSLEOFError("EOF")), _TLS),
    **{
        # With the right body: a part of an answer, or somebody else's copy of it, is none.
        f"status-{status}": Break("status", _status(status), _ANY)
        for status in (201, 202, 203, 205, 206, 226, 299)
    },
    **{
        f"status-{status}": Break("status", _status(status, b"no"), _ANY)
        for status in (300, 304, 400, 401, 403, 405, 406, 409, 410, 415, 421, 422, 451)
    },
    **{
        f"status-{status}": Break("status", _status(status, b"no"), _ANY)
        for status in (500, 501, 502, 504, 505, 520, 599)
    },
    "login-page": Break("status", _body(_page), _BAD_BODY),
    "wrong-address": Break("status", _status(404, b"<html>Not found</html>", content_type="text/html"), _ANY),
    "redirect-elsewhere": Break("header", _status(302, b"", location="https://elsewhere.example/"), _ANY),
    "redirect-to-http": Break("header", _status(307, b"", location="http://elsewhere.example/"), _ANY),
    "redirect-nowhere": Break("header", _status(302, b""), _ANY),
    "redirect-unreadable": Break("header", _status(308, b"", location="https://[half"), _ANY),
    "zipped-garbage": Break("header", _headers(**_ZIPPED), _BAD_BODY),
    "zipped-short": Break(
        "header",
        lambda good: replace(good, headers={**good.headers, **_ZIPPED}, body=gzip.compress(good.body)[:-9]),
        _BAD_BODY,
    ),
    "encoding-not-asked-for": Break("header", _headers(content_encoding="br"), _BAD_BODY),
    "link-unreadable": Break("header", _headers(link="<x>; rel='next'")),
    "content-type-missing": Break("header", _headers(content_type="")),
    "content-type-wrong": Break("header", _headers(content_type="image/png")),
    "empty": Break("body", _body(lambda _: b""), _BAD_BODY),
    "blank": Break("body", _body(lambda _: b" \r\n"), _BAD_BODY),
    "cut": Break("body", _body(lambda body: body[: len(body) // 2]), _BAD_BODY),
    "cut-last": Break("body", _body(lambda body: body.rstrip()[:-1]), _BAD_BODY),
    "doubled": Break("body", _body(lambda body: body * 2), _BAD_BODY),
    "trailing": Break("body", _body(lambda body: body.rstrip() + b"]"), _BAD_BODY),
    "not-utf-8": Break("body", _body(lambda body: b"\xff\xfe" + body), _BAD_BODY),
    "null": Break("body", _body(lambda _: b"null"), _ANY),
    "number": Break("body", _body(lambda _: b"7"), _ANY),
    "text": Break("body", _body(lambda _: b'"ok"'), _ANY),
    "deep": Break("body", _body(lambda _: b"[" * 50_000), _BAD_BODY),
    "not-a-number": Break("body", _body(lambda _: b'{"a": NaN}'), _BAD_BODY),
    "in-a-list": Break("body", _json(lambda document: [document]), _ANY),
    "document-type": Break(
        "body", _body(lambda body: b"<!DOCTYPE a [<!ENTITY e 'x'>]>" + body.partition(b"?>")[2]), _BAD_BODY
    ),
    "no-members": Break("semantics", _json(lambda _: {}), _ANY),
    "members-renamed": Break(
        "semantics",
        _body(lambda body: re.sub(rb'"([A-Za-z])', rb'"x\1', body) if body[:1] != b"<" else b""),
        _ANY,
    ),
    "error-in-a-200": Break("semantics", _body(lambda _: b'{"error": {"code": "Failed"}}'), _ANY),
    "throttled-for-hours": Break("time", _status(429, b"", retry_after="86400"), _ASKED_TO_WAIT),
    "throttled-until-a-date": Break(
        "time", _status(429, b"", retry_after="Fri, 31 Dec 2100 23:59:59 GMT"), _ASKED_TO_WAIT
    ),
    "throttled-without-end": Break("time", _status(503, b"", retry_after="9" * 40), _ASKED_TO_WAIT),
    "throttled-unreadably": Break("time", _status(429, b"", retry_after="soon"), _ASKED_TO_WAIT),
    "throttled-before": Break("time", _status(429, b"", retry_after="-5"), _ASKED_TO_WAIT),
    "clock-in-another-century": Break("time", _headers(date="Sat, 01 Jan 1923 00:00:00 GMT")),
    "clock-unreadable": Break("time", _headers(date="yesterday")),
    "client-closed": Break("process", _closed, _ANY),
}
"""Every fault by name."""


@dataclass
class Matrix:
    """What a run has shown.

    Attributes:
        provider: its name.
        calls: how many calls met a fault.
        outcomes: what they ended with.
        wrong: calls that gave a verdict, a list or an error that is not theirs, each told.
    """

    provider: str
    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common(5))
        return f"{self.provider:18} calls {self.calls:5}  wrong {len(self.wrong)}  {told}"


def run(corpus: Corpus, names: Collection[str] = tuple(BREAKS)) -> Matrix:
    """Let every fault meet heartbeat, lookup and noncompliant list, in both modes.

    Args:
        corpus: the provider's good answers.
        names: the faults, of `BREAKS`.
    """
    matrix = Matrix(corpus.name)
    for mode in _MODES:
        for name in names:
            _meet(corpus, matrix, mode, name)
    return matrix


def _meet(corpus: Corpus, matrix: Matrix, mode: str, name: str) -> None:
    fault, broken = BREAKS[name], [False]

    def answer(asked: Any) -> Any:
        found = corpus.find(asked.method, str(asked.url), asked.content)
        found = fault.change(found) if broken[0] else found
        return lib.Response(found.status, headers=dict(found.headers), stream=lib.ByteStream(found.body))

    kind = lib.Client if mode == "sync" else lib.AsyncClient
    http = kind(transport=lib.MockTransport(answer))
    asked = corpus.asked[len(matrix.outcomes) % len(corpus.asked)]
    with open_client(corpus.provider, mode, server="matrix", http=http) as client:
        client.heartbeat()
        calls: list[tuple[str, Callable[[], Any]]] = [
            ("lookup", lambda: client.lookup(asked.key)),
            ("noncompliant", lambda: list(client.noncompliant())),
            ("heartbeat", client.heartbeat),
        ]
        for call, perform in calls:
            broken[0] = True
            told = _outcome(corpus, fault, asked.state, call, perform)
            matrix.calls += 1
            matrix.outcomes[told.partition(":")[0]] += 1
            if told.startswith("wrong"):
                matrix.wrong.append(f"{name} {mode} {call}: {told}")
        client.run(http.close if mode == "sync" else http.aclose)


def _outcome(corpus: Corpus, fault: Break, state: str, call: str, perform: Callable[[], Any]) -> str:
    began = time.monotonic()
    try:
        result = perform()
    except MdmError as error:
        if time.monotonic() - began > corpus.provider.settings.policy.deadline:
            return "wrong: later than the deadline"
        if fault.errors and not isinstance(error, fault.errors):
            return f"wrong: {type(error).__name__}: {error}"
        shown = f"{error!r} {error} {error.hint} {vars(error)}"
        if any(secret in shown for secret in secret_values(corpus.provider.settings)):
            return "wrong: it shows a secret"
        return (
            type(error).__name__ if error.server and error.hint else f"wrong: no server or hint in {error!r}"
        )
    except Exception as error:  # noqa: BLE001 - told, whatever it is
        return f"wrong: {type(error).__name__} is not ours"
    if fault.errors:
        return f"wrong: no error but {result!r:.80}"
    if (
        call == "lookup"
        and result is not None
        and result.compliance.state is ComplianceState.COMPLIANT != state
    ):
        return "wrong: a pass"
    if call == "noncompliant" and len(result) != corpus.listed:
        return f"wrong: {len(result)} of {corpus.listed} devices"
    return "answered"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fault matrix over the installed providers that have a simulator; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m mdmsdk.testing.matrix", description=main.__doc__)
    parser.add_argument("providers", nargs="*", metavar="PROVIDER")
    parser.add_argument("--show", type=int, default=20, metavar="N", help="wrong calls to tell")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="providers at once")
    given = parser.parse_args(arguments)
    names = given.providers or [plugin.name for plugin in installed(SIMULATORS)]
    wrong = 0
    with ExitStack() as stack:
        each = stack.enter_context(ProcessPoolExecutor(given.jobs)).map if given.jobs > 1 else map
        for matrix in each(_run_of, names):
            wrong += len(matrix.wrong)
            print(matrix, *matrix.wrong[: given.show], sep="\n    ", flush=True)  # noqa: T201 - its result
    return 1 if wrong else 0


def _run_of(name: str) -> Matrix:
    return run(Corpus(name))


if __name__ == "__main__":
    sys.exit(main())
