"""Intune with all that it knows: Graph for what there is, Compliance Retrieval for what a network trusts."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from urllib.parse import quote

from mdmsdk.errors import EndpointNotFoundError, FilterIgnoredError, MdmError
from mdmsdk.flow import attempt, send, together
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Key, Mac, Serial, Username
from mdmsdk.ise import IseDescription
from mdmsdk.models import Device, ServerInfo
from mdmsdk.progress import Progress, shrinking
from mdmsdk.proof import proven, shows
from mdmsdk.provider import Capability, Limits, Page
from mdmsdk.search import Found, one_by_one
from mdmsdk.wire import Request, Response
from mdmsdk_intune.devices import (
    DETAILS,
    FIELDS,
    GraphRow,
    is_leaving,
    read_device,
    read_failures,
    read_id,
    settle,
)
from mdmsdk_intune.graph import (
    BATCH_SIZE,
    Outcome,
    answers_in,
    devices_request,
    next_link,
    read_many,
    rows_of,
)
from mdmsdk_intune.ise import IntuneIseProvider, is_device_id
from mdmsdk_intune.settings import IntuneSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.flow import Flow

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
_LISTED: Final = ("noncompliant", "conflict", "error")
_POLICIES: Final = "/deviceCompliancePolicyStates"
_NO_POLICY: Final = (
    "no policy reports a failure; the tenant may count devices without a policy as noncompliant"
)
_LOOKUP_ROWS: Final = 100


class IntuneProvider(IntuneIseProvider):
    """Intune through Microsoft Graph and the Compliance Retrieval service, or one of them.

    Where both are asked, the stricter verdict counts. `Device.guid` is the Intune device id, `Device.id` the
    Entra device id.
    """

    name = "intune"
    settings_type: ClassVar[type[IntuneSettings]] = IntuneSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Guid, *_FILTERS})
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.BATCH, Capability.INVENTORY, Capability.REASONS}
    )
    # Microsoft Graph, "Service-specific throttling limits", Intune devices: 2000 requests in 20 seconds for
    # each application and tenant.
    limits = Limits(rate=100.0, burst=100, batch_size=BATCH_SIZE)
    # Microsoft Graph, "managedDevice": wiFiMacAddress; ethernetMacAddress is not there for every device.
    partial: ClassVar[Mapping[type[Key], int]] = {Mac: 1}

    settings: IntuneSettings

    def __init__(self, settings: IntuneSettings) -> None:
        super().__init__(settings)
        # What it says is proven by its own rules, which are not those of a record with Graph's addresses.
        self._service = IntuneIseProvider(settings)
        # The class declares what both back ends can do together; with one of them, less is offered.
        if not settings.graphs:
            less = IntuneIseProvider
            vars(self).update(
                keys=less.keys, capabilities=less.capabilities, limits=less.limits, partial=less.partial
            )
        elif not settings.retrieves:
            vars(self).update(keys=self.keys - {Mac})

    def heartbeat(self) -> Flow[ServerInfo]:
        """Reach each back end with the very permissions that lookups need.

        Raises:
            PermissionDeniedError: the application lacks a permission; the hint names it.
            ResponseError: the tenant has no Intune.
        """
        reached: list[Flow[ServerInfo]] = []
        if self.settings.retrieves:
            reached.append(self._reach_service())
        if self.settings.graphs:
            reached.append(self._reach_graph())
        # The service describes itself; Graph does not.
        info, *_ = yield from together(*reached)
        return info.model_copy(update={"extra": {**info.extra, "backends": list(self.settings.backends)}})

    def _reach_service(self) -> Flow[ServerInfo]:
        return (yield from super().heartbeat())

    def _reach_graph(self) -> Flow[ServerInfo]:
        rows_of((yield from send(self._devices(top=1, select="id"))))
        return ServerInfo(provider=self.name, vendor="Microsoft", product=self.vendor, api_version="v1.0")

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record that Intune has for this key; [] where it does not know it.

        Raises:
            FilterIgnoredError: Graph answered about other devices, or the two services about different ones.
        """
        found = (yield from self.find_batch(info, [key]))[key]
        if isinstance(found, MdmError):
            raise found
        return found

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for up to 20 keys of one kind at once; the failure of one is its answer alone."""
        if not self.settings.graphs:
            return (yield from self._retrieve(info, keys))
        kind, judges = type(keys[0]), self.settings.retrieves
        said: Found = {}
        guids: Mapping[Key, list[Key] | MdmError]
        if kind is Mac:
            said, judges = (yield from self._retrieve(info, keys)), False
            guids = {key: rows if isinstance(rows, MdmError) else _guids(rows) for key, rows in said.items()}
        elif kind is Guid:
            guids = {key: [key] if is_device_id(key) else [] for key in keys}
        else:
            guids = yield from self._search(keys)
        wanted = list(dict.fromkeys(guid for ids in guids.values() if isinstance(ids, list) for guid in ids))
        records, verdicts = yield from together(
            self._read(info, wanted), self._retrieve(info, wanted if judges else ())
        )
        found: dict[Key, list[Device] | MdmError] = {}
        for key in keys:
            try:
                ids = _known(guids[key])
                rows = _known(said.get(key, [])) + [
                    row for guid in ids for row in _known(verdicts.get(guid, []))
                ]
                found[key] = self._answer(key, {guid: _known(records[guid]) for guid in ids}, rows)
            except MdmError as error:
                found[key] = error
        return found

    def _answer(self, key: Key, records: Mapping[Key, Device | None], rows: Sequence[Device]) -> list[Device]:
        """The records of a key, judged by what both services say.

        Args:
            key: what was asked for.
            records: Graph's, by Intune device id; None where it has none.
            rows: all that Compliance Retrieval says.

        Raises:
            FilterIgnoredError: the services answered about different devices.
        """
        # Of a row without the device id nobody knows what Graph would say.
        nameless = [row for row in rows if not row.shown(Guid)]
        answer = [
            row.model_copy(update={"unreadable": row.unreadable | {"its device id"}}) for row in nameless
        ]
        for guid, record in records.items():
            own = [row for row in rows if row.matches(guid)]
            if record is None:
                # Compliance Retrieval still knows a device that has left Intune.
                answer += [_left(row) for row in own]
                continue
            device = settle(record, own) if self.settings.retrieves else record
            # Of the two addresses that Intune keeps of a device, Graph has both, and neither is the one.
            others = isinstance(key, Mac) and len(device.mac_addresses) > 1 and not device.matches(key)
            if others or shows(self, key, device) is False:
                raise FilterIgnoredError(
                    f"what was found by {key.kind} and the record itself are about different devices"
                )
            answer.append(device)
        return answer

    def _retrieve(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """What Compliance Retrieval says about each key."""
        if not keys:
            return {}
        found = yield from one_by_one(keys, lambda key: self._retrieve_one(info, key))
        for outcome in found.values():
            if isinstance(outcome, EndpointNotFoundError):  # it has moved, for all keys
                raise outcome
        return found

    def _retrieve_one(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        return proven(self._service, key, (yield from self._service.find(info, key)))

    def _devices(self, device: str = "", below: str = "", /, **options: str | int) -> Request:
        return devices_request(self.settings.base_url, device, below, **options)

    def _search(self, keys: Sequence[Key]) -> Flow[Mapping[Key, list[Key] | MdmError]]:
        """The Intune device ids that filters give for keys of one kind."""
        name = _FILTERS[type(keys[0])]
        texts = {key: _spellings(key) for key in keys}
        requests = [
            self._devices(filter=f"{name} eq {_quoted(text)}", select=f"id,{name}", top=_LOOKUP_ROWS)
            for spelled in texts.values()
            for text in spelled
        ]
        pages = iter((yield from read_many(self, requests)))
        searches = [
            attempt(self._matching(key, name, [next(pages) for _ in spelled]))
            for key, spelled in texts.items()
        ]
        return dict(zip(texts, (yield from together(*searches)), strict=True))

    def _matching(self, key: Key, name: str, pages: Sequence[Outcome]) -> Flow[list[Key]]:
        """The ids of the devices on these pages, and on those after them, that have the key.

        Raises:
            IncompleteListError: the pages of a search bring nothing new, or have no end.
            FilterIgnoredError: there are other devices; but of those whose text is the same for a search that
                ignores case, accents and punctuation, the exact ones count.
        """
        found, strays = dict[Key, None](), False
        for first in pages:
            page, seen = _known(first), dict[Key, None]()
            progress = Progress(self.settings.policy.max_pages)
            while page is not None:
                own = dict[Key, None]()
                for row in map(GraphRow, rows_of(page)):
                    if type(key).parse(row.text(name)) == key:
                        own[read_id(row)] = None
                    elif _plain(row.text(name)) == _plain(key.value):
                        strays = True
                    else:
                        raise _ignored(name)
                link = next_link(page, self.settings.base_url)
                if link:
                    progress.go_on(link, fresh=not own.keys() <= seen.keys())
                seen |= own
                page = (yield from send(_follow(link))) if link else None
            found |= seen
        if strays and not found:
            raise _ignored(name)
        return list(found)

    def _read(self, info: ServerInfo, guids: Sequence[Key]) -> Flow[Mapping[Key, Any]]:
        """Whole records by Intune device id: a device, None where there is none, or what went wrong."""
        requests = [self._devices(guid.value, select=f"{FIELDS},{DETAILS}") for guid in guids]
        outcomes = (yield from read_many(self, requests)) if requests else []
        found = dict[Key, Any](zip(guids, outcomes, strict=True))
        for guid, outcome in zip(guids, outcomes, strict=True):
            if isinstance(outcome, Response):
                try:
                    found[guid] = self._to_graph_device(info, _record(outcome, guid), outcome)
                except MdmError as error:
                    found[guid] = error
        return found

    def _to_graph_device(self, info: ServerInfo, row: Mapping[str, Any], answer: Response) -> Device:
        return read_device(
            row,
            provider=self.name,
            now=answer.date,
            stale_days=self.settings.stale_days,
            portal=_portal(info),
            keep_raw=self.settings.keep_raw,
        )

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that do not comply: by Graph, or without it by Compliance Retrieval.

        Raises:
            FilterIgnoredError: Graph lists devices in another state than the one asked for.
        """
        if not self.settings.graphs:
            return (yield from super().noncompliant_page(info, cursor))
        position, _, link = (cursor or "0 ").partition(" ")
        state = _LISTED[int(position)]
        page = yield from self._page(info, link, state)
        following = page.next_cursor
        if following is not None:
            next_cursor: str | None = f"{position} {following}"
        else:
            next_cursor = f"{int(position) + 1} " if state != _LISTED[-1] else None
        return Page(page.items, next_cursor, sent=page.sent, moved=following is None)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices; their compliance is Graph's alone."""
        if not self.settings.graphs:
            return (yield from super().devices_page(info, cursor))
        return (yield from self._page(info, cursor or "", None))

    def _page(self, info: ServerInfo, link: str, state: str | None) -> Flow[Page[Device]]:
        options: dict[str, str | int] = {"select": FIELDS}
        if state is not None:
            options = {"filter": f"complianceState eq {_quoted(state)}", **options}

        def begin(size: int) -> Flow[Response]:
            return send(self._devices(**options, top=size))

        # Microsoft Graph, "Paging": a link is followed as it stands, so that the first page decides the size.
        if link:
            answer = yield from send(_follow(link))
        else:
            answer, _ = yield from shrinking(begin, self.settings.page_size)
        rows = rows_of(answer)
        sent = [str(row.get("id")) for row in rows]
        if state is not None and any(str(row.get("complianceState")).lower() != state for row in rows):
            raise FilterIgnoredError(f"Graph lists devices in other states than {state}")
        if state is not None:
            # Nobody evaluates a device any more that is on its way out.
            rows = [row for row in rows if not is_leaving(row)]
        if self.settings.list_details and rows:
            requests = [self._devices(str(row.get("id")), select=f"id,{DETAILS}") for row in rows]
            details = answers_in((yield from read_many(self, requests)))
            rows = [_with_details(row, detail) for row, detail in zip(rows, details, strict=True)]
        items = [self._to_graph_device(info, row, answer) for row in rows]
        return Page(items, next_link(answer, self.settings.base_url), sent=sent)

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the policies and settings that failed; costs a request, and one more for each."""
        if not self.settings.graphs:
            return (yield from super().reasons(info, device))
        if device.guid is None:
            return device
        (states,) = answers_in((yield from read_many(self, [self._devices(device.guid, _POLICIES)])))
        policies = read_failures(rows_of(states)) if states else []
        requests = [
            self._devices(device.guid, f"{_POLICIES}/{quote(str(policy.get('id')), safe='')}/settingStates")
            for policy in policies
        ]
        answers = answers_in((yield from read_many(self, requests)) if requests else [])
        reasons = [
            _reason(policy, setting)
            for policy, answer in zip(policies, answers, strict=True)
            for setting in (read_failures(rows_of(answer)) if answer else ()) or ({},)
        ]
        names = dict.fromkeys(str(policy.get("displayName")) for policy in policies)
        found = dict.fromkeys([*device.compliance.reasons, *(reasons or [_NO_POLICY])])
        changes = {"reasons": tuple(found), "source": ", ".join(names) or device.compliance.source}
        return device.model_copy(update={"compliance": device.compliance.model_copy(update=changes)})


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


def _plain(text: str | None) -> str:
    """Letters and digits alone, without case and accents."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text or ""))).casefold()


