"""`mdm serve` in front of every vendor's simulator at once, asked from outside on both faces."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.cli.simulated import configuration, load_simulators
from mdmsdk.identifiers import Mac
from mdmsdk.registry import SIMULATORS, installed
from mdmsdk.simulator import Fleet, serve
from tests.gateway.conftest import LOGIN, SETTINGS, Faces
from tests.gateway.test_decisions import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.simulator import RunningSimulator, SimDevice
    from tests.gateway.conftest import Serve

FLEET = Fleet.generate(40, seed=7)
# In the order of how strict they are; a device that no server has under management is in none.
STATES = ("compliant", "grace", "unknown", "noncompliant")
NOBODY = "0050C2000001"
GATEWAY = f"""
[federation]
patience = 60
cache_ttl = 0
[gateway]
listen = "127.0.0.1:0"
deadline = 60
[[gateway.rest.keys]]
name = "somebody"
sha256 = "{SETTINGS["rest"]["keys"][0]["sha256"]}"
[gateway.ise]
username = "{LOGIN[0]}"
password = "{LOGIN[1]}"
list_age = 0
"""


@pytest.fixture
def everything() -> Iterator[list[RunningSimulator[Any]]]:
    """A simulator of every vendor and protocol that there is, over one fleet."""
    with ExitStack() as stack:
        yield [stack.enter_context(serve(one)) for one in load_simulators([], FLEET)]


def mac_of(running: RunningSimulator[Any], device: SimDevice) -> str:
    """The address by which a server knows a device; empty where it does not."""
    mac = Mac.parse(running.simulator.identifiers(device).get("mac"))
    return mac.hex if mac else ""


def expected(running: list[RunningSimulator[Any]]) -> dict[str, str]:
    """What all servers together say about each MAC address that one device alone has."""
    owners = Counter(mac for device in FLEET for mac in device.mac_addresses)
    said: dict[str, set[str]] = {}
    for one in running:
        for device in FLEET:
            mac = mac_of(one, device)
            if mac and owners[mac] == 1:
                states = said.setdefault(mac, set())
                states.update([one.simulator.verdict(device)] if device.registered else ())
    return {
        mac: max(states, key=STATES.index) if states else "not_registered" for mac, states in said.items()
    }


@pytest.mark.large
@pytest.mark.timeout(900)
def test_every_decision_on_both_faces(served: Serve, everything: list[RunningSimulator[Any]]) -> None:
    assert {one.simulator.name for one in everything} == {plugin.name for plugin in installed(SIMULATORS)}
    _, origin = served(configuration(everything, FLEET) + GATEWAY)
    decisions = expected(everything)
    asked = {decision: mac for mac, decision in reversed(decisions.items())} | {"nobody": NOBODY}
    # Where all are asked, those of two words only make the others into one of theirs.
    assert asked.keys() >= {"compliant", "noncompliant", "not_registered", "nobody"}
    faces = Faces(origin)
    faces.ise.timeout = faces.rest.timeout = 60
    for decision, mac in asked.items():
        told = faces.rest.get(f"/v1/devices/mac/{mac}").json()
        assert told["decision"] == decisions.get(mac, "not_registered"), told["outcomes"]
        assert told["complete"]
        assert len(told["outcomes"]) == len(everything)
        for version in (1, 2, 3):
            found = rows(faces.ask(version, "macaddress", mac))
            status = [row["attributes"]["compliance"]["status"] for row in found]
            assert status == {"compliant": ["true"], "not_registered": [], "nobody": []}.get(
                decision, ["false"]
            )
    for decision in ("grace", "unknown"):
        name, mac = next(
            (one.simulator.name, mac)
            for one in everything
            for device in FLEET
            if device.registered
            and one.simulator.verdict(device) == decision
            and (mac := mac_of(one, device))
        )
        assert faces.rest.get(f"/v1/devices/mac/{mac}?servers={name}").json()["decision"] == decision
    # One of many is gone: what it might have said against a device is missing.
    everything[0].close()
    assert (
        faces.rest.get(f"/v1/devices/mac/{asked['compliant']}?fresh=true").json()["decision"] == "no_answer"
    )
    for version in (1, 2, 3):
        for mac in (asked["compliant"], NOBODY):
            assert faces.ask(version, "macaddress", mac).status_code == 503
        assert "<status>false<" in faces.ask(version, "macaddress", asked["noncompliant"]).text
    assert faces.ask(2, "compliance", "false").status_code == 503
    faces.close()
