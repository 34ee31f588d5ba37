"""The only module that knows the HTTP library: `httpx`, or its continuation `httpx2` where installed.

Both have the same interface; the environment variable ``MDMSDK_HTTP`` names one of them.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import ssl
import threading
import time
from abc import ABC, abstractmethod
from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio

from mdmsdk._run.body import ACCEPTED, BodyReader
from mdmsdk._run.quiet import keep_quiet
from mdmsdk.errors import (
    ConfigurationError,
    ConnectError,
    MdmError,
    MdmTimeoutError,
    ProtocolError,
    TlsError,
    TransportError,
)
from mdmsdk.settings import is_loopback
from mdmsdk.wire import Request, Response, redact_url

if TYPE_CHECKING:
    from mdmsdk.settings import ProviderSettings, TlsSettings


def _choose() -> str:
    chosen = os.environ.get("MDMSDK_HTTP")
    if chosen not in {None, "", "httpx", "httpx2"}:
        raise ConfigurationError(f"MDMSDK_HTTP is {chosen!r}", hint="Set it to httpx or httpx2, or unset it.")
    return chosen or ("httpx2" if importlib.util.find_spec("httpx2") else "httpx")


NAME = _choose()
lib: Any = import_module(NAME)
_core: Any = import_module(NAME.replace("httpx", "httpcore"))
keep_quiet(NAME)


# The library's own timeouts, which know the phase, come a little before the scope around everything.
_GRACE = 0.05


@cache
def _user_agent() -> str:
    return f"mdmsdk/{metadata.version('mdmsdk')}"


def _ssl_context(tls: TlsSettings) -> ssl.SSLContext:
    try:
        context: ssl.SSLContext = (
            ssl.create_default_context(cafile=tls.ca_file) if tls.ca_file else lib.create_ssl_context()
        )
        if tls.client_cert:
            password = tls.client_key_password
            context.load_cert_chain(
                tls.client_cert, tls.client_key, password.get_secret_value() if password else None
            )
    except OSError as error:
        files = ", ".join(str(path) for path in (tls.ca_file, tls.client_cert, tls.client_key) if path)
        raise ConfigurationError(
            f"the TLS files could not be loaded ({files}): {error.strerror or type(error).__name__}",
            hint="Give PEM files that exist, are readable and belong together; see tls in the settings.",
        ) from None
    return context


def _proxy_for(settings: ProviderSettings, scheme: str, host: str) -> str | None:
    """The proxy on the way to a host: the setting, or the environment's; none to this very machine."""
    if settings.proxy:
        return settings.proxy.get_secret_value()
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")


class _Http(ABC):
    """What both modes share.

    The library's transports are used directly: its clients follow redirects, read the environment and
    merge defaults, which the runner does by other rules, and that would be half of a lookup's cost.
    A client of the application's own is used as it is.
    """

    def __init__(self, settings: ProviderSettings, client: Any = None) -> None:
        self._settings = settings
        self._client = client
        self._transports: dict[tuple[bytes, bytes], Any] = {}
        self._opening = threading.Lock()
        self._cookies: Any = lib.Cookies()
        self._has_cookies = False
        self._headers = {
            "User-Agent": _user_agent(),
            "Accept": "*/*",
            "Accept-Encoding": ACCEPTED,
        }

    @abstractmethod
    def _build(self, **options: Any) -> Any:
        """A transport of the mode's own kind."""

    def _transport(self, url: Any) -> Any:
        """The connections to a host; opened, with their trust and proxy, when first needed."""
        origin = url.raw_scheme, url.raw_host
        known = self._transports.get(origin)
        if known is not None:
            return known
        with self._opening:
            options: dict[str, Any] = {
                # The authorities take long to load, and http has no use for them: this trusts nobody.
                "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                if url.scheme == "http"
                else _ssl_context(self._settings.tls),
                # The runner's own limit counts; a second one could only deadlock with it.
                "limits": lib.Limits(
                    max_connections=None, max_keepalive_connections=20, keepalive_expiry=30.0
                ),
                "trust_env": False,
            }
            try:
                if proxy := _proxy_for(self._settings, url.scheme, url.host):
                    options["proxy"] = lib.Proxy(proxy)
                transport = self._build(**options)
            except (
                ValueError,
                ImportError,
                lib.InvalidURL,
            ) as error:  # its text may quote the proxy's password
                raise ConfigurationError(
                    f"the proxy is not usable ({type(error).__name__})",
                    hint="Write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT.",
                ) from None
            return self._transports.setdefault(origin, transport)

    def _translate(self, request: Request, url: str, seconds: float) -> Any:
        """The library's request."""
        content, content_type = request.content()
        headers = {**self._headers, **request.headers}
        if content_type:
            headers.setdefault("Content-Type", content_type)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        make = self._client.build_request if self._client else lib.Request
        native = make(
            request.method,
            url,
            headers=headers,
            content=content or None,
            extensions={"timeout": timeouts},
        )
        if self._has_cookies:
            self._cookies.set_cookie_header(native)
        return native

    def _read_headers(self, native: Any, answer: Any) -> dict[str, str]:
        """The header fields by lower-case name; repeated ones joined (RFC 9110, section 5.3)."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in answer.headers.raw:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if "set-cookie" in headers and not self._client:
            answer.request = native
            self._cookies.extract_cookies(answer)
            self._has_cookies = True
        return headers


class Http(_Http):
    """Exchanges a request for a response, in sync."""

    def _build(self, **options: Any) -> Any:
        transport = lib.HTTPTransport(**options)
        # The library has no public way to a network back end; a test with a slow server watches this one.
        pool = transport._pool  # noqa: SLF001
        pool._network_backend = _DeadlineBackend(pool._network_backend)  # noqa: SLF001
        return transport

    def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        """Send and read to the end, within `seconds`.

        Raises:
            TransportError: no whole answer came back.
            ResponseTooLargeError: the body exceeds `max_body` bytes.
        """
        url = request.full_url
        _timer.until = time.monotonic() + seconds
        try:
            native = self._translate(request, url, seconds)
            if self._client:
                answer = self._client.send(native, stream=True, follow_redirects=False)
            else:
                answer = self._transport(native.url).handle_request(native)
            try:
                headers = self._read_headers(native, answer)
                reader = BodyReader(headers.get("content-encoding"), max_body)
                for chunk in answer.stream:
                    reader.feed(chunk)
                return Response(answer.status_code, headers, reader.finish(), url)
            finally:
                answer.close()
        except (lib.HTTPError, lib.InvalidURL) as error:
            raise translate_failure(error, request, seconds) from error

    def close(self) -> None:
        """Close the connections, unless they are the application's own."""
        while self._transports:
            self._transports.popitem()[1].close()


