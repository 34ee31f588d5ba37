"""Every decision on each face: design's table, seen from outside."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import ConnectError
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.flow import pause
from mdmsdk.identifiers import Serial
from mdmsdk.ise import read_answer
from mdmsdk.testing import FakeServer, fakes
from mdmsdk.wire import Response
from tests.gateway.conftest import GUID, MAC, device

if TYPE_CHECKING:
    from tests.gateway.conftest import Faces, Open

BARE = MAC.replace(":", "")
DOWN = ConnectError("no route")


def rows(response: Any) -> list[dict[str, Any]]:
    """The devices of an answer of the ISE face, as our own provider reads them."""
    assert response.status_code == 200, response.text
    answer = read_answer(Response(200, dict(response.headers), response.content, str(response.url)))
    assert answer.has_list
    return list(answer.rows())


def servers(case: str) -> dict[str, Any]:
    """The servers that make for a decision."""
    cases: dict[str, dict[str, Any]] = {
        "compliant": {"one": [device()]},
        "noncompliant": {"one": [device("noncompliant")], "two": [device()]},
        "grace": {"one": [device("grace")]},
        "unknown": {"one": [device("unknown")]},
        "unvouched": {"one": FakeServer([device()], judges=False), "two": []},
        "silent": {"one": [device(mac_addresses=())]},
        "not_registered": {"one": [], "two": []},
        "left": {"one": [device(registered=False)]},
        "down": {"one": FakeServer(down=DOWN)},
        "half": {"one": [device()], "two": FakeServer(down=DOWN)},
        "half_absent": {"one": [], "two": FakeServer(down=DOWN)},
        "half_bad": {"one": [device("noncompliant")], "two": FakeServer(down=DOWN)},
        "unable": {"one": FakeServer([device()], keys=frozenset({Serial}))},
    }
    return cases[case]


@pytest.mark.parametrize(
    ("case", "decision", "status", "shown"),
    [
        ("compliant", "compliant", 200, True),
        ("noncompliant", "noncompliant", 200, False),
        ("grace", "grace", 200, False),
        ("unknown", "unknown", 200, False),
        ("unvouched", "unknown", 200, False),
        ("not_registered", "not_registered", 200, None),
        ("left", "not_registered", 200, None),
        ("down", "no_answer", 503, None),
        ("half", "no_answer", 503, None),
        ("half_absent", "no_answer", 503, None),
        ("half_bad", "noncompliant", 200, False),
        ("unable", "no_answer", 503, None),
    ],
)
def test_each_decision_on_each_face(
    gateway: Open, case: str, decision: str, status: int, shown: bool | None
) -> None:
    faces: Faces = gateway(servers(case))
    told = faces.rest.get(f"/v1/devices/mac/{MAC}").json()
    assert told["decision"] == decision
    assert told["complete"] is (decision != "no_answer" and case != "half_bad")
    for version in (1, 2, 3):
        answer = faces.ask(version, "macaddress", BARE)
        assert answer.status_code == status
        if status != 200:
            assert b"deviceList" not in answer.content
            assert int(answer.headers["Retry-After"]) > 0
        elif shown is None:
            assert rows(answer) == []
        else:
            assert f"<status>{str(shown).lower()}</status>" in answer.text
            assert shown or "<failure_reason>" in answer.text or decision == "noncompliant"


def test_grace_counts_where_the_administrator_says_so(gateway: Open) -> None:
    ise = {"username": "controller", "password": "a-long-password", "grace": True}
    faces: Faces = gateway(servers("grace"), ise=ise)
    assert "<status>true</status>" in faces.ask(3, "macaddress", BARE).text


def test_what_a_server_does_not_show_is_absent(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]})
    answer = faces.ask(3, "macaddress", BARE).text
    for name in (
        "jail_broken",
        "pin_lock_on",
        "disk_encryption_on",
        "imei",
        "udid",
        "serial_number",
        "model",
    ):
        assert name not in answer
    assert f"<guid>{GUID}</guid>" in answer
    assert f"<macaddresses>{BARE}</macaddresses>" in answer
    assert "macaddresses" not in faces.ask(2, "macaddress", BARE).text


def test_of_several_addresses_the_one_that_was_asked_for_is_shown(gateway: Open) -> None:
    macs = tuple(f"00:1B:44:11:3A:{number:02X}" for number in range(1, 9))
    faces: Faces = gateway({"one": [device(mac_addresses=macs)]})
    asked = macs[7].replace(":", "")
    for version in (1, 2, 3):
        answer = faces.ask(version, "macaddress", asked).text
        assert asked in answer
        assert "<status>true</status>" in answer
    assert faces.ask(3, "macaddress", asked).text.count("001B44113A") == 5


def test_filters_name_what_is_wanted(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(model="X & <Y>\x01", jailbroken=False)]})
    answer = faces.ask(2, "macaddress", BARE, filter="register_status+compliance_status").text
    assert "<register_status>true</register_status><compliance>" in answer
    assert "model" not in answer
    answer = faces.ask(1, "macaddress", BARE, filter="model+jail_broken").text
    assert "<jail_broken>false</jail_broken><model>X &amp; &lt;Y&gt;\ufffd</model>" in answer
    assert "compliance" not in answer


def test_a_batch_is_as_good_as_its_parts(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]})
    body = f"<ise_api><value>{BARE}</value><value>001B44113AB8</value></ise_api>"
    where = "/ciscoise/mdmapi/v2/batchdevices/?paging=0&querycriteria=macaddress&filter=all"
    assert len(rows(faces.ise.post(where, content=body, headers={"Content-Type": "application/xml"}))) == 1
    many = f"<ise_api>{f'<value>{BARE}</value>' * 501}</ise_api>".encode()
    for wrong in (b"", b"<ise_api/>", b"<!DOCTYPE x><ise_api/>", b"\xff\xfe<", b"<value>x", many):
        assert faces.ise.post(where, content=wrong).status_code == 400


@pytest.mark.parametrize("version", [2, 3])
def test_the_list_goes_on_page_by_page(gateway: Open, version: int) -> None:
    bad = [device("noncompliant", id=str(n), serial_number=f"SN{n:06}", mac_addresses=()) for n in range(25)]
    ise = {"username": "controller", "password": "a-long-password", "page_size": 10}
    faces: Faces = gateway({"one": [*bad, device()]}, ise=ise)
    seen: list[str] = []
    paging, more = "0", {} if version == 2 else {"deviceidentifier": "guid"}
    reading = ""
    for _ in range(3):
        answer = faces.ask(version, "compliance", "false", paging=paging, **more)
        assert answer.status_code == 200
        reading = reading or answer.text.partition("<paging_info>")[2][:11]
        seen += [row["attributes"]["serial_number"] for row in rows(answer)]
        paging = answer.text.partition("<paging_info>")[2].partition("<")[0]
    assert paging == "0"
    assert seen == [one.serial_number for one in bad]
    for wrong in ("1", "1234567890100000010", "x" * 40, f"{reading}00000030", f"{reading}00000011", "-1"):
        assert faces.ask(version, "compliance", "false", paging=wrong, **more).status_code == 400


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_list_that_is_not_whole_is_none(gateway: Open, version: int) -> None:
    for server in (FakeServer([device("noncompliant")], incomplete=True), FakeServer(down=DOWN)):
        faces: Faces = gateway({"one": server, "two": [device("noncompliant")]})
        assert faces.ask(version, "compliance", "false").status_code == 503
        told = [json.loads(line) for line in faces.rest.get("/v1/noncompliant").text.splitlines()]
        last = told[-1]
        assert last["end"]["complete"] is False if "end" in last else last["status"] == 503


def test_a_batch_has_one_deadline(gateway: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    find = fakes._FakeProvider.find

    def slow(self: Any, info: Any, key: Any) -> Any:
        yield from pause(0.2)
        return (yield from find(self, info, key))

    monkeypatch.setattr(fakes._FakeProvider, "find", slow)
    faces: Faces = gateway({"one": [device()]}, deadline=0.3)
    values = "".join(f"<value>001B44113A{number:02X}</value>" for number in range(100))
    where = "/ciscoise/mdmapi/v2/batchdevices/?paging=0&querycriteria=macaddress&filter=all"
    began = time.monotonic()
    assert faces.ise.post(where, content=f"<ise_api>{values}</ise_api>").status_code == 503
    keys = [f"mac:00:1B:44:11:3A:{number:02X}" for number in range(100)]
    *told, last = faces.rest.post("/v1/lookup", json={"keys": keys, "deadline": 100}).text.splitlines()
    assert json.loads(last)["end"] == {"complete": True, "lines": 100, "error": None}
    (outcome,) = json.loads(told[-1])["outcomes"]
    assert outcome["error"]["type"] == "DeadlineExceededError"
    assert time.monotonic() - began < 10


def test_a_fault_in_one_list_ends_nothing_else(gateway: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    faces: Faces = gateway({"one": [device("noncompliant")]})
    with monkeypatch.context() as patched:
        patched.setattr(AsyncMdmFederation, "noncompliant", lambda _: 1 // 0)
        assert faces.ask(2, "compliance", "false").status_code == 503
    assert len(rows(faces.ask(2, "compliance", "false"))) == 1


def test_what_is_silent_about_the_key_is_no_pass(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(other_identifiers=(), mac_addresses=(), id=None)]})
    for version in (1, 2, 3):
        answer = faces.ask(version, "macaddress", BARE)
        assert "<status>true</status>" not in answer.text
        assert BARE not in answer.text


def test_what_the_cache_gives_again_is_written_for_each_question(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device(serial_number="C02XK0AAJG5H")]}, federation={"cache_ttl": 60})
    whole = [faces.ask(3, "macaddress", MAC).text for _ in range(4)]
    assert len(set(whole)) == 1
    for _ in range(2):
        some = faces.ask(3, "macaddress", MAC, filter="compliance").text
        assert "<status>true</status>" in some
        assert "serial_number" not in some
        assert "<guid>" not in faces.ask(2, "macaddress", MAC).text
    assert faces.ask(3, "macaddress", MAC).text == whole[0]
