"""From rows to devices, pages and links, from bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import DeviceId, Guid, Mac, Serial, Udid
from mdmsdk.models import Compliance, Device
from mdmsdk.testing import play
from mdmsdk_meraki.records import FIELDS, Record
from mdmsdk_meraki.scope import read_rows


def read_device(document: Any, **options: Any) -> Device:
    return Record(document).device(Compliance(), **options)


def test_a_whole_row() -> None:
    device = read_device(
        {
            "id": "1284392014819",
            "name": "Ada's phone",
            "tags": ["x"],
            "wifiMac": "00:11:22:33:44:55",
            "osName": "iOS 9.3.5",
            "systemModel": "iPhone",
            "uuid": "3d990628ede4c628d52",
            "serialNumber": "F5XKHEBX",
            "serial": "F5XKHEBX",
            "imei": "990000862471854",
            "phoneNumber": "+12015550123",
            "ownerEmail": "ada@example.com",
            "ownerUsername": "ada",
            "isManaged": True,
            "isRooted": False,
            "passCodeLock": True,
            "hardwareEncryptionCaps": "Block level",
            "lastConnected": 1768478400,
            "hasChromeMdm": False,
        },
        keep_raw=True,
    )
    assert (device.id, device.guid, device.udid) == ("1284392014819", "1284392014819", "3d990628ede4c628d52")
    assert device.mac_addresses == (Mac("00:11:22:33:44:55"),)
    assert (device.os, device.os_version, device.model, device.manufacturer) == (
        "iOS",
        "9.3.5",
        "iPhone",
        "Apple",
    )
    assert (device.registered, device.passcode_set, device.jailbroken, device.disk_encrypted) == (
        True,
        True,
        False,
        True,
    )
    assert device.last_check_in == datetime(2026, 1, 15, 12, tzinfo=UTC)
    assert (device.user, device.serial_number) == ("ada", "F5XKHEBX")
    assert device.raw["hasChromeMdm"] is False


@pytest.mark.parametrize(
    ("fields", "registered"),
    [
        ({"isManaged": True, "hasMdm": False}, True),
        ({"isManaged": None, "hasMdm": True}, True),
        ({"isManaged": False, "hasMdm": False, "hadMdm": True}, False),
        ({"isManaged": False}, False),
        ({"hadMdm": True}, False),
        ({}, False),  # the record has to say so
        ({"isManaged": "true"}, True),
        ({"isManaged": "maybe", "hasMdm": False}, False),
        ({"isManaged": [True]}, False),
    ],
)
def test_registered(fields: dict[str, Any], registered: bool) -> None:
    assert read_device({"id": "1", **fields}).registered is registered


@pytest.mark.parametrize(
    "silent", [{}, {"hasMdm": None}, {"hasMdm": ""}, {"hasMdm": "maybe"}, {"hasMdm": []}]
)
def test_only_a_row_that_says_no_twice_is_of_a_device_that_left(silent: dict[str, Any]) -> None:
    assert read_device({"id": "1", "isManaged": False, "hasMdm": False}).unreadable == set()
    assert read_device({"id": "1", "isManaged": False, **silent}).unreadable == {"hasMdm"}
    assert read_device({"id": "1", **silent}).unreadable == {"isManaged", "hasMdm"}
    missing = read_device({"id": "1", "isManaged": True})
    assert missing.registered
    assert missing.unreadable == set()


def test_what_is_not_reported_is_none() -> None:
    device = read_device({"id": 7})
    assert device.id == "7"
    reported = (device.disk_encrypted, device.passcode_set, device.jailbroken, device.last_check_in)
    assert reported == (None, None, None, None)
    assert device.compliance.state == "unknown"


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": ""}, {"id": []}, {"id": True}])
def test_a_row_without_id_is_malformed(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponseError):
        read_device(row)


@pytest.mark.parametrize(
    ("name", "system", "version"),
    [
        ("iOS 9.3.5", "iOS", "9.3.5"),
        ("Mac OS X 10.15.7", "Mac OS X", "10.15.7"),
        ("Windows 10.0.26100.4061", "Windows", "10.0.26100.4061"),
        ("Windows 11 Pro", "Windows 11 Pro", None),
        ("Android", "Android", None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_operating_systems(name: str | None, system: str | None, version: str | None) -> None:
    device = read_device({"id": "1", "osName": name})
    assert (device.os, device.os_version) == (system, version)


@pytest.mark.parametrize(
    ("model", "maker"),
    [
        ("iPhone 15", "Apple"),
        ("MacBook Air", "Apple"),
        ("Mac mini", "Apple"),
        ("Pixel 8", None),
        (None, None),
    ],
)
def test_only_apple_is_inferred(model: str | None, maker: str | None) -> None:
    assert read_device({"id": "1", "systemModel": model}).manufacturer == maker


def test_a_record_knows_both_spellings_of_its_number_and_both_serial_numbers() -> None:
    device = read_device({"id": 128, "serialNumber": "A1", "serial": "B2", "wifiMac": "00:1b:44:11:3a:b7"})
    for key in (
        Guid("128"),
        Guid("ID:MerakiSM:DeviceID:128"),
        Guid("id:merakism:deviceid:128"),
        DeviceId("128"),
        Serial("a1"),
        Serial("B2"),
    ):
        assert device.matches(key) is True, key
    for other in (Guid("12"), Guid("ID:MerakiSM:DeviceID:1"), Guid("ID:Other:DeviceID:128"), Serial("C3")):
        assert device.matches(other) is False, other


@pytest.mark.parametrize("value", [7, ["00:1b:44:11:3a:b7", 7], "00:1b:44:11", "01:00:5e:00:00:01", {}, True])
def test_an_address_that_cannot_be_read_is_another_one(value: Any) -> None:
    assert read_device({"id": "1", "wifiMac": value}).matches(Mac("00:1b:44:11:3a:b8")) is False


@pytest.mark.parametrize(("field", "key"), [("uuid", Udid("u-1")), ("serialNumber", Serial("S-1"))])
@pytest.mark.parametrize("value", [["u-1"], {"a": "S-1"}, True, 1.5])
def test_an_identifier_of_another_type_is_no_proof(field: str, key: Any, value: Any) -> None:
    assert read_device({"id": "1", field: value}).matches(key) is False


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    st.lists,
    max_leaves=4,
)


@given(
    st.fixed_dictionaries(
        {"id": st.integers(min_value=1)}, optional=dict.fromkeys([*FIELDS, "osName", "wifiMac", "uuid"], ANY)
    )
)
def test_any_row_is_read(row: dict[str, Any]) -> None:
    device = read_device(row)
    assert isinstance(device, Device)
    assert device.compliance.state == "unknown"


BASE = "https://api.meraki.com/api/v1"
HERE = "https://n1.meraki.com/api/v1/x?perPage=3"
LINK = f"<{HERE}&startingAfter=a,b>; rel={{}}, <{HERE}>; rel=first"


def next_url(dashboard: Any, link: str | None, url: str = BASE) -> str | None:
    """Where a page that is not full says that the next one is."""
    provider = dashboard.provider()
    flow = provider.page(provider.request("/organizations"))
    _, found = play(flow, [dashboard.answer([{}], link=link, url=url)], provider=provider)
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("relation", ["next", '"next"', '"prev next"', "NEXT"])
def test_the_next_link(dashboard: Any, relation: str) -> None:
    assert next_url(dashboard, LINK.format(relation)) == f"{HERE}&startingAfter=a,b"


@pytest.mark.parametrize(
    "link", [None, "", LINK.format("prev"), LINK.format('"nextish"'), "<https://x/y>; rel=first"]
)
def test_no_next_link(dashboard: Any, link: str | None) -> None:
    assert next_url(dashboard, link) is None


def test_a_relative_link_counts_from_the_answer(dashboard: Any) -> None:
    link, here = "</api/v1/y?startingAfter=1>; rel=next", "https://n1.meraki.com/api/v1/y"
    assert next_url(dashboard, link, here) == "https://n1.meraki.com/api/v1/y?startingAfter=1"


@pytest.mark.parametrize("body", [{}, {"devices": []}, "x", None, [1], [[]]])
def test_what_is_no_list_of_objects(dashboard: Any, body: Any) -> None:
    with pytest.raises(MalformedResponseError, match="list of objects"):
        read_rows(dashboard.answer(body))


@pytest.mark.parametrize(
    "link",
    [
        "https://x; rel=next",
        f"<{HERE}>; rel='next'",
        f'<{HERE}>; rel="next',
        f"<{HERE}>; rel*=UTF-8''next",
        f'<{HERE}>; title="a<b"; rel',
        f"<{HERE}&a>; rel=next, <{HERE}&b>; rel=next",
        "<http://[>; rel=next",
        f"<{HERE}; rel=next",
    ],
)
def test_a_link_header_that_cannot_be_read_is_no_last_page(dashboard: Any, link: str) -> None:
    with pytest.raises(MalformedResponseError, match="Link header"):
        next_url(dashboard, link)


@pytest.mark.parametrize(
    "link",
    [f'<{HERE}>; title="a <b> rel=prev, <c>"; rel=next', f"<{HERE}>;rel=next;", f'<{HERE}> ; REL="Next"'],
)
def test_a_link_header_in_another_spelling(dashboard: Any, link: str) -> None:
    assert next_url(dashboard, link) == HERE


@pytest.mark.parametrize(("url", "size"), [(HERE, 3), (f"{BASE}/x?a=1&perPage=4", 4), (f"{BASE}/x", 1000)])
def test_a_full_page_without_link_header_may_not_be_the_last(dashboard: Any, url: str, size: int) -> None:
    assert len(read_rows(dashboard.answer([{}] * (size - 1), url=url))) == size - 1
    for rows, link in ((size, None), (size, " "), (size + 1, None)):
        with pytest.raises(MalformedResponseError, match="full page") as caught:
            read_rows(dashboard.answer([{}] * rows, link=link, url=url))
        assert "proxy" in (caught.value.hint or "")
