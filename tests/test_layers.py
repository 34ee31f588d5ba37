"""Imports point down, and each large dependency has one importer (docs/explanation/design.md)."""

import importlib.metadata
import sys
import tomllib
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mdmsdk.testing.imports import PERFORMING, imports, within

ROOT = Path(__file__).parents[1]
CORE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# From the bottom to the top; a module may import its own row and the rows below.
LAYERS = [
    {"wire", "links", "models", "identifiers", "certificates", "errors", "silence", "words"},
    {"flow"},
    {
        "provider",
        "settings",
        "rows",
        "proof",
        "search",
        "paging",
        "changes",
        "refusals",
        "logins",
        "rules",
        "evidence",
        "scopes",
        "membership",
        "batch",
        "progress",
        "damage",
    },
    {"registry", "ise"},
    {"_run"},
    {"client"},
    {
        "federation",
        "watch",
        "doctor",
        "config",
        "config_check",
        "directory",
        "environment",
        "gateway.settings",
        "secret_sources",
        "store",
        "trust",
    },
    {"testing", "simulator"},
    {"cli", "gateway", "__main__"},
    {""},  # mdmsdk/__init__.py: the public face
]
# What whoever needs it brings along: there is no event loop of trio without trio.
BROUGHT = {"trio"}
# What is imported by another name than it is installed by, and not installed everywhere.
NAMED = {"spnego": ["pyspnego"]}
LEVEL = {f"mdmsdk.{name}".rstrip("."): level for level, names in enumerate(LAYERS) for name in names}
REGISTRY_LEVEL = LEVEL["mdmsdk.registry"]

# Who may import what, by prefix. "plugin" stands for a plugin's simulator.
OWNERS = {
    "httpx": {"mdmsdk._run.library"},
    "httpx2": {"mdmsdk._run.library"},
    "truststore": {"mdmsdk._run.trust"},
    "tenacity": {"mdmsdk._run"},
    "stevedore": {"mdmsdk.registry"},
    "lxml": {"mdmsdk.ise"},
    "keyring": {"mdmsdk.secret_sources"},
    "redis": {"mdmsdk.store"},
    "tomlkit": {"mdmsdk.cli"},
    "typer": {"mdmsdk.cli"},
    "rich": {"mdmsdk.cli"},
    "starlette": {"mdmsdk.gateway", "mdmsdk.simulator", "plugin"},
    "uvicorn": {"mdmsdk.gateway", "mdmsdk.simulator", "plugin"},
    "pytest": {"mdmsdk.testing"},
    "vcr": {"mdmsdk.testing"},
}


