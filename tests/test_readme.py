"""What readers are told to type works: code, commands, configuration of README, tutorials and how-to pages.

A page is one run from top to bottom, in an empty folder, its blocks sharing their names. How a page can be
run although it names servers that do not exist, without a word of it in the page:

* `connect` and `mdm.toml` build their providers through `make_provider`. Here it first checks the settings
  as the page has them, and then puts those of a simulator of the same provider in their place, unless the
  address is already one of this machine. Secrets kept elsewhere are not read; where they are kept is checked.
* One device of the fleet behind these simulators has the MAC address that the pages ask for.
* A ``python`` or ``toml`` block whose first line is a comment with a file name is saved under that name.
  Other ``toml`` blocks with servers become ``mdm.toml``. A ``pyproject.toml`` is installed by writing what
  pip would write for its entry points.
* A ``text`` block directly below a ``python`` block is what that prints. In a ``console`` block with ``$``,
  lines without it are what the command above prints, on stdout and then on stderr. Outputs are compared
  loosely: any number may stand for another, any white space too, ``…`` for anything, and a line of ``…``
  for any lines.
* ``mdm`` and ``python -m`` commands are run, ``mdm simulate`` in the background until the page ends. A
  command ends with 0 or is followed by ``echo $?``. ``make``, ``nox`` and ``pip`` cannot run inside a test:
  their targets, sessions, distributions and extras have to exist, ``make`` targets as ``.ci/run`` runs them.

Whatever is not run has ``<!-- not run: REASON -->`` above it; a page is skipped if one of its
``<!-- needs: PACKAGES -->`` is not installed. Pages of vendors, which may need a tenant, are
compiled and parsed, their configuration is checked, and their code runs as far as it connects to something;
their commands are parsed only.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import mdmsdk.client
import mdmsdk.config
from mdmsdk.cli import main
from mdmsdk.client.build import checked, make_provider, provider_for
from mdmsdk.config import FederationSettings, load_config
from mdmsdk.registry import load_simulator
from mdmsdk.settings import is_loopback
from mdmsdk.simulator import Fleet, RunningSimulator, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdmsdk.provider import MdmProvider
    from mdmsdk.settings import ProviderSettings

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLUGINS = sorted(path.name.removeprefix("mdmsdk-") for path in ROOT.glob("plugins/mdmsdk-*"))
OURS = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("tutorials/*.md")),
    *sorted(path for path in (ROOT / "docs").glob("how-to/*.md") if path.stem not in PLUGINS),
]
VENDORS = [
    *sorted(path for path in (ROOT / "docs").glob("how-to/*.md") if path.stem in PLUGINS),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
ASKED_MAC = "001B44113AB7"
_SLOW = "asyncio or drip or endless or hang or reset or server-error"
LANGUAGES = {"python", "console", "toml", "text", "{include}", "{toctree}"}

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*?) -->\s*$")
NEEDS = re.compile(r"^<!-- needs: ([\w ]+) -->$", re.MULTILINE)
FILE_NAME = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")
SHELL = re.compile(r"[|<>&;]|\$\(")


@dataclass
class Block:
    """One fenced block of a page.

    Attributes:
        prints: what a block of code prints, where the page shows it.
        reason: why it is not run.
    """

    page: Path
    line: int
    language: str
    text: str
    reason: str | None = None
    prints: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, text: str | None = None) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8") if text is None else text
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        before = text[end : match.start()]
        end = match.end()
        language = match["language"].partition(" ")[0]
        if language == "text" and found and found[-1].language == "python" and not before.strip():
            found[-1].prints = match["text"]
            continue
        skipped = NOT_RUN.search(before)
        found.append(
            Block(
                page,
                text.count("\n", 0, match.start()) + 1,
                language,
                textwrap.dedent(match["text"]),
                skipped["reason"] if skipped else None,
            )
        )
    return found


def line_pattern(shown: str) -> str:
    """A shown line as a pattern: numbers and white space are free, and so is what an ellipsis stands for."""
    pattern = re.escape(shown.strip())
    pattern = re.sub(r"(?:\\ |\s)+", r"\\s+", pattern)
    pattern = re.sub(r"\d+", r"\\d+", pattern)
    return pattern.replace("…", ".*")


def missing_line(shown: str, printed: str) -> str | None:
    """The first shown line that was not printed where it should be; None if all were."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    anywhere = False
    for expected in filter(None, map(str.strip, shown.splitlines())):
        if expected in {"…", "..."}:
            anywhere = True
            continue
        places = range(len(lines)) if anywhere else range(min(1, len(lines)))
        hit = next((at for at in places if re.fullmatch(line_pattern(expected), lines[at])), None)
        if hit is None:
            return expected
        lines, anywhere = lines[hit + 1 :], False
    return lines[0] if lines and shown.strip() and not anywhere else None


