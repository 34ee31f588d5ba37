"""The provider ``meraki``: Cisco Meraki Systems Manager through the Dashboard API v1."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    ResponseError,
    TokenError,
)
from mdmsdk.flow import together
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import ComplianceState, Device
from mdmsdk.provider import Capability, Limits, Page, check_status
from mdmsdk.search import Found, one_by_one, search
from mdmsdk_meraki.answers import error_text, hint_for, is_meraki_host, token_error_code
from mdmsdk_meraki.compliance import NO_SOURCE, fits, judge, needed_fields
from mdmsdk_meraki.login import AUTHORIZE_AGAIN, Login
from mdmsdk_meraki.rows import FIELDS, bare_id, read_device
from mdmsdk_meraki.scope import Description, MerakiScope, check_sent, check_tags, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import ServerInfo
    from mdmsdk.provider import ProviderSettings, Token
    from mdmsdk.wire import Response
    from mdmsdk_meraki.pages import RawPage
    from mdmsdk_meraki.rows import Row
    from mdmsdk_meraki.scope import Network

__all__ = ["MerakiProvider"]

# "List the devices enrolled in an SM network": the filters, each a list. A MAC address is written in lower
# case with colons. There is none for IMEI, wired addresses, owner or compliance.
_FILTERS: dict[type[Key], str] = {
    Mac: "wifiMacs",
    Serial: "serials",
    Udid: "uuids",
    Guid: "ids",
    DeviceId: "ids",
}
_PAGE_SIZE = 1000
_LONGEST_QUERY = 6000  # characters; servers and proxies commonly take 8 KiB of URL
_BATCH = 139  # MAC addresses that such a query holds


class MerakiProvider(MerakiScope):
    """Cisco Meraki Systems Manager: every lookup asks all networks in scope, arrays of keys make batches."""

    name = "meraki"
    vendor = "Cisco Meraki"
    keys: ClassVar[frozenset[type[Key]]] = frozenset({*_FILTERS, Imei})
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BATCH, Capability.INVENTORY})
    # "Rate limit", https://developer.cisco.com/meraki/api-v1/rate-limit/: 10 requests a second for each
    # organisation, 10 more in the first second, and 100 a second for each source address. Half of the burst
    # is left to other applications, and to what the network does to the distances between requests.
    limits: ClassVar[Limits] = Limits(rate=10, burst=5, total_rate=100, concurrency=20, batch_size=_BATCH)

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self._login = Login(self.settings)

    def trusts(self, host: str) -> bool:
        """Meraki's own domains, because the API redirects to shards, and the hosts of the settings."""
        return is_meraki_host(host) or host in self.settings.redirect_hosts

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The API key or access token; with a refresh token, a new one each time."""
        del audience, previous
        return self._login.token()

    def check(self, response: Response) -> Response:
        """Turn an error status into an error, with the server's own words as far as they tell something."""
        if code := token_error_code(response):
            raise TokenError(
                f"the token service refused ({code})", step="refresh", vendor_code=code, hint=AUTHORIZE_AGAIN
            )
        try:
            return check_status(response, hint=hint_for(response, self.settings))
        except ResponseError as error:
            if words := error_text(response):
                error.message += f": {words!r}"
            raise

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every enrolled record of this key, in all networks.

        Raises:
            FilterIgnoredError: a network answered about other devices.
        """
        found = (yield from self.find_batch(info, [key]))[key]
        if isinstance(found, MdmError):
            raise found
        return found

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for keys of one kind: a request for each network and portion; IMEIs are asked for singly."""
        known = Description.of(info)
        kind = type(keys[0])
        if kind is Imei:
            return (yield from one_by_one(keys, lambda key: self._by_person_data(known, key)))
        found = yield from search(self, keys, lambda some: self._by_filter(known, known.networks, some))
        if kind is Mac and self.settings.wired_macs:
            wired = [key for key in keys if found[key] == []]
            found = {**found, **(yield from one_by_one(wired, lambda key: self._by_person_data(known, key)))}
        return found

    def _by_filter(
        self, known: Description, networks: Iterable[Network], keys: Sequence[Key]
    ) -> Flow[list[Device]]:
        """What all networks answer to one of the filters.

        Raises:
            FilterIgnoredError: a page is about other devices alone; the next would be, too.
        """
        name = _FILTERS[type(keys[0])]
        values = list(dict.fromkeys(map(_values, keys)))

        def read(page: RawPage) -> list[Device]:
            devices = [self._device(known, row, page) for row in page.rows]
            if devices and all(device.matches(key) is False for device in devices for key in keys):
                raise FilterIgnoredError(f"the server answered about other devices than the {name} asked for")
            return devices

        lists = yield from together(
            *(
                self.pages(self.devices_request(network, {name: portion}, FIELDS), read)
                for network in networks
                for portion in _portions(values)
            )
        )
        return list(chain.from_iterable(lists))

    # "List the SM devices associated with a key",
    # https://developer.cisco.com/meraki/api-v1/get-network-pii-sm-devices-for-key/: ids by network. It is the
    # only search by IMEI; that it knows wired addresses too is inferred, so the adapters have to confirm one.
    def _by_person_data(self, known: Description, key: Key) -> Flow[list[Device]]:
        """Look a device up by an identifier that the device list has no filter for, in each spelling."""
        devices: list[Device] = []
        for value in _values(key):
            lists = yield from together(*(self._in_network(known, one, key, value) for one in known.networks))
            devices = list(chain.from_iterable(lists))
            if devices:
                break
        return devices

    def _in_network(self, known: Description, network: Network, key: Key, value: str) -> Flow[list[Device]]:
        path = f"/networks/{quote(network.id, safe='')}"
        request = self.request(f"{path}/pii/smDevicesForKey", network.organization, {key.kind: value})
        answer = (yield from self.get(request)).json()
        ids = answer.get(network.id, []) if isinstance(answer, dict) else None
        if not isinstance(ids, list) or not all(type(number) in {str, int} for number in ids):
            raise MalformedResponseError("the search by personal data did not answer with lists of ids")
        wanted = [DeviceId(str(number)) for number in dict.fromkeys(ids)]
        if not wanted:
            return []
        devices = yield from self._by_filter(known, [network], wanted)
        if not isinstance(key, Mac):
            return devices
        complete = yield from together(*(self._with_adapters(network, device) for device in devices))
        return [device for device in complete if device.matches(key)]

    # "List the network adapters of a device",
    # https://developer.cisco.com/meraki/api-v1/get-network-sm-device-network-adapters/.
    def _with_adapters(self, network: Network, device: Device) -> Flow[Device]:
        path = f"/networks/{quote(network.id, safe='')}/sm/devices/{quote(device.id or '', safe='')}"
        request = self.request(f"{path}/networkAdapters", network.organization)
        lists = yield from self.pages(request, lambda page: [row.macs("mac") for row in page.rows])
        own = dict.fromkeys([*device.mac_addresses, *chain.from_iterable(lists)])
        return device.model_copy(update={"mac_addresses": tuple(own)})

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of one network, without the devices that are not known to violate anything.

        Raises:
            ConfigurationError: the settings do not say what decides about compliance, or name tags that no
                device has.
            MalformedResponseError: the tags of a device cannot be read.
        """
        source = self.settings.compliance
        if source is None:
            raise ConfigurationError(
                "what decides about compliance is not configured, so that no list of it can be given",
                hint=NO_SOURCE,
            )
        # The cursor begins with whether the source said anything about any device so far.
        said, inner = (cursor or "-")[0], (cursor or "-")[1:] or None
        page, devices, following = yield from self._walk(info, inner)
        check_sent(source, page.rows)
        there = [pair for pair in zip(page.rows, devices, strict=True) if pair[0].managed is not False]
        check_tags(source, [row for row, _ in there])
        guilty = [device for _, device in there if device.compliance.state is ComplianceState.NONCOMPLIANT]
        if source.source == "rules" or fits(source, page.tags(*needed_fields(source))):
            said = "+"
        if following is not None:
            return Page(guilty, f"{said}{following}", sent=page.names, moved=page.next_url is None)
        if said == "-" and (yield from self.deciding_tags(Description.of(info).networks)):
            raise IncompleteListError("the tags of the devices changed while the list was being read")
        return Page(guilty)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of one network."""
        page, devices, following = yield from self._walk(info, cursor)
        return Page(devices, following, moved=page.next_url is None)

    def _walk(self, info: ServerInfo, cursor: str | None) -> Flow[tuple[RawPage, list[Device], str | None]]:
        """One page of the walk through all networks; the cursor names the walk, the network and the page."""
        known = Description.of(info)
        walk, number, url = (cursor or f"{fingerprint(known.networks)}:0:").split(":", 2)
        if walk != fingerprint(known.networks):
            raise IncompleteListError("the Systems Manager networks changed while the list was being read")
        network = known.networks[int(number)]
        page = yield from self.page(self.devices_request(network, {}, FIELDS), url)
        following = None
        if page.next_url:
            following = f"{walk}:{number}:{page.next_url}"
        elif int(number) + 1 < len(known.networks):
            following = f"{walk}:{int(number) + 1}:"
        return page, [self._device(known, row, page) for row in page.rows], following

    def _device(self, known: Description, row: Row, page: RawPage) -> Device:
        verdict = judge(self.settings.compliance, row, page.now, known.policies)
        return read_device(row, provider=self.name, compliance=verdict, keep_raw=self.settings.keep_raw)


def _values(key: Key) -> tuple[str, ...]:
    """What to ask for: the spellings under which the server may hold a key."""
    match key:
        case Mac():
            return (key.value.lower(),)
        case Guid():
            return (bare_id(key.value),)
        # How the API compares these is not described, so they are asked for in either case.
        case Serial() | Udid() if key.value.isascii():
            return tuple(
                dict.fromkeys(way for text in key.spellings for way in (text, text.upper(), text.lower()))
            )
    return key.spellings


def _portions(keys: Sequence[tuple[str, ...]]) -> Iterator[list[str]]:
    """The spellings of keys in groups that fit into a URL; those of one key stay together."""
    portion: list[str] = []
    length = 0
    for values in keys:
        size = sum(len(quote(value, safe="")) + len("wifiMacs%5B%5D=&") for value in values)
        if portion and length + size > _LONGEST_QUERY:
            yield portion
            portion, length = [], 0
        portion += values
        length += size
    if portion:
        yield portion
