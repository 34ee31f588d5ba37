"""Whether several servers say the same about devices: a sample of each is looked up at the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from mdmsdk._run.budget import Budget
from mdmsdk._run.runner import Runner
from mdmsdk.client.verdict import ruled, rules_of, settle
from mdmsdk.doctor.notes import Notes
from mdmsdk.errors import MdmError
from mdmsdk.identifiers import Imei, Mac, Serial
from mdmsdk.models import ComplianceState
from mdmsdk.proof import proven

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from mdmsdk.doctor.findings import Finding
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.provider import MdmProvider

AGREEMENT = "agreement"
_MOST = 5  # devices looked up at one server
# Microsoft, "Troubleshoot problems when integrating Jamf with Microsoft Intune": a Mac that has not checked
# in for 24 hours is unresponsive. https://support.microsoft.com/help/4519171
_UNRESPONSIVE = timedelta(hours=24)
_AGAIN = (
    "Remove what earlier enrolments left behind, and enrol the device again; with Jamf Pro and Intune, take "
    "Jamf's profile and framework from the Mac, delete it in Jamf Pro, in Entra ID and, all its records, in "
    "Intune, wait half an hour, enrol it in Jamf Pro and register it from Self Service."
)
_CLEAN = f"Until then the strictest record counts. {_AGAIN}"
_DIFFER = (
    "The strictest counts. Look at which policy each applies; where Jamf Pro reports to Intune, the "
    f"registration is incomplete or was made twice. {_AGAIN}"
)
_CHECK_IN = (
    "Have the device check in: it may be off, or no longer managed there. Where Jamf Pro reports to Intune, "
    "the user who registered the Mac has to sign in again."
)


@dataclass(frozen=True)
class Examined:
    """A server that answered.

    Attributes:
        devices: some of its own, as a client hands them out.
    """

    name: str
    provider: MdmProvider
    info: ServerInfo
    devices: Sequence[Device]


async def compare(waits: ModuleType, examined: Sequence[Examined]) -> list[Finding]:
    """One finding for each server: whether it agrees with the others about some of their devices."""
    return [await _Comparison(waits, one, examined).run() for one in examined]


class _Comparison:
    def __init__(self, waits: ModuleType, own: Examined, examined: Sequence[Examined]) -> None:
        self._own = own
        self._sample = _sample(own, [one for one in examined if one is not own])
        self._policy = own.provider.settings.policy
        self._runner = Runner(waits, own.provider, own.name, self._policy)
        self._notes = Notes(own.name, self._runner.secrets.hide)

    async def run(self) -> Finding:
        try:
            problems, known = await self._ask()
        except MdmError as error:
            self._notes.fail(AGREEMENT, error)
        else:
            self._tell(problems, known)
        finally:
            await self._runner.aclose()
        return self._notes.findings[AGREEMENT]

    async def _ask(self) -> tuple[dict[str, str], int]:
        """What is wrong, with what to do, and how many devices both sides know."""
        problems: dict[str, str] = {}
        known = 0
        for key, theirs in self._sample:
            records = await self._find(key)
            known += bool(records)
            if len(records) > 1:
                problems[f"{key.kind}:{key} has {len(records)} records"] = _CLEAN
            elif records:
                problems |= _differences(key, records[0], theirs)
        return problems, known

    async def _find(self, key: Key) -> list[Device]:
        """The registered records that show the key."""
        own, budget = self._own, Budget(self._policy.deadline)
        found: Sequence[Device] = await self._runner.run("find", budget, "find", own.info, key)
        rules, now = rules_of(own.provider.settings), self._runner.shared.clock.now()
        rows = proven(own.provider, key, found)
        judged = [ruled(row, rules, now) if rules else row for row in rows]
        devices = [settle(row, own.name, own.provider.name) for row in judged]
        return [device for device in devices if device.registered]

    def _tell(self, problems: dict[str, str], known: int) -> None:
        if problems:
            remedies = " ".join(dict.fromkeys(problems.values()))
            self._notes.bad(AGREEMENT, "; ".join(problems), remedies)
        elif not known:
            asked = f"knows none of {len(self._sample)} devices of the others"
            nobody = "the others have shown no device that it could be asked for"
            self._notes.skip(AGREEMENT, asked if self._sample else nobody)
        else:
            self._notes.good(AGREEMENT, f"no contradiction about {known} devices that others know, too")


def _sample(own: Examined, others: Sequence[Examined]) -> list[tuple[Key, Device]]:
    """Some devices of the others, in turn, by keys that the server can be asked by."""
    kinds = [kind for kind in (Serial, Imei, Mac) if kind in own.provider.keys]
    askable = []
    for other in others:
        pairs = [
            (key, device) for device in other.devices if device.registered and (key := _key(device, kinds))
        ]
        counts = Counter(key for key, _ in pairs)  # what it has twice is found when it is asked itself
        askable.append([pair for pair in pairs if counts[pair[0]] == 1])
    in_turn = filter(None, chain.from_iterable(zip_longest(*askable)))
    return list({pair[0]: pair for pair in in_turn}.values())[:_MOST]


def _key(device: Device, kinds: Sequence[type[Key]]) -> Key | None:
    for kind in kinds:
        texts = {Serial: device.serial_number, Imei: device.imei}
        if kind is Mac:
            return next((mac for mac in device.mac_addresses if not mac.randomized), None)
        if key := kind.parse(texts[kind] or ""):
            return key
    return None


def _differences(key: Key, mine: Device, theirs: Device) -> dict[str, str]:
    """How two records of a device contradict each other, with what to do."""
    found: dict[str, str] = {}
    named = f"{key.kind}:{key}"
    states = {mine.compliance.state, theirs.compliance.state}
    if states == {ComplianceState.COMPLIANT, ComplianceState.NONCOMPLIANT}:
        told = " and ".join(f"{one.compliance.state.value} in {one.server}" for one in (theirs, mine))
        found[f"{named} is {told}"] = _DIFFER
    seen = [one for one in (mine, theirs) if one.last_check_in]
    late, fresh = min(seen, key=_check_in, default=mine), max(seen, key=_check_in, default=mine)
    if _check_in(fresh) - _check_in(late) > _UNRESPONSIVE.total_seconds():
        hours = (_check_in(fresh) - _check_in(late)) / 3600
        told = f"checked in with {fresh.server}, but for {hours:.0f} hours before that not with {late.server}"
        found[f"{named} {told}: unresponsive there"] = _CHECK_IN
    return found


def _check_in(device: Device) -> float:
    return device.last_check_in.timestamp() if device.last_check_in else 0.0
