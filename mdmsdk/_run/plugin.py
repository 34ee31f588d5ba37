"""The one way into a plugin: whatever its methods do wrong becomes an error of ours."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Generator, Mapping
from inspect import isasyncgen, iscoroutine
from typing import TYPE_CHECKING, Any, TypeVar

from mdmsdk._run.signals import from_signal_handler
from mdmsdk.errors import MalformedResponseError, MdmError, PluginError
from mdmsdk.flow import Call, Flow, Pause, Send, Step, Together
from mdmsdk.models import Device, ServerInfo
from mdmsdk.provider import Page, Token, check_status, contract_of
from mdmsdk.wire import Request, Response

if TYPE_CHECKING:
    from mdmsdk.provider import MdmProvider

T = TypeVar("T")
# RFC 9110, sections 5.1 and 5.5, without what is obsolete there.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?").fullmatch
_log = logging.getLogger("mdmsdk.run")


class Plugin:
    """A provider's methods; each may raise `MdmError` as it likes and does nothing else wrong unnoticed.

    Attributes:
        provider: the provider; another one of its class where secrets were renewed.
    """

    def __init__(self, provider: MdmProvider) -> None:
        self.provider = provider
        self._knows_previous = contract_of(type(provider)) > 1

    def start(self, method: str, *args: Any) -> Flow[Any]:
        """The flow of a method, not begun.

        Raises:
            PluginError: it is none, or the method failed.
        """
        if method == "login" and not self._knows_previous:
            args = args[:1]
        flow = self._flow(method, *args)
        return self._sure(flow, args[0]) if method in _LOOKUPS else flow

    def _sure(self, flow: Flow[Any], info: ServerInfo) -> Flow[Any]:
        """What a lookup gives; where that is no record of any key, the account has to see a device at all."""
        result = yield from flow
        if _says_nothing(result):
            yield from self._flow("see_a_device", info)
        return result

    def _flow(self, method: str, *args: Any) -> Flow[Any]:
        flow = self._call(method, *args)
        if isinstance(flow, Generator):
            return flow
        if iscoroutine(flow):
            flow.close()  # else Python complains that nobody awaited it
        kind = "an async function" if iscoroutine(flow) or isasyncgen(flow) else f"a {_kind(flow)}"
        raise self._slip(method, f"is {kind} and no flow: write def, and yield from send(...) or done(...)")

    def step(self, method: str, flow: Flow[Any], outcome: Any, failure: MdmError | None) -> Step:
        """Resume a flow with the outcome of its last step, and give its next one.

        Raises:
            StopIteration: the flow is done.
            MdmError: as it raised it; `MalformedResponseError` where it stumbled over an answer.
            PluginError: it failed before its first step, or yielded something else than a step.
        """
        begun = getattr(flow, "gi_suspended", True)
        try:
            step = flow.send(outcome) if failure is None else flow.throw(failure)
        except (MdmError, StopIteration):
            raise
        except Exception as error:
            if from_signal_handler(error):
                raise
            if not begun:
                raise self._slip(method, f"failed before its first step ({_kind(error)})") from error
            raise _stumbled(error) from error
        if wrong := wrong_step(step):
            raise self._slip(method, wrong)
        return step

    def result(self, method: str, args: tuple[Any, ...], result: Any) -> Any:
        """What a flow returned.

        Raises:
            PluginError: it is not what the method has to return.
        """
        check = _RESULTS.get(method)
        if check and (wrong := check(result, args)):
            raise self._slip(method, f"returned {wrong}")
        return result

    def close(self, method: str, flow: Flow[Any]) -> None:
        """End a flow, and say in the log if it does not let itself be ended."""
        if getattr(flow, "gi_running", False):
            return  # in a thread that was left to itself, whose last act will be to drop it
        try:
            flow.close()
        except Exception as error:
            if from_signal_handler(error):
                raise
            slip = self._slip(method, f"failed while it was closed ({_kind(error)})")
            _log.warning("%s", slip.message)

    def authorize(self, request: Request, token: Token) -> Request:
        """The request with its credential on it."""
        authorized = self._pure("authorize", Request, request, token)
        if wrong := _wrong_headers(authorized):
            raise self._slip("authorize", f"gave {wrong}")
        return authorized

    def check(self, request: Request, response: Response) -> Response:
        """The response to a request, or the error that its status stands for.

        Whatever a provider thinks of it, a success other than 200 and 204 is no whole answer.
        """
        if 200 < response.status < 300 and response.status != 204:  # noqa: PLR2004 - HTTP's own numbers
            check_status(response)
        return self._pure("check", Response, response, instead=request.check)

    def trusts(self, *place: Any) -> bool:
        """Whether the provider declares a place as its own."""
        return self._pure("trusts", bool, *place)

    def _pure(self, method: str, kind: type[T], *args: Any, instead: Callable[..., Any] | None = None) -> T:
        result = self._call(method, *args, instead=instead)
        if not isinstance(result, kind):
            raise self._slip(method, f"returned a {_kind(result)} and no {kind.__name__}")
        return result

    def _call(self, method: str, *args: Any, instead: Callable[..., Any] | None = None) -> Any:
        try:
            return (instead or getattr(self.provider, method))(*args)
        except MdmError:
            raise
        except Exception as error:
            if from_signal_handler(error):
                raise
            if method == "check":
                raise _stumbled(error) from error
            raise self._slip(method, f"failed before it returned ({_kind(error)})") from error

    def _slip(self, method: str, what: str) -> PluginError:
        name = self.provider.name
        return PluginError(
            f"the plugin {name!r} is at fault: {method}() {what}", provider=name, method=method
        )


def _kind(value: object) -> str:
    return type(value).__name__


def _stumbled(error: Exception) -> MalformedResponseError:
    return MalformedResponseError(
        f"the provider could not make sense of the answer ({_kind(error)})",
        hint="If the server's version is supported, report this to the plugin's publisher.",
    )


def wrong_step(step: Any) -> str | None:
    """What is wrong with something that a flow yielded."""
    if isinstance(step, Send):
        return _wrong_request(step.request)
    if isinstance(step, Call):
        function: Any = step.function
        return None if callable(function) else f"calls a {_kind(function)}"
    if isinstance(step, Pause):
        lane: Any = step.lane
        if not isinstance(lane, str | None):
            return f"makes a {_kind(lane)} wait and no lane"
        return None if _is_seconds(step.seconds) else f"pauses for {step.seconds!r:.40} seconds"
    if isinstance(step, Together):
        flows: Any = step.flows
        if not isinstance(flows, list | tuple):
            return f"runs a {_kind(flows)} of flows together"
        odd = next((flow for flow in flows if not isinstance(flow, Generator)), None)
        return None if odd is None else f"runs a {_kind(odd)} together with other flows"
    return f"yielded a {_kind(step)} and no step: write yield from send(...)"


def _wrong_request(request: Any) -> str | None:
    """What is wrong with a request, which has to be one that can be written."""
    if not isinstance(request, Request):
        return f"sends a {_kind(request)} and no Request"
    for name in ("method", "url", "lane"):
        if not isinstance(getattr(request, name), str):
            return f"sends a request whose {name} is a {_kind(getattr(request, name))}"
    check: Any = request.check
    if not (check is None or callable(check)):
        return f"sends a request whose check is a {_kind(check)}"
    try:
        request.full_url.encode()
        request.content()
    except Exception as error:
        if from_signal_handler(error):
            raise
        return f"sends a request that cannot be written ({_kind(error)})"
    return (wrong := _wrong_headers(request)) and f"sends {wrong}"


def _wrong_headers(request: Request) -> str | None:
    try:
        for name, value in request.headers.items():
            if not (_HEADER_NAME(name) and _HEADER_VALUE(value)):
                return f"a request whose header {name!r:.40} cannot be written"
    except (AttributeError, TypeError) as error:
        return f"a request whose headers cannot be written ({_kind(error)})"
    return None


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _wrong_kind(kind: type[Any]) -> Callable[[Any, tuple[Any, ...]], str | None]:
    def check(result: Any, _: tuple[Any, ...]) -> str | None:
        return None if isinstance(result, kind) else f"a {_kind(result)} and no {kind.__name__}"

    return check


def _wrong_token(result: Any, _: tuple[Any, ...]) -> str | None:
    if not isinstance(result, Token):
        return f"a {_kind(result)} and no Token"
    scheme: Any = result.scheme
    life: Any = result.expires_in
    if not isinstance(scheme, str):
        return f"a Token whose scheme is a {_kind(scheme)}"
    # A server's 10**400 is a number too, if none that a float can hold.
    if life is None or (isinstance(life, int | float) and life == life):  # noqa: PLR0124 - not NaN
        return None
    return f"a Token that expires in {life!r:.40} seconds"


def _wrong_rows(result: Any, _: tuple[Any, ...] = ()) -> str | None:
    if not isinstance(result, list | tuple):
        return f"a {_kind(result)} and no list of Device"
    for row in result:
        if not isinstance(row, Device):
            return f"a list that holds a {_kind(row)} and no Device"
    return None


def _wrong_batch(result: Any, args: tuple[Any, ...]) -> str | None:
    if not isinstance(result, Mapping):
        return f"a {_kind(result)} and no dict"
    for key in args[-1]:
        if key not in result:
            return f"no entry for one of the keys ({key.kind})"
        if not isinstance(result[key], MdmError) and (wrong := _wrong_rows(result[key])):
            return f"for one of the keys {wrong}"
    return None


def _is_frozen(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _wrong_page(result: Any, _: tuple[Any, ...]) -> str | None:
    if not isinstance(result, Page):
        return f"a {_kind(result)} and no Page"
    cursor: Any = result.next_cursor
    total: Any = result.total
    if not _is_frozen(cursor):
        return f"a Page whose next_cursor is a {_kind(cursor)} that can change: a frozen value is wanted"
    if not isinstance(total, int | None):
        return f"a Page whose total is a {_kind(total)}"
    sent: Any = result.sent
    if sent is not None and not (
        isinstance(sent, list | tuple) and all(isinstance(name, str | None) for name in sent)
    ):
        return "a Page whose sent is no list of texts"
    return (wrong := _wrong_rows(result.items)) and f"a Page with {wrong}"


_LOOKUPS = frozenset({"find", "find_batch", "find_in"})


def _says_nothing(result: Any) -> bool:
    answers = list(result.values()) if isinstance(result, Mapping) else [result]
    rows = [one for one in answers if isinstance(one, list | tuple)]
    return bool(rows) and not any(rows)


_RESULTS: dict[str, Callable[[Any, tuple[Any, ...]], str | None]] = {
    "login": _wrong_token,
    "heartbeat": _wrong_kind(ServerInfo),
    "find": _wrong_rows,
    "find_batch": _wrong_batch,
    "find_in": _wrong_batch,
    "noncompliant_page": _wrong_page,
    "devices_page": _wrong_page,
    "devices_since": _wrong_page,
    "reasons": _wrong_kind(Device),
}
