"""The state that Jamf Pro keeps for its partners, which costs a request for each device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import EndpointNotFoundError, FilterIgnoredError, MalformedResponseError
from mdmsdk.evidence import conclude
from mdmsdk.flow import attempt, together
from mdmsdk.models import Compliance
from mdmsdk.rows import Row
from mdmsdk_jamf.sources.base import JamfSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.membership import Named, Verdict
    from mdmsdk_jamf.records import Record

__all__ = ["ConditionalAccess", "by_partners"]

# Failures that concern the device alone that was asked for.
_OF_ONE: Final = (EndpointNotFoundError, FilterIgnoredError, MalformedResponseError)
_NOT_AGREED: Final = "The partners of Jamf Pro do not all call the device compliant."
_GONE: Final = Compliance(reasons=("The device was deleted while its state was asked for.",))


class ConditionalAccess(JamfSource):
    """The states of devices, one by one."""

    word: ClassVar[str] = "conditional access"
    one_by_one: ClassVar[bool] = True

    def judge(self, named: Mapping[str, Named], records: Sequence[Record]) -> Flow[Sequence[Verdict]]:
        """The verdict on each record."""
        del named
        states = yield from together(*(attempt(self._state(record), *_OF_ONE) for record in records))
        missing = [state for state in states if isinstance(state, EndpointNotFoundError)]
        if missing and len(missing) == len(states):
            raise missing[0]  # no device of this server has a state
        return [_GONE if isinstance(state, EndpointNotFoundError) else state for state in states]

    def _state(self, record: Record) -> Flow[Compliance]:
        path = f"/api/v1/conditional-access/device-compliance-information/{record.realm.partner_path}"
        response = yield from self.get(f"{path}/{quote(record.id, safe='')}")
        return by_partners(record, response.json())


# "Return basic compliance information for the given device": one state for each vendor that is told about it;
# none at all is possible. That all vendors to which it applies must agree is inferred.
def by_partners(record: Record, answer: Any) -> Compliance:
    """The verdict of the states that Jamf Pro keeps for conditional access.

    Raises:
        MalformedResponseError: this is no list of states.
        FilterIgnoredError: they belong to another device.
    """
    if not isinstance(answer, list):
        raise MalformedResponseError("Jamf Pro answered with something else than compliance information")
    states = [Row(state, "compliance information") for state in answer]
    if any(state.text("deviceId") not in {record.id, None} for state in states):
        raise FilterIgnoredError("Jamf Pro answered with the compliance information of another device")
    applying = [state for state in states if state.flag("applicable") is not False]
    words = [state.text("complianceState") or "no state" for state in applying]
    failed = [state for state, word in zip(applying, words, strict=True) if word == "NON_COMPLIANT"]
    sure = all(state.flag("applicable") and state.text("deviceId") for state in applying)
    return conclude(
        [f"NON_COMPLIANT ({state.text('complianceVendor') or 'unnamed'})" for state in failed],
        () if sure and set(words) == {"COMPLIANT"} else (_NOT_AGREED,),
        vendor_state=", ".join(dict.fromkeys(words)) or None,
        source="conditional access",
    )
