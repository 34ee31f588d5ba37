"""Intune with all that it knows: Graph for what there is, Compliance Retrieval for what a network trusts."""

from __future__ import annotations

import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from urllib.parse import quote

from mdmsdk.batch import in_envelopes
from mdmsdk.errors import EndpointNotFoundError, FilterIgnoredError
from mdmsdk.flow import done, joined, or_none, send, together
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Key, Mac, Meid, Serial, Udid, Username
from mdmsdk.ise import IseDescription
from mdmsdk.models import Device, ServerInfo
from mdmsdk.paging import collect_links, walk_pages
from mdmsdk.progress import shrinking
from mdmsdk.proof import proven, shows
from mdmsdk.provider import Capability, Limits, MdmProvider, Page
from mdmsdk.search import Found, one_by_one
from mdmsdk_intune.graph import BATCH_SIZE, devices_request, envelopes, follow, next_link, rows_of
from mdmsdk_intune.ise import IntuneIseProvider, is_device_id
from mdmsdk_intune.records import (
    DETAILS,
    FIELDS,
    GraphRow,
    is_leaving,
    read_device,
    read_failures,
    read_id,
    settle,
)
from mdmsdk_intune.refusals import RecordNotFoundError
from mdmsdk_intune.settings import IntuneSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mdmsdk.flow import Flow
    from mdmsdk.wire import Request, Response

__all__ = ["IntuneProvider"]

T = TypeVar("T")

# Microsoft Graph, "managedDevice", and what was seen: Graph drops a filter on any other property, and
# answers with every device of the tenant. So these and no others; and every row is checked all the same.
_FILTERS: Final[Mapping[type[Key], str]] = {
    Serial: "serialNumber",
    Imei: "imei",
    DeviceId: "azureADDeviceId",
    Hostname: "deviceName",
    Username: "userPrincipalName",
}
_CASE: Final[Mapping[type[Key], Callable[[str], str]]] = {Serial: str.upper, DeviceId: str.lower}
# One after the other: with `or` between them, Graph has been seen to heed the first only.
_LISTED: Final = {f"complianceState eq '{state}'": state for state in ("noncompliant", "conflict", "error")}
_POLICIES: Final = "/deviceCompliancePolicyStates"
_NO_POLICY: Final = "no policy reports a failure; devices without a policy may count as noncompliant"


