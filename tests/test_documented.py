"""What a user can name stands in the reference, and what is public has a docstring.

A name counts as documented where an entry of the page that it belongs to begins with it, as code: in the
first cell of a table's row, in a heading, or in the term of a definition. A mention in passing is none. A
setting of a table inside the settings may also stand under its path, as ``policy.timeout`` does. A vendor's
settings belong on the vendor's page, except the common ones and those of the Cisco ISE MDM API. Signatures
come from docstrings, by way of the API page.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic import BaseModel

import mdmsdk
import mdmsdk.errors
from mdmsdk.cli.report import DEFECT, FAILED, INTERRUPTED, NOT_WRITTEN, OK, READER_GONE, UNKNOWN, WRONG
from mdmsdk.client.build import kinds_of
from mdmsdk.config import FederationSettings
from mdmsdk.directory import DirectorySettings
from mdmsdk.gateway.settings import GatewaySettings, GatewayTls, IseFace, RestFace, RestKey
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.ise import IseProvider, IseServiceSettings, IseSettings
from mdmsdk.provider import Capability, Limits
from mdmsdk.registry import installed, load_provider
from mdmsdk.settings import ComplianceSettings, LowerLimits, Policy, ProviderSettings, TlsSettings
from mdmsdk.simulator.faults import FaultKind
from mdmsdk.simulator.ise import IseHabits
from mdmsdk.store import StoreSettings
from mdmsdk.testing import plugin as pytest_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
# The modules that users and plugin authors import from; each is on the API page.
MODULES = [
    "client",
    "config",
    "doctor",
    "errors",
    "federation",
    "flow",
    "identifiers",
    "ise",
    "models",
    "paging",
    "changes",
]
MODULES += ["provider", "registry", "rules", "settings", "simulator", "store", "testing", "wire"]
CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


ENTRY = re.compile(r"^(?:\|(?P<cell>[^|]*)\||#+ (?P<heading>.*)$|(?P<term>\S.*)\n: )", re.MULTILINE)


@cache
def entries(page: str) -> frozenset[str]:
    """The names with which the entries of a page of the reference begin; none where there is no page."""
    if not (REFERENCE / page).is_file():
        return frozenset()
    text = FENCED.sub("", (REFERENCE / page).read_text(encoding="utf-8"))
    begun = " ".join("".join(match.groups(default="")) for match in ENTRY.finditer(text))
    spans = CODE.findall(begun)
    return frozenset(word for span in spans for word in (span, *re.findall(r"[\w.-]+", span)))


def missing(names: list[str], page: str) -> list[str]:
    """The names that have no entry on the page."""
    return [name for name in names if name not in entries(page)]


def nested(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, str]]:
    """Name and path of every field of a model, those of models inside it too."""
    for name, field in model.model_fields.items():
        yield name, f"{path}{name}"
        for kind in sorted(kinds_of(field.annotation), key=str):
            if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not model:
                yield from nested(kind, f"{path}{name}.")


def missing_settings(model: type[BaseModel], page: str, path: str = "") -> list[str]:
    """The settings that have no entry on the page, neither by name nor by path."""
    known = entries(page)
    return sorted({full for name, full in nested(model, path) if name not in known and full not in known})


def homes(provider: str) -> list[tuple[type[BaseModel], str]]:
    """Where an installed provider's settings belong: the common ones, those of a dialect, its own."""
    cls = load_provider(provider)
    owner = next(point.distribution for point in installed() if point.name == provider)
    found: list[tuple[type[BaseModel], str]] = [(ProviderSettings, "settings.md")]
    if issubclass(cls.settings_type, IseServiceSettings):
        found.append((IseSettings, "ise.md"))
    if owner and owner != "mdmsdk":
        found.append((cls.settings_type, f"{owner.removeprefix('mdmsdk-')}.md"))
    return found


PROVIDERS = [point.name for point in installed()]


