"""The Cisco ISE MDM API as flows; the vendors' dialects are subclasses that state their differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.errors import (
    FilterIgnoredError,
    IncompleteListError,
    ResponseError,
    UnsupportedOperationError,
)
from mdmsdk.flow import done
from mdmsdk.identifiers import KEY_KINDS, Mac, Username
from mdmsdk.ise.devices import MOST_MACS, read_device, row_verdict
from mdmsdk.ise.discovery import IseDiscovery
from mdmsdk.ise.protocol import CRITERIA, FIRST_PAGE, IDENTIFIER_SINCE, Criterion, Query, devices_request
from mdmsdk.ise.settings import IseSettings
from mdmsdk.progress import Progress, Seen, row_identity
from mdmsdk.proof import proven, shows
from mdmsdk.provider import Capability, Page, basic_token

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.ise.reader import Answer, Row
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.provider import Token

__all__ = ["IseDialect", "IseProvider"]

# Cisco's descriptions have no status for a request that a server does not take.
_REFUSED = frozenset({400, 422})
_INVENTORY_HINT = (
    "Version 3 of the API describes no request for all devices, so not every server has one. Lookups and the "
    "noncompliant list work all the same; the vendor's own provider, where there is one, lists all devices."
)


class IseDialect(IseDiscovery):
    """The whole protocol but the login: versions 1 (values in the path), 2 and 3 (in the query).

    A dialect overrides what its vendor does differently. Addresses: `root`, `info_urls`, `api_urls`,
    `api_base`. Discovery elsewhere: `heartbeat`, ending in ``yield from self.discover(root)``. Meaning of a
    row: `to_device`. Data: `keys`, `criteria`, `bulk_identifiers`, `absent_list_is_empty`, `audience`,
    `refusals`, `limits`.
    """

    keys: ClassVar[frozenset[type[Key]]] = frozenset(CRITERIA)
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INVENTORY})
    criteria: ClassVar[Mapping[type[Key], Criterion]] = CRITERIA
    """How each kind of key is asked for."""
    # Cisco ISE MDM API v3, device attributes: guid or macaddress. The GUID is the device's key identity, and
    # a device whose MAC address is unknown has one too. That the other is worth a try is inferred.
    bulk_identifiers: ClassVar[tuple[str, ...]] = ("guid", "macaddress")
    """By what version 3 is to name listed devices; the next where one is refused or gives nothing."""
    partial: ClassVar[Mapping[type[Key], int]] = {Mac: MOST_MACS}

    @property
    def trusted_silent(self) -> frozenset[type[Key]]:
        """The kinds in the setting ``trust_silent``."""
        return frozenset(KEY_KINDS[name] for name in self.settings.trust_silent)

    def to_device(self, row: Row, *, listed: bool = False) -> Device:
        """What a row means; `listed` if it comes from the noncompliant list."""
        return read_device(row, provider=self.name, listed=listed, keep_raw=self.settings.keep_raw)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record of this key; [] where the server does not know it.

        Raises:
            UnsupportedOperationError: this kind of key is not part of the version that the server speaks.
            FilterIgnoredError: the server answered about other devices, or it cannot be told.
            IncompleteListError: the pages of the answer go in circles or have no end, or the server asks to
                wait in place of an answer, twice.
        """
        criterion = self._criterion(info, key)
        query = Query(criterion.name, criterion.value_of(key), filter=self.protocol.filter)
        devices: list[Device] = []
        progress, seen = Progress(self.settings.policy.max_pages, FIRST_PAGE), Seen()
        token: str | None = FIRST_PAGE
        while token is not None:
            answer, rows = yield from self._ask_list(info, query, token, lookup=True)
            more = list(map(self.to_device, rows))
            devices += more
            # Page by page: a server that ignores the key would otherwise hand out everything first.
            self._check_answer(key, devices)
            token = answer.next_token
            if token is not None:
                progress.collected = len(devices)
                progress.go_on(token, fresh=seen.add_all(map(row_identity, more)))
        return devices

    def _check_answer(self, key: Key, devices: Sequence[Device]) -> None:
        """See that the answer is about `key`, as far as that can be told.

        Two records that do not show the key could be anybody's; but a user may have several devices.

        Raises:
            FilterIgnoredError: the server answered about other devices, or it cannot be told.
        """
        if all(device.matches(key) for device in devices):
            return
        proven(self, key, devices)
        silent = sum(shows(self, key, device) is None for device in devices)
        if silent > (self.protocol.max_user_devices if isinstance(key, Username) else 1):
            raise FilterIgnoredError(
                f"the server answered with {silent} devices that do not show the {key.kind} asked for"
            )

    # Cisco ISE MDM API, device attributes: querycriteria=compliance&value=false; v3 adds deviceidentifier.
    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the noncompliant list.

        Without the setting `bulk_identifier`, an identifier that is refused (400, 422) or gives an empty
        first page is followed by the other: an empty list says that every device complies, and must not come
        from a server that only cannot name its devices that way. It costs one more request for such a list.

        Raises:
            FilterIgnoredError: the list holds a device that the server calls compliant.
            IncompleteListError: the server asks to wait in place of a list, twice.
        """
        if cursor is not None:
            return (yield from self._noncompliant(info, *cursor))
        outcome: Page[Device] | ResponseError | None = None
        for identifier in self._identifiers(info):
            try:
                outcome = yield from self._noncompliant(info, identifier, FIRST_PAGE)
            except ResponseError as error:
                if error.status not in _REFUSED:
                    raise
                outcome = outcome or error
            else:
                if outcome.items or outcome.next_cursor:
                    break
        if isinstance(outcome, Page):
            return outcome
        raise outcome or UnsupportedOperationError(
            f"{self.vendor} has no identifier for the noncompliant list"
        )

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices, where the server has them.

        Raises:
            UnsupportedOperationError: the server refuses the request (400, 422).
            IncompleteListError: the server asks to wait in place of a list, twice.
        """
        # Cisco ISE MDM API v1/v2, device attributes: an example has no criterion, which the parameters
        # require; in version 3 there is no such example.
        query = Query(filter=self.protocol.filter)
        try:
            answer, rows = yield from self._ask_list(info, query, FIRST_PAGE if cursor is None else cursor)
        except ResponseError as error:
            if cursor is not None or error.status not in _REFUSED:
                raise
            raise UnsupportedOperationError(
                f"the server does not list all devices ({error.status})", hint=_INVENTORY_HINT
            ) from error
        return Page(list(map(self.to_device, rows)), answer.next_token)

    def _criterion(self, info: ServerInfo, key: Key) -> Criterion:
        criterion = self.criteria.get(type(key)) if type(key) in self.keys else None
        if criterion is None:
            known = ", ".join(sorted(kind.kind for kind in self.keys))
            raise UnsupportedOperationError(
                f"{self.vendor} cannot look a device up by {key.kind}", hint=f"Ask by one of: {known}."
            )
        spoken = _version(info)
        if criterion.since > spoken:
            raise UnsupportedOperationError(
                f"looking a device up by {key.kind} needs version {criterion.since} of the API; "
                f"this server speaks version {spoken}",
                hint="Update the server, raise api_version if it is set lower, or ask by another identifier.",
            )
        return criterion

    def _identifiers(self, info: ServerInfo) -> Sequence[str | None]:
        if _version(info) < IDENTIFIER_SINCE:
            return (None,)
        chosen = self.settings.bulk_identifier
        return (chosen,) if chosen else self.bulk_identifiers

    def _noncompliant(self, info: ServerInfo, identifier: str | None, token: str) -> Flow[Page[Device]]:
        query = Query("compliance", "false", identifier, self.protocol.filter)
        answer, rows = yield from self._ask_list(info, query, token)
        items = []
        for row in rows:
            if row_verdict(row) is True:
                raise FilterIgnoredError("the server's noncompliant list holds a compliant device")
            items.append(self.to_device(row, listed=True))
        following = answer.next_token
        # The identifier has to stay the same over all pages: the cursor carries it.
        return Page(items, None if following is None else (identifier, following))

    # Cisco ISE MDM API v3, device attributes: server_busy_wait_seconds stands in an example only. That an
    # answer which asks to wait and has neither devices nor a further page is no list is inferred.
    def _ask_list(
        self, info: ServerInfo, query: Query, token: str, *, lookup: bool = False
    ) -> Flow[tuple[Answer, list[Row]]]:
        """A page of devices; a server that is busy instead is asked once more."""
        tries = 2
        while True:
            answer = yield from self._ask_devices(info, query, token)
            rows = list(self.rows(answer, lookup=lookup))
            if rows or answer.next_token is not None or not answer.busy_wait:
                return answer, rows
            tries -= 1
            if not tries:
                raise IncompleteListError(
                    f"{answer.url} asks to wait {answer.busy_wait} seconds instead of giving a list"
                )

    def _ask_devices(self, info: ServerInfo, query: Query, token: str) -> Flow[Answer]:
        request = devices_request(self.api_base(info), _version(info), query, token, self.audience)
        return (yield from self.ask(request))


class IseProvider(IseDialect):
    """Any server of the Cisco ISE MDM API, versions 1 to 3, with HTTP Basic authentication."""

    name = "ise"
    vendor = "Cisco ISE MDM API"
    settings_type: ClassVar[type[IseSettings]] = IseSettings

    settings: IseSettings

    # Cisco ISE MDM API v3: an Authorization header of user name and password; all vendors but Intune take it.
    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The user name and password of the settings; costs no request."""
        del audience, previous
        return done(basic_token(self.settings.username, self.settings.password.get_secret_value()))


def _version(info: ServerInfo) -> int:
    return int(info.api_version or 1)
