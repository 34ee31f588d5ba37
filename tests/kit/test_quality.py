"""The tiers of plugins: how they are counted, and those of our own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mdmsdk.cli import main
from mdmsdk.testing.quality import TIERS, Outcome, Plugin, badge, plugin_of, reached
from mdmsdk.testing.rules_of_quality import RULES, examine
from mdmsdk.testing.scaffold import Plan, write

ROOT = Path(__file__).parents[2]
OURS = sorted(path.name for path in (ROOT / "plugins").glob("mdmsdk-*"))
# This suite, `nox -s types`, `lint` and `wheel` look at them; whoever breaks one sees it there.
ELSEWHERE = ("contract", "types", "style", "wheel")


def ours(name: str) -> Plugin:
    vendor = name.removeprefix("mdmsdk-")
    pages = [ROOT / "docs" / "reference" / f"{page}.md" for page in (vendor, "ise")]
    tests = [ROOT / "tests" / "vendors" / vendor]
    return plugin_of(name, tests=tests, cassettes=ROOT / "cassettes", docs=pages, run=False)


@pytest.mark.parametrize("name", OURS)
def test_the_tier_of_each_of_our_plugins_is_the_one_it_shows(name: str) -> None:
    tier = reached(examine(ours(name)), trusting=ELSEWHERE)
    assert f"| `{name}` | {tier} |" in (ROOT / "README.md").read_text(encoding="utf-8")
    shown = (ROOT / "plugins" / name / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^Quality: (\w+)", shown, re.MULTILINE) == [str(tier)]


@pytest.mark.parametrize("name", OURS)
def test_each_of_our_providers_has_its_class_of_the_suite(name: str) -> None:
    plugin = ours(name)
    tests = "\n".join(path.read_text(encoding="utf-8") for path in plugin.tests[0].rglob("test_*.py"))
    assert set(plugin.providers) <= set(re.findall(r'^    provider = "([\w-]+)"$', tests, re.MULTILINE))


def test_every_rule_is_told() -> None:
    page = (ROOT / "docs" / "reference" / "plugin-quality.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", page, re.MULTILINE)
    assert told == [(rule.name, rule.tier, rule.wants) for rule in RULES]
    assert [rule.tier for rule in RULES] == sorted((rule.tier for rule in RULES), key=TIERS.index)


def outcomes(**done: bool | None) -> list[Outcome]:
    return [Outcome(rule.name, rule.tier, done.get(rule.name, True), "") for rule in RULES]


def test_a_tier_needs_all_of_its_rules_and_those_below() -> None:
    assert reached(outcomes()) == "platinum"
    assert reached(outcomes(real=False)) == "gold"
    assert reached(outcomes(limits=False)) == "silver"
    assert reached(outcomes(docs=False, limits=False)) == "bronze"
    assert reached(outcomes(imports=False)) is None
    assert reached(outcomes(contract=None)) is None
    assert reached(outcomes(contract=None), trusting=["contract"]) == "platinum"
    assert reached(outcomes(contract=False), trusting=["contract"]) is None


BROKEN = [
    ("loads", "mdmsdk_acme/provider.py", 'vendor = "Acme"\n', 'vendor = ""\n'),
    ("imports", "mdmsdk_acme/provider.py", "from functools", "import threading\nfrom functools"),
    ("imports", "mdmsdk_acme/records.py", "from typing", "from urllib import request\nfrom typing"),
    ("imports", "mdmsdk_acme/records.py", "word = row", "__import__('time').sleep(1)\n    word = row"),
    ("simulator", "pyproject.toml", '"mdmsdk.simulators"', '"mdmsdk.other"'),
    ("metadata", "pyproject.toml", 'license = "Apache-2.0"\n', ""),
    ("metadata", "pyproject.toml", '"mdmsdk>=', '"pydantic>='),
    ("docs", "README.md", "client_secret", "secret"),
    ("rights", "mdmsdk_acme/refusals.py", "Refusal(403", "Refusal(409"),
    ("inventory", "mdmsdk_acme/provider.py", "frozenset({Capability.INVENTORY})", "frozenset()"),
    ("limits", "mdmsdk_acme/provider.py", "Limits(rate=20, burst=5, concurrency=4)", "Limits()"),
    (
        "habits",
        "tests/test_acme_contract.py",
        'habits: ClassVar[dict[str, Any]] = {"usual": {}, ',
        "sets = {",
    ),
]


def check(
    project: Path, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, dict[str, bool | None]]:
    code = main(["plugin", "check", str(project), "--quick", "--format", "ndjson", *words])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return code, {row["rule"]: row["done"] for row in rows}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(Plan(name="acme", vendor="Acme"), tmp_path)


@pytest.mark.parametrize("part", [BROKEN[:1], BROKEN[1:]], ids=["that cannot be loaded", "that works"])
def test_what_is_missing_is_found(
    project: Path, capsys: pytest.CaptureFixture[str], part: list[tuple[str, str, str, str]]
) -> None:
    for _, file, text, other in part:
        path = project / file
        before = path.read_text(encoding="utf-8")
        assert text in before
        path.write_text(before.replace(text, other), encoding="utf-8")
    told = check(project, capsys)[1]
    assert [rule for rule, *_ in part if told[rule] is not False] == []


def test_a_new_project_has_what_it_was_made_with(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, data = project / "tier.svg", project / "tier.json"
    code, done = check(project, capsys, "--badge", str(picture))
    assert code == 1  # its tests were not run, so that nobody knows
    assert {rule for rule, state in done.items() if state is False} == {
        *("cassettes", "finished", "sources", "tests", "batch", "real")
    }
    assert {rule for rule, state in done.items() if state is None} == {*ELSEWHERE, "fuzz"}
    assert "no tier" in picture.read_text(encoding="utf-8")
    check(project, capsys, "--badge", str(data))
    assert json.loads(data.read_text(encoding="utf-8"))["message"] == "no tier"


def test_badges_show_the_tier() -> None:
    for tier in TIERS:
        assert tier in badge(tier, "svg")
        assert json.loads(badge(tier, "json"))["message"] == tier


@pytest.mark.parametrize(
    "words",
    [
        ["mdmsdk-nowhere"],
        [".", "--at-least", "diamond"],
        ["mdmsdk-jamf", "--quick", "--badge", "no/such/folder/b.svg"],
    ],
)
def test_what_cannot_be_examined_is_said(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugin", "check", *words]) == 2
    assert "error" in capsys.readouterr().err
