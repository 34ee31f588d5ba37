"""The commands that keep a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.simulator import Fault, Fleet, serve
from mdmsdk_intune.simulator import IntuneSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdmsdk.simulator import RunningSimulator
    from tests.cli.conftest import Configure, Run

FLEET = Fleet.generate(30, seed=7)


@pytest.fixture
def tenant() -> Iterator[RunningSimulator[IntuneSimulator]]:
    with serve(IntuneSimulator(FLEET)) as running:
        yield running


@pytest.fixture
def kept(configure: Configure, tenant: RunningSimulator[IntuneSimulator]) -> Path:
    """A configuration with a directory in a file."""
    settings: dict[str, Any] = {**tenant.settings, "backends": ["graph"], "page_size": 10}
    path = configure(tenant=settings)
    store = '[store]\nurl = "sqlite:store.db"\nkey = "a-key-of-sixteen-or-more"\n'
    path.write_text(f"{path.read_text()}[federation]\ndirectory = true\n{store}")
    return path


def test_build_status_lookup_and_export(
    mdm: Run, kept: Path, tenant: RunningSimulator[IntuneSimulator]
) -> None:
    where = ("--config", str(kept))
    before = mdm("directory", "status", *where)
    assert before.code == 3
    assert before.lines[0]["complete"] is False
    built = mdm("directory", "build", *where)
    assert built.code == 0, built.err
    (row,) = built.lines
    assert (row["server"], row["complete"], row["devices"], row["reason"]) == ("tenant", True, 30, None)
    device = next(
        one
        for one in FLEET
        if one.ethernet_mac and one.registered and len(FLEET.by_mac(one.ethernet_mac)) == 1
    )
    tenant.simulator.requests.clear()
    found = mdm("lookup", f"mac:{device.ethernet_mac}", *where)
    assert found.lines[0]["device"]["guid"] == device.guid, found.err
    export = mdm("directory", "export", *where)
    assert export.code == 0
    wanted = {"kind": "serial", "key": device.serial_number.lower(), "records": [device.guid]}
    assert {"server": "tenant", "provider": "intune", **wanted} in export.lines
    assert len(export.lines) == row["identifiers"]
    assert mdm("directory", "status", *where, "--format", "table").code == 0
    assert mdm("directory", "build", "--full", *where).code == 0


def test_a_walk_that_fails_is_exit_code_3_and_goes_on(
    mdm: Run, kept: Path, tenant: RunningSimulator[IntuneSimulator]
) -> None:
    tenant.simulator.faults.add(Fault("status", status=503, match="managedDevices", after=2))
    failed = mdm("directory", "build", "--config", str(kept))
    assert failed.code == 3
    assert failed.lines[0]["reason"]
    tenant.simulator.faults.clear()
    assert mdm("directory", "export", "--config", str(kept)).code == 3
    assert mdm("directory", "build", "--config", str(kept)).code == 0


def test_a_directory_that_would_end_with_the_command_is_refused(mdm: Run, kept: Path) -> None:
    text = kept.read_text()
    kept.write_text(text.replace('url = "sqlite:store.db"', 'url = "memory:"'))
    refused = mdm("directory", "status", "--config", str(kept))
    assert refused.code == 2
    assert "ends with the command" in refused.err
    kept.write_text(text.replace("directory = true", ""))
    refused = mdm("directory", "status", "--config", str(kept))
    assert refused.code == 2
    assert "directory = true" in refused.err
