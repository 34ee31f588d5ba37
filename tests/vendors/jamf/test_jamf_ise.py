"""The network integration: where its API is, and what its refusals say."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import AuthenticationError, EndpointNotFoundError, MdmError, PermissionDeniedError
from mdmsdk.identifiers import Guid, Mac, Udid
from mdmsdk.simulator import Fleet, RunningSimulator, serve
from mdmsdk_jamf.ise.simulator import JamfIseSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.testing import Modal

    Start = Callable[..., RunningSimulator[JamfIseSimulator]]
    Ask = Callable[..., Modal]


@pytest.fixture(name="start_ise")
def _start_ise(fleet: Fleet) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **habits: stack.enter_context(serve(JamfIseSimulator(fleet, **habits)))


def test_it_describes_itself_as_jamf_pro_does(start_ise: Start, ask: Ask) -> None:
    running = start_ise()
    info = ask(running).heartbeat()
    assert (info.vendor, info.product, info.version) == ("JAMF Software", "JSS", "10.48.1-t1689600654")
    assert (info.api_version, info.query_max_size) == ("3", 1000)
    assert info.extra["api_path"] == "/7/ciscoise/v3"
    assert info.extra["api_base"] == f"{running.origin}/networkIntegrationEndpoint/7/ciscoise/v3"


def test_the_path_that_continues_the_instance_is_tried_first(start_ise: Start, ask: Ask) -> None:
    running = start_ise()
    ask(running).heartbeat()
    assert [request.path for request in running.simulator.requests] == [
        "/networkIntegrationEndpoint/7/ciscoise/mdminfo/",
        "/networkIntegrationEndpoint/7/ciscoise/v3/devices/",
    ]


@pytest.mark.parametrize(
    ("habits", "settings"),
    [
        ({"announced": "from the root"}, {}),
        ({}, {"api_path": "/networkIntegrationEndpoint/7/ciscoise/v3"}),
        ({}, {"instance": "networkIntegrationEndpoint/7/"}),
        ({"max_api_version": 2}, {}),
    ],
)
def test_wherever_the_api_is_devices_are_found(
    start_ise: Start, ask: Ask, fleet: Fleet, habits: dict[str, Any], settings: dict[str, Any]
) -> None:
    running = start_ise(**habits)
    client = ask(running, **settings)
    device = next(device for device in fleet if device.compliance == "noncompliant" and device.registered)
    keys: list[Any] = [Mac(device.wifi_mac or ""), Udid(device.udid)]
    keys += [] if habits.get("max_api_version") else [Guid(device.guid)]
    for key in keys:
        found = client.lookup(key)
        assert found is not None
        assert found.serial_number == device.serial_number


def test_a_base_url_may_hold_the_whole_address(start_ise: Start, ask: Ask) -> None:
    running = start_ise()
    whole = f"{running.origin}/networkIntegrationEndpoint/7"
    assert ask(running, base_url=whole).heartbeat().product == "JSS"


@pytest.mark.parametrize(
    ("habits", "settings", "kind", "words"),
    [
        ({}, {"password": "wrong"}, AuthenticationError, ["password is wrong", "Basic authentication"]),
        ({"deny": 401}, {}, AuthenticationError, ["privileges", "Basic authentication"]),
        ({"deny": 403}, {}, PermissionDeniedError, ["Read Network Integration"]),
        ({}, {"instance": "/networkIntegrationEndpoint/8"}, EndpointNotFoundError, ["Network integration"]),
    ],
)
def test_the_three_failures_of_a_connection_test(
    start_ise: Start,
    ask: Ask,
    *,
    habits: dict[str, Any],
    settings: dict[str, Any],
    kind: type[MdmError],
    words: list[str],
) -> None:
    with pytest.raises(kind) as caught:
        ask(start_ise(**habits), **settings).heartbeat()
    for word in words:
        assert word in (caught.value.hint or "")


def test_a_refused_password_is_sent_once(start_ise: Start, ask: Ask) -> None:
    running = start_ise()
    client = ask(running, password="wrong")
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            client.heartbeat()
    assert len(running.simulator.requests) == 1


def test_the_list_is_the_truth_over_several_pages(start_ise: Start, ask: Ask, fleet: Fleet) -> None:
    running = start_ise(page_size=4)
    listed = [device.guid for device in ask(running).noncompliant()]
    truth = [one.guid for one in fleet if one.registered and running.simulator.verdict(one) == "noncompliant"]
    assert sorted(map(str, listed)) == sorted(truth)


def test_other_makers_devices_never_enrolled(fleet: Fleet) -> None:
    mixed = Fleet.generate(100, seed=2)
    simulator = JamfIseSimulator(mixed)
    assert {device.platform for device in simulator.fleet} == {"macOS", "iOS", "iPadOS"}
    simulator.fleet = fleet
    assert len(simulator.fleet) == len(fleet)
