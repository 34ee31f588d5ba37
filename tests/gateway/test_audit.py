"""The audit log: a line for each decision, whoever asks, and whatever happens to the file."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from mdmsdk.errors import ConfigurationError
from mdmsdk.federation import Answer
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.audit import Audit, keyed_hash
from mdmsdk.gateway.journal import Asker, Decided
from mdmsdk.gateway.settings import AuditLog, Override
from mdmsdk.identifiers import Mac, Serial
from mdmsdk.models import Decision
from tests.gateway.conftest import GUID, LOGIN, MAC, device

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gateway.conftest import Faces, Open

SECRET = "a-secret-of-the-hash"
BARE = MAC.replace(":", "")


def settings(**given: Any) -> AuditLog:
    return AuditLog.model_validate({"hash_key": SECRET, **given})


def decided(key: Any = None, name: str = "somebody", override: Override | None = None) -> Decided:
    answer = Answer(key=key or Mac(MAC), device=None, outcomes=())
    return Decided(0.0, Asker("rest", name, "10.0.0.1"), answer, Decision.NO_ANSWER, 0.1, override)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_each_decision_of_both_faces_is_a_line(gateway: Open, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    faces: Faces = gateway({"one": [device()]}, audit={"file": str(path), "hash_key": SECRET})
    faces.rest.get(f"/v1/devices/mac/{MAC}")
    faces.ask(3, "macaddress", BARE)
    first, second = rows(path)
    assert first["key"] == second["key"] == keyed_hash(SECRET, Mac(MAC))
    assert (first["face"], first["name"], second["face"], second["name"]) == (
        "rest",
        "somebody",
        "ise",
        LOGIN[0],
    )
    assert (first["decision"], first["complete"], first["proof"]) == ("compliant", True, ["one"])
    assert first["servers"] == {"one": "found"}
    assert first["age"] >= 0
    assert MAC not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_asks_again_is_told_apart_where_the_answer_is_kept(gateway: Open, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = {"file": str(path), "hash_key": SECRET}
    faces: Faces = gateway({"one": [device()]}, audit=audit, federation={"cache_ttl": 60})
    for _ in range(2):
        faces.rest.get(f"/v1/devices/mac/{MAC}")
        faces.ask(3, "macaddress", BARE)
        faces.rest.get(f"/v1/devices/guid/{GUID}")
    found = rows(path)
    assert [row["face"] for row in found] == ["rest", "ise", "rest"] * 2
    assert [row["kind"] for row in found] == ["mac", "mac", "guid"] * 2
    assert len({row["key"] for row in found}) == 2
    assert [row["age"] for row in found[::3]] == sorted(row["age"] for row in found[::3])
    same = ("key", "kind", "decision", "override", "proof", "servers", "complete")
    assert [found[0][name] for name in same] == [found[3][name] for name in same]
    assert list(found[0]) == list(found[3])


def test_identifiers_stand_there_in_clear_only_where_the_settings_say_so(tmp_path: Path) -> None:
    audit = Audit(AuditLog(file=tmp_path / "log", keys="clear"))
    assert json.loads(audit.line(decided()))["key"] == MAC
    audit.close()
    other = keyed_hash("another-secret", Mac(MAC))
    assert other != keyed_hash(SECRET, Mac(MAC)) == keyed_hash(SECRET, Mac(BARE))
    assert keyed_hash(SECRET, Serial("C02XK0AAJG5H")) == keyed_hash(SECRET, Serial("c02xk0aajg5h"))
    override = Override(
        key=f"mac:{MAC}", decision="deny", until=datetime(2100, 1, 1, tzinfo=UTC), reason="lost", by="noc"
    )
    audit = Audit(settings(file=tmp_path / "log"))
    line = audit.line(decided(override=override))
    audit.close()
    assert MAC.encode() not in line
    assert json.loads(line)["override"]["reason"] == "lost"


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J\x7f\x9b\u2028", '"}\r{"', "\ud800"])
def test_a_hostile_name_ends_no_line(tmp_path: Path, text: str) -> None:
    audit = Audit(AuditLog(file=tmp_path / "log", keys="clear"))
    audit(decided(text, name=text))
    audit.close()
    whole = (tmp_path / "log").read_bytes()
    assert whole.count(b"\n") == 1
    assert all(0x20 <= byte < 0x7F for byte in whole[:-1])
    assert json.loads(whole)["key"] == json.loads(whole)["name"] == text


def full(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("required", [False, True])
def test_a_full_disk_is_told_and_changes_no_answer_unless_lines_are_required(
    gateway: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    required: bool,
) -> None:
    path = tmp_path / "audit.log"
    wanted = {"file": str(path), "hash_key": SECRET, "required": required}
    faces: Faces = gateway({"one": [device()]}, audit=wanted)
    with monkeypatch.context() as patched, caplog.at_level(logging.CRITICAL, "mdmsdk.gateway"):
        patched.setattr("os.write", full)
        answers = [faces.rest.get(f"/v1/devices/mac/{MAC}"), faces.ask(3, "macaddress", BARE)]
    assert [one.status_code for one in answers] == ([503, 503] if required else [200, 200])
    assert b"deviceList" not in answers[1].content or not required
    (told,) = caplog.records  # once for many lines
    assert "AUDIT" in told.message
    assert "No space left" in told.message
    faces.rest.get(f"/v1/devices/mac/{MAC}")
    assert len(rows(path)) == 1  # it goes on once there is room again


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit, real = Audit(settings(file=tmp_path / "log")), os.write
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda at, line: real(at, line[:10]))
        audit(decided())
    assert audit.lost == 1
    audit(decided())
    audit.close()
    torn, whole = (tmp_path / "log").read_bytes().splitlines()
    assert len(torn) == 10
    assert json.loads(whole)


def test_what_is_no_file_of_ours_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for wrong in ("link", "pipe", "no/log", "."):
        with pytest.raises(ConfigurationError, match="audit log cannot be written"):
            Audit(settings(file=tmp_path / wrong))
    (tmp_path / "log").touch(0o644)
    Audit(settings(file=tmp_path / "log")).close()
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_the_output_and_the_syslog_get_the_same_line(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = str(tmp_path / "syslog")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        audit = Audit(settings(stdout=True, syslog=path))
        audit(decided())
        got = listening.recv(10_000)
    line = audit.line(decided()) + b"\n"
    assert capfdbinary.readouterr().out == line
    assert got.startswith(b"<86>mdmsdk-gateway: ")  # authpriv, info
    assert line.strip() in got
    audit(decided())
    audit.close()
    assert audit.lost == 1  # nobody listens any more


@pytest.mark.parametrize(
    "wrong", [{"hash_key": SECRET}, {"stdout": True}, {"stdout": True, "keys": "clear", "hash_key": SECRET}]
)
def test_settings_that_do_not_go_together(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AuditLog.model_validate(wrong)


def test_a_refusal_of_the_audit_log_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit(settings(file=tmp_path / "log", required=True))
    monkeypatch.setattr("os.write", full)
    with pytest.raises(Refusal) as refused:
        audit(decided())
    assert refused.value.status == 503
    audit.close()
