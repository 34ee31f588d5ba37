"""The commands and their options. What a command needs is imported when it runs: help comes at once."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from mdmsdk.cli import version_line
from mdmsdk.cli.options import (
    Config,
    Debug,
    NamedServers,
    Output,
    Servers,
    check_kind,
    complete_kind,
    complete_simulator,
)
from mdmsdk.identifiers import KEY_KINDS

app: typer.Typer = typer.Typer(
    name="mdm",
    help="Ask MDM servers: are you there, does this device comply, which devices do not?",
    epilog="Exit codes: 0 fine, 1 a device is unknown, 2 wrong usage or configuration, 3 a server failed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

config_app: typer.Typer = typer.Typer(help="Look after the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""


def _end(code: int) -> None:
    raise typer.Exit(code)


@app.command()
def providers(
    *,
    details: Annotated[
        bool, typer.Option("--details", help="Load each plugin and show what it can do.")
    ] = False,
    config: Config = None,  # noqa: ARG001 - every command takes it
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """List the installed providers."""
    from mdmsdk.cli.plugins import providers

    _end(providers(format_, details=details))


@app.command()
def heartbeat(
    *,
    servers: NamedServers = None,
    config: Config = None,
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """Check that servers are there and let us in. Exit code 3 if one does not."""
    from mdmsdk.cli.servers import heartbeat

    _end(heartbeat(config, format_, servers or ()))


@app.command()
def doctor(
    *,
    servers: NamedServers = None,
    redacted: Annotated[
        bool,
        typer.Option(
            "--redacted", help="Replace host names, addresses and user names: for a support ticket."
        ),
    ] = False,
    config: Config = None,
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """Find out, step by step, what is wrong with servers, and what to do. Exit code 3 if something is."""
    from mdmsdk.cli.doctor import doctor

    _end(doctor(config, format_, servers or (), redacted=redacted))


@app.command()
def lookup(
    *,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="MAC address, UDID, GUID, IMEI, user@name; or KIND:VALUE."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help=f"All keys are of this kind: {', '.join(KEY_KINDS)}.",
            callback=check_kind,
            autocompletion=complete_kind,
        ),
    ] = None,
    server: Servers = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Keys from a file, one a line or the first column of CSV; - is stdin.",
        ),
    ] = None,
    config: Config = None,
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """Ask all servers about devices. Exit code 1 if one is unknown to all, 3 if a server failed."""
    if not keys and source is None:
        raise typer.BadParameter("give a KEY or --input.", param_hint="KEY")
    from mdmsdk.cli.servers import lookup

    _end(lookup(config, format_, server or (), keys=keys or (), by=by, source=source))


@app.command()
def noncompliant(
    *,
    server: Servers = None,
    reasons: Annotated[
        bool,
        typer.Option(
            "--reasons", help="Ask for reasons in detail where the list lacks them; costs requests."
        ),
    ] = False,
    config: Config = None,
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """List the devices that do not comply. Exit code 3 if the list is not complete."""
    from mdmsdk.cli.servers import noncompliant

    _end(noncompliant(config, format_, server or (), reasons=reasons))


@app.command()
def simulate(
    *,
    vendors: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VENDOR",
            help="Providers to simulate; default: all installed.",
            autocompletion=complete_simulator,
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=0, help="Number of devices.")] = 200,
    seed: Annotated[int, typer.Option(help="Another seed, another fleet.")] = 1,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the first server; 0: any free one.")
    ] = 0,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Stop after this time.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the configuration there too.")
    ] = None,
    config: Config = None,  # noqa: ARG001 - every command takes it
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """Serve a made-up fleet on 127.0.0.1 and print the mdm.toml for it; Ctrl-C stops it."""
    from mdmsdk.cli.simulated import simulate

    _end(simulate(format_, vendors or (), size=size, seed=seed, port=port, duration=duration, write=write))


@app.command()
def demo(
    *,
    config: Config = None,  # noqa: ARG001 - every command takes it
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """Show the commands at work on simulated servers."""
    from mdmsdk.cli.simulated import demo

    _end(demo(format_))


@config_app.command("trust")
def config_trust(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The configuration; default: ./mdm.toml.")
    ] = None,
    config: Config = None,
    format_: Output = None,
    debug: Debug = False,  # noqa: ARG001
) -> None:
    """Let a configuration read secrets although it is only found, as it is now: look at it first."""
    from mdmsdk.cli.configuration import trust

    _end(trust(file or config, format_))
