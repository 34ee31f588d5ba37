"""Intune with all that it knows: Graph for what there is, Compliance Retrieval for what a network trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import FilterIgnoredError, MalformedResponseError
from mdmsdk.flow import send, together
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Key, Mac, Serial, Username
from mdmsdk.models import Device, ServerInfo
from mdmsdk.provider import Capability, Limits, Page
from mdmsdk.wire import Request
from mdmsdk_intune.devices import DETAILS, FIELDS, read_device, read_failures, settle
from mdmsdk_intune.graph import BATCH_SIZE, devices_request, next_link, read_many, rows_of
from mdmsdk_intune.ise import IntuneIseProvider, is_device_id
from mdmsdk_intune.settings import IntuneSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.wire import Response

__all__ = ["IntuneProvider"]

# Microsoft Graph, "managedDevice", and what was seen: Graph drops a filter on any other property, and
# answers with every device of the tenant. So these and no others; and every row is checked all the same.
_FILTERS: Final[Mapping[type[Key], str]] = {
    Serial: "serialNumber",
    Imei: "imei",
    DeviceId: "azureADDeviceId",
    Hostname: "deviceName",
    Username: "userPrincipalName",
}
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
    limits = Limits(rate=100.0, burst=100, batch_size=BATCH_SIZE, page_size=100)

    settings: IntuneSettings

    def __init__(self, settings: IntuneSettings) -> None:
        super().__init__(settings)
        # The class declares what both back ends can do together; with one of them, less is offered.
        if not settings.graphs:
            less = IntuneIseProvider
            vars(self).update(keys=less.keys, capabilities=less.capabilities, limits=less.limits)
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
        """Every record that really has this key; [] where Intune does not know it.

        Raises:
            FilterIgnoredError: Graph answered about other devices, or the two services about different ones.
        """
        return (yield from self.find_batch(info, [key]))[key]

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[dict[Key, list[Device]]]:
        """`find` for up to 20 keys of one kind at once."""
        if not self.settings.graphs:
            return (yield from self._retrieve(info, keys))
        kind, verdicts = type(keys[0]), dict[str, list[Device]]()
        nameless: dict[Key, list[Device]] = {}
        if kind is Mac:
            retrieved = yield from self._retrieve(info, keys)
            for key, rows in retrieved.items():
                nameless[key] = [row for row in rows if not row.guid]
            guids = {key: _guids(rows) for key, rows in retrieved.items()}
            for row in (row for rows in retrieved.values() for row in rows if row.guid):
                verdicts.setdefault(str(row.guid), []).append(row)
        elif kind is Guid:
            guids = {key: [key.value] if is_device_id(key) else [] for key in keys}
        else:
            guids = yield from self._search(keys)
        wanted = list(dict.fromkeys(guid for found in guids.values() for guid in found))
        ask = wanted if self.settings.retrieves and kind is not Mac else []
        devices, judged = yield from together(self._read(info, wanted), self._judge(info, ask))
        verdicts.update(judged)
        return {key: self._answer(key, guids[key], devices, verdicts) + nameless.get(key, []) for key in keys}

    def _answer(
        self,
        key: Key,
        guids: Sequence[str],
        devices: Mapping[str, Any],
        verdicts: Mapping[str, list[Device]],
    ) -> list[Device]:
        """The records of a key, each checked against it once more and judged by all that was said."""
        answer = []
        for guid in guids:
            device: Device | None = devices.get(guid)
            rows = verdicts.get(guid, [])
            if device is None:
                # Compliance Retrieval still knows a device that has left Intune.
                answer += [row.model_copy(update={"registered": False}) for row in rows]
                continue
            device = _spelled_as(key, device)
            if device.matches(key) is False:
                raise FilterIgnoredError(
                    f"Intune answered about another device than the {key.kind} asked for"
                )
            if isinstance(key, Mac) and not device.mac_addresses:
                device = device.model_copy(update={"mac_addresses": (key,)})
            answer.append(settle(device, rows) if self.settings.retrieves else device)
        return answer

    def _retrieve(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[dict[Key, list[Device]]]:
        found = yield from together(*(self._retrieve_one(info, key) for key in keys))
        return dict(zip(keys, found, strict=True))

    def _retrieve_one(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        return (yield from super().find(info, key))

    def _judge(self, info: ServerInfo, guids: Sequence[str]) -> Flow[dict[str, Any]]:
        if not guids:
            return {}
        found = yield from self._retrieve(info, [Guid(guid) for guid in guids])
        return {guid: found[Guid(guid)] for guid in guids}

    def _devices(self, device: str = "", below: str = "", /, **options: str | int) -> Request:
        return devices_request(self.settings.base_url, device, below, **options)

    def _search(self, keys: Sequence[Key]) -> Flow[dict[Key, list[str]]]:
        """The ids of the devices that a filter gives, each row checked."""
        name = _FILTERS[type(keys[0])]
        requests = [
            self._devices(filter=f"{name} eq {_quoted(key.value)}", select=f"id,{name}", top=_LOOKUP_ROWS)
            for key in keys
        ]
        pages = yield from read_many(self, requests)
        found: dict[Key, list[str]] = {}
        for key, first in zip(keys, pages, strict=True):
            page, seen = first, set[str]()
            found[key] = []
            while page is not None:
                for row in rows_of(page):
                    device = _spelled_as(key, read_device(row, provider=self.name))
                    if device.matches(key) is not True:
                        raise FilterIgnoredError(
                            f"Graph ignored the filter on {name} and listed other devices"
                        )
                    found[key].append(str(device.guid))
                link = next_link(page, self.settings.base_url)
                if link in seen:
                    raise MalformedResponseError("Graph repeats a page of a search")
                seen.add(link or "")
                page = (
                    (yield from send(Request("GET", link, audience="graph", lane="graph"))) if link else None
                )
        return found

    def _read(self, info: ServerInfo, guids: Sequence[str]) -> Flow[dict[str, Any]]:
        """Whole records by GUID; those that do not exist are left out."""
        requests = [self._devices(guid, select=f"{FIELDS},{DETAILS}") for guid in guids]
        answers = (yield from read_many(self, requests)) if requests else []
        found = {}
        for guid, answer in zip(guids, answers, strict=True):
            if answer is not None:
                found[guid] = self._to_graph_device(info, _record(answer, guid), answer)
        return found

    def _to_graph_device(self, info: ServerInfo, row: Mapping[str, Any], answer: Response) -> Device:
        return read_device(
            row,
            provider=self.name,
            now=answer.date,
            stale_days=self.settings.stale_days,
            portal=info.extra.get("redirect_url"),
            keep_raw=self.settings.keep_raw,
        )

    def noncompliant_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
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
        # Nobody evaluates a device any more that is on its way out.
        return Page([device for device in page.items if device.registered], next_cursor)

    def devices_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        """One page of all devices; their compliance is Graph's alone."""
        if not self.settings.graphs:
            return (yield from super().devices_page(info, cursor))
        return (yield from self._page(info, cursor or "", None))

    def _page(self, info: ServerInfo, link: str, state: str | None) -> Flow[Page[Device]]:
        options: dict[str, str | int] = {"select": FIELDS, "top": self.settings.page_size}
        if state is not None:
            options = {"filter": f"complianceState eq {_quoted(state)}", **options}
        request = Request("GET", link, audience="graph", lane="graph") if link else self._devices(**options)
        answer = yield from send(request)
        rows = rows_of(answer)
        if state is not None and any(str(row.get("complianceState")).lower() != state for row in rows):
            raise FilterIgnoredError(f"Graph lists devices in other states than {state}")
        if self.settings.list_details and rows:
            details = yield from read_many(
                self, [self._devices(str(row.get("id")), select=f"id,{DETAILS}") for row in rows]
            )
            rows = [_with_details(row, detail) for row, detail in zip(rows, details, strict=True)]
        items = [self._to_graph_device(info, row, answer) for row in rows]
        return Page(items, next_link(answer, self.settings.base_url))

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the policies and settings that failed; costs a request, and one more for each."""
        if not self.settings.graphs:
            return (yield from super().reasons(info, device))
        if device.guid is None:
            return device
        (states,) = yield from read_many(self, [self._devices(device.guid, _POLICIES)])
        policies = read_failures(rows_of(states)) if states else []
        requests = [
            self._devices(device.guid, f"{_POLICIES}/{quote(str(policy.get('id')), safe='')}/settingStates")
            for policy in policies
        ]
        answers = (yield from read_many(self, requests)) if requests else []
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


def _record(answer: Response, guid: str) -> dict[str, Any]:
    row = answer.json()
    if not isinstance(row, dict):
        raise MalformedResponseError("Graph did not answer with a record")
    if str(row.get("id")).lower() != guid.lower():
        raise FilterIgnoredError("Graph answered with another record than the one asked for")
    return row


def _with_details(row: dict[str, Any], detail: Response | None) -> dict[str, Any]:
    if detail is None:  # deleted since it was listed
        return row
    return {**row, **{name: value for name, value in _record(detail, str(row.get("id"))).items() if value}}


def _spelled_as(key: Key, device: Device) -> Device:
    """The device with its Entra id as it was asked for: in a UUID, the case of letters does not count."""
    same = isinstance(key, DeviceId) and (device.id or "").lower() == key.value.lower()
    return device.model_copy(update={"id": key.value}) if same else device


def _guids(rows: Sequence[Device]) -> list[str]:
    return list(dict.fromkeys(row.guid for row in rows if row.guid))


def _reason(policy: Mapping[str, Any], setting: Mapping[str, Any]) -> str:
    name = str(setting.get("setting") or "").rpartition(".")[2]
    said = setting.get("errorDescription") or setting.get("instanceDisplayName")
    text = ": ".join(filter(None, (str(policy.get("displayName") or "a policy"), name)))
    return f"{text} ({said})" if said and said != name else text
