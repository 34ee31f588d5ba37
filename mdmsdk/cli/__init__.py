"""The command `mdm`. Data goes to stdout, all else to stderr; `mdmsdk.cli.report` has the exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "version_text"]


def version_text() -> str:
    """What ``mdm --version`` prints: the version, and below it those of the plugins."""
    from importlib.metadata import entry_points, version

    # Not from mdmsdk.registry, which takes longer to be imported than all this.
    plugins = {
        point.dist.name: point.dist.version for point in entry_points(group="mdmsdk.providers") if point.dist
    }
    return "".join(
        f"{name} {number}\n"
        for name, number in {"mdm": version("mdmsdk"), **dict(sorted(plugins.items()))}.items()
        if name != "mdmsdk"
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: the words after ``mdm``; default: those of the process.

    Returns:
        The exit code.
    """
    if list(sys.argv[1:] if args is None else args) == ["--version"]:
        # Scripts ask it often: no need to load the commands.
        sys.stdout.write(version_text())
        return 0
    try:
        from mdmsdk.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich", "tomlkit"}:
            raise
        # The script is installed with the library, the libraries that it needs are an extra.
        sys.stderr.write(
            f"error: {error.name} is not installed\nhint: Install it with: pip install 'mdmsdk[cli]'\n"
        )
        return 2
    from mdmsdk.cli.report import guarded

    return guarded(lambda: app(args=args, prog_name="mdm"))
