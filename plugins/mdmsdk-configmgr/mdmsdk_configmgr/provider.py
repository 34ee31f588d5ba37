"""The administration service of Configuration Manager as flows.

https://learn.microsoft.com/intune/configmgr/develop/adminservice/overview

All is read by the WMI route, which has every class of the SMS Provider. A row of one class points at those of
the others by the number of its resource.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    PermissionDeniedError,
    ResponseError,
)
from mdmsdk.evidence import check_sight
from mdmsdk.flow import done, joined, send, together
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Key, Mac, Serial
from mdmsdk.models import ComplianceState, ServerInfo
from mdmsdk.paging import Slice, collect
from mdmsdk.progress import shrinking
from mdmsdk.provider import Capability, Limits, MdmProvider, Page
from mdmsdk.scopes import choose
from mdmsdk.search import Search, find_with
from mdmsdk.wire import Request
from mdmsdk_configmgr.login import log_in
from mdmsdk_configmgr.query import CHUNK, among, in_array, quoted, within
from mdmsdk_configmgr.records import (
    Record,
    SiteDescription,
    lasting,
    number_of,
    read_baselines,
    seek,
    swapped,
)
from mdmsdk_configmgr.refusals import NO_DEVICES, REFUSALS, read_complaint
from mdmsdk_configmgr.settings import ConfigMgrSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device
    from mdmsdk.provider import Token
    from mdmsdk.search import Found, Texts
    from mdmsdk.wire import Response
    from mdmsdk_configmgr.records import Baseline

__all__ = ["ConfigMgrProvider"]

_log = logging.getLogger("mdmsdk.configmgr")

# Class names are told apart by case. https://learn.microsoft.com/intune/configmgr/develop/adminservice/usage
_SYSTEM: Final = "SMS_R_System"
_COMBINED: Final = "SMS_CombinedDeviceResources"
_BIOS: Final = "SMS_G_System_PC_BIOS"
_ADAPTERS: Final = "SMS_G_System_NETWORK_ADAPTER_CONFIGURATION"
_COMPLIANCE: Final = "SMS_CI_CurrentComplianceStatus"
_BASELINES: Final = "SMS_ConfigurationBaselineInfo"
_FAILURES: Final = "SMS_DCMDeploymentNonCompliantAssetDetails"
_SYSTEM_ID, _ID = "ResourceId", "ResourceID"
_STATES: Final = "ResourceID,CI_ID,UserName,ComplianceState,ComplianceStateName"
_SHOWN: Final = (
    "ResourceId,Name,MACAddresses,SMBIOSGUID,SMSUniqueIdentifier,Client,Obsolete,Decommissioned,"
    "LastLogonUserName,OperatingSystemNameandVersion,Build"
)
_NAMED: Final = "CI_ID,CI_UniqueID,LocalizedDisplayName,IsAssigned,IsEnabled"
_WORST_FIRST: Final = "ComplianceState desc"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}")
_ADDRESS: Final = "ResourceID,MACAddress"
_SERIAL: Final = "ResourceID,SerialNumber"
_BARE: Final = "',"
_ALL: Final = 10**9
"""More rows than there are: an answer may be cut however short it is."""
_FEW: Final = 16
"""No server is known to cut an answer with fewer rows."""
# RFC 7042, section 2.1.2: an address for documentation, which no computer has.
_NOBODY: Final = "00:00:5E:00:53:00"
_NO_BASELINE: Final = (
    "Assign a configuration baseline to a collection of devices (Assets and Compliance > Compliance Settings "
    "> Configuration Baselines > Deploy), or judge by rules."
)
_CHOOSE: Final = "Give the name or CI_UniqueID of a baseline that is enabled and deployed to a collection."


class ConfigMgrProvider(MdmProvider):
    """Configuration Manager through its administration service, to read only."""

    name = "configmgr"
    vendor = "Microsoft"
    settings_type: ClassVar[type[ConfigMgrSettings]] = ConfigMgrSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Serial, Guid, Hostname, DeviceId})
    capabilities: ClassVar = frozenset({Capability.BATCH, Capability.INVENTORY, Capability.REASONS})
    # Not Mac: the address of a dock stands in hardware inventory alone, which lists do not read.
    listed: ClassVar[frozenset[type[Key]]] = frozenset({Serial, Guid, Hostname, DeviceId})
    # "Size and scale numbers" names 200 requests for one client's address without a unit.
    limits: ClassVar[Limits] = Limits(concurrency=4, batch_size=CHUNK)
    refusals = REFUSALS
    complaint = staticmethod(read_complaint)

    settings: ConfigMgrSettings

    # --- login and reachability ---

    @property
    def login_url(self) -> str | None:
        """Where tokens of Entra ID come from."""
        return self.settings.authority_url if self.settings.tenant_id else None

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """A ticket of Kerberos for one request, or a token of Entra ID."""
        del audience
        return log_in(self.settings, previous)

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the site, its baselines and a device: that proves the login, the role and its scope.

        Raises:
            PermissionDeniedError: the account sees no site or no device.
            ConfigurationError: a baseline of the settings is not there, or neither enabled nor assigned.
        """
        flows: list[Flow[Any]] = [
            self._get("SMS_Site", select="SiteCode,SiteName,Version"),
            # One that an answer leaves out would judge nobody.
            self._all("", _BASELINES, wanted=_ALL, orderby="CI_ID", select=_NAMED),
            self.see_a_device(),
        ]
        sites, baselines, _ = yield from together(*flows)
        if not _rows(sites):
            raise PermissionDeniedError("the account sees no site", status=sites.status, hint=NO_DEVICES)
        known = read_baselines(baselines)
        wanted = [lasting(one) for one in self.settings.baselines]
        names = {unique: one.name for unique, one in known.items()}
        chosen = choose(wanted, names, "baseline", _CHOOSE) if wanted else tuple(known)
        site = _rows(sites)[0]
        return ServerInfo(
            vendor=self.vendor,
            product="Configuration Manager",
            version=site.required("Version"),
            extra={"site": site.text("SiteCode"), "baselines": [names[one] for one in chosen]},
            description=SiteDescription(
                baselines=tuple(known[one] for one in chosen), arrays=(yield from self._has_arrays())
            ),
        )

    # The service answers an account that has lost its collections with empty lists and 200.
    def see_a_device(self, info: ServerInfo | None = None) -> Flow[None]:
        """Make sure that the account sees a computer.

        Raises:
            PermissionDeniedError: it sees none.
        """
        del info
        check_sight(_rows((yield from self._get(_SYSTEM, select=_SYSTEM_ID, top=1))), NO_DEVICES)

    def _has_arrays(self) -> Flow[bool]:
        """Whether discovered addresses can be searched: no source says that every version takes the query."""
        try:
            yield from self._get(_SYSTEM, in_array("MACAddresses", [_NOBODY]), select=_SYSTEM_ID, top=1)
        except PermissionDeniedError:
            raise
        except ResponseError as error:
            if error.status not in {400, 404, 501}:
                raise
            _log.warning(
                "%s takes no filter on lists: MAC addresses are found in hardware inventory alone",
                self.settings.base_url,
            )
            return False
        return True

    # --- lookups ---

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """The records of keys of one kind.

        Raises:
            FilterIgnoredError: the server answered about other devices.
        """
        at_once = isinstance(keys[0], Mac)  # both spellings are common; a GUID in the other order is rare
        how = Search(ask=partial(self._ask, info), spellings=_spellings, at_once=at_once, most=CHUNK)
        return find_with(self, how, keys)

    def _ask(self, info: ServerInfo, texts: Texts) -> Flow[Sequence[Device]]:
        kind = type(next(iter(texts)))
        values = [text for own in texts.values() for text in own]
        rows: Sequence[Record] = ()
        if kind is Mac:
            rows, systems = yield from self._by_mac(info, texts, values)
        elif kind is Serial:
            rows = yield from self._all(
                among("SerialNumber", values), _BIOS, wanted=len(texts), select=_SERIAL
            )
            for row in rows:
                seek(row, Serial, "SerialNumber", texts)
            systems = yield from self._inventoried({number_of(row, _ID) for row in rows})
        else:
            systems = yield from self._computers(_filter(kind, values), len(texts))
            _check(systems, kind, texts)
        more = {"Bios" if kind is Serial else "Adapters": rows} if rows else {}
        return (yield from self._join(info, systems, **more))

    def _by_mac(
        self, info: ServerInfo, texts: Texts, values: Sequence[str]
    ) -> Flow[tuple[list[Record], list[Record]]]:
        """The adapters in hardware inventory with these addresses, and the computers that have them."""
        discovered: Flow[list[Record]] = done([])
        if SiteDescription.of(info).arrays:
            discovered = self._computers(in_array("MACAddresses", values), len(texts))
        adapters, systems = yield from together(
            self._all(among("MACAddress", values), _ADAPTERS, wanted=len(texts), select=_ADDRESS), discovered
        )
        for row in adapters:
            seek(row, Mac, "MACAddress", texts)
        for row in systems:
            seek(row, Mac, "MACAddresses", texts)
        seen = {number_of(row, _SYSTEM_ID) for row in systems}
        others = {number_of(row, _ID) for row in adapters} - seen
        return adapters, [*systems, *(yield from self._inventoried(others))]

    def _computers(self, filter_: str, wanted: int) -> Flow[list[Record]]:
        return self._all(filter_, _SYSTEM, wanted=wanted, orderby=_SYSTEM_ID, select=_SHOWN)

    def _systems(self, ids: Iterable[int]) -> Flow[list[Record]]:
        """The computers with these numbers, without those that the account does not see."""
        return self._of(_SYSTEM, sorted(ids), name=_SYSTEM_ID, select=_SHOWN)

    def _inventoried(self, ids: Iterable[int]) -> Flow[list[Record]]:
        """The computers with these numbers, which hardware inventory has.

        Raises:
            MalformedResponseError: one is not there; it is hidden from the account, and not unknown.
        """
        wanted = {*ids}
        systems = yield from self._systems(wanted)
        if {number_of(row, _SYSTEM_ID) for row in systems} != wanted:
            raise MalformedResponseError(
                "hardware inventory has a computer that the server does not list", hint=NO_DEVICES
            )
        return systems

    def _join(
        self, info: ServerInfo, systems: Sequence[Record], **more: Sequence[Record]
    ) -> Flow[list[Device]]:
        """The devices, each with the rows of the other classes.

        Args:
            info: the answer to a heartbeat.
            systems: the computers.
            more: rows that are known already, by what the record calls them.
        """
        ids = [number_of(row, _SYSTEM_ID) for row in systems]
        baselines = SiteDescription.of(info).baselines
        seen, bios, states = yield from together(
            self._of(_COMBINED, ids),
            done([]) if "Bios" in more else self._of(_BIOS, ids, select=_SERIAL),
            self._states(ids, baselines) if baselines else done([]),
        )
        parts = {"Combined": seen, "Bios": bios, "Compliance": states, **more}
        documents = [{"System": row.document, "Compliance": [], "Adapters": []} for row in systems]
        places = dict(zip(ids, documents, strict=True))
        for part, rows in parts.items():
            for row in rows:
                if (document := places.get(number_of(row, _ID))) is None:
                    continue  # of a range, or of a computer that the account does not see
                if part in document and part in {"Compliance", "Adapters"}:
                    document[part].append(row.document)
                elif document.setdefault(part, row.document) is not row.document:
                    raise MalformedResponseError(f"the server has a device twice ({part})")
        return [Record(document).device(self.settings, baselines) for document in documents]

    def _states(self, ids: Sequence[int], baselines: Sequence[Baseline]) -> Flow[list[Record]]:
        """The results of the baselines that decide, the worst first: a short answer hides no failure."""
        numbers = [one.number for one in baselines]
        rows = yield from self._of(
            _COMPLIANCE,
            ids,
            f" and {among('CI_ID', numbers)}",
            each=len(numbers),
            orderby=_WORST_FIRST,
            select=_STATES,
        )
        if any(number_of(row, "CI_ID") not in numbers for row in rows):
            raise FilterIgnoredError("the server lists the results of other baselines than those asked for")
        return rows

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the managed computers that fail a baseline, by their numbers.

        Raises:
            ConfigurationError: no baseline is assigned.
            IncompleteListError: the server does not sort the list.
            FilterIgnoredError: it lists computers that fail none.
        """
        baselines = SiteDescription.of(info).baselines
        if not baselines:
            raise ConfigurationError("no configuration baseline says what complies", hint=_NO_BASELINE)
        chosen = among("CI_ID", (one.number for one in baselines))

        def ask(size: int) -> Flow[tuple[list[int], list[Device]]]:
            failed = f"ComplianceState eq 2 and {chosen}"
            rows = yield from self._after(_COMPLIANCE, _ID, cursor, size, failed, select=_STATES)
            if any(row.whole("ComplianceState") != 2 for row in rows):  # noqa: PLR2004 - see `records`
                raise FilterIgnoredError("the server lists results that are not those of failed baselines")
            ids = [number_of(row, _ID) for row in rows]
            return ids, (yield from self._join(info, (yield from self._systems({*ids}))))

        (ids, devices), _ = yield from shrinking(ask, self.settings.page_size)
        # A row of a user, or one that has changed since: what the record says counts.
        fails = [one for one in devices if one.compliance.state is ComplianceState.NONCOMPLIANT]
        return _page(ids, [one for one in (*fails, *_doubtful(devices)) if _is_managed(one)])

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all computers, those without a client included, by their numbers.

        Raises:
            IncompleteListError: the server does not sort the list.
        """

        def ask(size: int) -> Flow[tuple[list[int], list[Device]]]:
            rows = yield from self._after(_SYSTEM, _SYSTEM_ID, cursor, size, select=_SHOWN)
            return [number_of(row, _SYSTEM_ID) for row in rows], (yield from self._join(info, rows))

        (ids, devices), _ = yield from shrinking(ask, self.settings.page_size)
        return _page(ids, devices)

    def _after(
        self, name: str, number: str, last: int | None, size: int, filter_: str = "", **options: str
    ) -> Flow[list[Record]]:
        """Rows in the order of their numbers, from the one after `last` on.

        A position would move while computers come and go; a number does not.

        Raises:
            IncompleteListError: they are in another order.
        """
        beyond = "" if last is None else f"{number} gt {last}"
        both = " and ".join(filter(None, (filter_, beyond)))
        answer = yield from self._get(name, both, orderby=number, top=size, **options)
        rows = _rows(answer)
        ids = [-1 if last is None else last, *(number_of(row, number) for row in rows)]
        if ids != sorted(ids) or last in ids[1:]:
            raise IncompleteListError("the server does not sort the list by number, so that it has no end")
        return rows

    # --- reasons ---

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the rules of its baselines that it fails; they are hours old.

        Raises:
            FilterIgnoredError: the server answered about other devices.
        """
        if not _NUMBER.fullmatch(device.id or ""):
            return device
        of_device = f"AssetID eq {device.id} and AssetType eq 1"
        rows = yield from self._all(of_device, _FAILURES, wanted=1, orderby="RuleName")
        names = {one.name for one in SiteDescription.of(info).baselines}
        if any(str(number_of(row, "AssetID")) != device.id for row in rows):
            raise FilterIgnoredError("the server lists the failures of other devices")
        failed = [_reason(row) for row in rows if row.text("BLName") in names]
        return device.judged(reasons=tuple(dict.fromkeys([*device.compliance.reasons, *failed])))

    # --- requests ---

    # OData 4.01, URL conventions; with bare dollars, commas and quotes, as in Microsoft's own examples.
    def _get(self, name: str, filter_: str = "", **options: str | int) -> Flow[Response]:
        """Ask for rows of a class; `options` are OData's without the dollar sign."""
        given = {"filter": filter_, **options} if filter_ else options
        query = "&".join(f"${option}={quote(str(value), safe=_BARE)}" for option, value in given.items())
        url = f"{self.settings.base_url}/wmi/{name}?{query}"
        return send(Request("GET", url, headers={"Accept": "application/json"}))

    def _of(
        self,
        class_: str,
        ids: Sequence[int],
        filter_: str = "",
        *,
        name: str = _ID,
        each: int = 1,
        **options: str,
    ) -> Flow[list[Record]]:
        """The rows of a class that belong to these resources, `each` of which should have so many.

        Raises:
            FilterIgnoredError: there are others.
        """
        low, high, wanted = min(ids, default=0), max(ids, default=0), {*ids}
        given = {"orderby": name, **options}
        parts = (
            self._all(part + filter_, class_, wanted=each * count, unique=True, **given)
            for part, count in within(name, ids)
        )
        rows = yield from joined(*parts)
        for row in rows:
            own = number_of(row, name)
            # A range brings what lies between.
            if own not in wanted and not (len(ids) > CHUNK and low <= own <= high):
                raise FilterIgnoredError(f"the server ignored the filter on {name} of {class_}")
        return rows

    # Microsoft names no limit for an answer, and clients have met short ones without a link to the next page.
    def _all(
        self,
        filter_: str,
        class_: str,
        *,
        wanted: int,
        unique: bool = False,
        orderby: str = _ID,
        **options: str,
    ) -> Flow[list[Record]]:
        """All rows that a filter gives, where they are expected to be few.

        Args:
            filter_: which rows.
            class_: of which class.
            wanted: how many there should be at the least, if all are known.
            unique: whether there can be no more.
            orderby: the order.
            options: further ones of OData's.

        Raises:
            IncompleteListError: they changed while they were read.
        """

        def ask(_scope: str, offset: int, _limit: int) -> Flow[Slice[Record]]:
            place = {"skip": offset} if offset else {}
            answer = yield from self._get(class_, filter_, orderby=orderby, **options, **place)
            rows, linked = _rows(answer), _is_cut(answer)
            enough = not rows or (len(rows) >= wanted and (unique or len(rows) < _FEW))
            # An answer that is cut behind the worst states hides no failure.
            whole = not offset and enough and not linked and (orderby != _WORST_FIRST or _is_sorted(rows))
            named = [(repr(sorted(map(str, row.document.items()))), row) for row in rows]
            return Slice(named, len(rows) if whole else None, more=linked or None)

        return (yield from collect(ask, [""], 1, max_pages=self.settings.policy.max_pages))


