"""The command `providers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.cli import rows
from mdmsdk.cli.formats import writing
from mdmsdk.cli.report import OK, complain
from mdmsdk.errors import MdmError
from mdmsdk.registry import installed, load_provider

if TYPE_CHECKING:
    from mdmsdk.cli.options import Format
    from mdmsdk.provider import MdmProvider


def providers(chosen: Format | None, *, details: bool) -> int:
    """List the installed plugins; only for details are they imported."""
    with writing(rows.PROVIDERS if details else rows.PROVIDERS_BRIEF, chosen) as out:
        for plugin in installed():
            out.write(rows.provider_row(plugin, _load(plugin.name) if details else None))
    return OK


def _load(name: str) -> type[MdmProvider] | None:
    """The class, or None if the plugin is broken, which is said."""
    try:
        return load_provider(name)
    except MdmError as error:
        complain(error)
        return None
