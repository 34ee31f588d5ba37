"""The options that commands share, and what the shell may offer for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mdmsdk.identifiers import KEY_KINDS

Format = Literal["table", "json", "ndjson", "csv"]


def _debug(wanted: bool) -> bool:
    if wanted:
        from mdmsdk.cli.report import turn_on_debug

        turn_on_debug()
    return wanted


def check_kind(kind: str | None) -> str | None:
    """Refuse what is no kind of key."""
    if kind is not None and kind not in KEY_KINDS:
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(KEY_KINDS)}.")
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
        help="Form of the output; default: table on a terminal, ndjson elsewhere.",
        show_default=False,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", callback=_debug, help="Log requests to stderr, without secrets.", show_default=False
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
        metavar="NAME",
        help="Ask only this server; may be repeated.",
        autocompletion=complete_server,
    ),
]
