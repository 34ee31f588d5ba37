"""What only a process of its own shows: pipes, signals, terminals, and the simulated servers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from mdmsdk.cli import simulated
from mdmsdk.registry import installed
from mdmsdk.simulator import Fault, Fleet, IseSimulator, RunningSimulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Configure, Run, Spawn, Start

    Ise = RunningSimulator[IseSimulator]

PATIENT = {"timeout": 100, "deadline": 100, "list_patience": 100, "attempts": 1}
"""For requests that nobody waits for."""

posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")


def is_later_page(request: Any) -> bool:
    return "querycriteria=compliance" in request.target and "paging=0" not in request.target


@pytest.fixture
def stuck(start: Start, fleet: Fleet, configure: Configure) -> Path:
    """The configuration of a server that gives one page and then hangs."""
    running = start(fleet, page_size=5)
    running.simulator.faults.add(Fault("hang", match=is_later_page))
    patient = {**running.settings, "policy": PATIENT}
    return configure(main=patient, other=patient)


def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """How the process ended, and what it said."""
    _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err
    return process.returncode, err.decode()


@posix
@pytest.mark.parametrize("chosen", ["ndjson", "json"])
def test_rows_come_before_the_list_ends_and_ctrl_c_ends_it(spawn: Spawn, stuck: Path, chosen: str) -> None:
    process = spawn("noncompliant", "--config", stuck, "--format", chosen)
    assert process.stdout
    first = [process.stdout.readline() for _ in range(3)]
    assert all(first)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert end(process) == (130, "")
    assert time.monotonic() - began < 60


@posix
def test_ctrl_c_does_not_wait_for_requests_in_other_threads(
    spawn: Spawn, start: Start, fleet: Fleet, configure: Configure
) -> None:
    running = start(fleet)
    running.simulator.faults.add(Fault("hang", match="querycriteria=guid"))
    patient = {**running.settings, "policy": PATIENT}
    process = spawn("lookup", "guid:a", "guid:b", "guid:c", "--config", configure(one=patient, two=patient))
    while sum("querycriteria=guid" in request.target for request in running.simulator.requests) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    assert end(process)[0] == 130
    assert time.monotonic() - began < 60


# Its handler in Python runs when the main thread gets to it: not at all, while it waits for a lock and the
# signal has woken another thread.
BLOCKED = """
import signal, sys, threading, time
from mdmsdk.cli.report import guarded

def press():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    threading.Event().wait()

def run():
    threading.Thread(target=press, daemon=True).start()
    lock = threading.Lock()
    with lock:
        lock.acquire()

