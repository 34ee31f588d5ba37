"""What the simulated dashboard writes: rows of devices, networks and organisations.

Field names are those of "List the devices enrolled in an SM network",
https://developer.cisco.com/meraki/api-v1/get-network-sm-devices/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk.simulator import SimDevice

__all__ = [
    "adapters",
    "colons",
    "device_row",
    "in_scope",
    "network_row",
    "organization_row",
    "sm_id",
    "state_of",
]

POLICIES: Final = ("Security-Baseline", "Antivirus")
_FIRST_ID: Final = 1_284_392_000_000
_FIRST_ORGANIZATION: Final = 2_930_400


def sm_id(device: SimDevice) -> str:
    """The number of a device record: digits only, the GUID of certificates too."""
    return str(_FIRST_ID + device.id)


def colons(mac: str) -> str:
    """An address as this vendor writes it: lower case, with colons."""
    return ":".join(re.findall("..", mac.lower()))


def state_of(device: SimDevice) -> str:
    """What security policies make of a device: they know no grace."""
    return "noncompliant" if device.compliance == "grace" else device.compliance


def device_row(device: SimDevice, fields: frozenset[str], *, numbers_as_text: bool) -> dict[str, Any]:
    """One row of the device list: the twelve fields of every row, and those that were asked for."""
    state = state_of(device)
    row: dict[str, Any] = {
        "id": sm_id(device),
        "name": device.name,
        "tags": tags_of(device),
        "ssid": "Simulated SSID",
        "wifiMac": None if device.wifi_mac is None else colons(device.wifi_mac),
        "osName": f"{device.platform} {device.os_version}",
        "systemModel": device.model,
        "uuid": device.udid,
        "serialNumber": device.serial_number,
        "serial": device.serial_number,
        "ip": device.ip_address,
        "notes": None,
        "hasChromeMdm": False,  # in no description, seen in answers all the same
    }
    extra = _identity(device) | _posture(device) | {"autoTags": [device.platform, *_policy_tags(state)]}
    if numbers_as_text:
        extra = {name: _as_text(value) for name, value in extra.items()}
    return row | {name: value for name, value in extra.items() if name in fields}


def tags_of(device: SimDevice) -> list[str]:
    """The tags that an administrator gave a device."""
    return [device.kind, device.ownership, *_manual_tags(state_of(device))]


def in_scope(scope: Sequence[str]) -> Callable[[SimDevice], bool] | None:
    """What `scope[]` lets through: a mode and tags; None where it cannot be read.

    It looks at tags that were given by hand; whether Meraki's looks at those of policies is not published.
    """
    mode, tags = (scope[0] if scope else "all"), set(scope[1:])
    tests: dict[str, Callable[[set[str]], bool]] = {
        "all": lambda _own: True,
        "none": lambda _own: False,
        "withAny": lambda own: bool(tags & own),
        "withAll": lambda own: tags <= own,
        "withoutAny": lambda own: not tags & own,
        "withoutAll": lambda own: not tags <= own,
    }
    test = tests.get(mode)
    if test is None or bool(tags) != mode.startswith("with"):
        return None
    return lambda device: test(set(tags_of(device)))


def _manual_tags(state: str) -> list[str]:
    return {"compliant": ["nac-healthy"], "noncompliant": ["nac-quarantine"]}.get(state, [])


def _policy_tags(state: str) -> list[str]:
    first, second = POLICIES
    if state == "compliant":
        return [f"{first} compliant", f"{second} compliant"]
    # One policy is kept all the same: a careful client must not be content with that.
    return [f"{first} violating", f"{second} compliant"] if state == "noncompliant" else []


def _identity(device: SimDevice) -> dict[str, Any]:
    return {
        "imei": device.imei,
        "meid": device.meid,
        "phoneNumber": device.phone_number,
        "systemType": device.platform,
        "osBuild": device.os_build,
        "createdAt": int(device.enrolled_at.timestamp()),
        "lastConnected": device.last_check_in and int(device.last_check_in.timestamp()),
        "ownerEmail": device.email,
        "ownerUsername": device.username,
        "isManaged": device.registered,
        "hasMdm": device.registered,
        "hadMdm": True,
        "isSupervised": device.supervised,
        "hasDesktopAgent": device.kind in {"laptop", "desktop"},
    }


def _posture(device: SimDevice) -> dict[str, Any]:
    """Phones report a passcode and encryption by hardware, computers a screen lock and disk encryption."""
    mobile = device.kind in {"phone", "tablet"}
    apple = device.platform in {"iOS", "iPadOS"}
    return {
        "isRooted": device.jailbroken,
        "passCodeLock": device.passcode_set if mobile else None,
        "screenLockEnabled": None if mobile else device.passcode_set,
        "loginRequired": None if mobile else device.passcode_set,
        "diskEncryptionEnabled": None if apple else device.disk_encrypted,
        "hardwareEncryptionCaps": "Block level and file level" if apple and device.disk_encrypted else None,
        "missingAppsCount": sum("app" in reason.lower() for reason in device.failure_reasons),
        "quarantined": False,
    }


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


def adapters(device: SimDevice) -> list[dict[str, Any]]:
    """The network adapters of a device, wired ones included."""
    return [
        {
            "id": f"{sm_id(device)}{number}",
            "name": f"en{number}",
            "mac": colons(mac),
            "ip": device.ip_address,
            "subnet": "255.255.255.0",
            "gateway": "10.0.0.1",
            "dhcpServer": "10.0.0.1",
            "dnsServer": "10.0.0.2, 10.0.0.3",
        }
        for number, mac in enumerate(device.mac_addresses)
    ]


def organization_row(number: int, *, enabled: bool) -> dict[str, Any]:
    """An organisation."""
    return {
        "id": str(_FIRST_ORGANIZATION + number),
        "name": f"Organization {number + 1}",
        "url": f"https://dashboard.example.com/o/{number}/manage/organization/overview",
        "api": {"enabled": enabled},
        "licensing": {"model": "co-term"},
        "cloud": {"region": {"name": "Europe", "host": {"name": "Simulated"}}},
        "management": {"details": []},
    }


def network_row(number: int, organization: str, *, managed: bool) -> dict[str, Any]:
    """A network, with Systems Manager in it or not."""
    return {
        # Combined networks have an id with L, single ones with N.
        "id": f"{'NL'[number % 2]}_{1000 + number}",
        "organizationId": organization,
        "name": f"Site {number + 1}" if managed else f"Cables {number + 1}",
        "productTypes": ["systemsManager", *(["wireless"] if number % 2 else [])] if managed else ["switch"],
        "timeZone": "Europe/Amsterdam",
        "tags": [],
        "enrollmentString": f"site-{number}" if managed else None,
        "url": f"https://n1.example.com/n/{number}/manage",
        "notes": "",
        "isBoundToConfigTemplate": False,
    }
