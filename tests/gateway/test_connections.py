"""Many connections, and more than there may be: bounded, and the others are served on."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

import mdmsdk
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.gateway import GatewaySettings, connections, files
from mdmsdk.gateway.access import Room
from mdmsdk.gateway.connections import Held, Listener
from mdmsdk.testing import FakeAsyncMdmFederation
from tests.gateway.conftest import FLEET, KEY, LOGIN, MAC, Faces, configuration, device, serving

if TYPE_CHECKING:
    from mdmsdk.simulator import IseSimulator, RunningSimulator
    from tests.gateway.conftest import Serve

MANY = int(os.environ.get("MDM_CONNECTIONS", "200"))
BEGUN = (b"", b"GET /v1/", b"GET /v1/servers HTTP/1.1\r\nHost: x\r\nX: ")


def connect(stack: ExitStack, origin: str, count: int) -> list[socket.socket]:
    place = urlsplit(origin)
    address = (str(place.hostname), int(place.port or 0))
    return [stack.enter_context(socket.create_connection(address, 30)) for _ in range(count)]


def hold(stack: ExitStack, origin: str, count: int) -> list[socket.socket]:
    """Connections whose request never comes to its end."""
    held = connect(stack, origin, count)
    for number, one in enumerate(held):
        one.sendall(BEGUN[number % len(BEGUN)])
    return held


def is_cut_off(one: socket.socket) -> bool:
    try:
        return one.recv(100) == b""
    except ConnectionError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_many_connections_cost_little_and_keep_nobody_out(
    served: Serve, slow: RunningSimulator[IseSimulator]
) -> None:
    process, origin = served(
        configuration(slow, f"connections = {MANY + 50}\nclient_connections = {MANY + 50}")
    )
    mac = FLEET[0].mac_addresses[0]
    path = f"/ciscoise/mdmapi/v1/devices/0/macaddress/{mac}/all"
    state = Path(f"/proc/{process.pid}/status")
    with ExitStack() as stack:
        assert httpx.get(origin + path, auth=LOGIN, timeout=30).status_code == 200
        before = int(re.findall(r"VmRSS:\s+(\d+)", state.read_text())[0])
        hold(stack, origin, MANY)
        assert httpx.get(origin + path, auth=LOGIN, timeout=30).status_code == 200
        key = {"Authorization": f"Bearer {KEY}"}
        answer = httpx.get(f"{origin}/v1/devices/mac/{mac}", headers=key, timeout=30)
        assert answer.json()["found"]
        grown = int(re.findall(r"VmRSS:\s+(\d+)", state.read_text())[0]) - before
        assert grown < 20_000 + MANY * 64


def test_more_connections_than_there_may_be_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REFUSED", 10)
    with (
        serving(lambda: FakeAsyncMdmFederation({"one": [device()]}), {"connections": 5}) as origin,
        ExitStack() as stack,
    ):
        held = stack.enter_context(ExitStack())
        before = hold(held, origin, 15)
        assert all(map(is_cut_off, connect(stack, origin, 20)))
        ask = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
        # Who asks whether it lives hears so, and that the connection ends.
        before[12].sendall(ask % b"/healthz")
        with before[12].makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 200 ")
        # Who was there first is served on; the others are told, in the format of the face.
        before[0].sendall(ask % b"/healthz")
        assert before[0].recv(100).startswith(b"HTTP/1.1 200 ")
        for one, path, body in (
            (before[6], b"/v1/servers", b'"detail":"there are as many connections as there may be"'),
            (before[9], b"/ciscoise/mdminfo", b"\r\n\r\nthere are as many connections as there may be\n"),
        ):
            one.sendall(ask % path)
            with one.makefile("rb") as answer:
                told = answer.read()
            assert told.startswith(b"HTTP/1.1 503 ")
            assert body in told
        held.close()
        until = time.monotonic() + 20
        while httpx.get(f"{origin}/healthz").status_code != 200:
            assert time.monotonic() < until


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second address of this machine")
def test_one_client_leaves_room_for_others() -> None:
    limits = {"connections": 20, "client_connections": 5}
    with (
        serving(lambda: FakeAsyncMdmFederation({"one": [device()]}), limits) as origin,
        ExitStack() as stack,
    ):
        held = hold(stack, origin, 13)
        assert all(map(is_cut_off, connect(stack, origin, 20)))
        held[6].sendall(b"GET /v1/servers HTTP/1.1\r\nHost: x\r\n\r\n")
        with held[6].makefile("rb") as answer:
            told = answer.read()
        assert told.startswith(b"HTTP/1.1 429 ")
        other = stack.enter_context(httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")))
        key = {"Authorization": f"Bearer {KEY}"}
        assert other.get(f"{origin}/v1/servers", headers=key).status_code == 200


def test_whose_connections_they_are() -> None:
    settings = GatewaySettings(connections=30, client_connections=5, proxies=("192.0.2.1",))
    held = Held(settings)
    site = [f"2001:db8:0:1::{number:x}" for number in range(1, 15)]
    assert [held.add(one) for one in site] == [*[Room.ENOUGH] * 5, *[Room.TOO_MANY_OF_ONE] * 8, Room.NONE]
    assert held.add("2001:db8:0:2::1") is Room.ENOUGH
    # A proxy's are those of many, until all are taken.
    assert [held.add("192.0.2.1") for _ in range(16)] == [*[Room.ENOUGH] * 15, Room.TOO_MANY]
    for one in site:
        held.drop(one)
    assert held.add(site[0]) is Room.ENOUGH


def test_a_connection_is_counted_from_the_door_to_its_end() -> None:
    with ExitStack() as stack:
        plain = socket.create_server(("127.0.0.1", 0))
        address = plain.getsockname()
        listener = stack.enter_context(Listener.of(plain, Held(GatewaySettings(client_connections=2))))
        for _ in range(11):
            stack.enter_context(socket.create_connection(address, 20))
        accepted = [listener.accept()[0] for _ in range(10)]
        with pytest.raises(ConnectionAbortedError):
            listener.accept()
        for one in accepted:
            one.close()
            one.close()
        stack.enter_context(socket.create_connection(address, 20))
        listener.accept()[0].close()


@pytest.mark.parametrize(
    ("limits", "then", "told"),
    [((1024, 4096), 1512, False), ((8192, 8192), 8192, False), ((256, 1024), 1024, True)],
)
def test_files_for_all_connections_are_asked_for_and_a_lack_is_told(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limits: tuple[int, int],
    then: int,
    told: bool,
) -> None:
    resource = pytest.importorskip("resource")
    known = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda _: known[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: known.append(pair))
    files.allow_files(GatewaySettings(connections=1000))
    assert known[-1] == (then, limits[1])
    assert ("gateway.connections" in caplog.text) is told


def test_a_server_that_never_answers_costs_each_face_its_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as dead, ExitStack() as stack:
        base_url = f"http://127.0.0.1:{dead.getsockname()[1]}"

        def federation() -> AsyncMdmFederation:
            login = {"username": "a", "password": "b"}
            return AsyncMdmFederation([mdmsdk.connect_async("ise", base_url=base_url, **login)])

        faces = Faces(stack.enter_context(serving(federation, {"deadline": 0.3})))
        stack.callback(faces.close)
        told = faces.rest.get(f"/v1/devices/mac/{MAC}").json()
        assert (told["decision"], told["complete"]) == ("no_answer", False)
        for version in (1, 2, 3):
            answer = faces.ask(version, "macaddress", MAC)
            assert answer.status_code == 503
            assert "deviceList" not in answer.text
        assert faces.rest.get("/healthz").status_code == 200
