"""Jamf Pro as a provider: its server, its lookups, its lists.

The API describes itself on each server under ``/api/doc``; the Classic API, under ``/JSSResource``, is asked
only for what the newer one lacks. Both are documented at https://developer.jamf.com/jamf-pro.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import (
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ResponseError,
    UnsupportedOperationError,
    VersionMismatchError,
)
from mdmsdk.flow import done, send, together
from mdmsdk.identifiers import Hostname, Mac, Username
from mdmsdk.models import ComplianceState, ServerInfo
from mdmsdk.paging import Slice, collect, numbered, page_of, walk
from mdmsdk.provider import Capability, Limits, MdmProvider, check_status
from mdmsdk.rows import Row
from mdmsdk.search import one_by_one, search, spoils_one
from mdmsdk.wire import Request
from mdmsdk_jamf import coverage, login
from mdmsdk_jamf.inventory import COMPUTERS, REALMS, Record
from mdmsdk_jamf.paging import around_damage, read_page
from mdmsdk_jamf.refusals import refuse
from mdmsdk_jamf.rsql import any_of, chunks, encoded
from mdmsdk_jamf.searches import classic_rows
from mdmsdk_jamf.settings import JamfSettings
from mdmsdk_jamf.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.paging import ReadPage
    from mdmsdk.provider import Page, Token
    from mdmsdk.search import Found
    from mdmsdk.wire import Response
    from mdmsdk_jamf.coverage import Counts
    from mdmsdk_jamf.inventory import Realm

__all__ = ["JamfProvider"]

_JSON: Final = {"Accept": "application/json"}
_V4_SINCE: Final = (11, 30)
_MOST_OTHERS: Final = 100
"""Records about other devices in the answer to a search; a search for names that is loose gives a few."""
_STATES_AT_ONCE: Final = 100
"""Rows of a page whose states have to be asked for one by one."""
_SAMPLE: Final = 100
"""Rows of each inventory by which the heartbeat sees whether the source of compliance says anything."""
_FEW_STATES: Final = 10
"""Of those, how many states it asks for one by one."""
_BAD_REQUEST: Final = 400
_HEALTH: Final = "/api/v1/health-check"
_NO_SOURCE_HINT: Final = (
    "Jamf Pro has no compliance state of its own. Set compliance, for example to "
    '{ source = "smart-group", computers = "Compliant Macs", mobile_devices = "Compliant devices" }.'
)
_NO_MATCH_HINT: Final = (
    "The search of the Classic API is deprecated and gone here, or something before the server hides "
    '/JSSResource. Set secondary_macs to "sweep" to read through all computers instead, or to "off".'
)
_IGNORED_HINT: Final = (
    "The server, or something before it, drops the search filter (the parameter filter of the request)."
)


class JamfProvider(MdmProvider):
    """Computers and mobile devices of one Jamf Pro server, from 10.39 on."""

    name = "jamf"
    vendor = "Jamf Pro"
    settings_type: ClassVar[type[JamfSettings]] = JamfSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset(chain(*(realm.fields for realm in REALMS.values())))
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BATCH, Capability.INVENTORY})
    # "Jamf Pro API Scalability Best Practices": no limiter, but at most five connections at once.
    limits: ClassVar[Limits] = Limits(concurrency=5, batch_size=1000)
    # "Filtering with RSQL": texts are compared without case, beyond ASCII, too; accents may go with it.
    loose: ClassVar[frozenset[type[Key]]] = frozenset({Hostname, Username})

    settings: JamfSettings

    def __init__(self, settings: JamfSettings) -> None:
        super().__init__(settings)
        self._session: Token | None = None
        self._source = source_of(settings.compliance, self._get)

    # --- login ---

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The token of the API client, or of the user: from the password, afterwards from the token before.

        Raises:
            TokenError, AuthenticationError: the server refuses the client or the user.
        """
        del audience, previous
        given = self.settings
        if given.client_id and given.client_secret:
            return (yield from login.by_client(given.base_url, given.client_id, given.client_secret))
        before, self._session = self._session, None
        token = (yield from login.keep_alive(given.base_url, before)) if before else None
        if token is None and given.username and given.password:
            token = yield from login.by_password(given.base_url, given.username, given.password)
        self._session = token
        if token is None:
            raise ConfigurationError("there is no credential for Jamf Pro", hint="Set client_id or username.")
        return token

    def logout(self, token: Token) -> Flow[None]:
        """End a user's token; that an API client's can be ended is not described."""
        self._session = None
        return done(None) if self.settings.client_id else login.give_back(self.settings.base_url, token)

    def check(self, response: Response) -> Response:
        """Turn an error status into an error that names the privilege or setting."""
        if response.status >= _BAD_REQUEST:
            return refuse(response)
        return check_status(response, may_be_empty=response.url.endswith((_HEALTH, login.INVALIDATE)))

    # --- server ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Whether the server is up, whether the login works, and what the server offers.

        Raises:
            ServerError, TransportError: the server is down: the health check comes first, without a login.
            TokenError, AuthenticationError: it is up, but the login does not work.
            VersionMismatchError: it is older than the inventory API.
            ConfigurationError: it has no group or search of the name in the settings.
        """
        yield from self._check_health()
        payload = (yield from self._get("/api/v1/jamf-pro-version")).json()
        version = Row(payload, "a version").text("version")
        if version is None:
            raise MalformedResponseError("Jamf Pro does not say which version it is")
        api_version, count = yield from self._find_inventory(version)
        named = yield from self._source.resolve()
        info = ServerInfo(
            provider=self.name,
            vendor="Jamf",
            product="Jamf Pro",
            version=version,
            api_version=api_version,
            extra={
                "computers": count,
                "compliance": named,
                "login": "API client" if self.settings.client_id else "user",
            },
        )
        if self.settings.compliance:
            yield from self._check_source(info)
        return info

    # "Get Jamf Pro API status" has no login and no content; older servers are asked for their version next.
    def _check_health(self) -> Flow[None]:
        try:
            yield from send(Request("GET", self.settings.base_url + _HEALTH, audience=None))
        except EndpointNotFoundError:
            return

    def _find_inventory(self, version: str) -> Flow[tuple[str, int | None]]:
        """The newest version of the inventory that this server has, and how many computers it holds."""
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        for candidate in COMPUTERS.versions:
            if candidate == "v4" and numbers < _V4_SINCE:
                continue
            try:
                path = COMPUTERS.path.format(version=candidate)
                response = yield from self._get(path, {"section": "GENERAL", "page": 0, "page-size": 1})
            except EndpointNotFoundError:
                continue
            except PermissionDeniedError:
                return candidate, None  # it is there; what needs it will name the privilege
            return candidate, read_page(response.json())[1]
        raise VersionMismatchError(
            f"Jamf Pro {version} has none of the inventory versions {', '.join(COMPUTERS.versions)}",
            hint="Update Jamf Pro: the inventory API exists from version 10.39 on. If this server is newer, "
            "look at what stands between here and it.",
        )

    def _check_source(self, info: ServerInfo) -> Flow[None]:
        """Look whether the source of compliance says anything about the first devices of each inventory."""
        try:
            parts = yield from together(*(self._sample(info, name) for name in REALMS))
        except MdmError:
            return  # whatever fails here fails where it is needed, too, with a better word
        if None not in parts:
            seen = {name: one for part in parts if part for name, one in part.items()}
            coverage.check(seen, f"compliance ({self._source.word})")

    def _sample(self, info: ServerInfo, name: str) -> Flow[Counts | None]:
        """What the source says about the first devices; None if nothing, but there are more than those."""
        seen: Counts = {}
        records, more = yield from walk(self._records(info), [name], None, _SAMPLE, ordered=True)
        wanted = list(filter(coverage.counts, records))
        parts = [[one] for one in wanted[:_FEW_STATES]] if self._source.one_by_one else [wanted]
        for part in parts:
            verdicts = yield from self._source.judge(info.extra["compliance"], part)
            seen = coverage.count(seen, self._source, zip(part, verdicts, strict=True))
            if any(told for *_, told in seen.values()):
                return seen
        return None if more or len(wanted) > sum(map(len, parts)) else seen

    # --- lookups ---

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """The computers and mobile devices that the server gives for this key.

        Raises:
            FilterIgnoredError: the server answered about many other devices.
            UnsupportedOperationError: the server cannot search for second MAC addresses any more.
        """
        answer = (yield from self.find_batch(info, [key]))[key]
        if isinstance(answer, MdmError):
            raise answer
        return answer

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for many keys of one kind, with as few requests as fit into URLs."""
        realms = [realm for realm in REALMS.values() if type(keys[0]) in realm.fields]
        groups = chunks(keys, lambda key: max(realm.cost(key) for realm in realms))
        parts = yield from together(*(self._search(info, realms, group) for group in groups))
        found = {key: answer for part in parts for key, answer in part.items()}
        missing = [key for key, answer in found.items() if answer == []]
        if missing and type(keys[0]) is Mac and self.settings.secondary_macs != "off":
            found |= yield from self._second_addresses(info, missing)
        return found

    def _search(self, info: ServerInfo, realms: Sequence[Realm], group: Sequence[Key]) -> Flow[Found]:
        def ask(keys: Sequence[Key]) -> Flow[list[Device]]:
            walks = [self._walk(info, realm, realm.search(keys), _mostly(keys)) for realm in realms]
            try:
                records = yield from together(*walks)
            except ResponseError as error:
                if error.status == _BAD_REQUEST and len(keys) == len(group) > 1:
                    yield from self._try_filter(info, realms, type(keys[0]))
                raise
            # Records about other devices are for the proof alone, and their state costs nothing.
            own, others = _split(list(chain(*records)), _may_be(keys))
            return [*(yield from self._judged(info, own)), *(record.device for record in others)]

        return search(self, group, ask, splits=_may_be_one_key)

    def _try_filter(self, info: ServerInfo, realms: Sequence[Realm], kind: type[Key]) -> Flow[None]:
        """Ask for a value that harms nobody: a field that is refused altogether is refused for it, too."""
        try:
            for realm in realms:
                yield from self._page_of(info, realm, any_of(realm.fields[kind], ["0"]), 0, 1)
        except ResponseError as error:
            if error.status != _BAD_REQUEST:
                raise
            raise UnsupportedOperationError(error.message, hint=error.hint) from error

    # The second address of a computer (Ethernet beside Wi-Fi, a dock) is no filter field in any version.
    # "/computers/match" searches as the web interface does; that it sees the second address is inferred.
    def _second_addresses(self, info: ServerInfo, macs: Sequence[Key]) -> Flow[Found]:
        pages = -(-(info.extra["computers"] or 0) // self.settings.page_size)
        if self.settings.secondary_macs == "match" and len(macs) <= max(1, pages):
            return (yield from one_by_one(macs, lambda mac: self._find_second(info, mac)))
        wanted = frozenset(macs)

        def shows_one(record: Record) -> bool:
            return not wanted.isdisjoint(record.device.mac_addresses)

        records = yield from self._walk(info, COMPUTERS, "", shows_one)

        def ask(keys: Sequence[Key]) -> Flow[list[Device]]:
            return self._judged(info, list(filter(_may_be(keys), records)))

        return (yield from search(self, macs, ask))

    def _find_second(self, info: ServerInfo, mac: Key) -> Flow[list[Device]]:
        try:
            ids = yield from self._match(mac)
        except EndpointNotFoundError as error:
            raise UnsupportedOperationError(
                "this Jamf Pro server has no search for the second MAC addresses of computers",
                hint=_NO_MATCH_HINT,
            ) from error
        searches = [any_of([COMPUTERS.id_field], part) for part in chunks(sorted(set(ids)))]
        walks = [self._walk(info, COMPUTERS, one, _one_of(ids)) for one in searches]
        return (yield from self._judged(info, list(chain(*(yield from together(*walks))))))

    def _match(self, mac: Key) -> Flow[list[str]]:
        """Ids of the computers with an address; the search looks for texts, so its rows are checked."""
        path = f"/JSSResource/computers/match/{quote(mac.value, safe='')}"
        rows = classic_rows((yield from self._get(path)).json(), "computers")
        own = [row for row in rows if mac in row.macs("mac_address", "alt_mac_address")]
        return [number for row in own if (number := row.text("id"))]

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """The devices of one page of the inventory that do not comply and did not leave; pages may be empty.

        Raises:
            ConfigurationError: the settings name no source of compliance, or one that says nothing about
                any managed device; the latter at the end of the list.
        """
        if self.settings.compliance is None:
            raise ConfigurationError("there is no source of compliance", hint=_NO_SOURCE_HINT)
        realms = self._source.realms(info.extra["compliance"])
        place, told = cursor or (None, "{}")
        seen = json.loads(told)
        records, devices, following = yield from self._page(info, realms, place)
        verdicts = [(record, device.compliance) for record, device in zip(records, devices, strict=True)]
        seen = coverage.count(seen, self._source, verdicts)
        if following is None:
            coverage.check(seen, f"compliance ({self._source.word})")
        failed = [one for one in devices if one.compliance.state is ComplianceState.NONCOMPLIANT]
        cursor = None if following is None else (following, json.dumps(seen))
        return page_of([one for one in failed if one.registered or "managed" in one.unreadable], cursor)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all computers and mobile devices, also of those that are no longer managed."""
        _, devices, following = yield from self._page(info, list(REALMS), cursor)
        return page_of(devices, following)

    def _page(
        self, info: ServerInfo, realms: Sequence[str], cursor: Any
    ) -> Flow[tuple[list[Record], list[Device], Any]]:
        size = self.settings.page_size
        if self._source.one_by_one:
            size = min(size, _STATES_AT_ONCE)
        search = self._records(info)
        records, following = yield from walk(search, realms, cursor, size, noun="the list of", ordered=True)
        return records, (yield from self._judged(info, records)), following

    # --- records ---

    def _judged(self, info: ServerInfo, records: Sequence[Record]) -> Flow[list[Device]]:
        """The devices of records, with their compliance."""
        verdicts = yield from self._source.judge(info.extra["compliance"], records)
        devices = []
        for record, verdict in zip(records, verdicts, strict=True):
            failed = verdict.state is ComplianceState.NONCOMPLIANT
            told = (
                verdict.model_copy(update={"remediation": self.settings.remediation}) if failed else verdict
            )
            raw = {"raw": record.row} if self.settings.keep_raw else {}
            devices.append(
                record.device.model_copy(update={"compliance": told, "provider": self.name, **raw})
            )
        return devices

    def _walk(
        self, info: ServerInfo, realm: Realm, search: str, keep: Callable[[Record], bool]
    ) -> Flow[list[Record]]:
        """The records of a filter, all pages, as far as they are to be kept."""
        size, most = self.settings.page_size, self.settings.policy.max_pages
        records = self._records(info, search)
        return (yield from collect(records, [realm.name], size, max_pages=most, ordered=True, keep=keep))

    def _records(self, info: ServerInfo, search: str = "") -> ReadPage[Record]:
        """The records of an inventory that a filter lets through, from a position on."""

        def ask(scope: str, offset: int, limit: int) -> Flow[Slice[Record]]:
            realm = REALMS[scope]

            def ask_page(page: int, size: int) -> Flow[Slice[Record]]:
                return self._page_of(info, realm, search, page, size)

            return (numbered if search else around_damage)(ask_page, offset, limit)

        return ask

    def _page_of(
        self, info: ServerInfo, realm: Realm, search: str, page: int, size: int
    ) -> Flow[Slice[Record]]:
        """One page of an inventory, of the records that a filter lets through."""
        version = info.api_version if realm is COMPUTERS else realm.versions[0]
        params = {"section": realm.sections, "sort": f"{realm.id_field}:asc", **realm.params}
        response = yield from self._get(
            realm.path.format(version=version), {**params, "page": page, "page-size": size}, search
        )
        rows, total = read_page(response.json())
        records = [Record.read(realm, row, response.date) for row in rows]
        return Slice([(record.number, record) for record in records], total)

    def _get(self, path: str, params: Mapping[str, Any] | None = None, search: str = "") -> Flow[Response]:
        url = self.settings.base_url + path + (f"?filter={encoded(search)}" if search else "")
        return send(Request("GET", url, params or {}, headers=_JSON))


def _may_be(keys: Sequence[Key]) -> Callable[[Record], bool]:
    """Whether a record shows one of the keys, or none of that kind."""
    wanted, kind = frozenset(keys), type(keys[0])

    def is_asked(record: Record) -> bool:
        shown = record.device.shown(kind)
        return not (shown and wanted.isdisjoint(shown))

    return is_asked


def _split(records: Sequence[Record], is_asked: Callable[[Record], bool]) -> list[list[Record]]:
    return [[record for record in records if is_asked(record) is wanted] for wanted in (True, False)]


def _one_of(ids: Collection[str]) -> Callable[[Record], bool]:
    def is_asked(record: Record) -> bool:
        if record.id not in ids:
            raise FilterIgnoredError("Jamf Pro answered with other computers than those asked for")
        return True

    return is_asked


def _mostly(keys: Sequence[Key]) -> Callable[[Record], bool]:
    """Keeps all records, until so many are about other devices that the filter has no effect."""
    is_asked, others = _may_be(keys), 0

    def keep(record: Record) -> bool:
        nonlocal others
        others += not is_asked(record)
        if others > _MOST_OTHERS:
            raise FilterIgnoredError("Jamf Pro answers with all devices", hint=_IGNORED_HINT)
        return True

    return keep


def _may_be_one_key(error: MdmError) -> bool:
    return spoils_one(error) and error.hint != _IGNORED_HINT
