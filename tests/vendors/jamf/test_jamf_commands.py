"""The commands of `mdm` against the simulated server: what an administrator of Jamf Pro types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.cli import main
from mdmsdk.cli.simulated import configuration
from mdmsdk_jamf.simulator.records import is_computer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdmsdk.simulator import Fleet, RunningSimulator, SimDevice
    from mdmsdk_jamf.simulator import JamfSimulator

    Running = RunningSimulator[Any]
    Start = Callable[..., Running]

RELEASES = {"11.30.1-t1784555528405": "v4", "11.23.2-t1": "v3", "11.12.0": "v2", "10.50.0-t1689600654": "v1"}


class Mdm:
    """Runs commands, in this process."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "mdm.toml"
        self.capfd = capfd
        self.err = ""

    def __call__(self, running: Running, *words: str, **typed: str) -> tuple[int, list[dict[str, Any]]]:
        """The exit code and the rows of a command; `typed` are other values than the server's own."""
        text = configuration([running], running.simulator.fleet)
        for name, value in typed.items():
            text = text.replace(str(getattr(running.simulator.habits, name)), value)
        self.config.write_text(text, encoding="utf-8")
        self.capfd.readouterr()
        code = main([words[0], "--config", str(self.config), "--format", "ndjson", *words[1:]])
        out, self.err = self.capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def mdm(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Mdm:
    return Mdm(tmp_path, capfd)


def keys_of(device: SimDevice, simulator: JamfSimulator) -> list[str]:
    """A device's keys as they are typed; a computer's second address among them."""
    keys = [f"mac:{device.wifi_mac}", f"udid:{device.udid}", f"guid:{device.guid}"]
    keys.append(f"serial:{device.serial_number}")
    return [*keys, f"mac:{second}"] if (second := simulator.second_mac(device)) else keys


@pytest.mark.parametrize(("version", "api_version"), RELEASES.items())
def test_lookups_in_each_version(
    start: Start, fleet: Fleet, mdm: Mdm, version: str, api_version: str
) -> None:
    running = start(version=version)
    code, (row,) = mdm(running, "heartbeat")
    assert (code, row["ok"], row["api_version"]) == (0, True, api_version)
    alone = [
        device
        for device in fleet
        if device.registered and all(len(fleet.by_mac(mac)) == 1 for mac in device.mac_addresses)
    ]
    for computer in (True, False):
        for state in ("compliant", "noncompliant"):
            device = next(
                one
                for one in alone
                if (is_computer(one), one.compliance) == (computer, state)
                and len(fleet.by_serial(one.serial_number)) == 1
                and bool(running.simulator.second_mac(one)) == computer
            )
            keys = keys_of(device, running.simulator)
            code, rows = mdm(running, "lookup", *keys)
            assert code == 0
            assert [row["compliance"] for row in rows] == [state] * len(keys)
            assert {row["device"]["id"] for row in rows} == {str(device.id)}


def test_a_device_that_is_not_there(start: Start, mdm: Mdm) -> None:
    code, (row,) = mdm(start(), "lookup", "00:00:5E:00:53:FE")
    assert (code, row["found"], row["complete"]) == (1, False, True)


@pytest.mark.parametrize("source", ["smart-group", "advanced-search", "conditional-access", "rules"])
def test_the_noncompliant_list_from_each_source(start: Start, mdm: Mdm, source: str) -> None:
    running = start(source=source)
    simulator = running.simulator
    code, rows = mdm(running, "noncompliant")
    assert code == 0
    assert sorted(row["id"] for row in rows) == sorted(
        str(one.id) for one in simulator.fleet if one.registered and simulator.verdict(one) == "noncompliant"
    )


@pytest.mark.parametrize(
    ("habits", "typed", "outcome"),
    [
        ({}, {"client_secret": "mistyped-secret"}, (3, "Check client_id and client_secret")),
        ({"privileges": frozenset()}, {}, (3, "Read Smart Computer Groups")),
        ({"deleted_groups": frozenset({10})}, {}, (2, "it sees: Noncompliant Macs (11)")),
        ({"source": "none"}, {}, (2, "give the setting compliance")),
    ],
)
def test_what_goes_wrong_is_told_with_a_remedy_and_without_a_secret(
    start: Start, mdm: Mdm, habits: dict[str, Any], typed: dict[str, str], outcome: tuple[int, str]
) -> None:
    code, words = outcome
    assert mdm(start(**habits), "noncompliant", **typed) == (code, [])
    assert words in mdm.err
    assert "Traceback" not in mdm.err
    assert "-secret" not in mdm.err
