"""What is installed is whole. `nox -s wheel` runs this where only the wheels are and no sources."""

import importlib
import importlib.metadata
import importlib.resources
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

GROUPS = ("mdmsdk.providers", "mdmsdk.simulators")
LAZY = {"httpx", "httpx2", "stevedore", "tenacity", "lxml", "msal", "rich", "typer", "starlette", "uvicorn"}

from_wheel = pytest.mark.skipif("MDMSDK_WHEEL" not in os.environ, reason="only `nox -s wheel` has the wheels")


def ours() -> list[importlib.metadata.EntryPoint]:
    """Entry points of all our groups, sorted for a stable order of tests."""
    points = importlib.metadata.entry_points()
    found = [point for group in GROUPS for point in points.select(group=group)]
    found += points.select(group="console_scripts", name="mdm")
    found += points.select(group="pytest11", name="mdmsdk")
    return sorted(found, key=lambda point: (point.group, point.name))


def packages() -> list[str]:
    return sorted({point.module.partition(".")[0] for point in ours()})


@pytest.mark.parametrize("point", ours(), ids=lambda point: f"{point.group}:{point.name}")
def test_entry_point_resolves(point: importlib.metadata.EntryPoint) -> None:
    assert point.load() is not None


def test_core_is_registered() -> None:
    assert {(point.group, point.name) for point in ours()} >= {
        ("mdmsdk.providers", "ise"),
        ("mdmsdk.simulators", "ise"),
        ("console_scripts", "mdm"),
        ("pytest11", "mdmsdk"),
    }


@pytest.mark.parametrize("package", packages())
def test_types_are_shipped(package: str) -> None:
    assert importlib.resources.files(package).joinpath("py.typed").is_file()


def test_the_page_of_the_gateway_is_shipped() -> None:
    shipped = importlib.resources.files("mdmsdk").joinpath("gateway", "static")
    assert {file.name for file in shipped.iterdir()} == {"page.html", "page.css", "page.js"}


@from_wheel
@pytest.mark.parametrize("package", packages())
def test_package_comes_from_the_wheel(package: str) -> None:
    file = importlib.import_module(package).__file__
    assert file is not None
    assert Path(file).is_relative_to(sysconfig.get_path("purelib"))


@from_wheel
def test_metadata_is_complete() -> None:
    metadata = importlib.metadata.metadata("mdmsdk")
    assert metadata["License-Expression"] == "Apache-2.0"
    files = importlib.metadata.files("mdmsdk") or []
    assert any(file.name == "LICENSE" for file in files)
    assert not [file for file in files if file.parts[0] in {"tests", "plugins", "docs", "benchmarks"}]


def test_import_stays_light() -> None:
    program = "import sys, json, mdmsdk; print(json.dumps(sorted(sys.modules)))"
    # -I: neither the current folder nor PYTHON* variables may add modules of their own.
    result = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(result.stdout)}
    assert loaded & LAZY == set()


def test_the_pytest_plugin_costs_other_projects_nothing() -> None:
    program = (
        "import sys, json, pytest; before = set(sys.modules); import mdmsdk.testing.plugin;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    result = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == ["mdmsdk", "mdmsdk.testing", "mdmsdk.testing.plugin"]
