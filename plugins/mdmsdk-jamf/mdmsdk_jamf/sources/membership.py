"""Compliance by membership: in a smart group, or in an advanced search."""

from __future__ import annotations

import difflib
from abc import abstractmethod
from typing import TYPE_CHECKING

from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.models import Compliance, ComplianceState
from mdmsdk_jamf.records import REALMS
from mdmsdk_jamf.sources.base import Named, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk_jamf.records import Realm, Record
    from mdmsdk_jamf.sources.base import Verdict

    Members = Mapping[str, str | MdmError | None]
    """By id of a record: what describes its group, if anything; or why nobody knows whether it is in it."""

__all__ = ["Membership", "by_membership"]

_SHOWN = 5
"""Names to list where none is like the one that is wanted."""
_NOT_EVALUATED = "The device has not sent its inventory yet, so Jamf Pro has not evaluated it."


class Membership(Source):
    """What both kinds have in common: they are found by name, and a device is in them or not."""

    @abstractmethod
    def catalogue(self, realm: Realm) -> Flow[Sequence[Named]]:
        """All that there are for one realm."""

    @abstractmethod
    def members(self, realm: Realm, target: Named, records: Sequence[Record]) -> Flow[Members]:
        """The members, of those among the records at least."""

    def resolve(self) -> Flow[dict[str, Named]]:
        """Find the groups or searches that the settings name, by realm.

        Raises:
            ConfigurationError: there is none of that name or id; near matches are named.
        """
        found = {}
        for name, realm in REALMS.items():
            if (wanted := getattr(self.settings.compliance, name)) is not None:
                found[name] = _choose(wanted, (yield from self.catalogue(realm)), f"{self.word} for {name}")
        return found

    def judge(self, named: Mapping[str, Named], records: Sequence[Record]) -> Flow[Sequence[Verdict]]:
        """The verdict on each record; `named` is what `resolve` found."""
        members: dict[str, Members] = {}
        for name, target in named.items():
            if own := [record for record in records if record.realm.name == name]:
                members[name] = yield from self.members(REALMS[name], target, own)
        return [
            self._verdict(record, named.get(record.realm.name), members.get(record.realm.name, {}))
            for record in records
        ]

    def _means(self, verdict: Compliance) -> bool | None:
        # Of those that comply, one that does. A group of offenders may well be empty.
        passes = verdict.state is ComplianceState.COMPLIANT
        return super()._means(verdict) and (passes or not self.members_comply)

    def _verdict(self, record: Record, target: Named | None, members: Members) -> Verdict:
        if target is None:
            kind = record.realm.name
            reason = f"No source of compliance is configured for {kind}: see compliance.{kind}."
            return Compliance(reasons=(reason,))
        description = members.get(record.id)
        if isinstance(description, MdmError):
            return description
        member, source = record.id in members, f"{self.word} {target.name!r}"
        # That a group of a site holds devices of that site only is inferred.
        if not member and not self.members_comply and target.site and record.site != target.site:
            reason = f"The {source} is limited to a site to which the device does not belong."
            return Compliance(reasons=(reason,))
        good = self.members_comply
        return by_membership(record, source, description, member=member, means_compliant=good)


# In the vendor's own integration with Entra, a member of the compliance group complies, and a device that
# leaves it does not: "Integrating with Microsoft Intune", https://docs.jamf.com. The setting turns it round.
def by_membership(
    record: Record, source: str, description: str | None = None, *, member: bool, means_compliant: bool
) -> Compliance:
    """The verdict of a smart group or an advanced search.

    Args:
        record: the device's record.
        source: the group or search, as in ``smart group 'Compliant'``.
        description: what the group's own description says.
        member: whether it is in the group or search.
        means_compliant: what being in it means.
    """
    vendor_state = f"{'in' if member else 'not in'} {source}"
    state, reason = ComplianceState.COMPLIANT, ""
    # Of one whose moment is damaged nobody knows, and that makes no pass, and takes no offender away.
    if record.never_reported or (record.reported_at is None and member == means_compliant):
        state, reason = ComplianceState.UNKNOWN, _NOT_EVALUATED
    elif member != means_compliant:
        state = ComplianceState.NONCOMPLIANT
        reason = (description if member else None) or f"The device is {vendor_state}."
    reasons = (reason,) if reason else ()
    return Compliance(state=state, reasons=reasons, vendor_state=vendor_state, source=source)


def _choose(wanted: str | int, catalogue: Sequence[Named], what: str) -> Named:
    word = str(wanted).strip()
    names = {one.name.casefold(): one for one in catalogue}
    by_word = {one.id: one for one in catalogue}
    if isinstance(wanted, str):  # a name may look like an id, the other way round not
        by_word = names | by_word | {one.name: one for one in catalogue}
    if found := by_word.get(word) or by_word.get(word.casefold()):
        return found
    near = [names[name] for name in difflib.get_close_matches(word.casefold(), names, n=3, cutoff=0.4)]
    listed = ", ".join(f"{one.name!r} (id {one.id})" for one in near or catalogue[:_SHOWN])
    raise ConfigurationError(
        f"this Jamf Pro server has no {what} called {word!r}",
        hint=f"{'Near matches' if near else 'The first ones'}: {listed or 'none'}. Correct the setting "
        "compliance, or let the account see it: an account that is limited to a site sees that site's only.",
    )
