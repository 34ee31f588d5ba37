"""The commands `plugin ...`, for those who write one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdmsdk.cli.command import command
from mdmsdk.cli.options import Output, check_kind, complete_kind

plugin_app: typer.Typer = typer.Typer(help="Write a plugin.", no_args_is_help=True)


@command(
    plugin_app,
    "mdm plugin new acme",
    "mdm plugin new acme --login api-key --paging link",
    "mdm plugin new acme --key mac --key serial",
    name="new",
)
def plugin_new(
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the provider, in lower case.")],
    vendor: Annotated[str | None, typer.Option("--vendor", help="As people write it.")] = None,
    login: Annotated[
        str | None,
        typer.Option("--login", help="basic, api-key, client-credentials, password or refresh-token."),
    ] = None,
    paging: Annotated[
        str | None, typer.Option("--paging", help="Pages of lists by position, number, token or link.")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="KIND", help="To search by; repeat it.", autocompletion=complete_kind),
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Apache-2.0 or MIT.")] = None,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIRECTORY", help="Where the project's folder goes.")
    ] = Path(),
    format_: Output = None,
) -> int:
    """Write a plugin's project.

    Complete, with simulator and tests, and green as it stands. What is not given is asked for on a
    terminal, and has a default elsewhere.
    """
    from mdmsdk.cli.plugin_new import plugin_new

    for kind in keys or ():
        check_kind(kind)
    return plugin_new(
        format_,
        name,
        vendor=vendor,
        login=login,
        paging=paging,
        keys=keys or (),
        licence=licence,
        folder=folder,
    )


@command(
    plugin_app,
    "mdm plugin check .",
    "mdm plugin check mdmsdk-acme --quick",
    "mdm plugin check . --long --badge tier.svg",
    name="check",
)
def plugin_check(
    *,
    target: Annotated[
        str, typer.Argument(metavar="PLUGIN", help="A project's folder, a distribution or a provider.")
    ] = ".",
    tests: Annotated[
        list[Path] | None,
        typer.Option("--tests", metavar="PATH", help="Its tests; default: its folder tests."),
    ] = None,
    cassettes: Annotated[
        Path | None, typer.Option("--cassettes", metavar="DIRECTORY", help="Default: its folder cassettes.")
    ] = None,
    docs: Annotated[
        list[Path] | None, typer.Option("--docs", metavar="FILE", help="Pages beside its README.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run neither its tests nor tools.")] = False,
    long: Annotated[bool, typer.Option("--long", help="Run what takes minutes, too.")] = False,
    badge: Annotated[
        Path | None, typer.Option("--badge", metavar="FILE", help="Write the tier as .svg or .json.")
    ] = None,
    least: Annotated[str, typer.Option("--at-least", metavar="TIER", help="What is wanted.")] = "bronze",
    format_: Output = None,
) -> int:
    """Say which tier a plugin has.

    Bronze, silver, gold or platinum, by rules that are done or missing. Exit code 1 if it has less than
    is wanted.
    """
    from mdmsdk.cli.plugin_check import plugin_check

    return plugin_check(
        format_,
        target,
        tests=tests or (),
        cassettes=cassettes,
        docs=docs or (),
        quick=quick,
        long=long,
        picture=badge,
        least=least,
    )
