"""The rules by which records become an answer: never about another device, never better than the worst."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from mdmsdk.errors import FilterIgnoredError, InvalidIdentifierError
from mdmsdk.evidence import check_meant, offends
from mdmsdk.identifiers import Key, parse_key
from mdmsdk.models import ComplianceState, Device, LookupResult
from mdmsdk.progress import Progress, Seen, row_identity
from mdmsdk.rules import judge
from mdmsdk.settings import ComplianceSettings
from mdmsdk.words import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mdmsdk.errors import IncompleteListError, MdmError
    from mdmsdk.models import Compliance
    from mdmsdk.provider import Page, ProviderSettings
    from mdmsdk.settings import Rules

_SILENT_HINT = (
    "Rules for other systems, or over facts that this vendor does not report, prove nothing about anybody: "
    "look at what `mdm lookup` says of a device, and correct compliance.rules."
)
_PASSES = frozenset({ComplianceState.COMPLIANT, ComplianceState.GRACE})


def as_key(key: Key | str) -> Key:
    """A key as given, or read from text.

    Raises:
        InvalidIdentifierError: it is neither, or the text is no key.
    """
    if isinstance(key, str):
        return parse_key(key)
    if not isinstance(key, Key):
        raise InvalidIdentifierError(f"a key or text is wanted, and this is a {type(key).__name__}")
    return key


def as_keys(keys: Iterable[Key | str]) -> Iterator[Key | str]:
    """The keys one by one.

    Raises:
        InvalidIdentifierError: this is one key, or nothing to go through.
    """
    if isinstance(keys, str | bytes | Key) or not isinstance(keys, Iterable):
        raise InvalidIdentifierError(f"several keys are wanted, and this is one {type(keys).__name__}")
    return iter(keys)


def rules_of(settings: ProviderSettings) -> Rules | None:
    """The administrator's rules for a server; None where its own verdict counts."""
    compliance = settings.compliance
    return compliance.rules if isinstance(compliance, ComplianceSettings) else None


def ruled(device: Device, rules: Rules, now: datetime) -> Device:
    """A provider's record with the verdict of rules, before it is proven and settled.

    What its vendor says against the device stands: noncompliant, grace, or an unknown with reasons. Its
    "compliant", and an unknown that only says that the vendor has no verdict, give way to the rules.
    """
    own, found = device.compliance, judge(rules, device, now)
    silent = own.state is ComplianceState.UNKNOWN and not own.reasons
    if silent or own.state is ComplianceState.COMPLIANT:
        passes = found.state is ComplianceState.COMPLIANT  # and there is nothing to remedy
        changes = {"vendor_state": own.vendor_state, "remediation": None if passes else own.remediation}
        verdict = found.model_copy(update=changes)
    else:
        verdict = _stricter(own, found)
    return device.model_copy(update={"compliance": verdict})


def tightened(device: Device, rules: Rules, now: datetime) -> Device:
    """A settled record with the verdict of rules where that is stricter than its own."""
    verdict = _stricter(device.compliance, judge(rules, device, now))
    return device if verdict is device.compliance else device.model_copy(update={"compliance": verdict})


def explained(device: Device, given: Device) -> Device:
    """A record that was read for the reasons of `given`, never milder than that.

    Why the given one is no pass may be in no record: its proof, or the rules of a federation. What is
    found to speak against one that was a pass leaves nobody who vouches for it.
    """
    if device.compliance.state is ComplianceState.COMPLIANT and device.compliance.reasons:
        device = device.doubted()
    own, before = device.compliance, given.compliance
    if own.state.severity >= before.state.severity:
        return device
    return device.model_copy(update={"compliance": _stricter(own, before)})


def _stricter(own: Compliance, found: Compliance) -> Compliance:
    """A verdict and another one on the same device: the stricter state, and the reasons for it."""
    changes: dict[str, object] = {}
    if found.state.severity > own.state.severity:
        changes = {"state": found.state, "source": found.source}
    elif found.state is not own.state or not found.reasons:
        return own
    reasons = tuple(dict.fromkeys((*own.reasons, *found.reasons)))
    if not changes and reasons == own.reasons:
        return own
    return own.model_copy(update={**changes, "reasons": reasons})


