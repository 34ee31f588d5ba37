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


def published(*patterns: str) -> list[Path]:
    """The files of the repository under these patterns."""
    command = ["git", "ls-files", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    return [path for name in listed if (path := ROOT / name).is_file()]


def test_samples_hold_no_secret() -> None:
    samples = published("tests/samples")
    found = {path: find_secrets(path.read_text(encoding="utf-8", errors="replace")) for path in samples}
    assert {path: secrets for path, secrets in found.items() if secrets} == {}


def test_documents_hold_no_secret() -> None:
    # Examples show where a secret belongs; what no example needs is one that looks real.
    shown = ("a secret field", "a credential in a URL")
    found = {
        f"{path.relative_to(ROOT)} {secret}"
        for path in published("docs", "*.md", "*.toml", "*.yml")
        if path.suffix not in {".png", ".svg"}
        for secret in find_secrets(path.read_text(encoding="utf-8"))
        if not secret.endswith(shown)
    }
    assert found == set()
