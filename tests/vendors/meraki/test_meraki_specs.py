"""The simulator's answers have the form that Meraki's own description gives them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from mdmsdk.simulator import Fleet
from mdmsdk_meraki.records import FIELDS
from mdmsdk_meraki.simulator.rows import sm_id

pytestmark = pytest.mark.usefixtures("in_no_hurry")

SPECS = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[3] / "../shared/specs")
FILE = "meraki-dashboard-1.42-sm.json"
TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}  # fmt: skip
# Newer than the description, or in no description at all.
KNOWN_EXTRAS = {"cloud.region.host", "hasChromeMdm"}


@pytest.fixture(scope="module")
def spec() -> Any:
    path = SPECS / FILE
    if not path.is_file():
        pytest.skip(f"the vendor's description {FILE} is not here; MDMSDK_SPECS names its folder")
    return json.loads(path.read_text(encoding="utf-8"))


def problems(
    schema: dict[str, Any], value: Any, place: str = "", asked: frozenset[str] = frozenset()
) -> list[str]:
    """What contradicts the description: types, words, and fields that it does not have."""
    if value is None:
        return []  # the description never says so, the dashboard does it all the same
    kind = schema.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{place} is no {kind}"]
    found = [f"{place} is none of {schema['enum']}"] if value not in schema.get("enum", [value]) else []
    if kind == "array":
        for item in value:
            found += problems(schema.get("items", {}), item, place, asked)
    described = schema.get("properties")
    if kind == "object" and described:
        for name, inner in value.items():
            path = f"{place}.{name}".lstrip(".")
            if name in described:
                found += problems(described[name], inner, path, asked)
            elif path not in KNOWN_EXTRAS and name not in asked:
                found.append(f"{path} is not described")
        found += [f"{place}.{name} is missing" for name in described if name not in value]
    return found


def schema_of(spec: Any, path: str) -> dict[str, Any]:
    described = spec["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return dict(described)


NETWORK = "/networks/{networkId}"


@pytest.mark.parametrize("described", [
    "/organizations",
    "/organizations/{organizationId}/networks",
    "/administered/identities/me",
    f"{NETWORK}/sm/devices",
    f"{NETWORK}/sm/devices/{{deviceId}}/networkAdapters",
    f"{NETWORK}/pii/smDevicesForKey",
])  # fmt: skip
def test_answers(spec: Any, simulate: Any, described: str) -> None:
    running = simulate(fleet=Fleet.generate(30, seed=2))
    device = running.simulator.fleet[0]
    path = described.format(
        organizationId="2930400", networkId=running.simulator.network_of(device), deviceId=sm_id(device)
    )
    params = {"fields[]": list(FIELDS)} if path.endswith("sm/devices") else {}
    params |= {"serial": [device.serial_number]} if "pii" in path else {}
    answer = httpx.get(
        f"{running.settings['base_url']}{path}",
        params=params,
        headers={"Authorization": f"Bearer {running.settings['api_key']}"},
        trust_env=False,
    )
    assert answer.status_code == 200
    assert answer.json()
    asked = frozenset(FIELDS) if "fields[]" in params else frozenset()
    assert problems(schema_of(spec, described), answer.json(), asked=asked) == []
    paged = "Link" in spec["paths"][described]["get"]["responses"]["200"].get("headers", {})
    assert not paged or "rel=first" in answer.headers["link"]


def test_every_extra_field_is_in_the_description(spec: Any) -> None:
    parameters = spec["paths"][f"{NETWORK}/sm/devices"]["get"]["parameters"]
    (described,) = [parameter["description"] for parameter in parameters if parameter["name"] == "fields"]
    listed = {word.strip(" .\n") for word in described.replace("and ", "").split(":")[-1].split(",")}
    assert set(FIELDS) <= listed


def fits(path: str, parts: list[str]) -> bool:
    names = path.split("/")
    return len(names) == len(parts) and all(
        given == name or name.startswith("{") for given, name in zip(parts, names, strict=True)
    )


def test_every_parameter_that_is_sent_is_described(spec: Any, simulate: Any, connect_to: Any) -> None:
    running = simulate(20)
    client = connect_to(running)
    list(client.noncompliant())
    for device in running.simulator.fleet[:3]:
        for kind, value in running.simulator.identifiers(device).items():
            if kind in {"mac", "serial", "udid", "guid", "imei"}:
                client.find(f"{kind}:{value}")
    # In the machine-made index of August 2026, but not yet in this description.
    known = {"productTypes", "perPage"}
    for request in running.simulator.requests:
        parts = request.path.removeprefix("/api/v1").split("/")
        (path,) = [path for path in spec["paths"] if "get" in spec["paths"][path] and fits(path, parts)]
        described = {parameter["name"] for parameter in spec["paths"][path]["get"].get("parameters", [])}
        assert {name.removesuffix("[]") for name, _ in request.query} <= described | known


@pytest.mark.parametrize(
    ("path", "status", "json_errors"),
    [
        ("/api/v1/networks/N_404/sm/devices", 404, True),
        ("/api/v1/organizations/404/networks", 404, True),
        ("/api/v1/networks/N_1000/sm/devices?perPage=2", 400, True),
        ("/api/v1/networks/N_1000/sm/devices?startingAfter=%21", 400, True),
        ("/api/v1/networks/N_1000/sm/devices/4/networkAdapters", 404, True),
        ("/api/v1/networks/N_1000/pii/smDevicesForKey", 400, True),
        ("/api/v1/networks/N_404/pii/smDevicesForKey?mac=x", 404, True),
        ("/api/v1/nothing", 404, False),
    ],
)
def test_errors(simulate: Any, path: str, status: int, json_errors: bool) -> None:
    running = simulate(12)
    answer = httpx.get(
        f"{running.origin}{path}",
        headers={"X-Cisco-Meraki-API-Key": running.settings["api_key"]},
        trust_env=False,
    )
    assert answer.status_code == status
    if json_errors:
        assert list(answer.json()) == ["errors"]
    else:
        assert answer.text.startswith("<html>")
    assert httpx.get(f"{running.origin}/api/v1/organizations", trust_env=False).status_code == 401


def test_token_service_refuses(simulate: Any) -> None:
    running = simulate(12)
    url = f"{running.origin}/oauth/token"
    assert httpx.post(url, data={}, trust_env=False).json() == {"error": "invalid_client"}
    client = (running.simulator.habits.client_id, running.simulator.habits.client_secret)
    answer = httpx.post(url, data={"grant_type": "refresh_token"}, auth=client, trust_env=False)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})
