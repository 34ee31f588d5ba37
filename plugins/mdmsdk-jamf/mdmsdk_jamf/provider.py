"""Jamf Pro as a provider: its server, its lookups, its lists.

The API describes itself on each server under ``/api/doc``; the Classic API, under ``/JSSResource``, is asked
only for what the newer one lacks. Both are documented at https://developer.jamf.com/jamf-pro.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mdmsdk.errors import (
    ConfigurationError,
    EndpointNotFoundError,
    MdmError,
    PermissionDeniedError,
    VersionMismatchError,
)
from mdmsdk.evidence import check_sight, offends
from mdmsdk.flow import attempt, newest, or_none, send, together
from mdmsdk.identifiers import Guid, Hostname, Username
from mdmsdk.models import ComplianceState, ServerInfo
from mdmsdk.paging import page_of, walk
from mdmsdk.provider import Capability, Limits, MdmProvider
from mdmsdk.rows import Row
from mdmsdk.search import changed
from mdmsdk.wire import Request
from mdmsdk_jamf.inventory import Inventory
from mdmsdk_jamf.login import client_token, user_token
from mdmsdk_jamf.lookups import Lookup
from mdmsdk_jamf.records import COMPUTERS, DEPRECATED, REALMS, VERSIONS
from mdmsdk_jamf.refusals import REFUSALS, complaint
from mdmsdk_jamf.settings import JamfSettings
from mdmsdk_jamf.sources import source_of
from mdmsdk_jamf.sources.base import NO_SOURCE, JamfDescription

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdmsdk.evidence import Meant
    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.membership import Verdict
    from mdmsdk.models import Device
    from mdmsdk.paging import Place
    from mdmsdk.provider import Page, Token
    from mdmsdk.refusals import Refusal
    from mdmsdk.search import Found
    from mdmsdk_jamf.records import Realm, Record
    from mdmsdk_jamf.sources import JamfSource
    from mdmsdk_jamf.sources.searches import Run

__all__ = ["JamfProvider", "Reading"]

_STATES_AT_ONCE: Final = 100
"""Rows of a page whose states have to be asked for one by one."""
_SAMPLE: Final = 100
"""Rows of each inventory by which the heartbeat sees whether the source of compliance says anything."""
_FEW_STATES: Final = 16
"""The same where the states have to be asked for one by one."""
_TOO_OLD: Final = "Update Jamf Pro to 10.39 or later, or look at what stands between here and this server."


@dataclass(frozen=True, slots=True)
class Reading:
    """The cursor of a list: how far it was read, and what is known of its source of compliance by then.

    Attributes:
        since: the list is of what changed since this time; None for all devices.
    """

    place: Place | None = None
    meant: Meant = frozenset()
    runs: tuple[Run, ...] = ()
    since: datetime | None = None


class JamfProvider(MdmProvider):
    """Computers and mobile devices of one Jamf Pro server, from 10.39 on."""

    name = "jamf"
    vendor = "Jamf Pro"
    certificate_names: ClassVar[frozenset[str]] = frozenset({"Jamf"})
    settings_type: ClassVar[type[JamfSettings]] = JamfSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset(chain(*(realm.fields for realm in REALMS.values())))
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.BATCH, Capability.INVENTORY, Capability.CHANGES}
    )
    # "Jamf Pro API Scalability Best Practices": no limiter, but at most five connections at once.
    limits: ClassVar[Limits] = Limits(concurrency=5, batch_size=1000)
    refusals: Sequence[Refusal] = REFUSALS
    complaint = staticmethod(complaint)
    may_be_empty = r"/v1/(health-check|auth/invalidate-token)$"
    # "Filtering with RSQL": texts are compared without case, beyond ASCII, too; accents may go with it.
    loose: ClassVar[frozenset[type[Key]]] = frozenset({Hostname, Username})
    record_key = Guid  # ids are numbers that a computer and a mobile device may share
    listed = keys - loose  # lists and searches give the same records

    settings: JamfSettings

    # --- login ---

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The token of the API client, or of the user: from the password, afterwards from the token before.

        Raises:
            TokenError, AuthenticationError: the server refuses the client or the user.
        """
        del audience
        return client_token(self.settings) if self.settings.client_id else user_token(self.settings, previous)

    def logout(self, token: Token) -> Flow[None]:
        """End a user's token; that an API client's can be ended is not described."""
        if self.settings.username:
            url = self.settings.base_url + "/api/v1/auth/invalidate-token"
            yield from send(token.on(Request("POST", url, audience=None)))

    # --- server ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Whether the server is up, whether the login works, and what the server offers.

        Raises:
            ServerError, TransportError: the server is down: the health check comes first, without a login.
            TokenError, AuthenticationError: it is up, but the login does not work.
            VersionMismatchError: it is older than the inventory API.
            ConfigurationError: it has no group or search of the name in the settings, or that says nothing
                about any managed device.
        """
        # "Get Jamf Pro API status" has no login and no content; older servers do not have it.
        with suppress(EndpointNotFoundError):
            yield from send(Request("GET", self.settings.base_url + "/api/v1/health-check", audience=None))
        answer = yield from Inventory(self.settings).get("/api/v1/jamf-pro-version")
        version = Row(answer.json(), "a version").required("version")
        too_old = f"Jamf Pro {version} has none of the inventory versions {', '.join(VERSIONS)}"
        otherwise = VersionMismatchError(too_old, hint=_TOO_OLD)
        api_version, count = yield from newest(self._count, VERSIONS, otherwise=otherwise)
        named = yield from self._source().resolve()
        info = ServerInfo(
            vendor="Jamf",
            product="Jamf Pro",
            version=version,
            api_version=api_version,
            extra={
                "computers": count,
                "compliance": {name: asdict(one) for name, one in named.items()},
                "login": "API client" if self.settings.client_id else "user",
            },
            description=JamfDescription(named=named),
        )
        if self.settings.compliance and not self.settings.compliance.rules:
            yield from self._check_source(info)
        return info

    def outdated(self, info: ServerInfo) -> tuple[str, ...]:
        """An inventory that Jamf has deprecated, where the server has no newer one."""
        if date := DEPRECATED.get(info.api_version or ""):
            said = f"Jamf deprecated {info.api_version} of the computer inventory on {date}"
            return (f"{said}: update Jamf Pro to 11.30 or later, which has v4.",)
        return ()

    def _count(self, version: str | None, realm: Realm = COMPUTERS) -> Flow[int | None]:
        """How many devices there are; None without the privilege, which what needs it will name."""
        return or_none(Inventory(self.settings, version).count(realm), PermissionDeniedError)

    def _check_source(self, info: ServerInfo) -> Flow[None]:
        """Look whether the source of compliance says anything about the first devices of each inventory."""
        source = self._source()
        size = _FEW_STATES if source.one_by_one else _SAMPLE
        parts = yield from attempt(together(*(self._read(info, [name], None, size) for name in REALMS)))
        if isinstance(parts, MdmError):
            return  # whatever fails here fails where it is needed, too, with a better word
        if all(read.place is None or any(means for _, means in read.meant) for _, read in parts):
            source.check({each for _, read in parts for each in read.meant})

    # --- lookups ---

    # "Sites": a user of a site sees the devices of that alone, and all else is not there.
    def see_a_device(self, info: ServerInfo) -> Flow[None]:
        """Make sure that the account sees a computer or a mobile device."""
        seen = yield from together(*(self._count(info.api_version, realm) for realm in REALMS.values()))
        check_sight([*filter(None, seen)], "Give the account full access, or the site of the devices.")

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for many keys of one kind, with as few requests as fit into URLs.

        All are judged together. Records about other devices are for the proof alone, and their state costs
        nothing.
        """
        lookup = Lookup(Inventory(self.settings, info.api_version), keys)
        found = yield from lookup.find(self)
        records = [record for record in lookup.records if not lookup.is_other(record)]
        verdicts = yield from self._source().judge(JamfDescription.of(info).named, records)
        judged = {id(one.device): (one, verdict) for one, verdict in zip(records, verdicts, strict=True)}
        return changed(found, lambda one: self._judged(*judged[id(one)]) if id(one) in judged else one)

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Reading | None) -> Flow[Page[Device]]:
        """The devices of one page of the inventory that do not comply and did not leave; pages may be empty.

        Raises:
            ConfigurationError: the settings name no source of compliance, or one that says nothing about
                any managed device; the latter at the end of the list.
        """
        if self.settings.compliance is None:
            raise ConfigurationError("there is no source of compliance", hint=NO_SOURCE)
        realms = list(JamfDescription.of(info).named or REALMS)  # what is not named has no offenders
        devices, read = yield from self._read(info, realms, cursor)
        if read.place is None:
            self._source().check(read.meant)
        return page_of([*filter(offends, devices)], read.place and read)

    # The API's own description, filters of both inventories: the times of reports and contacts.
    def devices_since(self, info: ServerInfo, since: datetime | None, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that sent their inventory, or any word, since a time; or of all.

        All computers and mobile devices are among them, also those that are no longer managed.
        """
        devices, read = yield from self._read(info, list(REALMS), cursor or Reading(since=since))
        return page_of(devices, read.place and read)

    def _read(
        self, info: ServerInfo, realms: Sequence[str], cursor: Reading | None, most: int = 2000
    ) -> Flow[tuple[list[Device], Reading]]:
        """The devices of the next page, and how far the list is read then; no place is its end."""
        before = cursor or Reading()
        source = self._source(before.runs)
        size = min(self.settings.page_size, most, _STATES_AT_ONCE if source.one_by_one else most)
        search, where = Inventory(self.settings, info.api_version).read(since=before.since), "the list of"
        records, place = yield from walk(
            search, realms, before.place, size, noun=where, ordered=True, growing=before.since is not None
        )
        verdicts = yield from source.judge(JamfDescription.of(info).named, records)
        devices = list(map(self._judged, records, verdicts))
        meant = before.meant | source.see(records, devices)
        return devices, replace(before, place=place, meant=meant, runs=source.runs)

    # --- records ---

    def _source(self, runs: tuple[Run, ...] = ()) -> JamfSource:
        return source_of(Inventory(self.settings), runs)

    def _judged(self, record: Record, verdict: Verdict) -> Device:
        """The device of a record with its compliance.

        Raises:
            MdmError: it has none.
        """
        if isinstance(verdict, MdmError):
            raise verdict
        if verdict.state is ComplianceState.NONCOMPLIANT:
            verdict = verdict.model_copy(update={"remediation": self.settings.remediation})
        raw = record.row.document if self.settings.keep_raw else None
        return record.device.model_copy(update={"compliance": verdict, "raw": raw})
