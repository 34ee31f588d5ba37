"""Prism between our providers and our simulators, with the vendors' own descriptions.

https://docs.stoplight.io/docs/prism: a proxy that says in a header what an exchange does against them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

import mdmsdk
from mdmsdk.errors import UnsupportedOperationError
from mdmsdk.registry import load_simulator
from mdmsdk.simulator import Fleet, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECS: Final = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[2] / "../shared/specs")
PRISM: Final = os.environ.get("MDMSDK_PRISM") or shutil.which("prism")
START_LIMIT: Final = 60.0

pytestmark = [
    pytest.mark.skipif(
        not PRISM, reason="Prism is not installed; `nox -s foreign` has it where npm is at hand"
    ),
    pytest.mark.timeout(240),
]

WORKSPACE_ONE: Final = ["workspace-one-system-v1.json", "workspace-one-mdm-v1.json"]
# A provider, habits of its simulator, kinds of key to leave out, and the files of the description. Workspace
# ONE has the routes of several versions at one address, of which Prism takes one: that of the last file.
CASES: Final[dict[str, tuple[str, dict[str, Any], set[str], list[str]]]] = {
    "jamf": ("jamf", {}, set(), ["jamf-pro-11.30.json"]),
    "meraki": ("meraki", {}, set(), ["meraki-dashboard-1.42-sm.json"]),
    "workspaceone-2": (
        "workspaceone",
        {"search_version": 2, "uuid_version": 2},
        {"id"},
        [*WORKSPACE_ONE, "workspace-one-mdm-v2.json"],
    ),
    "workspaceone-3": ("workspaceone", {}, {"id"}, [*WORKSPACE_ONE, "workspace-one-mdm-v3.json"]),
}
# Who asks these is not logged in yet, or does not have to be; Jamf's description does not say so.
OPEN: Final = {"/api/v1/oauth/token", "/api/v1/health-check"}
PREFIXES: Final = {"jamf": "/api", "meraki": "/api/v1"}


def description(files: list[str]) -> dict[str, Any]:
    """One description of all files, with whole paths: Prism leaves the servers' part out."""
    paths: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for name in files:
        path = SPECS / name
        if not path.is_file():
            pytest.skip(f"the vendor's description {name} is not here; MDMSDK_SPECS names its folder")
        one = json.loads(path.read_text(encoding="utf-8"))
        server = urlsplit(one["servers"][0]["url"]).path.rstrip("/")
        prefix = PREFIXES.get(name.partition("-")[0], server)
        for route, what in one["paths"].items():
            whole = f"{prefix}{route}"
            paths = {other: known for other, known in paths.items() if shape(other) != shape(whole)}
            paths[whole] = what
            if whole in OPEN:
                for operation in what.values():
                    operation["security"] = []
        for kind, parts in one.get("components", {}).items():
            merged.setdefault("components", {}).setdefault(kind, {}).update(parts)
        merged = {**one, "components": merged.get("components", {})}
    del merged["servers"]
    return dict(with_nulls({**merged, "paths": paths}))


def shape(route: str) -> str:
    """A route without the names of what is filled in."""
    return re.sub(r"\{\w+\}", "{}", route)


def with_nulls(part: Any) -> Any:
    """Let every value be null: the descriptions never say so, and the servers write it all the same."""
    if isinstance(part, list):
        return [with_nulls(one) for one in part]
    if not isinstance(part, dict):
        return part
    # Workspace ONE's description names the version in the media type; its servers do not.
    found = {name.partition(";version=")[0]: with_nulls(inner) for name, inner in part.items()}
    if isinstance(part.get("type"), str):
        found["nullable"] = True
        if isinstance(part.get("enum"), list):
            found["enum"] = [*part["enum"], None]
    return found


@contextmanager
def prism(description: Path, port: int, upstream: str) -> Iterator[None]:
    command = [str(PRISM), "proxy", str(description), upstream, "--port", str(port), "--host", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + START_LIMIT
            while process.poll() is None and time.monotonic() < end:
                with socket.socket() as attempt:
                    if not attempt.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Findings:
    """What Prism found in the exchanges of a client."""

    def __init__(self) -> None:
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self.texts: set[str] = set()

    def note(self, response: httpx.Response) -> None:
        self.requests += 1
        said = response.headers.get("sl-violations", "[]")
        try:
            faults = json.loads(said)
        except ValueError:  # more than fits into a header
            faults = [{"location": ["unreadable"], "text": said[:2000]}]
        for fault in faults:
            where = str(fault["location"][0])
            self.faults[where] += 1
            self.texts.add(f"{response.request.method} {response.request.url.path} {fault}")


@pytest.mark.parametrize("case", CASES)
def test_no_exchange_is_against_the_description(case: str, tmp_path: Path, count: Any) -> None:
    name, habits, left_out, files = CASES[case]
    file, port, findings = tmp_path / "description.json", free_port(), Findings()
    file.write_text(json.dumps(description(files)), encoding="utf-8")
    origin = f"http://127.0.0.1:{port}"
    simulator = load_simulator(name)(Fleet.generate(60, seed=4), **habits)
    if hasattr(simulator.habits, "link_origin"):
        simulator.behave(link_origin=origin)
    with serve(simulator) as running, prism(file, port, running.origin), httpx.Client() as http:
        http.event_hooks = {"response": [findings.note]}
        settings = json.loads(json.dumps(running.settings).replace(running.origin, origin))
        with mdmsdk.connect(**settings, http=http) as client:
            client.heartbeat()
            ask_everything(client, simulator, left_out)
    for text in sorted(findings.texts)[:10]:
        print(text)  # noqa: T201 - pytest shows it where the test fails
    count(", ".join(files), findings.requests, findings.faults["request"], findings.faults["response"])
    assert findings.requests > 10
    assert not findings.faults


def ask_everything(client: Any, simulator: Any, left_out: set[str]) -> None:
    """Look some devices up by every key, and read the lists."""
    for device in list(simulator.fleet)[::6]:
        for kind, value in simulator.identifiers(device).items():
            if kind not in left_out:
                with suppress(UnsupportedOperationError):
                    client.find(f"{kind}:{value}")
    assert list(client.noncompliant())
    assert list(client.devices())
