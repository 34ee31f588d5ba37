"""A new plugin: a whole distribution over an API that is made up, green as it stands.

`Plan` says what the vendor has, `write` writes the project from the templates beside this module, and
`record_cassettes` records its cassettes. The templates are jinja2: a project has parts that are there or not
by login and by paging, which `string.Template` cannot say.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from mdmsdk.errors import ConfigurationError
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.provider import MdmProvider

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Licence", "Login", "Paging", "Plan", "record_cassettes", "visible", "write"]

Login = Literal["basic", "api-key", "client-credentials", "password", "refresh-token"]
Paging = Literal["position", "number", "token", "link"]
Licence = Literal["Apache-2.0", "MIT"]

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VENDOR = re.compile(r"[\w.&+-][\w .&+-]*")
# What a server in the templates holds of each kind of key, and a sample of it.
_FINDERS = {
    "mac": "self.fleet.by_mac",
    "udid": "self.fleet.by_udid",
    "guid": "self.fleet.by_guid",
    "serial": "self.fleet.by_serial",
    "imei": "self.fleet.by_imei",
    "meid": "self.fleet.by_meid",
    "hostname": "self.fleet.by_hostname",
    "username": "self.fleet.by_username",
    "id": "self._by_id",
}
_SAMPLES = {
    "mac": ("macs", "001b44113ab7"),
    "udid": ("udid", "00008030-001A2B3C4D5E6F70"),
    "guid": ("guid", "51431193-e6c3-4339-9a2b-8f1ff1fd42a2"),
    "serial": ("serial", "S00007"),
    "imei": ("imei", "490154203237518"),
    "meid": ("meid", "A10000009296F2"),
    "hostname": ("name", "laptop-7"),
    "username": ("user", "jane.doe"),
    "id": ("id", "7"),
}


@dataclass(frozen=True, slots=True)
class _LoginWords:
    """What differs between the ways to log in.

    Attributes:
        function: of `mdmsdk.logins`.
        grant: the OAuth grant, where there is a token service.
        settings: each with a sample for `mdm.toml` and what it means.
        account: who needs the right to read devices.
        story: how the made-up API logs in.
    """

    function: str
    grant: str | None
    settings: tuple[tuple[str, str, str], ...]
    account: str
    story: str


_SECRET = '{ env = "MDM_SECRET" }'  # noqa: S105 - where it is kept
_ACCOUNT = (
    ("username", '"reader"', "an account that may read devices"),
    ("password", _SECRET, "its password"),
)
_LOGINS: dict[str, _LoginWords] = {
    "basic": _LoginWords("basic", None, _ACCOUNT, "the account", "HTTP Basic authentication"),
    "api-key": _LoginWords(
        "api_key",
        None,
        (("api_key", _SECRET, "a key that may read devices"),),
        "the key",
        "the key as a bearer token; for a header of its own, override `authorize`",
    ),
    "client-credentials": _LoginWords(
        "client_credentials",
        "client_credentials",
        (
            ("client_id", '"reader"', "an API client that may read devices"),
            ("client_secret", _SECRET, "its secret"),
        ),
        "the API client",
        "`POST /oauth/token` with the client's id and secret in the form",
    ),
    "password": _LoginWords(
        "password_grant",
        "password",
        _ACCOUNT,
        "the account",
        "`POST /oauth/token` with the account in the form; a client too: `password_grant(client=...)`",
    ),
    "refresh-token": _LoginWords(
        "refresh",
        "refresh_token",
        (
            (
                "refresh_token",
                _SECRET,
                "of an account that may read devices; from Python, `on_refresh` stores those that follow it",
            ),
        ),
        "the account",
        "`POST /oauth/token` with the refresh token in the form",
    ),
}
_PAGINGS = {
    "position": ("`offset` and `limit`, with a `total`", "Place, Slice, collect, page_of, walk"),
    "number": (
        "`page` from 1 on and `size`, with a `total`",
        "Place, Slice, by_number, collect, page_of, walk",
    ),
    "token": ("`cursor`, which `next` of the page before gives", "Link, collect_links, walk_links"),
    "link": ("a Link header names the next page", "Link, collect_links, linked_page, walk_links"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new plugin is to be for.

    Attributes:
        name: of the provider, in lower case, such as ``"acme"``.
        vendor: as people write it.
        login: how its API logs in (`mdmsdk.logins`).
        paging: how its lists are read (`mdmsdk.paging`).
        keys: kinds of keys that it can search by.
        licence: of the plugin.

    Raises:
        ConfigurationError: one of them is not usable.
    """

    name: str
    vendor: str
    login: str = "client-credentials"
    paging: str = "token"
    keys: tuple[str, ...] = ("mac", "serial")
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} is no name for a plugin",
                hint="Use lower-case letters, digits and single hyphens.",
            )
        if not _VENDOR.fullmatch(self.vendor):
            raise ConfigurationError(
                f"{self.vendor!r} is no name of a vendor",
                hint="Use letters, digits, spaces and . & + - only.",
            )
        for what, value, known in (
            ("login", self.login, get_args(Login)),
            ("paging", self.paging, get_args(Paging)),
            ("licence", self.licence, get_args(Licence)),
            *(("key", kind, tuple(KEY_KINDS)) for kind in self.keys or ("",)),
        ):
            if value not in known:
                raise ConfigurationError(
                    f"{value!r} is no {what} of ours", hint=f"Choose of: {', '.join(known)}."
                )

    @property
    def package(self) -> str:
        """The name of the package to import."""
        return f"mdmsdk_{self.name.replace('-', '_')}"

    @property
    def folder(self) -> str:
        """The name of the project's folder, which is that of the distribution."""
        return f"mdmsdk-{self.name}"


