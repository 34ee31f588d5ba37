"""How a function becomes a command: with the options that all commands have, and examples in its help."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from mdmsdk.cli.options import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., int]


class _Command(TyperCommand):
    """Its help names arguments by their metavars, and has the shared options and the examples apart."""

    examples: tuple[str, ...] = ()

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Of every command": []}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                names, text = record
                if param.param_type_name == "argument":
                    sections["Arguments"].append((names.partition(" ")[0], text))
                else:
                    shared = param.name in SHARED or param.name == "help"
                    sections["Of every command" if shared else "Options"].append((names, text))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def command(app: typer.Typer, *examples: str, name: str | None = None) -> Callable[[Command], Command]:
    """Make a function a command of an application.

    The function takes what it needs of the shared options, as ``config`` and ``format_``, and returns the
    exit code.

    Args:
        app: the application.
        examples: lines for the help, each at most 56 characters long.
        name: of the command; default: the function's.
    """

    def add(function: Command) -> Command:
        own = inspect.signature(function, eval_str=True)

        @wraps(function)
        def run(**given: Any) -> None:
            raise typer.Exit(function(**{key: given[key] for key in own.parameters}))

        special = [one for one in own.parameters.values() if one.name not in SHARED]
        parameters = [*special, *SHARED.values()]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        app.command(name, cls=type("Command", (_Command,), {"examples": examples}))(run)
        return function

    return add
