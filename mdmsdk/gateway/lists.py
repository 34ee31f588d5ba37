"""Lists, read once for all who page through them, and given whole or not at all."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

from mdmsdk.client.verdict import pick
from mdmsdk.errors import IncompleteListError, MdmError, StoreError, UnsupportedOperationError
from mdmsdk.federation import Answer, Outcome, Status
from mdmsdk.federation.lists import OF_HARDWARE, Known
from mdmsdk.federation.merge import merged
from mdmsdk.federation.replies import identifiers_of
from mdmsdk.gateway.overrides import as_denied
from mdmsdk.gateway.shared_lists import Listed, ListName
from mdmsdk.models import Decision

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from anyio.abc import TaskGroup

    from mdmsdk.federation import AsyncMdmFederation
    from mdmsdk.gateway.overrides import Overrides
    from mdmsdk.gateway.settings import Override
    from mdmsdk.gateway.shared_lists import SharedList, SharedLists
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device

__all__ = ["LONGEST", "Reading", "Readings", "offending", "records"]

_KEPT = 8
_AT_A_TIME = 100
"""Devices that are judged before others get their turn."""
LONGEST = 900.0
"""Seconds for which a reading can be paged through."""
_log = logging.getLogger("mdmsdk.gateway")


class Reading:
    """One reading of a list.

    Attributes:
        what: which list.
        name: what names it in the tokens of pages, a number of eleven digits; nobody can guess it.
        devices: the whole list; None while it is being read, and if that failed.
        error: why it failed.
        began: when, by the clock of `Readings`.
    """

    def __init__(self, what: ListName, began: float) -> None:
        self.what: ListName = what
        self.name: str = str(10**10 + secrets.randbelow(8 * 10**10))
        self.devices: list[Listed] | None = None
        self.error: MdmError | None = None
        self.began: float = began
        self._ended = anyio.Event()

    async def read(
        self, federation: AsyncMdmFederation, passing: frozenset[Decision], overrides: Overrides
    ) -> list[Listed] | None:
        """Read the list to its end; gives None where that fails. A list that is not complete is none.

        Args:
            federation: whose list.
            passing: the decisions that count as compliant.
            overrides: the administrator's word, of which denials count.
        """
        try:
            if self.what == "false":
                devices = offending(federation, overrides)
                return [Listed(one, Decision.NONCOMPLIANT) async for one in devices]
            everything = _everything(federation, overrides)
            return [one async for one in everything if self.what != "true" or one.decision in passing]
        except MdmError as error:
            _log.warning("a list could not be read: %s", error)
            self.error = error
        except Exception as error:  # noqa: BLE001 - a fault in one reading ends neither others nor the gateway
            _log.error("a fault of a list: %s", type(error).__name__)
            self.error = MdmError("the list could not be read")
        return None

    def end(self, devices: list[Listed] | None) -> None:
        """Give the whole list to those who wait, or say that there is none."""
        self.devices = devices
        self._ended.set()

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self.devices is None and self.error is None

    @property
    def unsupported(self) -> bool:
        """Whether it failed because a server has no such list."""
        failures = self.error.failures if isinstance(self.error, IncompleteListError) else ()
        return any(isinstance(one, UnsupportedOperationError) for one in failures)

    async def wait(self, seconds: float) -> None:
        """Wait until it has ended, at most so long."""
        with anyio.move_on_after(seconds):
            await self._ended.wait()


async def offending(
    federation: AsyncMdmFederation, overrides: Overrides, servers: Sequence[str] | None = None
) -> AsyncIterator[Device]:
    """The devices that do not comply, and those under management that the administrator denies.

    A denied device that no server lists comes last: it is looked up by the identifier that the denial names,
    on servers that can be asked for it.

    Raises:
        IncompleteListError: a list is not complete, or a server gave no answer about a denied device.
    """
    listed: dict[Key, list[Device]] = {}
    async for device in federation.noncompliant(servers=servers):
        denial = overrides.denial(device)
        if denial and device.registered:
            _note(listed, device)
        yield as_denied(denial, device) if denial else device
    denied = await _looked_up(federation, overrides, servers)
    for denial, outcomes in denied.found:
        for found in [one.device for one in outcomes if one.device and one.device.registered]:
            if not _near(listed, found):
                _note(listed, found)
                yield as_denied(denial, found)
    denied.check()


async def records(
    federation: AsyncMdmFederation, overrides: Overrides, servers: Sequence[str] | None = None
) -> AsyncIterator[Device]:
    """All records, and on those of a device that the administrator denies, the denial.

    A record need not show the identifier that the denial names: one that a server gives for that identifier
    says which other records may be about the same device.

    Raises:
        IncompleteListError: a list is not complete, or a server gave no answer about a denied device.
    """
    denied = await _looked_up(federation, overrides, servers)
    async for device in federation.devices(servers=servers):
        named = overrides.denial(device) or denied.of(device)
        yield as_denied(named, device) if named else device
    denied.check()


class _Denied:
    """What servers say about the devices that the administrator denies."""

    def __init__(self) -> None:
        self.found: list[tuple[Override, tuple[Outcome, ...]]] = []
        self.failures: list[MdmError] = []
        self._showing: dict[Key, list[Device]] = {}
        self._denials: dict[int, Override] = {}

    def take(self, denial: Override | None, outcomes: tuple[Outcome, ...]) -> None:
        """Take what servers say about the identifier of a denial."""
        self.failures.extend(one.error for one in outcomes if one.error and one.status is Status.ERROR)
        if denial:
            self.found.append((denial, outcomes))
            for record in [record for one in outcomes for record in one.records]:
                _note(self._showing, record)
                self._denials[id(record)] = denial

    def of(self, device: Device) -> Override | None:
        """The denial of a device that may be one of those."""
        near = _near(self._showing, device) if self._showing else ()
        return next((self._denials[id(one)] for one in near), None)

    def check(self) -> None:
        """Raise an `IncompleteListError` if a server gave no answer."""
        if self.failures:
            said = "; ".join(map(str, self.failures))
            raise IncompleteListError(said, failures=tuple(self.failures), operation="noncompliant")


async def _looked_up(
    federation: AsyncMdmFederation, overrides: Overrides, servers: Sequence[str] | None
) -> _Denied:
    """Look the denied devices up, by the identifiers that the denials name."""
    denied = _Denied()
    async for answer in federation.lookup_many(overrides.denied(), servers=servers):
        denied.take(overrides.of((), answer), answer.outcomes)
    return denied


async def _everything(federation: AsyncMdmFederation, overrides: Overrides) -> AsyncIterator[Listed]:
    """Each registered device of all servers once, judged by all records that may be about it.

    Two devices that were in one dock share its MAC address, and nothing else.
    """
    denied = await _looked_up(federation, overrides, None)
    every = [device async for device in federation.devices()]
    denied.check()
    showing: dict[Key, list[Device]] = {}
    for device in every:
        _note(showing, device)
    known = Known()
    for count, device in enumerate(every):
        if not count % _AT_A_TIME:
            await checkpoint()
        if device.registered and known.add(device):
            # A record without any identifier is near to none, not even to itself.
            near = _near(showing, device) or [device]
            said = _said(federation, near)
            # No question names an identifier that the administrator allows.
            if denial := overrides.of((), said) or next(filter(None, map(denied.of, near)), None):
                yield Listed(as_denied(denial, device), Decision.NONCOMPLIANT)
            elif said.device:
                verdict = {"compliance": said.device.compliance}
                yield Listed(device.model_copy(update=verdict), said.decision)


def _note(showing: dict[Key, list[Device]], device: Device) -> None:
    """Add a record to those that are known by what they show."""
    for key in identifiers_of(device):
        showing.setdefault(key, []).append(device)


def _near(showing: Mapping[Key, list[Device]], device: Device) -> list[Device]:
    """The records that may be about a device: they show one of its identifiers, and no other hardware."""
    near = {id(one): one for key in identifiers_of(device) for one in showing.get(key, ())}
    return [one for one in near.values() if _may_be_one(device, one)]


def _may_be_one(one: Device, other: Device) -> bool:
    """Whether no identifier of the hardware says that two records are about different devices."""
    shown = ((one.shown(kind), other.shown(kind)) for kind in OF_HARDWARE)
    return all(not mine or not theirs or {*mine} & {*theirs} for mine, theirs in shown)


def _said(federation: AsyncMdmFederation, near: Sequence[Device]) -> Answer:
    """What all servers say about a device, by the records of it. Their lists are there, and whole."""
    outcomes = []
    for name, client in federation.clients.items():
        own = [one for one in near if one.server == name]
        found = pick(own)
        status, judges = Status.FOUND if found else Status.NOT_FOUND, client.provider.settings.judges
        outcome = Outcome(
            server=name, provider=client.provider.name, status=status, device=found, judges=judges
        )
        outcome._records = tuple(own)  # type: ignore[misc]  # noqa: SLF001 - nobody has it yet
        outcomes.append(outcome)
    return Answer(key="", device=merged(outcomes, "strictest"), outcomes=tuple(outcomes))


class Readings:
    """The latest readings of the lists.

    Args:
        federation: whose lists.
        tasks: where they are read; its end ends the reading.
        age: seconds for which one reading serves those who ask anew.
        passing: the decisions that count as compliant.
        overrides: the administrator's word on single devices.
        shared: what others have read, and may read on.
    """

    def __init__(  # noqa: PLR0917 - what a list is made of
        self,
        federation: AsyncMdmFederation,
        tasks: TaskGroup,
        age: float,
        passing: frozenset[Decision],
        overrides: Overrides,
        shared: SharedLists | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._federation = federation
        self._tasks = tasks
        self._age = age
        self._passing = passing
        self._overrides = overrides
        self._shared = shared
        self._clock = clock
        self._kept: OrderedDict[str, Reading] = OrderedDict()

    def latest(self, what: ListName) -> Reading:
        """The reading for somebody who begins: the last one, or a new one if that is too old or failed."""
        known = [one for one in self._kept.values() if one.what == what]
        last = max(known, key=lambda one: one.began, default=None)
        if last and last.error is None and (last.under_way or self._clock() - last.began <= self._age):
            return last
        reading = Reading(what, self._clock())
        self._keep(reading)
        self._tasks.start_soon(self._obtain, reading)
        return reading

    @property
    def age(self) -> float | None:
        """Seconds since the last whole list of what does not comply began to be read; None without one."""
        bad = [one for one in self._kept.values() if one.what == "false"]
        whole = [one.began for one in bad if one.devices is not None]
        return self._clock() - max(whole) if whole else None

    async def named(self, name: str) -> Reading | None:
        """The reading that somebody pages through; None if there is none any longer.

        Raises:
            StoreError: others may have it, but the store fails.
        """
        reading = self._kept.get(name)
        if reading is None and self._shared and (found := await self._shared.named(name)):
            reading = Reading(found.what, self._began(found))
            self._take(reading, found)
        if reading and self._clock() - reading.began > LONGEST and not reading.under_way:
            return None
        return reading

    async def _obtain(self, reading: Reading) -> None:
        """Take what others have read, or read it, for others as well."""
        read = partial(reading.read, self._federation, self._passing, self._overrides)
        if self._shared is None:
            reading.end(await read())
            return
        try:
            found = await self._shared.obtain(reading.what, reading.name, self._age, read)
        except StoreError:  # was told where it happened; each reads for itself meanwhile
            reading.end(await read())
            return
        if found is None:
            reading.end(None)
            return
        reading.began = self._began(found)
        self._take(reading, found)

    def _take(self, reading: Reading, found: SharedList) -> None:
        # Who was told to come again comes with the name that it had before.
        reading.name = found.name
        self._keep(reading)
        reading.end(found.devices)

    def _began(self, found: SharedList) -> float:
        return self._clock() - max(0.0, time.time() - found.began)

    def _keep(self, reading: Reading) -> None:
        self._kept[reading.name] = reading
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
