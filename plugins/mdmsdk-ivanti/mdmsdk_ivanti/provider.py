"""What both products share: login, device spaces, lookups whose rows are checked, lists."""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.errors import (
    FilterIgnoredError,
    MalformedResponseError,
    ProtocolError,
    UnsupportedOperationError,
)
from mdmsdk.flow import done, joined, send
from mdmsdk.identifiers import Guid, Imei, Mac, Serial, Udid
from mdmsdk.logins import basic
from mdmsdk.models import ComplianceState, Description, ServerInfo
from mdmsdk.paging import collect, page_of, walk
from mdmsdk.proof import disguised
from mdmsdk.provider import Capability, MdmProvider
from mdmsdk.refusals import Complaint, spoken
from mdmsdk.scopes import choose
from mdmsdk.search import Search, find_with, spoils_one
from mdmsdk.wire import Request
from mdmsdk_ivanti.records import IvantiRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.paging import Slice
    from mdmsdk.provider import Page, Token
    from mdmsdk.rows import Row
    from mdmsdk.search import Found, Texts
    from mdmsdk.wire import Response
    from mdmsdk_ivanti.records import IvantiRecord, JsonObject
    from mdmsdk_ivanti.settings import IvantiSettings

__all__ = ["IvantiProvider", "IvantiServer"]

_log = logging.getLogger("mdmsdk.ivanti")

_SAMPLE = 50
"""Rows that are looked at for disguised values, in each of the first device spaces."""
_SAMPLED_SPACES = 3
_MASK_HINT = (
    "The account's GDPR profile disguises these values, so that no search finds them: take the profile off "
    "this API user, leave the fields out of it, or ask by GUID."
)
_SPACES_HINT = "Correct the setting spaces, or assign the account to that space."


class IvantiServer(Description):
    """What is known of a server.

    Attributes:
        api_base: the address of its API.
        spaces: the numbers of the device spaces to look into.
        noncompliant: the query for registered devices that do not comply.
        masked: the kinds of key that it disguises for this account.
        fields: those to ask EPMM for.
        guids_by_address: whether Neurons for MDM finds GUIDs by the addresses of the records alone.
    """

    api_base: str
    spaces: tuple[str, ...]
    noncompliant: str = ""
    masked: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    guids_by_address: bool = False


