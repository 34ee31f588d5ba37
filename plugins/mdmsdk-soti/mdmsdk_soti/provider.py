"""SOTI MobiControl's REST API as flows.

Source: MobiControl's own description of its API (``/MobiControl/api/swagger``), document version 2.0.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import (
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ServerError,
)
from mdmsdk.evidence import check_sight
from mdmsdk.flow import attempt, joined, or_none, send
from mdmsdk.identifiers import DeviceId, Hostname, Imei, Key, Mac, Meid, Serial, Udid
from mdmsdk.logins import client_basic, password_grant, secret_text
from mdmsdk.models import ServerInfo
from mdmsdk.paging import Slice, page_of, walk
from mdmsdk.proof import shows
from mdmsdk.provider import Capability, Limits, MdmProvider, Token
from mdmsdk.search import Search, find_with, one_by_one
from mdmsdk.wire import Request
from mdmsdk_soti.learning import SINGLE_FIRST, SotiDescription, learn, mac_spellings, misread, quotable
from mdmsdk_soti.records import MACS, MODEMS, SERIALS, Judging, Record, failing, rows_of, selected
from mdmsdk_soti.refusals import GROUPS, REFUSALS, UnknownRecordError, check_login, read_complaint
from mdmsdk_soti.settings import SotiSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device
    from mdmsdk.provider import Page
    from mdmsdk.search import Found, Texts

__all__ = ["SotiProvider"]

# Description: properties of DeviceBase and of the kinds of devices; a search takes any of them.
_PROPERTIES: Final[dict[type[Key], tuple[str, ...]]] = {
    Serial: SERIALS,
    Imei: MODEMS,
    Meid: MODEMS,
    Hostname: ("HostName", "DeviceName"),
}
_BY_ID: Final = frozenset({DeviceId, Udid})
_PROBED: Final = 10
"""Devices that the heartbeat asks for, to try searches on."""
_MOST_ROWS: Final = 100
"""Rows that a search for one device may have."""
_LONGEST_IDS: Final = 1500
"""Characters of a query that every proxy passes on."""
_STARTED: Final = "started"
# Description, ServerStatus: those in which a management server does not serve.
_DOWN: Final = frozenset(
    {"stopped", "disabled", "unlicensed", "deleted", "startedbutnotregistered", "offline"}
)
_POLICIES_SINCE: Final = (15, 1)
_INDEX_HINT: Final = (
    "Rebuild the search index, or set encoding to single or double if the server's log shows another filter "
    "than the one that was asked for. Look-ups by device id do without it."
)


class SotiProvider(MdmProvider):
    """SOTI MobiControl through its REST API."""

    name = "soti"
    vendor = "SOTI"
    settings_type: ClassVar[type[SotiSettings]] = SotiSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, *_PROPERTIES, *_BY_ID})
    # Nothing is `listed`: rows in groups without the right "View Groups" are missing without a word, and no
    # list says how many rows it has.
    capabilities: ClassVar = frozenset({Capability.BATCH, Capability.INVENTORY, Capability.REASONS})
    # No limit is documented: 429 does not stand in the description, and clients run 4 to 50 requests at once.
    # Old servers give 50 rows at the most, so that of more ids some would look unknown.
    limits: ClassVar[Limits] = Limits(concurrency=4, batch_size=50)
    refusals = REFUSALS
    complaint = staticmethod(read_complaint)

    settings: SotiSettings

    # Description, "Authorization": POST /token, the client by Basic, grant_type=password. A recording of a
    # cloud tenant has the client in the form. No refresh token is described.
    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """By an API client and a console user, from the server's own token service."""
        del audience, previous
        settings = self.settings
        client, secret = settings.client_id or "", secret_text(settings.client_secret)
        in_body = settings.client_auth == "body"
        token = yield from password_grant(
            f"{settings.base_url}/token",
            settings,
            client=None if in_body else client_basic(settings),
            form={"client_id": client, "client_secret": secret} if in_body else None,
            check=check_login,
        )
        return Token(token.value, expires_in=token.expires_in)

    # --- reachability ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the servers, then for some devices, and try searches on those (see `SotiDescription`).

        Raises:
            EndpointNotFoundError: no MobiControl at this address.
            PermissionDeniedError: the user may not see devices.
            ServerError: no management server is started.
        """
        about = yield from self._about()
        version = about.text("ProductVersion")
        sample = rows_of((yield from self._get("/devices", order="+DeviceId", skip="0", take=f"{_PROBED}")))
        encoding = self.settings.encoding
        description = yield from learn(
            sample[:_PROBED],
            self._record,
            self._rows,
            policies=_knows_policies(version),
            encodings=SINGLE_FIRST if encoding == "auto" else (encoding == "double",),
        )
        return ServerInfo(
            vendor=self.vendor,
            product="SOTI MobiControl",
            version=version,
            extra={"servers": {one.text("Name") or "": one.text("Status") for one in _managers(about)}},
            description=description,
        )

    # Description, GET /servers, since 13.2, with the right Web Console Access. An offline server may stand
    # beside one that is started.
    def _about(self) -> Flow[Record]:
        """The servers; an empty record where the user may not see them."""
        try:
            about = Record((yield from self._get("/servers")), "a list of servers")
        except PermissionDeniedError:
            return Record({})
        if not about.has("ProductVersion", "ManagementServers"):
            raise MalformedResponseError("what answers here does not describe itself as MobiControl")
        words = {(one.text("Status") or "").lower() for one in _managers(about)}
        if words and words <= _DOWN:
            raise ServerError("none of the management servers is started", status=200)
        return about

    # --- lookups ---

    # Description, GET /devices: what the user may not view is left out, without a word.
    def see_a_device(self, info: ServerInfo) -> Flow[None]:
        """Make sure that the user sees a device."""
        del info
        rows = yield from self._get("/devices", order="+DeviceId", skip="0", take="1")
        check_sight(rows_of(rows), GROUPS)

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """The records of keys: of ids in one request, of others each by itself."""
        what = SotiDescription.of(info)
        if type(keys[0]) not in _BY_ID:
            return one_by_one(keys, partial(self._find_one, what))
        how = Search(
            ask=partial(self._by_id, what),
            spellings=_id_spellings,
            at_once=True,
            longest=_LONGEST_IDS,
            size=lambda texts: sum(len(quote(text, safe="")) + 3 for text in texts),
        )
        return find_with(self, how, keys)

    def _find_one(self, what: SotiDescription, key: Key) -> Flow[list[Device]]:
        """The records that show a key, from the first property by which the server has any."""
        if isinstance(key, Mac):
            return (yield from self._find_mac(what, key))
        for name, text in _questions(what, key):
            if ids := (yield from self._search(what, key, name, text)):
                return (yield from self._devices(what, ids))
        return []

    # Description, GET /devices/mac:{mac}: one record; not said is which, of several with this address.
    def _find_mac(self, what: SotiDescription, mac: Mac) -> Flow[list[Device]]:
        """All records that show an address: the one at the path, and those that searches find."""
        paths = mac_spellings(mac)[: 1 if what.mac_path else None]
        asked: list[Flow[Sequence[Record | str]]] = [
            *(self._read(what, f"mac:{text}") for text in paths),
            *(self._search(what, mac, name, text) for name, text in _questions(what, mac)),
        ]
        found = yield from joined(*asked)
        read = {one.device_id: self._device(what, one) for one in found if isinstance(one, Record)}
        others = dict.fromkeys(one for one in found if isinstance(one, str) and one not in read)
        more = (yield from self._devices(what, [*others])) if others else []
        return [*read.values(), *more]

    # Description, GET /devices/{deviceId} and GET /devices?ids=. Apple's devices have their UDID as id, in a
    # recording of version 13.
    def _by_id(self, what: SotiDescription, texts: Texts) -> Flow[list[Device]]:
        return self._devices(what, [text for own in texts.values() for text in own])

    def _devices(self, what: SotiDescription, ids: Sequence[str]) -> Flow[list[Device]]:
        """The records with these ids, as the database has them.

        Raises:
            FilterIgnoredError: the server answered about another device.
        """
        if len(ids) == 1:
            records = yield from self._read(what, ids[0])
        else:
            records = rows_of((yield from self._get("/devices", ids=",".join(ids))))
        if {record.device_id for record in records} - {*ids}:
            raise FilterIgnoredError("asked for devices by id, the server answered about others")
        return [self._device(what, record) for record in records]

    def _read(self, what: SotiDescription, text: str) -> Flow[Sequence[Record]]:
        """The record at a path; none where the server says so in the way in which it does for others."""
        try:
            record = yield from self._record(text)
        except UnknownRecordError:
            return []
        except EndpointNotFoundError:
            if what.absent != "bare":
                raise
            return []
        if record is None and what.absent != "null":
            raise MalformedResponseError("the server sent null in place of a device")
        return [record] if record else []

    def _record(self, text: str) -> Flow[Record | None]:
        document = yield from self._get(f"/devices/{quote(text, safe=':')}")
        return None if document is None else Record(document)

    def _search(self, what: SotiDescription, key: Key, name: str, text: str) -> Flow[Sequence[str]]:
        """The ids of the records that a search finds. What else it shows may be old: the index lags behind.

        Raises:
            FilterIgnoredError: the search gives other devices, or does not find what the server lists.
            IncompleteListError: it gives so many that there may be more.
        """
        if not what.encodings:
            raise FilterIgnoredError(
                "a search does not find a device that the server lists", hint=_INDEX_HINT
            )
        rows: Sequence[Record] = []
        refusals: list[MdmError] = []
        for twice in what.encodings:
            answer = yield from attempt(self._rows(name, text, twice))
            if isinstance(answer, MdmError):
                if not misread(answer):
                    raise answer
                refusals.append(answer)
                continue
            # A row that is silent about a property was not found by it.
            ids = [row.device_id for row in answer if shows(self, key, self._device(what, row))]
            if len(ids) >= _MOST_ROWS:
                raise IncompleteListError(f"{len(ids)} devices or more have this {key.kind}")
            if ids:
                return ids
            rows = answer or rows
        if len(refusals) == len(what.encodings):
            raise refusals[-1]
        if rows:
            raise FilterIgnoredError(
                f"asked for the {key.kind} {key}, the search for {name} gave other devices",
                hint=_INDEX_HINT,
            )
        return []

    # Description, GET /devices/search: filter, such as Manufacturer='Apple', "URL-encoded twice".
    def _rows(self, name: str, text: str, twice: bool) -> Flow[list[Record]]:
        expression = f"{name}='{text}'"
        params = {"filter": quote(expression, safe="") if twice else expression, "order": "+DeviceId"}
        if self.settings.verify_and_sync:
            params["verifyAndSync"] = "true"
        return rows_of((yield from self._get("/devices/search", **params, skip="0", take=f"{_MOST_ROWS}")))

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the inventory, of which those are given that do not comply.

        A search is not asked: an empty answer would not tell a filter that was not understood from a fleet
        that complies, and its index may be behind.
        """
        devices, place = yield from self._walk(info, cursor)
        return page_of(selected(devices), place)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices, those that have left included."""
        return page_of(*(yield from self._walk(info, cursor)))

    # Description, GET /devices: skip, take, order; a bare list without any count. Old servers give 50 rows
    # whatever was asked for, so that only a page without a new row is the end.
    def _walk(self, info: ServerInfo, cursor: Any) -> Flow[tuple[list[Device], Any]]:
        what = SotiDescription.of(info)

        def ask(_scope: str, offset: int, limit: int) -> Flow[Slice[Device]]:
            page = {"skip": f"{offset}", "take": f"{limit}"}
            records = rows_of((yield from self._get("/devices", order="+DeviceId", **page)))
            return Slice([(record.device_id, self._device(what, record)) for record in records], None)

        return walk(ask, [""], cursor, self.settings.page_size, noun="the list")

    # Description, GET /devices/{deviceId}/compliancePolicies, since 15.1.
    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with the policies that it fails and what they say.

        Raises:
            PermissionDeniedError: the user lacks the right View Compliance Policies.
        """
        if not SotiDescription.of(info).policies or not device.id:
            return device
        path = f"/devices/{quote(device.id, safe='')}/compliancePolicies"
        document = yield from or_none(self._get(path), UnknownRecordError)
        policies = rows_of(document or [])
        if {policy.text("DeviceId") for policy in policies} - {device.id, None}:
            raise FilterIgnoredError("asked for a device's policies, the server answered about another one")
        failed = failing(policies)
        if not failed:
            return device
        told = tuple(dict.fromkeys([*failed, *device.compliance.reasons]))
        return device.judged(reasons=told, source=next(iter(failed.values())))

    # --- requests and records ---

    # Without JSON in Accept, the description promises XML as well.
    def _get(self, path: str, **params: str) -> Flow[Any]:
        url = f"{self.settings.base_url}{path}"
        return (yield from send(Request("GET", url, params, {"Accept": "application/json"}))).json()

    def _device(self, what: SotiDescription, record: Record) -> Device:
        settings = self.settings
        kinds = frozenset(kind.lower() for kind in settings.policy_kinds)
        return record.device(Judging(what.policies, kinds, settings.use_azure, settings.keep_raw))


