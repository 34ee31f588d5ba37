"""A new plugin is green as it stands: its suite, its style, its types, its wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.cli import main
from mdmsdk.errors import ConfigurationError
from mdmsdk.testing.scaffold import Plan, record_cassettes, visible, write

if TYPE_CHECKING:
    from pathlib import Path

# Every login and every paging once. `nox -s scaffolds` runs them whole, each test run the first in part.
COMBINATIONS: list[dict[str, Any]] = [
    {"login": "client-credentials", "paging": "token", "keys": ("mac", "serial")},
    {"login": "basic", "paging": "position", "keys": ("mac", "serial", "imei", "udid")},
    {"login": "api-key", "paging": "number", "keys": ("serial", "id"), "licence": "MIT"},
    {"login": "password", "paging": "link", "keys": ("guid", "hostname", "username")},
    {"login": "refresh-token", "paging": "position", "keys": ("udid", "meid", "mac")},
]
ALL = "MDMSDK_ALL_SCAFFOLDS" in os.environ


def run(project: Path, *words: str) -> str:
    with visible(project) as environment:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=project,
            env={**environment, "PYTEST_ADDOPTS": ""},
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(
    params=range(len(COMBINATIONS)), ids=[f"{one['login']}-{one['paging']}" for one in COMBINATIONS]
)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Plan]:
    """A project of each combination."""
    plan = Plan(name="new-vendor", vendor="New Vendor", **COMBINATIONS[request.param])
    return write(plan, tmp_path), plan


@pytest.mark.timeout(300)
@pytest.mark.parametrize("made", range(len(COMBINATIONS) if ALL else 1), indirect=True)
def test_a_new_plugin_is_green(made: tuple[Path, Plan]) -> None:
    project, plan = made
    record_cassettes(project, plan.name)
    cassettes = sorted(path.name for path in (project / "cassettes" / plan.name).iterdir())
    assert {"heartbeat.yaml", "noncompliant.yaml", "devices.yaml", "operations.json"} <= set(cassettes)
    # What the suite does with faults takes long, and does not depend on what is made here.
    part = () if ALL else ("-k", "not fault and not damaged and not list_is_complete")
    assert "passed" in run(project, "pytest", "-q", "-p", "no:cacheprovider", *part)


@pytest.mark.timeout(120)
def test_its_style_is_clean(made: tuple[Path, Plan]) -> None:
    project, plan = made
    pytest.importorskip("ruff", reason="a tool of the group lint")
    run(project, "ruff", "check", "--no-cache")
    run(project, "ruff", "format", "--check", "--no-cache")
    if ALL:
        pytest.importorskip("mypy", reason="a tool of the group types")
        assert "Success" in run(project, "mypy", plan.package, "tests")


def test_its_wheel_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("build", reason="a tool of the group package")
    pytest.importorskip("hatchling", reason="a tool of the group package")
    import zipfile

    project = write(Plan(name="acme", vendor="Acme"), tmp_path)
    run(project, "build", "--no-isolation", "--wheel")
    (wheel,) = (project / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        points = archive.read("mdmsdk_acme-0.1.0.dist-info/entry_points.txt").decode()
    assert names >= {"mdmsdk_acme/py.typed", "mdmsdk_acme/simulator/server.py", "mdmsdk_acme/provider.py"}
    assert "mdmsdk_acme-0.1.0.dist-info/licenses/LICENSE" in names
    assert "acme = mdmsdk_acme.provider:AcmeProvider" in points
    assert "acme = mdmsdk_acme.simulator:AcmeSimulator" in points


def test_the_command_takes_defaults_where_nobody_can_be_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["plugin", "new", "acme", "--folder", str(tmp_path), "--key", "serial", "--format", "json"]) == 0
    )
    shown = capsys.readouterr()
    assert '"distribution": "mdmsdk-acme"' in shown.out
    assert "mdm plugin check" in shown.err
    assert '"Acme"' in (tmp_path / "mdmsdk-acme" / "mdmsdk_acme" / "provider.py").read_text(encoding="utf-8")
    assert main(["plugin", "new", "acme", "--folder", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["Acme"],
        ["a", "--login", "magic"],
        ["a", "--paging", "x"],
        ["a", "--key", "x"],
        ["a", "--vendor", "a\nb"],
    ],
)
def test_what_is_no_plan_is_refused(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugin", "new", *words, "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_it_asks_until_it_understands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from mdmsdk.cli import plugin_new

    answers = iter(["Acme Corp", "magic", "basic", "token", "mac, nonsense", "mac, imei", "MIT"])
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: next(answers))
    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda _: True})())
    monkeypatch.setattr(plugin_new, "record_cassettes", lambda *_: None)
    assert main(["plugin", "new", "acme", "--folder", str(tmp_path)]) == 0
    text = (tmp_path / "mdmsdk-acme" / "mdmsdk_acme" / "provider.py").read_text(encoding="utf-8")
    assert "Acme Corp" in text
    assert 'Imei: "imei"' in text
    assert "MIT" in (tmp_path / "mdmsdk-acme" / "LICENSE").read_text(encoding="utf-8")


def test_no_key_is_no_plan() -> None:
    with pytest.raises(ConfigurationError):
        Plan(name="acme", vendor="Acme", keys=())