class IvantiProvider(MdmProvider):
    """Both products, as far as they are alike; a subclass states addresses, queries and records."""

    vendor = "Ivanti"
    certificate_names: ClassVar[frozenset[str]] = frozenset({"Mobileiron"})
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Udid, Guid, Serial, Imei})
    listed = keys  # lists and searches give the same rows
    record_key = Guid
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INVENTORY, Capability.BATCH})

    product: ClassVar[str]
    record: ClassVar[type[IvantiRecord]]
    longest_query: ClassVar[int]
    """Characters of a query that asks for several keys."""
    disjunction: ClassVar[str]
    """What stands between the conditions of a query, any of which may hold."""

    settings: IvantiSettings

    @abstractmethod
    def rows(
        self, server: IvantiServer, query: str, space: str, offset: int, limit: int
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

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The user name and password of the settings; costs no request."""
        del audience, previous
        return done(basic(self.settings))

    def complaint(self, _: Response, row: Row) -> Complaint:
        """What the server says; the code tells its own answers from those of something in between."""
        return Complaint("errors" if row.has("errors") else "", spoken(row.document))

    def get(self, url: str, params: Mapping[str, str | int] | None = None) -> Flow[IvantiRow]:
        """Ask an address for a JSON object."""
        response = yield from send(Request("GET", url, params or {}, {"Accept": "application/json"}))
        return IvantiRow(response.json(), f"a JSON object of {self.vendor}")

    # --- what the server is ---

    def describe(self, server: IvantiServer, **more: Any) -> ServerInfo:
        """The answer to a heartbeat."""
        extra = server.model_dump(mode="json", include={"api_base", "spaces", "masked"})
        return ServerInfo(vendor=self.vendor, product=self.product, extra=extra, description=server, **more)

    def choose_spaces(self, seen: Iterable[IvantiRow]) -> tuple[str, ...]:
        """The numbers of the device spaces to look into, of those that the account sees."""
        known = {space.required("id"): space.text("name") or "" for space in seen}
        return choose(self.settings.spaces, known, "device space", _SPACES_HINT)

    # Ivanti's guides for administrators, "GDPR profile": an API user may have one, and then chosen fields are
    # disguised in all answers to it. A search by such a field finds nothing, and says nothing about why.
    def look(self, server: IvantiServer) -> Flow[tuple[IvantiServer, list[Device]]]:
        """Some devices, and the description with the kinds of key that are disguised in all of them."""
        devices: list[Device] = []
        for space in server.spaces[:_SAMPLED_SPACES]:
            for _, record in (yield from self.rows(server, "", space, 0, _SAMPLE)).rows:
                with suppress(MalformedResponseError):  # one damaged record says nothing about the others
                    devices.append(self._device(record))
        if masked := disguised(devices, self.keys):
            _log.warning("%s disguises: %s. %s", self.vendor, ", ".join(masked), _MASK_HINT)
        return server.model_copy(update={"masked": masked}), devices

    # --- lookups ---

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for several keys, in as few queries as they fit into.

        Raises:
            UnsupportedOperationError: the account's profile disguises this kind of key.
            FilterIgnoredError: the server answered about other devices.
            IncompleteListError: more records have a key than one answer holds.
        """
        server, joint = IvantiServer.of(info), len(self.disjunction)
        if (kind := keys[0].kind) in server.masked:
            raise UnsupportedOperationError(
                f"this account does not see the {kind} of devices, and so cannot search by it",
                hint=_MASK_HINT,
            )
        how = Search(
            ask=partial(self._ask, server),
            spellings=lambda key: (self.condition(server, key),),
            longest=self.longest_query + joint,
            size=lambda texts: joint + (self.longest_query if texts[0][0] == "/" else len(texts[0])),
            splits=lambda error: spoils_one(error) or isinstance(error, ProtocolError),
        )
        return (yield from find_with(self, how, keys))

    def _ask(self, server: IvantiServer, texts: Texts) -> Flow[list[Device]]:
        """All devices that one query finds, without repeats."""
        ask = partial(self.rows, server, self.disjunction.join(chain(*texts.values())))
        size = self.settings.page_size
        parts = (collect(ask, [space], size, max_pages=1) for space in server.spaces)
        found: list[Device] = []
        for device in map(self._device, (yield from joined(*parts))):
            # Only by what it holds can a record be found, and that is among what is asked for.
            if all(device.matches(key) is None for key in texts):
                raise FilterIgnoredError(
                    "the server answered about devices that do not show what was asked for"
                )
            if device not in found:
                found.append(device)
        return found

    def _device(self, record: JsonObject) -> Device:
        device = self.record(record).device()
        return device.model_copy(update={"raw": record}) if self.settings.keep_raw else device

    # --- lists ---

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the registered devices that do not comply, one device space after the other.

        Raises:
            IncompleteListError: the list changed so that devices may be missing.
            FilterIgnoredError: it holds devices that comply, or have left.
        """
        server = IvantiServer.of(info)
        page = yield from self._page(server, server.noncompliant, cursor)
        for device in page.items:
            # The server may find a fault that the record does not show in a form that can be read.
            fault = device.compliance.state is ComplianceState.NONCOMPLIANT or device.doubtful
            if not (device.registered and fault):
                raise FilterIgnoredError(
                    "the list of noncompliant devices holds one that complies or has left"
                )
        return page

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices, those included that have left."""
        return self._page(IvantiServer.of(info), "", cursor)

    def _page(self, server: IvantiServer, query: str, cursor: Any) -> Flow[Page[Device]]:
        ask, size = partial(self.rows, server, query), self.settings.page_size
        rows, following = yield from walk(ask, server.spaces, cursor, size, noun="device space", recount=True)
        return page_of([*map(self._device, rows)], following)
