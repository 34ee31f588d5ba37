"""The repository says one thing once, and nothing about the machine that it was made on."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Put together from pieces, so that this file does not contain what it looks for.
HOSTS = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "arti" + "factory"]
FOLDERS = ["wo" + "rk", "fa" + "rm", "ro" + "ot"]
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), rf"(?<![\w.\-/}}])/(?:{'|'.join(FOLDERS)})/"]))


def tracked() -> list[Path]:
    """Files that are, or are about to be, under version control."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_file_names_a_registry_or_a_folder_of_this_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (match := FORBIDDEN.search(line))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", [f"https://{HOSTS[0]}/simple", f"see /{FOLDERS[0]}/notes", f'"/{FOLDERS[2]}/.x"']
)
def test_the_search_would_find_them(text: str) -> None:
    assert FORBIDDEN.search(text)


def test_versions_are_pinned_in_constraints_only() -> None:
    assert not [path for path in tracked() if path.name == "uv" + ".lock"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.match(r"#|[a-z0-9-]+==\S+( ; .+)?$", line)] == []


def test_every_ignored_rule_has_a_reason() -> None:
    configured = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    codes = re.findall(r'^ +"([A-Z]+\d*)",(.*)$', configured, flags=re.MULTILINE)
    listed = PYPROJECT["tool"]["ruff"]["lint"]
    expected = [*listed["ignore"], *(code for codes in listed["per-file-ignores"].values() for code in codes)]
    assert [code for code, _ in codes] == expected
    assert [code for code, comment in codes if not re.match(r"\s*# \w+", comment)] == []


def test_python_versions_agree() -> None:
    prefix = "Programming Language :: Python :: "
    listed = PYPROJECT["project"]["classifiers"]
    classifiers = [line.removeprefix(prefix) for line in listed if line.startswith(f"{prefix}3.")]
    assert PYPROJECT["project"]["requires-python"] == f">={classifiers[0]}"
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    matrix = re.search(r"python: \[(.*)\]", workflow)
    assert matrix is not None
    assert re.findall(r'"([\d.]+)"', matrix[1]) == classifiers
    assert f'python-version: "{classifiers[0]}"' in workflow


def test_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    commands = set(re.findall(r"(?:^|`)make ([a-z]+)", readme, flags=re.MULTILINE))
    assert {"demo", "test"} <= commands <= targets


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^<!-- test-command -->\n```console\nmake test\n```$", readme, flags=re.MULTILINE)
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "test-command" in script
    assert "README.md" in script
