"""The rules by which a plugin is examined. Each check gives what is missing.

``python -m mdmsdk.testing.rules_of_quality DISTRIBUTION`` examines an installed plugin and prints JSON.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import metadata, requires
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.ise import IseDialect
from mdmsdk.provider import Capability, Limits, MdmProvider
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.settings import ProviderSettings
from mdmsdk.testing.quality import Outcome, Plugin, Rule, plugin_of
from mdmsdk.testing.secrets import find_secrets
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["RULES", "examine", "main"]

# A plugin describes; all of these perform. What a vendor's own library does is its own affair.
_PERFORMING = frozenset(
    {
        "aiohttp",
        "anyio",
        "asyncio",
        "concurrent",
        "http.client",
        "httpx",
        "httpx2",
        "multiprocessing",
        "requests",
    }
    | {"socket", "stevedore", "subprocess", "tenacity", "threading", "trio", "urllib.request", "urllib3"}
)
_HAPPENS = frozenset({"sleep", "sleep_ms"})
_CITED = 3
# An address, or a comment that begins with the name of a page: "# API reference, GET /devices: ...".
_SOURCE = re.compile(
    r"https?://(?!mdm\.example)[\w.-]+\.\w+/\S+"
    r"|^ *# [^\n]*\b(?:API|help|reference|docs|guide|documentation)\b[^\n]*:",
    re.MULTILINE | re.IGNORECASE,
)
_OWN_TESTS = 5
_FUZZ = "5000"


def _providers(plugin: Plugin) -> Iterator[tuple[str, type[MdmProvider]]]:
    for name in plugin.providers:
        try:
            yield name, load_provider(name)
        except MdmError:
            continue  # the rule `loads` says why


def _native(plugin: Plugin) -> Iterator[tuple[str, type[MdmProvider]]]:
    """Those that are no dialect of the ISE protocol, in which core decides what there is."""
    return ((name, kind) for name, kind in _providers(plugin) if not issubclass(kind, IseDialect))


def _modules(plugin: Plugin, *, simulators: bool = False) -> Iterator[tuple[Path, str]]:
    for package in plugin.packages:
        for path in sorted(package.rglob("*.py")):
            if simulators or "simulator" not in path.relative_to(package).with_suffix("").parts:
                yield path.relative_to(package.parent), path.read_text(encoding="utf-8")


def _loads(plugin: Plugin) -> list[str]:
    missing = [] if plugin.providers else ["it has no entry point in mdmsdk.providers"]
    for load, names in ((load_provider, plugin.providers), (load_simulator, plugin.simulators)):
        for name in names:
            try:
                load(name)
            except MdmError as error:
                missing.append(error.message)
    return missing


def _simulated(plugin: Plugin) -> list[str]:
    return [f"{name} has no simulator" for name in plugin.providers if name not in plugin.simulators]


def _imports(plugin: Plugin) -> list[str]:
    missing = []
    for path, text in _modules(plugin):
        for node in ast.walk(ast.parse(text)):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [f"{node.module}.{alias.name}" for alias in node.names]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            missing += [f"{path}:{node.lineno} imports {name}" for name in names if _performs(name)]  # type: ignore[attr-defined]  # imports have lines
            if isinstance(node, ast.Attribute) and node.attr in _HAPPENS:
                missing.append(f"{path}:{node.lineno} sleeps")
    return missing


def _performs(name: str) -> bool:
    parts = name.split(".")
    return name == "time.sleep" or any(
        ".".join(parts[:end]) in _PERFORMING for end in range(1, len(parts) + 1)
    )


def _described(plugin: Plugin) -> list[str]:
    told, needs = metadata(plugin.name), requires(plugin.name)
    missing = []
    if not plugin.name.startswith("mdmsdk-"):
        missing.append("the distribution is not called mdmsdk-NAME")
    missing += [
        f"the package {one.name} is not called mdmsdk_NAME"
        for one in plugin.packages
        if not one.name.startswith("mdmsdk_")
    ]
    if plugin.project is None or not (plugin.project / "pyproject.toml").is_file():
        if not ("License-Expression" in told or "License" in told):
            missing.append("it names no licence")
        if "Requires-Python" not in told:
            missing.append("it names no version of Python")
        if not any(re.match(r"mdmsdk\b(?!-)", one) for one in needs or ()):
            missing.append("it does not depend on mdmsdk")
        return missing
    import tomllib

    project = tomllib.loads((plugin.project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing += [
        f"pyproject.toml has no {name}"
        for name in ("description", "license", "readme", "requires-python")
        if not project.get(name)
    ]
    if not any(re.match(r"mdmsdk\b(?!-)", one) for one in project.get("dependencies", ())):
        missing.append("it does not depend on mdmsdk")
    return missing


# --- what is run ---


def _contract(plugin: Plugin) -> list[str] | None:
    told = _tally(plugin)
    if told is None:
        return None
    missing = [
        f"{name} has no class of the contract suite" for name in plugin.providers if name not in told["modes"]
    ]
    missing += [
        f"{name} was not tested in {mode}"
        for name, modes in told["modes"].items()
        for mode in ("sync", "asyncio")
        if mode not in modes
    ]
    failed = told["failed"]
    if failed or told["code"]:
        missing.append(
            f"{len(failed)} tests failed, such as {failed[0]}"
            if failed
            else f"pytest ended with {told['code']}"
        )
    return missing


def _tally(plugin: Plugin) -> dict[str, Any] | None:
    """What the plugin's tests did; None where there are none or they may not be run."""
    if not plugin.run:
        return None
    if not plugin.tests:
        return {"modes": {}, "failed": [], "code": 0}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tally.json"
        code = _run(
            plugin,
            *(
                "pytest",
                "-q",
                "-p",
                "mdmsdk.testing.tally",
                "-p",
                "no:cacheprovider",
                *map(str, plugin.tests),
            ),
            MDMSDK_TALLY=str(file),
        )[0]
        told: dict[str, Any] = (
            json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"modes": {}, "failed": []}
        )
        return {**told, "code": code}


