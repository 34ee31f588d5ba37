"""What an application does wrong is told by its type checker: every marked line of `misuses.py`, by both."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISUSES = HERE / "misuses.py"
WRONG = {
    number: mark[1]
    for number, line in enumerate(MISUSES.read_text(encoding="utf-8").splitlines(), 1)
    if (mark := re.search(r"# wrong: (.+)$", line))
}
NEEDED = 18


def test_there_are_enough() -> None:
    assert len(WRONG) >= NEEDED


@pytest.mark.timeout(180)  # without a cache it reads everything that mdmsdk stands on
def test_mypy_tells_them(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is in the group types")
    # As an application has it: strict, and without the plugin of pydantic.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", str(MISUSES)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = {int(line) for line in re.findall(r"misuses\.py:(\d+): error:", done.stdout)}
    assert told == WRONG.keys(), done.stdout + done.stderr


@pytest.mark.timeout(180)
def test_pyright_tells_them(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is in the group types")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"include": [str(MISUSES)]}))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(MISUSES)],
        cwd=tmp_path,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    told = {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}
    assert told == WRONG.keys(), done.stdout
