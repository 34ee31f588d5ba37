"""The simulator's answers against UEM's own descriptions of its API, which are no part of the project."""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mdmsdk.simulator import Fleet, RunningSimulator
from mdmsdk_workspaceone.simulator import WorkspaceOneSimulator

Start = Callable[..., RunningSimulator[WorkspaceOneSimulator]]
SPECS = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[3] / ".." / "shared" / "specs")
JSON = "application/json"

pytestmark = pytest.mark.skipif(
    not (SPECS / "workspace-one-mdm-v1.json").is_file(),
    reason=f"the vendor's descriptions are not in $MDMSDK_SPECS or {SPECS}",
)


class Description:
    """One version of one section of the API."""

    def __init__(self, name: str) -> None:
        self.spec = json.loads((SPECS / f"workspace-one-{name}.json").read_text(encoding="utf-8"))

    def schema(self, method: str, path: str, status: int) -> Any:
        operation = self.spec["paths"][path][method.lower()]
        for content_type, content in operation["responses"][str(status)].get("content", {}).items():
            if content_type.startswith(JSON):
                return content.get("schema")
        return None

    def parameters(self, method: str, path: str) -> set[str]:
        operation = self.spec["paths"][path][method.lower()]
        return {parameter["name"] for parameter in operation.get("parameters", [])}

    def faults(self, schema: Any, value: Any, place: str = "$") -> Iterator[str]:
        """What is wrong with a value; a name that the schema lacks is wrong as well."""
        while "$ref" in schema:
            schema = self.spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        kind = schema.get("type")
        kinds = {
            "object": dict,
            "array": list,
            "string": str,
            "boolean": bool,
            "integer": int,
            "number": int | float,
        }
        number = isinstance(value, bool) and kind in {"integer", "number"}
        if kind and (not isinstance(value, kinds[kind]) or number):
            yield f"{place}: {type(value).__name__} instead of {kind}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{place}: {value} is no value of the enumeration"
        if schema.get("format") == "uuid" and not re.fullmatch(
            r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value
        ):
            yield f"{place}: {value} is no UUID"
        if schema.get("format") == "date-time":
            datetime.fromisoformat(value)
        if isinstance(value, dict) and "properties" in schema:
            for name, inner in value.items():
                if name not in schema["properties"]:
                    yield f"{place}.{name}: not described"
                else:
                    yield from self.faults(schema["properties"][name], inner, f"{place}.{name}")
        for inner in value if isinstance(value, list) else ():
            yield from self.faults(schema.get("items", {}), inner, f"{place}[]")


class Asker:
    """Asks a simulator, and judges what it answers."""

    def __init__(self, running: RunningSimulator[WorkspaceOneSimulator]) -> None:
        habits = running.simulator.habits
        self.http = httpx.Client(
            base_url=f"{running.origin}/api",
            auth=(habits.username, habits.password),
            headers={"aw-tenant-code": habits.tenant_code},
        )

    def __call__(
        self, section: str, version: int, path: str, *, method: str = "GET", status: int = 200, **more: Any
    ) -> set[str]:
        """The deviations of an answer to a call, the description of which is at `path`."""
        description = Description(f"{section}-v{version}")
        filled = path.format(**more.pop("values", {}))
        accept = JSON if version == 1 else f"{JSON};version={version}"
        answer = self.http.request(method, f"/{section}{filled}", headers={"Accept": accept}, **more)
        assert answer.status_code == status
        assert set(more.get("params", {})) <= description.parameters(method, path)
        schema = description.schema(method, path, status)
        return set(description.faults(schema, answer.json())) if schema else set()


@pytest.fixture
def ask(start: Start) -> Iterator[Callable[..., Asker]]:
    opened: list[Asker] = []

    def open_one(fleet: Fleet, **habits: Any) -> Asker:
        opened.append(Asker(start(fleet, **habits)))
        return opened[-1]

    yield open_one
    for asker in opened:
        asker.http.close()


def answers(asker: Asker, fleet: Fleet) -> set[str]:
    """All deviations of all kinds of successful answers."""
    device = next(device for device in fleet if device.imei and device.failure_reasons)
    found = asker("system", 1, "/info")
    for version, size in ((1, "pagesize"), (2, "pagesize"), (3, "page_size")):
        found |= asker("mdm", version, "/devices/search", params={"page": 0, size: 500})
    for search, value in (
        ("Macaddress", device.mac_addresses[0]),
        ("Udid", device.udid),
        ("Serialnumber", device.serial_number),
        ("ImeiNumber", device.imei),
        ("DeviceId", str(device.id)),
    ):
        found |= asker("mdm", 1, "/devices", params={"searchby": search, "id": value})
    found |= asker("mdm", 1, "/devices/{id}", values={"id": device.id})
    for each in fleet:
        for version in (2, 3):
            found |= asker("mdm", version, "/devices/{uuid}", values={"uuid": each.guid})
    body = {"BulkValues": {"Value": [each.serial_number for each in fleet]}}
    found |= asker("mdm", 1, "/devices", method="POST", params={"searchby": "Serialnumber"}, json=body)
    found |= asker("mdm", 1, "/devices/{deviceId}/compliance", values={"deviceId": device.id})
    found |= asker("mdm", 1, "/devices/compliance", params={"searchBy": "Udid", "id": device.udid})
    return found


def test_answers_are_as_described(ask: Callable[..., Asker]) -> None:
    fleet = Fleet.generate(40, seed=5)
    assert answers(ask(fleet, integer_enums=False), fleet) == set()


def test_what_recordings_have_otherwise_is_all_that_differs(ask: Callable[..., Asker]) -> None:
    fleet = Fleet.generate(40, seed=5)
    deviations = {deviation.rpartition(".")[2] for deviation in answers(ask(fleet), fleet)}
    assert deviations == {
        "ManagedBy: int instead of string",
        "managedBy: int instead of string",
        "ActionType: int instead of string",
    }


def test_refusals_are_as_described(ask: Callable[..., Asker]) -> None:
    asker = ask(Fleet.generate(12))
    unknown = "00000000-dead-4bad-8bad-00000000c0de"
    # The description calls the message an object; samples have a text.
    expected = {"$.message: str instead of object"}
    nobody = {"searchby": "Udid", "id": "none-such"}
    assert asker("mdm", 1, "/devices", status=404, params=nobody) == expected
    assert asker("mdm", 1, "/devices", status=422, params={**nobody, "searchby": "Colour"}) == expected
    for version in (2, 3):
        assert asker("mdm", version, "/devices/{uuid}", status=404, values={"uuid": unknown}) == expected
    assert asker("mdm", 1, "/devices/search", status=400, params={"lgid": 999}) == expected
    assert (
        asker("mdm", 3, "/devices/search", status=404, params={"organization_group_uuid": unknown})
        == expected
    )


def test_the_judge_sees_deviations() -> None:
    description = Description("mdm-v3")
    schema = description.schema("GET", "/devices/{uuid}", 200)
    wrong = {
        "id": "7",
        "uuid": "7",
        "colour": "red",
        "passcode_present": "PERHAPS",
        "enrollment_info": {"compliance_status": "FINE"},
        "supervised": 1,
    }
    assert len(set(description.faults(schema, wrong))) == 6
    assert not set(description.faults(schema, {"id": 7}))