def write(plan: Plan, parent: Path) -> Path:
    """Write the project of a plan into a new folder, and give that folder.

    Raises:
        ConfigurationError: the folder exists or cannot be written, or jinja2 is missing.
    """
    project = parent / plan.folder
    try:
        project.mkdir(parents=True)
    except FileExistsError:
        raise ConfigurationError(
            f"{project} is there already", hint="Name another one, or move it away."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{project} cannot be made: {error.strerror}") from None
    for path, text in _files(plan).items():
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    _tidy(project)
    return project


def _files(plan: Plan) -> dict[str, str]:
    """Every file of the project with its text."""
    try:
        import jinja2
    except ModuleNotFoundError:
        raise ConfigurationError(
            "a new plugin needs jinja2, which is not installed",
            hint="Install it with: pip install 'mdmsdk[testing]'",
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - what is written is Python, TOML and Markdown; a plan's words are checked
    )
    values = _values(plan)
    places = {
        "README.md": "README.md",
        "pyproject.toml": "pyproject.toml",
        ".gitignore": "gitignore",
        ".github/workflows/ci.yml": "ci.yml",
        f"tests/test_{plan.package[7:]}_contract.py": "tests/test_contract.py",
        f"tests/test_{plan.package[7:]}.py": "tests/test_provider.py",
    }
    for name in (
        "__init__",
        "provider",
        "records",
        "refusals",
        "settings",
        "simulator/__init__",
        "simulator/server",
    ):
        places[f"{plan.package}/{name}.py"] = f"package/{name}.py"
    files = {path: environment.get_template(f"{name}.jinja").render(values) for path, name in places.items()}
    if plan.licence == "Apache-2.0":
        licence = (_TEMPLATES / "LICENSE-Apache-2.0").read_text(encoding="utf-8")
    else:
        licence = environment.get_template(f"LICENSE-{plan.licence}.jinja").render(values)
    return {**files, "LICENSE": licence, f"{plan.package}/py.typed": ""}


def _values(plan: Plan) -> dict[str, Any]:
    """What the templates are filled with."""
    login, (paging_story, paging_imports) = _LOGINS[plan.login], _PAGINGS[plan.paging]
    keys = [kind for kind in KEY_KINDS if kind in plan.keys]
    classes = {kind: KEY_KINDS[kind].__name__ for kind in keys}
    read = {"Key", "Mac", "Serial", *(classes[kind] for kind in keys)}
    records = {
        "position": ["number_of", "total_of"],
        "number": ["number_of", "total_of"],
        "token": ["next_of"],
    }
    names = [*records.get(plan.paging, []), "read_device", "select_failed", "spellings_of"]
    member, text = _SAMPLES[keys[0]]
    settings = login.settings
    return {
        "name": plan.name,
        "vendor": plan.vendor,
        "package": plan.package,
        "prefix": "".join(part.capitalize() for part in plan.name.split("-")),
        "licence": plan.licence,
        "core": ".".join(version("mdmsdk").split(".")[:2]),
        "contract": MdmProvider.contract_version,
        "login": plan.login,
        "paging": plan.paging,
        "keys": keys,
        "tokens": login.grant is not None,
        "static": login.grant is None,
        "grant": login.grant,
        "grant_fields": _quoted(["grant_type", *(name for name, *_ in settings)], "(", ")"),
        "login_function": login.function,
        "login_words": " and ".join(name for name, *_ in settings),
        "account_words": login.account,
        "login_story": login.story,
        "settings": settings,
        "secret": settings[-1][0],
        "sample_login": ", ".join(f'"{name}": "sample"' for name, *_ in settings),
        "paging_story": paging_story,
        "paging_imports": paging_imports,
        "key_imports": ", ".join(sorted(read)),
        "key_classes": [(kind, classes[kind]) for kind in keys],
        "provider_imports": ", ".join(sorted({"Key", *classes.values()})),
        "record_names": _quoted(sorted(["STATES", *names]), "", ""),
        "provider_record_names": ", ".join(sorted(names)),
        "finders": [(kind, _FINDERS[kind]) for kind in keys],
        "first_key": classes[keys[0]],
        "first_parameter": member,
        "first_text": text,
        "answer_rest": {"token": ', "next": None', "link": ""}.get(plan.paging, ', "total": 1'),
    }


def _quoted(words: Sequence[str], before: str, after: str) -> str:
    return before + ", ".join(f'"{word}"' for word in words) + after


def _tidy(project: Path) -> None:
    """Break long lines where names are long, if the tool is there; what is written is right without it."""
    if find_spec("ruff") is None:
        return
    for command in (("check", "--quiet", "--select=F401,I", "--fix"), ("format", "--quiet")):
        # Where it cannot, the project's own check will say why.
        words = [sys.executable, "-m", "ruff", *command, "."]
        subprocess.run(words, cwd=project, check=False, capture_output=True)  # noqa: S603 - a tool of ours


@contextmanager
def visible(project: Path) -> Iterator[Mapping[str, str]]:
    """An environment for programs in which a project counts as installed, without installing it.

    Its entry points are written where Python looks for those of distributions.
    """
    import tomllib

    data = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / f"{data['name'].replace('-', '_')}-{data['version']}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {data['name']}\nVersion: {data['version']}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        lines = [
            line
            for group, points in data.get("entry-points", {}).items()
            for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        path = os.pathsep.join(filter(None, (str(project.resolve()), folder, os.environ.get("PYTHONPATH"))))
        yield {**os.environ, "PYTHONPATH": path}


def record_cassettes(project: Path, name: str) -> None:
    """Record the cassettes of a project's provider from its simulator.

    Raises:
        ConfigurationError: that does not work.
    """
    command = [sys.executable, "-m", "mdmsdk.testing.record", name, "--folder", "cassettes"]
    with visible(project) as environment:
        done = subprocess.run(  # noqa: S603 - our own module
            command, cwd=project, env=environment, check=False, capture_output=True, text=True
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word of it"])[-1]
        raise ConfigurationError(
            f"the cassettes could not be recorded: {last}",
            hint=f"Install pip install 'mdmsdk[testing]', then: python -m mdmsdk.testing.record {name}",
        )
