"""The ISE face: the Cisco ISE MDM API, versions 1 to 3, over whatever servers the federation has.

Source: the MDM API of versions 1, 2 and 3, https://developer.cisco.com/docs/identity-services-engine/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from starlette.responses import Response
from starlette.routing import Route

from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.ise_xml import device_of, document, element, is_attribute
from mdmsdk.gateway.journal import Asker
from mdmsdk.gateway.operations import Endpoint
from mdmsdk.gateway.questions import in_path, key_of, parameters
from mdmsdk.gateway.written import Written
from mdmsdk.ise import CRITERIA
from mdmsdk.models import ComplianceState, Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request

    from mdmsdk.gateway.gateway import Gateway
    from mdmsdk.gateway.journal import Decided
    from mdmsdk.gateway.lists import Reading
    from mdmsdk.gateway.settings import IseFace
    from mdmsdk.gateway.shared_lists import ListName
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device

__all__ = ["ise_face"]

_NEWEST = 3
_REMEMBERED = 1024
_VERSIONS = {"2": 2, "3": 3}
"""Those that ask by the query of a URL."""
_FIRST_PAGE = "0"
_NO_PAGE = "unknown page: begin again with paging=0"
_PATH = "/ciscoise/mdmapi"
_KINDS: dict[str, Callable[[str], Key]] = {criterion.name: kind for kind, criterion in CRITERIA.items()}
_SINCE = {criterion.name: criterion.since for criterion in CRITERIA.values()}
_SINCE |= {"compliance": 1, "": 1}
_LISTS: dict[str, dict[tuple[str, ...], ListName]] = {
    "compliance": {("false",): "false", ("true",): "true"},
    "": {(): "all"},
}
"""The lists, by criterion and values."""
_PARAMETERS = {"paging", "querycriteria", "value", "filter", "deviceidentifier"}
_NAMED_BY = {"", "guid", "macaddress"}
_IN_A_MOMENT = 0.15
"""Seconds that a list is waited for before the controller is told to come again."""
_COME_AGAIN = 2
_LATER = {"Retry-After": "10"}
# The name of a reading and a position in it: paging_info is an integer, and so has at most 63 bits.
_TOKEN = re.compile(r"([1-9][0-9]{10})([0-9]{8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    version: int
    paging: str
    wanted: frozenset[str]
    criterion: str
    values: tuple[str, ...]
    identifier: str = ""


def ise_face(gateway: Gateway, face: IseFace) -> list[Route]:
    """The routes of the face."""
    served = _Face(gateway, face)
    prefix = face.instance
    # They are tried in order: what is asked most comes first.
    paths = {
        f"{_PATH}/v{{version}}/devices/": served.devices,
        f"{_PATH}/v1/devices/{{rest:path}}": served.first_version,
        "/ciscoise/mdminfo": served.info,
        "/ciscoise/mdminfo/": served.info,
    }
    routes = [Route(prefix + path, Endpoint(serve), methods=["GET"]) for path, serve in paths.items()]
    return [*routes, Route(f"{prefix}{_PATH}/v2/batchdevices/", Endpoint(served.batch), methods=["POST"])]


class _Face:
    """Answers of the ISE face."""

    def __init__(self, gateway: Gateway, face: IseFace) -> None:
        self._gateway = gateway
        self._face = face
        self._written: Written[bytes] = Written()

    async def info(self, request: Request) -> Response:
        """What the server is."""
        self._log_in(request)
        asked = request.query_params.get("ise_api_version", "1")
        if not (asked.isascii() and asked.isdecimal() and int(asked[:4]) > 0):
            raise Refusal(400, "ise_api_version has to be a positive number")
        version = min(int(asked[:4]), _NEWEST)
        content = element("name", "mdminfo")
        # Version 1 has no such element: ISE 2.7's schema lacks it.
        content += element("api_version", version if version > 1 else None)
        content += element("api_path", f"{self._face.instance}{_PATH}/v{version}")
        content += element("redirect_url", self._face.redirect_url) or "<redirect_url/>"
        content += element("query_max_size", self._face.page_size)
        content += element("messaging_support", value=False)
        if version > 1:
            content += element("vendor", "mdmsdk") + element("product_name", "mdmsdk gateway")
            content += element("product_version", self._gateway.version)
        return _xml(document([content]))

    async def devices(self, request: Request) -> Response:
        """Devices by the query of versions 2 and 3."""
        asker = self._log_in(request)
        version = _VERSIONS.get(request.path_params["version"])
        if version is None:
            raise Refusal(404, "no such version")
        return await self._answer(asker, _url_query(request.scope["query_string"], version))

    async def batch(self, request: Request) -> Response:
        """Devices by several values of one criterion, which version 2 alone has."""
        asker = self._log_in(request)
        values = _values(await self._gateway.body(request))
        if len(values) > self._face.page_size:
            raise Refusal(400, f"at most {self._face.page_size} values are taken, as query_max_size says")
        return await self._answer(asker, _read_query(request.scope["query_string"], 2, values))

    async def first_version(self, request: Request) -> Response:
        """Devices by the path of version 1."""
        return await self._answer(self._log_in(request), _path_query(request))

    def _log_in(self, request: Request) -> Asker:
        gateway = self._gateway
        client, header = gateway.client(request), request.headers.get("authorization", "")
        return Asker("ise", gateway.access.basic(client, header), client)

    async def _answer(self, asker: Asker, query: _Query) -> Response:
        if query.criterion in _LISTS:
            return await self._list(query)
        if query.paging != _FIRST_PAGE:
            raise Refusal(400, _NO_PAGE)
        keys = [_key(query.criterion, value) for value in query.values]
        if len(keys) == 1:
            return _xml(self._one(query, keys[0], await self._gateway.lookup(asker, keys)))
        answers = [answer async for answer in self._gateway.lookup_many(asker, keys)]
        pieces = [self._device(query, key, answer) for key, answer in zip(keys, answers, strict=True)]
        return _xml(_page(query, pieces))

    def _one(self, query: _Query, key: Key, decided: Decided) -> bytes:
        """The answer to one key, which was written before where the cache gave it before."""

        def write() -> bytes:
            return _page(query, [self._device(query, key, decided)])

        if decided.override:
            return write()
        # Keys of two kinds may be written alike, and one key in two ways.
        return self._written.of(decided.answer, (type(key), str(key), query.version, query.wanted), write)

    def _device(self, query: _Query, key: Key, decided: Decided) -> str:
        """The device of a key; empty where every server says that it does not know it."""
        decision, device = decided.decision, decided.record
        if decision is Decision.NOT_REGISTERED:
            return ""
        if decision is Decision.NO_ANSWER or device is None:
            raise Refusal(503, "no answer of a server that may know the device", headers=_LATER)
        passed = decision in self._face.passing
        if not passed:
            # What the decision says beyond the record, such as that nobody vouches for it.
            device = _kept_out(device, decision)
        return device_of(device, query.version, query.wanted, passed=passed, key=key)

    async def _list(self, query: _Query) -> Response:
        reading, start = await self._place(query)
        busy = query.version >= _NEWEST
        await reading.wait(_IN_A_MOMENT if busy else self._gateway.settings.deadline)
        if reading.devices is None:
            if busy and reading.under_way:
                return _xml(_page(query, (), _token(reading, start), busy=_COME_AGAIN))
            if reading.unsupported:
                raise Refusal(400, "a server has no list of all its devices")
            raise Refusal(503, "the list of a server cannot be read whole", headers=_LATER)
        end = start + self._face.page_size
        pieces = [
            device_of(
                device if (passed := decision in self._face.passing) else _kept_out(device, decision),
                query.version,
                query.wanted,
                passed=passed,
                identifier=query.identifier,
            )
            for device, decision in reading.devices[start:end]
        ]
        more = _token(reading, end) if end < len(reading.devices) else _FIRST_PAGE
        return _xml(_page(query, pieces, more))

    async def _place(self, query: _Query) -> tuple[Reading, int]:
        """Which reading of the list, and where in it."""
        what = _LISTS[query.criterion].get(query.values)
        if what is None:
            raise Refusal(400, "value has to be true or false")
        if query.paging == _FIRST_PAGE:
            return self._gateway.readings.latest(what), 0
        found = _TOKEN.fullmatch(query.paging)
        reading = await self._gateway.readings.named(found[1]) if found else None
        start = int(found[2]) if found else 0
        if found and reading is None and start == 0:
            # Who was to come again has nothing of the list yet, and may begin with another reading.
            return self._gateway.readings.latest(what), 0
        # A page that nobody was sent to is empty, as if the list ended there.
        if (
            not reading
            or reading.what != what
            or start % self._face.page_size
            or start > max(len(reading.devices or ()) - 1, 0)
        ):
            raise Refusal(400, _NO_PAGE)
        return reading, start


def _token(reading: Reading, position: int) -> str:
    return f"{reading.name}{position:08}"


def _kept_out(device: Device, decision: Decision) -> Device:
    """The record with the decision on it, for one that is not let in."""
    if decision is Decision.UNKNOWN and device.compliance.state is ComplianceState.COMPLIANT:
        return device.doubted("no server that judges has it under management")
    return device


def _page(query: _Query, pieces: Sequence[str], more: str = _FIRST_PAGE, busy: int = 0) -> bytes:
    head = element("name", "attributes") + element("api_version", query.version)
    head += element("paging_info", more)
    if query.version >= _NEWEST:
        head += element("server_busy_wait_seconds", busy)
    return document([head, "<deviceList>", *pieces, "</deviceList>"])


def _xml(content: bytes) -> Response:
    return Response(content, media_type="application/xml")


def _key(criterion: str, value: str) -> Key:
    try:
        return key_of(_KINDS[criterion], value)
    except InvalidIdentifierError:
        raise Refusal(400, f"this is no value for {criterion}") from None


@lru_cache(_REMEMBERED)
def _url_query(query: bytes, version: int) -> _Query:
    """The query of a URL; the same device comes to the door again and again."""
    return _read_query(query, version)


def _read_query(query: bytes, version: int, batch: Sequence[str] = ()) -> _Query:
    """The query of a URL, and the values of a batch.

    Raises:
        Refusal: the description has no such request.
    """
    given = parameters(query)
    if not given.keys() <= _PARAMETERS:
        raise Refusal(400, "a parameter is unknown")
    if not given.keys() >= {"paging", "filter"} or "" in given.values():
        raise Refusal(400, "paging and filter are required, and nothing may be empty")
    if version < _NEWEST and "deviceidentifier" in given:
        raise Refusal(400, "deviceidentifier came with version 3")
    values = (*([given["value"]] if "value" in given else []), *batch)
    return _checked(version, given, values)


def _path_query(request: Request) -> _Query:
    """The query of a path: ``{paging}/{criterion}/{value}/{filter}``, for all devices ``{paging}/{filter}``.

    Raises:
        Refusal: the description has no such request.
    """
    parts = request.path_params["rest"].split("/")
    if len(parts) not in {2, 4} or not all(parts) or request.query_params:
        raise Refusal(400, "paging, criterion, value and filter are required, or paging and filter")
    paging, *asked, wanted = parts
    criterion, *values = asked or [""]
    given = {"paging": paging, "querycriteria": criterion, "filter": in_path(wanted)}
    return _checked(1, given, list(map(in_path, values)))


def _checked(version: int, given: Mapping[str, str], values: Sequence[str]) -> _Query:
    # The examples of versions 1 and 2 ask for all devices without a criterion.
    criterion, identifier = given.get("querycriteria", "").lower(), given.get("deviceidentifier", "").lower()
    if version < _SINCE.get(criterion, _NEWEST + 1):
        raise Refusal(400, "this criterion is not supported")
    if bool(values) is not bool(criterion):
        raise Refusal(400, "value is required, and belongs to a criterion")
    if identifier not in _NAMED_BY or (identifier and criterion != "compliance"):
        raise Refusal(400, "deviceidentifier has to be guid or macaddress, and belongs to a list")
    return _Query(
        version=version,
        paging=given["paging"],
        wanted=_wanted(given["filter"], version),
        criterion=criterion,
        values=tuple(value.lower() for value in values) if criterion == "compliance" else tuple(values),
        identifier=identifier,
    )


@lru_cache(maxsize=64)
def _wanted(names: str, version: int) -> frozenset[str]:
    """The names in a filter."""
    # + is decoded to a blank in a query, and stays a plus in a path.
    wanted = frozenset(re.split(r"[+\s]", names.lower()))
    if not all(is_attribute(name, version) for name in wanted):
        raise Refusal(400, "filter has to be all, or names of attributes joined by +")
    return wanted


def _values(body: bytes) -> list[str]:
    """The values in the body of a batch."""
    try:
        text = body.decode()
        # No document type, and with it no entity: nothing grows, and nothing is fetched.
        root = None if "<!" in text else ET.fromstring(text)  # noqa: S314
    except (UnicodeDecodeError, ET.ParseError):
        root = None
    if root is None:
        raise Refusal(400, "the body has to be XML without a document type")
    found = [
        node.text.strip() for node in root.iter() if node.tag.rpartition("}")[2] == "value" and node.text
    ]
    if not found:
        raise Refusal(400, "the body has no value")
    return found
