"""How BlackBerry UEM writes devices and users; part of the simulator.

From the samples of the UEM REST API reference (Devices, Users), and what public clients read.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from mdmsdk.simulator import SimDevice

__all__ = ["device_record", "user_device_record", "user_guid", "user_record"]

_PLACE = uuid.UUID("6f1d2c3b-0a4e-4b5c-8d6e-7f8091a2b3c4")
_IDENTIFIERS = ("udid", "serialNumber", "imei", "meid", "wifiMacAddress")
_OWNERSHIP = {"corporate": "CORPORATE", "personal": "PERSONAL", "shared": "CORPORATE"}


def user_guid(username: str) -> str:
    """Give the GUID of a user's record."""
    return str(uuid.uuid5(_PLACE, username.casefold()))


def user_device_guid(device: SimDevice) -> str:
    """Give the GUID of the tie between user and device, which is not the one of the device."""
    return str(uuid.uuid5(_PLACE, device.guid))


def user_record(device: SimDevice, base: str) -> dict[str, Any]:
    """Give the record of a device's user."""
    guid = user_guid(device.username)
    first, _, last = device.full_name.partition(" ")
    return {
        "links": [{"rel": "groups", "href": f"{base}/users/{guid}/groups"}],
        "guid": guid,
        "username": device.username,
        "displayName": device.full_name,
        "firstName": first,
        "lastName": last,
        "emailAddress": device.email,
    }


def device_record(device: SimDevice, base: str, *, nameless: bool = False) -> dict[str, Any]:
    """Give the record of a device; what it does not have is left out, and never null.

    Args:
        device: The device.
        base: The address of the API, for links.
        nameless: Leave out all that names the hardware.
    """
    mac = device.wifi_mac and ":".join(re.findall("..", device.wifi_mac)).lower()
    user = f"{base}/users/{user_guid(device.username)}/userDevices/{user_device_guid(device)}"
    group = f"{base}/sharedDeviceGroups/{uuid.uuid5(_PLACE, device.department)}"
    shared = device.ownership == "shared"
    link = {"rel": "sharedDeviceGroup", "href": group} if shared else {"rel": "userDevice", "href": user}
    record = {
        "links": [link],
        "guid": device.guid,
        "activationDate": _time(device.enrolled_at),
        "compromised": device.jailbroken,
        "hardwareModel": device.model_identifier,
        "hardwareName": device.model,
        "hardwareVendorCompanyName": device.manufacturer,
        "os": f"{device.platform} {device.os_version}",
        "osFamilyName": device.platform,
        "osVersion": device.os_version,
        "ownership": _OWNERSHIP[device.ownership],
        "enrollmentType": "MDM_CONTROLS",
        "udid": device.udid,
        "serialNumber": device.serial_number,
        "imei": device.imei,
        "meid": device.meid,
        "wifiMacAddress": mac,
        "phoneNumber": device.phone_number,
        "iccid": f"8901 4103 {device.id:012}"[:22] if device.imei else None,
        "batteryLevel": 81,
        "networkRoaming": False,
    }
    return {
        name: value
        for name, value in record.items()
        if value is not None and not (nameless and name in _IDENTIFIERS)
    }


def user_device_record(device: SimDevice, base: str) -> dict[str, Any]:
    """Give the tie between user and device, with the device in it."""
    user = f"{base}/users/{user_guid(device.username)}"
    return {
        "links": [{"rel": "user", "href": user}],
        "guid": user_device_guid(device),
        "enrollmentType": "MDM_CONTROLS",
        "device": {name: value for name, value in device_record(device, base).items() if name != "links"},
    }


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
