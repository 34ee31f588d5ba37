"""Rate limits: what the dashboard counts, and what the client keeps to."""

from __future__ import annotations

from typing import Any

import pytest

from mdmsdk.errors import RateLimitedError
from mdmsdk.identifiers import Mac, Serial
from mdmsdk.simulator import Fault, Fleet
from mdmsdk_meraki import MerakiProvider

ORGANIZATION = "2930400"


def test_a_thousand_addresses_in_twelve_requests_within_the_limit(simulate: Any, connect_to: Any) -> None:
    fleet = Fleet.generate(1000, seed=11, cases=False)
    running = simulate(fleet=fleet, organizations=1, networks=1, limited=True)
    client = connect_to(running)
    simulator = running.simulator
    results = list(client.lookup_many([Mac(device.wifi_mac or "") for device in fleet]))
    assert all(result.error is None and result.device is not None for result in results)
    assert [result.device.serial_number for result in results] == [device.serial_number for device in fleet]
    assert simulator.device_requests <= 12
    assert simulator.limits.limited == 0
    # 10 a second, and 10 more in the first: https://developer.cisco.com/meraki/api-v1/rate-limit/
    assert simulator.limits.busiest(ORGANIZATION, 1.0) <= 20
    assert simulator.limits.busiest(ORGANIZATION, 2.0) <= 30


def test_all_flows_share_the_limit_of_their_organisation(simulate: Any, connect_to: Any) -> None:
    fleet = Fleet.generate(40, seed=11, cases=False)
    running = simulate(fleet=fleet, organizations=2, networks=2, limited=True)
    client = connect_to(running)
    client.heartbeat()
    keys = [Serial(device.serial_number) for device in fleet][:22]
    found = client.side_by_side([lambda client, key=key: client.lookup(key) for key in keys])
    assert [device.serial_number for device in found] == [key.value for key in keys]
    limits = running.simulator.limits
    assert limits.limited == 0
    for organization in (ORGANIZATION, "2930401"):
        assert len(limits.arrivals[organization]) == 24
        assert limits.busiest(organization, 1.0) <= 20
        # 24 requests, two of the heartbeat: 5 at once, and then 10 a second.
        times = limits.arrivals[organization]
        assert max(times) - min(times) > 1.5


def test_the_declared_limits_are_merakis() -> None:
    limits = MerakiProvider.limits
    assert (limits.rate, limits.total_rate) == (10, 100)
    assert limits.burst <= 10
    assert limits.batch_size == 139


@pytest.mark.parametrize("retry_after", [0.05, None], ids=["with", "without"])
def test_a_throttled_request_is_sent_again(simulate: Any, connect_to: Any, retry_after: float | None) -> None:
    running = simulate()
    client = connect_to(running, policy={"attempts": 4, "max_wait": 2.0, "deadline": 20.0})
    client.heartbeat()
    device = next(device for device in running.simulator.fleet if device.registered)
    header = None if retry_after is None else str(retry_after)
    fault = Fault("status", match="/sm/devices", status=429, times=2, retry_after=header, body_format="json")
    with running.simulator.faults.during(fault):
        found = client.lookup(Serial(device.serial_number))
    assert found is not None


@pytest.mark.parametrize("retry_after", [True, False])
def test_throttling_that_does_not_end_is_an_error(simulate: Any, connect_to: Any, retry_after: bool) -> None:
    running = simulate(limited=True, rate=0.001, burst=1, organizations=1, retry_after=retry_after)
    with pytest.raises(RateLimitedError) as caught:
        connect_to(running, policy={"attempts": 2, "max_wait": 0.2}).lookup(Serial("X1"))
    assert caught.value.hint
    assert caught.value.retry_after == (1.0 if retry_after else None)
    assert "API rate limit exceeded" in str(caught.value)
