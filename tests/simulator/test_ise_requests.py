"""Every request that the ISE provider and its dialects send is one of Cisco's published descriptions."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any
from urllib.parse import urlencode

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import MdmError, UnsupportedOperationError
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client
from tests.simulator.descriptions import Asked, Description
from tests.vendors.relay import dialects

SERVERS = [
    *(("ise", version) for version in (1, 2, 3)),
    *((name, 3) for name in dialects() if name != "ise"),
]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"bulk_identifier": "guid"},
    {"bulk_identifier": "macaddress"},
    {"filter": "register_status+compliance_status"},
]
NO_CRITERION = ["no querycriteria", "no value", "querycriteria"]


def everything(name: str, version: int) -> tuple[Any, dict[str, int]]:
    """Let a client do all there is to do; give the server, and how often each operation was done."""
    provider: Any = load_provider(name)
    kinds = [kind for kind in provider.keys if provider.criteria[kind].since <= version]
    done = {"heartbeat": 0, "noncompliant": 0, "devices": 0} | {kind.kind: 0 for kind in kinds}
    simulator = load_simulator(name)(Fleet.generate(60, seed=7), max_api_version=version, page_size=10)
    with serve(simulator) as running:
        usual = {key: value for key, value in running.settings.items() if key != "provider"}
        for change in [*SETTINGS, {"api_version": version}] if name == "ise" else SETTINGS[:1]:
            with closing(open_client(make_provider(name, usual | change), "sync")) as client:
                client.heartbeat()
                for kind in kinds:
                    known = [simulator.identifiers(device).get(kind.kind) for device in simulator.fleet]
                    for value in [*dict.fromkeys(filter(None, known))][:2]:
                        with suppress(
                            *([MdmError] if "filter" in change else [])
                        ):  # what proves it is left out
                            assert client.find(kind(value))
                        done[kind.kind] += 1
                # In versions 1 and 2 nothing tells two records of one device from each other.
                assert len(list(client.noncompliant())) >= len({one.udid for one in simulator.noncompliant()})
                with suppress(*([UnsupportedOperationError] if version == 3 else [])):
                    assert len(list(client.devices())) > 30
                for call in ("heartbeat", "noncompliant", "devices"):
                    done[call] += 1
    return simulator, done


@pytest.mark.parametrize(("name", "version"), SERVERS)
def test_all_requests_are_described(name: str, version: int) -> None:
    spec, discovery = Description(version), Description(3)
    simulator, done = everything(name, version)
    habits, wrong, inventories = simulator.habits, [], 0
    below = (habits.api_path or f"/ciscoise/mdmapi/v{version}").removeprefix(habits.instance)
    for request in simulator.requests:
        query = urlencode(request.query)
        target = request.raw_path.removeprefix(habits.instance) + (f"?{query}" if query else "")
        judge = discovery if target.startswith("/ciscoise/mdminfo") else spec
        # Of a token, the description says that it is a number; which one is the server's affair.
        token = (
            dict(request.query).get("paging") or target.removeprefix(f"{below}/devices/").partition("/")[0]
        )
        headers = {
            "authorization": "given" if request.has_credentials else "",
            "accept": request.headers["accept"],
        }
        found = judge.violations(Asked(request.method, target, headers), below, [token])
        if version == 3 and found == NO_CRITERION:
            inventories += 1  # all devices: best effort, and refused
        elif found:
            wrong.append((target, found))
    count = len(simulator.requests)
    print(f"{name} v{version}: {count} requests, {inventories} without criterion, by {done}")  # noqa: T201 - for -s
    assert wrong == []
    assert inventories == (done["devices"] if version == 3 else 0)
    assert all(done.values())