sys.exit(guarded(run))
"""


@posix
def test_ctrl_c_ends_a_program_whose_main_thread_does_not_notice(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKED], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        try:
            assert end(process)[0] == 130
        finally:
            process.kill()


@posix
@pytest.mark.parametrize("chosen", ["ndjson", "table"])
def test_a_reader_that_goes_ends_the_list_quietly(spawn: Spawn, config: Path, chosen: str) -> None:
    read, write = os.pipe()
    os.close(read)
    process = spawn("noncompliant", "--config", config, "--format", chosen, stdout=write)
    os.close(write)
    assert end(process) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 - at import
def test_a_full_disk_is_told(spawn: Spawn, config: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        code, err = end(spawn("noncompliant", "--config", config, stdout=full))
    assert code == 74
    assert "cannot be written" in err


def test_keys_are_answered_while_stdin_is_still_open(spawn: Spawn, config: Path) -> None:
    process = spawn("lookup", "--input", "-", "--config", config, stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"".join(b"00:00:5E:00:53:%02X\n" % number for number in range(64)))
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["key"] == "00:00:5E:00:53:00"
    assert process.poll() is None
    assert end(process)[0] == 1


@posix
def test_a_terminal_gets_a_table_and_a_bar(spawn: Spawn, config: Path) -> None:
    out, err = terminal(spawn, "noncompliant", "--config", config)
    assert "DEVICE" in out
    assert "noncompliant" in out
    assert err.startswith("\r\x1b[K0 devices  0:00")
    assert err.endswith("\r\x1b[K"), "it erases itself"


@posix
def test_no_colour_where_it_is_not_wanted(spawn: Spawn, config: Path, environment: dict[str, str]) -> None:
    out, _ = terminal(spawn, "noncompliant", "--config", config)
    assert "\x1b[31mnoncompliant" in out
    out, _ = terminal(spawn, "noncompliant", "--config", config, env=environment | {"NO_COLOR": "1"})
    assert "\x1b" not in out


def terminal(spawn: Spawn, *args: object, **options: Any) -> tuple[str, str]:
    """What a command writes to two terminals of its own."""
    ours, theirs = zip(os.openpty(), os.openpty(), strict=True)
    process = spawn(*args, stdout=theirs[0], stderr=theirs[1], **options)
    for descriptor in theirs:
        os.close(descriptor)
    texts = tuple(drain(descriptor) for descriptor in ours)
    assert process.wait(60) == 0
    return texts[0], texts[1]


def drain(descriptor: int) -> str:
    data = b""
    with contextlib.suppress(OSError):  # EIO: the other side has gone
        while chunk := os.read(descriptor, 65536):
            data += chunk
    os.close(descriptor)
    return data.decode()


# --- simulated servers


def simulate(spawn: Spawn, *args: object) -> tuple[subprocess.Popen[bytes], str]:
    """A running `mdm simulate`, and what it has written."""
    process = spawn("simulate", *args, stderr=subprocess.PIPE)
    assert process.stdout
    text = b""
    while b"password" not in text:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        text += line
    return process, text.decode()


@posix
def test_simulated_servers_serve_until_they_are_stopped(spawn: Spawn, mdm: Run, tmp_path: Path) -> None:
    config = tmp_path / "sim.toml"
    process, text = simulate(spawn, "ise", "--size", 40, "--seed", 7, "--write", config)
    assert tomllib.loads(text)["servers"]["ise"]["provider"] == "ise"
    assert config.read_text() == text
    assert stat.S_IMODE(config.stat().st_mode) == 0o600

    keys = dict(line[1:].strip().split(maxsplit=1) for line in text.splitlines() if line.startswith("#   "))
    assert mdm("heartbeat", "--config", config).code == 0
    answers = {what: mdm("lookup", key, "--config", config) for key, what in keys.items()}
    assert answers["unknown"].code == 1
    assert {what for what, answer in answers.items() if answer.code == 0} == {
        what for what in answers if not what.startswith("unknown")
    }
    assert answers["noncompliant"].lines[0]["compliance"] == "noncompliant"
    assert mdm("noncompliant", "--config", config).lines

    process.send_signal(signal.SIGTERM)
    code, err = end(process)
    assert code == 0
    assert "mdm heartbeat --config" in err


def test_the_same_seed_gives_the_same_fleet(mdm: Run) -> None:
    def comments(*args: object) -> list[str]:
        text = mdm("simulate", "ise", *args, "--size", 30, "--duration", 0).out
        return [line for line in text.splitlines() if line.startswith("#")]

    assert comments("--seed", 3) == comments("--seed", 3) != comments("--seed", 4)


def test_a_duration_ends_it(mdm: Run) -> None:
    for chosen in ("json", "ndjson", "csv"):
        result = mdm("simulate", "ise", "--duration", 0, "--size", 12, "--format", chosen)
        assert result.code == 0
        assert "http://127.0.0.1:" in result.out
    (row,) = mdm("simulate", "ise", "--duration", 0, "--size", 12, "--format", "ndjson").lines
    assert list(row) == ["server", "provider", "base_url", "devices"]


def test_a_small_fleet_has_fewer_samples(mdm: Run) -> None:
    assert "unknown" in mdm("simulate", "ise", "--duration", 0, "--size", 0).out


def test_a_port_that_is_taken(mdm: Run, ise: Ise) -> None:
    result = mdm("simulate", "ise", "--port", ise.port, "--duration", 0)
    assert (result.code, result.out) == (2, "")
    assert f"cannot listen on port {ise.port}" in result.err


def test_a_configuration_of_the_users_own_is_not_overwritten(mdm: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mdm.toml"
    mine.write_text("[servers.real]\n")
    result = mdm("simulate", "ise", "--duration", 0, "--write", mine)
    assert result.code == 2
    assert mine.read_text() == "[servers.real]\n"
    mine.unlink()
    for _ in range(2):  # its own it may
        assert mdm("simulate", "ise", "--duration", 0, "--write", mine).code == 0


def test_a_place_that_cannot_be_written(mdm: Run, tmp_path: Path) -> None:
    result = mdm("simulate", "ise", "--duration", 0, "--write", tmp_path / "none" / "mdm.toml")
    assert result.code == 2
    assert "cannot be written" in result.err


def test_demo_shows_the_commands(mdm: Run) -> None:
    result = mdm("demo")
    assert result.code == 0
    headings = [line for line in result.out.splitlines() if line.startswith("$ mdm ")]
    assert [line.split()[2] for line in headings] == ["heartbeat", "lookup", "noncompliant"]
    for word in ("compliant", "noncompliant", "not found", "Simulated MDM", "(10 of "):
        assert word in result.out
    assert "error" not in result.err


def test_demo_in_data_formats_keeps_its_headings_apart(mdm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_ise(group: str) -> list[Any]:
        return [plugin for plugin in installed(group) if plugin.name == "ise"]

    monkeypatch.setattr(simulated, "installed", only_ise)  # the other vendors look the same in each format
    result = mdm("demo", "--format", "ndjson")
    assert result.code == 0
    assert {"ok", "found", "guid"} <= {name for row in result.lines for name in row}
    assert "$ mdm lookup" in result.err
    for chosen in ("json", "csv"):
        assert mdm("demo", "--format", chosen).code == 0


def test_a_certificate_is_registered_where_there_are_such_logins(mdm: Run, tmp_path: Path) -> None:
    file, wrong = tmp_path / "app.pem", tmp_path / "wrong.pem"
    file.write_bytes(trustme.CA().cert_pem.bytes())
    wrong.write_text("-----BEGIN NOTHING-----")
    done = mdm("simulate", "ise", "intune", "--duration", 0, "--size", 5, "--certificate", file)
    assert done.code == 0
    assert "may log in to: intune" in done.err
    alone = mdm("simulate", "ise", "--duration", 0, "--certificate", file)
    assert (alone.code, "lets anybody log in with a certificate" in alone.err) == (2, True)
    for bad in (wrong, tmp_path / "none.pem"):
        refused = mdm("simulate", "intune", "--duration", 0, "--certificate", bad)
        assert (refused.code, "cannot be read as a certificate" in refused.err) == (2, True)
