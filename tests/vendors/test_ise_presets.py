"""The presets for servers of Cisco ISE's protocol: what they add to the provider ``ise``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import AuthenticationError, EndpointNotFoundError, MdmError
from mdmsdk.identifiers import Guid, Mac
from mdmsdk.ise import IseProvider
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.simulator import RunningSimulator

FLEET = Fleet.generate(30, seed=7)
PRESETS = ["suremdm-ise", "xenmobile-ise"]


@pytest.fixture(params=PRESETS)
def running(request: pytest.FixtureRequest) -> Iterator[RunningSimulator[Any]]:
    with serve(load_simulator(request.param)(FLEET)) as running:
        yield running


def settings(running: RunningSimulator[Any], **changes: Any) -> dict[str, Any]:
    given = {**running.settings, **changes}
    given.pop("provider")
    return given


@pytest.mark.parametrize("mode", ["sync", "asyncio"])
def test_a_preset_answers_as_the_server_does(running: RunningSimulator[Any], mode: str) -> None:
    simulator = running.simulator
    with open_client(make_provider(simulator.name, settings(running)), mode) as client:
        assert client.heartbeat().product == simulator.habits.product_name
        assert client.lookup(Mac("0050C2000001")) is None
        for device in FLEET[:12]:
            found = client.lookup(Guid(device.guid))
            assert (found is not None) is device.registered
            if found:
                assert (found.guid, found.compliance.state) == (device.guid, simulator.verdict(device))
        assert {one.guid for one in client.noncompliant()} >= {one.guid for one in FLEET.noncompliant()}


@pytest.mark.parametrize(
    ("change", "error"),
    [({"password": "wrong"}, AuthenticationError), ({"instance": "nowhere"}, EndpointNotFoundError)],
)
def test_errors_say_what_the_vendor_says(
    running: RunningSimulator[Any], change: dict[str, str], error: type[MdmError]
) -> None:
    provider = make_provider(running.simulator.name, settings(running, **change))
    with open_client(provider, "sync") as client, pytest.raises(error) as caught:
        client.heartbeat()
    assert caught.value.hint
    assert caught.value.hint not in {refusal.hint for refusal in IseProvider.refusals}


def test_the_instance_of_xenmobile_is_a_setting() -> None:
    given = {"base_url": "https://xm.example", "username": "nac", "password": "p"}
    kind: Any = load_provider("xenmobile-ise")
    assert kind(kind.settings_type(**given)).root == "https://xm.example/zdm"
    assert kind(kind.settings_type(**given, instance="")).root == "https://xm.example"
