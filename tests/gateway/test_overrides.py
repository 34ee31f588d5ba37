"""The administrator's own word on single devices: whom it counts for, and until when."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from mdmsdk.errors import ConnectError
from mdmsdk.gateway.overrides import Overrides
from mdmsdk.gateway.settings import Override
from mdmsdk.identifiers import Mac, Udid
from mdmsdk.testing import FakeAsyncMdmFederation, FakeServer
from tests.gateway.conftest import GUID, MAC, device
from tests.gateway.test_decisions import rows

if TYPE_CHECKING:
    from tests.gateway.conftest import Faces, Open

BARE = MAC.replace(":", "")
OTHER = "00:1B:44:11:3A:B8"
SOON = datetime.now(UTC) + timedelta(days=1)
DOWN = FakeServer(down=ConnectError("no route"))


def override(decision: str, key: str = f"mac:{MAC}", **more: Any) -> dict[str, Any]:
    until = SOON.isoformat()
    return {"key": key, "decision": decision, "until": until, "reason": "a loan", "by": "noc", **more}


ALLOW, DENY = override("allow"), override("deny")
DESPITE = override("allow", despite_noncompliant=True)


@pytest.mark.parametrize(
    ("servers", "overrides", "decision"),
    [
        ({"one": [device("unknown")]}, [ALLOW], "compliant"),
        ({"one": [device("grace")]}, [ALLOW], "compliant"),
        ({"one": []}, [ALLOW], "compliant"),
        ({"one": [device(registered=False)]}, [ALLOW], "compliant"),
        ({"one": DOWN}, [ALLOW], "compliant"),
        ({"one": [device("noncompliant")]}, [ALLOW], "noncompliant"),
        ({"one": [device("noncompliant")]}, [DESPITE], "compliant"),
        ({"one": [device("noncompliant")], "two": DOWN}, [ALLOW], "noncompliant"),
        ({"one": [device()]}, [DENY], "noncompliant"),
        ({"one": []}, [DENY], "noncompliant"),
        ({"one": DOWN}, [DENY], "noncompliant"),
        ({"one": [device()]}, [ALLOW, DENY], "noncompliant"),
        ({"one": [device()]}, [DESPITE, DENY], "noncompliant"),
        # Another identifier of the same device denies it, and allows nothing.
        ({"one": [device()]}, [override("deny", f"guid:{GUID}")], "noncompliant"),
        ({"one": [device("unknown")]}, [override("allow", f"guid:{GUID}")], "unknown"),
        ({"one": [device("unknown")]}, [override("allow", f"mac:{OTHER}")], "unknown"),
        ({"one": DOWN}, [override("allow", f"mac:{OTHER}")], "no_answer"),
        ({"one": [device()]}, [override("deny", f"mac:{OTHER}")], "compliant"),
        ({"one": [device("unknown")]}, [override("allow", until="2020-01-01T00:00:00Z")], "unknown"),
        ({"one": [device()]}, [override("deny", until="2020-01-01T00:00:00Z")], "compliant"),
    ],
)
def test_it_shows_on_both_faces(
    gateway: Open, servers: Any, overrides: list[dict[str, Any]], decision: str
) -> None:
    faces: Faces = gateway(servers, overrides=overrides)
    told = faces.rest.get(f"/v1/devices/mac/{BARE}").json()
    assert told["decision"] == decision
    applied = told["override"]
    answer = faces.ask(3, "macaddress", BARE)
    if decision == "no_answer":
        assert answer.status_code == 503
        return
    assert len(rows(answer)) == 1
    assert f"<status>{str(decision == 'compliant').lower()}</status>" in answer.text
    if applied and applied["decision"] == "deny":
        assert "a loan" in answer.text
        assert "noc" not in answer.text.replace("noncompliant", "")
    if servers["one"] in ([], DOWN):  # the administrator named it
        assert "001B44113AB7" in answer.text


def test_what_servers_say_stays_in_the_answer(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device("noncompliant")]}, overrides=[DESPITE])
    told = faces.rest.get(f"/v1/devices/mac/{MAC}").json()
    assert (told["compliance"], told["decision"]) == ("noncompliant", "compliant")
    assert told["device"]["compliance"]["state"] == "noncompliant"
    assert told["override"] == {
        "decision": "allow",
        "key": f"mac:{MAC}",
        "until": SOON.isoformat(),
        "reason": "a loan",
        "by": "noc",
        "randomized": False,
    }


def test_a_denied_device_is_compliant_in_no_part_of_an_answer(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, overrides=[DENY])
    for told in (
        faces.rest.get(f"/v1/devices/mac/{MAC}").json(),
        faces.rest.post("/v1/lookup", json={"chain": [f"guid:{GUID}"]}).json(),
        json.loads(faces.rest.post("/v1/lookup", json={"keys": [f"mac:{MAC}"]}).text.splitlines()[0]),
    ):
        assert (told["decision"], told["compliance"]) == ("noncompliant", "noncompliant")
        assert told["device"]["compliance"]["state"] == "noncompliant"
        assert told["device"]["compliance"]["reasons"][0].endswith("a loan")
        assert told["device"]["guid"] == GUID


def test_an_allowance_counts_for_no_record_that_contradicts_the_question(gateway: Open) -> None:
    servers = {"one": [device("unknown")]}  # of another GUID than the certificate has
    faces: Faces = gateway(servers, overrides=[ALLOW])
    chain = ["guid:51431193-e6c3-4339-9a2b-8f1ff1fd42ff", f"mac:{MAC}"]
    assert faces.rest.post("/v1/lookup", json={"chain": chain}).json()["decision"] == "unknown"
    faces = gateway({"one": []}, overrides=[ALLOW])
    assert faces.rest.post("/v1/lookup", json={"chain": chain}).json()["decision"] == "compliant"
    # The address comes second, and is not asked for where the certificate found a device.
    chain = [f"guid:{GUID}", f"mac:{OTHER}"]
    faces = gateway(servers, overrides=[override("allow", f"mac:{OTHER}"), override("deny", f"mac:{OTHER}")])
    assert faces.rest.post("/v1/lookup", json={"chain": chain}).json()["decision"] == "noncompliant"
    faces = gateway(servers, overrides=[override("allow", f"mac:{OTHER}")])
    assert faces.rest.post("/v1/lookup", json={"chain": chain}).json()["decision"] == "unknown"


def test_each_of_many_has_its_own(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, overrides=[DENY])
    told = faces.rest.post("/v1/lookup", json={"keys": [f"mac:{MAC}", f"mac:{OTHER}", "x"]}).text
    assert [word in told for word in ('"noncompliant"', '"not_registered"', '"no_answer"')] == [True] * 3
    batch = f"<list><value>{BARE}</value><value>{OTHER}</value></list>"
    answer = faces.ise.post(
        "/ciscoise/mdmapi/v2/batchdevices/?paging=0&querycriteria=macaddress&filter=all", content=batch
    )
    assert len(rows(answer)) == 1


@pytest.mark.anyio
async def test_an_override_that_expired_is_never_applied() -> None:
    now = SOON.timestamp() - 1
    listed = Overrides([Override.model_validate(ALLOW)], lambda: now)
    async with FakeAsyncMdmFederation({"one": []}) as federation:
        answer = await federation.lookup(Mac(MAC))
    assert listed.of([Mac(MAC)], answer)
    now += 1
    assert listed.of([Mac(MAC)], answer) is None
    assert listed.active() == []


@pytest.mark.anyio
async def test_identifiers_are_compared_by_value() -> None:
    plain, spelled = "00008030001A2D8E3C38802E", "00008030-001a2d8e3c38802e"
    listed = Overrides([Override.model_validate(override("allow", f"udid:{spelled}"))])
    async with FakeAsyncMdmFederation({"one": []}) as federation:
        answer = await federation.lookup(Udid(plain))
    assert listed.of([Udid(plain)], answer)


def test_a_denial_counts_for_every_record_that_shows_the_identifier(gateway: Open) -> None:
    """Which of two devices that share an address is at the door, nobody knows."""
    servers = {"one": [device(guid="aaaa-1"), device(id="2", guid="bbbb-2")]}
    faces: Faces = gateway(servers, overrides=[override("deny", "guid:bbbb-2")], federation={"cache_ttl": 60})
    for _ in range(2):
        for asked in (f"mac/{MAC}", "guid/bbbb-2"):
            assert faces.rest.get(f"/v1/devices/{asked}").json()["decision"] == "noncompliant"
        assert "<status>false</status>" in faces.ask(3, "macaddress", MAC).text
    assert "<device>" not in faces.ask(3, "compliance", "true").text


def test_an_address_that_a_device_made_up_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Overrides([Override.model_validate(override("allow", "mac:02:1B:44:11:3A:B7"))])
    assert "made up" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "mac:00:00:00:00:00:00"},
        {"key": "user:somebody"},
        {"key": "username:somebody"},
        {"key": "?"},
        {"until": "2030-01-01"},
        {"until": "2030-01-01T00:00:00"},
        {"reason": ""},
        {"by": ""},
        {"decision": "deny", "despite_noncompliant": True},
        {"decision": "perhaps"},
    ],
)
def test_an_override_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Override.model_validate({**ALLOW, **wrong})
