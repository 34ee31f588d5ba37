"""A source of compliance that says nothing about the devices that there are: an error, and no empty list."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import ConfigurationError, IncompleteListError
from mdmsdk.simulator import Fleet
from mdmsdk_jamf.simulator.records import is_computer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator import RunningSimulator
    from mdmsdk.testing import Modal
    from mdmsdk_jamf.simulator import JamfSimulator

    Start = Callable[..., RunningSimulator[JamfSimulator]]
    Ask = Callable[..., Modal]

VOID = [
    ({"empty_groups": frozenset({10})}, "managed computers"),
    ({"empty_groups": frozenset({20})}, "managed mobile_devices"),
    ({"empty_groups": frozenset({10}), "source": "advanced-search"}, "managed computers"),
    ({"partner": False, "source": "conditional-access"}, "conditional access"),
]


@pytest.mark.parametrize(("habits", "words"), VOID)
def test_a_source_that_knows_nobody_is_an_error_at_the_heartbeat(
    start: Start, ask: Ask, fleet: Fleet, habits: dict[str, Any], words: str
) -> None:
    few = Fleet(fleet.select(lambda device: device.id % 4 == 0))
    client = ask(start(few, **habits))
    with pytest.raises(ConfigurationError, match=words) as caught:
        client.heartbeat()
    assert "proves nothing about anybody" in (caught.value.hint or "")
    with pytest.raises(ConfigurationError):
        list(client.noncompliant())


@pytest.mark.parametrize(("habits", "words"), VOID)
def test_a_source_that_is_emptied_later_fails_the_list(
    start: Start, ask: Ask, habits: dict[str, Any], words: str
) -> None:
    running = start(source=habits.get("source", "smart-group"), page_cap=16)
    client = ask(running)
    client.heartbeat()
    running.simulator.behave(page_cap=16, **habits)
    with pytest.raises((ConfigurationError, IncompleteListError), match=words):
        list(client.noncompliant())


def test_a_rule_over_a_fact_that_nobody_reports_is_an_error(start: Start, ask: Ask, fleet: Fleet) -> None:
    silent = Fleet([replace(device, jailbroken=None) for device in fleet])
    rules = {"source": "rules", "rules": {"not_jailbroken": ["iOS", "iPadOS"]}}
    with pytest.raises(ConfigurationError, match=r"rules say nothing about any of the .* managed devices"):
        list(ask(start(silent), compliance=rules).noncompliant())
    assert list(ask(start(fleet), compliance=rules).noncompliant())


def test_a_source_for_other_devices_than_there_are_is_an_error(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start(Fleet(fleet.select(lambda device: not is_computer(device))))
    with pytest.raises(ConfigurationError, match="devices of this server, which are managed mobile_devices"):
        ask(running, compliance={"source": "smart-group", "computers": 10}).heartbeat()


def test_an_empty_group_of_offenders_is_no_error(start: Start, ask: Ask, fleet: Fleet) -> None:
    client = ask(start(members="noncompliant", empty_groups=frozenset({11, 21})))
    client.heartbeat()
    assert list(client.noncompliant()) == []


@pytest.mark.parametrize("source", ["smart-group", "advanced-search", "conditional-access", "rules"])
def test_a_server_without_devices_that_reported_is_no_error(
    start: Start, ask: Ask, fleet: Fleet, source: str
) -> None:
    new = replace(fleet[0], compliance="unknown")
    client = ask(start(Fleet([new]), source=source))
    client.heartbeat()
    assert list(client.noncompliant()) == []
