"""What tells entries of a server, as its settings are now, from those of other settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from mdmsdk.registry import installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mdmsdk.provider import MdmProvider

__all__ = ["fingerprint"]


def fingerprint(provider: MdmProvider, digest: Callable[[str], str]) -> str:
    """What everything that a provider's replies depend on comes to: one other setting, another fingerprint.

    How patient it is does not count. Secrets do, as somebody else may see other devices.

    Args:
        provider: of the server.
        digest: turns a text into one that does not show it.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, SecretStr):
            return digest(value.get_secret_value())
        return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)

    settings = provider.settings.model_dump(exclude={"policy", "limits"})
    kinds = [kind for kind in type(provider).__mro__ if kind is not object]
    parts = [provider.name, list(map(str, kinds)), _versions(kinds), settings]
    return digest(json.dumps(parts, default=plain, sort_keys=True))


def _versions(kinds: Iterable[type]) -> list[str]:
    """The versions of the distributions that classes of a provider are from."""
    packages = {kind.__module__.partition(".")[0] for kind in kinds}
    return sorted(
        {f"{one.distribution} {one.version}" for one in installed() if one.target.split(".")[0] in packages}
    )
