"""Finding devices by their keys: in both inventories, and computers by their second MAC address."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from mdmsdk.errors import (
    FilterIgnoredError,
    MdmError,
    ResponseError,
    UnsupportedOperationError,
)
from mdmsdk.flow import attempt, newest
from mdmsdk.identifiers import Mac
from mdmsdk.rows import Row
from mdmsdk.search import Search, find_with, one_by_one, spoils_one
from mdmsdk_jamf.records import COMPUTERS, REALMS, spellings
from mdmsdk_jamf.rsql import LONGEST, any_of, chunks, listed
from mdmsdk_jamf.sources.searches import classic_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.provider import MdmProvider
    from mdmsdk.search import Found, Texts
    from mdmsdk_jamf.inventory import Inventory
    from mdmsdk_jamf.records import Record

__all__ = ["Lookup"]

_MOST_OTHERS: Final = 100
"""Records about other devices in the answer to a search; a search for names that is loose gives a few."""
_BAD_REQUEST: Final = 400
_NO_MATCH: Final = "this Jamf Pro server has no search for the second MAC addresses of computers"
_NO_MATCH_HINT: Final = (
    "The search of the Classic API is deprecated and gone here, or something before the server hides "
    '/JSSResource. Set secondary_macs to "sweep" to read through all computers instead, or to "off".'
)
_IGNORED_HINT: Final = (
    "The server, or something before it, drops the search filter (the parameter filter of the request)."
)


class Lookup:
    """One search for some keys of one kind.

    Attributes:
        records: what the server gave so far, also about other devices.
    """

    def __init__(self, inventory: Inventory, keys: Sequence[Key]) -> None:
        self.inventory, self.asked, self.keys = inventory, keys, frozenset(keys)
        self.kind = type(keys[0])
        self.realms = [realm for realm in REALMS.values() if self.kind in realm.fields]
        self.records: list[Record] = []
        self._plain: list[Device] | MdmError | None = None

    def find(self, provider: MdmProvider) -> Flow[Found]:
        """For each key its devices, yet without a verdict."""
        most = max(len(realm.fields[self.kind]) for realm in self.realms)
        longest, ask = LONGEST // most, self._ask
        how = Search(
            ask=ask, spellings=spellings, at_once=True, longest=longest, size=listed, splits=self._splits
        )
        found = yield from find_with(provider, how, self.asked)
        missing = [key for key, answer in found.items() if answer == []]
        if missing and self.kind is Mac and self.inventory.settings.secondary_macs != "off":
            found = {**found, **(yield from self._find_second(missing))}
        return found

    def is_other(self, record: Record) -> bool:
        """Whether a record shows other keys of the kind, and none of these."""
        shown = record.device.shown(self.kind)
        return bool(shown) and self.keys.isdisjoint(shown)

    def _ask(self, texts: Texts) -> Flow[list[Device]]:
        try:
            return (yield from self._find(list(chain(*texts.values()))))
        except ResponseError as error:
            # A field that is refused altogether is refused for a value that harms nobody, too.
            if error.status == _BAD_REQUEST and len(texts) > 1 and self._plain is None:
                self._plain = yield from attempt(self._find(["0"]))
            raise

    def _splits(self, error: MdmError) -> bool:
        return spoils_one(error) and error.hint != _IGNORED_HINT and not isinstance(self._plain, MdmError)

    def _find(self, values: Sequence[str]) -> Flow[list[Device]]:
        searches = [(realm, any_of(realm.fields[self.kind], values)) for realm in self.realms]
        return self._take((yield from self.inventory.find(searches, self._mostly())))

    def _take(self, records: Sequence[Record]) -> list[Device]:
        self.records += records
        return [record.device for record in records]

    def _mostly(self) -> Callable[[Record], bool]:
        """Keeps all records, until so many are about other devices that the filter has no effect."""
        others = 0

        def keep(record: Record) -> bool:
            nonlocal others
            others += self.is_other(record)
            if others > _MOST_OTHERS:
                raise FilterIgnoredError("Jamf Pro answers with all devices", hint=_IGNORED_HINT)
            return True

        return keep

    # The second address of a computer (Ethernet beside Wi-Fi, a dock) is no filter field in any version.
    # "/computers/match" searches as the web interface does; that it sees the second address is inferred.
    def _find_second(self, macs: Sequence[Key]) -> Flow[Found]:
        settings = self.inventory.settings
        if settings.secondary_macs == "match" and (
            len(macs) == 1 or len(macs) * settings.page_size <= (yield from self.inventory.count())
        ):
            return (yield from one_by_one(macs, self._match))
        wanted = frozenset(macs)
        records = yield from self.inventory.find(
            [(COMPUTERS, "")], lambda record: not wanted.isdisjoint(record.device.mac_addresses)
        )
        devices = self._take(records)
        return {mac: [device for device in devices if mac in device.mac_addresses] for mac in macs}

    def _match(self, mac: Key) -> Flow[list[Device]]:
        path = f"/JSSResource/computers/match/{quote(mac.value, '')}"
        none = UnsupportedOperationError(_NO_MATCH, hint=_NO_MATCH_HINT)
        _, answer = yield from newest(self.inventory.get, [path], otherwise=none)
        # The search looks for texts, anywhere.
        rows = classic_rows(Row(answer.json(), "an answer"), "computers")
        own = [row for row in rows if mac in row.macs("mac_address", "alt_mac_address")]
        ids = sorted({number for row in own if (number := row.text("id"))})
        searches = [(COMPUTERS, any_of([COMPUTERS.id_field], part)) for part in chunks(ids)]
        return self._take((yield from self.inventory.find(searches, self._mostly())))
