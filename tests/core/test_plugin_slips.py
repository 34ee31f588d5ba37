"""What a plugin does wrong: always an error of ours that names the method, never a raw one, in every mode."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import pytest

from mdmsdk.client import build
from mdmsdk.errors import (
    AuthenticationError,
    MalformedResponseError,
    MdmError,
    PluginError,
    ProviderLoadError,
)
from mdmsdk.flow import Call, Pause, Send, Together, done, send
from mdmsdk.identifiers import Mac
from mdmsdk.models import Device, ServerInfo
from mdmsdk.provider import Capability, Limits, Page, Token
from mdmsdk.registry import load_provider
from mdmsdk.testing import open_client, open_federation
from mdmsdk.wire import Request
from tests.core.conftest import SECRET, TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

# What a plugin does wrong does not depend on the event loop.
pytestmark = pytest.mark.parametrize("mdm_mode", ["sync", "asyncio"], indirect=True)

MAC, OTHER = "00:1B:44:11:3A:B7", "00:1B:44:11:3A:B8"


class Broken(TinyProvider):
    """Capable of everything."""

    capabilities = frozenset({Capability.INVENTORY, Capability.REASONS, Capability.BATCH})
    limits = Limits(batch_size=8)


def value(result: Any) -> Callable[..., Any]:
    """A method that is a flow with this result."""
    return lambda *_: done(result)


def step(yielded: Any) -> Callable[..., Any]:
    """A method that is a flow with this step."""

    def method(*_: Any) -> Generator[Any, Any, Any]:
        yield yielded

    return method


def plain(result: Any) -> Callable[..., Any]:
    """A method that returns this and is no flow."""
    return lambda *_: result


def failing(*_: Any) -> Any:
    raise AttributeError(SECRET)


def failing_late(*fields: Any) -> Any:
    yield fields[99]


def stopping(*_: Any) -> Any:
    return next(iter(()))


async def coroutine(*_: Any) -> Any:
    return []


def request(**wrong: Any) -> Callable[..., Any]:
    return step(Send(cast("Any", Request)(**{"method": "GET", "url": "http://127.0.0.1:9/x", **wrong})))


FLOWS: dict[str, Callable[..., Any]] = {
    "none": plain(None),
    "a list": plain([]),
    "a coroutine": coroutine,
    "raises": failing,
    "raises before its first step": failing_late,
    "stops": stopping,
    "yields a request": step(Request("GET", "http://127.0.0.1:9/")),
    "yields a flow": step(done(None)),
    "yields none": step(None),
    "sends text": step(Send(cast("Any", "http://127.0.0.1:9/"))),
    "calls text": step(Call(cast("Any", "print"))),
    "pauses for text": step(Pause(cast("Any", "1"))),
    "pauses for ever": step(Pause(math.nan)),
    "pauses back in time": step(Pause(-1)),
    "together with a list": step(Together((cast("Any", []),))),
    "together none": step(Together(cast("Any", None))),
    "a set as JSON": request(method="POST", json={1, 2}),
    "text as form": request(method="POST", form="a=b"),
    "a number as URL": request(url=7),
    "a surrogate in the URL": request(url="http://127.0.0.1:9/\udc80"),
    "none as parameter": request(params={"a": None}),
    "a surrogate as parameter": request(params={"a": "\udc80"}),
    "a header of two lines": request(headers={"X-A": "a\r\nX-B: b"}),
    "a header that is a number": request(headers={"X-A": 1}),
    "a header in Greek": request(headers={"X-A": "\u03b1"}),
    "a header name with a blank": request(headers={"X A": "1"}),
    "headers as list": request(headers=[("a", "b")]),
    "a check that is none": request(check="5"),
    "no lane": request(lane=None),
}
"""What no method may be; each is tried as the method that a lookup needs."""

PAGES: list[Any] = [[], None, {"items": []}, [{}], Page(cast("Any", None)), Page(cast("Any", [{"id": "1"}]))]
PAGES += [Page([], cast("Any", [7])), Page([], None, cast("Any", "9")), Page(cast("Any", "text"))]
RESULTS: dict[str, list[Any]] = {
    "login": [None, "token", {"token": "t"}, Token("t", expires_in=cast("Any", "3600"))]
    + [Token("t", expires_in=math.nan), Token("t", scheme=cast("Any", None)), Token("t", scheme="Be\narer")],
    "heartbeat": [None, {}, "1.0"],
    "find": [None, {}, "text", [{}], [None], Device(registered=True, id="1"), iter([])],
    "find_batch": [None, [], {}, {Mac(MAC): []}, {Mac(MAC): [], Mac(OTHER): None}]
    + [{Mac(MAC): [], Mac(OTHER): [{}]}, {MAC: [], OTHER: []}],
    "noncompliant_page": PAGES,
    "devices_page": PAGES,
    "reasons": [None, {}, [Device(registered=True, id="1")]],
}
"""What a method may not return."""


def ask(client: Modal, method: str) -> Any:
    """What brings a client to use a method; an error in a result is raised."""
    if method == "noncompliant_page":
        return list(client.noncompliant())
    if method == "devices_page":
        return list(client.devices())
    if method == "reasons":
        return client.reasons(Device(registered=True, id="1"))
    if method == "find_batch":
        results = list(client.lookup_many([MAC, OTHER]))
        for result in results:
            if result.error:
                raise result.error
        return results
    return client.lookup(MAC)


def slip(connect: Connect, method: str, function: Callable[..., Any]) -> MdmError:
    """The error that a wrong method ends in."""
    kind = type("Slip", (Broken,), {method: function})
    with pytest.raises(MdmError) as caught:
        ask(connect(kind=kind, login="token" if method == "login" else "basic"), method)
    error = caught.value
    assert (error.server, error.provider) == ("tiny", "tiny")
    assert error.hint
    assert SECRET not in f"{error} {error!r}"
    return error


@pytest.mark.parametrize("what", FLOWS)
def test_a_method_that_is_no_flow_of_steps(tiny: Connect, what: str) -> None:
    for method in ("find", "heartbeat"):
        error = slip(tiny, method, FLOWS[what])
        assert isinstance(error, PluginError)
        assert error.method == method
        assert f"{method}()" in str(error)
        assert error.operation == "find"
        assert not error.retryable
        assert not what.startswith("yields") or "yield from send(...)" in str(error)


@pytest.mark.parametrize("method", ["login", "find_batch", "noncompliant_page", "devices_page", "reasons"])
def test_every_other_method_goes_the_same_way(tiny: Connect, method: str) -> None:
    for what in ("none", "raises", "yields a flow"):
        error = slip(tiny, method, FLOWS[what])
        assert isinstance(error, PluginError)
        assert error.method == method


@pytest.mark.parametrize("method", RESULTS)
def test_a_result_of_another_kind(tiny: Connect, method: str) -> None:
    for result in RESULTS[method]:
        error = slip(tiny, method, value(result))
        assert isinstance(error, PluginError), result
        assert error.method == ("authorize" if "Be\narer" in str(getattr(result, "scheme", "")) else method)


@pytest.mark.parametrize("method", ["authorize", "check"])
def test_pure_methods(tiny: Connect, method: str) -> None:
    for function in (plain(None), plain("text"), failing, stopping):
        error = slip(tiny, method, function)
        assert isinstance(error, PluginError | MalformedResponseError)
        assert not isinstance(error, PluginError) or error.method == method
    unsendable = Request("GET", "http://127.0.0.1:9/", headers={"Authorization": "Bearer \u03b1"})
    assert isinstance(slip(tiny, "authorize", plain(unsendable)), PluginError)


def test_a_word_on_trust(tiny: Connect) -> None:
    class Elsewhere(Broken):
        def find(self, info: ServerInfo, key: Any) -> Any:
            return send(Request("GET", "https://elsewhere.example/"))

    for function in (plain(None), plain("yes"), failing):
        kind = type("Slip", (Elsewhere,), {"trusts": function})
        with pytest.raises(PluginError, match=r"trusts\(\)"):
            tiny(kind=kind).lookup(MAC)


def test_stumbling_over_an_answer_is_told_as_such(tiny: Connect) -> None:
    def find(self: TinyProvider, info: ServerInfo, key: Any) -> Any:
        answer = yield from send(self.get("/find"))
        return [Device(registered=True, id=answer.headers["x-nothing"])]

    assert isinstance(slip(tiny, "find", find), MalformedResponseError)


def test_a_flow_that_does_not_let_itself_be_closed(tiny: Connect, caplog: pytest.LogCaptureFixture) -> None:
    def find(self: TinyProvider, info: ServerInfo, key: Any) -> Any:
        try:
            yield None
        finally:
            yield Send(self.get("/find"))

    assert isinstance(slip(tiny, "find", find), PluginError)
    assert "find() failed while it was closed" in caplog.text


@pytest.mark.parametrize("function", [plain(None), failing, failing_late, step(None)])
def test_logging_out(tiny: Connect, function: Callable[..., Any], script: Any) -> None:
    script.routes["/token"] = '{"token": "T"}'
    client = tiny(kind=type("Slip", (Broken,), {"logout": function}), login="token")
    client.lookup(MAC)
    client.close()


def test_what_is_wrong_for_one_flow_is_wrong_in_a_family(tiny: Connect) -> None:
    def find(self: TinyProvider, info: ServerInfo, key: Any) -> Any:
        return (yield Together((send(self.get("/find")), step(None)())))

    error = slip(tiny, "find", find)
    assert isinstance(error, PluginError)
    assert error.method == "find"


def test_a_federation_survives_it(tiny: Connect, origin: str, mdm_mode: str) -> None:
    for what in ("none", "raises", "yields none"):
        good = tiny(kind=TinyProvider)  # a federation closes its clients
        kind = type("Slip", (Broken,), {"find": staticmethod(FLOWS[what])})
        bad = open_client(kind(TinySettings(base_url=origin)), mdm_mode, server="bad")
        with open_federation([good, bad], mdm_mode) as federation:
            answer = federation.lookup(MAC)
        assert [outcome.status for outcome in answer.outcomes] == ["found", "error"]
        assert isinstance(answer.outcomes[1].error, PluginError)


def test_a_constructor_that_fails(mdm_mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(TinyProvider):
        __init__ = failing

    monkeypatch.setattr(build, "load_provider", lambda _: Failing)
    with pytest.raises(PluginError, match="constructor failed") as caught:
        build.make_provider("tiny", {"base_url": "https://mdm.example"})
    assert caught.value.provider == "tiny"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"name": None}, {"vendor": 7}, {"keys": [Mac]}, {"limits": {}}, {"settings_type": "x"}]
)
def test_a_class_that_does_not_declare_itself(
    mdm_mode: str, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    monkeypatch.setattr("mdmsdk.registry._load", lambda *_: type("Slip", (TinyProvider,), wrong))
    with pytest.raises(ProviderLoadError, match=next(iter(wrong))):
        load_provider("tiny")


def test_what_a_plugin_may_raise_is_left_alone(tiny: Connect) -> None:
    def refuse(*_: Any) -> Any:
        raise AuthenticationError("no", status=401, hint="ask again")

    assert isinstance(slip(tiny, "find", refuse), AuthenticationError)
