"""Gateways that listen, over servers in memory or simulators."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from mdmsdk.gateway import GatewaySettings, app
from mdmsdk.gateway.served import uvicorn_config
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.simulator import Fleet, IseSimulator, serve
from mdmsdk.testing import FakeAsyncMdmFederation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mdmsdk.federation import AsyncMdmFederation
    from mdmsdk.simulator import RunningSimulator
    from mdmsdk.testing import FakeServer

MAC = "00:1B:44:11:3A:B7"
GUID = "51431193-e6c3-4339-9a2b-8f1ff1fd42a2"
LOGIN = ("controller", "a-long-password")
KEY = "a-key-of-somebody"
SETTINGS: dict[str, Any] = {
    "ise": {"username": LOGIN[0], "password": LOGIN[1]},
    "rest": {"keys": [{"name": "somebody", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]},
}


def device(state: str = "compliant", **facts: Any) -> Device:
    """A managed device's record, with a MAC address and a GUID unless the facts say otherwise."""
    basic: dict[str, Any] = {"id": "1", "registered": True, "mac_addresses": (MAC,), "guid": GUID}
    return Device.model_validate({**basic, "compliance": Compliance(state=ComplianceState(state)), **facts})


@contextmanager
def serving(federation: Callable[[], AsyncMdmFederation], settings: Mapping[str, Any]) -> Iterator[str]:
    """A gateway that listens; gives its origin."""
    ends: list[uvicorn.Server] = []
    up = threading.Event()

    async def run() -> None:
        how = GatewaySettings.model_validate({**SETTINGS, **settings})
        async with federation() as asked:
            application = app(asked, how)
            async with application.lifespan():
                ends.append(uvicorn.Server(uvicorn_config(application, how)))
                up.set()
                await ends[0].serve(sockets=[listener])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        assert up.wait(60)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ends[0].should_exit = True
            thread.join(60)
            assert not thread.is_alive()  # or it would fail in the next test, without its socket


class Faces:
    """Both faces of one gateway.

    Attributes:
        origin: of the gateway.
        rest: a client with a key.
        ise: a client with the controller's password.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.rest = httpx.Client(base_url=origin, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
        self.ise = httpx.Client(base_url=origin, auth=LOGIN, timeout=60)

    def ask(self, version: int, criterion: str, value: str, **more: str) -> httpx.Response:
        """A question of a controller."""
        if version == 1:
            return self.ise.get(
                f"/ciscoise/mdmapi/v1/devices/0/{criterion}/{value}/{more.get('filter', 'all')}"
            )
        params = {"paging": "0", "querycriteria": criterion, "value": value, "filter": "all", **more}
        return self.ise.get(f"/ciscoise/mdmapi/v{version}/devices/", params=params)

    def close(self) -> None:
        self.rest.close()
        self.ise.close()


Open = Any
"""Opens a gateway over fake servers: ``open({"one": [device()]}, ise={...})`` gives its `Faces`."""


@pytest.fixture
def gateway() -> Iterator[Open]:
    """Opens gateways over servers in memory."""
    ends: list[Callable[[], Any]] = []

    def open_(servers: Mapping[str, FakeServer | list[Device]], **settings: Any) -> Faces:
        options = settings.pop("federation", {})
        context = serving(lambda: FakeAsyncMdmFederation(servers, **options), settings)
        faces = Faces(context.__enter__())
        ends.extend([faces.close, lambda: context.__exit__(None, None, None)])
        return faces

    yield open_
    for end in ends:
        end()


MDM = (sys.executable, "-c", "import sys; from mdmsdk.cli import main; sys.exit(main())")
FLEET = Fleet.generate(20)
MDMINFO = "/ciscoise/mdminfo/?ise_api_version=3"
Serve = Any
"""Starts `mdm serve` with a configuration and options; gives the process and its origin."""
ASK = f"""
import sys, httpx
client = httpx.Client(timeout=60, headers={{"Authorization": "Bearer {KEY}"}})
client.get(sys.argv[1].partition("/v1")[0] + "/healthz")
print("asking", flush=True)
print(client.get(sys.argv[1]).status_code)
"""


def configuration(running: RunningSimulator[Any], gateway: str) -> str:
    server = "\n".join(f"{name} = {json.dumps(value)}" for name, value in running.settings.items())
    (digest,) = SETTINGS["rest"]["keys"]
    return (
        f'[servers.macs]\n{server}\n[gateway]\nlisten = "127.0.0.1:0"\n{gateway}\n'
        f'[[gateway.rest.keys]]\nname = "somebody"\nsha256 = "{digest["sha256"]}"\n'
        f'[gateway.ise]\nusername = "{LOGIN[0]}"\npassword = "{LOGIN[1]}"\n'
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serve]:
    """Starts `mdm serve` with a configuration; gives the process and its origin."""
    processes: list[subprocess.Popen[str]] = []

    def start(text: str, *options: str) -> tuple[subprocess.Popen[str], str]:
        (tmp_path / "mdm.toml").write_text(text)
        (tmp_path / "mdm.toml").chmod(0o600)
        process = subprocess.Popen(
            [*MDM, "serve", "--config", str(tmp_path / "mdm.toml"), *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stderr
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"serving on (\S+)", line):
                return process, found[1]
        raise AssertionError("".join(said))

    yield start
    for process in processes:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


@pytest.fixture(scope="module")
def slow() -> Iterator[RunningSimulator[IseSimulator]]:
    with serve(IseSimulator(FLEET, latency=0.5)) as running:
        yield running


def until(process: subprocess.Popen[str], word: str) -> str:
    """The line of the log that has a word."""
    assert process.stderr
    return next(line for line in process.stderr if word in line)
