"""The lists of the ISE face: what does not comply, what does, and everything; also while they are read."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import UnsupportedOperationError
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.testing import FakeServer, fakes, open_client
from tests.gateway.conftest import GUID, LOGIN, MAC, device
from tests.gateway.test_decisions import DOWN, rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mdmsdk.models import Device
    from tests.gateway.conftest import Faces, Open

ISE = {"username": LOGIN[0], "password": LOGIN[1], "list_age": 0}
DOCK = "00:1B:44:11:3A:D0"


def one(number: int, state: str = "compliant", **facts: Any) -> Device:
    """A device of its own: another serial number, GUID and MAC address for each number."""
    basic: dict[str, Any] = {
        "id": str(number),
        "guid": f"{GUID[:-2]}{number:02}",
        "serial_number": f"SN{number:04}",
        "mac_addresses": (f"{MAC[:-2]}{number:02}",),
    }
    return device(state, **{**basic, **facts})


def listed(faces: Faces, value: str, version: int = 2) -> dict[str, bool]:
    """The serial numbers of a list, and whether each complies."""
    where = f"/ciscoise/mdmapi/v{version}/devices/"
    asked = {"querycriteria": "compliance", "value": value} if value else {}
    found = rows(faces.ise.get(where, params={"paging": "0", **asked, "filter": "all"}))
    attributes = [row["attributes"] for row in found if "serial_number" in row["attributes"]]
    return {each["serial_number"]: each["compliance"]["status"] == "true" for each in attributes}


@pytest.mark.parametrize(
    ("servers", "complying", "others"),
    [
        ([[one(1), one(2, "noncompliant"), one(3, "grace"), one(4, "unknown")]], {1}, {2, 3, 4}),
        ([[one(1, registered=False), one(2)]], {2}, set()),
        # Another server's word on the same device, by whatever both show.
        ([[one(1)], [one(1, "noncompliant")]], set(), {1}),
        ([[one(1)], [one(1, "unknown", guid=None, mac_addresses=())]], set(), {1}),
        ([[one(1)], [one(1, "noncompliant", guid=None, serial_number=None)]], set(), {1}),
        ([[one(1)], [one(1, registered=False)]], {1}, set()),
        ([[one(1), one(1, "noncompliant", id="9")]], set(), {1}),
        # Another device, although both were in one dock.
        ([[one(1, mac_addresses=(DOCK,)), one(2, "noncompliant", mac_addresses=(DOCK,))]], {1}, {2}),
        ([[one(1, mac_addresses=(DOCK,))], [one(2, "noncompliant", mac_addresses=(DOCK,))]], {1}, {2}),
        # An inventory vouches for nobody.
        ([FakeServer([one(1)], judges=False), [one(2)]], {2}, {1}),
        ([FakeServer([one(1)], judges=False), [one(1)]], {1}, set()),
    ],
)
def test_what_complies_and_everything(
    gateway: Open, servers: list[Any], complying: set[int], others: set[int]
) -> None:
    faces: Faces = gateway({f"server{number}": each for number, each in enumerate(servers)}, ise=ISE)
    good = {f"SN{number:04}": True for number in complying}
    assert listed(faces, "true") == good
    assert listed(faces, "") == good | {f"SN{number:04}": False for number in others}
    bad = listed(faces, "false")
    assert not any(bad.values())
    assert not bad.keys() & good.keys()


def test_grace_and_denials_in_lists(gateway: Open) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    denial = {"key": f"mac:{MAC[:-2]}01", "decision": "deny", "until": until, "reason": "lost", "by": "noc"}
    allowed = {**denial, "decision": "allow", "key": f"mac:{MAC[:-2]}03"}
    faces: Faces = gateway(
        {"one": [one(1), one(2, "grace"), one(3, "unknown")]},
        ise={**ISE, "grace": True},
        overrides=[denial, allowed],
    )
    assert listed(faces, "true") == {"SN0002": True}
    assert listed(faces, "") == {"SN0001": False, "SN0002": True, "SN0003": False}


def denials(*keys: str) -> list[dict[str, str]]:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    return [{"key": key, "decision": "deny", "until": until, "reason": "lost", "by": "noc"} for key in keys]


def reasons(faces: Faces) -> dict[str, tuple[str, ...]]:
    """Why the devices of the REST face's list of what does not comply do not, by serial number."""
    *found, last = map(json.loads, faces.rest.get("/v1/noncompliant").text.splitlines())
    assert last["end"]["complete"]
    assert {each["compliance"]["state"] for each in found} <= {"noncompliant"}
    return {each["serial_number"]: tuple(each["compliance"]["reasons"]) for each in found}


