"""Servers and their settings from environment variables, for containers that have no file."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "from_environment", "merged_tables"]

PREFIX: Final = "MDMSDK_"
_TABLES: Final = ("SERVERS__", "FEDERATION__", "STORE__")
_WORDS: Final = {"true": True, "false": False}


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The tables of a configuration in variables such as ``MDMSDK_SERVERS__MACS__BASE_URL``.

    Two underscores stand between the names, which are taken in lower case. A value is text, ``true`` or
    ``false``, or a list or table as in ``mdm.toml``.

    Raises:
        ConfigurationError: two variables contradict each other, or a name is missing in one.
    """
    tables: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        if name.startswith(tuple(PREFIX + table for table in _TABLES)):
            *path, last = name.removeprefix(PREFIX).lower().split("__")
            place = tables
            for step in path:
                place = place.setdefault(step, {})
                if not isinstance(place, dict):
                    raise _refused(name, "contradicts a shorter variable, which gives the whole value")
            if not (last and all(path)):
                raise _refused(name, "lacks a name between its underscores")
            place[last] = _value(text)
    return tables


def _value(text: str) -> Any:
    if text.lstrip().startswith(("[", "{")):
        with suppress(tomllib.TOMLDecodeError, RecursionError):  # else it is text, such as a password
            return tomllib.loads(f"value = {text}")["value"]
    return _WORDS.get(text, text)


def _refused(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"the environment variable {name} {why}",
        hint=f"Write {PREFIX}SERVERS__NAME__SETTING, and lists and tables as in mdm.toml.",
    )


def merged_tables(tables: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with those of `over` in them, which count where both have a value."""
    both = {**tables, **over}
    for name in tables.keys() & over.keys():
        if isinstance(tables[name], dict) and isinstance(over[name], dict):
            both[name] = merged_tables(tables[name], over[name])
    return both
