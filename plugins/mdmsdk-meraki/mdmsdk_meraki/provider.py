"""The provider ``meraki``: Cisco Meraki Systems Manager through the Dashboard API v1."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    ResponseError,
    TokenError,
)
from mdmsdk.flow import together
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import ComplianceState, Device, parse_macs
from mdmsdk.provider import Capability, Limits, Page, check_status
from mdmsdk_meraki.answers import error_text, hint_for, is_meraki_host, token_error_code
from mdmsdk_meraki.compliance import NO_SOURCE, judge, needed_fields
from mdmsdk_meraki.login import AUTHORIZE_AGAIN, Login
from mdmsdk_meraki.rows import FIELDS, read_device, text
from mdmsdk_meraki.scope import MerakiScope, Network, fingerprint, networks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import ServerInfo
    from mdmsdk.provider import ProviderSettings, Token
    from mdmsdk.wire import Request, Response
    from mdmsdk_meraki.pages import RawPage
    from mdmsdk_meraki.rows import Row

__all__ = ["MerakiProvider", "bare_id"]

Found = dict[Key, list[Device]]

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

# "Integrate MDM and UEM Servers with Cisco ISE", chapter on Meraki: the SAN URI of the SCEP certificate.
_CERTIFICATE_FORM = re.compile(r"ID:MerakiSM:DeviceID:(.+)", re.IGNORECASE)


def bare_id(guid: str) -> str:
    """The SM device id in a GUID, which may be spelled as in a certificate."""
    found = _CERTIFICATE_FORM.fullmatch(guid)
    return found[1] if found else guid


class MerakiProvider(MerakiScope):
    """Cisco Meraki Systems Manager: every lookup asks all networks in scope, arrays of keys make batches."""

    name = "meraki"
    vendor = "Cisco Meraki"
    keys: ClassVar[frozenset[type[Key]]] = frozenset({*_FILTERS, Imei})
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BATCH, Capability.INVENTORY})
    # "Rate limit", https://developer.cisco.com/meraki/api-v1/rate-limit/: 10 requests a second for each
    # organisation, 10 more in the first second, and 100 a second for each source address. Half of the burst
    # is left to other applications, and to what the network does to the distances between requests.
    limits: ClassVar[Limits] = Limits(
        rate=10, burst=5, total_rate=100, concurrency=20, batch_size=100, page_size=_PAGE_SIZE
    )

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self._login = Login(self.settings)

    def trusts(self, host: str) -> bool:
        """Meraki's own domains, because the API redirects to shards, and the hosts of the settings."""
        return is_meraki_host(host) or host in self.settings.redirect_hosts

    def login(self, audience: str) -> Flow[Token]:
        """The API key or access token; with a refresh token, a new one each time."""
        del audience
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
        return (yield from self.find_batch(info, [key]))[key]

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for many keys: a request for each network and page of keys; IMEIs are asked for singly."""
        networks = networks_of(info)
        found: Found = {key: [] for key in keys}
        filtered: list[Key] = [key for key in keys if not isinstance(key, Imei)]
        for kind in dict.fromkeys(type(key) for key in filtered):
            wanted = [key for key in filtered if type(key) is kind]
            found |= yield from self._by_filter(networks, _FILTERS[kind], wanted)
        singly: list[Key] = [key for key in keys if isinstance(key, Imei)]
        if self.settings.wired_macs:
            singly += [key for key in filtered if isinstance(key, Mac) and not found[key]]
        lists = yield from together(*(self._by_person_data(networks, key) for key in singly))
        return found | dict(zip(singly, lists, strict=True))

    def _by_filter(self, networks: Iterable[Network], name: str, keys: Sequence[Key]) -> Flow[Found]:
        """Ask all networks with one of the filters, and give each row to the key that it answers."""
        wanted: dict[Key, list[Key]] = {}
        for key in keys:
            wanted.setdefault(_plain(key), []).append(key)

        def read(row: Row, page: RawPage) -> tuple[Device, list[Key]]:
            device = self._device(row, page)
            asked = [key for own in _own_keys(type(keys[0]), row, device) for key in wanted.get(own, ())]
            if not asked:
                raise FilterIgnoredError(f"the server answered about other devices than the {name} asked for")
            return device, asked

        lists = yield from together(
            *(
                self.pages(self._devices_request(network, {name: values}), read)
                for network in networks
                for values in _portions([_value(key) for key in wanted])
            )
        )
        found: Found = {key: [] for key in keys}
        for device, asked in chain.from_iterable(lists):
            for key in asked:
                found[key].append(_as_asked(device, key))
        return found

    def _devices_request(self, network: Network, filters: Mapping[str, list[str]]) -> Request:
        path = f"/networks/{quote(network.id, safe='')}/sm/devices"
        return self.request(
            path, network.organization, {**filters, "fields": list(FIELDS), "perPage": _PAGE_SIZE}
        )

    # "List the SM devices associated with a key",
    # https://developer.cisco.com/meraki/api-v1/get-network-pii-sm-devices-for-key/: ids by network. It is the
    # only search by IMEI; that it knows wired addresses too is inferred, so the adapters have to confirm one.
    def _by_person_data(self, networks: Sequence[Network], key: Key) -> Flow[list[Device]]:
        """Look a device up by an identifier that the device list has no filter for."""
        lists = yield from together(*(self._in_network(network, key) for network in networks))
        return list(chain.from_iterable(lists))

    def _in_network(self, network: Network, key: Key) -> Flow[list[Device]]:
        path = f"/networks/{quote(network.id, safe='')}"
        request = self.request(f"{path}/pii/smDevicesForKey", network.organization, {key.kind: _value(key)})
        answer = (yield from self.get(request)).json()
        ids = answer.get(network.id, []) if isinstance(answer, dict) else None
        if not isinstance(ids, list) or not all(isinstance(number, str | int) for number in ids):
            raise MalformedResponseError("the search by personal data did not answer with lists of ids")
        wanted = [DeviceId(str(number)) for number in dict.fromkeys(ids)]
        if not wanted:
            return []
        found = yield from self._by_filter([network], "ids", wanted)
        devices = list(chain.from_iterable(found.values()))
        if not isinstance(key, Mac):
            if any(device.matches(key) is not True for device in devices):
                raise FilterIgnoredError(f"the server's search by {key.kind} names a device with another one")
            return devices
        complete = yield from together(*(self._with_adapters(network, device) for device in devices))
        return [device for device in complete if device.matches(key)]

    # "List the network adapters of a device",
    # https://developer.cisco.com/meraki/api-v1/get-network-sm-device-network-adapters/.
    def _with_adapters(self, network: Network, device: Device) -> Flow[Device]:
        path = f"/networks/{quote(network.id, safe='')}/sm/devices/{quote(device.id or '', safe='')}"

        def read(row: Row, page: RawPage) -> str | None:
            del page
            return text(row, "mac")

        macs = yield from self.pages(self.request(f"{path}/networkAdapters", network.organization), read)
        own = dict.fromkeys([*device.mac_addresses, *parse_macs(*macs)])
        return device.model_copy(update={"mac_addresses": tuple(own)})

    def noncompliant_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        """One page of one network, without the devices that are not known to violate anything.

        Raises:
            ConfigurationError: the settings do not say what decides about compliance.
        """
        source = self.settings.compliance
        if source is None:
            raise ConfigurationError(
                "what decides about compliance is not configured, so that no list of it can be given",
                hint=NO_SOURCE,
            )
        page, devices, following = yield from self._walk(info, cursor)
        if page.rows and not needed_fields(source) & set(chain.from_iterable(page.rows)):
            names = ", ".join(sorted(needed_fields(source)))
            raise MalformedResponseError(
                f"the server sent no {names}, so that nobody can tell which devices comply",
                hint="Choose another source in the setting compliance: this server does not report that one.",
            )
        guilty = [
            device
            for device in devices
            if device.registered and device.compliance.state is ComplianceState.NONCOMPLIANT
        ]
        return Page(guilty, following)

    def devices_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        """One page of one network."""
        _, devices, following = yield from self._walk(info, cursor)
        return Page(devices, following)

    def _walk(self, info: ServerInfo, cursor: str | None) -> Flow[tuple[RawPage, list[Device], str | None]]:
        """One page of the walk through all networks; the cursor names the walk, the network and the page."""
        networks = networks_of(info)
        walk, number, url = (cursor or f"{fingerprint(networks)}:0:").split(":", 2)
        if walk != fingerprint(networks):
            raise IncompleteListError("the Systems Manager networks changed while the list was being read")
        network = networks[int(number)]
        page = yield from self.page(self._devices_request(network, {}), url)
        following = None
        if page.next_url:
            following = f"{walk}:{number}:{page.next_url}"
        elif int(number) + 1 < len(networks):
            following = f"{walk}:{int(number) + 1}:"
        return page, [self._device(row, page) for row in page.rows], following

    def _device(self, row: Row, page: RawPage) -> Device:
        verdict = judge(self.settings.compliance, row, page.now)
        return read_device(row, provider=self.name, compliance=verdict, keep_raw=self.settings.keep_raw)


def _plain(key: Key) -> Key:
    """The key as a row has it; device ids and GUIDs are the same."""
    return DeviceId(bare_id(key.value)) if isinstance(key, Guid) else key


def _value(key: Key) -> str:
    return key.value.lower() if isinstance(key, Mac) else key.value


def _own_keys(kind: type[Key], row: Row, device: Device) -> list[Key]:
    """What of one kind a row says about itself."""
    values: tuple[str | None, ...] = (device.id,)
    if kind is Mac:
        return list(device.mac_addresses)
    if kind is Serial:
        values = text(row, "serialNumber"), text(row, "serial")
    elif kind is Udid:
        values = (device.udid,)
    elif kind is Guid:
        kind = DeviceId
    return list(dict.fromkeys(key for value in values if (key := kind.parse(value))))


def _as_asked(device: Device, key: Key) -> Device:
    """The device, named as in the question where the record knows it by two names."""
    return device if device.matches(key) else device.model_copy(update={key.field: key.value})


def _portions(values: Sequence[str]) -> Iterator[list[str]]:
    """The values in groups that fit into a URL."""
    portion: list[str] = []
    length = 0
    for value in values:
        size = len(quote(value, safe="")) + len("wifiMacs%5B%5D=&")
        if portion and length + size > _LONGEST_QUERY:
            yield portion
            portion, length = [], 0
        portion.append(value)
        length += size
    if portion:
        yield portion
