"""Runs the contract suite over a sample plugin that one bug was planted into."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from mdmsdk import registry
from mdmsdk.testing import fuzz
from mdmsdk.testing.contract import base
from mdmsdk.testing.record import from_simulator

SAMPLES = Path(__file__).parent / "samples"
_OPTIONS = ("-q", "--import-mode=importlib", "-c", "pytest.ini", "--tb=line", "--show-capture=no")
_PATIENT = {"timeout": 30.0, "deadline": 60.0, "list_patience": 60.0}
_WITHOUT = ("cacheprovider", "xdist", "hypothesispytest", "timeout", "anyio", "randomly")


@dataclass(frozen=True)
class Bug:
    """A change of a sample's sources that makes it wrong.

    Attributes:
        name: what is wrong, in words.
        sample: the sample.
        changes: file, text that stands there once, and what stands there instead; or a new file and its text.
    """

    name: str
    sample: str
    changes: tuple[tuple[str, ...], ...]


@dataclass
class Result:
    """What the suite made of a bug.

    Attributes:
        found: the first test that turned red, without its mode; None if all were green.
        told: what it said.
    """

    bug: Bug
    found: str | None = None
    told: str = ""
    tests: int = 0
    seconds: float = 0.0
    reds: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down what pytest tells, as its plugin."""
        self.tests += report.when == "call"
        if report.failed:
            name = report.nodeid.rpartition("::")[2]
            self.reds.append(name)
            self.found = self.found or name.partition("[")[0]
            self.told = self.told or str(getattr(report.longrepr, "reprcrash", report.longrepr))[-1500:]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A suite that cannot even be collected finds nothing: the bug is planted wrongly."""
        if report.failed:
            self.told = str(report.longrepr)[-1500:]


def plant(bug: Bug, folder: Path) -> Path:
    """Write the sample with the bug in it as a package into a folder.

    Raises:
        ValueError: what is to be changed does not stand in the sample exactly once.
    """
    package = folder / f"kit_{abs(hash(bug.name)):x}_{bug.sample}"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SAMPLES / bug.sample, package, ignore=ignored)
    for name, *texts in bug.changes:
        path = package / name
        if len(texts) == 1:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[0], encoding="utf-8")
            continue
        source = path.read_text(encoding="utf-8")
        if source.count(texts[0]) != 1:
            raise ValueError(f"{bug.name}: {texts[0]!r} stands {source.count(texts[0])} times in {name}")
        path.write_text(source.replace(texts[0], texts[1]), encoding="utf-8")
    return package


@contextlib.contextmanager
def installed(package: Path, sample: str) -> Any:
    """Let a package's provider and simulator be found by name, as if it were installed."""
    classes = {
        registry.PROVIDERS: ("provider", f"{sample.title()}Provider"),
        registry.SIMULATORS: ("simulator", f"{sample.title()}Simulator"),
    }

    def load(group: str, name: str) -> Any:
        assert name == sample
        module, cls = classes[group]
        return getattr(importlib.import_module(f"{package.name}.{module}"), cls)

    sys.path.insert(0, str(package.parent))
    try:
        with patch.object(registry, "_load", load):
            yield
    finally:
        sys.path.remove(str(package.parent))


def record(sample: str, folder: Path) -> None:
    """Record the cassettes of the good sample."""
    package = plant(Bug("good", sample, ()), folder)
    with installed(package, sample):
        from_simulator(sample, folder / sample)


def examine(bug: Bug, cassettes: Path, *, modes: str = "not asyncio", first: bool = True) -> Result:
    """Run the suite.

    Args:
        bug: what to plant.
        cassettes: where those of the samples are, by name.
        modes: pytest's expression for the tests to run.
        first: stop at the first red test.
    """
    result, began = Result(bug), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.joinpath("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        package = plant(bug, folder)
        shutil.copytree(cassettes / bug.sample, package / "cassettes", dirs_exist_ok=True)
        options = [
            *_OPTIONS,
            *(f"-pno:{plugin}" for plugin in _WITHOUT),
            "-k",
            modes,
            *(["-x"] if first else []),
        ]
        with (
            patch.dict(base.QUICK, _PATIENT),  # a busy machine is no bug
            patch.dict(fuzz._POLICY, _PATIENT),
            installed(package, bug.sample),
            contextlib.chdir(folder),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            pytest.main([*options, str(package / "suite.py")], plugins=[result])
        for module in [module for module in sys.modules if module.startswith("kit_")]:
            del sys.modules[module]
    result.seconds = time.monotonic() - began
    return result