def test_every_public_name_is_on_the_api_page() -> None:
    page = (REFERENCE / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^.. auto(?:class|function):: (\w+)$", page, re.MULTILINE))
    for module in re.findall(r"^.. automodule:: (\S+)$", page, re.MULTILINE):
        listed |= set(importlib.import_module(module).__all__)
    public = {name for module in MODULES for name in importlib.import_module(f"mdmsdk.{module}").__all__}
    assert sorted((public | set(mdmsdk.__all__)) - listed) == []


@pytest.mark.parametrize("name", MODULES)
def test_every_public_module_is_on_the_api_page(name: str) -> None:
    page = (REFERENCE / "api.md").read_text(encoding="utf-8")
    assert re.search(rf"^.. (?:automodule|py:module):: mdmsdk\.{name}$", page, re.MULTILINE)


def test_every_error_has_its_line() -> None:
    assert missing(list(mdmsdk.errors.__all__), "errors.md") == []


def test_every_attribute_of_an_error_is_told() -> None:
    error = mdmsdk.errors.MdmError("why")
    kinds = [getattr(mdmsdk.errors, name) for name in mdmsdk.errors.__all__]
    attributes = {name for kind in kinds for name in vars(kind("why"))} | set(vars(error))
    assert missing(sorted(attributes), "errors.md") == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_setting_is_on_the_page_where_it_belongs(provider: str) -> None:
    left = dict.fromkeys(path for _, path in nested(load_provider(provider).settings_type))
    for model, page in homes(provider):
        known = entries(page)
        for name, path in nested(model):
            if path in left and not {name, path}.isdisjoint(known):
                del left[path]
    lacking = [f"{path} on {homes(provider)[-1][1]}" for path in left]
    assert lacking == []


def test_every_common_setting_is_told() -> None:
    assert missing_settings(ProviderSettings, "settings.md") == []
    assert missing_settings(Policy, "settings.md", "policy.") == []
    assert missing_settings(LowerLimits, "settings.md", "limits.") == []
    assert missing_settings(TlsSettings, "settings.md", "tls.") == []
    assert missing_settings(FederationSettings, "settings.md", "federation.") == []
    assert missing_settings(StoreSettings, "settings.md", "store.") == []
    assert missing_settings(DirectorySettings, "settings.md", "directory.") == []
    assert missing_settings(ComplianceSettings, "settings.md", "compliance.") == []
    assert missing_settings(GatewaySettings, "gateway.md", "gateway.") == []
    assert missing_settings(GatewayTls, "gateway.md", "gateway.tls.") == []
    assert missing_settings(IseFace, "gateway.md", "gateway.ise.") == []
    assert missing_settings(RestFace, "gateway.md", "gateway.rest.") == []
    assert missing_settings(RestKey, "gateway.md", "gateway.rest.keys.") == []


def test_every_default_of_the_policy_is_told() -> None:
    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    for name, field in Policy.model_fields.items():
        row = re.search(rf"^\| `policy\.{name}` \|[^|]*\|([^|]*)\|", text, re.MULTILINE)
        assert row, name
        assert float(row[1].replace(",", "")) == field.default, name


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_is_on_a_page(provider: str) -> None:
    page = REFERENCE / homes(provider)[-1][1]
    assert page.is_file()
    assert f"`{provider}`" in page.read_text(encoding="utf-8")


def test_what_the_readme_says_of_providers_is_what_they_declare() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`[^|]+`) \|[^|]*\|([^|]*)\|([^|]*)\| `([\w-]+)` \|$", readme, re.MULTILINE)
    rows = {name: row for row in table for name in re.findall(r"`([\w-]+)`", row[0])}
    wrong = []
    for point in installed():
        cls = load_provider(point.name)
        names, keys, capabilities, distribution = rows.get(point.name, ("", "", "", ""))
        kinds = {kind.kind for kind in (IseProvider.keys if keys.strip() == "as `ise`" else cls.keys)}
        told = set(filter(None, keys.strip().split(", "))) if keys.strip() != "as `ise`" else kinds
        if told != {kind.kind for kind in cls.keys}:
            wrong.append(f"{point.name} looks up by {sorted(kind.kind for kind in cls.keys)}")
        if set(filter(None, capabilities.strip().split(", "))) != {item.value for item in cls.capabilities}:
            wrong.append(f"{point.name} can {sorted(cls.capabilities)}")
        if distribution != point.distribution:
            wrong.append(f"{names or point.name} is in {point.distribution}")
    assert wrong == []


