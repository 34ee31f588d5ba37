"""MaaS360's web services as flows.

Sources: "IBM MaaS360 API reference guide for web services" (ibm.com/docs, "IBM MaaS360 API reference for web
services"), of which public copies show contents and openings, and what public clients of the API read and
send.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mdmsdk.errors import FilterIgnoredError, IncompleteListError, MalformedResponseError, TokenError
from mdmsdk.evidence import check_sight
from mdmsdk.flow import attempt, send
from mdmsdk.identifiers import DeviceId, Imei, Key, Mac, Meid, Udid, Username
from mdmsdk.logins import secret_text
from mdmsdk.models import Description, ServerInfo
from mdmsdk.paging import Slice, page_of, walk
from mdmsdk.provider import Capability, Limits, MdmProvider, Token
from mdmsdk.wire import Request
from mdmsdk_maas360.records import FILTERS, Record
from mdmsdk_maas360.refusals import REFUSALS, ROLE, check_login, read_complaint, unmasked
from mdmsdk_maas360.settings import Maas360Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device
    from mdmsdk.provider import Page
    from mdmsdk.wire import Response

__all__ = ["Maas360Provider", "Maas360Server"]

# Web services guide, "Search", version 2: parameters that are compared with the whole value.
_SEARCH_BY: Final[dict[type[Key], str]] = {
    Mac: "wifiMacAddress",
    Udid: "udid",
    Imei: "imeiMeid",
    Meid: "imeiMeid",
    DeviceId: "maas360DeviceId",
    Username: "partialUsername",
}
# The same: only these sizes of a page, numbers from 1 on. Rows in the order of the last report, the usual
# one, change places while a list is read.
_PAGE_SIZES: Final = (250, 200, 100, 50, 25)
_IN_ORDER: Final = {"sortAttribute": "installedDate", "sortOrder": "asc"}
# The same: without the parameter, only active devices are found.
_STATUSES: Final = ("Active", "Inactive")
_FAILING: Final = tuple(map(" ".join, product(FILTERS, _STATUSES)))
# IBM support, "MaaS360 web services integration": a token is good for 60 minutes. Public clients renew it
# after 50.
_TOKEN_LIFE: Final = 3000.0


class Maas360Server(Description):
    """What the heartbeat learns.

    Attributes:
        any_mac: whether the search finds MAC addresses in any spelling.
    """

    any_mac: bool = False


class Maas360Provider(MdmProvider):
    """IBM MaaS360 through its web services."""

    name = "maas360"
    vendor = "IBM"
    settings_type: ClassVar[type[Maas360Settings]] = Maas360Settings
    keys: ClassVar[frozenset[type[Key]]] = frozenset(_SEARCH_BY)
    capabilities: ClassVar = frozenset({Capability.INVENTORY, Capability.REASONS})
    # The guide has a chapter on limits, the figures of which are not public.
    limits: ClassVar[Limits] = Limits(concurrency=2)
    refusals = REFUSALS
    complaint = staticmethod(read_complaint)

    settings: Maas360Settings

    # --- login ---

    # Web services guide, "Authentication 2.0"; the names are spelled as its clients send them. The refresh
    # token that comes with it is left alone: how long it lives is not known, and a login costs as much.
    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """Get a token for the administrator and the application.

        Raises:
            AuthenticationError: the server refused them, by its status or by a code.
            TokenError: there is no token in the answer.
        """
        del audience, previous
        settings = self.settings
        given = {
            "billingID": settings.billing_id,
            "platformID": "3",
            "appID": settings.app_id,
            "appVersion": settings.app_version,
            "appAccessKey": secret_text(settings.app_access_key),
            "userName": settings.username,
            "password": secret_text(settings.password),
        }
        answer = yield from send(
            Request(
                "POST",
                f"{settings.base_url}/auth-apis/auth/2.0/authenticate/customer/{settings.billing_id}",
                headers={"Accept": "application/json"},
                json={"authRequest": {"maaS360AdminAuth": given}},
                audience=None,
                check=check_login,
            )
        )
        token = Record(answer.json(), "an answer to a login").row("authResponse").text("authToken")
        if not token or '"' in token:
            raise TokenError(
                "the server answered a login without a token",
                step="token",
                hint="Something else than MaaS360 may answer there: check base_url.",
            )
        return Token(token, expires_in=_TOKEN_LIFE)

    # Public clients: Authorization: MaaS token="...".
    def authorize(self, request: Request, token: Token) -> Request:
        """Put the token on a request."""
        return request.with_headers({"Authorization": f'MaaS token="{token.value}"'})

    def check(self, response: Response) -> Response:
        """Turn an error status into an error, and an error that comes with status 200."""
        return super().check(unmasked(response))

    # --- reachability ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for some devices: that proves the login, the billing id and the right to see devices.

        Then find one of them by its MAC address in a spelling that rows do not have.
        """
        devices, _ = yield from self._search({"deviceStatus": _STATUSES[0]}, size=_PAGE_SIZES[-1])
        any_mac = False
        if mac := next((mac for device in devices for mac in device.mac_addresses), None):
            params = {_SEARCH_BY[Mac]: mac.hex, "deviceStatus": _STATUSES[0]}
            found = yield from attempt(self._search(params))
            any_mac = isinstance(found, tuple) and {device.matches(mac) for device in found[0]} == {True}
        return ServerInfo(
            vendor=self.vendor,
            product="MaaS360",
            api_version="2.0",
            query_max_size=_PAGE_SIZES[0],
            description=Maas360Server(any_mac=any_mac),
        )

    # --- lookups ---

    # An administrator sees the groups of the own role alone, and gets empty answers about all else.
    def see_a_device(self, info: ServerInfo) -> Flow[None]:
        """Make sure that the administrator sees a device, active or not."""
        del info
        devices: list[Device] = []
        for status in _STATUSES:
            if not devices:
                devices, _ = yield from self._search({"deviceStatus": status}, size=_PAGE_SIZES[-1])
        check_sight(devices, ROLE)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """The records of a key, of active devices or, if there are none, of the others.

        Raises:
            FilterIgnoredError: the server answered about other devices.
            IncompleteListError: more records have the key than one answer holds.
        """
        for params in _questions(key, any_mac=Maas360Server.of(info).any_mac):
            for status in _STATUSES:
                devices, total = yield from self._search({**params, "deviceStatus": status})
                # Parameters that the server does not know are passed over, as it seems.
                matches = {device.matches(key) for device in devices}
                if False in matches and True not in matches:
                    raise FilterIgnoredError(
                        f"asked for the {key.kind} {key}, the server answered about other devices"
                    )
                if total != len(devices):
                    raise IncompleteListError(
                        f"the server counts {total} records of this {key.kind}, but gave {len(devices)}"
                    )
                if devices:
                    return devices
        return []

    # --- lists ---

    # Web services guide, "Search": parameters are joined by "and", so that each of the four is asked apart.
    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the managed devices in which one of the four states is bad.

        Raises:
            FilterIgnoredError: the server lists a device whose state is good.
            IncompleteListError: rows moved while the list was read.
        """
        del info
        page = yield from self._page(_FAILING, cursor)
        kept = [one for one in page.items if one.registered or "maas360ManagedStatus" in one.unreadable]
        return page_of(kept, page.next_cursor)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices, those that have left included."""
        del info
        return self._page(_STATUSES, cursor)

    def _page(self, scopes: Sequence[str], cursor: Any) -> Flow[Page[Device]]:
        size = self.settings.page_size
        # While a list is read, a device may come to be active, or another of its states bad: so count again.
        devices, place = yield from walk(self._rows, scopes, cursor, size, noun="the search", recount=True)
        return page_of(devices, place)

    def _rows(self, scope: str, offset: int, limit: int) -> Flow[Slice[Device]]:
        """Rows from a position on, or a little before it, on a page of a size that the server knows.

        All sizes end at some positions, such as each thousandth. Where the last row before such an end is
        asked for, the page behind it is read first, and then the row: so it is seen if rows moved meanwhile.
        """
        asked, _, status = scope.rpartition(" ")
        params = {"deviceStatus": status, **({asked: "OOC"} if asked else {}), **_IN_ORDER}
        sizes = [size for size in _PAGE_SIZES if size <= limit] or [*_PAGE_SIZES[-1:]]
        size = max(sizes, key=lambda size: size - offset % size)
        behind: Sequence[tuple[int | str, Device]] = ()
        if offset and (offset + 1) % size == 0:
            behind = (yield from self._part(params, (offset + 1) // size, size)).rows
            size = sizes[-1]
        part = yield from self._part(params, offset // size, size)
        return replace(part, rows=(*part.rows, *behind))

    def _part(self, params: Mapping[str, str], page: int, size: int) -> Flow[Slice[Device]]:
        """A page by its number from 0 on.

        Raises:
            IncompleteListError: it has too few rows.
            MalformedResponseError: it has too many.
        """
        devices, total = yield from self._search(params, page + 1, size)
        given, first = len(devices), page * size
        rows = [(device.id or "", device) for device in devices]
        if given > size:
            raise MalformedResponseError("the server gives too many rows: it ignores the page size")
        if given == size or first + given >= total:
            return Slice(rows, total, offset=first)
        if page or given not in _PAGE_SIZES:
            raise IncompleteListError(f"a page of {size} rows has {given}, and more are counted")
        return Slice(rows, total, offset=0, limit=given)  # the server's own limit

    def _search(
        self, params: Mapping[str, str | int], number: int = 1, size: int = _PAGE_SIZES[0]
    ) -> Flow[tuple[list[Device], int]]:
        """The devices on one page, and how many there are in all.

        Raises:
            FilterIgnoredError: the server lists a device whose state is good among those with a bad one.
            IncompleteListError: it gives another page than the one asked for, which is past the end by now.
            MalformedResponseError: it does not count.
        """
        path = f"devices/2.0/search/customer/{self.settings.billing_id}"
        answer = yield from self._get(path, {**params, "pageNumber": number, "pageSize": size})
        listing = answer.row("devices")
        if (total := listing.whole("count")) is None:
            raise MalformedResponseError("the server's answer has no count of devices")
        # Public clients: past the end comes the last page again, under its own number.
        if listing.has("pageNumber") and listing.whole("pageNumber") != number:
            raise IncompleteListError(f"the server answers another page than number {number}")
        records = listing.listed("device")
        for name in params.keys() & FILTERS.keys():
            if any(record.good(FILTERS[name]) for record in records):
                raise FilterIgnoredError(f"the search by {name} gives a device in which this state is good")
        return [self._device(record) for record in records], total

    # --- reasons ---

    # Web services guide, "mdSecurityCompliance": {"securityCompliance": {"complianceAttributes":
    # {"complianceAttribute": [{name, value, compliance}]}}}. What `compliance` says is not public: only what
    # is plainly bad is a reason.
    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the attributes in which the server calls it out of compliance.

        Raises:
            FilterIgnoredError: the answer is about another device.
        """
        del info
        path = f"devices/1.0/mdSecurityCompliance/{self.settings.billing_id}"
        answer = yield from self._get(path, {"deviceId": device.id or ""})
        told = answer.row("securityCompliance")
        if not told.has("complianceAttributes"):
            raise MalformedResponseError("the server's answer has no attributes of compliance")
        if told.has("maas360DeviceID") and told.text("maas360DeviceID") != device.id:
            raise FilterIgnoredError("the server answered about the compliance of another device")
        attributes = told.row("complianceAttributes").listed("complianceAttribute")
        bad = [
            ": ".join(filter(None, (one.text("name"), one.text("value"))))
            for one in attributes
            if one.good("compliance") is False
        ]
        fresh = [reason for reason in dict.fromkeys(bad) if reason not in device.compliance.reasons]
        return device.judged(reasons=(*device.compliance.reasons, *fresh))

    # --- requests and records ---

    # Without JSON in Accept, the answer is XML.
    def _get(self, path: str, params: Mapping[str, str | int]) -> Flow[Record]:
        url = f"{self.settings.base_url}/device-apis/{path}"
        answer = yield from send(Request("GET", url, params, {"Accept": "application/json"}))
        return Record(answer.json(), "an answer of MaaS360")

    def _device(self, record: Record) -> Device:
        return record.device(self.settings.required_states, keep_raw=self.settings.keep_raw)


# Rows hold MAC addresses in small letters with colons. Whether the search cares is not documented, nor
# whether it does with the zeros that an IMEI loses where it is written as a number.
def _questions(key: Key, *, any_mac: bool) -> Iterator[dict[str, str | int]]:
    """The parameters of one search after the other, until one finds the device."""
    name, texts = _SEARCH_BY[type(key)], key.spellings
    if isinstance(key, Mac):
        texts = (key.value.lower(),) if any_mac else (key.value.lower(), key.value, key.hex)
    elif isinstance(key, Imei) and key.value.startswith("0"):
        texts = (*texts, texts[0].lstrip("0"))
    for text in texts:
        yield {name: text, "match": 1} if isinstance(key, Username) else {name: text}
    if isinstance(key, Username) and "@" in key.value:
        yield {"email": key.value}
