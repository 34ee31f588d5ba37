"""What the pages say is so: their programs run, their settings load, and no setting is left out."""

import re
import tomllib
from pathlib import Path

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.registry import load_provider

ROOT = Path(__file__).parents[3]
README = ROOT / "plugins" / "mdmsdk-ivanti" / "README.md"
HOW_TO = ROOT / "docs" / "how-to" / "ivanti.md"
REFERENCE = ROOT / "docs" / "reference" / "ivanti.md"
PROVIDERS = ["ivanti-core", "ivanti-cloud", "ivanti-core-ise", "ivanti-cloud-ise"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("page", [README, HOW_TO], ids=["readme", "how-to"])
def test_programs_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    programs = blocks(page, "python")
    assert programs
    for program in programs:
        exec(compile(program, str(page), "exec"), {})  # noqa: S102 - what a reader is told to run
    assert "compliant" in capsys.readouterr().out


def test_configurations_load() -> None:
    configurations = blocks(HOW_TO, "toml")
    assert len(configurations) >= 4
    for text in configurations:
        for server in tomllib.loads(text)["servers"].values():
            plain = {name: "x" if isinstance(value, dict) else value for name, value in server.items()}
            name = plain.pop("provider")
            assert make_provider(name, plain).name == name


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_setting_is_explained(name: str) -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    assert [
        field for field in load_provider(name).settings_type.model_fields if f"`{field}`" not in page
    ] == []
