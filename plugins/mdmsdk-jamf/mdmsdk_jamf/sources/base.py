"""What every source of compliance does, and whether one means the devices that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.flow import Flow, done
from mdmsdk.models import Compliance, Description
from mdmsdk.wire import Response
from mdmsdk_jamf.records import REALMS, Record

if TYPE_CHECKING:
    from datetime import datetime

    from mdmsdk_jamf.settings import JamfSettings

__all__ = ["Get", "JamfDescription", "Named", "Run", "Seen", "Source", "Verdict"]

Get = Callable[..., Flow[Response]]
"""Asks for a path, with parameters and a filter."""
Verdict = Compliance | MdmError
"""What a source says about one record, or why it can say nothing about this one alone."""
Seen = frozenset[tuple[str, bool | None]]
"""By inventory, whether the source means a device; None if it is for others."""


@dataclass(frozen=True, slots=True)
class Named:
    """A group or search as the server knows it; with the id of the site to which it is limited, if any."""

    id: str
    name: str
    site: str | None = None


_UNCONFIGURED = Compliance(
    reasons=("No source of compliance is configured for this Jamf Pro server: see the setting compliance.",)
)


class JamfDescription(Description):
    """What later requests need: the groups or searches of the settings as the server knows them, by realm."""

    named: dict[str, Named] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What an advanced search found when it was run.

    Attributes:
        search: the inventory that it searches, and its id.
        members: ids of the records in it.
        at: a time before that, by the server's clock, if it said so.
    """

    search: tuple[str, str]
    members: frozenset[str]
    at: datetime | None


class Source:
    """No source but, perhaps, rules, which the client applies. The others say what they know better.

    Args:
        settings: of the server.
        get: asks the server.
        runs: what the pages of a list that came before know of advanced searches.

    Attributes:
        runs: the same, for the next page.
        members_comply: whether being in the group or search is good.
    """

    word: ClassVar[str] = "no source"
    """What it is called in messages."""
    one_by_one: ClassVar[bool] = False
    """Whether each verdict costs a request."""

    def __init__(self, settings: JamfSettings, get: Get, runs: tuple[Run, ...] = ()) -> None:
        self.settings, self.get, self.runs = settings, get, runs
        self.members_comply = bool(settings.compliance and settings.compliance.members == "compliant")

    def resolve(self) -> Flow[dict[str, Named]]:
        """Find what the settings name on the server, by realm."""
        return done({})

    def judge(self, named: Mapping[str, Named], records: Sequence[Record]) -> Flow[Sequence[Verdict]]:
        """The verdict on each record; `named` is what `resolve` found."""
        del named
        silent = Compliance(remediation=self.settings.remediation)
        return done([silent if self.settings.compliance else _UNCONFIGURED] * len(records))

    def see(self, records: Iterable[Record], verdicts: Iterable[Compliance]) -> Seen:
        """What these verdicts show of the source, as far as devices are managed and have reported."""
        return frozenset(
            (record.realm.name, self._means(verdict))
            for record, verdict in zip(records, verdicts, strict=True)
            if record.device.registered and record.reported_at is not None
        )

    def _means(self, verdict: Compliance) -> bool | None:
        return None if verdict.source is None else verdict.vendor_state is not None

    # A group that nobody is in, or conditional access that knows nobody, gives a list of offenders that is
    # empty and complete, and proves nothing.
    def check(self, seen: Seen) -> None:
        """Accept that these were all devices.

        Raises:
            ConfigurationError: the source means none of them, or none of an inventory.
        """
        silent = [name for name in REALMS if (name, False) in seen and (name, True) not in seen]
        if not silent and (not seen or any(means is not None for _, means in seen)):
            return
        what = f"any of the managed {' or '.join(silent)}" if silent else "the devices of this server"
        managed = " and ".join(sorted({name for name, _ in seen}))
        raise ConfigurationError(
            f"compliance ({self.word}) says nothing about {what}",
            hint=f"Managed are {managed}. A group or search in which nobody is who should be, or for other "
            "devices, or an integration that knows no device, proves nothing about anybody: correct the "
            "setting compliance, or what it names.",
        )
