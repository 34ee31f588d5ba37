"""Spans and metrics for OpenTelemetry, through its API alone.

Nothing here imports it: a program that watches has done so, and set a provider up. Where nobody has, an
operation costs two look-ups in a dict. Names and units are those of the semantic conventions,
https://opentelemetry.io/docs/specs/semconv/http/. Addresses are told as far as their origin, and errors by
their class: what stands behind may name a device or hold a secret.

No context is entered here, since one thread of the sync client takes turns with several operations; a span
is told which one it belongs to.
"""

from __future__ import annotations

import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from mdmsdk.wire import Request

__all__ = ["Exchange", "Served", "Watched", "is_watched"]

_IDLE = {"ProxyTracerProvider", "NoOpTracerProvider", "_ProxyMeterProvider", "NoOpMeterProvider"}
"""The providers of the API that stand for none."""
_PORTS = {"http": 80, "https": 443}
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}
_FAILED = 400
_FAULT = 500
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/, the buckets that it asks for
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

_made: dict[str, tuple[Any, Any]] = {}


def _provided(module: str, get_provider: str, get: str) -> Any:
    """What a provider gives that somebody has set up; None if nobody has."""
    api: Any = sys.modules.get(module)
    provider = getattr(api, get_provider)() if hasattr(api, get_provider) else None
    if provider is None or type(provider).__name__ in _IDLE:
        return None
    known = _made.get(get)
    if known is None or known[0] is not provider:
        known = _made[get] = provider, getattr(provider, get)("mdmsdk", version("mdmsdk"))
    return known[1]


def is_watched() -> bool:
    """Whether somebody has set up what spans or metrics go to."""
    return _tracer() is not None or _meter() is not None


def _tracer() -> Any:
    return _provided("opentelemetry.trace", "get_tracer_provider", "get_tracer")


def _meter() -> Any:
    return _provided("opentelemetry.metrics", "get_meter_provider", "get_meter")


_histograms: dict[tuple[Any, str], Any] = {}


def _record(meter: Any, name: str, seconds: float, attributes: Mapping[str, Any]) -> None:
    histogram = _histograms.get((meter, name))
    if histogram is None:
        _histograms.clear()  # those of a provider before
        histogram = _histograms[meter, name] = meter.create_histogram(
            name, unit="s", explicit_bucket_boundaries_advisory=_BUCKETS
        )
    histogram.record(seconds, attributes)


class _Seen:
    """Something that has a span and a duration, where somebody watches.

    Args:
        name: of the span.
        kind: of the span, a name of ``SpanKind``.
        metric: the name of the histogram.
    """

    def __init__(self, name: str, kind: str, metric: str) -> None:
        self._name = name
        self._kind = kind
        self._metric = metric
        self._span: Any = None
        self._meter: Any = None
        self._attributes: dict[str, Any] = {}

    def _describe(self) -> dict[str, Any]:
        """The attributes of both."""
        raise NotImplementedError

    def _only_of_span(self) -> dict[str, Any]:
        return {}

    def _parent(self) -> Any:
        """The context of the span; None for that of the program."""
        return None

    def __enter__(self) -> Self:
        tracer, self._meter = _tracer(), _meter()
        if tracer is None and self._meter is None:
            return self
        self._began = time.perf_counter()
        self._attributes = self._describe()
        if tracer is not None:
            self._span = tracer.start_span(
                self._name,
                context=self._parent(),
                kind=getattr(sys.modules["opentelemetry.trace"], "SpanKind")[self._kind],  # noqa: B009
                attributes=self._attributes | self._only_of_span(),
                record_exception=False,
                set_status_on_exception=False,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._span is None and self._meter is None:
            return
        if kind is not None:
            self._fail(kind.__qualname__)
        if self._meter is not None:
            _record(self._meter, self._metric, time.perf_counter() - self._began, self._attributes)
        if self._span is not None:
            self._span.end()

    def _tell(self, name: str, value: Any) -> None:
        self._attributes[name] = value
        if self._span is not None:
            self._span.set_attribute(name, value)

    def _fail(self, what: str) -> None:
        self._tell("error.type", what)
        if self._span is not None:
            self._span.set_status(sys.modules["opentelemetry.trace"].StatusCode.ERROR)

    def answered(self, status: int, failed: int = _FAILED) -> None:
        """Note the HTTP status of the answer, which is a failure from so much on."""
        if self._span is None and self._meter is None:
            return
        self._tell("http.response.status_code", status)
        if status >= failed:
            self._fail(str(status))


class Watched(_Seen):
    """What a provider's method does for an operation of a client, such as a lookup.

    Args:
        operation: its name.
        method: the name of the provider's.
        server: the configured name of the server.
        provider: its provider.
    """

    def __init__(self, operation: str, method: str, server: str, provider: str) -> None:
        super().__init__(f"mdm {method}", "INTERNAL", "mdm.client.operation.duration")
        self._operation = operation
        self._method = method
        self._server = server
        self._provider = provider

    def _describe(self) -> dict[str, Any]:
        return {
            "mdm.operation": self._operation,
            "mdm.method": self._method,
            "mdm.server": self._server,
            "mdm.provider": self._provider,
        }

    @property
    def context(self) -> Any:
        """Where spans within belong; None where nobody watches."""
        if self._span is None:
            return None
        return sys.modules["opentelemetry.trace"].set_span_in_context(self._span)


class Exchange(_Seen):
    """One HTTP exchange with a server.

    Args:
        request: what is sent.
        within: the operation that it belongs to.
    """

    def __init__(self, request: Request, within: Watched | None) -> None:
        super().__init__(request.method, "CLIENT", "http.client.request.duration")
        self._request = request
        self._within = within

    def _describe(self) -> dict[str, Any]:
        parts = urlsplit(self._request.url)
        return {
            "http.request.method": self._request.method,
            "server.address": parts.hostname or "",
            "server.port": parts.port or _PORTS.get(parts.scheme, 0),
            "url.scheme": parts.scheme,
        }

    def _only_of_span(self) -> dict[str, Any]:
        told = self._attributes
        return {"url.full": f"{told['url.scheme']}://{told['server.address']}:{told['server.port']}/REDACTED"}

    def _parent(self) -> Any:
        return self._within.context if self._within else None


class Served(_Seen):
    """One request to the gateway, as a part of what its client does. Belongs to a task of its own.

    Args:
        method: of HTTP.
        headers: as ASGI has them.
        face: that it is for.
    """

    def __init__(self, method: str, headers: Iterable[tuple[bytes, bytes]], face: str) -> None:
        # What is none of HTTP's own would make for ever more names.
        self._method = method if method in _METHODS else "_OTHER"
        super().__init__(f"{self._method} {face}", "SERVER", "http.server.request.duration")
        self._headers = headers
        self._face = face
        self._token: Any = None

    def _describe(self) -> dict[str, Any]:
        return {"http.request.method": self._method, "mdm.face": self._face}

    def _parent(self) -> Any:
        from opentelemetry.propagate import extract

        return extract({name.decode("latin-1"): value.decode("latin-1") for name, value in self._headers})

    def __enter__(self) -> Self:
        super().__enter__()
        if self._span is not None:
            from opentelemetry.context import attach

            self._token = attach(sys.modules["opentelemetry.trace"].set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._token is not None:
            from opentelemetry.context import detach

            detach(self._token)
        super().__exit__(kind, error, where)

    def responded(self, status: int) -> None:
        """Note the HTTP status of the answer: of a server, what the client did wrong is no failure."""
        self.answered(status, _FAULT)
