"""Spans and metrics for OpenTelemetry: what stands in them, what does not, and what they cost."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from mdmsdk.client import AsyncMdmClient
from mdmsdk.client.build import make_provider
from mdmsdk.errors import MdmError
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.simulator import Fleet, IseSimulator, serve
from tests.gateway.conftest import KEY, SETTINGS, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from mdmsdk.simulator import RunningSimulator
    from mdmsdk.testing.modes import Modal

FLEET = Fleet.generate(20)
MAC = str(FLEET[0].mac_addresses[0])


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSimulator[IseSimulator]]:
    with serve(IseSimulator(FLEET)) as one:
        yield one


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[ReadableSpan]]:
    """Watches spans; gives those that have ended."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    return lambda: list(exporter.get_finished_spans())


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, list[Any]]]:
    """Watches metrics; gives the points of each."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr("opentelemetry.metrics.get_meter_provider", lambda: provider)

    def read() -> dict[str, list[Any]]:
        data = reader.get_metrics_data()
        scopes = [scope for part in (data.resource_metrics if data else ()) for scope in part.scope_metrics]
        found = [one for scope in scopes for one in scope.metrics]
        return {one.name: list(one.data.data_points) for one in found}

    return read


def connect(mdm_connect: Callable[..., Modal], running: RunningSimulator[Any], **more: Any) -> Modal:
    return mdm_connect(server="phones", **{**running.settings, **more})


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_each_operation_is_a_span_with_its_exchanges_within(
    mdm_connect: Callable[..., Modal],
    running: RunningSimulator[IseSimulator],
    spans: Callable[[], list[ReadableSpan]],
) -> None:
    client = connect(mdm_connect, running)
    client.heartbeat()
    client.lookup(MAC)
    list(client.noncompliant())
    found = spans()
    operations = [one for one in found if one.kind is SpanKind.INTERNAL]
    assert [one.name for one in operations] == ["mdm heartbeat", "mdm find", "mdm noncompliant_page"]
    assert attributes(operations[1]) == {
        "mdm.operation": "find",
        "mdm.method": "find",
        "mdm.server": "phones",
        "mdm.provider": "ise",
    }
    exchanges = [one for one in found if one.kind is SpanKind.CLIENT]
    ids = {one.context.span_id for one in operations if one.context}
    assert len(exchanges) >= 3
    assert {one.parent.span_id for one in exchanges if one.parent} == ids
    assert attributes(exchanges[0]) == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": running.port,
        "url.scheme": "http",
        "url.full": f"http://127.0.0.1:{running.port}/REDACTED",
        "http.response.status_code": 200,
    }
    assert all(one.status.status_code is StatusCode.UNSET for one in found)


def test_nothing_in_them_names_a_device_or_holds_a_secret(
    mdm_connect: Callable[..., Modal],
    running: RunningSimulator[IseSimulator],
    spans: Callable[[], list[ReadableSpan]],
    metrics: Callable[[], dict[str, list[Any]]],
) -> None:
    good = connect(mdm_connect, running)
    assert good.lookup(MAC)
    client = connect(mdm_connect, running, password="a-wrong-password-of-mine")
    with pytest.raises(MdmError):
        client.lookup(MAC)
    failed = [one for one in spans() if one.status.status_code is StatusCode.ERROR]
    assert {attributes(one)["error.type"] for one in failed} == {"401", "AuthenticationError"}
    told = "".join(one.to_json() for one in spans()) + str(metrics())
    for word in (MAC, MAC.replace(":", ""), "a-wrong-password-of-mine", str(running.settings["password"])):
        assert word.lower() not in told.lower()
    assert not any(one.events for one in spans())


def test_durations_are_measured_without_spans(
    mdm_connect: Callable[..., Modal],
    running: RunningSimulator[IseSimulator],
    metrics: Callable[[], dict[str, list[Any]]],
) -> None:
    connect(mdm_connect, running).lookup(MAC)
    found = metrics()
    points = found["mdm.client.operation.duration"]
    (point,) = [one for one in points if one.attributes["mdm.method"] == "find"]
    assert point.count == 1
    assert 0 < point.sum < 60
    (http,) = found["http.client.request.duration"]
    assert http.attributes["http.response.status_code"] == 200
    assert "url.full" not in http.attributes


PARENT = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_request_to_the_gateway_goes_on_with_its_clients_trace(
    running: RunningSimulator[IseSimulator], spans: Callable[[], list[ReadableSpan]]
) -> None:
    settings = dict(running.settings)
    name = str(settings.pop("provider"))

    def federation() -> AsyncMdmFederation:
        return AsyncMdmFederation([AsyncMdmClient(make_provider(name, settings), server="phones")])

    headers = {"Authorization": f"Bearer {KEY}", "traceparent": f"00-{PARENT}-00f067aa0ba902b7-01"}
    with serving(federation, SETTINGS) as origin:
        httpx.get(f"{origin}/v1/devices/mac/{MAC}", headers=headers).raise_for_status()
        httpx.request("HACK", f"{origin}/v1/servers")
    found = spans()
    (first,) = [one for one in found if one.kind is SpanKind.SERVER and one.name == "GET rest"]
    assert attributes(first) == {
        "http.request.method": "GET",
        "mdm.face": "rest",
        "http.response.status_code": 200,
    }
    within = [one for one in found if one.context and one.context.trace_id == int(PARENT, 16)]
    assert {one.name for one in within} >= {"GET rest", "mdm find", "GET"}
    (other,) = [one for one in found if one.kind is SpanKind.SERVER and one is not first]
    assert other.name == "_OTHER rest"
    assert other.status.status_code is StatusCode.UNSET  # 405 is the client's fault


COSTLESS = """
import sys
from mdmsdk.testing import FakeMdmFederation
from mdmsdk._run.telemetry import is_watched
with FakeMdmFederation({"one": []}) as federation:
    federation.lookup("mac:00:1B:44:11:3A:B7")
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
import opentelemetry.trace, opentelemetry.metrics
assert not is_watched()
"""


def test_nothing_is_loaded_or_made_where_nobody_watches() -> None:
    subprocess.run([sys.executable, "-c", COSTLESS], check=True)
