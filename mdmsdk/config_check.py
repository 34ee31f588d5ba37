"""All that is wrong with a configuration at once, with the line where it stands. No secret is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from mdmsdk.client.build import make_provider, problems_of
from mdmsdk.config import Config, FederationSettings, read_tables
from mdmsdk.directory.settings import DirectorySettings
from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.gateway.settings import GatewaySettings
from mdmsdk.registry import load_provider
from mdmsdk.silence import sealed
from mdmsdk.store.settings import StoreSettings
from mdmsdk.words import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdmsdk.provider import MdmProvider
    from mdmsdk.settings import Settings

__all__ = ["Problem", "check_config"]

_TABLE = re.compile(r"\s*\[\[?(?P<path>[^\]]+)\]\]?\s*(?:#.*)?$")
_SETTING = re.compile(r"""\s*(?P<name>[\w.-]+|"[^"]+"|'[^']+')\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]+"|'[^']+'""")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a configuration.

    Attributes:
        place: the setting, such as ``servers.macs.base_url``; empty for the file itself.
        line: where it stands in the file, from 1 on; None where it does not.
        message: what is wrong; holds no value.
        hint: what to do.
    """

    place: str
    line: int | None
    message: str
    hint: str | None = None


def check_config(path: str | Path | None = None) -> list[Problem]:
    """All problems of a configuration, in the order of their lines; none where every server can be asked.

    Secrets are read from where they are kept, as for asking. Nothing is sent to any server.

    Args:
        path: the file; default: as `mdmsdk.config.load_config` finds it.

    Raises:
        ConfigurationError: there is no configuration.
    """
    with sealed():
        place, lines = Path(), dict[tuple[str, ...], int]()
        try:
            place, tables, trusted = read_tables(path)
            lines = _lines(place)
        except ConfigurationError as error:
            line = re.search(r"at line (\d+)", error.message)
            if not line:
                raise
            return [Problem("", int(line[1]), error.message, error.hint)]
        problems = [*_of_file(tables), *_of_store(tables)]
        for name, model in (("store", StoreSettings), ("gateway", GatewaySettings)):
            problems += _of_table(name, model, place, tables, trusted=trusted)
        servers = tables.get("servers")
        if isinstance(servers, dict) and all(isinstance(one, dict) for one in servers.values()):
            config = Config(path=place, trusted=trusted, servers=servers, federation=FederationSettings())
            problems += [problem for name in servers for problem in _of_server(config, name)]
        found = [Problem(".".join(where), _line(lines, where), text, hint) for where, text, hint in problems]
        return sorted(found, key=lambda one: (one.line is None, one.line or 0))


_Found = tuple[tuple[str, ...], str, str | None]


class _Tables(BaseModel, extra="forbid"):
    servers: dict[str, dict[str, Any]] = Field(min_length=1)
    federation: FederationSettings = FederationSettings()
    store: dict[str, Any] = {}
    gateway: dict[str, Any] = {}
    directory: DirectorySettings = DirectorySettings()


def _of_file(tables: Mapping[str, Any]) -> Iterator[_Found]:
    """What is wrong beside the servers."""
    yield from ((where, text, None) for where, text in problems_of(_Tables, tables))
    servers: Any = tables.get("servers")
    federation: Any = tables.get("federation")
    order = federation.get("order") if isinstance(federation, dict) else None
    for name in order if isinstance(order, list) and isinstance(servers, dict) else ():
        if isinstance(name, str) and name not in servers:
            yield ("federation", "order"), f"there is no server {name}{nearest(name, servers)}", None


def _of_table(
    name: str, model: type[Settings], place: Path, tables: Mapping[str, Any], *, trusted: bool
) -> Iterator[_Found]:
    """What keeps a table with secrets from being used; nothing is opened."""
    table = tables.get(name)
    if not isinstance(table, dict):
        return
    config = Config(path=place, trusted=trusted, servers={}, federation=FederationSettings())
    unread: list[_Found] = []
    values = config.resolve(
        model, table, lambda where, error: unread.append(((name, *where), error.message, error.hint))
    )
    yield from unread
    refused = {where for where, _, _ in unread}
    for where, text in problems_of(model, values):
        if (name, *where) not in refused:
            yield (name, *where), text, None
    yield from (((name, *where), text, None) for where, text in _missing_files(values))


def _of_store(tables: Mapping[str, Any]) -> Iterator[_Found]:
    """What the store needs besides."""
    table = tables.get("store")
    if isinstance(table, dict) and str(table.get("url")).startswith("redis") and not find_spec("redis"):
        yield ("store", "url"), "redis is not installed", "Install it with: pip install 'mdmsdk[redis]'"


def _of_server(config: Config, name: str) -> Iterator[_Found]:
    """What keeps one server from being asked."""
    settings, here = config.servers[name], ("servers", name)
    kind = settings.get("provider")
    if not isinstance(kind, str):
        hint = 'Name one that `mdm providers` lists, such as provider = "ise".'
        yield here, "the setting provider is missing", hint
        return
    try:
        model = load_provider(kind).settings_type
    except MdmError as error:
        yield (*here, "provider"), error.message, error.hint
        return
    unread: list[_Found] = []
    values = {key: value for key, value in settings.items() if key != "provider"}
    values = config.resolve(
        model, values, lambda place, failure: unread.append(((*here, *place), failure.message, failure.hint))
    )
    yield from unread
    found = problems_of(model, values)
    for where, text in found:
        yield (*here, *where), text, None
    yield from (((*here, *where), text, None) for where, text in _missing_files(values))
    if not (unread or found):
        try:
            provider = make_provider(kind, values)
        except MdmError as error:
            yield here, error.message, error.hint
        else:
            yield from _raised_limits(here, provider)


def _raised_limits(here: tuple[str, ...], provider: MdmProvider) -> Iterator[_Found]:
    """The limits that are above those of the vendor, which count."""
    for limit, wanted in provider.settings.limits:
        vendors = getattr(provider.limits, limit)
        if wanted is not None and vendors is not None and wanted > vendors:
            text = f"it is above what {provider.vendor} allows, and {vendors:g} counts"
            yield (*here, "limits", limit), text, "Leave it out, or set less."


def _missing_files(values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, value in values.items():
        if isinstance(value, Path) and not value.is_file():
            yield (name,), f"there is no file {value}"
        elif isinstance(value, dict):
            yield from (((name, *where), text) for where, text in _missing_files(value))


def _lines(place: Path) -> dict[tuple[str, ...], int]:
    """Where tables and settings stand in a file, by their paths."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return found
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = _parts(header["path"])
            found.setdefault(table, number)
        elif setting := _SETTING.match(line):
            found.setdefault((*table, *_parts(setting["name"])), number)
    return found


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(path))


def _line(lines: Mapping[tuple[str, ...], int], where: tuple[str, ...]) -> int | None:
    """The line of a setting, or of the table in which it should stand."""
    return next(
        (lines[where[:length]] for length in range(len(where), 0, -1) if where[:length] in lines), None
    )