def level_of(name: str) -> int:
    """Layer of a dotted name of core; a name that is no module is taken from the package itself."""
    parts = name.split(".")
    # The settings of the gateway lie below it, with those of the store and the directory.
    known = [LEVEL[one] for size in (3, 2) if (one := ".".join(parts[:size])) in LEVEL]
    return known[0] if known else LEVEL["mdmsdk"]


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """What a module imports against the rules."""
    plugin = not within(module, "mdmsdk")
    simulator = plugin and "simulator" in module.split(".")
    own_level = REGISTRY_LEVEL if plugin else level_of(module)
    describes = plugin or own_level < REGISTRY_LEVEL or within(module, "mdmsdk.ise")
    found = []
    for name in imports(source, module if is_package else module.rpartition(".")[0]):
        if within(name, "mdmsdk"):
            allowed = level_of(name) <= own_level and not (plugin and within(name, "mdmsdk.registry"))
            if not allowed and not (simulator and within(name, "mdmsdk.simulator")):
                found.append(f"{module} imports {name}, which is above it")
            continue
        owners = next((owners for library, owners in OWNERS.items() if within(name, library)), None)
        if owners is not None and not any(within(module, o) or (o == "plugin" and simulator) for o in owners):
            found.append(f"{module} imports {name}, which belongs to {', '.join(sorted(owners))}")
        if describes and not simulator and any(within(name, banned) for banned in PERFORMING):
            found.append(f"{module} uses {name}: vendor code describes, core performs")
    return found


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of core and of the plugins, with its file."""
    for top in (ROOT / "mdmsdk", *ROOT.glob("plugins/*/mdmsdk_*")):
        for path in sorted(top.rglob("*.py")):
            yield ".".join(path.relative_to(top.parent).with_suffix("").parts).removesuffix(".__init__"), path


@pytest.mark.parametrize(("module", "path"), [pytest.param(*pair, id=pair[0]) for pair in modules()])
def test_imports_point_down(module: str, path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert violations(module, source, is_package=path.name == "__init__.py") == []


def declared(project: dict[str, Any], names: Iterable[str]) -> set[str]:
    """The distributions that a project asks for, and the extras of core that it asks for bring."""
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    found: set[str] = set()
    for text in chain(project["dependencies"], *(extras[name] for name in names)):
        wanted = Requirement(text)
        found.add(canonicalize_name(wanted.name))
        if wanted.name == "mdmsdk":
            found |= declared(CORE, wanted.extras)
    return found


def undeclared(sources: dict[str, str], project: dict[str, Any]) -> dict[str, str]:
    """What modules import that no dependency and no extra of their project gives, with a module of each.

    What only comes along with another dependency may be gone with its next version.
    """
    asked = BROUGHT | declared(project, project.get("optional-dependencies", ()))
    given = {**NAMED, **importlib.metadata.packages_distributions()}
    return {
        library: module
        for module, source in sources.items()
        for library in {name.partition(".")[0] for name in imports(source, module.rpartition(".")[0])}
        if library not in sys.stdlib_module_names | {module.partition(".")[0]}
        and not {*map(canonicalize_name, given.get(library, [library]))} & asked
    }


@pytest.mark.parametrize("folder", [ROOT, *sorted(ROOT.glob("plugins/*/"))], ids=lambda folder: folder.name)
def test_each_project_asks_for_what_it_imports(folder: Path) -> None:
    sources = {
        module: path.read_text(encoding="utf-8")
        for module, path in modules()
        if path.is_relative_to(folder) and (folder != ROOT or within(module, "mdmsdk"))
    }
    assert sources
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert undeclared(sources, project) == {}


def test_an_import_that_only_comes_along_is_seen() -> None:
    project = {"dependencies": ["pydantic>=2"], "optional-dependencies": {"gateway": ["uvicorn>=0.34"]}}
    sources = {"mdmsdk.gateway.served": "import ssl\nimport h11\nimport uvicorn\nfrom mdmsdk import wire"}
    assert undeclared(sources, project) == {"h11": "mdmsdk.gateway.served"}


def test_every_module_of_core_has_a_layer() -> None:
    core = {".".join(module.split(".")[:2]) for module, _ in modules() if within(module, "mdmsdk")}
    assert core <= LEVEL.keys(), "give the new module a row in LAYERS, and in the design page"


def module_of(name: str, known: set[str]) -> str:
    """The module that a dotted name stands in."""
    return name if name in known else name.rpartition(".")[0]


def test_no_modules_import_each_other_in_a_circle() -> None:
    files = {module: path for module, path in modules() if path.name != "__init__.py"}
    graph = {
        module: {
            module_of(name, set(files))
            for name in imports(path.read_text(encoding="utf-8"), module.rpartition(".")[0])
        }
        for module, path in files.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mdmsdk.wire", "from mdmsdk.flow import Flow"),
        ("mdmsdk.wire", "from . import flow"),
        ("mdmsdk.ise.provider", "from ..client import MdmClient"),
        ("mdmsdk.ise.provider", "def f():\n    import mdmsdk.federation"),
        ("mdmsdk._run.runner", "from mdmsdk import client"),
        ("mdmsdk._run.runner", "from mdmsdk import MdmClient"),
        ("mdmsdk._run.runner", "import httpx"),
        ("mdmsdk.client", "def f():\n    from httpx import Client"),
        ("mdmsdk.client", "import importlib\nimportlib.import_module('httpx2')"),
        ("mdmsdk.client", "from tenacity import retry"),
        ("mdmsdk.client", "import stevedore.driver"),
        ("mdmsdk.models", "from lxml import etree"),
        ("mdmsdk.ise.xml", "import time\ntime.sleep(1)"),
        ("mdmsdk_x.provider", "from mdmsdk.registry import load"),
        ("mdmsdk_x.provider", "from mdmsdk.client import MdmClient"),
        ("mdmsdk_x.provider", "from mdmsdk.simulator import Fleet"),
        ("mdmsdk_x.provider", "from time import sleep"),
        ("mdmsdk_x.provider", "import asyncio"),
        ("mdmsdk_x.provider", "import concurrent.futures"),
        ("mdmsdk_x.provider", "import httpx"),
        ("mdmsdk_x.simulator", "import httpx"),
    ],
)
def test_a_broken_rule_is_seen(module: str, source: str) -> None:
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("mdmsdk", "from .client import MdmClient\nimport mdmsdk.federation"),
        ("mdmsdk.client", "from mdmsdk._run.http import open_client\nfrom mdmsdk import flow"),
        ("mdmsdk._run.library", "import httpx"),
        ("mdmsdk.wire", "if TYPE_CHECKING:\n    from mdmsdk.client import MdmClient"),
        ("mdmsdk_x.provider", "import msal\nfrom time import time\nfrom mdmsdk.ise import IseProvider"),
        ("mdmsdk_x.simulator", "import asyncio, starlette.routing\nfrom mdmsdk.simulator import Fleet"),
        ("mdmsdk_x.simulator.server", "import starlette.routing\nfrom mdmsdk.simulator import Fleet"),
    ],
)
def test_a_kept_rule_is_left_alone(module: str, source: str) -> None:
    assert violations(module, source) == []
