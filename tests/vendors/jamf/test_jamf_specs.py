"""The simulated server's answers, and the names that the provider uses, against the vendor's descriptions."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk_jamf.records import COMPUTERS, MOBILE_DEVICES, REALMS, VERSIONS
from mdmsdk_jamf.refusals import PRIVILEGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.simulator import RunningSimulator
    from mdmsdk_jamf.simulator import JamfSimulator

SPECS = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[3] / "../shared/specs")


def load(name: str) -> dict[str, Any]:
    path = SPECS / name
    if not path.is_file():
        pytest.skip(f"the vendor's description {name} is not here; MDMSDK_SPECS names its folder")
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return load("jamf-pro-11.30.json")


@pytest.fixture(scope="module")
def classic() -> dict[str, Any]:
    return load("jamf-classic-11.30.json")


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "number": (int, float),
}


class Validator:
    """As much of OpenAPI 3.0 as the description uses. What it does not name is an error as well."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.schemas = spec["components"]["schemas"]

    def problems(self, value: Any, schema: dict[str, Any], place: str = "$") -> Iterator[str]:
        schema = self.resolve(schema, value)
        if value is None:  # recorded answers have null where a section or value is missing
            return
        kind = schema.get("type", "object")
        if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            yield f"{place}: {value!r} is no {kind}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{place}: {value!r} is none of {schema['enum']}"
        if schema.get("format") == "date-time" and not re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", str(value)
        ):
            yield f"{place}: {value!r} is no date-time"
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self.problems(item, schema["items"], f"{place}[{index}]")
        if isinstance(value, dict):
            known = schema.get("properties", {})
            yield from (
                f"{place}.{name} is missing" for name in schema.get("required", []) if name not in value
            )
            yield from (f"{place}.{name} is not described" for name in value if name not in known)
            for name in value.keys() & known.keys():
                yield from self.problems(value[name], known[name], f"{place}.{name}")

    def resolve(self, schema: dict[str, Any], value: Any) -> dict[str, Any]:
        if "$ref" in schema:
            return self.resolve(self.schemas[schema["$ref"].rpartition("/")[2]], value)
        if "discriminator" in schema:
            choice = schema["discriminator"]
            return self.resolve({"$ref": choice["mapping"][value[choice["propertyName"]]]}, value)
        if "allOf" in schema:
            merged: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
            for part in schema["allOf"]:
                whole = self.resolve(part, value)
                merged["properties"] |= whole.get("properties", {})
                merged["required"] += whole.get("required", [])
            return merged
        return schema


PATHS: dict[str, dict[str, Any]] = {
    "/v1/jamf-pro-version": {},
    "/v4/computers-inventory": {"section": COMPUTERS.sections},
    "/v3/computers-inventory": {"section": COMPUTERS.sections},
    "/v1/computers-inventory": {"section": COMPUTERS.sections},
    "/v2/mobile-devices/detail": {"section": MOBILE_DEVICES.sections, **MOBILE_DEVICES.params},
    "/v3/computer-groups/smart-groups": {},
    "/v1/computer-groups": {},
    "/v2/mobile-device-groups/smart-groups": {},
    "/v1/conditional-access/device-compliance-information/computer/{deviceId}": {},
    "/v1/conditional-access/device-compliance-information/mobile/{deviceId}": {},
}


def answer_schema(
    spec: dict[str, Any], path: str, method: str = "get", status: str = "200"
) -> dict[str, Any]:
    content = spec["paths"][path][method]["responses"][status]["content"]["application/json"]
    return dict(content["schema"])


@contextmanager
def logged_in(running: RunningSimulator[JamfSimulator]) -> Iterator[httpx.Client]:
    habits = running.simulator.habits
    form = {
        "grant_type": "client_credentials",
        "client_id": habits.client_id,
        "client_secret": habits.client_secret,
    }
    with httpx.Client(base_url=f"{running.origin}/api", verify=False) as http:  # noqa: S501 - http
        token = http.post("/v1/oauth/token", data=form).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        yield http


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("habits", [{}, {"spaced_imei": True, "lower_case_macs": True}])
def test_answers_are_as_described(
    spec: dict[str, Any], start: Callable[..., Any], path: str, habits: dict[str, Any]
) -> None:
    running = start(**habits)
    devices = running.simulator.fleet
    wanted = "computer" if "computer/" in path else "mobile"
    ids = [one.id for one in devices if (one.kind in {"laptop", "desktop"}) == (wanted == "computer")]
    with logged_in(running) as http:
        for number in ids[:10] if "{" in path else ids[:1]:
            answer = http.get(path.replace("{deviceId}", str(number)), params=PATHS[path])
            assert answer.status_code == 200, answer.text
            payload = answer.json()
            schema = answer_schema(spec, path)
            assert [*Validator(spec).problems(payload, schema)] == []


