"""What a person sees: data, errors and the bar on one terminal."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from mdmsdk.simulator import IseSimulator, RunningSimulator
    from tests.cli.conftest import Configure, Spawn

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX terminals")
BAR = re.compile(r"(\d+)/\d+ keys  \[#*\.*\]  \d+:\d\d")


def write_keys(folder: Path, count: int) -> Path:
    path = folder / "keys.csv"
    path.write_text("MAC\n" + "".join(f"00:00:5E:00:{at // 256:02X}:{at % 256:02X}\n" for at in range(count)))
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write_keys(tmp_path, 12)


def test_300_keys_over_13_servers_with_a_bar_that_moves_and_touches_nothing(
    spawn: Spawn,
    configure: Configure,
    ise: RunningSimulator[IseSimulator],
    dead: dict[str, Any],
    tmp_path: Path,
) -> None:
    keys = write_keys(tmp_path, 300)
    slow = {**ise.settings, "limits": {"rate": 250.0, "burst": 1}}
    config = configure(main=slow, **{f"gone-{number}": dead for number in range(12)})
    terminal = Terminal(spawn, "lookup", "--config", config, "--input", keys, "--format", "ndjson")
    assert terminal.end() == 3
    bars = [BAR.fullmatch(text) for text in terminal.bars]
    assert all(bars), list(terminal.bars)
    counts = [int(bar[1]) for bar in bars if bar]
    assert counts == sorted(counts)
    assert len(set(counts)) > 5, counts
    data = [line for line in terminal.screen.splitlines() if line.startswith("{")]
    assert [json.loads(line)["key"] for line in data] == [
        line.strip() for line in keys.read_text().splitlines()[1:]
    ]
    others = [line for line in terminal.screen.splitlines() if not line.startswith("{")]
    assert all(line.startswith(("error: ", "hint: ")) for line in others)
    assert {line.split(":")[1] for line in others if "gone-" in line} == {f" gone-{at}" for at in range(12)}


@pytest.mark.parametrize(("option", "term"), [("--no-progress", "xterm"), ("-q", "xterm"), ("-v", "dumb")])
def test_no_bar_where_none_is_wanted(spawn: Spawn, config: Path, keys: Path, option: str, term: str) -> None:
    env = {**os.environ, "TERM": term}
    terminal = Terminal(spawn, "lookup", "--config", config, "--input", keys, option, env=env)
    assert terminal.end() == 1
    assert "\r" not in terminal.written
    assert ("mdmsdk.http: main: GET http" in terminal.screen) is (option == "-v")


def test_a_document_that_goes_on_in_its_line_has_no_bar_in_it(spawn: Spawn, config: Path, keys: Path) -> None:
    terminal = Terminal(spawn, "lookup", "--config", config, "--input", keys, "--format", "json")
    assert terminal.end() == 1
    assert all(BAR.fullmatch(text) for text in terminal.bars)
    assert len(json.loads(terminal.screen)) == 12


def test_a_pipe_keeps_the_bar_away_and_a_file_does_not(
    spawn: Spawn, config: Path, keys: Path, tmp_path: Path
) -> None:
    """Whoever reads the pipe may write to the same terminal."""
    read, write = os.pipe()
    terminal = Terminal(spawn, "lookup", "--config", config, "--input", keys, stdout=write)
    os.close(write)
    with os.fdopen(read) as lines:
        assert sum(1 for _ in lines) == 12
    assert (terminal.end(), terminal.written) == (1, "")
    with (tmp_path / "out").open("wb") as file:
        terminal = Terminal(spawn, "lookup", "--config", config, "--input", keys, stdout=file)
        assert terminal.end() == 1
    assert BAR.fullmatch(next(terminal.bars))
