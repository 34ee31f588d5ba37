"""`mdm doctor`: its rows and exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.doctor import STEPS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Configure, Run


def test_all_is_well(mdm: Run, config: Path) -> None:
    result = mdm("doctor", "--config", config)
    assert result.code == 0, result
    assert [line["step"] for line in result.lines] == list(STEPS)
    assert all(set(line) == {"server", "step", "ok", "detail", "remedy"} for line in result.lines)
    assert result.err == ""


def test_a_server_that_is_not_there(mdm: Run, configure: Configure, dead: dict[str, Any]) -> None:
    result = mdm("doctor", "--config", configure(main=dead), "--format", "table")
    assert result.code == 3, result
    lines = result.out.splitlines()
    [failed] = [line for line in lines if line.startswith("main    tcp")]
    assert failed.split()[2] == "no"
    assert "Remedy: Check that 127.0.0.1 listens on port" in failed
    assert "main    tls         -    not tried" in lines


def test_settings_that_are_wrong_end_with_2_and_nothing_hides_the_others(
    mdm: Run, configure: Configure, dead: dict[str, Any], password: str
) -> None:
    path = configure(sick={**dead, "usrname": "x"}, dead=dead)
    result = mdm("doctor", "--config", path)
    assert result.code == 2, result
    assert [line["server"] for line in result.lines] == ["sick"] * len(STEPS) + ["dead"] * len(STEPS)
    assert password not in result.out + result.err


def test_redacted(mdm: Run, configure: Configure, dead: dict[str, Any]) -> None:
    result = mdm("doctor", "main", "--redacted", "--config", configure(main=dead, other=dead))
    assert result.code == 3, result
    assert {line["server"] for line in result.lines} == {"main"}
    assert "127.0.0.1" not in result.out
    assert "host-1 refused" in result.out


def test_a_server_that_nobody_configured(mdm: Run, config: Path) -> None:
    result = mdm("doctor", "nobody", "--config", config)
    assert (result.code, result.out) == (2, "")
    assert "has no server nobody" in result.err


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_keeps_to_the_width(
    mdm: Run, configure: Configure, dead: dict[str, Any], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = mdm("doctor", "--config", configure(main=dead), "--format", "table")
    assert max(map(len, result.out.splitlines())) <= columns, result.out
