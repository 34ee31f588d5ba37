"""The answers have the fields that Cisco's own descriptions list, no more and no fewer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mdmsdk.simulator import Fleet
    from tests.simulator.conftest import IseClient

SPECS = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[2] / "../shared/specs")
FILES = {2: "cisco-ise-mdm-v1-v2.swagger.yaml", 3: "cisco-ise-mdm-v3.swagger.yaml"}
# In the filter table of the specification, but in none of its examples nor in any answer seen.
NEVER_SEEN = {"period"}


@pytest.fixture(params=[2, 3])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def spec(version: int) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="reading the descriptions needs PyYAML")
    path = SPECS / FILES[version]
    if not path.is_file():
        pytest.skip(f"the vendor's description {path.name} is not here; MDMSDK_SPECS names its folder")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def properties(spec: dict[str, Any], definition: str, *path: str) -> set[str]:
    node = spec["definitions"][definition]
    for name in path:
        node = node["properties"][name]
    return set(node["properties"])


def test_discovery(spec: dict[str, Any], version: int, ise: IseClient) -> None:
    info = ise.xml("/ciscoise/mdminfo/", ise_api_version=version)
    assert set(ise.tags(info)) == properties(spec, "mdm-server-info")


def test_devices(spec: dict[str, Any], version: int, ise: IseClient, fleet: Fleet) -> None:
    definition = "mdm-device-attributes-response"
    page = ise.devices("macaddress", fleet.noncompliant()[0].mac_addresses[0], version=version)
    assert set(ise.tags(page)) == properties(spec, definition)
    device = "deviceList/device"
    assert set(ise.tags(page, device)) == properties(spec, definition, "deviceList", "device")
    described = properties(spec, definition, "deviceList", "device", "attributes")
    assert described <= set(ise.tags(page, f"{device}/attributes"))
    compliance = properties(spec, definition, "deviceList", "device", "attributes", "compliance")
    assert set(ise.tags(page, f"{device}/attributes/compliance")) == compliance


def test_attributes_are_those_of_the_filter_table(
    spec: dict[str, Any], version: int, ise: IseClient, fleet: Fleet
) -> None:
    path = next(path for path in spec["paths"] if path.endswith("/devices/"))
    (described,) = [p for p in spec["paths"][path]["get"]["parameters"] if p["name"] == "filter"]
    text = described["description"].lower().replace(" ", "_")
    device = next(device for device in fleet if device.phone_number)
    page = ise.devices("udid", device.udid, version=version)
    names = {tag.lower() for tag in ise.tags(page, "deviceList/device/attributes")}
    spelled = {"compliance": "compliance_status", "macaddresses": "mac_addresses"}
    assert not [name for name in names if f"<td>{spelled.get(name, name)}</td>" not in text]
    rows = text.count("<tr>") - 1
    assert rows == len(names | (NEVER_SEEN if version == 3 else set()))
