"""Version 1 of EPMM's API, for servers that refuse version 2. Pure; deprecated by the vendor since 2020.

Source: MobileIron Core Web Service API guide, "Device management". It searches by nothing but UUID and MAC
address, and cannot ask for noncompliant devices: their list is made from all managed ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError, UnsupportedOperationError
from mdmsdk.identifiers import Guid, Key, Mac
from mdmsdk.paging import Slice
from mdmsdk.wire import Request
from mdmsdk_ivanti.answers import HEADERS, integer, mapping, numbered, objects
from mdmsdk_ivanti.core.records import flat_v1

if TYPE_CHECKING:
    from mdmsdk.wire import Response
    from mdmsdk_ivanti.records import JsonObject

__all__ = ["device_request", "is_unknown_device", "list_request", "read_devices", "read_list"]

_PATH = "/api/v1/dm/devices"
_ANSWER = "answer of version 1 of EPMM's API"
_HINT = (
    "Version 1 of EPMM's API knows only these two: ask by GUID or MAC address, or make version 2 reachable."
)


def list_request(base: str, status: str, offset: int, limit: int) -> Request:
    """Ask for devices of one status."""
    params: dict[str, str | int] = {"status": status, "limit": limit, "offset": offset}
    return Request("GET", f"{base}{_PATH}", params=params, headers=HEADERS)


def device_request(base: str, key: Key) -> Request:
    """Ask for one device.

    Raises:
        UnsupportedOperationError: this version cannot search by that.
    """
    if isinstance(key, Mac):
        return Request("GET", f"{base}{_PATH}/mac/{key.hex}", headers=HEADERS)
    if isinstance(key, Guid):
        return Request("GET", f"{base}{_PATH}/{quote(key.value, safe='')}", headers=HEADERS)
    raise UnsupportedOperationError(f"version 1 of the API cannot look a device up by {key.kind}", hint=_HINT)


# For an unknown device, and for a list without any, the answer has status 404 and a body that counts no
# devices; a 404 without such a body comes from a wrong address.
def is_unknown_device(response: Response) -> bool:
    """Whether a 404 means that there is no such device."""
    if _PATH not in response.url:
        return False
    try:
        body = response.json()
    except MalformedResponseError:
        return False
    return isinstance(body, dict) and _counts_none(body)


def _counts_none(body: dict[str, Any]) -> bool:
    return str(body.get("totalCount")) == "0"


def read_devices(response: Response) -> list[JsonObject]:
    """The devices of an answer, whichever of the two forms it has."""
    body = mapping(response.json(), _ANSWER)
    if "device" in body:
        return _several(body["device"])
    if _counts_none(body):
        return []
    return _several(mapping(body.get("devices"), _ANSWER).get("device"))


def read_list(response: Response) -> Slice[JsonObject]:
    """One page of a list."""
    rows = numbered(read_devices(response), "@id")
    return Slice(rows, integer(mapping(response.json(), _ANSWER).get("totalCount"), "count of devices"))


def _several(value: object) -> list[JsonObject]:
    # A list of one comes as that one, without the list.
    found = objects([value] if isinstance(value, dict) else value, "devices")
    return [flat_v1(device) for device in found]
