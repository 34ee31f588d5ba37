"""The provider ``meraki``: Cisco Meraki Systems Manager through the Dashboard API v1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
)
from mdmsdk.evidence import offends
from mdmsdk.flow import done, joined, send, together
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.logins import api_key, client_basic, refresh
from mdmsdk.paging import Link, collect_links, walk_links
from mdmsdk.proof import shows
from mdmsdk.provider import Capability, Limits, Page
from mdmsdk.refusals import Complaint
from mdmsdk.search import Search, find_with
from mdmsdk_meraki.records import bare_id
from mdmsdk_meraki.refusals import OAUTH_CHECK, REFUSALS
from mdmsdk_meraki.scope import MerakiScope, Network, Scope, read_rows
from mdmsdk_meraki.settings import DOMAINS
from mdmsdk_meraki.tags import NO_SOURCE, Tags, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.provider import Token
    from mdmsdk.rows import Row
    from mdmsdk.search import Found
    from mdmsdk.wire import Response
    from mdmsdk_meraki.records import Record

__all__ = ["MerakiProvider"]

# "List the devices enrolled in an SM network": the filters, each a list. A MAC address is written in lower
# case with colons. There is none for IMEI, wired addresses, owner or compliance.
_FILTERS: Final = {Mac: "wifiMacs", Serial: "serials", Udid: "uuids", Guid: "ids", DeviceId: "ids"}
_LONGEST_QUERY = 6000  # characters; servers and proxies commonly take 8 KiB of URL
_BATCH = 139  # MAC addresses that such a query holds


@dataclass(frozen=True, slots=True)
class Listed:
    """How far the noncompliant list was read.

    Attributes:
        link: where it goes on.
        fit: whether the tags of any device fit a pattern so far.
    """

    link: Link | None = None
    fit: bool = False


class MerakiProvider(MerakiScope):
    """Cisco Meraki Systems Manager: every lookup asks all networks in scope, arrays of keys make batches."""

    name = "meraki"
    vendor = "Cisco Meraki"
    certificate_names: ClassVar[frozenset[str]] = frozenset({"MerakiSM"})
    keys: ClassVar[frozenset[type[Key]]] = frozenset({*_FILTERS, Imei})
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BATCH, Capability.INVENTORY})
    # "Rate limit", https://developer.cisco.com/meraki/api-v1/rate-limit/: 10 requests a second for each
    # organisation, 10 more in the first second, and 100 a second for each source address. Half of the burst
    # is left to other applications, and to what the network does to the distances between requests.
    limits: ClassVar[Limits] = Limits(rate=10, burst=5, total_rate=100, concurrency=20, batch_size=_BATCH)
    refusals = REFUSALS
    domains = DOMAINS  # the API redirects to shards
    listed: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Serial, Udid, Guid})

    def lists(self, kind: type[Key]) -> bool:
        """Whether lists show every identifier of this kind; they show no wired addresses."""
        return super().lists(kind) and not (kind is Mac and self.settings.wired_macs)

    def complaint(self, _: Response, row: Row) -> Complaint:
        """The first of the server's own texts."""
        return Complaint(words=next(iter(row.texts("errors") or ()), ""))

    # "Authorization" and "OAuth", https://developer.cisco.com/meraki/api-v1/authorization/ and
    # https://developer.cisco.com/meraki/api-v1/oauth-overview/.
    @property
    def login_url(self) -> str | None:
        """Where a refresh token is exchanged; a key needs no login."""
        return self.settings.token_url if self.settings.refresh_token else None

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The API key, or an access token for a refresh token."""
        del audience
        if self.settings.api_key:
            return done(api_key(self.settings))
        client = client_basic(self.settings)
        return refresh(self.settings.token_url, self.settings, previous, client=client, check=OAUTH_CHECK)

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """The records of keys of one kind: a request for each network and portion; one for each IMEI."""
        scope, kind = Scope.of(info), type(keys[0])
        one = Search(ask=partial(self._by_person_data, scope), spellings=_spellings, most=1)
        if kind is Imei:
            return (yield from find_with(self, one, keys))
        ask = partial(self._by_filter, scope, scope.networks)
        many = Search(ask=ask, spellings=_spellings, at_once=True, longest=_LONGEST_QUERY, size=_length)
        found = yield from find_with(self, many, keys)
        if kind is not Mac or not self.settings.wired_macs:
            return found
        return {**found, **(yield from find_with(self, one, [key for key in keys if found[key] == []]))}

    def _by_filter(
        self, scope: Scope, networks: Sequence[Network], texts: Mapping[Key, Sequence[str]]
    ) -> Flow[list[Device]]:
        """What all networks answer to one of the filters.

        Raises:
            FilterIgnoredError: a page is about other devices alone; the next would be, too.
        """
        name = _FILTERS[type(next(iter(texts)))]
        values = [value for spellings in texts.values() for value in spellings]

        def read(network: Network, url: str | None) -> Flow[tuple[list[Device], str | None]]:
            page, following = yield from self._page(scope, network, url, **{name: values})
            devices = [*page.values()]
            if devices and all(shows(self, key, device) is False for device in devices for key in texts):
                raise FilterIgnoredError(f"the server answered about other devices than the {name} asked for")
            return devices, following

        pages = partial(collect_links, read, max_pages=self.settings.policy.max_pages)
        return joined(*map(pages, networks))

    # "List the SM devices associated with a key",
    # https://developer.cisco.com/meraki/api-v1/get-network-pii-sm-devices-for-key/: ids by network. It is the
    # only search by IMEI; that it knows wired addresses too is inferred, so the adapters have to confirm one.
    def _by_person_data(self, scope: Scope, texts: Mapping[Key, Sequence[str]]) -> Flow[list[Device]]:
        """Look a device up by an identifier that the device list has no filter for."""
        ((key, (text,)),) = texts.items()
        return joined(*(self._in_network(scope, network, key, text) for network in scope.networks))

    def _in_network(self, scope: Scope, network: Network, key: Key, text: str) -> Flow[list[Device]]:
        request = self.in_network(network, "/pii/smDevicesForKey", **{key.kind: text})
        answer = (yield from send(request)).json()
        ids = answer.get(network.id, []) if isinstance(answer, dict) else None
        if not isinstance(ids, list) or not all(type(number) in {str, int} for number in ids):
            raise MalformedResponseError("the search by personal data did not answer with lists of ids")
        wanted: dict[Key, Sequence[str]] = {DeviceId(str(number)): (str(number),) for number in ids}
        devices = (yield from self._by_filter(scope, [network], wanted)) if wanted else []
        if not isinstance(key, Mac):
            return devices
        complete = yield from together(*(self._with_adapters(network, device) for device in devices))
        return [device for device in complete if device.matches(key)]

    # "List the network adapters of a device",
    # https://developer.cisco.com/meraki/api-v1/get-network-sm-device-network-adapters/.
    def _with_adapters(self, network: Network, device: Device) -> Flow[Device]:
        path = f"/sm/devices/{quote(device.id or '', safe='')}/networkAdapters"
        rows = read_rows((yield from send(self.in_network(network, path))))
        own = dict.fromkeys([*device.mac_addresses, *(mac for row in rows for mac in row.macs("mac"))])
        return device.model_copy(update={"mac_addresses": tuple(own)})

    def noncompliant_page(self, info: ServerInfo, cursor: Listed | None) -> Flow[Page[Device]]:
        """One page of one network, without the devices that are not known to violate anything.

        Raises:
            ConfigurationError: the settings do not say what decides about compliance, or name tags that no
                device has.
            MalformedResponseError: the tags of a device cannot be read.
        """
        source, scope, so_far = self.settings.compliance, Scope.of(info), cursor or Listed()
        if source is None or source.rules:
            raise ConfigurationError("no tags decide about compliance", hint=NO_SOURCE)
        page, link = yield from self._walk(scope, so_far.link)
        there = {row: device for row, device in page.items() if row.managed is not False}
        if lost := [row.required("id") for row in there if row.tags(source.field) is None]:
            raise MalformedResponseError(
                f"the device {lost[0]} has no readable {source.field}: nobody can tell which devices comply",
                hint="If it sends none at all, choose another source in the setting compliance.",
            )
        guilty = [*filter(offends, there.values())]
        fit = so_far.fit or any(Tags(source, row.tags(source.field) or ()).fit for row in page)
        if link:
            return Page(guilty, Listed(link, fit), sent=[row.text("id") for row in page], moved=not link.name)
        if not fit and (yield from self.deciding_tags(source, scope.networks)).fit:
            raise IncompleteListError("the tags of the devices changed while the list was being read")
        return Page(guilty)

    def devices_page(self, info: ServerInfo, cursor: Link | None) -> Flow[Page[Device]]:
        """One page of one network."""
        page, link = yield from self._walk(Scope.of(info), cursor)
        return Page([*page.values()], link, moved=bool(link and link.name is None))

    def _walk(self, scope: Scope, cursor: Link | None) -> Flow[tuple[dict[Record, Device], Link | None]]:
        """One page of the walk through all networks."""
        return walk_links(partial(self._page, scope), scope.networks, cursor, noun="network")

    def _page(
        self, scope: Scope, network: Network, url: str | None, **filters: Sequence[str]
    ) -> Flow[tuple[dict[Record, Device], str | None]]:
        """One page of the devices of a network, by their rows."""
        rows, following = yield from self.page(self.devices(network, **filters), url)
        return {row: self._device(scope, network, row) for row in rows}, following

    def _device(self, scope: Scope, network: Network, row: Record) -> Device:
        verdict = judge(self.settings.compliance, row, scope.policies)
        return row.device(verdict, place=network.id, keep_raw=self.settings.keep_raw)


# How the API compares serial numbers and UDIDs is not described, so they are asked for in either case.
def _spellings(key: Key) -> Sequence[str]:
    """What to ask for: the texts under which the server may hold a key."""
    if isinstance(key, Guid):
        return (bare_id(key.value),)
    return (key.value.lower(),) if isinstance(key, Mac) else key.cases


def _length(texts: Sequence[str]) -> int:
    return sum(len(quote(text, safe="")) + len("wifiMacs%5B%5D=&") for text in texts)
