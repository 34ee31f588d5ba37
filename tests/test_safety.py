"""The page on safety tells the truth: what it names is there, and so are the tests that hold its promises."""

import importlib
import re
from pathlib import Path

import pytest

from mdmsdk.testing import BaseProviderContract

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "safety.md").read_text(encoding="utf-8")
ROWS = [
    line
    for line in PAGE.splitlines()
    if line.startswith("|") and not re.match(r"\|(---|.*held by \|$)", line)
]


def names(pattern: str) -> list[str]:
    return sorted(set(re.findall(pattern, PAGE)))


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_each_promise_names_its_place_and_its_test(row: str) -> None:
    *_, place, test = [cell.strip() for cell in row.strip("|").split("|")]
    assert re.search(r"`mdmsdk[\w.]*`|plugin", place)
    assert re.search(r"`tests/[\w/]+\.py|contract `test_\w+`", test)


@pytest.mark.parametrize("name", names(r"`(mdmsdk[\w.]+)`"))
def test_each_place_is_there(name: str) -> None:
    package, *parts = name.split(".")
    found = importlib.import_module(package)
    for index, part in enumerate(parts):
        try:
            found = importlib.import_module(".".join([package, *parts[: index + 1]]))
        except ImportError:
            found = getattr(found, part)


@pytest.mark.parametrize("name", names(r"`(tests/[\w/]+\.py(?:::\w+)?)`"))
def test_each_test_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"def {test}\(" if test else r"def test_", text)


@pytest.mark.parametrize("name", names(r"`(test_\w+)`"))
def test_each_test_of_the_contract_is_there(name: str) -> None:
    assert callable(getattr(BaseProviderContract, name))
