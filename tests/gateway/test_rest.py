"""Lookups, lists and servers over the REST face."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk.errors import ConnectError
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.models import Compliance, ComplianceState
from mdmsdk.testing import FakeServer
from tests.gateway.conftest import GUID, MAC, SETTINGS, device

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mdmsdk.models import Device
    from tests.gateway.conftest import Faces, Open


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_chain_is_asked_for_in_order(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(guid=None)]})
    told = faces.rest.post("/v1/lookup", json={"chain": [f"guid:{GUID}", f"mac:{MAC}"]}).json()
    assert (told["kind"], told["decision"]) == ("mac", "unknown")  # a MAC address may be somebody else's


def test_many_keys_are_answered_line_by_line_in_order(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]})
    keys = [f"mac:{MAC}", "mac:00:1B:44:11:3A:B8", "no key", f"guid:{GUID}"]
    *told, last = lines(faces.rest.post("/v1/lookup", json={"keys": keys}).text)
    assert [one["decision"] for one in told] == ["compliant", "not_registered", "no_answer", "compliant"]
    assert last == {"end": {"complete": True, "lines": 4, "error": None}}


def test_lists_and_servers(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(), device("noncompliant", id="2")], "two": []})
    one, two, last = lines(faces.rest.get("/v1/devices").text)
    assert [one["id"], two["id"]] == ["1", "2"]
    assert last == {"end": {"complete": True, "lines": 2, "error": None}}
    assert [one.get("id") for one in lines(faces.rest.get("/v1/noncompliant?servers=one").text)] == [
        "2",
        None,
    ]
    (last,) = lines(faces.rest.get("/v1/noncompliant?servers=two").text)
    assert last == {"end": {"complete": True, "lines": 0, "error": None}}
    for wrong in ("servers=nobody", "servers=", "servers=one&servers=two", "server=one"):
        assert faces.rest.get(f"/v1/noncompliant?{wrong}").status_code == 400
    assert [(one["server"], one["ok"]) for one in faces.rest.get("/v1/servers").json()] == [
        ("one", True),
        ("two", True),
    ]


def test_half_characters_of_a_server_hide_nothing_else(gateway: Open) -> None:
    key = {**SETTINGS["rest"]["keys"][0], "scopes": ["lookup", "servers", "decisions"]}
    denied = {"decision": "deny", "until": "2100-01-01T00:00:00Z", "reason": "stolen", "by": "somebody"}
    half = device(compliance=Compliance(state=ComplianceState.NONCOMPLIANT, reasons=("half of one: \ud83d",)))
    faces: Faces = gateway(
        {"one": [half], "two": FakeServer(down=ConnectError("half of one: \ud83d"))},
        rest={"keys": [key]},
        overrides=[{"key": f"mac:{MAC}", **denied}],
    )
    told = faces.rest.get(f"/v1/devices/mac/{MAC}").json()
    assert told["decision"] == "noncompliant"
    assert told["device"]["compliance"]["reasons"][1:] == ["half of one: ?"]
    assert faces.rest.get(f"/v1/devices/guid/{GUID}").json()["decision"] == "noncompliant"
    assert [one["decision"] for one in faces.rest.get("/v1/decisions").json()] == ["noncompliant"] * 2
    assert [one["ok"] for one in faces.rest.get("/v1/servers").json()] == [True, False]


def test_a_stream_that_is_cut_off_has_no_end(
    gateway: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> AsyncIterator[Device]:
        yield device()
        yield device(id="2")
        raise ZeroDivisionError(MAC)

    monkeypatch.setattr(AsyncMdmFederation, "devices", broken)
    faces: Faces = gateway({"one": []})
    came: list[bytes] = []
    with faces.rest.stream("GET", "/v1/devices") as answer, pytest.raises(httpx.RemoteProtocolError):
        came.extend(answer.iter_raw())
    assert b'"end"' not in b"".join(came)
    assert "a fault of the gateway" in caplog.text
    assert MAC not in caplog.text
    assert "Traceback" not in caplog.text


def test_a_fault_is_told_without_its_words(
    gateway: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError(MAC)

    monkeypatch.setattr(AsyncMdmFederation, "lookup", broken)
    faces: Faces = gateway({"one": []})
    for answer in (faces.rest.get(f"/v1/devices/mac/{MAC}"), faces.ask(3, "macaddress", MAC)):
        assert answer.status_code == 500
        assert MAC not in answer.text
    assert caplog.text.count("a fault of the gateway: ZeroDivisionError") == 2
    assert MAC not in caplog.text
    assert "Traceback" not in caplog.text


def test_health_is_ours_and_readiness_that_of_the_servers(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()], "two": FakeServer(down=ConnectError("no route"))})
    assert faces.rest.get("/healthz", headers={"Authorization": ""}).text == "ok\n"
    ready = faces.rest.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "servers": 2, "answering": 1})
    faces = gateway({"two": FakeServer(down=ConnectError("no route"))})
    assert faces.rest.get("/healthz").status_code == 200
    assert faces.rest.get("/readyz").status_code == 503


def test_a_question_may_choose_servers_and_age(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()], "two": [device("noncompliant")]})
    where = f"/v1/devices/mac/{MAC}"
    assert faces.rest.get(where).json()["decision"] == "noncompliant"
    assert faces.rest.get(where, params={"servers": "one", "fresh": "true"}).json()["decision"] == "compliant"
    assert faces.rest.get(where, params={"max_age": "x"}).status_code == 400
    assert faces.rest.get(where, params={"max_age": "nan"}).status_code == 400
    assert faces.rest.get(f"{where}?fresh=true&fresh=false").status_code == 400


def test_an_identifier_is_of_the_kind_that_the_path_names(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(id=f"Jamf:GUID:{GUID}", guid=None)]})
    told = faces.rest.get(f"/v1/devices/id/Jamf:GUID:{GUID}").json()
    assert (told["kind"], told["decision"]) == ("id", "compliant")
    assert faces.rest.get("/v1/devices/colour/red").status_code == 404


def test_what_the_cache_gives_again_differs_in_its_age_alone(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(name='a "name" }')]}, federation={"cache_ttl": 60})
    path = f"/v1/devices/mac/{MAC}"
    faces.rest.get(path)
    first, second, line = (
        faces.rest.get(path).json(),
        faces.rest.get(path).json(),
        faces.rest.post("/v1/lookup", json={"keys": [MAC]}).text.splitlines()[0],
    )
    assert second["age"] >= first["age"]
    assert {**first, "age": 0} == {**second, "age": 0} == {**json.loads(line), "age": 0}
