"""What is taken down of each decision, whichever face it is made at."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from mdmsdk.errors import ConnectError
from mdmsdk.federation import Answer, Outcome, Status
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.journal import Asker, Decided, Journal
from mdmsdk.identifiers import Mac
from mdmsdk.testing import FakeServer
from tests.gateway.conftest import GUID, KEY, LOGIN, MAC, device

if TYPE_CHECKING:
    from tests.gateway.conftest import Faces, Open

BARE = MAC.replace(":", "")
READER = "a-key-of-a-reader"
KEYS = [
    {"name": "somebody", "sha256": hashlib.sha256(KEY.encode()).hexdigest()},
    {"name": "reader", "sha256": hashlib.sha256(READER.encode()).hexdigest(), "scopes": ["decisions"]},
]


def decided(name: str = "somebody") -> Decided:
    said = Outcome(server="one", provider="fake", status=Status.FOUND, device=device(server="one"))
    answer = Answer(key=Mac(MAC), device=said.device, outcomes=(said,))
    return Decided(0.0, Asker("rest", name, "10.0.0.1"), answer, answer.decision, 0.1)


def test_both_faces_tell_the_newest_decisions(gateway: Open) -> None:
    servers = {"one": [device()], "two": []}
    faces: Faces = gateway(servers, rest={"keys": KEYS})
    faces.rest.get(f"/v1/devices/mac/{MAC}")
    faces.rest.post("/v1/lookup", json={"keys": [f"guid:{GUID}", "no key\n"]})
    faces.ask(3, "macaddress", BARE)
    assert faces.rest.get("/v1/decisions").status_code == 403
    told = faces.rest.get("/v1/decisions", headers={"Authorization": f"Bearer {READER}"}).json()
    assert [(one["face"], one["name"], one["kind"], one["key"], one["decision"]) for one in told] == [
        ("ise", LOGIN[0], "mac", MAC, "compliant"),
        ("rest", "somebody", None, "no key\n", "no_answer"),
        ("rest", "somebody", "guid", GUID, "compliant"),
        ("rest", "somebody", "mac", MAC, "compliant"),
    ]
    assert told[0]["servers"] == {"one": "found", "two": "not_found"}
    assert told[0]["proof"] == ["one"]
    assert told[0]["client"] == "127.0.0.1"
    assert 0 <= told[0]["age"] < 60


def test_what_failed_is_the_reason_of_no_answer(gateway: Open) -> None:
    down = FakeServer(down=ConnectError("no route"))
    faces: Faces = gateway({"one": down}, rest={"keys": KEYS})
    assert faces.ask(2, "macaddress", BARE).status_code == 503
    (told,) = faces.rest.get("/v1/decisions", headers={"Authorization": f"Bearer {READER}"}).json()
    assert (told["decision"], told["reason"], told["proof"]) == ("no_answer", "one: ConnectError", [])


def test_only_the_newest_are_kept_and_a_fault_of_a_listener_changes_nothing() -> None:
    journal = Journal()
    heard: list[Decided] = []

    def broken(_: Decided) -> None:
        raise ZeroDivisionError

    journal.listeners += [broken, heard.append]
    for number in range(300):
        journal.note(decided(str(number)))
    assert len(heard) == 300
    assert [one.asker.name for one in journal.newest()] == [str(299 - number) for number in range(200)]
    assert [one.asker.name for one in journal.newest(1)] == ["299"]


def test_a_listener_may_refuse_the_answer() -> None:
    def full(_: Decided) -> None:
        raise Refusal(503, "no audit")

    journal = Journal()
    journal.listeners.append(full)
    with pytest.raises(Refusal):
        journal.note(decided())
