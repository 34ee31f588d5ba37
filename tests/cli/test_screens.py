"""What each command shows on a terminal of 60, 80 and 120 columns, kept as text beside this file.

``MDM_SCREENS=new python -m pytest tests/cli/test_screens.py`` makes them anew.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from mdmsdk.cli import plugins, simulated
from mdmsdk.doctor import diagnose
from mdmsdk.federation import rows as json_rows
from mdmsdk.registry import PluginInfo, installed
from mdmsdk.simulator import Fault, Fleet, IseSimulator, serve
from tests.cli.conftest import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.doctor import Finding
    from tests.cli.conftest import Configure, Run

SCREENS = Path(__file__).parent / "screens"
WIDTHS = (60, 80, 120)
DEMO_PLUGINS = (
    PluginInfo("ise", "mdmsdk", "1.0", "mdmsdk.ise:IseProvider"),
    PluginInfo("jamf", "mdmsdk-jamf", "1.0", "mdmsdk_jamf:JamfProvider"),
)
SIMULATED = ["simulate", "ise", "--duration", "0", "--size", "12"]
HELP = ["", "init", "doctor", "heartbeat", "lookup", "noncompliant", "providers", "simulate", "demo"]


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, dict[str, Any]]]:
    """One that is well, one that fails, and one that is not there."""
    fleet = Fleet.generate(size=40, seed=3)
    with ExitStack() as stack:
        well, sick = (stack.enter_context(serve(IseSimulator(fleet, password=PASSWORD))) for _ in range(2))
        sick.simulator.faults.add(Fault("status", status=500))
        with serve(IseSimulator(fleet, password=PASSWORD)) as gone:
            settings = gone.settings
        yield {"headquarters": well.settings, "branch": sick.settings, "gone": settings}


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times and ports always look the same, before anything is laid out."""
    monkeypatch.setattr(json_rows, "_ms", lambda _elapsed: 12.3)

    def still_diagnose(*args: Any, **options: Any) -> Iterator[Finding]:
        for one in diagnose(*args, **options):
            yield replace(one, detail=steady(one.detail), remedy=one.remedy and steady(one.remedy))

    monkeypatch.setattr("mdmsdk.cli.doctor.diagnose", still_diagnose)
    monkeypatch.setattr(plugins, "installed", lambda: DEMO_PLUGINS)
    monkeypatch.setattr(
        simulated, "installed", lambda group: [one for one in installed(group) if one.name == "ise"]
    )


def steady(text: str) -> str:
    text = re.sub(r"after \d+ ms", "after 9 ms", text)
    return re.sub(r"(127\.0\.0\.1:|port )\d{5}", r"\g<1>50000", text)


def commands(fleet: Fleet) -> dict[str, list[str]]:
    keys = [sample.key for sample in simulated.samples(fleet, [IseSimulator(fleet)])]
    return {
        "doctor": ["doctor"],
        "heartbeat": ["heartbeat"],
        "lookup": ["lookup", *keys, "--server", "headquarters"],
        "lookup-incomplete": ["lookup", *keys[:3]],
        "noncompliant": ["noncompliant", "--server", "headquarters"],
        "noncompliant-incomplete": ["noncompliant", "--server", "gone"],
        "providers": ["providers"],
        "providers-details": ["providers", "--details"],
        "simulate": SIMULATED,
        "demo": ["demo"],
        "config-trust": ["config", "trust"],
    }


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("columns", WIDTHS)
def test_screens(
    mdm: Run,
    configure: Configure,
    servers: dict[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    config = configure(**servers)
    monkeypatch.setenv("MDMSDK_CONFIG", str(config))
    monkeypatch.setenv("XDG_DATA_HOME", str(config.parent))
    screens = {name: ["--help"] if not name else [name, "--help"] for name in HELP}
    screens |= {"config trust": ["config", "trust", "--help"]}
    screens |= {f"directory {one}": ["directory", one, "--help"] for one in ("build", "status", "export")}
    screens = {f"{name or 'mdm'}-help".replace(" ", "-"): words for name, words in screens.items()}
    screens |= commands(Fleet.generate(size=40, seed=3))
    monkeypatch.setenv("MDM_PASSWORD", PASSWORD)
    well = servers["headquarters"]
    given = [f"--set={name}={well[name]}" for name in ("base_url", "username")]
    new = str(config.parent / "new.toml")
    screens["init"] = ["init", "main", "--provider", "ise", *given, "--secret", "password=env:MDM_PASSWORD"]
    screens["init"] += ["--config", new]
    monkeypatch.setenv("COLUMNS", str(columns))
    for name, words in screens.items():
        shaped = [] if "--help" in words else ["--format", "table"]
        result = mdm(*words, *shaped)
        title, shown, errors = (
            steady(text.replace(str(config.parent), "/home/me"))
            for text in ("$ mdm " + " ".join(words), result.out, result.err)
        )
        if name not in {"simulate", "config-trust"}:  # what they print is a file, and a path
            assert max(map(cell_len, shown.splitlines()), default=0) <= columns, shown
        text = f"{title}\n{shown}" + (f"--- stderr\n{errors}" if errors else "") + f"--- {result.code}\n"
        compare(SCREENS / f"{name}-{columns}.txt", text)


def compare(path: Path, text: str) -> None:
    if os.environ.get("MDM_SCREENS") == "new":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name}: see the docstring of this file"
