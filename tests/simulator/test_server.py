import datetime as dt
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from mdmsdk.simulator import (
    Fault,
    Fleet,
    IseSimulator,
    RunningSimulator,
    Simulator,
    TlsFiles,
    serve,
    serve_forever,
)
from mdmsdk.simulator._inject import TRANSPORT

AUTH = ("ise", "simulated-password")


def test_it_starts_and_stops_at_once(fleet: Fleet) -> None:
    started = time.perf_counter()
    with serve(IseSimulator(fleet)) as running:
        assert running.origin == f"http://127.0.0.1:{running.port}"
        assert running.settings == {
            "provider": "ise",
            "base_url": running.origin,
            "username": AUTH[0],
            "password": AUTH[1],
        }
        assert httpx.get(f"{running.origin}/ciscoise/mdminfo", auth=AUTH).status_code == 200
    assert time.perf_counter() - started < 5
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.origin)


def test_closing_twice_is_harmless(fleet: Fleet) -> None:
    running = RunningSimulator(IseSimulator(fleet))
    running.close()
    running.close()


@pytest.mark.parametrize("kind", ["hang", "delay", "drip", "endless", "gzip_bomb"])
def test_an_open_answer_does_not_hold_up_the_end(
    fleet: Fleet, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()

    def ask(origin: str) -> None:
        with (
            suppress(httpx.HTTPError),
            httpx.stream("GET", f"{origin}/ciscoise/mdminfo", auth=AUTH, timeout=30) as r,
        ):
            for _ in r.iter_raw():
                time.sleep(0.001)
        ended.set()

    with serve(IseSimulator(fleet)) as running:
        running.simulator.faults.add(Fault(kind, seconds=30, size=1 << 40))
        client = threading.Thread(target=ask, args=(running.origin,))
        client.start()
        assert running.simulator.requests.wait_for(1, timeout=60)
        time.sleep(0.05)
        started = time.perf_counter()
    assert time.perf_counter() - started < 5
    assert ended.wait(60)
    client.join()
    assert not caplog.records


def test_an_idle_connection_does_not_hold_up_the_end(fleet: Fleet) -> None:
    with serve(IseSimulator(fleet)) as running, httpx.Client() as client:
        client.get(running.origin)
        started = time.perf_counter()
        running.close()
    assert time.perf_counter() - started < 5


def test_several_servers_in_one_program(fleet: Fleet) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(serve(IseSimulator(fleet, vendor=f"V{i}"))) for i in range(5)]
        for number, running in enumerate(servers):
            text = httpx.get(f"{running.origin}/ciscoise/mdminfo/?ise_api_version=3", auth=AUTH).text
            assert f"<vendor>V{number}</vendor>" in text
            assert len(running.simulator.requests) == 1


def test_a_port_can_be_chosen_and_be_taken(fleet: Fleet) -> None:
    with serve(IseSimulator(fleet)) as running, pytest.raises(OSError, match=r"[Aa]ddress"):
        RunningSimulator(IseSimulator(fleet), port=running.port)
    with serve(IseSimulator(fleet), port=running.port) as again:
        assert again.port == running.port


def test_it_listens_on_the_loopback_address_only(fleet: Fleet) -> None:
    with serve(IseSimulator(fleet)) as running:
        socket.create_connection(("127.0.0.1", running.port)).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", running.port)).close()


def test_any_application_can_be_served() -> None:
    with serve(PlainTextResponse("hello")) as running:
        assert httpx.get(running.origin).text == "hello"
        assert running.settings == {"base_url": running.origin}


def test_answers_do_not_wait_for_acknowledgements() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            wire = scope["state"][TRANSPORT].get_extra_info("socket")
            # Nagle's algorithm would take 40 ms for nearly each.
            at_once = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            await PlainTextResponse(str(at_once))(scope, receive, send)

    with serve(app) as running:
        assert httpx.get(running.origin).text == "True"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    x509 = pytest.importorskip("cryptography.x509", reason="making a certificate needs cryptography")
    from ipaddress import ip_address

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulator")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return TlsFiles(folder / "cert.pem", folder / "key.pem", folder / "cert.pem")


def test_https(fleet: Fleet, certificate: TlsFiles) -> None:
    trusted = ssl.create_default_context(cafile=str(certificate.ca_file))
    with serve(IseSimulator(fleet), tls=certificate) as running:
        assert running.origin.startswith("https://127.0.0.1:")
        assert running.settings["tls"] == {"ca_file": str(certificate.ca_file)}
        url = f"{running.origin}/ciscoise/mdminfo"
        assert httpx.get(url, auth=AUTH, verify=trusted).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(url, auth=AUTH)
        running.simulator.faults.add(Fault("reset"))
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            httpx.get(url, auth=AUTH, verify=trusted)


def test_serving_for_ever_ends_with_the_duration(fleet: Fleet) -> None:
    seen: list[RunningSimulator[Simulator[Any]]] = []
    started = time.perf_counter()
    serve_forever([IseSimulator(fleet), IseSimulator(fleet)], duration=0.2, ready=seen.extend)
    assert 0.2 <= time.perf_counter() - started < 8
    assert len({running.port for running in seen}) == 2


def test_serving_for_ever_ends_when_told_to(fleet: Fleet) -> None:
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=serve_forever,
        args=([IseSimulator(fleet)],),
        kwargs={"stop": stop, "ready": lambda _: ready.set()},
    )
    thread.start()
    assert ready.wait(60)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


PROGRAM = """
from mdmsdk.simulator import Fleet, IseSimulator, serve_forever
serve_forever([IseSimulator(Fleet.generate(5))], ready=lambda servers: print(servers[0].port, flush=True))
print("ended", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX systems do")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            socket.create_connection(("127.0.0.1", port)).close()
            process.send_signal(number)
            assert process.stdout.readline() == "ended\n"
            assert process.wait(60) == 0
        finally:
            process.kill()
