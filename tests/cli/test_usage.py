"""Wrong usage and configuration, options, output safety, and what must never be printed."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk import registry
from mdmsdk.cli import main, options, output, plugins
from mdmsdk.cli.keys import all_keys
from mdmsdk.cli.output import csv_text
from mdmsdk.cli.table import TableWriter
from mdmsdk.federation import MdmFederation
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.provider import Capability
from mdmsdk.simulator import Fault, Fleet, IseSimulator, RunningSimulator
from mdmsdk.words import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Configure, Run, Start

    Ise = RunningSimulator[IseSimulator]

UNKNOWN = "00:00:5E:00:53:FE"
SECRET_FROM = """\
[servers.main]
provider = "ise"
base_url = "https://mdm.example"
username = "x"
password = """
ASKING = [["heartbeat"], ["lookup", UNKNOWN], ["noncompliant"]]


# --- wrong usage and configuration


@pytest.mark.parametrize("command", ASKING, ids=lambda words: str(words[0]))
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[servers.main\n", "not valid TOML"),
        ("", "servers is missing"),
        ("[servers.main]\nbase_url = 'https://mdm.example'\n", "provider is missing"),
        ("[servers.main]\nprovider = 'nowhere'\n", "no installed plugin provides 'nowhere'"),
        ("[servers.main]\nprovider = 'ise'\nuser = 'x'\n", "user is not known"),
        (
            SECRET_FROM + "{ env = 'MDM_NO_SUCH_VARIABLE' }",
            "MDM_NO_SUCH_VARIABLE is not set",
        ),
        (
            SECRET_FROM + "{ file = 'no-such-file' }",
            "no-such-file cannot be read",
        ),
    ],
    ids=["toml", "empty", "no provider", "provider", "setting", "env", "file"],
)
def test_a_wrong_configuration(mdm: Run, tmp_path: Path, command: list[str], text: str, wanted: str) -> None:
    config = tmp_path / "mdm.toml"
    config.write_text(text)
    config.chmod(0o600)
    result = mdm(*command, "--config", config)
    assert (result.code, result.out) == (2, "")
    assert wanted in result.err
    assert result.err.startswith("error: ")
    assert "\nhint: " in result.err


def test_no_configuration_at_all(mdm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    result = mdm("heartbeat")
    assert (result.code, result.out) == (2, "")
    assert "mdm simulate" in result.err


@pytest.mark.parametrize(
    "words",
    [
        ["heartbeat", "nowhere"],
        ["lookup", UNKNOWN, "--server", "nowhere"],
        ["noncompliant", "--server", "main", "--server", "nowhere"],
    ],
)
def test_an_unknown_server(mdm: Run, config: Path, words: list[str]) -> None:
    result = mdm(*words, "--config", config)
    assert (result.code, result.out) == (2, "")
    assert "has no server nowhere" in result.err
    assert "hint: It has: main." in result.err


@pytest.mark.parametrize(
    "words",
    [
        ["lookup"],
        ["lookup", "--by", "colour", "red"],
        ["lookup", UNKNOWN, "--format", "yaml"],
        ["heartbeat", "--no-such-option"],
        ["no-such-command"],
        ["simulate", "--port", "70000"],
        ["simulate", "nowhere"],
    ],
)
def test_wrong_usage(mdm: Run, words: list[str]) -> None:
    result = mdm(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err


def test_a_file_that_is_not_there(mdm: Run, config: Path, tmp_path: Path) -> None:
    result = mdm("lookup", "--input", tmp_path / "none", "--config", config)
    assert (result.code, result.out) == (2, "")
    assert "none cannot be read" in result.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["lookpu", UNKNOWN], "Did you mean 'lookup'?"),
        (["lookup", UNKNOWN, "--sever", "main"], "Possible options: --cert, --server"),
        (["lookup", "--by", "seriel", "x"], "is serial meant?"),
        (["lookup", "seriel:C02XK0AAJG5H"], "is serial meant?"),
        (["lookup", UNKNOWN, "--server", "mian"], "is main meant?"),
        (["--config", "mdm.toml", "heartbeat"], "behind the command, as in: mdm heartbeat --config FILE"),
        (["-v", "heartbeat"], "behind the command"),
        (["heartbeat", "Mainn"], "is main meant?"),
        (["doctor", "mian"], "is main meant?"),
        (["simulate", "jmaf"], "is jamf meant?"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(
    mdm: Run, config: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], meant: str
) -> None:
    monkeypatch.setenv("MDMSDK_CONFIG", str(config))
    result = mdm(*words)
    assert result.code == 2
    assert meant in result.err


def test_a_provider_that_is_misspelt(mdm: Run, configure: Configure) -> None:
    result = mdm(
        "heartbeat", "--config", configure(main={"provider": "mereki", "base_url": "https://m.example"})
    )
    assert (result.code, result.out) == (2, "")
    assert "is meraki meant?" in result.err


# --- options


def test_version_and_help(mdm: Run) -> None:
    first, *plugins = mdm("--version").out.splitlines()
    assert first == f"mdm {version('mdmsdk')}"
    assert f"mdmsdk-jamf {version('mdmsdk-jamf')}" in plugins
    shown = mdm("--help")
    assert shown.code == 0
    for command in ("providers", "heartbeat", "lookup", "noncompliant", "simulate", "demo"):
        assert command in shown.out
        assert mdm(command, "--help").code == 0


def test_the_environment_names_the_configuration(
    mdm: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MDMSDK_CONFIG", str(config))
    assert mdm("heartbeat").code == 0


def test_the_shell_completes_names(config: Path) -> None:
    ctx: Any = SimpleNamespace(params={"config": config})
    assert options.complete_server(ctx, "ma") == ["main"]
    assert options.complete_server(SimpleNamespace(params={"config": "/no/such/file"}), "") == []  # type: ignore[arg-type]
    assert options.complete_kind("u") == ["udid", "username"]
    assert options.complete_simulator("is") == ["ise"]


# --- providers


def test_providers_are_listed_without_being_imported(mdm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str) -> None:
        raise AssertionError("imported")

    monkeypatch.setattr(plugins, "load_provider", refuse)
    result = mdm("providers")
    assert result.code == 0
    (ise,) = [row for row in result.lines if row["name"] == "ise"]
    assert list(ise) == ["name", "vendor", "distribution", "version", "keys", "capabilities"]
    assert (ise["distribution"], ise["vendor"], ise["keys"], ise["capabilities"]) == (
        "mdmsdk",
        None,
        None,
        None,
    )


def test_a_broken_provider_is_told_and_takes_nobody_down(mdm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = registry.PluginInfo("broken", "mdmsdk-broken", "1.0", "no.such.module:Provider")
    monkeypatch.setattr(plugins, "installed", lambda: [broken, *registry.installed()])
    result = mdm("providers", "--details")
    assert result.code == 0
    first, *others = result.lines
    assert (first["name"], first["vendor"], first["keys"]) == ("broken", None, None)
    assert "broken" in result.err
    (ise,) = [row for row in others if row["name"] == "ise"]
    assert "mac" in ise["keys"]
    assert set(ise["keys"]) <= KEY_KINDS.keys()
    assert set(ise["capabilities"]) <= set(Capability)


@pytest.mark.parametrize("chosen", ["table", "json", "ndjson", "csv"])
def test_providers_in_every_format(mdm: Run, chosen: str) -> None:
    for more in ([], ["--details"]):
        result = mdm("providers", "--format", chosen, *more)
        assert result.code == 0
        assert "mdmsdk" in result.out


# --- nothing but text reaches the terminal, a formula no spreadsheet


def test_control_characters_become_visible() -> None:
    assert one_line("a\x1b[31mb\x9bc\x07\u202ed\ud800") == r"a\x1b[31mb\x9bc\x07\u202ed\ud800"
    assert one_line(" two\r\n lines\tof \x7f text ") == r"two  lines of \x7f text"
    assert one_line("Müller 日本 👩‍💻") == "Müller 日本 👩‍💻"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20SUM(A1)", "\u22121"]
)
def test_a_formula_becomes_text(text: str) -> None:
    assert csv_text(text) == f"'{text}"
    assert csv_text([text, text]) == f"'{text}; '{text}"


def test_numbers_in_csv_stay_numbers() -> None:
    assert [csv_text(value) for value in (-1.5, 3, None, True, "\x1b=1")] == [
        "-1.5",
        "3",
        "",
        "true",
        r"\x1b=1",
    ]


def test_a_hostile_server_cannot_act_through_the_output(
    mdm: Run, configure: Configure, start: Start, fleet: Fleet
) -> None:
    victim = next(d for d in fleet if d.registered and d.compliance == "noncompliant" and d.wifi_mac)
    hostile = "=cmd()[bold red]\u009b31m\u202etxt[/bold red]"
    running = start(fleet.replace(victim, model=hostile, failure_reasons=("[link=x]y[/link]\u009b2J",)))
    config = configure(main=running)
    for command in (["lookup", f"guid:{victim.guid}"], ["noncompliant"]):
        for chosen in ("table", "csv", "json", "ndjson"):
            result = mdm(*command, "--config", config, "--format", chosen)
            assert result.code == 0
            assert not set(result.out) & {"\x1b", "\x9b", "\u202e"}
            assert "[bold red]" in result.out
            assert ",=cmd" not in result.out
            assert ('"=cmd' in result.out) == (chosen in {"json", "ndjson"})


# --- secrets


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["plain", "debug"])
def test_no_secret_is_ever_shown(
    mdm: Run, configure: Configure, ise: Ise, password: str, debug: list[str]
) -> None:
    basic = base64.b64encode(f"ise:{password}".encode()).decode()
    config = configure(main=ise, refused=ise.settings | {"username": "other"})
    known = next(device.guid for device in ise.simulator.fleet if device.registered)
    seen = ""
    for command in (["heartbeat"], ["lookup", f"guid:{known}", "bad"], ["noncompliant"], ["providers"]):
        for chosen in ("table", "json", "ndjson", "csv"):
            result = mdm(*command, "--config", config, "--format", chosen, *debug)
            seen += result.out + result.err
    assert password not in seen
    assert basic not in seen
    assert bool(debug) == ("mdmsdk.http" in seen)


# --- what nobody expected


WORDS = "with a secret in it"


class UnforeseenError(Exception):
    pass


@pytest.fixture
def defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise UnforeseenError(WORDS)

    monkeypatch.setattr(MdmFederation, "from_config", fail)


@pytest.mark.usefixtures("defect")
def test_an_unexpected_error_is_one_line(mdm: Run) -> None:
    result = mdm("heartbeat")
    assert (result.code, result.out) == (70, "")
    assert len(result.err.splitlines()) == 1
    assert "UnforeseenError" in result.err
    assert "secret" not in result.err


@pytest.mark.usefixtures("defect")
def test_debug_shows_where(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["heartbeat", "--debug"]) == 70
    shown = capfd.readouterr().err
    assert "test_usage.py" in shown
    assert WORDS not in shown


def test_without_its_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, mdm: Run
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "mdmsdk.cli.app")
    result = mdm("providers")
    assert result.code == 2
    assert "pip install 'mdmsdk[cli]'" in result.err


@pytest.mark.parametrize("command", ["simulate", "demo"])
def test_without_the_extra_simulator(monkeypatch: pytest.MonkeyPatch, mdm: Run, command: str) -> None:
    for name in [name for name in sys.modules if name.startswith("mdmsdk.simulator")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    result = mdm(command)
    assert (result.code, result.out) == (2, "")
    assert "pip install 'mdmsdk[simulator]'" in result.err


# --- what is loaded


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from mdmsdk.cli import main; main(['lookup', '--help'])\n"
        "heavy = {'mdmsdk.client', 'mdmsdk.models', 'httpx', 'httpx2', 'stevedore', 'tenacity', 'lxml'}\n"
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


# --- tables


def shown(
    rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: Any, columns: str
) -> list[str]:
    monkeypatch.setenv("COLUMNS", columns)
    view = output.View(
        table=[
            output.Column("KEY", lambda row: row["key"]),
            output.Column("NAME", lambda row: row["name"], 20),
            output.Column("REASONS", lambda row: row["why"]),
        ],
        csv=[],
    )
    writer = TableWriter(view)
    for row in rows:
        writer.write(row)
    writer.close()
    return str(capsys.readouterr().out).splitlines()


ROWS: list[dict[str, Any]] = [
    {"key": "k" * 12, "name": "日本語" * 6, "why": "word " * 20},
    {"key": "k", "name": None, "why": None},
]


def test_a_wide_table_keeps_texts_beside_their_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    title, row, more, last = shown(ROWS, monkeypatch, capsys, "100")
    assert title.split() == ["KEY", "NAME", "REASONS"]
    assert row.startswith("kkkkkkkkkkkk  日本語日本語日本語…   word")
    assert more.startswith(" " * 36 + "word")
    assert last == "k"


def test_a_narrow_table_puts_them_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(ROWS, monkeypatch, capsys, "30")
    assert lines[0].split() == ["KEY", "NAME"]
    assert lines[2].startswith("    word")
    assert all(len(line) <= 30 for line in lines)


def test_without_a_terminal_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(ROWS, monkeypatch, capsys, "")
    assert len(lines) == 3
    assert "日本語" * 6 in lines[1]
    assert "word " * 19 in lines[1]


def test_a_long_table_is_written_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"key": str(number), "name": "n", "why": "w"} for number in range(250)]
    rows[249]["key"] = "longer than all before"
    lines = shown(rows, monkeypatch, capsys, "")
    assert len(lines) == 251
    assert lines[250].startswith("longer than all before  n")


# --- keys


def test_the_bar_knows_how_many_keys_come(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# keys\na\n\nb,c\n")
    with all_keys(["x"], str(tmp_path / "keys"), by=None, column=None) as (_, total):
        assert total == 3
    with all_keys(["x"], "-", by=None, column=None) as (_, total):
        assert total is None


def test_a_fault_of_the_server_is_one_per_answer(mdm: Run, configure: Configure, ise: Ise) -> None:
    ise.simulator.faults.add(Fault("login_page", match="querycriteria=guid"))
    result = mdm("lookup", "guid:x", "guid:y", "--config", configure(main=ise))
    assert result.code == 3
    assert [row["complete"] for row in result.lines] == [False, False]
    assert json.dumps(result.lines[0]["outcomes"][0]["error"]["type"]) == '"MalformedResponseError"'


def test_a_configuration_that_was_only_found_is_trusted_once(
    mdm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / "data" / name)
    lines = ["[servers.lab]", 'provider = "ise"', f'base_url = "{dead["base_url"]}"', 'username = "nac"']
    command = f"password = {{ command = [{sys.executable!r}, '-c', 'open(\"ran\", \"w\"); print(1)'] }}"
    (tmp_path / "mdm.toml").write_text("\n".join([*lines, command]))
    refused = mdm("heartbeat")
    assert refused.code == 2
    assert "hint: Look at it." in refused.err
    assert not (tmp_path / "ran").exists()
    assert json.loads(mdm("config", "trust").out) == {"trusted": str(tmp_path / "mdm.toml")}
    assert mdm("heartbeat").code == 3  # it was asked, and nobody is there
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_a_script_for_the_completion_of_each_shell(
    mdm: Run, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("_MDM_COMPLETE", f"source_{shell}")
    result = mdm()
    assert (result.code, result.err) == (0, "")
    assert "_MDM_COMPLETE" in result.out
    assert f"complete_{shell}" in result.out
