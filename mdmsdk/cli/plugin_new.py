"""The command `plugin new`."""

from __future__ import annotations

import sys
from operator import itemgetter
from typing import TYPE_CHECKING, Any, get_args

from mdmsdk.cli.formats import writing
from mdmsdk.cli.output import Column, View, put
from mdmsdk.cli.report import OK, say
from mdmsdk.errors import ConfigurationError
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.testing.scaffold import Licence, Login, Paging, Plan, record_cassettes, write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mdmsdk.cli.options import Format

WRITTEN = View(
    table=[Column("WRITTEN", itemgetter("folder"))],
    csv=[Column(name, itemgetter(name)) for name in ("name", "distribution", "folder")],
)


def plugin_new(
    chosen: Format | None,
    name: str,
    *,
    vendor: str | None,
    login: str | None,
    paging: str | None,
    keys: Sequence[str],
    licence: str | None,
    folder: Path,
) -> int:
    """Write a new plugin's project; what is not given is asked for on a terminal, or has a default."""
    ask = _Ask(interactive=sys.stdin.isatty())
    defaults = Plan(name=name, vendor="x")
    plan = Plan(
        name=name,
        vendor=vendor or ask("Vendor, as people write it", name.replace("-", " ").title(), str),
        login=login or ask("Login", defaults.login, _one_of(get_args(Login))),
        paging=paging or ask("Pages of lists by", defaults.paging, _one_of(get_args(Paging))),
        keys=tuple(keys) or ask("Keys to search by", ",".join(defaults.keys), _some_of(tuple(KEY_KINDS))),
        licence=licence or ask("Licence", defaults.licence, _one_of(get_args(Licence))),
    )
    project = write(plan, folder)
    record_cassettes(project, plan.name)
    row = {"name": plan.name, "distribution": plan.folder, "folder": str(project)}
    if chosen in {None, "table"}:
        put(f"{project}\n")
    else:
        with writing(WRITTEN, chosen) as out:
            out.write(row)
    say(f"It is green over an API that is made up; {project / 'README.md'} says what to replace. Next:")
    say(f"cd {project} && pip install -e . --group dev && python -m pytest && mdm plugin check .")
    return OK


class _Ask:
    """Asks on a terminal, and takes the default elsewhere."""

    def __init__(self, *, interactive: bool) -> None:
        self._interactive = interactive

    def __call__(self, what: str, default: str, read: Callable[[str], Any]) -> Any:
        """What was answered, as it was read; asked again for as long as it cannot be."""
        if not self._interactive:
            return read(default)
        import typer

        while True:
            try:
                return read(typer.prompt(what, default=default, err=True))
            except ConfigurationError as error:
                say(str(error))


def _one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ConfigurationError(f"choose one of: {', '.join(known)}")
        return text

    return read


def _some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    one = _one_of(known)
    return lambda text: tuple(one(part.strip()) for part in text.split(","))
