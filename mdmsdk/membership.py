"""Compliance by membership: in a group, a saved search or a collection that the administrator names. Pure.

Where a vendor has no verdict of its own, an administrator makes a group of the devices that comply, or of
those that do not. A provider states how its server lists such groups and who is in one. Choosing them by
name, the verdict, and whether it says anything about the devices that there are, is the same for all.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

from mdmsdk.errors import MdmError
from mdmsdk.evidence import check_meant, conclude
from mdmsdk.flow import done
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.scopes import choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdmsdk.evidence import Meant
    from mdmsdk.flow import Flow

    Members = Mapping[str, str | MdmError | None]
    """By id of a record: what describes its group, if anything; or why nobody knows whether it is in it."""

__all__ = ["Judged", "Membership", "Named", "Source", "Verdict", "by_membership"]

Verdict = Compliance | MdmError
"""What a source says about one record, or why it can say nothing about this one alone."""
_NAMES_HINT: Final = (
    "Correct the setting compliance, or let the account see it: an account that is limited to a part of the "
    "server sees what is there only."
)
_SILENT_HINT: Final = (
    "A group or search in which nobody is who should be, or for other devices, or an integration that knows "
    "no device, proves nothing about anybody: correct the setting compliance, or what it names."
)
_NOT_EVALUATED: Final = "The device has not sent its inventory yet, so the server has not evaluated it."


@dataclass(frozen=True, slots=True)
class Named:
    """A group or search as the server knows it; with the id of the site to which it is limited, if any."""

    id: str
    name: str
    site: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a source has to know of a record.

    Attributes:
        part: of the server's inventory, such as the computers.
        id: by which the part knows it.
        device: what it says.
        evaluated: whether the device has sent what the server judges it by; None where that cannot be read.
        site: the id of the site to which it belongs, if any.
    """

    part: str
    id: str
    device: Device
    evaluated: bool | None
    site: str | None


R = TypeVar("R", bound=Judged)


class Source(Generic[R]):
    """What decides about compliance in place of the vendor."""

    word: ClassVar[str]
    """What it is called in messages."""
    one_by_one: ClassVar[bool] = False
    """Whether each verdict costs a request."""

    def resolve(self) -> Flow[dict[str, Named]]:
        """Find what the settings name on the server, by part."""
        return done({})

    @abstractmethod
    def judge(self, named: Mapping[str, Named], records: Sequence[R]) -> Flow[Sequence[Verdict]]:
        """The verdict on each record; `named` is what `resolve` found."""

    def see(self, records: Iterable[R], devices: Iterable[Device]) -> Meant:
        """What its verdicts on these show of it, as far as devices are managed and were evaluated."""
        return frozenset(
            (f"managed {record.part}", self._means(device.compliance))
            for record, device in zip(records, devices, strict=True)
            if device.registered and record.evaluated
        )

    def _means(self, verdict: Compliance) -> bool | None:
        return None if verdict.source is None else verdict.vendor_state is not None

    def check(self, meant: Meant) -> None:
        """Accept that these were all devices; raises as `mdmsdk.evidence.check_meant`."""
        check_meant(meant, f"compliance ({self.word}) says", _SILENT_HINT)


class Membership(Source[R]):
    """A group or search for each part: a device is in it or not.

    Attributes:
        wanted: names or ids of the groups, by part; of a part that is not named, there is no verdict.
        members_comply: what being in one means.
    """

    wanted: Mapping[str, str | int]
    members_comply: bool

    @abstractmethod
    def catalogue(self, part: str) -> Flow[Sequence[Named]]:
        """All that there are for a part."""

    @abstractmethod
    def members(self, part: str, group: Named, records: Sequence[R]) -> Flow[Members]:
        """The members, of those among the records at least."""

    def resolve(self) -> Flow[dict[str, Named]]:
        """Find the groups that the settings name, by part.

        Raises:
            ConfigurationError: there is none of that name or id; near matches are named.
        """
        found = {}
        for part, wanted in self.wanted.items():
            known = {one.id: one for one in (yield from self.catalogue(part))}
            names, noun = {number: one.name for number, one in known.items()}, f"{self.word} for {part}"
            (number,) = choose([wanted], names, noun, _NAMES_HINT, names_first=True)
            found[part] = known[number]
        return found

    def judge(self, named: Mapping[str, Named], records: Sequence[R]) -> Flow[Sequence[Verdict]]:
        """The verdict on each record; `named` is what `resolve` found."""
        members: dict[str, Members] = {}
        for part, group in named.items():
            if own := [record for record in records if record.part == part]:
                members[part] = yield from self.members(part, group, own)
        return [self._verdict(one, named.get(one.part), members.get(one.part, {})) for one in records]

    def _means(self, verdict: Compliance) -> bool | None:
        # Of those that comply, one that does. A group of offenders may well be empty.
        passes = verdict.state is ComplianceState.COMPLIANT
        return super()._means(verdict) and (passes or not self.members_comply)

    def _verdict(self, record: R, group: Named | None, members: Members) -> Verdict:
        reason = f"No source of compliance is configured for {record.part}: see compliance.{record.part}."
        if group is None:
            return Compliance(reasons=(reason,))
        description = members.get(record.id)
        if isinstance(description, MdmError):
            return description
        source, member, good = f"{self.word} {group.name!r}", record.id in members, self.members_comply
        # That a group of a site holds devices of that site only is inferred.
        if group.site not in {None, record.site} and not member and not good:
            reason = f"The {source} is limited to a site to which the device does not belong."
            return Compliance(reasons=(reason,))
        return by_membership(record, source, description, member=member, means_compliant=good)


def by_membership(
    record: Judged, source: str, description: str | None = None, *, member: bool, means_compliant: bool
) -> Compliance:
    """The verdict of a group or search.

    Args:
        record: the device's record.
        source: the group or search, as in ``smart group 'Compliant'``.
        description: what the group's own description says.
        member: whether it is in the group or search.
        means_compliant: what being in it means.
    """
    good, said = member == means_compliant, f"{'in' if member else 'not in'} {source}"
    reason = (description if member else None) or f"The device is {said}."
    # Where nobody knows whether it was evaluated, that makes no pass, and takes no offender away.
    doubtful = record.evaluated is False or (good and not record.evaluated)
    against, doubts = () if good or doubtful else (reason,), (_NOT_EVALUATED,) if doubtful else ()
    return conclude(against, doubts, vendor_state=said, source=source)
