"""A provider keeps nothing between calls: what it is made of is the same afterwards, and can hold nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from mdmsdk.client.build import make_provider
from mdmsdk.errors import MdmError
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.provider import Capability, MdmProvider
from mdmsdk.registry import SIMULATORS, installed, load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client

FLEET = Fleet.generate(12, seed=7)


def state(value: Any) -> Any:
    """What an attribute holds, with the attributes inside."""
    if isinstance(value, MdmProvider):
        return {name: state(inner) for name, inner in vars(value).items()}
    if isinstance(value, BaseModel):
        assert value.model_config.get("frozen"), f"{type(value).__name__} can change"
        return value.model_dump()
    assert not isinstance(value, list | dict | set | bytearray), f"a {type(value).__name__} can change"
    return value


@pytest.mark.parametrize("name", [plugin.name for plugin in installed(SIMULATORS)])
def test_a_provider_keeps_nothing(name: str) -> None:
    with serve(load_simulator(name)(FLEET)) as running:
        given = dict(running.settings)
        provider = make_provider(given.pop("provider"), given)
        before = state(provider)
        assert "settings" in before
        with open_client(provider, "sync") as client:
            client.heartbeat()
            found = [
                client.lookup(KEY_KINDS[kind](value))
                for device in FLEET[:4]  # some vendors know Apple's devices alone
                for kind, value in running.simulator.identifiers(device).items()
                if KEY_KINDS[kind] in provider.keys
            ]
            assert any(found)
            listed = list(client.noncompliant())
            if Capability.INVENTORY in provider.capabilities:
                listed += _tried(client.devices)
            if Capability.REASONS in provider.capabilities:
                client.reasons(listed[0])
        assert state(provider) == before


def _tried(ask: Any) -> list[Any]:
    try:
        return list(ask())
    except MdmError:
        return []
