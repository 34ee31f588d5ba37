"""Exchanges a request for a response: the one seam between the SDK and the network.

Everything that goes wrong there leaves it as an `MdmError`, whoever raised it. How connections are made and
kept is in `connections`, `streams` and `net`; the HTTP library itself in `library`.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from functools import cache, lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import anyio

from mdmsdk._run.body import ACCEPTED, BodyReader
from mdmsdk._run.connections import Connections, Line
from mdmsdk._run.cookies import Cookies
from mdmsdk._run.library import core, lib
from mdmsdk._run.proxies import proxy_for
from mdmsdk._run.signals import from_signal_handler
from mdmsdk._run.streams import AsyncBackend, Backend, Seen, running_loop
from mdmsdk._run.trust import tls_context
from mdmsdk.errors import (
    ConnectError,
    MdmError,
    MdmTimeoutError,
    ProtocolError,
    TlsError,
    TransportError,
)
from mdmsdk.wire import Request, Response, redact_url

if TYPE_CHECKING:
    from mdmsdk._run.proxies import Way
    from mdmsdk.settings import ProviderSettings

_PLAIN_QUERY = re.compile(r"[A-Za-z0-9%&=_.~$-]*", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WITH_CONTENT = {"POST", "PUT", "PATCH"}


@cache
def _user_agent() -> str:
    return f"mdmsdk/{metadata.version('mdmsdk')}"


class Place(NamedTuple):
    """Where a request goes."""

    origin: tuple[str, str, int]
    """Scheme, host as in DNS, port."""
    host: bytes
    """The ``Host`` field."""
    path: bytes


@lru_cache(maxsize=256)
def _place(url: str) -> Place:
    """Read a URL without its query as the HTTP library does, which encodes what no URL can hold."""
    parsed = lib.URL(url)
    if parsed.scheme not in _DEFAULT_PORTS or not parsed.host:
        raise lib.InvalidURL(url)
    origin = parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port or _DEFAULT_PORTS[parsed.scheme]
    return Place(origin, parsed.netloc, parsed.raw_path)


def _place_of(url: str) -> Place:
    """Where a request to this URL goes."""
    base, mark, query = url.partition("?")
    if not _PLAIN_QUERY.fullmatch(query):
        return _place.__wrapped__(url)
    place = _place(base)
    return Place(place.origin, place.host, place.path + f"?{query}".encode()) if mark else place


class _Http:
    """What both modes share. A client of the application's own is used as it is."""

    def __init__(self, settings: ProviderSettings, client: Any = None) -> None:
        self._settings = settings
        self._client = client
        self._connections = Connections()
        self._cookies = Cookies()
        self._fields = {
            "User-Agent": _user_agent(),
            "Accept": "*/*",
            "Accept-Encoding": ACCEPTED,
        }

    def _core_request(self, request: Request, place: Place) -> Any:
        """The request in the words of the library's core."""
        content, content_type = request.content()
        fields = {**self._fields, **request.headers}
        if content_type:
            fields.setdefault("Content-Type", content_type)
        if content or request.method in _WITH_CONTENT:
            fields["Content-Length"] = str(len(content))
        if cookie := self._cookies.header(place.origin, place.path.decode("ascii")):
            fields["Cookie"] = cookie
        scheme, host, port = place.origin
        return core.Request(
            request.method,
            core.URL(scheme=scheme, host=host, port=port, target=place.path),
            headers=[
                (b"Host", place.host),
                *((name.encode("ascii"), value.encode("ascii")) for name, value in fields.items()),
            ],
            content=content,
        )

    def _client_request(self, request: Request, url: str, seconds: float) -> Any:
        """The request in the words of the application's own client."""
        content, content_type = request.content()
        fields = {**self._fields, **request.headers}
        if content_type:
            fields.setdefault("Content-Type", content_type)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        return self._client.build_request(
            request.method, url, headers=fields, content=content or None, extensions={"timeout": timeouts}
        )

    def _open(
        self, line: Line, place: Place, mode: str, backend: Any, context: ssl.SSLContext | None = None
    ) -> None:
        """Give a new line its HTTP connection, which connects at the first request."""
        scheme, host, port = place.origin
        options = {"network_backend": backend}
        if scheme == "https":
            options["ssl_context"] = context or tls_context(self._settings.tls)
        proxy = proxy_for(self._settings, scheme, host, port).proxy
        origin = core.Origin(scheme.encode(), host.encode(), port)
        if proxy is None:
            line.http = getattr(core, f"{mode}HTTPConnection")(origin, **options)
            return
        if proxy.url.startswith("https:"):
            options["proxy_ssl_context"] = tls_context(self._settings.tls)
        pool = getattr(core, f"{mode}HTTPProxy")(proxy.url, proxy_auth=proxy.login, **options)
        line.http = pool.create_connection(origin)

    def way(self, url: str) -> Way:
        """By which proxy an address is reached, and why."""
        return proxy_for(self._settings, *_place_of(url).origin)

    def _looking(self, url: str, seconds: float) -> tuple[Line, Place, Any]:
        """A line on which only the certificate is looked at, and the request that is never sent on it."""
        place, line = _place_of(url), Line(None)
        line.until = time.monotonic() + seconds
        line.look_at = place.origin[1]
        return line, place, self._core_request(Request("HEAD", url), place)

    def _keep_cookies(self, place: Place, pairs: list[tuple[bytes, bytes]]) -> None:
        set_by_server = [value.decode("latin-1") for name, value in pairs if name.lower() == b"set-cookie"]
        self._cookies.keep(place.origin, place.path.decode("ascii"), set_by_server)


