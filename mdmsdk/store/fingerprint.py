"""What tells entries of a server, as its settings are now, from those of other settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from mdmsdk.registry import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mdmsdk.provider import MdmProvider

__all__ = ["fingerprint"]


def fingerprint(provider: MdmProvider, digest: Callable[[str], str]) -> str:
    """What everything that a provider's replies depend on comes to: one other setting, another fingerprint.

    How patient it is does not count. Who logs in does, by secrets, the contents of files, or a function of
    the program's own, as somebody else may see other devices.

    Args:
        provider: of the server.
        digest: turns a text into one that does not show it.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, SecretStr):
            return digest(value.get_secret_value())
        if isinstance(value, Path) and (content := _content(value)):
            return digest(content)
        return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)

    settings = provider.settings.model_dump(exclude={"policy", "limits"})
    functions = [getattr(provider.settings, name) for name in type(provider.settings).model_fields]
    settings["functions"] = [_name(one) for one in functions if callable(one)]
    kinds = [kind for kind in type(provider).__mro__ if kind is not object]
    parts = [provider.name, list(map(str, kinds)), _versions(kinds), settings]
    return digest(json.dumps(parts, default=plain, sort_keys=True))


def _content(path: Path) -> str:
    """What stands in a file; nothing where that is no file, or cannot be read, and the login will tell."""
    try:
        return path.read_bytes().decode("latin-1") if path.is_file() else ""
    except OSError:
        return ""


def _name(function: Any) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _versions(kinds: Iterable[type]) -> list[str]:
    """The versions of the distributions that classes of a provider are from."""
    packages = {kind.__module__.partition(".")[0] for kind in kinds}
    return sorted(
        {f"{one.distribution} {one.version}" for one in installed() if one.target.split(".")[0] in packages}
    )
