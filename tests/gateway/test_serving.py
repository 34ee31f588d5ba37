"""`mdm serve` as a process: it listens, reads its configuration anew, and lets requests come to their end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import trustme
import uvicorn

from mdmsdk.cli import main
from mdmsdk.config_check import check_config
from mdmsdk.gateway import GatewaySettings, connections
from mdmsdk.gateway import served as serving
from tests.gateway.conftest import ASK, FLEET, KEY, LOGIN, MDM, MDMINFO, Serve, configuration, until

if TYPE_CHECKING:
    from mdmsdk.simulator import IseSimulator, RunningSimulator


def test_it_serves_reads_anew_and_ends(
    served: Serve, slow: RunningSimulator[IseSimulator], tmp_path: Path
) -> None:
    process, origin = served(configuration(slow, ""))
    key = {"Authorization": f"Bearer {KEY}"}
    mac = FLEET[0].mac_addresses[0]
    assert httpx.get(f"{origin}/v1/devices/mac/{mac}", headers=key, timeout=60).json()["found"]
    assert httpx.get(origin + MDMINFO, auth=LOGIN).status_code == 200

    path = tmp_path / "mdm.toml"
    text = path.read_text()
    path.write_text(text.replace(LOGIN[1], "short"))
    process.send_signal(signal.SIGHUP)
    assert "the old one stays" in until(process, "stays")
    assert httpx.get(origin + MDMINFO, auth=LOGIN).status_code == 200
    path.write_text(text.replace(LOGIN[1], "another-password"))
    process.send_signal(signal.SIGHUP)
    until(process, "read anew")
    assert httpx.get(origin + MDMINFO, auth=LOGIN).status_code == 401
    assert httpx.get(origin + MDMINFO, auth=(LOGIN[0], "another-password")).status_code == 200

    # What is under way comes to its end.
    looked_up = "querycriteria=mac"
    before = sum(looked_up in request.target for request in slow.simulator.requests)
    asking = subprocess.Popen(
        [sys.executable, "-c", ASK, f"{origin}/v1/devices/mac/{mac}?fresh=true"], stdout=subprocess.PIPE
    )
    assert asking.stdout
    assert asking.stdout.readline() == b"asking\n"
    assert slow.simulator.requests.wait_for(before + 1, target=looked_up, timeout=60)
    process.send_signal(signal.SIGTERM)
    assert asking.communicate()[0] == b"200\n"
    assert process.wait(60) in {0, -signal.SIGTERM}


def test_what_is_answered_after_the_signal_says_that_its_connection_ends() -> None:
    served: Any = serving.Served(None)
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for leaving in (False, True):  # the signal comes while this is under way
            served._server.leaving = leaving
            await send({"type": "http.response.start", "status": 200, "headers": []})

    async def keep(message: Any) -> None:
        sent.append(message)

    served._house = served._server = SimpleNamespace(app=app, leaving=False)
    asyncio.run(served._serve({}, keep, keep))
    assert [message["headers"] for message in sent] == [[], [(b"connection", b"close")]]


def mdm(*args: str) -> subprocess.CompletedProcess[str]:
    """Run `mdm serve` to its end."""
    command = [*MDM, "serve", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_clients_without_a_certificate_stay_outside(
    served: Serve, slow: RunningSimulator[IseSimulator], tmp_path: Path
) -> None:
    authority, (own, client, root) = (
        trustme.CA(),
        (tmp_path / f"{name}.pem" for name in ("own", "client", "ca")),
    )
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
    authority.issue_cert("controller@mdm.example").private_key_and_cert_chain_pem.write_to_path(client)
    authority.cert_pem.write_to_path(root)
    asking = tmp_path / "asking.pem"
    asking.write_bytes(root.read_bytes())
    tls = f'tls = {{ cert = "{own}", key = "{own}", client_ca = "{asking}" }}\nclient_connections = 20'
    process, origin = served(configuration(slow, tls))
    assert origin.startswith("https://")
    context = ssl.create_default_context(cafile=str(root))
    with pytest.raises(httpx.HTTPError):
        httpx.get(origin + "/healthz", verify=context)
    # The health check of the container has none either, but learns that somebody answers.
    check = [sys.executable, str(Path(__file__).parents[2] / "deploy/healthcheck.py"), origin + "/healthz"]
    assert subprocess.run(check, check=False).returncode == 0
    context.load_cert_chain(client)
    assert httpx.get(origin + "/healthz", verify=context).text == "ok\n"

    # Who begins no handshake has a connection nevertheless.
    with contextlib.ExitStack() as stack:
        place = origin.rpartition(":")[2]
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", int(place)), timeout=20))
        with pytest.raises(httpx.HTTPError):
            httpx.get(origin + "/healthz", verify=context)
        transport = httpx.HTTPTransport(verify=context, local_address="127.0.0.2")
        with httpx.Client(transport=transport, timeout=20) as other:
            assert other.get(origin + "/healthz").text == "ok\n"

    # Nobody who was let in by an authority that does not count any more.
    trustme.CA().cert_pem.write_to_path(asking)
    process.send_signal(signal.SIGHUP)
    until(process, "read anew")
    with pytest.raises(httpx.HTTPError):
        httpx.get(origin + "/healthz", verify=context)


def test_who_sends_no_request_does_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.3)

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await anyio.sleep(0.5)  # a request is no silence
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def drip(port: int, text: bytes) -> bytes:
        came = b""
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError), anyio.fail_after(5):
                await stream.send(text)
                while True:
                    with anyio.move_on_after(0.05):
                        came += await stream.receive()
                    await stream.send(b"x")
        return came

    async def run() -> list[bytes]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = serving.uvicorn_config(answer, GatewaySettings())
            server = uvicorn.Server(config)
            serves = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started:  # noqa: ASYNC110 - it has no event to wait for
                await asyncio.sleep(0.01)
            port = listener.getsockname()[1]
            body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"
            came = await asyncio.gather(*(drip(port, text) for text in (b"", b"GET / HTT", body)))
            server.should_exit = True
            await serves
            return came

    silent, slow, body = asyncio.run(run())
    assert not silent.startswith(b"HTTP/1.1 200")
    assert slow == b""
    assert body.startswith(b"HTTP/1.1 200")


def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEEP_ALIVE", 0.2)

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(32):
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = serving.uvicorn_config(answer, GatewaySettings())
            server = uvicorn.Server(config)
            serves = asyncio.create_task(server.serve(sockets=[listener]))
            with socket.create_connection(listener.getsockname()) as wire:
                wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                with anyio.fail_after(20):
                    while not server.server_state.connections:  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.01)
                    while server.server_state.connections:  # noqa: ASYNC110 - as above
                        await asyncio.sleep(0.01)
            server.should_exit = True
            await serves

    asyncio.run(run())


@pytest.mark.parametrize(
    ("gateway", "told"),
    [
        ("", "has no face"),
        ('[gateway.ise]\nusername = "a"\npassword = "short"', "password"),
        ("[gateway]\nlisten = '0.0.0.0:1'", "tls"),
        ("[gateway]\nlissen = '127.0.0.1:1'", "lissen"),
        (
            '[gateway.tls]\ncert="no"\nkey = "no"\n[gateway.ise]\nusername="a"\npassword = "long-enough1"',
            "cert",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_listens(
    tmp_path: Path,
    slow: RunningSimulator[IseSimulator],
    capfd: pytest.CaptureFixture[str],
    gateway: str,
    told: str,
) -> None:
    text = configuration(slow, "").partition("[gateway]")[0] + gateway
    (tmp_path / "mdm.toml").write_text(text)
    (tmp_path / "mdm.toml").chmod(0o600)
    assert main(["serve", "--config", str(tmp_path / "mdm.toml")]) == 2
    said = capfd.readouterr().err
    assert told in said
    assert "Traceback" not in said
    if gateway:
        assert any(told in one.message or told in one.place for one in check_config(tmp_path / "mdm.toml"))


def test_a_port_that_is_taken(served: Serve, slow: RunningSimulator[IseSimulator], tmp_path: Path) -> None:
    text = configuration(slow, "").replace("127.0.0.1:0", f"127.0.0.1:{slow.port}")
    (tmp_path / "mdm.toml").write_text(text)
    (tmp_path / "mdm.toml").chmod(0o600)
    done = subprocess.run(
        [*MDM, "serve", "--config", str(tmp_path / "mdm.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr


def test_a_new_key_is_shown_once_and_kept_as_its_hash() -> None:
    done = mdm("--new-key", "noc")
    assert done.returncode == 0
    key = done.stdout.strip()
    assert len(key) > 40
    assert key not in done.stderr
    assert "[[gateway.rest.keys]]" in done.stderr
