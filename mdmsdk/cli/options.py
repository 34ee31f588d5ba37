"""The options that commands share, and what the shell may offer for them."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.words import nearest

Format = Literal["table", "json", "ndjson", "csv"]


def _verbose(wanted: bool) -> bool:
    if wanted:
        from mdmsdk.cli.report import listen

        listen(logging.DEBUG)
    return wanted


def _quiet(wanted: bool) -> bool:
    if wanted:
        from mdmsdk.cli.report import listen

        listen(logging.ERROR)
        _no_progress(wanted)
    return wanted


def _no_progress(wanted: bool) -> bool:
    if wanted:
        from mdmsdk.cli.bar import want_bars

        want_bars(wanted=False)
    return wanted


def check_kind(kind: str | None) -> str | None:
    """Refuse what is no kind of key."""
    if kind is not None and kind not in KEY_KINDS:
        raise typer.BadParameter(
            f"{kind!r} is not one of {', '.join(KEY_KINDS)}{nearest(kind, KEY_KINDS) or '.'}"
        )
    return kind


def complete_kind(incomplete: str) -> list[str]:
    """Kinds of keys that begin so."""
    return [kind for kind in KEY_KINDS if kind.startswith(incomplete)]


def complete_server(ctx: typer.Context, incomplete: str) -> list[str]:
    """Configured servers whose names begin so; none without a configuration."""
    from mdmsdk.config import load_config
    from mdmsdk.errors import MdmError

    try:
        names = load_config(ctx.params.get("config")).names()
    except MdmError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_simulator(incomplete: str) -> list[str]:
    """Installed simulators whose names begin so."""
    from mdmsdk.registry import SIMULATORS, installed

    return [plugin.name for plugin in installed(SIMULATORS) if plugin.name.startswith(incomplete)]


def complete_provider(incomplete: str) -> list[str]:
    """Installed providers whose names begin so."""
    from mdmsdk.registry import installed

    return [plugin.name for plugin in installed() if plugin.name.startswith(incomplete)]


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Configuration; default: $MDMSDK_CONFIG, ./mdm.toml, the user's."
    ),
]
Output = Annotated[
    Format | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="table, json, ndjson or csv; default: table on a terminal, ndjson elsewhere.",
        show_default=False,
    ),
]
NamedServers = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SERVER",
        help="Names from the configuration; default: all.",
        autocompletion=complete_server,
    ),
]
Servers = Annotated[
    list[str] | None,
    typer.Option(
        "--server",
        metavar="SERVER",
        help="Ask only this server; may be repeated.",
        autocompletion=complete_server,
    ),
]


def _shared(  # pragma: no cover - only its signature counts
    *,
    config: Config = None,
    format_: Output = None,
    no_progress: Annotated[
        bool,
        typer.Option(
            "--no-progress", callback=_no_progress, help="Show no progress bar.", show_default=False
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", callback=_quiet, help="Nothing but errors on stderr.", show_default=False
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            "--debug",
            callback=_verbose,
            help="Log requests to stderr, without secrets.",
            show_default=False,
        ),
    ] = False,
) -> None:
    """The options of every command."""


SHARED = dict(inspect.signature(_shared, eval_str=True).parameters)
"""By name, the parameters that every command has. The callbacks see to those that no command takes itself."""
