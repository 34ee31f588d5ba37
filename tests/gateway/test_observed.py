"""What `mdm serve` writes for those who look after it: log, audit log and metrics."""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk.gateway.logs import write_json
from mdmsdk.identifiers import Mac
from tests.gateway.conftest import FLEET, KEY, LOGIN, Serve, configuration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdmsdk.simulator import IseSimulator, RunningSimulator

MAC = Mac(FLEET[0].mac_addresses[0])
SETTINGS = """workers = 2
log = "json"
metrics = "loopback"
audit = { file = "AUDIT", keys = "clear" }
"""
MDMINFO = "/ciscoise/mdminfo/?ise_api_version=3"


def told(process: Any, word: str) -> list[dict[str, Any]]:
    """The lines of the log up to one with a word."""
    found: list[dict[str, Any]] = []
    for line in process.stderr:
        found.append(json.loads(line))
        if word in found[-1]["message"]:
            return found
    raise AssertionError(found)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no workers")
def test_workers_write_one_log_one_audit_log_and_one_page_of_metrics(
    served: Serve, slow: RunningSimulator[IseSimulator], tmp_path: Path
) -> None:
    audit, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    process, said = served(configuration(slow, SETTINGS.replace("AUDIT", str(audit))))
    origin = said.rstrip('"}')
    headers = {"Authorization": f"Bearer {KEY}"}
    for _ in range(8):  # on a connection each, of which each worker takes some
        assert httpx.get(origin + MDMINFO, auth=LOGIN).status_code == 200
    httpx.get(f"{origin}/v1/devices/mac/{MAC}", headers=headers, timeout=60).raise_for_status()
    counts = {read(httpx.get(f"{origin}/metrics").text) for _ in range(8)}
    assert counts == {8}  # whichever worker is asked

    audit.rename(moved)
    process.send_signal(signal.SIGHUP)
    lines = told(process, "read anew")
    (line,) = moved.read_text().splitlines()
    assert json.loads(line)["key"] == str(MAC)
    while not audit.read_text():  # a worker may still be told
        httpx.post(f"{origin}/v1/lookup", headers=headers, json={"keys": ["no key"]}).raise_for_status()
    assert json.loads(audit.read_text().splitlines()[0])["key"] == "no key"

    answers = [one for one in lines if one["logger"] == "mdmsdk.gateway.access"]
    assert {(one["face"], one["status"], one["client"]) for one in answers} == {
        ("ise", 200, "127.0.0.1"),
        ("rest", 200, "127.0.0.1"),
        ("other", 200, "127.0.0.1"),
    }
    assert all(one["elapsed_ms"] >= 0 for one in answers)
    assert str(MAC) not in str(lines)
    process.send_signal(signal.SIGTERM)
    assert told(process, "come to its end")


def read(text: str) -> int:
    """How many answers the ISE face gave."""
    found = re.search(r'^mdm_gateway_responses_total\{face="ise",status="200"\} (\S+)', text, re.MULTILINE)
    return int(float(found[1])) if found else 0


@pytest.fixture
def json_log() -> Iterator[None]:
    """Logs as `mdm serve` does, for a while."""
    names = ("", "mdmsdk", "mdmsdk.gateway.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one, list(one.handlers), one.level) for one in loggers]
    write_json()
    yield
    for one, handlers, level in before:
        one.handlers[:] = handlers
        one.setLevel(level)


@pytest.mark.usefixtures("json_log")
def test_a_line_of_the_log_holds_no_trace_and_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("mdmsdk.gateway")
    try:
        json.loads("a secret in a trace")
    except ValueError:
        log.exception("a name\nwith \x7f\x1b[2J in it")
    (handler,) = [
        one for one in logging.getLogger().handlers if type(one).__module__ == write_json.__module__
    ]
    handler.handle(log.makeRecord("mdmsdk", logging.ERROR, "", 0, "%d is wrong", ("this",), None))
    logging.getLogger("uvicorn.error").warning("of another library")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["message"] for line in lines] == [
        "a name\nwith \x7f\x1b[2J in it",
        "%d is wrong",
        "of another library",
    ]
    assert json.loads(lines[0])["error"] == "JSONDecodeError"
    assert "secret" not in "".join(lines)
    assert all(0x20 <= ord(letter) < 0x7F for line in lines for letter in line)
