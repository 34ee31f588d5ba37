"""Adds a server to a configuration file, whose comments and order stay as they are."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError
from mdmsdk.trust import is_trusted, trust

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def add_server(path: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Write the settings of a server into a new file or an existing one, for its owner's eyes only.

    A new file is trusted to read secrets, and so is an existing one that was trusted before.

    Raises:
        ConfigurationError: the file cannot be read or written, or has a server of that name.
    """
    path = path.expanduser().resolve()  # a link stays one
    try:
        content = path.read_bytes() if path.exists() else b""
        if content and name in load_config(path).servers:
            raise ConfigurationError(
                f"{path} has a server {name} already", hint="Choose another name, or edit the file."
            )
        trusted = not content or is_trusted(path, content)
        _replace(path, _with_server(content.decode(), name, settings))
    except OSError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="Check the path and its permissions."
        ) from None
    except TOMLKitError:
        raise ConfigurationError(
            f"{path} cannot be added to", hint="Add the server by hand, as a table [servers.NAME]."
        ) from None
    if trusted:
        trust(path)


def _with_server(text: str, name: str, settings: Mapping[str, Any]) -> str:
    document = tomlkit.parse(text)
    if "servers" not in document:
        document["servers"] = tomlkit.table(is_super_table=True)
    table = tomlkit.table()
    for key, value in settings.items():
        table[key] = _inline(value) if isinstance(value, dict) else value
    servers: Any = document["servers"]
    servers[name] = table
    # Without it, nobody would ask the new one.
    federation: Any = document.get("federation", {})
    if federation.get("order"):
        federation["order"].append(name)
    return tomlkit.dumps(document)


def _inline(values: Mapping[str, Any]) -> Any:
    table = tomlkit.inline_table()
    for key, value in values.items():
        table[key] = _inline(value) if isinstance(value, dict) else value
    return table


def _replace(path: Path, text: str) -> None:
    """Write all of the file or nothing; what is made here only its owner can read."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(name, path)  # noqa: PTH105 - the name is text already
    except BaseException:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - the same
        raise
