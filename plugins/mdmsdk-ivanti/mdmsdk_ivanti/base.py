"""What both products share: login, errors, device spaces, masks, lookups whose rows are checked, lists."""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    ProtocolError,
    ResponseError,
    UnsupportedOperationError,
)
from mdmsdk.flow import attempt, done, send, together
from mdmsdk.identifiers import Guid, Imei, Mac, Serial, Udid
from mdmsdk.models import ComplianceState
from mdmsdk.paging import page_of, walk
from mdmsdk.provider import Capability, Limits, MdmProvider, basic_token, check_status
from mdmsdk.search import search, spoils_one
from mdmsdk.wire import Request
from mdmsdk.words import safe_words
from mdmsdk_ivanti.answers import HEADERS, integer, mapping, objects, refusal
from mdmsdk_ivanti.records import IvantiRow, unmasked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.paging import Slice
    from mdmsdk.provider import Page, Token
    from mdmsdk.search import Found
    from mdmsdk.wire import Response
    from mdmsdk_ivanti.records import JsonObject, Masked
    from mdmsdk_ivanti.settings import IvantiSettings

__all__ = ["IvantiProvider", "spoils_query"]

_log = logging.getLogger("mdmsdk.ivanti")

_SAMPLE = 50
"""Rows that are looked at for masked values."""
_SAMPLED_SCOPES = 3
_LONGEST_COMPLAINT = 300
_MORE_REQUESTS = 10
"""What a refused query may cost: more than it takes to find one bad key among those that it holds."""
_MASK_HINT = (
    "The account's GDPR profile disguises these values, so that no search finds them: take the profile off "
    "this API user, leave the fields out of it, or ask by GUID."
)
_SHARED_HINT = "Ask by another identifier: this one is on more records than one answer holds."


