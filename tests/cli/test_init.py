"""`mdm init`: asks, writes, tries; and never writes a secret."""

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.config import load_config
from tests.cli.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from mdmsdk.simulator import IseSimulator, RunningSimulator
    from tests.cli.conftest import Run, Spawn

    Ise = RunningSimulator[IseSimulator]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(server: Ise, **more: str) -> list[str]:
    values = {"base_url": server.origin, "username": server.settings["username"], **more}
    words = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    return ["--provider", "ise", *words, "--secret", "password=env:MAIN_PASSWORD"]


def test_by_options_a_new_file_that_works_at_once(
    mdm: Run, ise: Ise, password: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIN_PASSWORD", password)
    result = mdm("init", "main", *given(ise, **{"policy.timeout": "5"}))
    assert result.code == 0, result
    assert [line["ok"] for line in result.lines] == [True]
    path = home / "mdm.toml"
    assert password not in path.read_text() + result.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert tomllib.loads(path.read_text()) == {
        "servers": {
            "main": {
                "provider": "ise",
                "base_url": ise.origin,
                "username": ise.settings["username"],
                "policy": {"timeout": 5},
                "password": {"env": "MAIN_PASSWORD"},
            }
        }
    }
    assert mdm("heartbeat").code == 0, "the file is trusted, since it was made here"


def test_a_server_is_added_and_everything_else_stays(
    mdm: Run, ise: Ise, home: Path, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (
        "# ours\n[servers.old]  # the first\nprovider = 'ise'\nbase_url = \"https://old.example\"\n"
        'username = "x"\npassword = { env = "X" }\n\n[federation]\norder = ["old"] # preferred\n'
    )
    path = home / "mdm.toml"
    path.write_text(before)
    monkeypatch.setenv("MAIN_PASSWORD", password)
    assert mdm("init", "main", *given(ise)).code == 0
    text = path.read_text()
    for line in before.splitlines():
        assert line.replace('["old"]', '["old", "main"]') in text
    assert load_config(path).names() == ["old", "main"]
    assert not load_config().trusted, "what others wrote is not trusted on the way"
    result = mdm("init", "main", *given(ise))
    assert (result.code, result.out) == (2, "")
    assert "has a server main already" in result.err
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "missing: Provider"),
        (["--provider", "jmaf"], "is jamf meant?"),
        (["--provider", "ise"], "missing: base_url (the server's address"),
        (["--provider", "ise", "--set", "password=hunter2"], "password is a secret"),
        (["--provider", "ise", "--set", "tls.client_key_password=hunter2"], "is a secret"),
        (["--provider", "ise", "--set", "base_url"], "a setting is NAME=VALUE"),
        (["--provider", "ise", "--secret", "password=hunter2"], "not understood"),
        (["a b", "--provider", "ise"], "'a b' is no name"),
        (
            ["--provider", "ise", "--set", "base_url=http://mdm.example", "--set", "username=x"]
            + ["--secret", "password=env:X"],
            "http would send the credential in clear text",
        ),
    ],
)
def test_what_is_wrong_or_missing_without_a_terminal(
    mdm: Run, home: Path, words: list[str], wanted: str
) -> None:
    result = mdm("init", *words)
    assert (result.code, result.out) == (2, "")
    assert wanted in result.err
    assert "hunter2" not in result.err
    assert not (home / "mdm.toml").exists()


def test_a_secret_that_is_not_there_yet(mdm: Run, ise: Ise, home: Path) -> None:
    result = mdm("init", *given(ise))
    assert result.code == 2
    assert "MAIN_PASSWORD is not set" in result.err
    assert load_config(home / "mdm.toml").names() == ["ise"]
    assert mdm("init", "again", *given(ise), "--no-test").code == 0


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX terminals")
def test_questions(spawn: Spawn, ise: Ise, home: Path, password: str, environment: dict[str, str]) -> None:
    env: dict[str, Any] = environment | {"HOME": str(home / "home")}
    terminal = Terminal(spawn, "init", "--format", "ndjson", columns=200, env=env, cwd=home)
    terminal.answer("Provider, one of", "isee")
    terminal.answer("is ise meant?", "ise")
    terminal.answer("Name of the server", "")
    terminal.answer("base_url (the server's address)", "mdm.example")
    terminal.answer("username (", ise.settings["username"])
    terminal.answer("Where is the password kept", password)
    terminal.answer("not the secret itself", "file secret")
    terminal.answer("The password, to be stored there", password)
    terminal.answer("Another setting", f"base_url={ise.origin}")
    assert terminal.end() == 0, terminal.written
    assert terminal.written.count(password) == 1, "that is what was typed for a place"
    written = load_config(home / "mdm.toml").servers["ise"]
    assert written["password"] == {"file": "secret"}
    assert (home / "secret").read_text() == f"{password}\n"
    assert stat.S_IMODE((home / "secret").stat().st_mode) == 0o600
    assert '"ok": true' in terminal.screen


def test_a_provider_with_several_logins(mdm: Run, home: Path) -> None:
    common = ["--provider", "jamf", "--set", "base_url=https://x.example", "--no-test"]
    assert mdm("init", "a", *common, "--set", "username=u", "--secret", "password=env:P").code == 0
    assert mdm("init", "b", *common, "--set", "client_id=1", "--secret", "client_secret=env:P").code == 0
    servers = load_config(home / "mdm.toml").servers
    assert (servers["a"]["username"], servers["b"]["client_id"]) == ("u", "1")
