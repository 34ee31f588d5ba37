"""What the ISE face says at once: a cached lookup and "come again" wait for no server, however slow it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.aio import AsyncMdmClient
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.gateway import ise
from mdmsdk.simulator import Fault, IseSimulator, serve
from tests.gateway.conftest import FLEET, Faces, serving
from tests.gateway.test_decisions import rows
from tests.vendors.relay import unlimited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.simulator import RunningSimulator

VERSIONS = (1, 2, 3)


@pytest.fixture
def running() -> Iterator[RunningSimulator[Any]]:
    with serve(IseSimulator(FLEET)) as running:
        yield running


@pytest.fixture
def faces(running: RunningSimulator[Any]) -> Iterator[Faces]:
    """A gateway with a cache, in front of the simulator."""

    def federation() -> AsyncMdmFederation:
        return AsyncMdmFederation([AsyncMdmClient(unlimited(running), server="one")], cache_ttl=600)

    with serving(federation, {}) as origin:
        faces = Faces(origin)
        yield faces
        faces.close()


def asked(running: RunningSimulator[Any]) -> list[tuple[str, str]]:
    """A state's name and an address of a device in it, for each state of the fleet."""
    states = {
        running.simulator.verdict(device): running.simulator.identifiers(device)["mac"]
        for device in FLEET
        if device.registered and len(device.mac_addresses) == 1
    }
    assert states.keys() >= {"compliant", "noncompliant"}
    return [*states.items(), ("nobody", "00:50:C2:00:00:01")]


def test_a_cached_lookup_asks_no_server(running: RunningSimulator[Any], faces: Faces) -> None:
    known = asked(running)
    before = {mac: faces.ask(3, "macaddress", mac).content for _, mac in known}
    running.simulator.requests.clear()
    with running.simulator.faults.during(Fault("hang")):
        for state, mac in known:
            assert faces.ask(3, "macaddress", mac).content == before[mac]
            for version in VERSIONS:
                shown = [
                    row["attributes"]["compliance"]["status"]
                    for row in rows(faces.ask(version, "macaddress", mac))
                ]
                assert shown == {"compliant": ["true"], "nobody": []}.get(state, ["false"])
        assert len(running.simulator.requests) == 0


def test_come_again_waits_for_no_server(running: RunningSimulator[Any], faces: Faces) -> None:
    (_, mac), *_ = asked(running)
    before = faces.ask(3, "macaddress", mac).content
    assert ise._IN_A_MOMENT < 0.2, "a controller has an answer within 200 ms"
    with running.simulator.faults.during(Fault("hang")):
        first = faces.ask(3, "compliance", "false")
        assert rows(first) == []
        assert f"<server_busy_wait_seconds>{ise._COME_AGAIN}<" in first.text
        # Whoever comes again, and whoever asks for a device that is known, waits for none either.
        assert faces.ask(3, "compliance", "false").content == first.content
        assert faces.ask(3, "macaddress", mac).content == before