def _managers(about: Record) -> list[Record]:
    return about.rows("ManagementServers")


def _knows_policies(version: str | None) -> bool:
    """Whether a server has compliance policies; one that does not say what it is may have them."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", version or "")
    return found is None or (int(found[1]), int(found[2])) >= _POLICIES_SINCE


def _id_spellings(key: Key) -> tuple[str, ...]:
    """The ids under which the server may hold a device.

    Raises:
        InvalidIdentifierError: the key cannot stand in a list of ids.
    """
    if "," in key.value:
        raise InvalidIdentifierError(f"MobiControl's ids have no comma: {key.value!r}")
    return key.cases if type(key) is Udid else (key.value,)


def _questions(what: SotiDescription, key: Key) -> Iterator[tuple[str, str]]:
    """The properties to search, each with a text under which the server may hold the key.

    Raises:
        InvalidIdentifierError: the key cannot stand in a filter.
    """
    if isinstance(key, Mac):
        texts = mac_spellings(key)[: 1 if what.mac_search else None]
        names: Sequence[str] = MACS[:2]
    else:
        texts, names = key.spellings, _PROPERTIES[type(key)]
    if not all(map(quotable, texts)):
        raise InvalidIdentifierError(
            f"this {key.kind} has signs that MobiControl's filters have no way to quote"
        )
    for text in texts:
        for name in names:
            yield name, text