def _is_sorted(rows: Sequence[Record]) -> bool:
    """Whether the rows with the highest states come first."""
    states = [row.whole("ComplianceState") for row in rows]
    return None not in states and all((one or 0) >= (other or 0) for one, other in pairwise(states))


def _rows(answer: Response) -> list[Record]:
    return Record(answer.json(), "a list of rows").records("value")


# OData JSON Format 4.01, "Control Information": its name may come without "odata.".
def _is_cut(answer: Response) -> bool:
    """Whether the answer names a next page, which is asked for by position all the same."""
    return any(name.lower().endswith("nextlink") and link for name, link in answer.json().items())


def _page(ids: Sequence[int], devices: Sequence[Device]) -> Page[Device]:
    """A page, and where the next one begins; the list has ended where the server sends nothing."""
    return Page(devices, ids[-1] if ids else None, sent=[str(number) for number in ids])


def _doubtful(devices: Sequence[Device]) -> list[Device]:
    unknown = [one for one in devices if one.compliance.state is ComplianceState.UNKNOWN]
    return [one for one in unknown if one.doubtful]


def _is_managed(device: Device) -> bool:
    return device.registered or not device.doubtful.isdisjoint({"Client", "Obsolete", "Decommissioned"})


_MEMBERS: Final[dict[type[Key], tuple[str, ...]]] = {Hostname: ("Name",), DeviceId: (_SYSTEM_ID,)}


