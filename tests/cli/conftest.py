from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.cli import main
from mdmsdk.simulator import Fleet, IseSimulator, RunningSimulator, serve

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "hunter2-Tr0ub4dor"
MDM = (sys.executable, "-c", "import sys; from mdmsdk.cli import main; sys.exit(main())")
# Patient for five seconds and without a second try, so that no test waits.
POLICY = {"timeout": 5.0, "deadline": 5.0, "attempts": 1}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]
Start = Callable[..., RunningSimulator[IseSimulator]]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
Configure = Callable[..., "Path"]


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet.generate(size=60)


@pytest.fixture
def password() -> str:
    return PASSWORD


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers of some fleet, with some habits."""
    with ExitStack() as stack:

        def start_one(fleet: Fleet, **habits: object) -> RunningSimulator[IseSimulator]:
            return stack.enter_context(serve(IseSimulator(fleet, **{"password": PASSWORD, **habits})))

        yield start_one


@pytest.fixture
def ise(start: Start, fleet: Fleet) -> RunningSimulator[IseSimulator]:
    return start(fleet)


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Write an `mdm.toml` for servers given by name, as settings or as a running simulator."""

    def write(**servers: RunningSimulator[IseSimulator] | Mapping[str, Any]) -> Path:
        lines = []
        for name, server in servers.items():
            settings = server.settings if isinstance(server, RunningSimulator) else server
            lines += [f"[servers.{name}]"]
            lines += [f"{key} = {_toml(value)}" for key, value in {"policy": POLICY, **settings}.items()]
        path = tmp_path / "mdm.toml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.chmod(0o600)
        return path

    return write


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{name} = {_toml(inner)}' for name, inner in value.items())} }}"
    return json.dumps(value)


@pytest.fixture
def config(configure: Configure, ise: RunningSimulator[IseSimulator]) -> Path:
    return configure(main=ise)


@pytest.fixture
def dead() -> dict[str, Any]:
    """Settings of a server at a port where nobody listens."""
    with serve(IseSimulator(Fleet.generate(size=1), password=PASSWORD)) as gone:
        return gone.settings


@pytest.fixture
def mdm(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process."""
    for name in ("MDMSDK_CONFIG", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Result(code, out, err)

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a plain terminal."""
    special = {"COLUMNS", "NO_COLOR", "FORCE_COLOR", "MDMSDK_CONFIG"}
    return {name: value for name, value in os.environ.items() if name not in special} | {"TERM": "xterm"}


@pytest.fixture
def spawn(environment: dict[str, str]) -> Iterator[Spawn]:
    """Start a command as a process of its own, which ends with the test."""
    with ExitStack() as stack:

        def start_one(*args: object, **options: Any) -> subprocess.Popen[bytes]:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            options = {"env": environment, **pipes, **options}
            process: subprocess.Popen[bytes] = subprocess.Popen([*MDM, *map(str, args)], **options)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start_one