def test_who_is_denied_stands_in_the_list_of_what_does_not_comply(gateway: Open) -> None:
    mac = f"mac:{MAC[:-2]}"
    overrides = denials(f"{mac}01", f"{mac}02", "serial:SN0002", "serial:SN0003", f"{mac}05", f"{mac}09")
    # An allowance takes nobody out.
    overrides.append({**overrides[0], "key": f"{mac}04", "decision": "allow"})
    gone = [one(3, registered=False)]
    whole = [one(1, "noncompliant"), one(2), one(4, "noncompliant"), *gone, one(6)]
    servers = {"one": whole, "two": [one(2), one(5)]}
    faces: Faces = gateway(servers, ise=ISE, overrides=overrides)
    assert listed(faces, "false") == dict.fromkeys(("SN0001", "SN0002", "SN0004", "SN0005"), False)
    told = reasons(faces)
    assert told.keys() == {"SN0001", "SN0002", "SN0004", "SN0005"}
    for serial, said in told.items():
        assert any("denied until" in reason for reason in said) is (serial != "SN0004")
    lines = faces.rest.get("/v1/noncompliant").text.splitlines()
    assert len(lines) == 5
    lines = faces.rest.get("/v1/noncompliant", params={"servers": "two"}).text.splitlines()
    assert len(lines) == 3


def test_all_that_share_a_denied_address_stand_in_the_list_once(gateway: Open) -> None:
    docked = [one(number, id=None, mac_addresses=(DOCK,)) for number in (1, 2)]
    bad = one(3, "noncompliant", id=None, mac_addresses=(DOCK,))
    servers = {"one": [docked[0]], "two": [docked[1]], "three": [bad], "four": [bad]}
    faces: Faces = gateway(servers, overrides=denials(f"mac:{DOCK}"))
    assert reasons(faces).keys() == {"SN0001", "SN0002", "SN0003"}
    assert len(faces.rest.get("/v1/noncompliant").text.splitlines()) == 4


