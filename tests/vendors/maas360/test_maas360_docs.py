"""The pages about this vendor: their programs run, and every setting stands there."""

import re
import tomllib
from pathlib import Path

import pytest

from mdmsdk.client.build import checked
from mdmsdk.registry import load_provider

ROOT = Path(__file__).parents[3]
PAGES = [
    ROOT / "plugins/mdmsdk-maas360/README.md",
    ROOT / "docs/how-to/maas360.md",
    ROOT / "docs/reference/maas360.md",
]


def blocks(language: str) -> list[str]:
    return [
        block
        for page in PAGES
        for block in re.findall(
            rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
    ]


@pytest.mark.parametrize("block", blocks("python"))
def test_programs_run(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "page", "exec"), {})  # noqa: S102 - our own pages
    assert capsys.readouterr().out


@pytest.mark.parametrize("block", blocks("toml"))
def test_settings_are_taken(block: str) -> None:
    for name, table in tomllib.loads(block)["servers"].items():
        model = load_provider(table.pop("provider")).settings_type
        plain = {
            field: "read-from-elsewhere" if isinstance(value, dict) and "env" in value else value
            for field, value in table.items()
        }
        assert checked(model, plain, name).model_fields_set


@pytest.mark.parametrize("provider", ["maas360", "maas360-ise"])
def test_every_setting_is_in_the_reference(provider: str) -> None:
    text = PAGES[2].read_text(encoding="utf-8")
    assert {
        name for name in load_provider(provider).settings_type.model_fields if f"`{name}`" not in text
    } == set()
