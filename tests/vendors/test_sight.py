"""An account that lost its role or its groups gets empty answers; they say nothing about any device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.keys import unknown
from mdmsdk.errors import PermissionDeniedError
from mdmsdk.provider import Capability, MdmProvider
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client
from tests.vendors.relay import natives, unlimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.simulator import RunningSimulator
    from mdmsdk.testing import Modal

FLEET = Fleet.generate(20, seed=7)
TELLING = [name for name in natives() if load_provider(name).see_a_device is not MdmProvider.see_a_device]


@pytest.fixture(params=TELLING)
def running(request: pytest.FixtureRequest) -> Iterator[RunningSimulator[Any]]:
    with serve(load_simulator(request.param)(FLEET)) as running:
        yield running


@pytest.fixture
def client(running: RunningSimulator[Any], mdm_mode: str) -> Iterator[Modal]:
    with open_client(unlimited(running), mdm_mode) as client:
        client.heartbeat()
        yield client


def test_who_can_tell() -> None:
    assert {"blackberry", "configmgr", "jamf", "maas360", "soti"} <= {*TELLING}


def test_whoever_sees_no_device_any_more_knows_no_unknown_device_and_no_empty_list(
    running: RunningSimulator[Any], client: Modal
) -> None:
    running.simulator.fleet = Fleet(())
    kinds = sorted(kind.kind for kind in client.provider.keys)
    asks: list[Callable[[], Any]] = [lambda: list(client.noncompliant())]
    asks += [partial(client.lookup, *unknown(kind, 1)) for kind in kinds]
    if Capability.INVENTORY in client.provider.capabilities:
        asks.append(lambda: list(client.devices()))
    for ask in asks:
        with pytest.raises(PermissionDeniedError, match="sees no device") as caught:
            ask()
        assert "A server without any device yet has no say" in str(caught.value.hint)
    keys = [key for kind in kinds for key in unknown(kind, 3)]
    assert {type(result.error) for result in client.lookup_many(keys)} == {PermissionDeniedError}


def test_who_sees_others_can_tell(running: RunningSimulator[Any], client: Modal) -> None:
    make = type(running.simulator)
    running.simulator.fleet = Fleet(
        device for device in FLEET if make(Fleet((device,))).verdict(device) != "noncompliant"
    )
    assert list(client.noncompliant()) == []
    for kind in client.provider.keys:
        assert client.lookup(*unknown(kind.kind, 1)) is None


@pytest.mark.parametrize("running", ["blackberry"], indirect=True)
def test_an_account_of_the_endpoint_that_sees_nothing_makes_no_list_of_compromised_devices_alone(
    running: RunningSimulator[Any], client: Modal
) -> None:
    running.simulator.behave(ise_sees=False)
    with pytest.raises(PermissionDeniedError, match="sees no device") as caught:
        list(client.noncompliant())
    assert "local administrator" in str(caught.value.hint)
