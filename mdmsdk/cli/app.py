"""The commands and their options. What a command needs is imported when it runs: help comes at once."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from mdmsdk.cli import version_text
from mdmsdk.cli.command import command
from mdmsdk.cli.directory_app import directory_app
from mdmsdk.cli.options import (
    Config,
    NamedServers,
    Output,
    Servers,
    check_kind,
    complete_kind,
    complete_provider,
    complete_simulator,
)
from mdmsdk.cli.plugin_app import plugin_app
from mdmsdk.identifiers import KEY_KINDS

app: typer.Typer = typer.Typer(
    name="mdm",
    help="Ask MDM servers: are you there, does this device comply, which devices do not?",
    epilog="""\
Begin with `mdm init`, or with `mdm demo`, which needs no server. `mdm COMMAND --help` shows examples.

Exit codes: 0 fine, 1 a device is unknown, 2 wrong usage or configuration, 3 a server failed.""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text keeps to narrow terminals, and can be copied
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

config_app: typer.Typer = typer.Typer(help="Look after the configuration.", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_text(), nl=False)
        raise typer.Exit


def _misplaced(given: object) -> None:
    if given:
        raise typer.BadParameter("it stands behind the command, as in: mdm heartbeat --config FILE.")


@app.callback()
def _common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and the plugins."
        ),
    ] = False,
    before: Annotated[
        str | None, typer.Option("--config", "--format", hidden=True, callback=_misplaced)
    ] = None,
    flags: Annotated[
        bool,
        typer.Option("-v", "--verbose", "-q", "--quiet", "--no-progress", hidden=True, callback=_misplaced),
    ] = False,
) -> None:
    """Options before the command."""


@command(
    app,
    "mdm init",
    "mdm init macs --provider jamf",
    "mdm init phones --provider ise \\",
    "  --set base_url=https://mdm.example --set username=nac \\",
    "  --secret password=env:PHONES_PASSWORD",
)
def init(
    *,
    name: Annotated[str | None, typer.Argument(metavar="SERVER", help="What you call the server.")] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            metavar="PROVIDER",
            help="One that `mdm providers` lists.",
            autocompletion=complete_provider,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting; may be repeated."),
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="NAME=PLACE",
            help="Where a secret is kept: env:NAME, file:PATH, keyring:SERVICE/USER, command:WORDS.",
        ),
    ] = None,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Ask the server for a heartbeat.")] = True,
    config: Config = None,
    format_: Output = None,
) -> int:
    """Write mdm.toml by asking.

    Adds a server to the configuration, and tries it. Secrets stay where they are kept: only the place is
    written. What is given by options is not asked.
    """
    from mdmsdk.cli.init import init

    return init(
        config,
        format_,
        name=name,
        provider=provider,
        settings=settings or (),
        secrets=secrets or (),
        test=test,
    )


@command(app, "mdm doctor", "mdm doctor macs", "mdm doctor --redacted > ticket.txt")
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
) -> int:
    """Find out what is wrong, and what to do.

    Takes the way to each server step by step. Exit code 3 if something is wrong.
    """
    from mdmsdk.cli.doctor import doctor

    return doctor(config, format_, servers or (), redacted=redacted)


@command(app, "mdm heartbeat", "mdm heartbeat macs phones --format json")
def heartbeat(*, servers: NamedServers = None, config: Config = None, format_: Output = None) -> int:
    """Check that servers are there.

    And that they let us in. Exit code 3 if one does not.
    """
    from mdmsdk.cli.servers import heartbeat

    return heartbeat(config, format_, servers or ())


@command(
    app,
    "mdm lookup 00:1B:44:11:3A:B7",
    "mdm lookup --by serial C02XK0AAJG5H",
    "mdm lookup serial:C02XK0AAJG5H --server macs",
    "mdm lookup --input devices.csv --format csv > answers.csv",
    "mdm lookup --input hosts.csv --column 'Wi-Fi MAC'",
    "arp-scan -lqx | cut -f2 | mdm lookup --input -",
)
def lookup(
    *,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="MAC address, UDID, GUID, IMEI, user@name; or KIND:VALUE."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
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
            help="Keys from a file, one a line, or CSV with or without titles; - is stdin.",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            "--column",
            metavar="COLUMN",
            help="Title or number of the file's column; default: what the titles say, or the first.",
        ),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(
            "--cert",
            metavar="FILE",
            help="A certificate, PEM or DER: its identifiers in order, as Cisco ISE asks.",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask all servers now, whatever the cache has.")
    ] = False,
    max_age: Annotated[
        float | None,
        typer.Option("--max-age", metavar="SECONDS", min=0, help="Use nothing from the cache that is older."),
    ] = None,
    config: Config = None,
    format_: Output = None,
) -> int:
    """Ask all servers about devices.

    Exit code 1 if a device is unknown to all, 3 if a server failed.
    """
    if cert is not None:
        if keys or source is not None or by is not None:
            raise typer.BadParameter("names one device; leave keys and --input out.", param_hint="--cert")
        from mdmsdk.cli.servers import lookup_certificate

        return lookup_certificate(config, format_, server or (), cert=cert, fresh=fresh, max_age=max_age)
    if not keys and source is None:
        raise typer.BadParameter("give a KEY or --input.", param_hint="KEY")
    if column is not None and source is None:
        raise typer.BadParameter("is for the file of --input.", param_hint="--column")
    from mdmsdk.cli.servers import lookup

    return lookup(
        config,
        format_,
        server or (),
        keys=keys or (),
        by=by,
        source=source,
        column=column,
        fresh=fresh,
        max_age=max_age,
    )


