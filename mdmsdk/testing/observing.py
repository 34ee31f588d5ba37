"""One pass over everything that a provider can do, observed from all sides, for many checks at once."""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from mdmsdk._run.http import Http
from mdmsdk.errors import MdmError
from mdmsdk.flow import Call, Send
from mdmsdk.provider import Capability, Token
from mdmsdk.testing.modes import open_client
from mdmsdk.testing.secrets import secret_values

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk.provider import MdmProvider
    from mdmsdk.wire import Request, Response

__all__ = ["Login", "Observed", "io_of", "listening", "observe", "secrets_of"]

_FLOWS = (
    "login",
    "logout",
    "heartbeat",
    "find",
    "find_batch",
    "noncompliant_page",
    "devices_page",
    "reasons",
)
_SHORTEST = 4
"""Characters of a secret that can be looked for; a shorter one stands in many texts by chance."""


@dataclass
class Login:
    """What one login did: for whom, what it asked, whether it called a library, and what came of it."""

    audience: str
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    called: bool = False
    token: Token | None = None


@dataclass
class Observed:
    """What was seen.

    Attributes:
        shown: texts that people may see, by what they are: messages, ``repr``, logs, prints, addresses.
        logins: every login.
        secrets: those of the settings, and the tokens.
        sent: every request as it went out, with its credential.
    """

    shown: list[tuple[str, str]] = field(default_factory=list)
    logins: list[Login] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    sent: list[Request] = field(default_factory=list)

    def leaks(self) -> list[str]:
        """Where a secret is shown, one line each, without the secret."""
        return sorted({what for what, text in self.shown for secret in self.secrets if secret in text})

    def tell(self, what: str, value: object) -> None:
        """Take down a text that may be seen; of an error all that it holds."""
        text = f"{value} {value!r}"
        if isinstance(value, MdmError):
            text += f" {value.hint} {vars(value)}"
        self.shown.append((what, text))


def secrets_of(value: Any) -> set[str]:
    """The secrets of settings that are long enough to be looked for."""
    return {secret for secret in secret_values(value) if len(secret) >= _SHORTEST}


@contextlib.contextmanager
def listening(observed: Observed) -> Iterator[None]:
    """Take down what any logger is told, handed on or not, and what is printed."""
    handle = logging.Logger.handle
    out, err = io.StringIO(), io.StringIO()

    def heard(logger: logging.Logger, record: logging.LogRecord) -> None:
        observed.tell(f"the log of {logger.name}", record.getMessage())
        observed.tell(f"the log of {logger.name}", record.exc_text or record.exc_info or "")
        handle(logger, record)

    with (
        patch.object(logging.Logger, "handle", heard),
        patch.object(logging.Logger, "isEnabledFor", lambda *_: True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        yield
    observed.tell("what is printed", out.getvalue())
    observed.tell("what is printed", err.getvalue())


@contextlib.contextmanager
def io_of(done: list[str]) -> Iterator[None]:
    """Take down files that are opened, sockets, processes and waits inside the block."""
    mine = threading.get_ident()

    def noting(what: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == mine:  # a simulator has threads of its own
                done.append(what)
            return really(*args, **kwargs)

        return call

    with contextlib.ExitStack() as stack:
        for place, name, what in (
            (builtins, "open", "a file"),
            (io, "open", "a file"),
            (socket.socket, "connect", "a connection"),
            (socket, "getaddrinfo", "a name"),
            (subprocess, "Popen", "a process"),
            (time, "sleep", "a wait"),
        ):
            stack.enter_context(patch.object(place, name, noting(what, getattr(place, name))))
        yield


class _Watched:
    """Wraps the flows of a provider's object, so that what they do and raise is seen before core hides it."""

    def __init__(self, provider: MdmProvider, observed: Observed) -> None:
        self._observed = observed
        vars(provider).update({name: self._watch(name, getattr(provider, name)) for name in _FLOWS})

    def _watch(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def start(*args: Any) -> Any:
            login = Login(args[0]) if name == "login" else None
            if login:
                self._observed.logins.append(login)
            flow = method(*args)
            return self._follow(name, flow, login) if hasattr(flow, "send") else flow

        return start

    def _follow(self, name: str, flow: Any, login: Login | None) -> Generator[Any, Any, Any]:
        outcome: Any = None
        failure: BaseException | None = None
        try:
            while True:
                step = flow.send(outcome) if failure is None else flow.throw(failure)
                outcome, failure = None, None
                if login and isinstance(step, Send):
                    login.requests.append(step.request)
                if login and isinstance(step, Call):
                    login.called = True
                try:
                    outcome = yield step
                except MdmError as error:
                    failure = error
                else:
                    if login and isinstance(step, Send):
                        login.answers.append(outcome)
        except StopIteration as stop:
            if login and isinstance(stop.value, Token):
                login.token = stop.value
                self._observed.secrets.add(stop.value.value)
                self._observed.secrets |= secrets_of(stop.value.extra)
            return stop.value
        except MdmError as error:
            self._observed.tell(f"an error of {name}()", error)
            raise
        finally:
            flow.close()


def observe(
    make: Callable[..., MdmProvider], wrong: MdmProvider, known: Sequence[Key], unknown: Sequence[Key]
) -> Observed:
    """Do everything once, with good settings, and a lookup with wrong ones.

    Args:
        make: makes the provider.
        wrong: one whose login fails.
        known: keys that the server knows.
        unknown: keys that it does not.
    """
    observed = Observed()
    exchange = Http.exchange

    def noted(self: Http, request: Request, *limits: Any) -> Response:
        observed.sent.append(request)
        return exchange(self, request, *limits)

    with listening(observed), patch.object(Http, "exchange", noted):
        provider = make()
        observed.secrets |= secrets_of(provider.settings) | secrets_of(wrong.settings)
        for one in (provider, wrong):
            observed.tell("the provider's repr", one)
            observed.tell("the settings' repr", one.settings)
            observed.tell("the settings' JSON", one.settings.model_dump_json())
        _Watched(provider, observed)
        with open_client(provider, "sync", server="observed") as client:
            _do_all(client, observed, [*known, *unknown])
        good = len(observed.logins)
        _Watched(wrong, observed)
        with open_client(wrong, "sync", server="observed") as client:
            try:
                client.lookup(known[0])
            except MdmError as error:
                observed.tell("the error of a wrong login", error)
        del observed.logins[good:]
    for request in observed.sent:
        observed.shown.append(("an address", request.full_url))
    return observed


def _do_all(client: Any, observed: Observed, keys: Sequence[Key]) -> None:
    observed.tell("the client's repr", client.wrapped)
    info = client.heartbeat()
    observed.tell("what the heartbeat says", info)
    observed.tell("what the heartbeat says", info.model_dump_json())
    for key in keys:
        observed.tell("a device", found := client.lookup(key))
        if found is not None:
            observed.tell("a device", found.model_dump_json())
    list(client.lookup_many(keys))
    listed = list(client.noncompliant())
    if Capability.INVENTORY in client.provider.capabilities:
        list(client.devices())
    if Capability.REASONS in client.provider.capabilities and listed:
        observed.tell("a device", client.reasons(listed[0]))
