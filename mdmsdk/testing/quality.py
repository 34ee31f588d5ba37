"""The quality of a plugin: rules that are done or missing, and the tier that they make.

Bronze works and is safe; silver is recorded, typed and explained; gold says what its vendor says, and where;
platinum was tried where it is used. A tier counts with all of the tiers below it.

The rules are in `mdmsdk.testing.rules_of_quality`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import unquote, urlsplit

from mdmsdk.errors import ConfigurationError
from mdmsdk.registry import PROVIDERS, SIMULATORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TIERS", "Outcome", "Plugin", "Rule", "Tier", "badge", "plugin_of", "reached"]

Tier = Literal["bronze", "silver", "gold", "platinum"]
TIERS: tuple[Tier, ...] = get_args(Tier)
_COLOURS = {
    "bronze": "#a0622d",
    "silver": "#8a8d91",
    "gold": "#c79a00",
    "platinum": "#5b7f95",
    None: "#c0392b",
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """What there is of a plugin.

    Attributes:
        name: of the distribution.
        providers: the names of its providers.
        simulators: the names of those that have a simulator.
        packages: the folders of its packages.
        readme: its description.
        project: the folder of its sources, where it is installed from there.
        tests: files and folders with its tests.
        cassettes: the folder with a folder of cassettes for each provider.
        docs: further pages that explain it.
        run: whether its tests and the tools may be run.
        long: whether what takes minutes is run, too.
    """

    name: str
    providers: tuple[str, ...]
    simulators: tuple[str, ...]
    packages: tuple[Path, ...]
    readme: str = field(repr=False)
    project: Path | None = None
    tests: tuple[Path, ...] = ()
    cassettes: Path | None = None
    docs: tuple[Path, ...] = ()
    run: bool = True
    long: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        name: a word for it.
        tier: which tier needs it.
        wants: what is wanted.
        check: gives what is missing, each on a line of its own; None where it could not be looked at.
    """

    name: str
    tier: Tier
    wants: str
    check: Callable[[Plugin], list[str] | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a rule.

    Attributes:
        rule: its name.
        tier: which tier needs it.
        done: None where it was not looked at.
        wants: what is wanted.
        detail: what is missing.
    """

    rule: str
    tier: Tier
    done: bool | None
    wants: str
    detail: str = ""


def plugin_of(
    name: str,
    *,
    tests: Sequence[Path] = (),
    cassettes: Path | None = None,
    docs: Sequence[Path] = (),
    project: Path | None = None,
    run: bool = True,
    long: bool = False,
) -> Plugin:
    """An installed plugin.

    Args:
        name: of the distribution, or of one of its providers.
        tests: where they are; default: in the folder of its sources, where that is known.
        cassettes: the same.
        docs: the same, for pages beside the README.
        project: that folder, where the installation does not tell.
        run: whether its tests and the tools may be run.
        long: whether what takes minutes is run, too.

    Raises:
        ConfigurationError: no such plugin is installed.
    """
    try:
        owner = distribution(name)
    except (PackageNotFoundError, ValueError):
        found = [
            one for one in distributions() if any(_is_provider(point, name) for point in one.entry_points)
        ]
        if not found:
            raise ConfigurationError(
                f"no plugin {name!r} is installed",
                hint="Name a folder with a pyproject.toml, or what `mdm providers` lists.",
            ) from None
        owner = found[0]
    points = list(owner.entry_points)
    modules = {point.module.partition(".")[0] for point in points if point.group in {PROVIDERS, SIMULATORS}}
    specs = [find_spec(module) for module in sorted(modules)]
    project = project or _sources(owner.read_text("direct_url.json"))
    here = project or Path("nowhere")
    return Plugin(
        name=owner.metadata["Name"],
        providers=tuple(sorted(point.name for point in points if point.group == PROVIDERS)),
        simulators=tuple(sorted(point.name for point in points if point.group == SIMULATORS)),
        packages=tuple(Path(spec.origin).parent for spec in specs if spec and spec.origin),
        readme=_readme(here, owner.read_text("METADATA") or ""),
        project=project,
        tests=tuple(tests) or tuple(path for path in [here / "tests"] if path.is_dir()),
        cassettes=cassettes or next((path for path in [here / "cassettes"] if path.is_dir()), None),
        docs=tuple(docs) or tuple(sorted((here / "docs").rglob("*.md"))),
        run=run,
        long=long,
    )


def _is_provider(point: EntryPoint, name: str) -> bool:
    return point.group == PROVIDERS and point.name == name


def _readme(project: Path, described: str) -> str:
    file = project / "README.md"
    return file.read_text(encoding="utf-8") if file.is_file() else described


def _sources(direct_url: str | None) -> Path | None:
    """The folder that a distribution was installed from in place (PEP 610)."""
    data = json.loads(direct_url or "{}")
    url = urlsplit(data.get("url", ""))
    return (
        Path(unquote(url.path)) if url.scheme == "file" and data.get("dir_info", {}).get("editable") else None
    )


def reached(outcomes: Sequence[Outcome], *, trusting: Sequence[str] = ()) -> Tier | None:
    """The highest tier of which, and below which, every rule is done; None where even bronze is not.

    Args:
        outcomes: of all rules.
        trusting: rules that count as done where they were not looked at, because something else does that.
    """
    best: Tier | None = None
    for tier in TIERS:
        here = [one for one in outcomes if one.tier == tier]
        if not all(one.done or (one.done is None and one.rule in trusting) for one in here):
            break
        best = tier
    return best


def badge(tier: Tier | None, form: Literal["svg", "json"]) -> str:
    """A badge: an SVG picture, or JSON for the endpoint badge of shields.io."""
    word, colour = tier or "no tier", _COLOURS[tier]
    if form == "json":
        shown = {"schemaVersion": 1, "label": "mdmsdk plugin", "message": word, "color": colour}
        return json.dumps(shown, indent=1) + "\n"
    width = 100 + 8 * len(word)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" '
        f'aria-label="mdmsdk plugin: {word}"><rect width="{width}" height="20" fill="#444"/>'
        f'<rect x="96" width="{width - 96}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="sans-serif" font-size="11">'
        f'<text x="6" y="14">mdmsdk plugin</text><text x="102" y="14">{word}</text></g></svg>\n'
    )