@command(app, "mdm noncompliant", "mdm noncompliant --server macs --reasons --format csv")
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
) -> int:
    """List the devices that do not comply.

    Exit code 3 if the list is not complete.
    """
    from mdmsdk.cli.servers import noncompliant

    return noncompliant(config, format_, server or (), reasons=reasons)


@command(app, "mdm devices --format csv > inventory.csv", "mdm devices --server macs")
def devices(*, server: Servers = None, config: Config = None, format_: Output = None) -> int:
    """List all devices of all servers.

    A device that several servers know comes several times. Exit code 3 if the list is not complete.
    """
    from mdmsdk.cli.servers import devices

    return devices(config, format_, server or ())


@command(app, "mdm providers", "mdm providers --details")
def providers(
    *,
    details: Annotated[
        bool, typer.Option("--details", help="Load each plugin and show what it can do.")
    ] = False,
    format_: Output = None,
) -> int:
    """List the installed providers."""
    from mdmsdk.cli.plugins import providers

    return providers(format_, details=details)


@command(app, "mdm serve", "mdm serve --workers 2", "mdm serve --new-key monitoring")
def serve(
    *,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="NUMBER",
            min=1,
            max=64,
            help="Processes that serve; default: as the configuration says.",
        ),
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option("--new-key", metavar="NAME", help="Make a key of the REST face for somebody, and end."),
    ] = None,
    config: Config = None,
) -> int:
    """Answer network gear and programs: the gateway.

    Serves the faces that the table gateway of the configuration switches on. SIGHUP reads it anew.
    """
    from mdmsdk.cli.serving import new_key_for, serve

    return serve(config, workers) if new_key is None else new_key_for(new_key)


@command(app, "mdm simulate --write mdm.toml", "mdm simulate jamf intune --size 5000 --port 8080")
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
    size: Annotated[int, typer.Option(metavar="DEVICES", min=0, help="Number of devices.")] = 200,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Another seed, another fleet.")] = 1,
    port: Annotated[
        int,
        typer.Option(metavar="PORT", min=0, max=65535, help="Port of the first server; 0: any free one."),
    ] = 0,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Stop after this time.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the configuration there too.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A certificate in PEM that may log in.")
    ] = None,
    format_: Output = None,
) -> int:
    """Serve a made-up fleet on 127.0.0.1.

    Prints the mdm.toml for it, with keys to try; Ctrl-C stops it.
    """
    from mdmsdk.cli.simulated import simulate

    return simulate(
        format_,
        vendors or (),
        size=size,
        seed=seed,
        port=port,
        duration=duration,
        write=write,
        certificate=certificate,
    )


@command(app, "mdm demo")
def demo(*, format_: Output = None) -> int:
    """Show the commands on simulated servers."""
    from mdmsdk.cli.simulated import demo

    return demo(format_)


app.add_typer(config_app, name="config")


@command(config_app, "mdm config trust", "mdm config trust site/mdm.toml", name="trust")
def config_trust(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The configuration; default: ./mdm.toml.")
    ] = None,
    config: Config = None,
    format_: Output = None,
) -> int:
    """Trust a configuration that is only found.

    It may then read secrets, as it is now: look at it first.
    """
    from mdmsdk.cli.configuration import trust

    return trust(file or config, format_)


@command(config_app, "mdm config check", "mdm config check site/mdm.toml", name="check")
def config_check(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The configuration; default: the one that is found.")
    ] = None,
    config: Config = None,
    format_: Output = None,
) -> int:
    """Find every problem of a configuration.

    Secrets are read, and never shown; no server is asked. Exit code 2 if there is a problem.
    """
    from mdmsdk.cli.configuration import check

    return check(file or config, format_)


app.add_typer(directory_app, name="directory")
app.add_typer(plugin_app, name="plugin")