def test_every_key_capability_and_limit_is_told() -> None:
    names = [*KEY_KINDS, *(kind.__name__ for kind in KEY_KINDS.values())]
    names += [word for item in Capability for word in (item.value, item.name)]
    names += [field.name for field in fields(Limits)]
    assert missing(names, "capabilities.md") == []


def test_every_command_and_option_is_told() -> None:
    from typer.main import get_command

    from mdmsdk.cli.app import app

    group = get_command(app)
    commands: dict[str, Any] = getattr(group, "commands")  # noqa: B009 - typer's group has it, its base has not
    parameters = [parameter for command in (group, *commands.values()) for parameter in command.params]
    options = [option for parameter in parameters for option in parameter.opts if option.startswith("-")]
    assert missing(["--help", "-h", *options], "command-line.md") == []
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    assert [name for name in commands if not re.search(rf"^### `mdm {name}\b", text, re.MULTILINE)] == []
    told = dict.fromkeys(re.findall(r"^### `mdm (\w+)", text, re.MULTILINE))  # a group has several commands
    assert list(told) == list(commands)


def test_every_exit_code_is_told() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert told == {OK, UNKNOWN, WRONG, FAILED, DEFECT, NOT_WRITTEN, INTERRUPTED, READER_GONE}


def test_every_field_of_a_json_line_is_told() -> None:
    from mdmsdk.cli import rows
    from mdmsdk.federation import Answer, Heartbeat, Outcome, Status
    from mdmsdk.federation.rows import heartbeat_row, lookup_row
    from mdmsdk.registry import PluginInfo

    outcome = Outcome(server="a", provider="ise", status=Status.NOT_FOUND)
    samples = [
        rows.provider_row(PluginInfo("ise", None, None, ""), None),
        heartbeat_row(Heartbeat(server="a", provider="ise")),
        lookup_row(Answer(key=mdmsdk.Guid("g"), device=None, outcomes=(outcome,))),
        lookup_row(Answer(key=mdmsdk.Guid("g"), device=None, outcomes=(outcome,)))["outcomes"][0],
    ]
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    shapes = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for sample in samples:
        assert any(all(f'"{name}"' in shape for name in sample) for shape in shapes), sorted(sample)


def test_every_fixture_fault_and_habit_is_told() -> None:
    names = [*pytest_plugin.__all__, *get_args(FaultKind), *(field.name for field in fields(IseHabits))]
    assert missing(names, "simulator.md") == []


def public_members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Everything public that a module defines or hands on, with the members of its classes."""
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        yield f"{module.__name__}.{name}", value
        if not inspect.isclass(value):
            continue
        for member, inner in vars(value).items():
            function = inner.__func__ if isinstance(inner, classmethod | staticmethod) else inner
            if not member.startswith("_") and (
                inspect.isfunction(function) or isinstance(function, property)
            ):
                yield f"{module.__name__}.{name}.{member}", getattr(value, member)


@pytest.mark.parametrize("name", MODULES)
def test_whatever_is_public_has_a_docstring(name: str) -> None:
    module = importlib.import_module(f"mdmsdk.{name}")
    lacking = [
        place
        for place, value in public_members(module)
        # A test's name says what it shows; getdoc finds what a method inherits.
        if not inspect.getdoc(value) and ".test_" not in place and not isinstance(value, enum.EnumMeta)
    ]
    assert lacking == []
    assert module.__doc__


def test_every_page_is_reached() -> None:
    for folder in ("tutorials", "how-to", "reference", "explanation"):
        index = (ROOT / "docs" / folder / "index.md").read_text(encoding="utf-8")
        assert ":glob:" in index
        assert not [path for path in (ROOT / "docs" / folder).iterdir() if path.suffix != ".md"]


def test_the_search_finds_a_gap() -> None:
    class Gap(ProviderSettings):
        undocumented_setting: str = ""

    assert missing_settings(Gap, "settings.md") == ["undocumented_setting"]
    assert missing(["NoSuchError"], "errors.md") == ["NoSuchError"]


def test_the_page_of_signatures_is_what_the_command_writes() -> None:
    from mdmsdk.testing.signatures import page

    written = (REFERENCE / "plugin-signatures.md").read_text(encoding="utf-8")
    assert written == page(), (
        "write it again: python -m mdmsdk.testing.signatures > docs/reference/plugin-signatures.md"
    )
