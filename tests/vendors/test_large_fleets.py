"""Over a large fleet, each vendor's answers are the truth, and cost what the reference says.

A new vendor joins by its simulator, and by a line in the reference. The vendors in `ELSEWHERE` have tests of
their own that look at more.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.keys import unknown
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.registry import load_simulator
from mdmsdk.simulator import Fleet, SimDevice, serve
from mdmsdk.testing import Modal, open_client
from tests.vendors.relay import natives, unlimited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.simulator import RunningSimulator

ELSEWHERE = {"intune", "ivanti-cloud", "ivanti-core", "jamf", "meraki", "workspaceone"}
HABITS: dict[str, dict[str, Any]] = {}
"""Switches of simulators that have to differ from their defaults."""
SIZE, SAMPLES = 5_200, 15
TABLE = (Path(__file__).parents[2] / "docs/reference/capabilities.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def large() -> Fleet:
    return Fleet.generate(SIZE, seed=11)


@pytest.fixture(scope="module", params=[name for name in natives() if name not in ELSEWHERE])
def running(request: pytest.FixtureRequest, large: Fleet) -> Iterator[RunningSimulator[Any]]:
    habits = HABITS.get(request.param, {})
    with serve(load_simulator(request.param)(large, **habits)) as running:
        yield running


@pytest.fixture(params=["sync", "asyncio"])
def client(request: pytest.FixtureRequest, running: RunningSimulator[Any]) -> Iterator[Modal]:
    with open_client(unlimited(running), request.param) as client:
        client.heartbeat()
        yield client


@pytest.fixture(scope="module")
def owners(running: RunningSimulator[Any]) -> dict[str, dict[str, SimDevice]]:
    """By kind, the keys by which the server knows one record and no other."""
    found: dict[str, dict[str, list[SimDevice]]] = defaultdict(lambda: defaultdict(list))
    for device in running.simulator.fleet:
        for kind, value in running.simulator.identifiers(device).items():
            found[kind][value].append(device)
    return {
        kind: {value: devices[0] for value, devices in known.items() if len(devices) == 1}
        for kind, known in found.items()
    }


def test_random_keys_find_their_devices(
    running: RunningSimulator[Any], client: Modal, owners: dict[str, dict[str, SimDevice]]
) -> None:
    simulator, name = running.simulator, client.provider.name
    chance = Random(name)  # noqa: S311 - a choice of devices, nothing secret
    costs = []
    for kind in sorted(kind.kind for kind in client.provider.keys):
        costly = 0
        for value, truth in chance.sample([*owners[kind].items()], SAMPLES):
            simulator.requests.clear()
            key = KEY_KINDS[kind](value)
            device = client.lookup(key)
            assert device is not None, key
            assert key in device.shown(type(key))
            assert device.id == simulator.identifiers(truth)["id"]
            assert device.registered is truth.registered
            assert device.compliance.state == simulator.verdict(truth)
            costly = max(costly, len(simulator.requests))
        simulator.requests.clear()
        assert client.lookup(*unknown(kind, 1)) is None
        costs.append(f"`{kind}` {costly}, unknown {len(simulator.requests)}")
    assert f"| `{name}` | {'; '.join(costs)} |" in TABLE


def test_the_noncompliant_list_is_the_truth(running: RunningSimulator[Any], client: Modal) -> None:
    simulator = running.simulator
    found = sorted(device.id for device in client.noncompliant())
    failing = (one for one in simulator.fleet if one.registered and simulator.verdict(one) == "noncompliant")
    assert found == sorted(simulator.identifiers(one)["id"] for one in failing)
