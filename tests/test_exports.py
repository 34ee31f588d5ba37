"""What is public is listed, sorted, and really there."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import mdmsdk
from mdmsdk.testing import plugin

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(mdmsdk.__path__, "mdmsdk.")
    if not any(part.startswith("_") for part in module.name.split("."))
)


@pytest.mark.parametrize("name", mdmsdk.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(mdmsdk, name) is not None
    assert name in dir(mdmsdk)


def test_the_list_is_what_the_imports_for_type_checkers_bring() -> None:
    tree = ast.parse((ROOT / "mdmsdk" / "__init__.py").read_text(encoding="utf-8"))
    homes = [
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    ]
    assert homes == sorted(f"mdmsdk.{home}" for home in mdmsdk._HOMES)
    brought = {name for home in homes if home for name in importlib.import_module(home).__all__}
    assert set(mdmsdk.__all__) <= brought


def test_every_error_provider_and_model_is_at_hand() -> None:
    for home in ("errors", "identifiers", "settings"):
        assert set(importlib.import_module(f"mdmsdk.{home}").__all__) - set(mdmsdk.__all__) <= {
            "KEY_KINDS",
            "BasicUsername",
            "Settings",
            "Url",
            "below",
            "is_loopback",
            "secret_values",
        }


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        mdmsdk.no_such_name  # noqa: B018 - the access is the test


@pytest.mark.parametrize("name", MODULES)
def test_lists_are_sorted_and_true(name: str) -> None:
    module = importlib.import_module(name)
    listed = getattr(module, "__all__", [])
    assert len(set(listed)) == len(listed)
    for public in listed:
        assert hasattr(module, public), f"{name}.{public}"


def test_the_pytest_plugin_exports_its_fixtures() -> None:
    assert plugin.__all__ == sorted(plugin.__all__)
