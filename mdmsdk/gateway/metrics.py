"""Metrics for Prometheus, under ``/metrics``. No label ever names a device.

They live in a registry of their own for each application. Where `mdm serve` has several workers, each writes
into files that whichever is asked adds up (`mdmsdk.gateway.together`).
"""

from __future__ import annotations

import logging
import math
from collections import Counter as Tally
from time import time
from typing import TYPE_CHECKING, Any

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.responses import Response
from starlette.routing import Route

from mdmsdk.errors import StoreError
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.clients import is_here
from mdmsdk.gateway.together import folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from mdmsdk.gateway.gateway import Gateway
    from mdmsdk.gateway.journal import Decided

__all__ = ["Metrics"]

_log = logging.getLogger("mdmsdk.gateway")
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_NEVER = math.inf
"""The age of what never was; of several workers, a number that is none would hide those of others."""
_EVERY = 15.0
"""Seconds after which what does not come by itself is looked at; Prometheus asks about as often."""


class Metrics:
    """What is counted and measured.

    Args:
        gateway: whose.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._folder = folder()
        self._registry = CollectorRegistry()
        self._children: dict[tuple[Any, ...], Any] = {}
        self._told: Tally[tuple[str, str]] = Tally()
        self._lost = 0
        if self._folder is None:
            ProcessCollector(registry=self._registry)
        self._decisions = self._counter("gateway_decisions", "Decisions.", "face", "decision")
        self._overridden = self._counter("gateway_overridden", "Decisions by an override.", "decision")
        self._responses = self._counter("gateway_responses", "Responses by HTTP status.", "face", "status")
        self._audit_lost = self._counter("gateway_audit_lost", "Lines of the audit log that are lost.")
        self._seconds = self._histogram(
            "gateway_decision_seconds", "Time from question to decision.", _FAST, "face"
        )
        self._answers = self._counter(
            "server_answers", "Answers by whether the cache had them.", "server", "status", "source"
        )
        self._server_seconds = self._histogram(
            "server_answer_seconds",
            "Time that a server took that was asked.",
            _SLOW,
            "server",
        )
        self._directory = self._counter("directory_answers", "What the directory said.", "server", "said")
        self._walked = self._gauge("directory_age_seconds", "Age of the last complete walk.", "max", "server")
        self._list = self._gauge("gateway_list_age_seconds", "Age of the last complete list.", "min")
        self._active = self._gauge("gateway_overrides", "Overrides that have not expired.", "max", "decision")
        self._open = self._gauge("server_breaker_open", "Whether a server is left alone.", "max", "server")
        self._room = self._gauge("server_requests_left", "Requests that may go at once now.", "min", "server")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"mdm_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"mdm_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _gauge(self, name: str, text: str, together: str, *labels: str) -> Gauge:
        """A gauge; of several workers, the least or the most counts."""
        mode: Any = f"live{together}"
        return Gauge(f"mdm_{name}", text, labels, registry=self._registry, multiprocess_mode=mode)

    def _of(self, metric: Any, *values: str) -> Any:
        """A metric with these labels; its own look-up takes a lock and more time."""
        found = self._children.get((metric, values))
        if found is None:
            found = self._children[metric, values] = metric.labels(*values)
        return found

    def __call__(self, decided: Decided) -> None:
        """Count a decision."""
        face = decided.asker.face
        self._of(self._decisions, face, decided.decision.value).inc()
        self._of(self._seconds, face).observe(decided.seconds)
        if decided.override:
            self._of(self._overridden, decided.override.decision).inc()
        began = decided.when - decided.seconds
        for one in decided.answer.outcomes:
            kept = one.answered_at.timestamp() < began
            source = "cache" if kept else "server"
            self._of(self._answers, one.server, one.status.value, source).inc()
            if not kept:
                self._of(self._server_seconds, one.server).observe(one.elapsed_ms / 1000)

    def responded(self, face: str, status: int) -> None:
        """Count a response."""
        self._of(self._responses, face, str(status)).inc()

    def lost(self, lines: int) -> None:
        """Note how many lines of the audit log are lost by now."""
        self._audit_lost.inc(lines - self._lost)
        self._lost = lines

    async def keep(self) -> None:
        """Look at what does not come by itself, again and again, for the other workers."""
        while True:
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - who only looks on ends nothing
                _log.error("a fault of the metrics: %s", type(error).__name__)
            await anyio.sleep(_EVERY)

    async def _look(self) -> None:
        gateway = self._gateway
        for name, client in gateway.federation.clients.items():
            state = client._runner.shared.now  # noqa: SLF001
            self._of(self._open, name).set(state.breaker.is_open)
            self._of(self._room, name).set(state.gate.room())
        active = Tally(one.decision for one in gateway.overrides.active())
        for decision in ("allow", "deny"):
            self._of(self._active, decision).set(active[decision])
        age = gateway.readings.age
        self._list.set(_NEVER if age is None else age)
        if directory := gateway.federation.directory:
            self._count(directory._said)  # noqa: SLF001
            await self._look_at_walks(directory)

    def _count(self, said: Tally[tuple[str, str]]) -> None:
        """Add what the directory said since the last time."""
        for (server, word), count in list(said.items()):
            self._of(self._directory, server, word).inc(count - self._told[server, word])
            self._told[server, word] = count

    async def _look_at_walks(self, directory: Any) -> None:
        try:
            found = await directory.status()
        except StoreError:
            return
        for one in found:
            age = _NEVER if one.walked_at is None else time() - one.walked_at.timestamp()
            self._of(self._walked, one.server).set(age)

    def route(self) -> Route:
        """Where they are read."""
        return Route("/metrics", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        self._admit(request)
        await self._look()
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._gathered()), headers={"Content-Type": kind})

    def _gathered(self) -> CollectorRegistry:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Shown(self._registry if self._folder is None else _together(self._folder)))
        return registry

    def _admit(self, request: Request) -> None:
        """Let in who may read them.

        Raises:
            Refusal: this is somebody else.
        """
        gateway, client = self._gateway, self._gateway.client(request)
        if gateway.settings.metrics == "key":
            gateway.access.bearer(client, request.headers.get("authorization", ""), "metrics")
        elif not is_here(client):
            raise Refusal(403, "metrics are for this machine alone", 'metrics = "key" lets others in.')


class _Shown(Collector):
    """Metrics as they are shown: an age since never is no number."""

    def __init__(self, inner: Collector) -> None:
        self._inner = inner

    def collect(self) -> Iterator[Metric]:
        for metric in self._inner.collect():
            if metric.type == "gauge":
                metric.samples = [
                    one._replace(value=math.nan) if one.value == _NEVER else one for one in metric.samples
                ]
            yield metric


def _together(place: str) -> Collector:
    """What all workers wrote into a folder."""
    return MultiProcessCollector(None, place)  # type: ignore[no-untyped-call]