class IvantiProvider(MdmProvider):
    """Both products, as far as they are alike; a subclass states addresses, queries and what rows mean."""

    vendor = "Ivanti"
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Udid, Guid, Serial, Imei})
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INVENTORY, Capability.BATCH})
    # Neither product publishes a general limit. Its sister interface is shared by all tenants of a cluster,
    # and the vendor asks its users to be gentle: Common Platform Services API guide, "Rate limits".
    limits: ClassVar[Limits] = Limits(concurrency=5)

    hints: ClassVar[Mapping[int, str]] = {}
    """What an administrator should do about an error status."""
    complaint_hints: ClassVar[Sequence[tuple[str, str]]] = ()
    """The same for a refused request (400): a pattern for what the server says, and the advice."""
    masked: ClassVar[Masked]
    """The members of a record that a profile may disguise."""
    longest_query: ClassVar[int]
    """Characters of a query that asks for several keys."""
    disjunction: ClassVar[str]
    """What stands between the conditions of a query, any of which may hold."""

    settings: IvantiSettings

    def __init__(self, settings: IvantiSettings) -> None:
        super().__init__(settings)
        self._masks = re.compile(settings.mask_pattern, re.IGNORECASE | re.DOTALL)

    # --- what a product states ---

    @abstractmethod
    def rows(
        self, info: ServerInfo, query: str, *, scope: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
        """Ask for `limit` rows from `offset` on that `query` finds in one device space; "" finds all."""

    @abstractmethod
    def condition(self, info: ServerInfo, key: Key) -> str:
        """The query that finds the records of a key, and only those.

        Raises:
            InvalidIdentifierError: the value cannot stand in a query.
            UnsupportedOperationError: the server cannot search by this kind of key.
        """

    @abstractmethod
    def read(self, info: ServerInfo, record: JsonObject, **more: Any) -> Device:
        """What a record says; `more` are fields of the device."""

    @abstractmethod
    def noncompliant_query(self, info: ServerInfo) -> str:
        """The query for registered devices that do not comply."""

    # --- login and errors ---

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The user name and password of the settings; costs no request."""
        del audience, previous
        settings: Any = self.settings  # those of either product, which see to it that both are there
        return done(basic_token(settings.username, settings.password.get_secret_value()))

    def check(self, response: Response) -> Response:
        """Turn an error status into an error that quotes the server's complaint."""
        if response.status < 300:  # noqa: PLR2004 - HTTP's own numbers
            return check_status(response)
        said = safe_words("; ".join(refusal(response)), _LONGEST_COMPLAINT)
        try:
            return check_status(response, hint=self.advice(response.status, said))
        except ResponseError as error:
            if said:
                error.message += f": {said}"
            raise

    def advice(self, status: int, said: str) -> str | None:
        """What an administrator should do about an error status; `said` is the server's own complaint."""
        if status == 400:  # noqa: PLR2004 - Bad Request
            for pattern, hint in self.complaint_hints:
                if re.search(pattern, said, re.IGNORECASE):
                    return hint
        return self.hints.get(status)

    def get(self, url: str, params: Mapping[str, str | int] | None = None) -> Flow[dict[str, Any]]:
        """Ask an address for a JSON object."""
        response = yield from send(Request("GET", url, params=params or {}, headers=HEADERS))
        return mapping(response.json(), f"JSON object of {self.vendor}")

    # --- device spaces ---

    @staticmethod
    def read_spaces(value: object) -> list[dict[str, str]]:
        """The device spaces of an answer, with their numbers and names as text."""
        spaces = []
        for space in objects(value, "device spaces"):
            number = str(integer(space.get("id"), "number of a device space"))
            spaces.append({"id": number, "name": IvantiRow(space).text("name") or number})
        return spaces

    def scopes(self, info: ServerInfo) -> list[str]:
        """The numbers of the device spaces to look into."""
        return [space["id"] for space in info.extra["spaces"]]

    def choose(
        self, known: list[dict[str, str]], wanted: Sequence[str], setting: str
    ) -> list[dict[str, str]]:
        """The device spaces that the settings name, of those that the account sees.

        Raises:
            ConfigurationError: there is none, or not the one that is wanted.
        """
        listed = ", ".join(f"{space['name']} ({space['id']})" for space in known) or "none"
        chosen = []
        for name in wanted:
            found = [space for space in known if name == space["id"]] or [
                space for space in known if name.casefold() == space["name"].casefold()
            ]
            if len(found) != 1:
                raise ConfigurationError(
                    f"the account sees no single device space {name!r}; it sees: {listed}",
                    hint=f"Correct the setting {setting}, or assign the account to that space.",
                )
            chosen += found
        if not known:
            raise ConfigurationError(
                "the account sees no device space",
                hint="Assign the API user to the device spaces it is to see.",
            )
        return list({space["id"]: space for space in chosen}.values()) if wanted else known

    # --- masks ---

    # Ivanti's guides for administrators, "GDPR profile": an API user may have one, and then chosen fields are
    # disguised in all answers to it. A search by such a field finds nothing, and says nothing about why.
    def find_masks(self, info: ServerInfo) -> Flow[list[str]]:
        """The kinds of key that the server disguises for this account, from a look at some devices."""
        hidden: set[str] = set()
        clear: set[str] = set()
        for scope in self.scopes(info)[:_SAMPLED_SCOPES]:
            part = yield from self.rows(info, "", scope=scope, offset=0, limit=_SAMPLE)
            for _, record in part.rows:
                try:
                    device, now = self._read(info, record)
                except MalformedResponseError:
                    continue  # one damaged record says nothing about the others
                hidden |= now
                clear |= {kind.kind for kind in self.keys if device.shown(kind)} - now
            if {"serial", "imei"} <= hidden | clear:
                break
        # A profile disguises all values of a field; one odd value among others is the device's own.
        hidden = (hidden - clear) & {kind.kind for kind in self.keys}
        if hidden:
            _log.warning("%s disguises: %s. %s", self.vendor, ", ".join(sorted(hidden)), _MASK_HINT)
        return sorted(hidden)

    def _refuse_masked(self, kinds: Iterable[str]) -> None:
        if hidden := ", ".join(sorted(kinds)):
            raise UnsupportedOperationError(
                f"this account does not see the {hidden} of devices, and so cannot search by it",
                hint=_MASK_HINT,
            )

    # --- lookups ---

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record of this key; [] where the server does not know it.

        Raises:
            UnsupportedOperationError: the account's profile disguises this kind of key.
            FilterIgnoredError: the server answered about other devices.
            IncompleteListError: more records have this key than one answer holds.
        """
        answer = (yield from self.find_batch(info, [key]))[key]
        if isinstance(answer, MdmError):
            raise answer
        return answer

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for several keys, in as few queries as they fit into."""
        self._refuse_masked({key.kind for key in keys} & set(info.extra["masked"]))
        found: dict[Key, list[Device] | MdmError] = {}
        groups: list[list[Key]] = []
        room = 0
        for key in keys:
            try:
                needed = len(self.disjunction) + len(self.condition(info, key))
            except MdmError as error:
                found[key] = error
                continue
            if room < needed:
                groups.append([])
                room = self.longest_query + len(self.disjunction)
            groups[-1].append(key)
            room -= needed
        answers = yield from together(*(attempt(self._search(info, group)) for group in groups))
        for group, answer in zip(groups, answers, strict=True):
            found |= dict.fromkeys(group, answer) if isinstance(answer, MdmError) else answer
        return found

    def _search(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        ask = partial(self._ask, info)
        return search(self, keys, ask, splits=spoils_query, more_requests=_MORE_REQUESTS)

    def _ask(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[list[Device]]:
        """All records that one query finds."""
        query = self.disjunction.join(self.condition(info, key) for key in keys)
        parts = yield from together(
            *(
                self.rows(info, query, scope=scope, offset=0, limit=self.page_size)
                for scope in self.scopes(info)
            )
        )
        found = self._devices(info, keys, [record for part in parts for _, record in part.rows])
        # Only by what it holds can a record be found, and what was searched for is among what is asked for.
        if any(all(device.matches(key) is None for key in keys) for device in found):
            raise FilterIgnoredError(f"the server answered about devices without any {keys[0].kind}")
        if any(part.more or part.total is None or len(part.rows) < part.total for part in parts):
            raise IncompleteListError(
                f"more devices have this {keys[0].kind} than one answer holds", hint=_SHARED_HINT
            )
        return found

    def _devices(self, info: ServerInfo, keys: Sequence[Key], records: Iterable[JsonObject]) -> list[Device]:
        """The devices of an answer, without repeats.

        Raises:
            UnsupportedOperationError: whose they are cannot be told, because the value is disguised.
        """
        devices: list[Device] = []
        for record in records:
            device, hidden = self._read(info, record)
            if not any(map(device.matches, keys)):
                self._refuse_masked({key.kind for key in keys} & hidden)
            if device not in devices:
                devices.append(device)
        return devices

    def _read(self, info: ServerInfo, record: JsonObject) -> tuple[Device, set[str]]:
        """The device of a record, and the kinds of key that are disguised in it."""
        clear, hidden = unmasked(record, self.masked, self._masks)
        raw = record if self.settings.keep_raw else None
        return self.read(info, clear, provider=self.name, raw=raw), hidden

    # --- lists ---

    @property
    def page_size(self) -> int:
        """Rows to ask for on one page."""
        return self.settings.page_size

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the registered devices that do not comply, one device space after the other.

        Raises:
            IncompleteListError: the list changed so that devices may be missing.
            FilterIgnoredError: it holds devices that comply, or have left.
        """
        rows, following = yield from self._walk(
            info, self.noncompliant_query(info), self.scopes(info), cursor
        )
        return page_of([device for row in rows if (device := self.listed(info, row))], following)

    def inventory_scopes(self, info: ServerInfo) -> Sequence[str]:
        """The scopes that together hold all devices."""
        return self.scopes(info)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices, those included that have left."""
        rows, following = yield from self._walk(info, "", self.inventory_scopes(info), cursor)
        return page_of([self._read(info, row)[0] for row in rows], following)

    def listed(self, info: ServerInfo, record: JsonObject) -> Device | None:
        """The device of a row of the noncompliant list; None for one that a product lets slip in."""
        device, _ = self._read(info, record)
        if device.registered and device.compliance.state is ComplianceState.NONCOMPLIANT:
            return device
        if device.registered and device.unreadable:
            # The server found a fault that the record does not show in a form that can be read.
            unknown = {"state": ComplianceState.UNKNOWN}
            return device.model_copy(update={"compliance": device.compliance.model_copy(update=unknown)})
        raise FilterIgnoredError("the list of noncompliant devices holds one that complies or has left")

    def _walk(
        self, info: ServerInfo, query: str, scopes: Sequence[str], cursor: Any
    ) -> Flow[tuple[list[JsonObject], Any]]:
        def ask(scope: str, offset: int, limit: int) -> Flow[Slice[JsonObject]]:
            part = yield from self.rows(info, query, scope=scope, offset=offset, limit=limit)
            if not all(isinstance(number, int) for number, _ in part.rows):
                # A list is told to be complete by the numbers; a lookup does without them.
                raise MalformedResponseError(f"{self.vendor} lists a device without a readable number")
            return part

        size = self.page_size
        return (yield from walk(ask, scopes, cursor, size, noun="device space", recount=True))


def spoils_query(error: MdmError) -> bool:
    """Whether a failure may be due to one key of a query: its answer is refused, too long, or no answer."""
    return spoils_one(error) or isinstance(error, ProtocolError)
