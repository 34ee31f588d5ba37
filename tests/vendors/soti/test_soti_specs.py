"""Requests and simulated records against MobiControl's own description, which is no part of the project."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import mdmsdk
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.simulator import Fleet, serve
from mdmsdk_soti.simulator import SotiSimulator
from mdmsdk_soti.simulator.records import record

SPECS = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[3] / ".." / "shared" / "specs")
FILE = SPECS / "soti-mobicontrol.json"
FLEET = Fleet.generate(40, seed=3)

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE.name} is not in $MDMSDK_SPECS or {SPECS}")


@pytest.fixture(scope="module")
def spec() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))


def members(spec: Any, name: str) -> dict[str, Any]:
    """The properties of a definition, with those that it takes over."""
    definition = spec["definitions"][name]
    found = dict(definition.get("properties", {}))
    for part in definition.get("allOf", []):
        if "$ref" in part:
            found |= members(spec, part["$ref"].rpartition("/")[2])
        found |= part.get("properties", {})
    return found


def values(spec: Any, member: Any) -> list[str] | None:
    """The words that a member may have, where the description names them."""
    reference = member.get("$ref") or next((one.get("$ref") for one in member.get("allOf", [])), None)
    return spec["definitions"][reference.rpartition("/")[2]].get("enum") if reference else None


def test_simulated_records_have_the_members_and_words_of_the_description(spec: Any) -> None:
    for device in FLEET:
        row = record(device, "an-id")
        known = members(spec, row.pop("$type"))
        row.pop("IsEnrolled", None)  # recordings have it
        assert set(row) <= set(known), set(row) - set(known)
        for name, value in row.items():
            words = values(spec, known[name])
            assert not words or value is None or value in words, (name, value)


def test_all_requests_are_described(spec: Any) -> None:
    simulator = SotiSimulator(FLEET, any_spelling=True)
    with serve(simulator) as running, mdmsdk.connect(**running.settings) as client:
        for kind in ("mac", "serial", "imei", "id", "udid", "hostname"):
            found = (simulator.identifiers(device).get(kind) for device in FLEET)
            client.lookup(KEY_KINDS[kind](next(filter(None, found))))
        for device in [*client.noncompliant()][:3]:
            client.reasons(device)
    asked = [request for request in simulator.requests if not request.path.endswith("/token")]
    described = {
        re.compile("/mobicontrol/api" + re.sub(r"\{\w+\}", "[^/]+", path)): operations["get"]
        for path, operations in spec["paths"].items()
        if "get" in operations
    }
    assert len(asked) > 15
    for request in asked:
        fits = [one for path, one in described.items() if path.fullmatch(request.path)]
        names = {parameter["name"] for one in fits for parameter in one.get("parameters", [])}
        assert fits, request.path
        assert {name for name, _ in request.query} <= names