def _run(plugin: Plugin, *words: str, **more: str) -> tuple[int, str]:
    inside = plugin.project and all(
        path.resolve().is_relative_to(plugin.project.resolve()) for path in plugin.tests
    )
    done = subprocess.run(  # noqa: S603 - tools that the author has
        [sys.executable, "-m", *words],
        cwd=plugin.project if inside else None,
        env={**os.environ, **more},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def _tool(module: str, *words: str) -> Callable[[Plugin], list[str] | None]:
    """A check that a tool finds nothing in the packages; None where the tool is not there."""

    def check(plugin: Plugin) -> list[str] | None:
        if not plugin.run or find_spec(module) is None:
            return None
        code, said = _run(plugin, module, *words, *map(str, plugin.packages))
        return [said.splitlines()[-1] if said else f"{module} ended with {code}"] if code else []

    return check


def _typed(plugin: Plugin) -> list[str] | None:
    missing = [f"{one.name} has no py.typed" for one in plugin.packages if not (one / "py.typed").is_file()]
    return missing or _tool("mypy", "--strict", "--explicit-package-bases")(plugin)


def _built(plugin: Plugin) -> list[str] | None:
    if not plugin.run or plugin.project is None or find_spec("build") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        words = ("build", "--wheel", "--no-isolation", "--outdir", folder, str(plugin.project))
        code, said = _run(plugin, *words)
        return [said.splitlines()[-1] if said else "it does not build"] if code else []


def _hardened(plugin: Plugin) -> list[str] | None:
    if not (plugin.run and plugin.long):
        return None
    missing = []
    for words in (("fuzz", "--count", _FUZZ), ("matrix",)):
        code, said = _run(plugin, f"mdmsdk.testing.{words[0]}", *words[1:], *plugin.simulators)
        missing += [f"{words[0]}: {said.splitlines()[-1]}"] if code else []
    return missing


# --- what is read ---


def _recordings(plugin: Plugin, name: str) -> list[Path]:
    return sorted((plugin.cassettes / name).glob("*.yaml")) if plugin.cassettes else []


def _recorded(plugin: Plugin) -> list[str]:
    missing = [f"{name} has no cassettes" for name in plugin.providers if not _recordings(plugin, name)]
    for path in (path for name in plugin.providers for path in _recordings(plugin, name)):
        missing += [f"{path.name}: {what}" for what in find_secrets(path.read_text(encoding="utf-8"))]
    return missing


def _real(plugin: Plugin) -> list[str]:
    return [
        f"{name} was recorded from its simulator only"
        for name in plugin.providers
        if not any(
            "a real server" in path.read_text(encoding="utf-8").partition("\n")[0]
            for path in _recordings(plugin, name)
        )
    ]


def _explained(plugin: Plugin) -> list[str]:
    text = "\n".join([plugin.readme, *(path.read_text(encoding="utf-8") for path in plugin.docs)])
    missing = [f"{name} is not told" for name in plugin.providers if f"`{name}`" not in text]
    own: dict[str, None] = {}
    for _, kind in _native(plugin):
        own |= dict.fromkeys(set(kind.settings_type.model_fields) - set(ProviderSettings.model_fields))
    missing += [
        f"the setting {name} is not told"
        for name in sorted(own)
        if not re.search(rf"`[^`]*\b{name}\b[^`]*`", text)
    ]
    return missing


def _advises(plugin: Plugin) -> list[str]:
    missing = []
    for name, kind in _providers(plugin):
        if isinstance(kind.refusals, property):
            continue
        provider = object.__new__(kind)  # what refusals mean does not depend on settings
        try:
            kind.check(provider, Response(403, {}, b"", "https://mdm.example/devices"))
        except MdmError as error:
            if error.hint == type(error).hint:
                missing.append(f"{name} does not say which right is missing where a server answers 403")
        except Exception:  # noqa: BLE001, S112 - a check of its own that needs settings
            continue
    return missing


def _inventory(plugin: Plugin) -> list[str]:
    return [
        f"{name} cannot list all devices"
        for name, kind in _native(plugin)
        if Capability.INVENTORY not in kind.capabilities
    ]


def _limited(plugin: Plugin) -> list[str]:
    return [f"{name} declares no limits" for name, kind in _native(plugin) if kind.limits == Limits()]


def _batched(plugin: Plugin) -> list[str]:
    return [
        f"{name} asks for each key by itself"
        for name, kind in _native(plugin)
        if Capability.BATCH not in kind.capabilities
    ]


def _cites(plugin: Plugin) -> list[str]:
    found = sum(len(_SOURCE.findall(text)) for _, text in _modules(plugin))
    return [] if found >= _CITED else [f"{found} of at least {_CITED} rules say where the vendor says so"]


def _finished(plugin: Plugin) -> list[str]:
    return [
        f"{path}:{number} is still to be filled in"
        for path, text in _modules(plugin, simulators=True)
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"#\s*TODO\b", line)
    ]