class Coverage:
    """Whether rules say anything about the devices that there are: those that do not prove nothing."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._managed = 0
        self._told = False

    def look(self, device: Device, now: datetime) -> None:
        """Take a device into account, as its provider gave it."""
        if device.registered and not self._told:
            self._managed += 1
            self._told = judge(self._rules, device, now).state is not ComplianceState.UNKNOWN

    def check(self) -> None:
        """Accept that these were all.

        Raises:
            ConfigurationError: the rules say nothing about any managed device.
        """
        if self._managed:
            check_meant({(f"{self._managed} managed devices", self._told)}, "the rules say", _SILENT_HINT)


class Offenders:
    """Picks those that do not comply out of a list of all devices.

    Args:
        rules: those of the settings, by which the devices were judged.
        more: others besides, which only make verdicts stricter.
    """

    def __init__(self, rules: Rules | None, more: Rules | None) -> None:
        self._coverage = Coverage(rules) if rules else None
        self._more = more

    def take(self, row: Device, device: Device, now: datetime) -> Device | None:
        """The device if it does not comply; `row` is what the provider gave."""
        if self._coverage:
            self._coverage.look(row, now)
        if self._more:
            device = tightened(device, self._more, now)
        return device if offends(device) else None

    def check(self) -> None:
        """Accept that the list is at its end; raises as `Coverage.check` does."""
        if self._coverage:
            self._coverage.check()


def settle(device: Device, server: str, provider: str) -> Device:
    """A provider's record as the client hands it out: with its origin, and no pass that nobody vouches for.

    A server may keep the last "compliant" of a device that is no longer under its management; nobody
    evaluates it any more, so that is no verdict. Neither is one beside a fact that could speak against the
    device and cannot be read. What the vendor's own record tells of passwords and keys is left out.
    """
    changes: dict[str, object] = {"server": server, "provider": provider}
    if device.raw is not None:
        changes["raw"] = without_secrets(device.raw)
    compliance = device.compliance
    if compliance.state in _PASSES and (doubts := _doubts(device)):
        changes["compliance"] = compliance.model_copy(
            update={"state": ComplianceState.UNKNOWN, "reasons": (*compliance.reasons, *doubts)}
        )
    return device.model_copy(update=changes)


def _doubts(device: Device) -> list[str]:
    facts = sorted(device.doubtful)
    doubts = [f"the server's record says something about {fact} that cannot be read" for fact in facts]
    return doubts if device.registered else [*doubts, "the device is not managed by this server"]


def pick(devices: Sequence[Device]) -> Device | None:
    """The one record that stands for the device, of several for one key.

    Registered before not registered, then the newest check-in, then the lower id. If the records
    disagree about compliance, the strictest state wins and the reasons say so.
    """
    if not devices:
        return None
    chosen = min(devices, key=preference)
    rivals = rivals_of(chosen, devices)
    return judge_together(chosen, rivals, f"{len(rivals)} records share this identifier")


class Records(NamedTuple):
    """What one server has for a key: the records that are proven, or why there is no answer."""

    key: Key | str
    devices: Sequence[Device] = ()
    error: MdmError | None = None
    elapsed_ms: float = 0.0

    def result(self) -> LookupResult:
        """The answer for an application, with the one record that stands for the device."""
        device = pick(self.devices)
        return LookupResult(key=self.key, device=device, error=self.error, elapsed_ms=self.elapsed_ms)


def rivals_of(chosen: Device, devices: Sequence[Device]) -> list[Device]:
    """The records whose verdict counts beside that of `chosen`, which is among them.

    Records of devices that left do not count against one that is there, if they say so readably.
    """
    return [device for device in devices if device.registered == chosen.registered or device.doubtful]


def judge_together(chosen: Device, rivals: Sequence[Device], why: str) -> Device:
    """`chosen` with the strictest verdict among `rivals`, saying so where they disagree."""
    strictest = max(rivals, key=lambda device: device.compliance.state.severity)
    if strictest.compliance.state == chosen.compliance.state:
        return chosen
    origin = strictest.id or strictest.guid or strictest.name or "another record"
    note = f"{why} and disagree; the strictest counts ({strictest.server}: {origin})"
    verdict = strictest.compliance
    return chosen.model_copy(
        update={"compliance": verdict.model_copy(update={"reasons": (*verdict.reasons, note)})}
    )


def preference(device: Device) -> tuple[bool, float, int, str]:
    """Sorts the record that speaks for a device before the others."""
    seen = device.last_check_in.timestamp() if device.last_check_in else 0.0
    record = device.id or device.guid or ""
    # Shorter first, so that number 9 comes before number 10.
    return (not device.registered, -seen, len(record), record)


def chunks(keys: Sequence[Key], size: int) -> list[list[Key]]:
    """The keys in groups of one kind, of at most `size`."""
    kinds: dict[type[Key], list[Key]] = {}
    for key in keys:
        kinds.setdefault(type(key), []).append(key)
    return [group[start : start + size] for group in kinds.values() for start in range(0, len(group), size)]


def patience_hint(settings: ProviderSettings) -> str:
    """What to do about a list, a page of which does not come in time."""
    lower = ", or lower page_size" if "page_size" in type(settings).model_fields else ""
    return f"The server needs longer for a page: raise policy.timeout{lower}."


class Listing(Progress):
    """Keeps account of a list that comes page by page, so that it is complete or fails.

    Attributes:
        cursor: where the next page is.
        more: whether there is a next page.
        collected: how many devices were handed out; who leaves one out afterwards takes it off.
        blank: whether no row came so far, as far as the provider says.
    """

    def __init__(self, max_pages: int, *, noncompliant: bool) -> None:
        super().__init__(max_pages)
        self.cursor: Any = None
        self.more: bool = True
        self.collected: int = 0
        self.blank: bool = True
        self._came = 0
        self._noncompliant = noncompliant
        self._listed, self._sent = Seen(), Seen()

    def take(self, page: Page[Device]) -> Iterator[Device]:
        """The devices of a page that did not come before; afterwards the list is one page further.

        Raises:
            FilterIgnoredError: a device that complies stands in the noncompliant list.
            IncompleteListError: the pages go in circles, bring nothing new, have no end, or fewer rows came
                than the server counts.
        """
        before = self._came
        self.blank = self.blank and not page.items and not page.sent
        for device in page.items:
            passes = device.compliance.state is ComplianceState.COMPLIANT and not device.doubtful
            if self._noncompliant and passes:
                raise FilterIgnoredError("the noncompliant list holds a device that complies")
            if self._listed.add(row_identity(device)):
                self._came += 1
                self.collected += 1
                yield device
        self.cursor, self.more = page.next_cursor, page.next_cursor is not None
        if page.next_cursor is not None:
            fresh = self._sent.add_all(page.sent or ()) or self._came > before
            self.go_on(page.next_cursor, fresh=fresh or page.moved)
        elif page.total is not None and self._came < page.total:
            raise self.incomplete(f"the server counts {page.total} devices, only {self._came} came")

    def broken_off(self, error: MdmError) -> IncompleteListError:
        """The error for a list of which some devices had been handed out."""
        failure = self.incomplete(f"the list broke off after {self.collected} devices: {error.message}")
        failure.locate(server=error.server, provider=error.provider, operation=error.operation)
        failure.hint = error.hint or failure.hint
        failure.retryable = error.retryable
        return failure


class Reading(Listing):
    """A list on its way: what is asked for, and how far it is.

    Args:
        max_pages: the most pages of it.
        operation: what the application asked for.
        offenders: picks them out of a list of all devices.

    Attributes:
        method: of the provider, that gives a page.
        given: what it gets beside the cursor.
    """

    def __init__(self, max_pages: int, operation: str, offenders: Offenders | None = None) -> None:
        super().__init__(max_pages, noncompliant=operation == "noncompliant" and offenders is None)
        self.operation: str = operation
        self.method: str = "devices_page" if offenders else f"{operation}_page"
        self.given: tuple[Any, ...] = ()
        self._offenders = offenders

    @classmethod
    def of_changes(cls, max_pages: int, since: datetime | None) -> Reading:
        """The list of the devices that changed since a time; None for all."""
        reading = cls(max_pages, "devices")
        reading.method, reading.given = "devices_since", (since,)
        return reading

    def resume(self, cursor: Any, came: int) -> None:
        """Go on where another reading of the same list had come to, with so many devices."""
        self.cursor: Any = cursor
        self.collected: int = came
        self.blank: bool = not came
        self._came = came

    def pick(self, row: Device, device: Device, now: datetime) -> Device | None:
        """The device if it belongs into the list; `row` is what the provider gave."""
        found = self._offenders.take(row, device, now) if self._offenders else device
        if found is None:
            self.collected -= 1
        return found

    def check(self) -> None:
        """Accept the end of the list, if this is it; raises as `Offenders.check` does."""
        if self._offenders and not self.more:
            self._offenders.check()
