"""Nothing hostile and nothing secret leaves in an error: its texts, its chain, its frames."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import traceback
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

import mdmsdk.errors
from mdmsdk.client import MdmClient, connect
from mdmsdk.errors import (
    ConfigurationError,
    IncompleteListError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    ProtocolError,
)
from mdmsdk.flow import call, send
from mdmsdk.identifiers import parse_key
from mdmsdk.models import Device, ServerInfo
from mdmsdk.provider import check_status
from mdmsdk.silence import sealed
from mdmsdk.wire import Response
from mdmsdk.words import Secrets, one_line, safe_words
from tests.core.conftest import SECRET, Answer, Script, TinyProvider, TinySettings, printed, token_entries

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.flow import Flow
    from mdmsdk.testing import Modal

ERRORS = [
    value for value in vars(mdmsdk.errors).values() if isinstance(value, type) and issubclass(value, MdmError)
]


# --- words of others


def test_nothing_that_is_not_simply_drawn_stays_in_a_line() -> None:
    categories = {"Cc", "Cf", "Zl", "Zp", "Cs"}
    for number in (
        *range(0x3000),
        *range(0xD800, 0x10000),
        *range(0x13430, 0x13460),
        *range(0xE0000, 0xE1000),
    ):
        character = chr(number)
        if unicodedata.category(character) in categories:
            assert character not in one_line(f"a{character}b"), hex(number)
    for character in "\u034f\u115f\u1160\u17b4\u180b\u3164\ufe0f\uffa0\U000e0100":
        assert character not in one_line(f"a{character}b")
    assert one_line("mi\u200dn\u00adister\u061c\u200b") == r"mi\u200dn\xadister\u061c\u200b"
    for harmless in ("👩‍💻", "🏳️‍🌈", "می‌خواهم", "Zoë", "日本"):
        assert one_line(harmless) == harmless


def test_words_end() -> None:
    assert safe_words("x" * 300) == "x" * 200 + "..."
    assert len(safe_words("\x1b" * 300)) <= 203
    assert safe_words("short", 10) == "short"


@pytest.mark.parametrize(
    "secret", ["correct-horse", 'p"ä/s+w&o r<d\\', "https://user:p%40ss-word@proxy.example"]
)
def test_a_secret_is_hidden_however_it_is_written(secret: str) -> None:
    secrets = Secrets([secret])
    spellings = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.lower()}
    for before in ("", "n", "na", "nac", "nac:"):
        spellings.add(base64.b64encode(f"{before}{secret}".encode()).decode())
    for spelling in spellings:
        hidden = secrets.hide(f"refused {spelling} !")
        assert hidden.startswith("refused ")
        core = spelling.rstrip("=")[5:-3]
        assert core.lower() not in hidden.lower()
        assert secrets.hide_in(f"<{spelling}>\udcff".encode("utf-8", "surrogateescape")).endswith(b">\xff")
    assert "p@ss-word" not in Secrets(["http://u:p%40ss-word@h"]).hide("said p@ss-word")


def test_a_short_secret_leaves_words_alone() -> None:
    assert Secrets(["a", ""]).hide("a cat") == "a cat"
    body = b'{"a": 1}'
    assert Secrets(["none-of-it"]).hide_in(body) is body


def test_only_the_latest_tokens_are_remembered() -> None:
    secrets = Secrets()
    for number in range(1000):
        secrets.add(f"token-{number:04}")
    assert secrets.hide("token-0000 token-0999") == "token-0000 ..."


# --- errors


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_hold_single_lines_and_pickle_clean(kind: type[MdmError]) -> None:
    error = kind("a\x1b[31m\u202eb\r\nc", server="s\x07", hint="do\u200bthis", request_id="r" * 5000)
    error.message += "\x00d"
    for text in (str(error), repr(error), error.hint, error.server, error.request_id):
        assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in text or "")
    assert len(error.request_id or "") < 200
    error.__cause__ = ValueError("body")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(again) is kind
        assert vars(again) == vars(error)
        assert again.__cause__ is None


def test_models_pickle_clean() -> None:
    device = Device(registered=True, id="1", name="x")
    assert pickle.loads(pickle.dumps(device)) == device  # noqa: S301 - our own bytes


@pytest.mark.parametrize("text", ["abc\x1b]0;title\x07", "a\u202eb\u200bc", "x\r\ny"])
def test_a_hint_about_a_key_steers_no_terminal(text: str) -> None:
    with pytest.raises(InvalidIdentifierError) as caught:
        parse_key(text)
    shown = f"{caught.value} {caught.value.hint}"
    assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in shown)


def test_a_request_id_is_short_and_harmless() -> None:
    with pytest.raises(MdmError) as caught:
        check_status(Response(500, {"x-request-id": "\x1b[2J" + "x" * 9000}))
    assert len(caught.value.request_id or "") < 200
    assert "\x1b" not in (caught.value.request_id or "")


def test_a_body_that_is_no_json_is_not_kept() -> None:
    with pytest.raises(MalformedResponseError) as caught:
        Response(200, body=b'{"access_token": "planted-token", oops').json()
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


# --- what comes out of a client


def running(flow: Callable[[TinyProvider], Flow[Any]]) -> type[TinyProvider]:
    class Running(TinyProvider):
        def heartbeat(self) -> Flow[ServerInfo]:
            yield from flow(self)
            return ServerInfo()

    return Running


def parsed(provider: TinyProvider) -> Flow[Any]:
    secret = provider.settings.password.get_secret_value()
    answer = yield from send(provider.get("/x"))
    return json.loads(answer.body + secret.encode())


def quoted(provider: TinyProvider) -> Flow[Any]:
    secret = provider.settings.password.get_secret_value()
    yield from send(provider.get("/x"))
    raise ProtocolError(f"the server said {secret}", hint=quote(secret), request_id=secret)


def stumbled(provider: TinyProvider) -> Flow[Any]:
    secret = provider.settings.password.get_secret_value()
    yield from send(provider.get("/x"))
    raise KeyError(secret)


def called(provider: TinyProvider) -> Flow[Any]:
    secret = provider.settings.password.get_secret_value()

    def fail() -> None:
        local = secret
        raise ValueError(local)

    yield from call(fail)


class Stopped(BaseException):
    pass


def interrupted(provider: TinyProvider) -> Flow[Any]:
    secret = provider.settings.password.get_secret_value()

    def fail() -> None:
        local = secret
        raise Stopped(len(local))

    yield from call(fail)


@pytest.mark.parametrize("flow", [parsed, quoted, stumbled, called])
def test_an_error_carries_no_secret_out(
    tiny: Callable[..., Modal], script: Script, flow: Callable[[TinyProvider], Flow[Any]]
) -> None:
    script.routes["/x"] = "{"
    with pytest.raises(MdmError) as caught:
        tiny(kind=running(flow)).heartbeat()
    shown = printed(caught.value)
    assert SECRET not in shown
    assert base64.b64encode(f"tiny:{SECRET}".encode()).decode() not in shown
    if flow is not quoted:
        assert "test_silence.py" in shown  # where it happened can still be found


def test_an_exception_that_is_none_of_ours_leaves_its_variables_behind() -> None:
    provider = running(interrupted)(TinySettings(base_url="http://127.0.0.1:9"))
    with MdmClient(provider) as client, pytest.raises(Stopped) as caught:
        client.heartbeat()
    assert SECRET not in printed(caught.value)


def test_a_server_that_echoes_shows_nothing(tiny: Callable[..., Modal], script: Script) -> None:
    def echo(request: Any) -> Answer:
        credential = request.headers["authorization"]
        return Answer(credential, 500, {"x-request-id": credential.partition(" ")[2]})

    script.routes["/info"] = echo
    with pytest.raises(MdmError) as caught:
        tiny(policy={"attempts": 1}).heartbeat()
    assert caught.value.request_id == "..."


def test_a_redirect_that_quotes_the_credential_shows_nothing(
    tiny: Callable[..., Modal], script: Script
) -> None:
    script.routes["/info"] = lambda _: Answer("", 302, {"location": f"https://{SECRET}.attacker.example/"})
    with pytest.raises(MdmError) as caught:
        tiny().heartbeat()
    assert SECRET not in printed(caught.value)
    assert "attacker.example" in str(caught.value)


def test_settings_that_are_refused_are_not_kept() -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect("ise", base_url="https://mdm.example", username="u", pasword=f"{SECRET}")
    assert SECRET not in printed(caught.value, without=__file__)


def test_what_the_application_was_handling_is_left_alone() -> None:
    def application() -> None:
        variable = "kept"
        raise LookupError(variable)

    def ask() -> None:
        with sealed():
            raise ProtocolError("inner")

    def handle() -> None:
        try:
            application()
        except LookupError:
            ask()

    with pytest.raises(MdmError) as caught:
        handle()
    outer = caught.value.__context__
    assert isinstance(outer, LookupError)
    frames = traceback.TracebackException.from_exception(outer, capture_locals=True).stack
    assert frames[-1].locals == {"variable": "'kept'"}
    assert not hasattr(outer, "__notes__")


def test_errors_inside_errors_are_sealed_too() -> None:
    inner = ProtocolError(f"said {SECRET}")
    with pytest.raises(IncompleteListError) as caught, sealed(Secrets([SECRET])):
        raise IncompleteListError("broken off", failures=(inner,))
    assert SECRET not in str(caught.value.failures[0])


def test_the_log_of_an_early_renewal_that_fails_shows_nothing(
    tiny: Callable[..., Modal], script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # Its life is so short that it is renewed at once.
    script.routes["/token"] = '{"token": "first-token-value", "expires_in": 3600}'
    client = tiny(login="token")
    client.heartbeat()
    entry = token_entries(client)["api"]
    entry.renew_at = 0.0
    script.routes["/token"] = lambda _: Answer("", 302, {"location": f"https://{SECRET}.attacker.example/"})
    with pytest.raises(MdmError):
        tiny(login="token").heartbeat()
    entry.renew_at = 0.0
    script.routes["/token"] = lambda _: Answer(SECRET, 503, {"x-request-id": SECRET})
    client.heartbeat()
    assert "renewing the token early failed" in caplog.text
    assert SECRET not in caplog.text
