"""What both products share: login, errors, device spaces, masks, lookups whose rows are checked, lists."""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    ProtocolError,
    UnsupportedOperationError,
)
from mdmsdk.flow import done, send, together
from mdmsdk.identifiers import Guid, Imei, Mac, Serial, Udid
from mdmsdk.logins import basic
from mdmsdk.models import ComplianceState, Description, ServerInfo
from mdmsdk.paging import page_of, walk
from mdmsdk.provider import Capability, MdmProvider
from mdmsdk.search import Search, find_with, spoils_one
from mdmsdk.wire import Request
from mdmsdk_ivanti.records import IvantiRow, unmasked, whole
from mdmsdk_ivanti.refusals import complaint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.paging import Slice
    from mdmsdk.provider import Page, Token
    from mdmsdk.refusals import Complaint
    from mdmsdk.rows import Row
    from mdmsdk.search import Found, Texts
    from mdmsdk.wire import Response
    from mdmsdk_ivanti.records import JsonObject, Names
    from mdmsdk_ivanti.settings import IvantiSettings

__all__ = ["IvantiProvider", "IvantiServer", "spoils_query"]

_log = logging.getLogger("mdmsdk.ivanti")

_SAMPLE = 50
"""Rows that are looked at for masked values."""
_SAMPLED_SCOPES = 3
_MORE_REQUESTS = 10
"""What a refused query may cost: more than it takes to find one bad key among those that it holds."""
_MASK_HINT = (
    "The account's GDPR profile disguises these values, so that no search finds them: take the profile off "
    "this API user, leave the fields out of it, or ask by GUID."
)
_SHARED_HINT = "Ask by another identifier: this one is on more records than one answer holds."


class IvantiServer(Description):
    """What is known of a server.

    Attributes:
        base: the address of its API.
        scopes: the numbers of the device spaces to look into.
        noncompliant: the query for registered devices that do not comply.
        masked: the kinds of key that it disguises for this account.
        fields: those to ask EPMM for.
        order: by which parameters EPMM sorts.
        guids_by_address: whether Neurons for MDM finds GUIDs by the addresses of the records alone.
    """

    base: str
    scopes: tuple[str, ...]
    noncompliant: str = ""
    masked: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()
    order: tuple[tuple[str, str], ...] = ()
    guids_by_address: bool = False


