"""Several workers on one address: all serve the same, and one that is killed is started again."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError
from mdmsdk.gateway import workers
from mdmsdk.gateway.together import together
from tests.gateway.conftest import ASK, FLEET, LOGIN, MDMINFO, Serve, configuration, until

if TYPE_CHECKING:
    from mdmsdk.simulator import IseSimulator, RunningSimulator

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc"),
    pytest.mark.timeout(300),
]

NEW = (LOGIN[0], "another-password")


def children(process: subprocess.Popen[str]) -> list[int]:
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return sorted(map(int, found))


def statuses(origin: str, login: tuple[str, str]) -> set[int]:
    """What connections get, of which there are enough that each worker has some."""
    clients = [httpx.Client(auth=login) for _ in range(12)]
    found = {client.get(origin + MDMINFO).status_code for client in clients}
    for client in clients:
        client.close()
    return found


def test_workers_without_a_place_for_what_they_count_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="none can be made") as caught, together():
        pass
    assert "TMPDIR" in (caught.value.hint or "")


class Dying:
    """A process that ends after the first look at it."""

    pid = exitcode = 0

    def __init__(self) -> None:
        self.looks = iter([True])
        self.sentinel = object()

    def is_alive(self) -> bool:
        return next(self.looks, False)

    def terminate(self) -> None:
        """It has been told."""

    join = terminate


def test_a_worker_that_ends_between_two_looks_keeps_nobody_waiting(
    slow: RunningSimulator[IseSimulator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mdm.toml").write_text(configuration(slow, ""))
    waited: list[list[object]] = []
    monkeypatch.setattr(workers, "wait", lambda objects, _seconds: waited.append(objects))
    process, (line, end) = Dying(), multiprocessing.Pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener, end:
        kept: Any = workers.Workers(None, load_config(tmp_path / "mdm.toml"), 1, listener)
        kept._signals.settimeout(0)
        kept._workers = [workers._Worker(process, line, 0.0)]  # type: ignore[arg-type]
        kept._end()
        kept._signals.close()
        kept._signalled.close()
    assert [process.sentinel in objects for objects in waited] == [True]


def test_workers_serve_the_same_until_all_end(
    served: Serve, slow: RunningSimulator[IseSimulator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")  # any free name, which is none of a file
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + manager.getsockname()[1:].decode())
        process, origin = served(configuration(slow, "workers = 2\nfailed_logins = 100"))
        assert manager.recv(100) == b"READY=1"
    first = children(process)
    assert len(first) == 2
    assert statuses(origin, LOGIN) == {200}

    path = tmp_path / "mdm.toml"
    text = path.read_text()
    path.write_text(text.replace(LOGIN[1], "short"))
    process.send_signal(signal.SIGHUP)
    until(process, "the old one stays")
    assert statuses(origin, LOGIN) == {200}
    # What one worker has from then on is what the others have, also where the file is not usable any longer.
    subprocess.run(["kill", "-KILL", str(first[0])], check=True)
    until(process, "another one takes its place")
    assert statuses(origin, LOGIN) == {200}

    path.write_text(text.replace(LOGIN[1], NEW[1]))
    process.send_signal(signal.SIGHUP)
    until(process, "read anew")
    assert len(children(process)) == 2
    assert statuses(origin, NEW) == {200}
    assert statuses(origin, LOGIN) == {401}

    mac = FLEET[0].mac_addresses[0]
    command = [sys.executable, "-c", ASK, f"{origin}/v1/devices/mac/{mac}?fresh=true"]
    asking = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert asking.stdout
    assert asking.stdout.readline() == b"asking\n"
    process.send_signal(signal.SIGTERM)
    assert asking.communicate()[0] == b"200\n"
    assert process.wait(60) == 0


def test_workers_end_with_who_looks_after_them(served: Serve, slow: RunningSimulator[IseSimulator]) -> None:
    process, _ = served(configuration(slow, ""), "--workers", "2")
    of_workers = children(process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    for pid in of_workers:  # they are no children of ours, so that nobody tells us when they end
        subprocess.run(["tail", "--pid", str(pid), "-f", "/dev/null"], check=True, timeout=60)


def test_what_no_worker_can_use_is_told_at_once(served: Serve, slow: RunningSimulator[IseSimulator]) -> None:
    text = configuration(slow, "").replace('provider = "ise"', 'provider = "nobodys"')
    with pytest.raises(AssertionError, match="nobodys"):
        served(text, "--workers", "2")


def test_workers_of_the_command_line_let_no_more_guesses_pass(
    served: Serve, slow: RunningSimulator[IseSimulator]
) -> None:
    process, origin = served(configuration(slow, "failed_logins = 2"), "--workers", "2")
    wrong = []
    for number in range(16):
        with httpx.Client(auth=(LOGIN[0], f"guess-{number}")) as client:
            wrong.append(client.get(origin + MDMINFO).status_code)
    assert wrong.count(401) <= 2
    assert {*wrong} == {401, 429}
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
