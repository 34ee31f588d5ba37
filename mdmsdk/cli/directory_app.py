"""The commands `directory ...`, which keep the directory of the servers' inventories."""

from __future__ import annotations

from typing import Annotated

import typer

from mdmsdk.cli.command import command
from mdmsdk.cli.options import Config, NamedServers, Output  # noqa: TC001 - typer reads them

directory_app: typer.Typer = typer.Typer(
    help="Keep a directory of which records show an identifier.", no_args_is_help=True
)


@command(directory_app, "mdm directory build", "mdm directory build meraki --full", name="build")
def build(
    *,
    servers: NamedServers = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything, even where a server tells what changed.")
    ] = False,
    config: Config = None,
    format_: Output = None,
) -> int:
    """Walk through the servers' inventories now.

    Goes on with a walk that was broken off. Exit code 3 if one is not complete.
    """
    from mdmsdk.cli.directory import build

    return build(config, format_, servers or (), full=full)


@command(directory_app, "mdm directory status", "mdm directory status --format json", name="status")
def status(*, servers: NamedServers = None, config: Config = None, format_: Output = None) -> int:
    """Show how complete and how old it is.

    Exit code 3 if a server's is incomplete or too old.
    """
    from mdmsdk.cli.directory import status

    return status(config, format_, servers or ())


@command(directory_app, "mdm directory export --format csv > directory.csv", name="export")
def export(*, servers: NamedServers = None, config: Config = None, format_: Output = None) -> int:
    """List all identifiers with the records that showed them.

    Exit code 3 if a server's is incomplete or too old.
    """
    from mdmsdk.cli.directory import export

    return export(config, format_, servers or ())