def _trees(plugin: Plugin) -> Iterator[ast.Module]:
    for place in plugin.tests:
        for path in sorted(place.rglob("test_*.py")) if place.is_dir() else [place]:
            yield ast.parse(path.read_text(encoding="utf-8"))


def _tested(plugin: Plugin) -> list[str]:
    own = sum(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for tree in _trees(plugin)
        for node in ast.walk(tree)
    )
    return [] if own >= _OWN_TESTS else [f"{own} of at least {_OWN_TESTS} tests beside the contract suite"]


def _habitual(plugin: Plugin) -> list[str]:
    """Which native provider's contract class names fewer than two sets of habits."""
    known = {name: 0 for name, _ in _native(plugin)}
    for tree in _trees(plugin):
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            values = {
                _target(item): item.value
                for item in node.body
                if isinstance(item, ast.Assign | ast.AnnAssign)
            }
            name, habits = values.get("provider"), values.get("habits")
            if isinstance(name, ast.Constant) and name.value in known and habits is not None:
                known[str(name.value)] = len(habits.keys) if isinstance(habits, ast.Dict) else 2
    return [f"{name} is tested with one set of habits only" for name, sets in known.items() if sets <= 1]


def _target(item: ast.Assign | ast.AnnAssign) -> str:
    target = item.target if isinstance(item, ast.AnnAssign) else item.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


