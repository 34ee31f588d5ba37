"""Nothing that is published holds a secret: cassettes, samples, documents, and the code itself."""

import subprocess
from pathlib import Path

import pytest

from mdmsdk.testing import find_secrets

ROOT = Path(__file__).parents[1]
CASSETTES = sorted(ROOT.glob("cassettes/**/*.*"))


@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: str(path.relative_to(ROOT / "cassettes")))
def test_a_cassette_holds_no_secret_and_says_where_it_comes_from(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert find_secrets(text) == []
    assert "127.0.0.1" not in text
    assert "localhost" not in text
    if path.suffix == ".yaml":
        assert text.startswith("# Recorded from: ")


def test_there_are_cassettes() -> None:
    assert len(CASSETTES) > 10


def test_samples_and_documents_hold_no_secret() -> None:
    command = ["git", "ls-files", "tests/samples", "docs", "*.md", "*.toml", "*.yml"]
    files = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    found = {
        name: secrets
        for name in files
        if (ROOT / name).is_file()
        and (secrets := find_secrets((ROOT / name).read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}