def _ignored(name: str) -> FilterIgnoredError:
    return FilterIgnoredError(f"Graph ignored the filter on {name} and listed other devices")


def _follow(link: str) -> Request:
    return Request("GET", link, audience="graph", lane="graph")


def _portal(info: ServerInfo) -> str | None:
    """Where users find help; None where only Graph is asked."""
    return info.description.portal if isinstance(info.description, IseDescription) else None


def _record(answer: Response, guid: Key) -> dict[str, Any]:
    row: dict[str, Any] = answer.json()
    if read_id(GraphRow(row)) != guid:
        raise FilterIgnoredError("Graph answered with another record than the one asked for")
    return row


def _with_details(row: dict[str, Any], detail: Response | None) -> dict[str, Any]:
    if detail is None:  # deleted since it was listed
        return row
    return {
        **row,
        **{name: value for name, value in _record(detail, read_id(GraphRow(row))).items() if value},
    }


def _known(outcome: T | MdmError) -> T:
    if isinstance(outcome, MdmError):
        raise outcome
    return outcome


def _left(row: Device) -> Device:
    """What Compliance Retrieval says about a device of which Graph has no record: nobody manages it."""
    return row.model_copy(update={"registered": False})


def _guids(rows: Sequence[Device]) -> list[Key]:
    return list(dict.fromkeys(guid for row in rows for guid in row.shown(Guid)))


def _reason(policy: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    name = str(setting.get("setting") or "").rpartition(".")[2]
    said = setting.get("errorDescription") or setting.get("instanceDisplayName")
    text = ": ".join(filter(None, (str(policy.get("displayName") or "a policy"), name)))
    return f"{text} ({said})" if said and said != name else text