class AsyncHttp(_Http):
    """Exchanges a request for a response, in async."""

    def _build(self, **options: Any) -> Any:
        return lib.AsyncHTTPTransport(**options)

    async def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        """Send and read to the end, within `seconds`; raises as `Http.exchange` does."""
        url = request.full_url
        try:
            with anyio.fail_after(seconds + _GRACE):
                native = self._translate(request, url, seconds)
                if self._client:
                    answer = await self._client.send(native, stream=True, follow_redirects=False)
                else:
                    answer = await self._transport(native.url).handle_async_request(native)
                try:
                    headers = self._read_headers(native, answer)
                    reader = BodyReader(headers.get("content-encoding"), max_body)
                    async for chunk in answer.stream:
                        reader.feed(chunk)
                    return Response(answer.status_code, headers, reader.finish(), url)
                finally:
                    await answer.aclose()
        except (TimeoutError, lib.HTTPError, lib.InvalidURL) as error:
            raise translate_failure(error, request, seconds) from error

    async def aclose(self) -> None:
        """Close the connections, unless they are the application's own."""
        while self._transports:
            await self._transports.popitem()[1].aclose()


def translate_failure(error: Exception, request: Request, seconds: float) -> MdmError:
    """The library's exception as an error that says what happened and what to do."""
    parts = urlsplit(request.url)
    host = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    causes = list(_causes(error))
    if isinstance(error, lib.ConnectTimeout):
        return MdmTimeoutError(
            f"no connection to {host} within {seconds:g} s",
            hint="Check DNS, the route and the firewall to this host and port, and the proxy setting.",
        )
    if isinstance(error, (TimeoutError, lib.TimeoutException)):
        return MdmTimeoutError(f"{host} did not answer in full within {seconds:g} s")
    if untrusted := _first(causes, ssl.SSLCertVerificationError):
        return TlsError(f"the certificate of {host} is not trusted: {untrusted.verify_message}")
    if _first(causes, ssl.SSLError):
        return TlsError(
            f"no secure connection to {host} could be agreed on",
            hint="Check that this port speaks TLS 1.2 or later, and whether it wants a client certificate.",
        )
    if _first(causes, socket.gaierror):
        return ConnectError(f"the host name {parts.hostname} is not known", hint="Check base_url and DNS.")
    if isinstance(error, lib.ProxyError):
        return ConnectError(
            f"the proxy refused the way to {host}", hint="Check the proxy setting and its login."
        )
    if isinstance(error, lib.ConnectError):
        return ConnectError(f"{host} refused the connection or is unreachable")
    if isinstance(error, lib.NetworkError | lib.RemoteProtocolError):
        return ConnectError(f"{host} broke the connection off before the answer was complete")
    if isinstance(error, lib.TransportError):
        return TransportError(f"the exchange with {host} failed ({type(error).__name__})", retryable=False)
    return ProtocolError(f"no request can be sent to {redact_url(request.url)} ({type(error).__name__})")


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first(causes: list[Any], kind: type[Any]) -> Any:
    return next((cause for cause in causes if isinstance(cause, kind)), None)


class _Timer(threading.local):
    until: float = 0.0


_timer = _Timer()


class _DeadlineBackend:
    """A network back end whose every wait ends when the whole exchange must.

    The library's own timeouts count for one read each; a server that sends a byte now and then would
    hold a thread for ever. In async a cancel scope does this; in sync it has to be at the socket.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> _DeadlineStream:
        return _DeadlineStream(
            self._inner.connect_tcp(*args, timeout=_left(timeout, _core.ConnectTimeout), **kwargs)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _DeadlineStream:
    """A connection of a `_DeadlineBackend`."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._inner.read(max_bytes, timeout=_left(timeout, _core.ReadTimeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout=_left(timeout, _core.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _DeadlineStream:
        timeout = _left(timeout, _core.ConnectTimeout)
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None, expired: type[Exception]) -> float:
    left = _timer.until - time.monotonic()
    if left <= 0:
        raise expired
    return left if timeout is None else min(timeout, left)
