"""Real servers of applications that fork, spawn and interrupt: gunicorn, uvicorn, Celery, multiprocessing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk.client import MdmClient
from mdmsdk.identifiers import Mac
from tests.core.conftest import Answer, Script, TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MACS = [str(Mac(f"00:1B:44:11:3A:{number:02X}")).upper() for number in range(40)]

CLIENT = """
import os, time
from mdmsdk.client import AsyncMdmClient, MdmClient
from tests.core.conftest import TinyProvider, TinySettings

def make(kind):
    return kind(TinyProvider(TinySettings(base_url=os.environ["ORIGIN"], login="token")), server="tiny")
"""
WSGI = f"""{CLIENT}
client = make(MdmClient)
client.heartbeat()  # a connection and a token before the fork

def app(environ, start_response):
    device = client.lookup(environ["QUERY_STRING"])
    start_response("200 OK", [("X-Process", str(os.getpid()))])
    return [device.serial_number.encode()]
"""
ASGI = f"""{CLIENT}
client = make(AsyncMdmClient)

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    device = await client.lookup(scope["query_string"].decode())
    headers = [(b"x-process", str(os.getpid()).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": device.serial_number.encode()}})
"""
CELERY = f"""{CLIENT}
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from mdmsdk.identifiers import Serial

folder = os.environ["FOLDER"]
app = Celery("slow", broker="filesystem://", backend="file://" + folder + "/results")
app.conf.broker_transport_options = {{
    "data_folder_in": folder + "/queue",
    "data_folder_out": folder + "/queue",
    "control_folder": folder + "/control",
    "polling_interval": 0.05,
}}
app.conf.worker_prefetch_multiplier = 1
client = make(MdmClient)

@app.task
def lookup(mac):
    return client.lookup(mac).serial_number

@app.task(soft_time_limit=1)
def interrupted(mac):
    began = time.monotonic()
    try:
        client.lookup(Serial("SL0W"))
    except SoftTimeLimitExceeded:
        return [client.lookup(mac).serial_number, time.monotonic() - began]
"""


@pytest.fixture
def env(origin: str, script: Script, tmp_path: Path) -> dict[str, str]:
    """What a program needs that serves lookups, which are answered by the MAC that was asked for."""
    script.routes |= {"/token": '{"token": "T", "expires_in": 3600}', "/logout": ""}
    script.routes["/find"] = lambda request: (
        Answer(request.query_params["mac"].replace(":", "").upper(), wait=0.02)
        if "mac" in request.query_params
        else Answer("late", wait=4)
    )
    return {**os.environ, "ORIGIN": origin, "FOLDER": str(tmp_path), "PYTHONPATH": f"{ROOT}:{tmp_path}"}


@contextmanager
def started(command: list[str], env: dict[str, str], folder: Path) -> Iterator[None]:
    """A program that runs meanwhile, and is asked to end."""
    log = (folder / "log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield
    except BaseException:
        sys.stderr.write((folder / "log").read_text())
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        log.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ask_all(port: int) -> set[str]:
    """Ask for every MAC at once and check each answer; gives the processes that answered.

    Which process takes a connection is the system's choice; so it is asked until a second one has answered.
    """
    alone = {"Connection": "close"}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20, headers=alone
    ) as http:

        def ask(mac: str) -> str:
            for _ in range(200):
                try:
                    answer = http.get("/?" + mac.replace(":", ""))
                except httpx.ConnectError:
                    time.sleep(0.1)  # it is still starting
                    continue
                assert answer.text == mac.replace(":", "")
                return str(answer.headers["x-process"])
            raise AssertionError("it did not start")

        ask(MACS[0])
        processes: set[str] = set()
        with ThreadPoolExecutor(12) as pool:
            for _ in range(20):
                processes.update(pool.map(ask, MACS))
                if len(processes) > 1:
                    break
        return processes


def test_gunicorn_with_a_client_made_before_the_fork(
    env: dict[str, str], script: Script, tmp_path: Path
) -> None:
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    (tmp_path / "wsgi.py").write_text(WSGI)
    port = free_port()
    command = ["gunicorn", "--preload", "-w", "3", "--threads", "4", "-b", f"127.0.0.1:{port}", "wsgi:app"]
    with started(command, env, tmp_path):
        processes = ask_all(port)
    assert len(processes) >= 2
    assert script.counts["/token"] == 1
    assert script.counts["/logout"] == 0


def test_uvicorn_with_workers(env: dict[str, str], script: Script, tmp_path: Path) -> None:
    (tmp_path / "asgi.py").write_text(ASGI)
    port = free_port()
    with started(["uvicorn", "--workers", "2", "--port", str(port), "asgi:app"], env, tmp_path):
        processes = ask_all(port)
    assert 1 <= len(processes) <= 2
    assert script.counts["/token"] == len(processes)


def test_celery_with_soft_limits(
    env: dict[str, str], script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("celery", reason="Celery is not installed")
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "slow_tasks.py").write_text(CELERY)
    for name in ("ORIGIN", "FOLDER"):
        monkeypatch.setenv(name, env[name])
    monkeypatch.syspath_prepend(str(tmp_path))
    tasks: Any = __import__("slow_tasks")
    command = ["celery", "-A", "slow_tasks", "worker", "-P", "prefork", "-c", "2", "--without-gossip"]
    with started([*command, "--without-mingle", "--without-heartbeat"], env, tmp_path):
        waiting = [tasks.interrupted.delay(mac) for mac in MACS[:2]]
        found = [result.get(timeout=60, interval=0.05) for result in waiting]
        later = [tasks.lookup.delay(mac).get(timeout=60, interval=0.05) for mac in MACS[2:6]]
    for (serial, seconds), mac in zip(found, MACS, strict=False):
        assert serial == mac.replace(":", "")
        assert seconds < 3.5
    assert later == [mac.replace(":", "") for mac in MACS[2:6]]


_client: MdmClient | None = None


def _look(mac: str) -> tuple[str | None, int]:
    assert _client is not None
    found = _client.lookup(mac)
    return found.serial_number if found else None, os.getpid()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_multiprocessing(env: dict[str, str], script: Script) -> None:
    global _client  # noqa: PLW0603 - that is how a pool's workers share what was made before
    _client = MdmClient(TinyProvider(TinySettings(base_url=env["ORIGIN"], login="token")), server="tiny")
    _client.heartbeat()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(_look, MACS, chunksize=2)
    assert [serial for serial, _ in found] == [mac.replace(":", "") for mac in MACS]
    assert script.counts["/token"] == 1
    _client.close()