def test_a_denied_device_that_nobody_could_look_up_leaves_the_list_incomplete(
    gateway: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer([one(1), one(2, "noncompliant")])
    faces: Faces = gateway({"one": server}, ise=ISE, overrides=denials(f"mac:{MAC[:-2]}01"))
    read = AsyncMdmFederation.noncompliant

    async def then_down(self: AsyncMdmFederation, **_: Any) -> AsyncIterator[Device]:
        async for found in read(self):
            yield found
        server.down = DOWN

    monkeypatch.setattr(AsyncMdmFederation, "noncompliant", then_down)
    last = json.loads(faces.rest.get("/v1/noncompliant").text.splitlines()[-1])
    assert (last["end"]["complete"], last["end"]["lines"]) == (False, 1)
    server.down = None
    with pytest.raises(AssertionError, match="cannot be read whole"):
        listed(faces, "false")


def test_who_is_denied_is_compliant_in_no_list_of_records(gateway: Open) -> None:
    """Neither by what its record shows, nor by what another server's record of the same device shows."""
    overrides = denials(f"mac:{MAC[:-2]}01", "serial:SN0003", f"mac:{MAC[:-2]}05")
    silent = one(1, mac_addresses=())
    servers = {"one": [silent, one(2), one(3, registered=False)], "two": [one(1), one(4), one(5)]}
    faces: Faces = gateway(servers, overrides=[*overrides, {**overrides[0], "decision": "allow"}])
    *found, last = map(json.loads, faces.rest.get("/v1/devices").text.splitlines())
    assert last["end"]["complete"]
    states = {(each["server"], each["serial_number"]): each["compliance"]["state"] for each in found}
    assert states == {
        ("one", "SN0001"): "noncompliant",
        ("one", "SN0002"): "compliant",
        ("one", "SN0003"): "noncompliant",
        ("two", "SN0001"): "noncompliant",
        ("two", "SN0004"): "compliant",
        ("two", "SN0005"): "noncompliant",
    }
    for each in found:
        denied = any("denied until" in reason for reason in each["compliance"]["reasons"])
        assert denied is (each["compliance"]["state"] == "noncompliant")


def test_who_is_denied_complies_in_no_list_by_an_address_that_lists_do_not_show(
    gateway: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the lists of Intune show one address of a device, and a lookup finds it by others."""
    read = AsyncMdmFederation.devices

    async def one_address(self: AsyncMdmFederation, **_: Any) -> AsyncIterator[Device]:
        async for found in read(self):
            yield found.model_copy(update={"mac_addresses": found.mac_addresses[:1]})

    monkeypatch.setattr(AsyncMdmFederation, "devices", one_address)
    docked = one(1, mac_addresses=(f"{MAC[:-2]}01", DOCK))
    server = FakeServer([docked, one(2)])
    faces: Faces = gateway({"one": server}, ise=ISE, overrides=denials(f"mac:{DOCK}"))
    assert listed(faces, "false") == {"SN0001": False}
    assert listed(faces, "true") == {"SN0002": True}
    assert listed(faces, "") == {"SN0001": False, "SN0002": True}


def test_the_list_of_records_is_incomplete_where_nobody_knows_who_is_denied(
    gateway: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer([one(1)])
    read = AsyncMdmFederation.devices

    async def then_up(self: AsyncMdmFederation, **_: Any) -> AsyncIterator[Device]:
        server.down = None
        async for found in read(self):
            yield found

    monkeypatch.setattr(AsyncMdmFederation, "devices", then_up)
    faces: Faces = gateway({"one": server}, overrides=denials("mac:00:1B:44:11:3A:09"))
    server.down = DOWN
    last = json.loads(faces.rest.get("/v1/devices").text.splitlines()[-1])
    assert (last["end"]["complete"], last["end"]["lines"]) == (False, 1)
    assert last["end"]["error"]["error"] == "IncompleteListError"


@pytest.mark.parametrize("value", ["true", "false", ""])
def test_a_list_that_is_not_whole_is_no_list(gateway: Open, value: str) -> None:
    for server in (FakeServer([one(1)], incomplete=True), FakeServer(down=DOWN)):
        faces: Faces = gateway({"one": server, "two": [one(2), one(3, "noncompliant")]}, ise=ISE)
        for version in (2, 3):
            with pytest.raises(AssertionError, match="cannot be read whole"):
                listed(faces, value, version)


def test_a_server_without_an_inventory_lists_what_does_not_comply(
    gateway: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes._FakeProvider, "capabilities", frozenset())
    faces: Faces = gateway({"one": [one(1), one(2, "noncompliant")]}, ise=ISE)
    assert listed(faces, "false") == {"SN0002": False}
    for value in ("true", ""):
        with pytest.raises(AssertionError, match="no list of all its devices"):
            listed(faces, value)
    settings = {"base_url": faces.origin, "username": LOGIN[0], "password": LOGIN[1]}
    with open_client(make_provider("ise", settings), "sync") as client:
        with pytest.raises(UnsupportedOperationError):
            list(client.devices())
        assert len(list(client.noncompliant())) == 1


def test_a_page_belongs_to_its_list(gateway: Open) -> None:
    bad = [one(number, "noncompliant") for number in range(5)]
    faces: Faces = gateway({"one": [*bad, one(7), one(8), one(9)]}, ise={**ISE, "page_size": 2})
    first = faces.ask(2, "compliance", "false")
    token = first.text.partition("<paging_info>")[2].partition("<")[0]
    assert int(token) < 1 << 63
    assert len(rows(faces.ask(2, "compliance", "false", paging=token))) == 2
    assert faces.ask(2, "compliance", "true", paging=token).status_code == 400
    assert faces.ask(2, "macaddress", f"{MAC[:-2]}01", paging=token).status_code == 400


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_list_that_takes_long_is_asked_for_again(
    gateway: Open, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    go = threading.Event()
    read = AsyncMdmFederation.noncompliant

    async def slow(self: AsyncMdmFederation, **_: Any) -> AsyncIterator[Device]:
        while not go.is_set():  # noqa: ASYNC110 - of another thread
            await anyio.sleep(0.01)
        async for found in read(self):
            yield found

    monkeypatch.setattr(AsyncMdmFederation, "noncompliant", slow)
    faces: Faces = gateway({"one": [one(1), one(2, "noncompliant")]}, deadline=1.0)
    began = time.monotonic()
    answer = faces.ask(version, "compliance", "false")
    assert time.monotonic() - began < 30
    if version < 3:  # which know no such answer
        assert answer.status_code == 503
        assert b"deviceList" not in answer.content
        go.set()
        assert len(rows(faces.ask(version, "compliance", "false"))) == 1
        return
    assert rows(answer) == []
    assert int(answer.text.partition("<server_busy_wait_seconds>")[2].partition("<")[0]) > 0
    token = answer.text.partition("<paging_info>")[2].partition("<")[0]
    assert token != "0"
    # Others are answered meanwhile, and whoever asks now waits for the same reading.
    assert "<status>true</status>" in faces.ask(3, "guid", f"{GUID[:-2]}01").text
    assert token in faces.ask(3, "compliance", "false").text
    go.set()
    while "<server_busy_wait_seconds>0<" not in answer.text:
        answer = faces.ask(3, "compliance", "false", paging=token)
    assert [row["attributes"]["serial_number"] for row in rows(answer)] == ["SN0002"]
