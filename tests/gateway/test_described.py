"""Schemathesis asks the gateway all that its description says, and more. `nox -s described` has it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mdmsdk.testing import FakeAsyncMdmFederation
from tests.gateway.conftest import KEY, device, serving

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("schemathesis", reason="only `nox -s described` has it")

# A text may be of the right length and yet no identifier, and a name may be of no server.
_BEYOND = "positive_data_acceptance"


@pytest.mark.timeout(600)
def test_the_gateway_is_as_it_is_described(tmp_path: Path) -> None:
    # The size of a body is no part of its description.
    settings = {"rate": 1e6, "failed_logins": 1_000_000, "ise": None, "max_body": 100_000_000}
    known = [device(name="x" * 50), device("noncompliant", id="2")]
    with serving(lambda: FakeAsyncMdmFederation({"one": known}), settings) as origin:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{origin}/openapi.json"]
        command += ["--header", f"Authorization: Bearer {KEY}", "--checks", "all", "--no-color"]
        command += ["--exclude-checks", _BEYOND, "--seed", "1"]
        command += ["--max-examples", os.environ.get("MDM_EXAMPLES", "100")]
        done = subprocess.run(
            command,
            cwd=tmp_path,  # it keeps a folder of what it found
            capture_output=True,
            text=True,
            timeout=570,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "APITestingError" not in done.stdout
