"""Compliance by membership: in a smart group, or in an advanced search."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.errors import ConfigurationError
from mdmsdk.models import ComplianceState
from mdmsdk_jamf import verdicts
from mdmsdk_jamf.inventory import COMPUTERS, MOBILE_DEVICES, REALMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Compliance
    from mdmsdk.wire import Response
    from mdmsdk_jamf.inventory import Realm, Record
    from mdmsdk_jamf.settings import ComplianceSettings

    Get = Callable[..., Flow[Response]]
    """Asks for a path, with parameters and a filter."""

__all__ = ["Membership", "Named"]

_SHOWN = 5
"""Names to list where none is like the one that is wanted."""


@dataclass(frozen=True, slots=True)
class Named:
    """A group or search as the server knows it; with the id of the site to which it is limited, if any."""

    id: str
    name: str
    site: str | None = None


class Membership(ABC):
    """What both kinds have in common: they are found by name, and a device is in them or not.

    Args:
        settings: which of them, and what being in it means.
        get: asks the server.
    """

    word: ClassVar[str]
    """What it is called in messages."""
    one_by_one: ClassVar[bool] = False

    def __init__(self, settings: ComplianceSettings, get: Get) -> None:
        self.settings = settings
        self.get = get

    @abstractmethod
    def catalogue(self, realm: Realm) -> Flow[list[Named]]:
        """All that there are for one realm."""

    @abstractmethod
    def members(
        self, realm: Realm, target: Named, records: Sequence[Record]
    ) -> Flow[Mapping[str, str | None]]:
        """Ids of the members, of those among the records at least, with what describes them if anything."""

    def resolve(self) -> Flow[dict[str, dict[str, str]]]:
        """Find the groups or searches that the settings name, by realm.

        Raises:
            ConfigurationError: there is none of that name or id; near matches are named.
        """
        found = {}
        settings = self.settings
        for realm, wanted in ((COMPUTERS, settings.computers), (MOBILE_DEVICES, settings.mobile_devices)):
            if wanted is not None:
                known = yield from self.catalogue(realm)
                chosen = _choose(wanted, known, f"{self.word} for {realm.name}")
                found[realm.name] = {key: text for key, text in asdict(chosen).items() if text is not None}
        return found

    def realms(self, named: Mapping[str, Any]) -> list[str]:
        """The inventories in which there may be noncompliant devices."""
        return [name for name in REALMS if name in named]

    def judge(self, named: Mapping[str, Any], records: Sequence[Record]) -> Flow[list[Compliance]]:
        """The verdict on each record; `named` is what `resolve` found."""
        members: dict[str, Mapping[str, str | None]] = {}
        for name in named:
            if own := [record for record in records if record.realm.name == name]:
                members[name] = yield from self.members(REALMS[name], Named(**named[name]), own)
        return [
            self._verdict(record, Named(**named[record.realm.name]), members[record.realm.name])
            if record.realm.name in named
            else verdicts.not_covered(record)
            for record in records
        ]

    def tells(self, verdict: Compliance) -> bool | None:
        """Whether a verdict shows that the group or search means the device; None if it is for others.

        Of a group of the compliant, a member does. Of a group of offenders, everybody: it may well be empty.
        """
        if verdict.source is None:
            return None
        return self.settings.members == "noncompliant" or verdict.state is ComplianceState.COMPLIANT

    # That a group of a site holds devices of that site only is inferred.
    def _verdict(self, record: Record, target: Named, members: Mapping[str, str | None]) -> Compliance:
        member, means_compliant = record.id in members, self.settings.members == "compliant"
        source = f"{self.word} {target.name!r}"
        if not member and not means_compliant and target.site and record.site != target.site:
            return verdicts.other_site(source)
        return verdicts.by_membership(
            record,
            member=member,
            means_compliant=means_compliant,
            source=source,
            description=members.get(record.id),
        )


def _choose(wanted: str | int, catalogue: Sequence[Named], what: str) -> Named:
    word = str(wanted).strip()
    by_word = {one.id: one for one in catalogue}
    if isinstance(wanted, str):  # a name may look like an id, the other way round not
        by_word = {one.name.casefold(): one for one in catalogue} | by_word
        by_word |= {one.name: one for one in catalogue}
    if found := by_word.get(word) or by_word.get(word.casefold()):
        return found
    names = {one.name.casefold(): one for one in catalogue}
    near = [names[name] for name in difflib.get_close_matches(word.casefold(), names, n=3, cutoff=0.4)]
    listed = [f"{one.name!r} (id {one.id})" for one in near or catalogue[:_SHOWN]]
    if len(listed) < len(catalogue) and not near:
        listed.append("…")
    raise ConfigurationError(
        f"this Jamf Pro server has no {what} called {word!r}",
        hint=f"{'Near matches' if near else 'There are'}: {', '.join(listed) or 'none'}. Correct the setting "
        "compliance, or let the account see it: an account that is limited to a site sees that site's only.",
    )