RULES: tuple[Rule, ...] = (
    Rule("loads", "bronze", "every provider and simulator can be loaded", _loads),
    Rule(
        "imports",
        "bronze",
        "no HTTP library, sockets, threads, event loops or sleep outside the simulator",
        _imports,
    ),
    Rule("simulator", "bronze", "every provider has a simulator", _simulated),
    Rule(
        "metadata",
        "bronze",
        "name, licence, README, version of Python and dependency as the guide has them",
        _described,
    ),
    Rule(
        "contract",
        "bronze",
        "the contract suite is green for every provider, in sync and in async",
        _contract,
    ),
    Rule("cassettes", "silver", "every provider's operations are recorded, without a secret", _recorded),
    Rule("types", "silver", "py.typed is there, and mypy --strict finds nothing", _typed),
    Rule(
        "style",
        "silver",
        "ruff finds nothing with the project's own rules",
        _tool("ruff", "check", "--quiet"),
    ),
    Rule("docs", "silver", "README or docs tell every provider and every setting of its own", _explained),
    Rule("rights", "silver", "a missing right is told with what to do about it", _advises),
    Rule("finished", "silver", "nothing is left to be filled in", _finished),
    Rule("inventory", "gold", "all devices can be listed", _inventory),
    Rule("limits", "gold", "the vendor's limits are declared", _limited),
    Rule("habits", "gold", "the contract suite runs with several habits of the simulator", _habitual),
    Rule("sources", "gold", "rules of the vendor say where the vendor says so", _cites),
    Rule("tests", "gold", "what is the vendor's own has tests beside the contract suite", _tested),
    Rule("wheel", "gold", "the wheel can be built", _built),
    Rule("batch", "platinum", "many keys cost fewer requests than one each", _batched),
    Rule(
        "fuzz",
        "platinum",
        "5,000 damaged answers and every fault of the matrix make no verdict (--long)",
        _hardened,
    ),
    Rule("real", "platinum", "every provider was recorded from a real server", _real),
)
"""All rules, from the lowest tier to the highest."""


def examine(plugin: Plugin) -> list[Outcome]:
    """What came of every rule, in the order of the tiers."""
    outcomes = []
    for rule in RULES:
        missing = rule.check(plugin)
        done = None if missing is None else not missing
        outcomes.append(Outcome(rule.name, rule.tier, done, rule.wants, "; ".join(missing or ())))
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine an installed plugin and print what came of each rule as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m mdmsdk.testing.rules_of_quality", description=main.__doc__
    )
    parser.add_argument("name")
    parser.add_argument("--tests", type=Path, action="append", default=[])
    parser.add_argument("--cassettes", type=Path)
    parser.add_argument("--docs", type=Path, action="append", default=[])
    parser.add_argument("--project", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    given = vars(parser.parse_args(arguments))
    try:
        plugin = plugin_of(given.pop("name"), run=not given.pop("quick"), **given)
    except ConfigurationError as error:
        print(json.dumps({"error": error.message, "hint": error.hint}))  # noqa: T201 - its result
        return 2
    outcomes = [asdict(one) for one in examine(plugin)]
    print(json.dumps({"plugin": plugin.name, "outcomes": outcomes}))  # noqa: T201 - its result
    return 0


if __name__ == "__main__":
    sys.exit(main())
