"""The command `plugin check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdmsdk.cli.formats import writing
from mdmsdk.cli.output import Column, View
from mdmsdk.cli.report import OK, UNKNOWN, say
from mdmsdk.errors import ConfigurationError
from mdmsdk.testing.quality import TIERS, Outcome, badge, reached
from mdmsdk.testing.scaffold import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from mdmsdk.cli.options import Format

_STATES = {True: "done", False: "missing", None: "not checked"}
RULES = View(
    table=[
        Column("TIER", itemgetter("tier")),
        Column("RULE", itemgetter("rule")),
        Column("STATE", lambda row: _STATES[row["done"]]),
        Column("DETAIL", lambda row: row["detail"] or row["wants"]),
    ],
    csv=[Column(name, itemgetter(name)) for name in ("plugin", "tier", "rule", "done", "wants", "detail")],
)


def plugin_check(
    chosen: Format | None,
    target: str,
    *,
    tests: Sequence[Path],
    cassettes: Path | None,
    docs: Sequence[Path],
    quick: bool,
    long: bool,
    picture: Path | None,
    least: str,
) -> int:
    """Examine a plugin, which is installed or a project's folder, and say which tier it has."""
    if least not in TIERS:
        raise ConfigurationError(f"{least!r} is no tier", hint=f"Choose of: {', '.join(TIERS)}.")
    words = [f"--tests={path}" for path in tests] + [f"--docs={path}" for path in docs]
    words += [f"--cassettes={cassettes}"] if cassettes else []
    words += ["--quick"] * quick + ["--long"] * long
    told = _told(target, words)
    outcomes = [Outcome(**one) for one in told["outcomes"]]
    with writing(RULES, chosen) as out:
        for one in told["outcomes"]:
            out.write({"plugin": told["plugin"], **one})
    tier = reached(outcomes)
    unseen = [one.rule for one in outcomes if one.done is None]
    say(f"{told['plugin']}: {tier or 'no tier'}")
    if unseen:
        say(f"not checked, so that they count as missing: {', '.join(unseen)}; see `mdm plugin check --help`")
    if picture:
        try:
            picture.write_text(badge(tier, "json" if picture.suffix == ".json" else "svg"), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{picture} cannot be written: {error.strerror}") from None
    return OK if tier and TIERS.index(tier) >= TIERS.index(least) else UNKNOWN


def _told(target: str, words: Sequence[str]) -> dict[str, Any]:
    """What an examination in a process of its own tells, in which a project's folder counts as installed.

    Raises:
        ConfigurationError: no such plugin, or the examination broke off.
    """
    project = Path(target).resolve()
    seen: AbstractContextManager[Mapping[str, str]]
    file = project / "pyproject.toml"
    if file.is_file():
        try:
            name = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]
        except (KeyError, TypeError, ValueError):
            raise ConfigurationError(f"{file} names no project") from None
        words, seen = [name, f"--project={project}", *words], visible(project)
    else:
        words, seen = [target, *words], nullcontext(os.environ)
    with seen as environment:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "mdmsdk.testing.rules_of_quality", *words],
            env=dict(environment),
            check=False,
            capture_output=True,
            text=True,
        )
    try:
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no word of it"])[-1]
        raise ConfigurationError(
            f"{target} could not be examined: {last}",
            hint="Install what it needs: pip install 'mdmsdk[testing]'",
        ) from None
    if "error" in told:
        raise ConfigurationError(told["error"], hint=told["hint"])
    return told
