"""What decides about compliance: the sources that an administrator may choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from mdmsdk.errors import EndpointNotFoundError
from mdmsdk.flow import done, together
from mdmsdk.models import ComplianceState
from mdmsdk_jamf import verdicts
from mdmsdk_jamf.groups import SmartGroups
from mdmsdk_jamf.inventory import REALMS
from mdmsdk_jamf.searches import AdvancedSearches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Compliance
    from mdmsdk_jamf.inventory import Record
    from mdmsdk_jamf.membership import Get, Membership
    from mdmsdk_jamf.settings import ComplianceSettings, Rules

__all__ = ["Source", "source_of"]


class Source:
    """No source at all: every device is unknown. The others say what they know better."""

    word: ClassVar[str] = "no source"
    """What it is called in messages."""
    one_by_one: ClassVar[bool] = False
    """Whether each verdict costs a request."""

    def resolve(self) -> Flow[dict[str, dict[str, str]]]:
        """Find what the settings name on the server, by realm."""
        return done({})

    def realms(self, named: Mapping[str, Any]) -> list[str]:
        """The inventories in which there may be noncompliant devices."""
        del named
        return list(REALMS)

    def judge(self, named: Mapping[str, Any], records: Sequence[Record]) -> Flow[list[Compliance]]:
        """The verdict on each record; `named` is what `resolve` found."""
        del named
        return done([verdicts.UNCONFIGURED] * len(records))

    def tells(self, verdict: Compliance) -> bool | None:
        """Whether a verdict shows that the source means the device; None if it is for others."""
        del verdict
        return None


class _Rules(Source):
    """Rules over the inventory."""

    word = "the table of rules"

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def judge(self, named: Mapping[str, Any], records: Sequence[Record]) -> Flow[list[Compliance]]:
        del named
        return done([verdicts.by_rules(record, self._rules) for record in records])

    def tells(self, verdict: Compliance) -> bool | None:
        return None if verdict == verdicts.NO_RULE else verdict.state is not ComplianceState.UNKNOWN


class _ConditionalAccess(Source):
    """The state that Jamf Pro keeps for its partners, which costs a request for each device."""

    word = "conditional access"
    one_by_one = True

    def __init__(self, get: Get) -> None:
        self._get = get

    def judge(self, named: Mapping[str, Any], records: Sequence[Record]) -> Flow[list[Compliance]]:
        del named
        states = yield from together(*map(self._state, records))
        missing = [state for state in states if isinstance(state, EndpointNotFoundError)]
        if missing and len(missing) == len(states):
            raise missing[0]  # no device of this server has a state
        return [verdicts.GONE if isinstance(state, EndpointNotFoundError) else state for state in states]

    def tells(self, verdict: Compliance) -> bool | None:
        return None if verdict == verdicts.GONE else verdict.vendor_state is not None

    def _state(self, record: Record) -> Flow[Compliance | EndpointNotFoundError]:
        path = f"/api/v1/conditional-access/device-compliance-information/{record.realm.vendor_path}"
        try:
            response = yield from self._get(f"{path}/{quote(record.id, safe='')}")
        except EndpointNotFoundError as error:
            return error
        return verdicts.by_vendors(record, response.json())


def source_of(settings: ComplianceSettings | None, get: Get) -> Source | Membership:
    """The source that the settings choose; `get` asks the server."""
    if settings is None:
        return Source()
    if settings.rules is not None:
        return _Rules(settings.rules)
    match settings.source:
        case "smart-group":
            return SmartGroups(settings, get)
        case "advanced-search":
            return AdvancedSearches(settings, get)
        case _:
            return _ConditionalAccess(get)
