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

import anyio

from mdmsdk._run.body import ACCEPTED, BodyReader
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
    import httpx

    from mdmsdk.settings import ProviderSettings, TlsSettings

    Answer = httpx.Response


def _choose() -> str:
    chosen = os.environ.get("MDMSDK_HTTP")
    if chosen not in {None, "", "httpx", "httpx2"}:
        raise ConfigurationError(f"MDMSDK_HTTP is {chosen!r}", hint="Set it to httpx or httpx2, or unset it.")
    return chosen or ("httpx2" if importlib.util.find_spec("httpx2") else "httpx")


NAME = _choose()
lib: Any = import_module(NAME)
_core: Any = import_module(NAME.replace("httpx", "httpcore"))


# The library's own timeouts, which know the phase, come a little before the scope around everything.
_GRACE = 0.05


@cache
def _user_agent() -> str:
    return f"mdmsdk/{metadata.version('mdmsdk')}"


def _ssl_context(url: str, tls: TlsSettings) -> ssl.SSLContext:
    if urlsplit(url).scheme == "http":
        # Loading the authorities takes long and nothing would use them. This context trusts nobody.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=tls.ca_file) if tls.ca_file else lib.create_ssl_context()
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
    else:
        return context


def _options(settings: ProviderSettings) -> dict[str, Any]:
    # A loopback server is never behind the environment's proxy.
    loopback = is_loopback(urlsplit(settings.base_url).hostname or "")
    return {
        "verify": _ssl_context(settings.base_url, settings.tls),
        "proxy": settings.proxy.get_secret_value() if settings.proxy else None,
        "trust_env": not loopback,
        # The runner's own limit counts; a second one could only deadlock with it.
        "limits": lib.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=30.0),
        "headers": {"User-Agent": _user_agent(), "Accept-Encoding": ACCEPTED, "Accept": "*/*"},
    }


class _Http(ABC):
    """What both modes share: how requests and answers are translated."""

    def __init__(self, settings: ProviderSettings, client: Any = None) -> None:
        self._owned = client is None
        try:
            self._client: Any = self._build(_options(settings)) if client is None else client
        except ValueError as error:  # what the library says of an unusable proxy URL; it may quote it
            raise ConfigurationError(
                f"the proxy setting is not usable ({type(error).__name__})",
                hint="Write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT.",
            ) from None

    @abstractmethod
    def _build(self, options: dict[str, Any]) -> Any:
        """A client of the mode's own kind."""

    def _translate_request(self, request: Request, seconds: float) -> Any:
        content, content_type = request.content()
        headers = dict(request.headers)
        if content_type:
            headers.setdefault("Content-Type", content_type)
        return self._client.build_request(
            request.method,
            request.full_url,
            headers=headers,
            content=content or None,
            timeout=lib.Timeout(seconds),
        )

    @staticmethod
    def _reader(answer: Answer, limit: int) -> BodyReader:
        return BodyReader(answer.headers.get("content-encoding"), limit)

    @staticmethod
    def _translate_answer(answer: Answer, reader: BodyReader) -> Response:
        return Response(answer.status_code, dict(answer.headers.items()), reader.finish(), str(answer.url))


class Http(_Http):
    """Exchanges a request for a response, in sync."""

    def _build(self, options: dict[str, Any]) -> Any:
        client = lib.Client(**options)
        for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see _DeadlineBackend
            if pool := getattr(transport, "_pool", None):
                pool._network_backend = _DeadlineBackend(pool._network_backend)  # noqa: SLF001
        return client

    def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        """Send and read to the end, within `seconds`.

        Raises:
            TransportError: no whole answer came back.
            ResponseTooLargeError: the body exceeds `max_body` bytes.
        """
        _timer.until = time.monotonic() + seconds
        try:
            answer = self._client.send(
                self._translate_request(request, seconds), stream=True, follow_redirects=False
            )
            try:
                reader = self._reader(answer, max_body)
                for chunk in answer.iter_raw():
                    reader.feed(chunk)
                return self._translate_answer(answer, reader)
            finally:
                answer.close()
        except (lib.HTTPError, lib.InvalidURL) as error:
            raise translate_failure(error, request, seconds) from error

    def close(self) -> None:
        """Close the connections, unless they are the application's own."""
        if self._owned:
            self._client.close()


class AsyncHttp(_Http):
    """Exchanges a request for a response, in async."""

    def _build(self, options: dict[str, Any]) -> Any:
        return lib.AsyncClient(**options)

    async def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        """Send and read to the end, within `seconds`; raises as `Http.exchange` does."""
        try:
            with anyio.fail_after(seconds + _GRACE):
                answer = await self._client.send(
                    self._translate_request(request, seconds), stream=True, follow_redirects=False
                )
                try:
                    reader = self._reader(answer, max_body)
                    async for chunk in answer.aiter_raw():
                        reader.feed(chunk)
                    return self._translate_answer(answer, reader)
                finally:
                    await answer.aclose()
        except TimeoutError as error:
            raise translate_failure(error, request, seconds) from error
        except (lib.HTTPError, lib.InvalidURL) as error:
            raise translate_failure(error, request, seconds) from error

    async def aclose(self) -> None:
        """Close the connections, unless they are the application's own."""
        if self._owned:
            await self._client.aclose()


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

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _left(timeout: float | None, expired: type[Exception]) -> float:
    left = _timer.until - time.monotonic()
    if left <= 0:
        raise expired
    return left if timeout is None else min(timeout, left)
