"""What every source of compliance has here, and the one that there is without any."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field

from mdmsdk.flow import done
from mdmsdk.membership import Named, Source
from mdmsdk.models import Compliance, Description
from mdmsdk_jamf.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.membership import Verdict
    from mdmsdk_jamf.inventory import Inventory
    from mdmsdk_jamf.sources.searches import Run

__all__ = ["NO_SOURCE", "JamfDescription", "JamfSource", "NoSource"]

NO_SOURCE: Final = (
    "Jamf Pro has no compliance state of its own: give the setting compliance, as "
    '{ source = "smart-group", computers = "Compliant Macs", mobile_devices = "Compliant devices" }.'
)


class JamfDescription(Description):
    """What later requests need: the groups or searches of the settings as the server knows them, by realm."""

    named: dict[str, Named] = Field(default_factory=dict)


class JamfSource(Source[Record]):
    """A source for one operation.

    Args:
        inventory: of the server.
        runs: what the pages of a list that came before know of advanced searches.

    Attributes:
        runs: the same, for the next page.
    """

    def __init__(self, inventory: Inventory, runs: tuple[Run, ...] = ()) -> None:
        self.settings, self.get, self.runs = inventory.settings, inventory.get, runs
        if chosen := self.settings.compliance:
            self.wanted: Mapping[str, str | int] = chosen.wanted
            self.members_comply = chosen.members == "compliant"


class NoSource(JamfSource):
    """None but, perhaps, rules, which the client applies."""

    word: ClassVar[str] = "no source"

    def judge(self, named: Mapping[str, Named], records: Sequence[Record]) -> Flow[Sequence[Verdict]]:
        """No verdict."""
        del named
        by_rules = Compliance(remediation=self.settings.remediation)
        verdict = by_rules if self.settings.compliance else Compliance(reasons=(NO_SOURCE,))
        return done([verdict] * len(records))
