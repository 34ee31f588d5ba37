"""The lists of several servers, read side by side, a page of each at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mdmsdk.errors import IncompleteListError, MdmError
from mdmsdk.federation.members import Broken
from mdmsdk.identifiers import Imei, Key, Meid, Serial, Udid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.client.verdict import Reading
    from mdmsdk.models import Device
    from mdmsdk.settings import Rules

    Names = dict[type[Key], frozenset[Key]]

__all__ = ["OF_HARDWARE", "Known", "Lists", "incomplete"]

OF_HARDWARE: tuple[type[Key], ...] = (Serial, Udid, Imei, Meid)
"""What tells devices apart wherever they are listed. A MAC address may be a dock's, which devices share."""


class Known:
    """The devices that came, by what tells their hardware apart: one record of each server at the most."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[int, dict[str, Names]]] = {}

    def add(self, device: Device) -> bool:
        """Whether no other server listed this device before.

        Another server's record is the same device if it shows the same identifier of the hardware, and no
        such record shows another one of a kind that both have. Those that were left out count as well: a
        record with few identifiers stands for one device of each server, and not for two that differ.
        """
        names: Names = {kind: frozenset(shown) for kind in OF_HARDWARE if (shown := device.shown(kind))}
        keys: frozenset[Key] = frozenset().union(*names.values())
        same = {id(one): one for key in keys for one in self._by_key.get(key, {}).values()}
        known = bool(same) and all(
            device.server not in one
            and all(names[kind] & own[kind] for own in one.values() for kind in names.keys() & own.keys())
            for one in same.values()
        )
        fresh: dict[str, Names] = {}
        for one in same.values() if known else (fresh,):
            one[device.server] = names
            for key in keys:
                self._by_key.setdefault(key, {})[id(one)] = one
        return not known


class Lists:
    """One list of each server; only a page of each is in memory.

    Args:
        members: the servers.
        operation: which list.
        rules: what the devices have to fulfil besides.
        once: leave out devices that another server listed before.

    Attributes:
        failures: what lists ended with that are not complete.
        collected: how many devices came.
    """

    def __init__(
        self,
        members: Iterable[AsyncMdmClient | Broken],
        operation: str,
        rules: Rules | None = None,
        *,
        once: bool = False,
    ) -> None:
        self.failures: list[MdmError] = []
        self.collected: int = 0
        self._known = Known() if once else None
        self._open: list[tuple[AsyncMdmClient, Reading]] = []
        for member in members:
            if isinstance(member, Broken):
                self.failures.append(member.error)
                continue
            try:
                self._open.append((member, member._reading(operation, rules)))  # noqa: SLF001
            except MdmError as error:
                self.failures.append(error)

    @property
    def more(self) -> bool:
        """Whether a list is not at its end."""
        return bool(self._open)

    async def next_pages(self, waits: ModuleType) -> list[Device]:
        """The devices of the next page of each list."""
        jobs = [partial(client._next_page, reading) for client, reading in self._open]  # noqa: SLF001
        devices: list[Device] = []
        for found, failure in await waits.gather(jobs):
            devices += found
            if failure:
                self.failures.append(failure)
        self._open = [(client, reading) for client, reading in self._open if reading.more]
        if self._known:
            devices = list(filter(self._known.add, devices))
        self.collected += len(devices)
        return devices


def incomplete(operation: str, failures: Sequence[MdmError], collected: int) -> IncompleteListError:
    """The error for lists of which some are not complete, with what each of those ended with."""
    return IncompleteListError(
        "; ".join(map(str, failures)),
        collected=collected,
        failures=tuple(failures),
        operation=operation,
        hint=failures[0].hint,
    )
