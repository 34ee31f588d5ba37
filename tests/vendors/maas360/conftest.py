"""Answers of MaaS360 as it gives them, and providers to read them; nothing is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.models import ServerInfo
from mdmsdk.wire import Response
from mdmsdk_maas360 import Maas360Provider, Maas360Settings
from mdmsdk_maas360.provider import Maas360Server

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = "https://services.m3.maas360.com"
GIVEN = {
    "billing_id": "30000001",
    "username": "api@example.com",
    "password": "pass-of-tests",
    "app_id": "com.30000001.api",
    "app_access_key": "key-of-tests",
}
ROW: dict[str, Any] = {
    "maas360DeviceID": "Appl02TEST0001",
    "deviceName": "demo-iPhone",
    "deviceStatus": "Active",
    "maas360ManagedStatus": "Enrolled",
    "platformName": "iOS",
    "platformSerialNumber": "02TEST0001",
    "imeiEsn": 350000000000017,
    "wifiMacAddress": "02:ab:00:00:00:01",
    "udid": "",
    "osName": "iOS 17",
    "osVersion": 17.1,
    "username": "demo",
    "userDomain": "",
    "emailAddress": "demo@example.com",
    "phoneNumber": "",
    "manufacturer": "Apple",
    "model": "iPhone",
    "ownership": "Corporate Owned",
    "policyComplianceState": "In Compliance",
    "ruleComplianceState": "",
    "appComplianceState": "In Compliance",
    "passcodeCompliance": "Compliant",
    "jailbreakStatus": "No",
    "encryptionStatus": "Encryption Complete",
    "lastReported": "2025-03-01T08:00:00",
    "lastReportedInEpochms": 1740816000000,
}


def make(**changes: Any) -> Maas360Provider:
    return Maas360Provider(Maas360Settings(**{**GIVEN, **changes}))


def listing(*rows: dict[str, Any], count: int | None = None, page: int = 1) -> Response:
    """An answer to a search; the only row stands there without a list."""
    device = {} if not rows else {"device": rows[0] if len(rows) == 1 else list(rows)}
    counts = {"count": len(rows) if count is None else count, "pageNumber": page, "pageSize": len(rows)}
    return reply({"devices": {**device, **counts}})


def reply(content: Any, status: int = 200) -> Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status, {}, body)


def info(*, any_mac: bool = True) -> ServerInfo:
    return ServerInfo(description=Maas360Server(any_mac=any_mac))


@pytest.fixture(name="make", scope="session")
def _make() -> Callable[..., Maas360Provider]:
    return make


@pytest.fixture(name="listing", scope="session")
def _listing() -> Callable[..., Response]:
    return listing


@pytest.fixture(name="reply", scope="session")
def _reply() -> Callable[..., Response]:
    return reply


@pytest.fixture(name="info", scope="session")
def _info() -> Callable[..., ServerInfo]:
    return info


@pytest.fixture(name="row", scope="session")
def _row() -> dict[str, Any]:
    return ROW
