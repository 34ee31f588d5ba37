"""The ISE face as Cisco's own descriptions have it: every request of them, and every answer."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest

from mdmsdk.testing import FakeAsyncMdmFederation
from tests.gateway.conftest import GUID, MAC, Faces, device, serving
from tests.simulator.descriptions import Asked, Description
from tests.simulator.test_ise_specs import WRONG, WRONG_VALUES, Pairs, changed, queries_of, query_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFINITION = "mdm-device-attributes-response"
FACTS: dict[str, Any] = {
    "user": "anna@example.com",
    "name": "tablet-7",
    "udid": "00008020-0015784C218A402E",
    "imei": "356938035643809",
    "meid": "A10000009296F2",
    "serial_number": "F9GDX3RQQ1GC",
    "manufacturer": "Apple",
    "model": "iPad",
    "os": "iOS",
    "os_version": "17.1",
    "phone_number": "+1 555 0100",
    "disk_encrypted": True,
    "passcode_set": True,
    "jailbroken": False,
    "last_check_in": datetime(2024, 5, 1, tzinfo=UTC),
}
VALUES = {
    "macaddress": MAC.replace(":", ""),
    "username": FACTS["user"],
    "udid": FACTS["udid"],
    "imei": FACTS["imei"],
    "meid": FACTS["meid"],
    "guid": GUID,
    "guidhn": FACTS["name"],
}
SILENT: dict[str, Any] = {"mac_addresses": (), "guid": None}


@pytest.fixture(scope="module")
def faces() -> Iterator[Faces]:
    """A gateway over a device with every fact, and others with next to none."""
    bad = [
        device("noncompliant", id=str(number), serial_number=f"S{number:05}", **SILENT)
        for number in range(2, 9)
    ]
    good = [device(id=str(number), serial_number=f"S{number:05}", **SILENT) for number in range(10, 15)]
    full = device("noncompliant", **FACTS)
    ise = {
        "username": "controller",
        "password": "a-long-password",
        "page_size": 4,
        "redirect_url": "https://enrol.example.com",
    }
    servers = {"one": [full, *bad, *good]}
    with serving(lambda: FakeAsyncMdmFederation(servers), {"ise": ise, "rate": 1e6}) as origin:
        opened = Faces(origin)
        yield opened
        opened.close()


def read(faces: Faces, target: str) -> ET.Element:
    answer = faces.ise.get(target)
    assert answer.status_code == 200, (target, answer.text)
    assert answer.headers["content-type"] == "application/xml"
    return ET.fromstring(answer.content)  # noqa: S314 - our own server


def target(version: int, criterion: str = "", value: str = "", paging: str = "0", **more: str) -> str:
    path = f"/ciscoise/mdmapi/v{version}/devices/"
    if version == 1:
        return path + "/".join(filter(None, (paging, criterion, value, "all")))
    asked = [("paging", paging), ("querycriteria", criterion), ("value", value), ("filter", "all")]
    return f"{path}?{query_of([(name, text) for name, text in (*asked, *more.items()) if text])}"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_info_is_as_described(faces: Faces, version: int) -> None:
    spec, query = Description(version), f"/?ise_api_version={version}" if version > 1 else ""
    info = read(faces, f"/ciscoise/mdminfo{query}")
    # The schema of ISE 2.7, for version 1, has no api_version; version 2 brought who made the server.
    newer = {"api_version", "vendor", "product_name", "product_version"} if version == 1 else set()
    assert {child.tag for child in info} == spec.properties("mdm-server-info").keys() - newer
    assert spec.faults(info, "mdm-server-info") == []


@pytest.mark.parametrize("version", [1, 2, 3])
def test_devices_have_the_described_elements(faces: Faces, version: int) -> None:
    spec = Description(version)
    described = spec.properties(DEFINITION, "deviceList", "device", "attributes")
    for criterion in sorted(spec.criteria - {"compliance"}):
        page = read(faces, target(version, criterion, VALUES[criterion]))
        assert spec.faults(page, DEFINITION) == []
        (attributes,) = page.iter("attributes")
        assert described.keys() <= {child.tag for child in attributes}, criterion
    page = read(faces, target(version, "macaddress", "0050C2000001"))
    assert page.find("deviceList") is not None
    assert not list(page.iter("device"))
    assert spec.faults(page, DEFINITION) == []


@pytest.mark.parametrize("version", [1, 2, 3])
def test_lists_have_the_described_elements(faces: Faces, version: int) -> None:
    spec, seen = Description(version), Counter[str]()
    lists: list[tuple[str, str, dict[str, str]]] = [("compliance", "false", {}), ("compliance", "true", {})]
    lists += [("compliance", "false", {"deviceidentifier": name}) for name in sorted(spec.identifiers)]
    lists += [("", "", {})]
    for criterion, value, more in lists:
        paging, last = "0", ""
        while paging != last:
            page = read(faces, target(version, criterion, value, paging, **more))
            assert spec.faults(page, DEFINITION) == []
            if page.findtext("server_busy_wait_seconds", "0") == "0":
                last = "0"
                seen[value] += len(list(page.iter("device")))
            for status in page.iter("status"):
                assert status.text == value or not value
            paging = page.findtext("paging_info", "")
    assert seen == {"false": 8 * (len(lists) - 2), "true": 5, "": 13}


# What the face takes beyond the descriptions: other spellings of words and identifiers, an encoded plus.
TAKEN = {"MacAddress", "GUID", "ALL", "False", "TRUE", "register_status+compliance_status"}
TAKEN |= {
    one for name in ("macaddress", "imei", "meid") for one in WRONG_VALUES[name] if re.search("[ :.-]", one)
}
# What describes a value only by its type, and names no device; zeros stand in examples.
REFUSED = {"\0", " ", "000000000000"}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_requests_are_taken_as_described(faces: Faces, version: int) -> None:
    spec, api_path, statuses = Description(version), f"/ciscoise/mdmapi/v{version}", Counter[bool]()
    for one in targets(spec):
        path = one if one.startswith("/ciscoise") else api_path + one
        answer = faces.ise.get(path, headers={"Accept": "application/xml"})
        violations = spec.violations(Asked("GET", path, dict(answer.request.headers)), api_path)
        texts = {unquote(part) for part in path.split("/")} | {
            text for _, text in parse_qsl(urlsplit(path).query)
        }
        taken = answer.status_code == 200
        assert taken is not bool(texts & REFUSED) if not violations else not taken or texts & TAKEN, path
        assert taken or not re.search("[<>]|Traceback", answer.text)
        statuses[taken] += 1
    assert min(statuses.values()) > 15


@pytest.mark.parametrize("version", [2, 3])
def test_methods_and_paths_are_those_of_the_description(faces: Faces, version: int) -> None:
    spec, asked = Description(version), "?paging=0&querycriteria=username&value=x&filter=all"
    served = {"/ciscoise/mdminfo/": "?ise_api_version=3", "/devices/": asked, "/batchdevices/": asked}
    for path, method, _ in spec.operations():
        end = path.removeprefix("/{api_path}").replace("<action type>", "pin_lock")
        base = "" if end.startswith("/ciscoise/") else f"/ciscoise/mdmapi/v{version}"
        where = base + end + served.get(end, "")
        body = b"<ise_api><value>y</value></ise_api>" if method != "GET" else None
        # Actions and messages change devices, which the gateway does not.
        expected = 200 if end in served else 404
        assert faces.ise.request(method, where, content=body).status_code == expected
        for other in {"PUT", "DELETE"} - {method} if end in served else ():
            assert faces.ise.request(other, where).status_code == 405
        assert faces.ise.request(method, where, content=body, auth=None).status_code in {401, 404}


def targets(spec: Description) -> Iterator[str]:
    """Every request of a description, and each with one thing wrong."""
    values = {**VALUES, "compliance": "false"}
    yield from spec.examples
    if spec.version == 1:
        for criterion in sorted(spec.criteria):
            parts = ["0", criterion, values[criterion], "all"]
            yield "/".join(["/devices", *parts])
            for place, name in enumerate(("paging", "querycriteria", "value", "filter")):
                for value in [*WRONG[name], *(WRONG_VALUES.get(criterion, []) if name == "value" else [])]:
                    yield "/".join(["/devices", *parts[:place], quote(value, safe="+"), *parts[place + 1 :]])
        return
    yield from (
        f"/ciscoise/mdminfo/?ise_api_version={quote(one)}"
        for one in (str(spec.version), *WRONG["ise_api_version"])
    )
    yield from queries_of(spec, values)
    listed: Pairs = [("paging", "0"), ("querycriteria", "compliance"), ("value", "false"), ("filter", "all")]
    for name in sorted(spec.attributes):
        yield f"/devices/?{query_of([*listed[:3], ('filter', name)])}"
    for name in ("guid", "macaddress"):
        pairs = [*listed, ("deviceidentifier", name)]
        every = changed(pairs, {"deviceidentifier": WRONG["deviceidentifier"]})
        yield from (f"/devices/?{query_of(one)}" for one in (pairs, *every))
