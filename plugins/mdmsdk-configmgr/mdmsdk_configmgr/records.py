"""From the rows of the SMS Provider's classes to a `Device`. Pure.

A device stands in several classes, which are joined by its resource number. `Record` reads them together, as
one object with a member for each class, so that what cannot be read in one of them counts.

https://learn.microsoft.com/intune/configmgr/develop/reference/core/clients/collections/sms_combineddeviceresources-server-wmi-class
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from mdmsdk.errors import FilterIgnoredError, MalformedResponseError
from mdmsdk.evidence import Fact, weigh
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Mac, Serial
from mdmsdk.models import Compliance, Description, Device
from mdmsdk.rows import Row
from mdmsdk.rules import system_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk_configmgr.settings import ConfigMgrSettings

__all__ = ["Baseline", "Record", "SiteDescription", "number_of", "read_baselines", "seek", "swapped"]

# SMS_CI_CurrentComplianceStatus, ComplianceState. All others are unknown, too.
_COMPLIANT, _NONCOMPLIANT, _FAILED = 1, 2, 4
_WORDS: Final = {0: "unknown", 1: "compliant", 2: "non-compliant", 4: "error"}
_SAID: Final = {word.replace("-", ""): number for number, word in _WORDS.items()} | {
    "notcompliant": _NONCOMPLIANT
}
# SMS_CombinedDeviceResources: when the client did something that reached the site.
_SIGNS: Final = ("LastActiveTime", "LastPolicyRequest", "LastDDR", "LastHardwareScan", "LastStatusMessage")
_BLOCKED: Final = Fact("IsBlocked", "blocked by the site's administrators")


class Baseline(Description):
    """A configuration baseline that decides.

    Attributes:
        number: its CI_ID, which changes with every revision.
        name: as the console shows it.
    """

    number: int
    name: str


class SiteDescription(Description):
    """What the heartbeat learns.

    Attributes:
        baselines: those that decide.
        arrays: whether a filter may look into an array, such as that of MAC addresses.
    """

    baselines: tuple[Baseline, ...]
    arrays: bool


def number_of(row: Row, name: str) -> int:
    """The number that tells a row from others.

    Raises:
        MalformedResponseError: it has none.
    """
    if (number := row.whole(name)) is None:
        raise MalformedResponseError(f"the server sent a row without {name}")
    return number


def swapped(text: str | None) -> str | None:
    """A GUID with its first three groups in the other byte order; None where it is none."""
    try:
        return str(UUID(bytes_le=UUID(text or "").bytes))
    except ValueError:
        return None


def seek(row: Row, kind: type[Key], member: str, wanted: Container[Key | None]) -> None:
    """Make sure that a row shows one of the keys that were asked for.

    Raises:
        FilterIgnoredError: it shows another one.
    """
    if not any(key in wanted for key in row.keys(kind, member)):
        raise FilterIgnoredError(f"the server ignored the filter on {member} and listed other devices")


# SMS_ConfigurationBaselineInfo. The last part of CI_UniqueID is the revision; the part before stays.
def read_baselines(rows: Sequence[Row]) -> dict[str, Baseline]:
    """The baselines that are enabled and assigned, by what stays of their unique id.

    Raises:
        MalformedResponseError: whether one of them counts cannot be read.
    """
    found: dict[str, Baseline] = {}
    for row in sorted(rows, key=lambda row: number_of(row, "CI_ID")):
        enabled, assigned = row.flag("IsEnabled"), row.flag("IsAssigned")
        if enabled is None or assigned is None:
            raise MalformedResponseError("the server does not say whether a baseline is enabled and assigned")
        if enabled and assigned:
            unique = row.required("CI_UniqueID")
            name = row.text("LocalizedDisplayName") or unique
            found[lasting(unique)] = Baseline(number=number_of(row, "CI_ID"), name=name)
    return found


def lasting(unique: str) -> str:
    """What stays of a baseline's unique id when it is revised."""
    before, slash, revision = unique.rpartition("/")
    return before if slash and revision.isdecimal() else unique