def test_tokens_and_errors_are_as_described(spec: dict[str, Any], start: Callable[..., Any]) -> None:
    running = start()
    habits, check = running.simulator.habits, Validator(spec)
    form = {
        "grant_type": "client_credentials",
        "client_id": habits.client_id,
        "client_secret": habits.client_secret,
    }
    with httpx.Client(base_url=f"{running.origin}/api", verify=False) as http:  # noqa: S501 - http
        good = http.post("/v1/oauth/token", data=form).json()
        bad = http.post("/v1/oauth/token", data={**form, "client_secret": "x"})
        user = http.post("/v1/auth/token", auth=(habits.username, habits.password)).json()
        refused = http.post("/v1/auth/token", auth=("x", "y"))
        http.headers["Authorization"] = f"Bearer {user['token']}"
        renewed = http.post("/v1/auth/keep-alive").json()
    assert not [*check.problems(good, answer_schema(spec, "/v1/oauth/token", "post"))]
    assert not [
        *check.problems(bad.json(), answer_schema(spec, "/v1/oauth/token", "post", str(bad.status_code)))
    ]
    assert not [*check.problems(user, answer_schema(spec, "/v1/auth/token", "post"))]
    assert not [*check.problems(refused.json(), answer_schema(spec, "/v1/auth/token", "post", "401"))]
    assert not [*check.problems(renewed, answer_schema(spec, "/v1/auth/keep-alive", "post"))]


def test_the_validator_sees_what_is_wrong(spec: dict[str, Any]) -> None:
    check, schema = Validator(spec), answer_schema(spec, "/v4/computers-inventory")
    payloads: list[Any] = [
        [],
        {"totalCount": "1"},
        {"results": [{"id": 1}]},
        {"results": [{"general": {"lastContactTime": "2026-01-01T00:00:00Z"}}]},
        {"results": [{"general": {"lastContact": "yesterday"}}]},
        {"results": [{"operatingSystem": {"fileVault2Status": "ON"}}]},
    ]
    for payload in payloads:
        assert [*check.problems(payload, schema)], payload


@pytest.mark.parametrize("realm", REALMS.values(), ids=list(REALMS))
def test_the_provider_uses_sections_and_fields_that_there_are(spec: dict[str, Any], realm: Any) -> None:
    paths = [path for path in spec["paths"] if path in {realm.path.format(version=v)[4:] for v in VERSIONS}]
    assert paths
    for path in paths:
        parameters = {
            one.get("name", one.get("$ref")): one for one in spec["paths"][path]["get"]["parameters"]
        }
        reference = parameters["section"]["schema"]["items"]["$ref"].rpartition("/")[2]
        assert set(realm.sections) <= set(spec["components"]["schemas"][reference]["enum"])
        searched = {name for names in realm.fields.values() for name in names} | {realm.id_field}
        described = set(re.findall(r"`([\w.]+)`", parameters["filter"]["description"]))
        assert searched <= described
        assert realm.id_field in re.findall(r"`([\w.]+)`", parameters["sort"]["description"])
        assert set(realm.params) <= set(parameters)


def test_the_privileges_in_hints_are_the_described_ones(spec: dict[str, Any]) -> None:
    for path, operations in spec["paths"].items():
        needed = operations.get("get", {}).get("x-required-privileges")
        hint = next((names for part, names in PRIVILEGES if part and part in f"/api{path}"), None)
        if needed and hint and "membership" not in path:
            assert set(hint.split(" and ")) == set(needed), path


def test_paths_of_the_classic_api_exist(classic: dict[str, Any]) -> None:
    assert {
        "/computers/match/{match}",
        "/advancedcomputersearches",
        "/advancedcomputersearches/id/{id}",
        "/advancedmobiledevicesearches",
        "/advancedmobiledevicesearches/id/{id}",
    } <= set(classic["paths"])
