"""The endpoint for Cisco ISE: what differs from any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import AuthenticationError
from mdmsdk.identifiers import Guid
from mdmsdk.simulator import Fleet, serve
from mdmsdk_meraki.simulator import MerakiIseSimulator
from mdmsdk_meraki.simulator.rows import sm_id

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def running() -> Iterator[Any]:
    with serve(MerakiIseSimulator(Fleet.generate(20, seed=3))) as running:
        yield running


def test_both_spellings_of_a_guid(running: Any, mdm_connect: Any) -> None:
    client = mdm_connect(**running.settings)
    assert client.heartbeat().vendor == "Cisco Meraki"
    number = sm_id(running.simulator.fleet[0])
    for spelling in (number, f"ID:MerakiSM:DeviceID:{number}", f"id:merakism:deviceid:{number}"):
        found = client.lookup(Guid(spelling))
        assert found is not None
        assert found.matches(Guid(spelling))
        assert found.guid == number  # as the server's record has it; the question is no proof
        assert found.serial_number == running.simulator.fleet[0].serial_number
    assert client.lookup(f"ID:MerakiSM:DeviceID:{number}").guid == number
    assert client.lookup(Guid("ID:MerakiSM:DeviceID:1")) is None
    assert running.simulator.requests.count(f"value={number}") == 4


def test_the_api_key_is_no_good_here(running: Any, mdm_connect: Any) -> None:
    with pytest.raises(AuthenticationError) as caught:
        mdm_connect(**running.settings | {"password": "0" * 40}).heartbeat()
    assert "API key" in (caught.value.hint or "")
    assert "ISE Settings" in (caught.value.hint or "")