class Record(Row):
    """What the classes say about one device, each in a member of its own."""

    def device(self, settings: ConfigMgrSettings, baselines: Sequence[Baseline]) -> Device:
        """What the rows say together.

        Args:
            settings: of the provider.
            baselines: those that decide.
        """
        system, seen = self.row("System"), self.row("Combined")
        checked = [moment for name in _SIGNS if (moment := seen.time(name))]
        guid = system.key(Guid, "SMBIOSGUID")
        others = [Guid.parse(swapped(guid)), *self._client_guid(system)]
        return Device(
            id=system.key(DeviceId, "ResourceId"),
            name=system.key(Hostname, "Name"),
            guid=guid,
            serial_number=self.row("Bios").key(Serial, "SerialNumber"),
            mac_addresses=self._macs(system),
            user=system.text("LastLogonUserName"),
            os=system_of(system.text("OperatingSystemNameandVersion")),
            os_version=system.text("Build"),
            registered=_is_client(system, seen),
            compliance=self._compliance(settings, baselines, seen),
            last_check_in=max(checked, default=None),
            raw=self.document if settings.keep_raw else None,
            other_identifiers=tuple(key for key in others if key),
            unreadable=self.unreadable,  # the last, when all was read
        )

    def _macs(self, system: Record) -> tuple[Mac, ...]:
        inventory = (mac for row in self.rows("Adapters") for mac in row.macs("MACAddress"))
        return tuple(dict.fromkeys((*system.macs("MACAddresses"), *inventory)))

    @staticmethod
    def _client_guid(system: Record) -> list[Guid]:
        """The GUID of the client, which another installation changes."""
        text = system.text("SMSUniqueIdentifier") or ""
        key = Guid.parse(text.partition("GUID:")[2])
        return [key] if key else []

    def _compliance(
        self, settings: ConfigMgrSettings, baselines: Sequence[Baseline], seen: Record
    ) -> Compliance:
        if not baselines:
            return Compliance()
        states = self._states(settings)
        failed = [one.name for one in baselines if _NONCOMPLIANT in states[one.number]]
        passed = all(states[one.number] == {_COMPLIANT} for one in baselines)
        doubts = [] if seen.has("IsBlocked") else ["of which the site does not say whether it is blocked"]
        if settings.require_active and seen.number("ClientActiveStatus") != 1:
            doubts.append("not known as active")
        if settings.require_active and seen.number("ClientCheckPass") != 1:
            doubts.append("without a health check that passed")
        verdict = weigh(
            seen,
            False if failed else True if passed else None,
            [_BLOCKED],
            word=None if failed or passed else _word(states[one.number] for one in baselines),
            doubts=doubts if passed else [],
            reasons=[f"{name}: not compliant" for name in failed],
        )
        if failed or passed:
            return verdict.model_copy(update={"source": "; ".join(failed) or None})
        if settings.compliance and settings.compliance.source == "rules":
            return verdict  # without a verdict of the site, the rules decide
        open_ = [_open(one, states[one.number]) for one in baselines if states[one.number] != {_COMPLIANT}]
        return verdict.model_copy(update={"reasons": (*verdict.reasons, *open_)})

    def _states(self, settings: ConfigMgrSettings) -> Mapping[int, set[int | None]]:
        """The states of each baseline; None for one that cannot be read."""
        states: dict[int, set[int | None]] = defaultdict(set)
        for row in self.rows("Compliance"):
            user = row.word("UserName")
            if not user or settings.user_rows:
                states[number_of(row, "CI_ID")].add(_state(row))
        return states


# SMS_R_System: Client is 1 with a client and null for a computer that was only discovered. Obsolete is a
# record that a newer one of the same computer has replaced.
def _is_client(system: Record, seen: Record) -> bool:
    names = ("Obsolete", "Decommissioned")
    gone = [system.doubt(name, system.veto(name)) for name in names]
    return system.veto("Client") is True and gone == [False, False] and not seen.veto("IsObsolete")


def _state(row: Record) -> int | None:
    """The state in a row, which its name may not contradict."""
    number = row.whole("ComplianceState")
    said = (row.word("ComplianceStateName") or "").lower().replace("-", "").replace(" ", "")
    if said in _SAID and _SAID[said] != number:
        number = _NONCOMPLIANT if _NONCOMPLIANT in {number, _SAID[said]} else None
    state: int | None = row.doubt("ComplianceState", number)
    return state


def _word(states: Any) -> str:
    found = {state for one in states for state in one} - {_COMPLIANT}
    worst = max((state for state in found if state is not None), default=0)
    return _WORDS.get(worst, str(worst))


def _open(baseline: Baseline, states: set[int | None]) -> str:
    if not states:
        return f"{baseline.name}: the device has no result"
    if _FAILED in states:
        return f"{baseline.name}: the evaluation failed"
    return f"{baseline.name}: the state is not known"