@dataclass
class Command:
    """One line of a console block and what the page shows below it."""

    words: str
    shown: str = ""


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    lines = block.text.splitlines(keepends=True)
    prompted = any(line.startswith("$ ") for line in lines)
    for line in lines:
        if not prompted:
            words = line.partition(" #")[0].strip()
            found += [Command(words)] if words and not words.startswith("#") else []
        elif found and found[-1].words == "mdm demo":
            found[-1].shown += line  # it prints commands with a prompt itself
        elif line.startswith("$ "):
            found.append(Command(line[2:].partition("  #")[0].strip()))
        else:
            assert found, f"{block}: output before the first command"
            found[-1].shown += line
    return found


def check_make(command: Command) -> None:
    """A target that the checks run, literally or as the README's test command."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    marked = re.search(r"^<!-- test-command -->\n```console\n(.*?)```", readme, re.MULTILINE | re.DOTALL)
    assert marked
    run = [*marked[1].splitlines(), *script.splitlines()]
    assert command.words in run, f"{command.words!r} is not what .ci/run runs"


def check_nox(command: Command) -> None:
    """A session of the noxfile."""
    words = shlex.split(command.words)
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
    assert words[1] == "-l" or words[2].partition("(")[0] in sessions, f"{command.words!r}: no such session"


def check_pip(command: Command) -> None:
    """Distributions of this repository with extras that they have; tools of the test environment."""
    words = shlex.split(command.words)
    assert words[:2] == ["pip", "install"], command.words
    for requirement in (word for word in words[2:] if not word.startswith("-")):
        name, _, extras = requirement.rstrip("]").partition("[")
        folder = ROOT if name == "mdmsdk" else ROOT / "plugins" / name
        if not name.startswith("mdmsdk"):
            assert name in {"pytest", "trio"}, f"{command.words!r}: {name} is not known here"
            continue
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        unknown = set(filter(None, extras.split(","))) - set(project.get("optional-dependencies", {}))
        assert not unknown, f"{command.words!r}: {name} has no extra {unknown}"


CHECKS = {"make": check_make, "nox": check_nox, "pip": check_pip}


def check_parses(words: str) -> None:
    """An `mdm` command that exists, with options that it has."""
    import click
    from typer.main import get_command

    from mdmsdk.cli.app import app

    group = get_command(app)
    name, *rest = shlex.split(words)[1:] or ["--help"]
    with click.Context(group) as context:  # type: ignore[arg-type]  # typer carries its own copy of click
        command = getattr(group, "commands", {}).get(name)
        assert command or name.startswith("-"), f"{words!r}: no such command"
        if command and "--help" not in rest:
            command.make_context(name, rest, parent=context, resilient_parsing=True)
            known = {option for parameter in command.params for option in parameter.opts}
            used = {word.partition("=")[0] for word in rest if word.startswith("--")}
            assert used <= known | {"--help"}, f"{words!r}: {used - known}"


@dataclass
class Page:
    """A page that is being run, in a folder of its own."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    code: int = 0
    background: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, block: Block) -> None:
        if block.reason:
            return
        if block.language in {"python", "toml"} and (named := FILE_NAME.match(block.text)):
            self.save(named[1], block.text)
        if block.language == "python" and not FILE_NAME.match(block.text):
            self.execute(block)
        elif block.language == "toml":
            self.configure(block)
        elif block.language == "console":
            shown = commands(block)
            for index, command in enumerate(shown):
                self.command(block, command)
                asked = index + 1 < len(shown) and shown[index + 1].words == "echo $?"
                assert self.code == 0 or asked, f"{block}: {command.words!r} ended with {self.code}"

    def save(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name == "pyproject.toml":
            self.install(tomllib.loads(text)["project"])

    def install(self, project: Mapping[str, Any]) -> None:
        """What `pip install -e` leaves behind, as far as entry points go."""
        name, version = project["name"], project["version"]
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [
            line
            for group, points in project["entry-points"].items()
            for line in (f"[{group}]", *(f"{point} = {target}" for point, target in points.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))

    def execute(self, block: Block) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # `async with` may stand where a reader has his own coroutine
        code = compile(block.text, str(block), "exec", flags=flags, dont_inherit=True)
        self.capsys.readouterr()
        result = eval(code, self.names)  # noqa: S307 - our own pages
        if inspect.isawaitable(result):
            asyncio.run(_await(result))
        printed = self.capsys.readouterr().out
        if block.prints is not None:
            lacking = missing_line(block.prints, printed)
            assert lacking is None, f"{block}: {lacking!r} does not fit\n{printed}"

    def configure(self, block: Block) -> None:
        data = tomllib.loads(block.text)
        if "federation" in data:
            checked(FederationSettings, data["federation"], f"{block}: federation")
        servers = data.get("servers", {})
        if not servers or any("provider" not in server for server in servers.values()):
            return
        self.save("mdm.toml", block.text)
        config = load_config(self.folder / "mdm.toml")
        for name in servers:
            config.provider(name)

    def command(self, block: Block, command: Command) -> None:
        program = command.words.partition(" ")[0]
        if check := CHECKS.get(program):
            check(command)
            self.code = 0
            return
        if command.words == "echo $?":
            out, err = f"{self.code}\n", ""
            self.code = 0
        elif command.words.startswith("mdm simulate"):
            out, err = self.start(command.words)
        elif program == "mdm" and not SHELL.search(command.words):
            self.capsys.readouterr()
            self.code = main(shlex.split(command.words)[1:])
            out, err = self.capsys.readouterr()
        else:
            assert program in {"mdm", "python"}, f"{block}: {command.words!r} is not run; say why"
            out, err = self.shell(command.words)
        if command.shown:
            lacking = missing_line(command.shown, out + err)
            assert lacking is None, f"{block}: {command.words}: {lacking!r} does not fit\n{out}{err}"

    def shell(self, words: str) -> tuple[str, str]:
        done = subprocess.run(
            ["bash", "-c", words],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        self.code = done.returncode
        return done.stdout, done.stderr

    def environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        path = os.pathsep.join([programs, os.environ.get("PATH", "")])
        return {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(self.folder),
            # Of the contract suite of a page's plugin, what is quick: its code is the same in both modes.
            "PYTEST_ADDOPTS": f"-p no:cacheprovider -k 'not (Contract and ({_SLOW}))'",
        }

    def start(self, words: str) -> tuple[str, str]:
        """Serve in the background, and give what is said until everything is up."""
        said = self.folder / ".said"
        with said.open("w") as both:
            process = subprocess.Popen(
                [*_MDM, *shlex.split(words)[1:], "--duration", "60"],
                cwd=self.folder, env=self.environment(), stdout=both, stderr=both, text=True,
            )  # fmt: skip
        self.background.append(process)
        until = time.monotonic() + 20
        while "mdm heartbeat" not in (text := said.read_text(encoding="utf-8")):
            assert process.poll() is None, text
            assert time.monotonic() < until, text
            time.sleep(0.05)
        self.code = 0
        return text, ""

    def stop(self) -> None:
        for process in self.background:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


_MDM = (sys.executable, "-c", "import sys; from mdmsdk.cli import main; sys.exit(main())")


async def _await(result: Any) -> None:
    await result


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lets simulators answer for the servers that pages name; gives the providers that were asked."""
    fleet = Fleet.generate(size=60)
    known = next(
        device
        for device in fleet
        if device.registered
        and device.compliance == "compliant"
        and device.kind == "phone"
        and device.wifi_mac
    )
    fleet = fleet.replace(known, wifi_mac=ASKED_MAC)
    running: dict[str, RunningSimulator[Any]] = {}
    asked: list[str] = []
    with ExitStack() as stack:

        def simulated(name: str, settings: Mapping[str, Any]) -> MdmProvider:
            provider = make_provider(name, settings)  # as the page has it
            asked.append(name)
            if is_loopback(
                provider.settings.base_url.partition("://")[2].partition(":")[0].partition("/")[0]
            ):
                return provider
            if name not in running:
                # The pages' user and password, where the simulator can have others than its own.
                habits = {"username": "nac", "password": "…"} if name == "ise" else {}
                running[name] = stack.enter_context(serve(load_simulator(name)(fleet, **habits)))
            theirs = {key: value for key, value in running[name].settings.items() if key != "provider"}
            if settings.get("password") == "wrong":
                theirs["password"] = "wrong"
            kept = {key: settings[key] for key in ("policy", "keep_raw") if key in settings}
            return make_provider(name, {**theirs, **kept})

        def simulated_for(settings: ProviderSettings, name: str | None = None) -> MdmProvider:
            given = {key: getattr(settings, key) for key in settings.model_fields_set}
            return simulated(name or provider_for(settings).name, given)

        monkeypatch.setattr(mdmsdk.client, "make_provider", simulated)
        monkeypatch.setattr(mdmsdk.client, "provider_for", simulated_for)
        monkeypatch.setattr(mdmsdk.config, "make_provider", simulated)
        monkeypatch.setattr(mdmsdk.config, "read_secret", _secret)
        yield asked


def _secret(source: Mapping[str, Any], folder: Path) -> str:
    del folder
    assert len(source) == 1
    assert source.keys() <= {"env", "file", "keyring", "command"}
    # Of the form that some secrets must have.
    return "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stand_in: list[str]
) -> Iterator[Page]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MDMSDK_CONFIG", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # where it is set, tables are made to fit
    running = Page(tmp_path, capsys)
    yield running
    running.stop()


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", OURS, ids=named)
def test_page_does_what_it_says(path: Path, page: Page) -> None:
    for needed in NEEDS.findall(path.read_text(encoding="utf-8")):
        for name in needed.split():
            pytest.importorskip(name, reason=f"{name}, which the page uses, is in the group servers")
    for block in blocks(path):
        page.run(block)


@pytest.mark.parametrize("path", VENDORS, ids=named)
def test_page_of_a_vendor_is_sound(path: Path, page: Page) -> None:
    for block in blocks(path):
        if block.language == "console" and not block.reason:
            for command in commands(block):
                if check := CHECKS.get(command.words.partition(" ")[0]):
                    check(command)
                elif command.words.startswith("mdm "):
                    check_parses(command.words)
        elif block.language == "python":
            compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            page.run(block)
        elif block.language == "toml":
            page.run(block)


def test_the_readme_has_what_a_newcomer_needs(stand_in: list[str]) -> None:
    text = "".join(block.text for block in blocks(ROOT / "README.md"))
    for needed in (
        "make demo",
        "make test",
        "mdmsdk.connect(",
        "mdmsdk.connect_async(",
        "mdm simulate",
        "mdm lookup",
    ):
        assert needed in text
    assert stand_in == []


def test_the_readme_names_every_provider() -> None:
    from mdmsdk.registry import installed

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [plugin.name for plugin in installed() if f"`{plugin.name}`" not in readme] == []


@pytest.mark.parametrize("path", OURS, ids=named)
def test_every_block_says_what_it_is(path: Path) -> None:
    assert [str(block) for block in blocks(path) if block.language not in LANGUAGES] == []


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        ("a  12 ms\n", "a 3   ms\n", None),
        ("a\n…\nz\n", "a\nb\nc\nz\n", None),
        ("a …\n", "a bcd\n", None),
        ("a\n", "b\n", "a"),
        ("a\n", "a\nb\n", "b"),
        ("a\n…\n", "a\nb\n", None),
    ],
)
def test_outputs_are_compared_loosely_but_compared(shown: str, printed: str, missing: str | None) -> None:
    assert missing_line(shown, printed) == missing


@pytest.mark.parametrize(
    "text",
    [
        "```python\nimport mdmsdk\nmdmsdk.connect('ise', base_url='https://a.example', usrname='a')\n```\n",
        "```python\nprint(1)\n```\n\n```text\none\n```\n",
        "```console\nmake tea\n```\n",
        "```console\npip install mdmsdk[no-such-extra]\n```\n",
        "```console\nnox -s no-such-session\n```\n",
        "```console\nmdm lookup\n```\n",
        "```console\n$ mdm --version\nmdm version one\n```\n",
        '```toml\n[servers.a]\nprovider = "ise"\nbase_url = "http://mdm.example"\n```\n',
        "```toml\n[federation]\nmerge = 'none'\n```\n",
        "```console\ncurl https://mdm.example\n```\n",
    ],
)
def test_a_wrong_page_is_noticed(text: str, page: Page) -> None:
    (first, *_) = blocks(ROOT / "README.md", text)
    with pytest.raises((AssertionError, mdmsdk.MdmError)):
        page.run(first)
