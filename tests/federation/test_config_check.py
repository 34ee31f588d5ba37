"""All problems of a configuration at once, each with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdmsdk.config import load_config
from mdmsdk.config_check import Problem, check_config
from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """[servers.good]
provider = "ise"
base_url = "https://good.example"
username = "nac"
password = "hunter2"
"""
BAD = """[servers.one]
provider = "isee"

[servers.two]
provider = "ise"   # a comment
base_url = "http://two.example"
username = "nac"
pasword = "hunter2"

[servers.two.policy]
timeout = -1

[servers.three]
provider = "ise"
base_url = "https://three.example"
username = "nac"
password = { env = "NO_SUCH_VARIABLE" }
tls = { ca_file = "nowhere.pem" }

[servers."four"]
base_url = "https://four.example"

[federation]
order = ["two", "thre"]
patience = "long"
[fedration]
"""


@pytest.fixture(autouse=True)
def no_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MDMSDK_CONFIG", raising=False)


def check(tmp_path: Path, text: str) -> list[Problem]:
    path = tmp_path / "mdm.toml"
    path.write_text(text)
    return check_config(path)


def test_a_good_one_has_none(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []


def test_each_problem_stands_at_its_line(tmp_path: Path) -> None:
    problems = check(tmp_path, BAD)
    assert [(one.line, one.place) for one in problems] == [
        (2, "servers.one.provider"),
        (4, "servers.two.password"),
        (6, "servers.two.base_url"),
        (8, "servers.two.pasword"),
        (11, "servers.two.policy.timeout"),
        (17, "servers.three.password"),
        (18, "servers.three.tls.ca_file"),
        (20, "servers.four"),
        (24, "federation.order"),
        (25, "federation.patience"),
        (26, "fedration"),
    ]
    words = {one.place: one.message for one in problems}
    assert "is ise meant" in words["servers.one.provider"] or "'isee'" in words["servers.one.provider"]
    assert "is password meant" in words["servers.two.pasword"]
    assert "NO_SUCH_VARIABLE" in words["servers.three.password"]
    assert "is three meant" in words["federation.order"]
    assert "is federation meant" in words["fedration"]
    assert "hunter2" not in repr(problems)


@pytest.mark.parametrize(("text", "line"), [("[servers.a]\nx = \n", 2), ("[servers\n", 1)])
def test_what_is_no_toml_is_one_problem(tmp_path: Path, text: str, line: int) -> None:
    (problem,) = check(tmp_path, text)
    assert problem.line == line


def test_no_server_is_one(tmp_path: Path) -> None:
    assert [one.place for one in check(tmp_path, "")] == ["servers"]
    assert [one.place for one in check(tmp_path, "servers = 7")] == ["servers"]


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        check_config(tmp_path / "nowhere.toml")


def test_a_found_one_reads_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mdm.toml").write_text(GOOD.replace('"hunter2"', '{ command = ["false"] }'))
    monkeypatch.setattr("mdmsdk.config.is_trusted", lambda *_: False)
    (problem,) = check_config()
    assert (problem.place, "was found, not named" in problem.message) == ("servers.good.password", True)


def test_the_store_is_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "mdm.toml"
    file.write_text(
        GOOD
        + """
[store]
url = "redis://redis.example/0"
ky = "x"
max_size = 5
password = { env = "NO_SUCH_VARIABLE" }
ca_file = "nowhere.pem"
"""
    )
    found = {problem.place: (problem.line, problem.message) for problem in check_config(file)}
    assert found.keys() == {"store.url", "store.ky", "store.max_size", "store.password", "store.ca_file"}
    assert found["store.url"] == (
        8,
        "url: redis:// sends all in clear text; rediss:// is wanted (redis:// for loopback only)",
    )
    assert "is key meant?" in found["store.ky"][1]
    assert "NO_SUCH_VARIABLE" in found["store.password"][1]
    file.write_text(GOOD + '[store]\nurl = "sqlite:store.db"\nkey = "short"\n')
    (problem,) = check_config(file)
    assert problem.message == "key: it has fewer than 16 characters and could be guessed"
    file.write_text(GOOD + '[store]\nurl = "sqlite:store.db"\n')
    (problem,) = check_config(file)
    assert (problem.place, problem.line) == ("store", 6)
    assert "key is missing" in problem.message
    file.write_text(GOOD + '[store]\nurl = "sqlite:store.db"\nkey = "correct-horse-battery"\n')
    assert check_config(file) == []
    assert load_config(file).store_settings().file == tmp_path / "store.db"
    assert not (tmp_path / "store.db").exists()


def test_limits_above_the_vendors_are_told(tmp_path: Path) -> None:
    file = tmp_path / "mdm.toml"
    file.write_text(GOOD + "[servers.good.limits]\nrate = 1000\nconcurrency = 1000\n")
    (problem,) = check_config(file)  # the protocol has no rate
    assert (problem.place, problem.line) == ("servers.good.limits.concurrency", 8)
    assert "10 counts" in problem.message
