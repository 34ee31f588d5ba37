"""Answers as the dashboard gives them, and simulators to ask."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.simulator import Fleet, serve
from mdmsdk.wire import Response
from mdmsdk_meraki import MerakiProvider, MerakiSettings
from mdmsdk_meraki.simulator import MerakiSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.simulator import RunningSimulator

KEY = "0123456789abcdef0123456789abcdef01234567"
BASE = "https://api.meraki.com/api/v1"
DATE = "Thu, 15 Jan 2026 12:00:00 GMT"
PATIENT = {"timeout": 5.0, "deadline": 20.0, "breaker_failures": 0}


class Dashboard:
    """Builds answers and providers."""

    base = BASE
    key = KEY

    @staticmethod
    def provider(**settings: Any) -> MerakiProvider:
        given = {"api_key": KEY, **settings}
        return MerakiProvider(
            MerakiSettings.model_validate({k: v for k, v in given.items() if v is not None})
        )

    @staticmethod
    def answer(
        body: Any, *, link: str | None = None, status: int = 200, url: str = BASE, date: str | None = DATE
    ) -> Response:
        headers = {"content-type": "application/json"}
        headers |= {"link": link} if link is not None else {}
        headers |= {"date": date} if date else {}
        return Response(status, headers, json.dumps(body).encode(), url)

    @staticmethod
    def row(**changes: Any) -> dict[str, Any]:
        given = {
            "id": "128",
            "wifiMac": "00:1b:44:11:3a:b7",
            "serialNumber": "SER1",
            "uuid": "UUID-1",
            "tags": [],
        }
        return {**given, "autoTags": [], "isManaged": True, **changes}


@pytest.fixture(scope="session")
def dashboard() -> type[Dashboard]:
    return Dashboard


@pytest.fixture
def in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lifts the limits of 10 and 100 requests a second, which test_meraki_limits.py is about."""
    monkeypatch.setattr(MerakiProvider, "limits", replace(MerakiProvider.limits, rate=None, total_rate=None))


@pytest.fixture
def simulate() -> Iterator[Callable[..., RunningSimulator[MerakiSimulator]]]:
    """Starts simulators; all end with the test."""
    running: list[Any] = []

    def start(size: int = 40, *, tls: Any = None, fleet: Fleet | None = None, **habits: Any) -> Any:
        simulator = MerakiSimulator(fleet or Fleet.generate(size, seed=7), **habits)
        context = serve(simulator, tls=tls)
        running.append(context)
        return context.__enter__()

    yield start
    for context in reversed(running):
        context.__exit__(None, None, None)


@pytest.fixture
def connect_to(mdm_connect: Callable[..., Any]) -> Callable[..., Any]:
    """Opens clients of a running simulator, in the test's mode."""

    def connect(running: Any, **changes: Any) -> Any:
        settings = {**running.settings, "policy": PATIENT, **changes}
        settings.pop("provider")
        return mdm_connect(
            "meraki", server="dashboard", **{k: v for k, v in settings.items() if v is not None}
        )

    return connect