class IvantiProvider(MdmProvider):
    """Both products, as far as they are alike; a subclass states addresses, queries and what rows mean."""

    vendor = "Ivanti"
    certificate_names: ClassVar[frozenset[str]] = frozenset({"Mobileiron"})
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Udid, Guid, Serial, Imei})
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INVENTORY, Capability.BATCH})

    product: ClassVar[str]
    read: ClassVar[staticmethod[[JsonObject], Device]]
    """What a record says."""
    names: ClassVar[Names]
    """The members of a record that hold its identifiers."""
    longest_query: ClassVar[int]
    """Characters of a query that asks for several keys."""
    disjunction: ClassVar[str]
    """What stands between the conditions of a query, any of which may hold."""

    settings: IvantiSettings

    # --- what a product states ---

    @abstractmethod
    def rows(
        self, server: IvantiServer, query: str, scope: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
        """Ask for `limit` rows from `offset` on that `query` finds in one device space; "" finds all.

        A query that begins with a slash is the address of a record, and is asked alone.
        """

    @abstractmethod
    def condition(self, server: IvantiServer, key: Key) -> str:
        """The query that finds the records of a key, and only those.

        Raises:
            InvalidIdentifierError: the value cannot stand in a query.
            UnsupportedOperationError: the server cannot search by this kind of key.
        """

    def slips_in(self, record: JsonObject) -> bool:
        """Whether the noncompliant list may hold this row of a device that is not."""
        del record
        return False

    # --- login and errors ---

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The user name and password of the settings; costs no request."""
        del audience, previous
        return done(basic(self.settings))

    def complaint(self, response: Response, row: Row) -> Complaint:
        """What the server says in an error answer."""
        return complaint(response, row)

    def get(self, url: str, params: Mapping[str, str | int] | None = None) -> Flow[IvantiRow]:
        """Ask an address for a JSON object."""
        response = yield from send(Request("GET", url, params or {}, {"Accept": "application/json"}))
        return IvantiRow(response.json(), f"a JSON object of {self.vendor}")

    # --- what the server is ---

    def describe(self, server: IvantiServer, **more: Any) -> ServerInfo:
        """The answer to a heartbeat."""
        extra = {"api_base": server.base, "spaces": [*server.scopes], "masked": sorted(server.masked)}
        return ServerInfo(vendor=self.vendor, product=self.product, extra=extra, description=server, **more)

    def choose(self, records: Sequence[JsonObject], setting: str) -> tuple[str, ...]:
        """The numbers of the device spaces that a setting names, of those that the account sees.

        Raises:
            ConfigurationError: there is none, or not the one that is wanted.
        """
        known = {str(whole(record.get("id"))): IvantiRow(record).text("name") or "" for record in records}
        if "" in known:
            raise MalformedResponseError("the answer holds a device space without a number")
        listed = ", ".join(f"{name} ({number})" for number, name in known.items()) or "none"
        chosen: list[str] = []
        for wanted in getattr(self.settings, setting) or known or ["at all"]:
            found = [wanted] if wanted in known else _named(wanted, known)
            if len(found) != 1:
                raise ConfigurationError(
                    f"the account sees no single device space {wanted}; it sees: {listed}",
                    hint=f"Correct the setting {setting}, or assign the account to that space.",
                )
            chosen += found
        return tuple(dict.fromkeys(chosen))

    # Ivanti's guides for administrators, "GDPR profile": an API user may have one, and then chosen fields are
    # disguised in all answers to it. A search by such a field finds nothing, and says nothing about why.
    def find_masks(self, server: IvantiServer) -> Flow[IvantiServer]:
        """The description with the kinds of key that are disguised, from a look at some devices."""
        hidden: set[str] = set()
        clear: set[str] = set()
        for scope in server.scopes[:_SAMPLED_SCOPES]:
            part = yield from self.rows(server, "", scope, 0, _SAMPLE)
            for _, record in part.rows:
                with suppress(MalformedResponseError):  # one damaged record says nothing about the others
                    device, now = self._read(record)
                    hidden |= now
                    clear |= {kind.kind for kind in self.keys if device.shown(kind)} - now
            if {"serial", "imei"} <= hidden | clear:
                break
        # A profile disguises all values of a field; one odd value among others is the device's own.
        masked = (hidden - clear) & {kind.kind for kind in self.keys}
        if masked:
            _log.warning("%s disguises: %s. %s", self.vendor, ", ".join(sorted(masked)), _MASK_HINT)
        return server.model_copy(update={"masked": frozenset(masked)})

    # --- lookups ---

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for several keys, in as few queries as they fit into."""
        server = IvantiServer.of(info)
        _refuse_masked(keys, server.masked)
        joint = len(self.disjunction)
        how = Search(
            ask=partial(self._ask, server),
            spellings=lambda key: (self.condition(server, key),),
            longest=self.longest_query + joint,
            size=lambda texts: joint + (self.longest_query if texts[0][0] == "/" else len(texts[0])),
            splits=spoils_query,
            more_requests=_MORE_REQUESTS,
        )
        return (yield from find_with(self, how, keys))

    def _ask(self, server: IvantiServer, texts: Texts) -> Flow[list[Device]]:
        """All devices that one query finds, without repeats.

        Raises:
            UnsupportedOperationError: whose records they are cannot be told, because the value is disguised.
        """
        query = self.disjunction.join(chain(*texts.values()))
        size = self.settings.page_size
        parts = yield from together(*(self.rows(server, query, scope, 0, size) for scope in server.scopes))
        found: list[Device] = []
        for device, hidden in (self._read(record) for part in parts for _, record in part.rows):
            if not any(map(device.matches, texts)):
                _refuse_masked(texts, hidden)
            if device not in found:
                found.append(device)
        # Only by what it holds can a record be found, and what was searched for is among what is asked for.
        kind = next(iter(texts)).kind
        if any(all(device.matches(key) is None for key in texts) for device in found):
            raise FilterIgnoredError(f"the server answered about devices without any {kind}")
        if any(part.more or len(part.rows) < (part.total or 0) for part in parts):
            raise IncompleteListError(
                f"more devices have this {kind} than one answer holds", hint=_SHARED_HINT
            )
        return found

    def _read(self, record: JsonObject) -> tuple[Device, set[str]]:
        """The device of a record, and the kinds of key that are disguised in it."""
        clear, hidden = unmasked(record, self.names, self.settings.mask_pattern)
        device = self.read(clear)
        return (device.model_copy(update={"raw": record}) if self.settings.keep_raw else device), hidden

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the registered devices that do not comply, one device space after the other.

        Raises:
            IncompleteListError: the list changed so that devices may be missing.
            FilterIgnoredError: it holds devices that comply, or have left.
        """
        server = IvantiServer.of(info)
        rows, following = yield from self._walk(server, server.noncompliant, cursor)
        return page_of([device for row in rows if (device := self._listed(row))], following)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices, those included that have left."""
        server = IvantiServer.of(info)
        rows, following = yield from self._walk(server, "", cursor)
        return page_of([self._read(row)[0] for row in rows], following)

    def _walk(self, server: IvantiServer, query: str, cursor: Any) -> Flow[tuple[list[JsonObject], Any]]:
        ask, size = partial(self.rows, server, query), self.settings.page_size
        return walk(ask, server.scopes, cursor, size, noun="device space", recount=True)

    def _listed(self, record: JsonObject) -> Device | None:
        """The device of a row of the noncompliant list; None for one that a product lets slip in."""
        device, _ = self._read(record)
        if device.registered and device.compliance.state is ComplianceState.NONCOMPLIANT:
            return device
        if device.registered and device.unreadable:
            # The server found a fault that the record does not show in a form that can be read.
            unknown = device.compliance.model_copy(update={"state": ComplianceState.UNKNOWN})
            return device.model_copy(update={"compliance": unknown})
        if not device.registered or not self.slips_in(record):
            raise FilterIgnoredError("the list of noncompliant devices holds one that complies or has left")
        return None


def spoils_query(error: MdmError) -> bool:
    """Whether a failure may be due to one key of a query: its answer is refused, too long, or no answer."""
    return spoils_one(error) or isinstance(error, ProtocolError)


def _named(name: str, known: Mapping[str, str]) -> list[str]:
    return [number for number, own in known.items() if own.casefold() == name.casefold()]


def _refuse_masked(keys: Iterable[Key], masked: Iterable[str]) -> None:
    if hidden := ", ".join(sorted({key.kind for key in keys} & {*masked})):
        raise UnsupportedOperationError(
            f"this account does not see the {hidden} of devices, and so cannot search by it", hint=_MASK_HINT
        )