def _filter(kind: type[Key], values: Sequence[str]) -> str:
    """The filter for computers by a key of their own."""
    if kind is Guid:
        clients = [f"GUID:{value}" for value in values]
        return f"({among('SMBIOSGUID', values)} or {among('SMSUniqueIdentifier', clients)})"
    if kind is DeviceId:
        return among(_SYSTEM_ID, map(int, values))
    return among("Name", values)


def _check(systems: Sequence[Record], kind: type[Key], wanted: Texts) -> None:
    """Make sure that all computers are ones that were asked for, before the other classes are asked.

    Raises:
        FilterIgnoredError: some are not.
    """
    for row in systems:
        if kind is not Guid:
            seek(row, kind, _MEMBERS[kind][0], wanted)
            continue
        own = row.text("SMBIOSGUID")
        client = (row.text("SMSUniqueIdentifier") or "").partition("GUID:")[2]
        if not any(Guid.parse(text) in wanted for text in (own, swapped(own), client)):
            raise FilterIgnoredError("the server ignored the filter on GUIDs and listed other devices")


_SPELL: Final[dict[type[Key], Callable[[Any], tuple[str, ...]]]] = {
    # Hardware inventory has colons, and on some computers hyphens.
    Mac: lambda key: (key.value.upper(), key.value.upper().replace(":", "-")),
    # Tools differ in the byte order of the first three groups.
    Guid: lambda key: tuple(
        dict.fromkeys(text.upper() for text in (key.value, swapped(key.value)) if text)
        if swapped(key.value)
        else ()
    ),
    DeviceId: lambda key: (key.value,) if _NUMBER.fullmatch(key.value) else (),
}


def _spellings(key: Key) -> tuple[str, ...]:
    """The texts under which the site may hold an identifier; none for what only other vendors have.

    Raises:
        InvalidIdentifierError: it cannot be asked for safely.
    """
    spell = _SPELL.get(type(key))
    texts = spell(key) if spell else key.spellings
    for text in texts:
        quoted(text)
    return texts


def _reason(row: Record) -> str:
    rule, more = row.text("RuleName") or "a rule", row.text("RuleDescription")
    return f"{row.text('BLName')}: {rule}{f' ({more})' if more else ''}"
