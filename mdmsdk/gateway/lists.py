"""The noncompliant list, read once for all who page through it, and given whole or not at all."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import anyio

from mdmsdk.errors import MdmError

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from mdmsdk.federation import AsyncMdmFederation
    from mdmsdk.models import Device

__all__ = ["Reading", "Readings"]

_KEPT = 4
_LONGEST = 900.0
"""Seconds for which a reading can be paged through."""
_log = logging.getLogger("mdmsdk.gateway")


class Reading:
    """One reading of the list.

    Attributes:
        name: what names it in the tokens of pages; nobody can guess it.
        devices: the whole list; None while it is being read, and if that failed.
        error: why it failed.
        began: when, by the clock of `Readings`.
    """

    def __init__(self, began: float) -> None:
        self.name: str = secrets.token_hex(8)
        self.devices: list[Device] | None = None
        self.error: MdmError | None = None
        self.began: float = began
        self._ended = anyio.Event()

    async def read(self, federation: AsyncMdmFederation) -> None:
        """Read the list to its end. A list that is not complete is none."""
        found: list[Device] = []
        try:
            async for device in federation.noncompliant():
                found.append(device)  # noqa: PERF401 - what was read is dropped where the rest fails
        except MdmError as error:
            _log.warning("the noncompliant list could not be read: %s", error)
            self.error = error
        except Exception as error:  # noqa: BLE001 - a fault in one reading ends neither others nor the gateway
            _log.error("a fault of the noncompliant list: %s", type(error).__name__)
            self.error = MdmError("the noncompliant list could not be read")
        else:
            self.devices = found
        self._ended.set()

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self.devices is None and self.error is None

    async def wait(self, seconds: float) -> None:
        """Wait until it has ended, at most so long."""
        with anyio.move_on_after(seconds):
            await self._ended.wait()


class Readings:
    """The latest readings of the list.

    Args:
        federation: whose list.
        tasks: where it is read; its end ends the reading.
        age: seconds for which one reading serves those who ask anew.
    """

    def __init__(
        self,
        federation: AsyncMdmFederation,
        tasks: TaskGroup,
        age: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._federation = federation
        self._tasks = tasks
        self._age = age
        self._clock = clock
        self._kept: OrderedDict[str, Reading] = OrderedDict()

    def latest(self) -> Reading:
        """The reading for somebody who begins: the last one, or a new one if that is too old or failed."""
        last = next(reversed(self._kept.values()), None)
        if last and last.error is None and (last.under_way or self._clock() - last.began <= self._age):
            return last
        reading = Reading(self._clock())
        self._kept[reading.name] = reading
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        self._tasks.start_soon(reading.read, self._federation)
        return reading

    @property
    def age(self) -> float | None:
        """Seconds since the last list that was read whole began to be read; None if there is none."""
        whole = [one.began for one in self._kept.values() if one.devices is not None]
        return self._clock() - max(whole) if whole else None

    def named(self, name: str) -> Reading | None:
        """The reading that somebody pages through; None if there is none any longer."""
        reading = self._kept.get(name)
        if reading and self._clock() - reading.began > _LONGEST and not reading.under_way:
            return None
        return reading
