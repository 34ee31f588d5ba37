"""Our own `ise` provider asks the gateway, and the gateway asks each vendor's simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.aio import AsyncMdmClient
from mdmsdk.client.build import make_provider
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.gateway import GatewaySettings
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.ise import CRITERIA
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client
from tests.gateway.conftest import LOGIN, serving
from tests.vendors.relay import natives, unlimited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.identifiers import Key
    from mdmsdk.simulator import RunningSimulator, SimDevice
    from mdmsdk.testing import Modal

_SOME = 6
_ISE = {"username": LOGIN[0], "password": LOGIN[1], "page_size": 7}


@pytest.fixture(scope="module", params=["ise", *natives()])
def vendor(request: pytest.FixtureRequest) -> Iterator[tuple[RunningSimulator[Any], str]]:
    """A vendor's simulator, and the origin of a gateway over it."""
    with serve(load_simulator(request.param)(Fleet.generate(60, seed=7))) as running:

        def federation() -> AsyncMdmFederation:
            return AsyncMdmFederation([AsyncMdmClient(unlimited(running), server="vendor")])

        with serving(federation, {"ise": _ISE}) as origin:
            yield running, origin


@pytest.fixture(params=["sync", "asyncio"])
def controller(request: pytest.FixtureRequest, vendor: tuple[RunningSimulator[Any], str]) -> Iterator[Modal]:
    """Our own provider as the controller."""
    settings = {"base_url": vendor[1], "username": LOGIN[0], "password": LOGIN[1]}
    client = open_client(make_provider("ise", settings), request.param, server="gateway")
    yield client
    client.close()


def _keys(running: RunningSimulator[Any], kind: type[Key]) -> list[tuple[Key, SimDevice]]:
    """Keys that name one device each."""
    found: dict[Key, list[SimDevice]] = {}
    for device in running.simulator.fleet:
        for value in [running.simulator.identifiers(device).get(kind.kind)]:
            if key := kind.parse(value):
                found.setdefault(key, []).append(device)
    return [(key, devices[0]) for key, devices in found.items() if len(devices) == 1]


def test_every_verdict_comes_through(vendor: tuple[RunningSimulator[Any], str], controller: Modal) -> None:
    running, _ = vendor
    asked = 0
    for kind in sorted(
        set(CRITERIA) & load_provider(running.simulator.name).keys, key=lambda kind: kind.kind
    ):
        by_state: dict[str, int] = {}
        for key, device in _keys(running, kind):
            state = running.simulator.verdict(device) if device.registered else "left"
            if by_state.setdefault(state, 0) == _SOME // 2:
                continue
            by_state[state] += 1
            asked += 1
            found = controller.lookup(key)
            if state == "left":
                assert found is None or not found.registered
                continue
            assert found is not None, f"{key!r} of {device}"
            # A controller knows two states; what is not a pass for us is none for it. A key that our own
            # provider may not trust without being shown it, such as a host name, is no pass there either.
            passed = state == "compliant"
            assert (found.compliance.state == "compliant") <= passed
            if passed and kind.kind not in {"hostname", "username"}:
                assert found.compliance.state == "compliant", f"{key!r}: {found.compliance}"
    assert asked


def test_the_list_is_the_truth(vendor: tuple[RunningSimulator[Any], str], controller: Modal) -> None:
    running, _ = vendor
    bad = [
        device
        for device in running.simulator.fleet
        if device.registered and running.simulator.verdict(device) == "noncompliant"
    ]
    listed = list(controller.noncompliant())
    assert len(listed) == len(bad)
    serials = {device.serial_number for device in bad}
    assert all(one.serial_number in {None, *serials} for one in listed)
    assert all(one.compliance.state == "noncompliant" for one in listed)


def test_unknown_devices_are_unknown(vendor: tuple[RunningSimulator[Any], str], controller: Modal) -> None:
    running, _ = vendor
    if KEY_KINDS["mac"] in load_provider(running.simulator.name).keys:
        assert controller.lookup("mac:02:00:5E:10:20:30") is None


def test_the_servers_of_a_gateway_may_be_gateways(vendor: tuple[RunningSimulator[Any], str]) -> None:
    running, origin = vendor
    if running.simulator.name != "ise":
        return
    settings = {"base_url": origin, "username": LOGIN[0], "password": LOGIN[1]}

    def federation() -> AsyncMdmFederation:
        return AsyncMdmFederation([AsyncMdmClient(make_provider("ise", settings), server="inner")])

    with serving(federation, {"ise": _ISE}) as outer:
        client = open_client(make_provider("ise", {**settings, "base_url": outer}), "sync", server="outer")
        assert client.heartbeat().product == "mdmsdk gateway"
        assert len(list(client.noncompliant())) == len(running.simulator.noncompliant())
        client.close()


def test_settings_are_documented_by_their_class() -> None:
    for name in GatewaySettings.model_fields:
        assert f"        {name}: " in str(GatewaySettings.__doc__)
