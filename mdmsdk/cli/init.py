"""The command `init`: asks what a server needs, writes it down, and tries it."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from mdmsdk.cli.report import FAILED, OK, complain, remark
from mdmsdk.cli.servers import heartbeat
from mdmsdk.cli.written import add_server
from mdmsdk.client.build import checked, kinds_of
from mdmsdk.config import FILE_NAME, read_secret
from mdmsdk.errors import ConfigurationError, SecretError
from mdmsdk.registry import installed, load_provider
from mdmsdk.words import nearest, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.cli.options import Format

_NAME = re.compile(r"[A-Za-z0-9_-]+")
# The ways of logging in that providers share (mdmsdk.logins), the ones to be preferred first.
_WAYS = (
    ("client_id", "client_secret"),
    ("api_key",),
    ("username", "password"),
    ("access_token",),
    ("token",),
)
_PLACES = "env NAME, file PATH, keyring SERVICE/USER, or command WORDS"


def init(
    config: Path | None,
    chosen: Format | None,
    *,
    name: str | None,
    provider: str | None,
    settings: Sequence[str],
    secrets: Sequence[str],
    test: bool,
) -> int:
    """Write one server into the configuration; ask for what is missing if somebody is there to answer."""
    path = config or Path(os.environ.get("MDMSDK_CONFIG") or FILE_NAME)
    questions = _Questions()
    provider = provider or questions.ask("Provider, one of " + ", ".join(one.name for one in installed()))
    model: type[BaseModel] | None = None
    while model is None:
        try:
            model = load_provider(provider).settings_type
        except ConfigurationError as error:
            provider = questions.again(error, "Provider")
    name = name or questions.ask("Name of the server, as you call it", provider)
    while not _NAME.fullmatch(name):
        wrong = ConfigurationError(
            f"{one_line(name)!r} is no name", hint="Letters, digits, - and _ make a name."
        )
        name = questions.again(wrong, "Name")
    form = _Form(name, model, path.parent, questions)
    for text in settings:
        form.take(text)
    for text in secrets:
        form.keep(text)
    form.complete()
    add_server(path, name, {"provider": provider, **form.values})
    remark(f"The server {name} is written to {path}, which only you can read.")
    if not test:
        return OK
    code = heartbeat(path, chosen, [name])
    if code == FAILED:
        remark(f"It does not work yet; see what is wrong: mdm doctor {name}")
    return code


class _Questions:
    """Asks the person at the terminal, if there is one."""

    def __init__(self) -> None:
        self._possible = sys.stdin.isatty()

    def ask(self, question: str, default: str | None = None) -> str:
        """An answer that is not empty.

        Raises:
            ConfigurationError: nobody is there to answer.
        """
        if not self._possible:
            if default is not None:
                return default
            raise ConfigurationError(
                f"missing: {question}",
                hint="Give it as an option, as `mdm init --help` shows; there is no terminal to ask on.",
            )
        while True:
            sys.stderr.write(f"{question}{f' [{default}]' if default else ''}: ")
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                raise ConfigurationError("the answers ended; nothing is written", hint="Begin again.")
            if answer := line.strip() or default:
                return answer

    def again(self, error: ConfigurationError, question: str) -> str:
        """Say what is wrong with an answer and ask once more; raises the error if nobody is there."""
        if not self._possible:
            raise error
        complain(error)
        return self.ask(question)

    def hidden(self, question: str) -> str:
        """An answer that is not shown, empty where there is none."""
        return getpass.getpass(question, stream=sys.stderr) if self._possible else ""


class _Form:
    """The settings of one server, as they are going to be written.

    Attributes:
        values: by name; secrets as the place where they are kept.
    """

    def __init__(self, name: str, model: type[BaseModel], folder: Path, questions: _Questions) -> None:
        self.values: dict[str, Any] = {}
        self._name = name
        self._model = model
        self._fields = model.model_fields
        self._folder = folder
        self._questions = questions

    def take(self, text: str) -> None:
        """Take a setting as ``NAME=VALUE``.

        Raises:
            ConfigurationError: it is a secret, or has no name.
        """
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigurationError("a setting is NAME=VALUE", hint=self._known())
        *above, last = name.split(".")
        if self._is_secret(above, last):
            raise ConfigurationError(
                f"{name} is a secret, which is not written down",
                hint=f"Say where it is kept: --secret {name}=env:NAME",
            )
        table = self.values
        for part in above:
            table = table.setdefault(part, {})
        table[last] = value if str in self._kinds(above, last) else _read(value)

    def keep(self, text: str) -> None:
        """Take the place of a secret as ``NAME=KIND:PLACE``."""
        name, _, place = text.partition("=")
        found = _place_of(place.replace(":", " ", 1))
        if found is None:
            raise ConfigurationError(
                "the place of a secret is not understood", hint="Write it as --secret NAME=env:VARIABLE."
            )
        self.values[name.strip()] = found

    def complete(self) -> None:
        """Ask for what is missing, until the provider takes the settings."""
        for ask_for in (self._required, self._login):  # which login is asked when the rest is known
            for name in ask_for():
                if name not in self.values:
                    self._ask(name)
        while True:
            try:
                checked(self._model, self._stand_in(self.values), "given")
            except ConfigurationError as error:
                self._correct(error)
            else:
                return

    def _correct(self, error: ConfigurationError) -> None:
        answer = self._questions.again(error, "Another setting, as NAME=VALUE")
        name = answer.partition("=")[0].strip()
        try:
            if self._is_secret([], name):
                self._ask(name)
            else:
                self.take(answer)
        except ConfigurationError as wrong:
            complain(wrong)

    def _required(self) -> list[str]:
        return [name for name, field in self._fields.items() if field.is_required()]

    def _login(self) -> Sequence[str]:
        """The settings of one way to log in; none where the provider has a way of its own."""
        ways = [way for way in _WAYS if all(name in self._fields for name in way)]
        free = [way for way in ways if not all(self._fields[name].is_required() for name in way)]
        begun = [way for way in free if self.values.keys() & {way[-1]}]
        if begun or not free or "certificate" in self.values:
            return begun[0] if begun else ()
        if len(free) == 1:
            return free[0]
        told = [" and ".join(way) for way in free]
        answer = self._questions.ask(f"Log in with {'; '.join(told)}", told[0])
        while not (found := [way for way, text in zip(free, told, strict=True) if _same(answer, way, text)]):
            wrong = ConfigurationError(f"no such login{nearest(answer, told)}", hint="; ".join(told))
            answer = self._questions.again(wrong, "Log in with")
        return found[0]

    def _ask(self, name: str) -> None:
        meaning = _meaning(self._model, name)
        question = f"{name} ({meaning})" if meaning else name
        if not self._is_secret([], name):
            self.take(f"{name}={self._questions.ask(question)}")
            return
        default = f"env {self._name}_{name}".upper().replace("-", "_").replace("ENV ", "env ", 1)
        answer = self._questions.ask(f"Where is the {name} kept: {_PLACES}", default)
        while (place := _place_of(answer)) is None:
            wrong = ConfigurationError(
                "that is no place", hint=f"A place is {_PLACES}; not the secret itself."
            )
            answer = self._questions.again(wrong, f"Where is the {name} kept")
        self.values[name] = place
        self._store(name, place)

    def _store(self, name: str, place: dict[str, Any]) -> None:
        """Say if the secret is not there; put it into a new file if it is given."""
        try:
            read_secret(place, self._folder)
        except SecretError as error:
            remark(f"note: {error.message}. {error.hint}")
            file = self._folder / Path(str(place.get("file", ""))).expanduser()
            if (
                "file" in place
                and not file.exists()
                and (
                    secret := self._questions.hidden(
                        f"The {name}, to be stored there (not shown; empty: later): "
                    )
                )
            ):
                with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
                    out.write(f"{secret}\n")

    def _kinds(self, above: Sequence[str], last: str) -> set[Any]:
        """The types of a setting; none where there is no such."""
        fields = self._fields
        for part in above:
            kinds = kinds_of(fields[part].annotation) if part in fields else set()
            inner = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
            fields = next((kind.model_fields for kind in inner), {})
        return kinds_of(fields[last].annotation) if last in fields else set()

    def _is_secret(self, above: Sequence[str], last: str) -> bool:
        return SecretStr in self._kinds(above, last)

    def _stand_in(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with something in the place of each secret, which need not be there yet."""
        return {
            name: SecretStr("x") if self._is_secret([], name) and isinstance(value, dict) else value
            for name, value in values.items()
        }

    def _known(self) -> str:
        return f"The settings are: {', '.join(self._fields)}."


def _same(answer: str, way: Sequence[str], text: str) -> bool:
    return answer.lower() == text or answer.lower() in way


def _read(value: str) -> Any:
    """A value that is no text, as TOML writes it."""
    try:
        return tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return value


def _place_of(text: str) -> dict[str, Any] | None:
    kind, _, rest = text.strip().partition(" ")
    if not rest.strip():
        return None
    try:
        words = shlex.split(rest) if kind == "command" else []
    except ValueError:
        return None
    return {kind: words or rest.strip()} if kind in {"env", "file", "keyring", "command"} else None


def _meaning(model: type[BaseModel], name: str) -> str:
    """What the docstrings of the settings say about one."""
    for owner in model.__mro__:
        if found := re.search(
            rf"^\s+{name}: (.+?)(?:[;.]|\n\s+\w+: |\n\n|\Z)", owner.__doc__ or "", re.MULTILINE | re.DOTALL
        ):
            return re.sub(r"[\s`]+", " ", found[1]).strip()
    return ""
