"""Lookups with a store on Redis, as configured, which dies in the middle."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.federation import AsyncMdmFederation, MdmFederation
from mdmsdk.simulator import Fleet
from mdmsdk.simulator.ise import IseSimulator
from mdmsdk.simulator.server import serve
from mdmsdk.testing import Modal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdmsdk.simulator.server import RunningSimulator

KEY = "correct-horse-battery"
FLEET = Fleet.generate(60)
MACS = [one.mac_addresses[0] for one in FLEET if one.mac_addresses and not one.has_random_mac]


@pytest.fixture
def servers() -> Iterator[list[RunningSimulator[IseSimulator]]]:
    with serve(IseSimulator(FLEET)) as one, serve(IseSimulator(Fleet([]))) as two:
        yield [one, two]


def configuration(tmp_path: Path, servers: list[RunningSimulator[IseSimulator]], redis: str) -> Path:
    lines = []
    for number, running in enumerate(servers):
        settings = running.simulator.settings(running.origin)
        lines += [f"[servers.s{number}]", *(f"{name} = {value!r}" for name, value in settings.items())]
    file = tmp_path / "mdm.toml"
    file.write_text("\n".join([*lines, "[store]", f"url = {redis!r}", f"key = {KEY!r}"]))
    file.chmod(0o600)
    return file


def test_redis_dies_in_the_middle_of_lookups(
    servers: list[RunningSimulator[IseSimulator]],
    redis_server: Any,
    mode: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = type(redis_server)()
    own.start()
    kind: Any = MdmFederation if mode == "sync" else AsyncMdmFederation
    with Modal(kind.from_config(configuration(tmp_path, servers, own.url)), mode) as federation:
        before = {}
        for mac in MACS[:20]:
            before[mac] = federation.lookup(mac)
        assert not any(answer.notes for answer in before.values())
        own.kill()
        for mac in [*MACS[10:30]]:
            began = time.monotonic()
            answer = federation.lookup(mac)
            assert time.monotonic() - began < 10
            assert answer.complete
            assert any("without the cache" in note for note in answer.notes)
            known = FLEET.by_mac(mac)
            assert (answer.device is not None) == bool(known)
            if mac in before and answer.device:
                assert answer.device.compliance == before[mac].device.compliance
    assert caplog.text.count("is out of reach") >= 1
    assert caplog.text.count("lookups go on without it") == 1
