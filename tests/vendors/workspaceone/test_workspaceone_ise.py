"""The endpoint for Cisco ISE."""

from collections.abc import Callable
from typing import Any

import pytest

from mdmsdk.errors import AuthenticationError, EndpointNotFoundError, PermissionDeniedError
from mdmsdk.identifiers import Guid, Mac, parse_key
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import Modal
from mdmsdk_workspaceone.simulator import WorkspaceOneIseSimulator

Connect = Callable[..., Modal]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_uem_before_and_after_2402(mdm_connect: Connect, small_fleet: Fleet, version: int) -> None:
    with serve(WorkspaceOneIseSimulator(small_fleet, max_api_version=version)) as running:
        client = mdm_connect(**running.settings)
        info = client.heartbeat()
        assert info.api_version == str(version)
        # Version 1 of the protocol has no vendor in its description.
        assert info.vendor == ("Omnissa" if version > 1 else None)
        device = small_fleet[0]
        assert client.lookup(Mac(device.mac_addresses[0])).serial_number == device.serial_number
        if version == 3:
            assert client.lookup(Guid(device.guid)).serial_number == device.serial_number
            # The name in front is not known for sure, and does not matter.
            found = client.lookup(parse_key(f"ID:Omnissa:GUID:{device.guid}"))
            assert found.serial_number == device.serial_number


@pytest.mark.parametrize(
    ("habits", "changes", "kind", "hint"),
    [
        ({}, {"password": "wrong"}, AuthenticationError, "administrator account"),
        ({"deny": 403}, {}, PermissionDeniedError, "administrator role"),
        ({}, {"instance": "/nowhere"}, EndpointNotFoundError, "base_url"),
    ],
)
def test_mistakes_have_this_vendors_hints(
    *,
    mdm_connect: Connect,
    small_fleet: Fleet,
    habits: dict[str, Any],
    changes: dict[str, Any],
    kind: type[Exception],
    hint: str,
) -> None:
    with serve(WorkspaceOneIseSimulator(small_fleet, **habits)) as running:
        client = mdm_connect(**{**running.settings, **changes})
        with pytest.raises(kind) as caught:
            client.heartbeat()
        assert hint in str(getattr(caught.value, "hint", ""))


def test_a_work_profile_is_unknown_by_mac(mdm_connect: Connect, small_fleet: Fleet) -> None:
    with serve(WorkspaceOneIseSimulator(small_fleet)) as running:
        hidden = next(device for device in small_fleet if not device.mac_addresses)
        assert mdm_connect(**running.settings).lookup(Guid(hidden.guid)).guid == hidden.guid