def _fields_of(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The header fields by lower-case name; repeated ones joined (RFC 9110, section 5.3)."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


class Http(_Http):
    """Exchanges a request for a response, in sync."""

    def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        """Send and read to the end, within `seconds`.

        Raises:
            TransportError: no whole answer came back.
            ResponseTooLargeError: the body exceeds `max_body` bytes.
        """
        try:
            if self._client:
                return self._exchange_by_client(request, seconds, max_body)
            return self._exchange(request, seconds, max_body)
        except MdmError:
            raise
        except Exception as error:
            if from_signal_handler(error):
                raise
            raise translate_failure(error, request, seconds) from error

    def _exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        url = request.full_url
        place = _place_of(url)
        native = self._core_request(request, place)
        line = self._connections.take(place.origin)
        try:
            line.until = time.monotonic() + seconds
            if line.http is None:
                self._open(line, place, "", Backend(line))
            answer = line.http.handle_request(native)
            fields = _fields_of(answer.headers)
            if "set-cookie" in fields:
                self._keep_cookies(place, answer.headers)
            reader = BodyReader(fields.get("content-encoding"), max_body)
            for chunk in answer.stream:
                reader.feed(chunk)
            body = reader.finish()
            answer.close()
        except BaseException:
            line.drop()
            raise
        self._connections.give(place.origin, line)
        return Response(answer.status, fields, body, url)

    def _exchange_by_client(self, request: Request, seconds: float, max_body: int) -> Response:
        url = request.full_url
        native = self._client_request(request, url, seconds)
        answer = self._client.send(native, stream=True, follow_redirects=False)
        try:
            fields = _fields_of(answer.headers.raw)
            reader = BodyReader(fields.get("content-encoding"), max_body)
            for chunk in answer.stream:
                reader.feed(chunk)
            return Response(answer.status_code, fields, reader.finish(), url)
        finally:
            answer.close()

    def look(self, url: str, seconds: float, context: ssl.SSLContext | None = None) -> Seen:
        """Agree on TLS with the server of an https address, and send it nothing.

        Args:
            url: the address.
            seconds: the time that it may take.
            context: whom to trust; default: as the settings say.

        Raises:
            TransportError: it came to no agreement.
        """
        line, place, native = self._looking(url, seconds)
        try:
            self._open(line, place, "", Backend(line), context)
            line.http.handle_request(native)
        except Seen as seen:
            return seen
        except Exception as error:
            if from_signal_handler(error):
                raise
            raise translate_failure(error, Request("HEAD", url), seconds) from error
        finally:
            line.drop()
        raise AssertionError("the handshake ends it")

    def close(self) -> None:
        """Close the connections, unless they are the application's own."""
        self._connections.close()


class AsyncHttp(_Http):
    """Exchanges a request for a response, in async."""

    async def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        """Send and read to the end, within `seconds`; raises as `Http.exchange` does."""
        try:
            if self._client:
                with anyio.fail_after(seconds):
                    return await self._exchange_by_client(request, seconds, max_body)
            return await self._exchange(request, seconds, max_body)
        except MdmError:
            raise
        except Exception as error:
            if from_signal_handler(error):
                raise
            raise translate_failure(error, request, seconds) from error

    async def _exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        url = request.full_url
        place = _place_of(url)
        native = self._core_request(request, place)
        line = self._connections.take(place.origin, running_loop())
        try:
            line.until = time.monotonic() + seconds
            if line.http is None:
                self._open(line, place, "Async", AsyncBackend(line))
            answer = await line.http.handle_async_request(native)
            fields = _fields_of(answer.headers)
            if "set-cookie" in fields:
                self._keep_cookies(place, answer.headers)
            reader = BodyReader(fields.get("content-encoding"), max_body)
            async for chunk in answer.stream:
                reader.feed(chunk)
            body = reader.finish()
            await answer.aclose()
        except BaseException:
            line.drop()
            raise
        self._connections.give(place.origin, line)
        return Response(answer.status, fields, body, url)

    async def _exchange_by_client(self, request: Request, seconds: float, max_body: int) -> Response:
        url = request.full_url
        native = self._client_request(request, url, seconds)
        answer = await self._client.send(native, stream=True, follow_redirects=False)
        try:
            fields = _fields_of(answer.headers.raw)
            reader = BodyReader(fields.get("content-encoding"), max_body)
            async for chunk in answer.stream:
                reader.feed(chunk)
            return Response(answer.status_code, fields, reader.finish(), url)
        finally:
            await answer.aclose()

    async def look(self, url: str, seconds: float, context: ssl.SSLContext | None = None) -> Seen:
        """Agree on TLS with the server of an https address, and send it nothing; see `Http.look`."""
        line, place, native = self._looking(url, seconds)
        try:
            self._open(line, place, "Async", AsyncBackend(line), context)
            await line.http.handle_async_request(native)
        except Seen as seen:
            return seen
        except Exception as error:
            if from_signal_handler(error):
                raise
            raise translate_failure(error, Request("HEAD", url), seconds) from error
        finally:
            line.drop()
        raise AssertionError("the handshake ends it")

    async def aclose(self) -> None:
        """Close the connections, unless they are the application's own."""
        self._connections.close()


def translate_failure(error: Exception, request: Request, seconds: float) -> MdmError:
    """Any exception of an exchange as an error that says what happened and what to do."""
    parts = urlsplit(request.url)
    host = f"{parts.hostname}:{parts.port or _DEFAULT_PORTS.get(parts.scheme)}"
    causes = list(_causes(error))
    if isinstance(error, (lib.ConnectTimeout, core.ConnectTimeout)):
        return MdmTimeoutError(
            f"no connection to {host} within {seconds:g} s",
            hint="Check DNS, the route and the firewall to this host and port, and the proxy setting.",
        )
    if isinstance(error, (TimeoutError, lib.TimeoutException, core.TimeoutException)):
        return MdmTimeoutError(f"{host} did not answer in full within {seconds:g} s")
    if untrusted := _first(causes, ssl.SSLCertVerificationError):
        return TlsError(f"the certificate of {host} is not trusted: {untrusted.verify_message}")
    reading = isinstance(error, (core.ReadError, core.WriteError))
    if _first(causes, ssl.SSLError) and not (reading and _first(causes, ssl.SSLEOFError)):
        return TlsError(
            f"no secure connection to {host} could be agreed on",
            hint="Check that this port speaks TLS 1.2 or later, and whether it wants a client certificate.",
        )
    if _first(causes, socket.gaierror):
        name = error.args[0] if isinstance(error, core.ConnectError) else parts.hostname
        return ConnectError(
            f"the host name {name} is not known", hint="Check base_url, the proxy setting and DNS."
        )
    if isinstance(error, (lib.ProxyError, core.ProxyError)):
        return ConnectError(
            f"the proxy refused the way to {host}", hint="Check the proxy setting and its login."
        )
    if isinstance(error, (lib.ConnectError, core.ConnectError)):
        return ConnectError(f"{host} refused the connection or is unreachable")
    if isinstance(
        error, (lib.NetworkError, lib.RemoteProtocolError, core.NetworkError, core.RemoteProtocolError)
    ):
        return ConnectError(f"{host} broke the connection off before the answer was complete")
    if isinstance(error, (lib.InvalidURL, lib.LocalProtocolError, core.LocalProtocolError, UnicodeError)):
        return ProtocolError(f"no request can be sent to {redact_url(request.url)} ({type(error).__name__})")
    return TransportError(f"the exchange with {host} failed ({type(error).__name__})", retryable=False)


def first_cause(error: BaseException, kind: type[Any]) -> Any:
    """The first of an error and its causes that is of a kind; None if there is none."""
    return _first(list(_causes(error)), kind)


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first(causes: list[Any], kind: type[Any]) -> Any:
    return next((cause for cause in causes if isinstance(cause, kind)), None)
