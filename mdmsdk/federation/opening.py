"""From a configuration to the servers of a federation; one that cannot be asked does not end the others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mdmsdk.errors import MdmError
from mdmsdk.federation.members import Broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.config import Config

__all__ = ["clients_of"]

C = TypeVar("C", bound="AsyncMdmClient")


def clients_of(config: Config, names: Sequence[str], kind: type[C]) -> tuple[list[C], dict[str, Broken]]:
    """A client for each server, and those whose settings, secret or plugin is not usable.

    Raises:
        ConfigurationError: none of them is.
    """
    made: list[C] = []
    broken: dict[str, Broken] = {}
    for name in names:
        read = partial(config.provider, name)
        try:
            made.append(kind(read(), server=name, renew=read))
        except MdmError as error:
            judges = config.servers[name].get("judges") is not False
            broken[name] = Broken(name, error.provider or "", error, judges)
    if broken and not made:
        raise next(iter(broken.values())).error
    return made, broken