class IntuneProvider(IntuneIseProvider):
    """Intune through Microsoft Graph and the Compliance Retrieval service, or one of them.

    Where both are asked, the stricter verdict counts. `Device.guid` is the Intune device id, `Device.id` the
    Entra device id.
    """

    name = "intune"
    settings_type: ClassVar[type[IntuneSettings]] = IntuneSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Guid, *_FILTERS})
    capabilities: ClassVar = frozenset(
        {Capability.BATCH, Capability.INVENTORY, Capability.REASONS, Capability.CHANGES}
    )
    # Microsoft Graph, "Service-specific throttling limits", Intune devices: 2000 requests in 20 seconds for
    # each application and tenant.
    limits = Limits(rate=100.0, burst=100, batch_size=BATCH_SIZE)
    # Microsoft Graph, "managedDevice": wiFiMacAddress; ethernetMacAddress is not there for every device.
    partial: ClassVar[Mapping[type[Key], int]] = {Mac: 1}
    record_key = Guid
    # In the list of changes. Compliance Retrieval may know a device by an address that Graph does not show.
    listed: ClassVar[frozenset[type[Key]]] = frozenset({Serial, Imei, Meid, Udid})

    settings: IntuneSettings

    def __init__(self, settings: IntuneSettings) -> None:
        super().__init__(settings)
        # What it says is proven by its own rules, which are not those of a record with Graph's addresses.
        self._service = IntuneIseProvider(settings)
        # The class declares what both back ends can do together; with one of them, less is offered.
        if not settings.graphs:
            self.declare_as(IntuneIseProvider)
        elif not settings.retrieves:
            vars(self).update(keys=self.keys - {Mac}, listed=self.listed | {Mac})

    def heartbeat(self) -> Flow[ServerInfo]:
        """Reach each back end with the very permissions that lookups need.

        Raises:
            PermissionDeniedError: the application lacks a permission; the hint names it.
            ResponseError: the tenant has no Intune.
        """
        reached = [super().heartbeat()] if self.settings.retrieves else []
        reached += [self._reach_graph()] if self.settings.graphs else []
        # The service describes itself; Graph does not.
        info, *_ = yield from together(*reached)
        return info.model_copy(update={"extra": {**info.extra, "backends": list(self.settings.backends)}})

    def _reach_graph(self) -> Flow[ServerInfo]:
        rows_of((yield from send(self._devices(top=1, select="id"))))
        return ServerInfo(vendor="Microsoft", product=self.vendor, api_version="v1.0")

    find = MdmProvider.find  # not the service's own, but in terms of `find_batch`

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """The records of up to 20 keys of one kind at once; the failure of one is its answer alone.

        Raises:
            FilterIgnoredError: Graph answered about other devices, or the two services about different ones.
        """
        find = self._find if self.settings.graphs else super().find
        found = yield from self._in_envelopes(one_by_one(keys, partial(find, info)))
        for outcome in found.values():
            if isinstance(outcome, EndpointNotFoundError) and not self._is_graph(outcome):
                raise outcome  # the Compliance Retrieval service has moved, for all keys
        return found

    def _is_graph(self, error: EndpointNotFoundError) -> bool:
        return (error.url or "").startswith(self.settings.base_url)

    def _find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        if isinstance(key, Guid) and not is_device_id(key):
            return []
        if isinstance(key, Mac):  # Graph cannot search by it
            rows = yield from self._retrieve(info, key)
            shown = dict.fromkeys(guid for row in rows for guid in row.shown(Guid))
            found = yield from joined(*(self._settle(info, key, guid, rows) for guid in shown))
            # Of a row without the device id nobody knows what Graph would say.
            return found + [_doubted(row) for row in rows if not row.shown(Guid)]
        guids = [key] if isinstance(key, Guid) else (yield from self._search(key))
        return (yield from joined(*(self._settle(info, key, guid) for guid in guids)))

    def _settle(
        self, info: ServerInfo, key: Key, guid: Key, rows: Sequence[Device] | None = None
    ) -> Flow[list[Device]]:
        """A device of Graph, judged by what both services say.

        Args:
            info: the answer to a heartbeat.
            key: what was asked for.
            guid: the Intune device id.
            rows: what Compliance Retrieval said, if it was asked already.

        Raises:
            FilterIgnoredError: the services answered about different devices.
        """
        reading: Flow[Any] = self._read(info, guid)
        asks = rows is None and self.settings.retrieves
        record, said = yield from together(reading, self._retrieve(info, guid) if asks else done(rows or ()))
        own = [row for row in said if row.matches(guid)]
        if record is None:
            # Compliance Retrieval still knows a device that has left Intune: nobody manages it.
            return [row.model_copy(update={"registered": False}) for row in own]
        device = settle(record, own) if self.settings.retrieves else record
        # Of the two addresses that Intune keeps of a device, Graph has both, and neither is the one.
        others = isinstance(key, Mac) and len(device.mac_addresses) > 1 and not device.matches(key)
        if others or shows(self, key, device) is False:
            raise FilterIgnoredError(
                f"what was found by {key.kind} and the record itself are about different devices"
            )
        return [device]

    def _retrieve(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        return proven(self._service, key, (yield from self._service.find(info, key)))

    def _read(self, info: ServerInfo, guid: Key) -> Flow[Device | None]:
        answer = yield from self._record(guid, f"{FIELDS},{DETAILS}")
        return self._to_device(info, GraphRow(answer.json()), answer) if answer else None

    def _record(self, guid: Key, fields: str) -> Flow[Response | None]:
        """Graph's own record of a device; None where it has none."""
        answer = yield from or_none(send(self._devices(guid.value, select=fields)), RecordNotFoundError)
        if answer and read_id(GraphRow(answer.json())) != guid:
            raise FilterIgnoredError("Graph answered with another record than the one asked for")
        return answer

    def _search(self, key: Key) -> Flow[list[Key]]:
        """The Intune device ids of the devices that have the key.

        Raises:
            IncompleteListError: the pages of a search bring nothing new, or have no end.
            FilterIgnoredError: there are other devices; but of those whose text is the same for a search that
                ignores case, accents and punctuation, the exact ones count.
        """
        name = _FILTERS[type(key)]

        def read_page(text: str, link: str | None) -> Flow[tuple[list[Key | None], str | None]]:
            first = self._devices(filter=f"{name} eq {_quoted(text)}", select=f"id,{name}", top=100)
            answer = yield from send(follow(link) if link else first)
            ids = [_match(key, name, row) for row in rows_of(answer)]
            return ids, next_link(answer, self.settings.base_url)

        pages = partial(collect_links, read_page, max_pages=self.settings.policy.max_pages)
        found = dict.fromkeys((yield from joined(*map(pages, _spellings(key)))))
        exact = [guid for guid in found if guid is not None]
        if found and not exact:
            raise _ignored(name)
        return exact

    def _devices(self, device: str = "", below: str = "", /, **options: str | int) -> Request:
        return devices_request(self.settings.base_url, device, below, **options)

    def _in_envelopes(self, flow: Flow[T]) -> Flow[T]:
        return in_envelopes(self, envelopes(self.settings.base_url), flow)

    def _to_device(self, info: ServerInfo, row: GraphRow, answer: Response) -> Device:
        # Where only Graph is asked, nobody says where users find help.
        portal = info.description.portal if isinstance(info.description, IseDescription) else None
        return read_device(row, self.settings, now=answer.date, portal=portal)

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that do not comply: by Graph, or without it by Compliance Retrieval.

        Raises:
            FilterIgnoredError: Graph lists devices in another state than the one asked for.
        """
        if not self.settings.graphs:
            return (yield from super().noncompliant_page(info, cursor))
        read = partial(self._list, info, details=self.settings.list_details)
        return (yield from walk_pages(read, [*_LISTED], cursor, noun="filter"))

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices; their compliance is Graph's alone."""
        read = partial(self._list, info, details=self.settings.list_details)
        return walk_pages(read, [""], cursor, noun="filter")

    # Microsoft Graph, "managedDevice": lastSyncDateTime and enrolledDateTime support the filters lt and gt. A
    # device that is new and has not checked in yet has the second alone.
    def devices_since(self, info: ServerInfo, since: datetime | None, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that checked in or were enrolled since; with Ethernet addresses and UDIDs.

        These cost a batch for every 20 devices.
        """
        times = ("lastSyncDateTime", "enrolledDateTime")
        filters = [f"{name} gt {since:%Y-%m-%dT%H:%M:%SZ}" for name in times] if since else [""]
        return walk_pages(partial(self._list, info, details=True), filters, cursor, noun="filter")

    def _list(
        self, info: ServerInfo, text: str, link: str | None, *, details: bool
    ) -> Flow[tuple[Page[Device], str | None]]:
        """One page of the devices that a filter lets through, or of all for an empty one."""
        state = _LISTED.get(text)

        def begin(size: int) -> Flow[Response]:
            return send(self._devices(filter=text, select=FIELDS, top=size))

        # Microsoft Graph, "Paging": a link is followed as it stands, so that the first page decides the size.
        if link:
            answer = yield from send(follow(link))
        else:
            answer, _ = yield from shrinking(begin, self.settings.page_size)
        rows = rows_of(answer)
        sent = [row.text("id") for row in rows]
        if state:
            if any((row.text("complianceState") or "").lower() != state for row in rows):
                raise FilterIgnoredError(f"Graph lists devices in other states than {state}")
            # Nobody evaluates a device any more that is on its way out.
            rows = [row for row in rows if not is_leaving(row)]
        if details:
            rows = yield from self._in_envelopes(together(*map(self._with_details, rows)))
        items = [self._to_device(info, row, answer) for row in rows]
        return Page(items, sent=sent), next_link(answer, self.settings.base_url)

    def _with_details(self, row: GraphRow) -> Flow[GraphRow]:
        answer = yield from self._record(read_id(row), f"id,{DETAILS}")
        # Without one, it was deleted since it was listed.
        details = answer.json() if answer else {}
        return GraphRow(row.document | {name: value for name, value in details.items() if value})

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the policies and settings that failed; costs a request, and one more for each."""
        del info
        if device.guid is None:
            return device
        policies = yield from self._failures(device.guid, _POLICIES)
        paths = [f"{_POLICIES}/{quote(str(policy.text('id')), safe='')}/settingStates" for policy in policies]
        flows = (self._failures(device.guid, path) for path in paths)
        settings = yield from self._in_envelopes(together(*flows))
        reasons = [
            _reason(policy, setting)
            for policy, failed in zip(policies, settings, strict=True)
            for setting in failed or [GraphRow({})]
        ]
        names = dict.fromkeys(str(policy.text("displayName")) for policy in policies)
        found = dict.fromkeys([*device.compliance.reasons, *(reasons or [_NO_POLICY])])
        return device.judged(reasons=tuple(found), source=", ".join(names) or device.compliance.source)

    def _failures(self, guid: str, below: str) -> Flow[list[GraphRow]]:
        """The policies or settings that failed; none where the record is gone."""
        answer = yield from or_none(send(self._devices(guid, below)), RecordNotFoundError)
        return read_failures(rows_of(answer)) if answer else []


# OData 4.01, URL conventions, section 5.1.1.6.1: a quote in a text is doubled.
def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _spellings(key: Key) -> list[str]:
    """The texts by which Graph may hold a key; how exactly its filters compare is not documented."""
    texts = list(key.spellings)
    if not key.value.isascii():
        texts += [unicodedata.normalize(form, key.value) for form in ("NFC", "NFD")]
    elif change := _CASE.get(type(key)):
        texts += map(change, key.spellings)
    return list(dict.fromkeys(texts))


def _match(key: Key, name: str, row: GraphRow) -> Key | None:
    """The device id of a row that shows the key; None where only a loose search takes it for the key."""
    text = row.text(name)
    if type(key).parse(text) == key:
        return read_id(row)
    if _plain(text) == _plain(key.value):
        return None
    raise _ignored(name)


def _plain(text: str | None) -> str:
    """Letters and digits alone, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text or ""))).casefold()


def _ignored(name: str) -> FilterIgnoredError:
    return FilterIgnoredError(f"Graph ignored the filter on {name} and listed other devices")


def _doubted(row: Device) -> Device:
    return row.model_copy(update={"unreadable": row.unreadable | {"its device id"}})


def _reason(policy: GraphRow, setting: GraphRow) -> str:
    name = (setting.text("setting") or "").rpartition(".")[2]
    said = setting.text("errorDescription", "instanceDisplayName")
    text = ": ".join(filter(None, (policy.text("displayName") or "a policy", name)))
    return f"{text} ({said})" if said and said != name else text
