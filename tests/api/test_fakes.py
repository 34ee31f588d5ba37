"""Fakes behave as the real clients do: they are those, over a server in memory."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from mdmsdk import (
    AsyncMdmClient,
    AsyncMdmFederation,
    AuthenticationError,
    Compliance,
    ComplianceState,
    ConnectError,
    Device,
    IncompleteListError,
    InvalidIdentifierError,
    Mac,
    MdmClient,
    MdmFederation,
    RateLimitedError,
    Rules,
    Serial,
    ServerError,
    UnsupportedOperationError,
)
from mdmsdk.models import parse_macs
from mdmsdk.testing import (
    FakeAsyncMdmClient,
    FakeAsyncMdmFederation,
    FakeMdmClient,
    FakeMdmFederation,
    FakeServer,
    Modal,
    fakes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MAC = "00:1B:44:11:3A:B7"


def a_device(state: str = "compliant", **facts: Any) -> Device:
    facts = {"registered": True, "mac_addresses": parse_macs(MAC), "id": "1", **facts}
    return Device(compliance=Compliance(state=ComplianceState(state)), **facts)


def opened(mode: str, knows: Any) -> Modal:
    return Modal(FakeMdmClient(knows) if mode == "sync" else FakeAsyncMdmClient(knows), mode)


def federated(mode: str, servers: Any, **more: Any) -> Modal:
    kind: Any = FakeMdmFederation if mode == "sync" else FakeAsyncMdmFederation
    return Modal(kind(servers, **more), mode)


@pytest.fixture
def server() -> FakeServer:
    return FakeServer([a_device()])


@pytest.fixture
def client(mdm_mode: str, server: FakeServer) -> Iterator[Modal]:
    with opened(mdm_mode, server) as modal:
        yield modal


class TestOneServer:
    def test_it_knows_what_it_was_told(self, client: Modal, server: FakeServer) -> None:
        assert client.heartbeat().product == "Fake MDM"
        found = client.lookup(MAC)
        assert (found.server, found.provider, found.compliance.state) == ("fake", "fake", "compliant")
        assert client.lookup("serial:C02XL0GTJGH5") is None
        assert server.asked == [Mac(MAC), Serial("C02XL0GTJGH5")]
        server.devices[0] = a_device("noncompliant")
        assert client.lookup(MAC).compliance.state == "noncompliant"

    def test_it_judges_as_the_real_one(self, client: Modal, server: FakeServer) -> None:
        server.devices.append(a_device("noncompliant", id="2"))
        both = client.lookup(MAC)
        assert both.compliance.state == "noncompliant"
        assert "disagree" in both.compliance.reasons[-1]
        server.devices[:] = [a_device(registered=False)]
        left = client.lookup(MAC)
        assert (left.registered, left.compliance.state) == (False, "unknown")
        with pytest.raises(InvalidIdentifierError):
            client.lookup("abc")

    def test_rules_decide_where_there_are_any(self, mdm_mode: str) -> None:
        server = FakeServer([a_device("compliant", jailbroken=True)], rules=Rules(not_jailbroken=True))
        with opened(mdm_mode, server) as client:
            assert client.lookup(MAC).compliance.state == "noncompliant"
            assert [device.id for device in client.noncompliant()] == ["1"]

    def test_keys_may_have_errors_of_their_own(self, client: Modal, server: FakeServer) -> None:
        server.errors = {"serial:B": RateLimitedError("slowly", status=429, retry_after=3)}
        results = list(client.lookup_many([MAC, "serial:B", "nonsense", "serial:D"]))
        kinds = [type(result.error) for result in results]
        assert kinds == [type(None), RateLimitedError, InvalidIdentifierError, type(None)]
        assert [result.decision for result in results] == [
            "compliant",
            "no_answer",
            "no_answer",
            "not_registered",
        ]
        with pytest.raises(RateLimitedError, match="slowly") as caught:
            client.lookup("serial:B")
        assert (caught.value.server, caught.value.operation) == ("fake", "find")
        assert server.errors["serial:B"].server is None

    def test_it_may_be_down_and_come_back(self, client: Modal, server: FakeServer) -> None:
        server.down = ConnectError("no route to host")
        calls = [client.heartbeat, lambda: client.lookup(MAC), lambda: list(client.devices())]
        for call in calls * 3:
            with pytest.raises(ConnectError, match="no route"):
                call()
        server.down = None
        assert client.lookup(MAC) is not None

    def test_lists_are_complete_or_fail(self, client: Modal, server: FakeServer) -> None:
        server.devices += [
            a_device("noncompliant", id="2"),
            a_device("noncompliant", id="3", registered=False),
        ]
        assert [device.id for device in client.noncompliant()] == ["2"]
        assert [device.id for device in client.devices()] == ["1", "2", "3"]
        server.incomplete = True
        came: list[Device] = []
        for listing in (client.noncompliant, client.devices):
            with pytest.raises(IncompleteListError) as caught:
                came.extend(listing())
            assert caught.value.collected
        assert len(came) == 4

    def test_it_searches_by_the_keys_that_it_can(self, mdm_mode: str) -> None:
        with opened(mdm_mode, FakeServer(keys=frozenset({Mac}))) as client:
            with pytest.raises(UnsupportedOperationError):
                client.lookup("serial:B")
            assert client.with_policy(attempts=1).lookup(MAC) is None


class TestManyServers:
    def test_they_are_asked_as_one(self, mdm_mode: str) -> None:
        with federated(mdm_mode, {"macs": [a_device()], "phones": []}) as federation:
            assert federation.lookup(MAC).decision == "compliant"
            assert [beat.ok for beat in federation.heartbeat()] == [True, True]
            federation.fakes["phones"].devices.append(a_device("noncompliant", id="7"))
            assert federation.lookup(MAC).decision == "noncompliant"
            federation.fakes["phones"].devices.clear()
            federation.fakes["phones"].down = ServerError("out of order", status=500)
            answer = federation.lookup(MAC)
            assert (answer.complete, answer.decision) == (False, "no_answer")
            assert answer.outcomes[1].error.server == "phones"
            with pytest.raises(IncompleteListError):
                list(federation.noncompliant())

    def test_an_inventory_need_not_answer(self, mdm_mode: str) -> None:
        inventory = FakeServer(down=AuthenticationError("no", status=401), judges=False)
        with federated(mdm_mode, {"macs": [a_device()], "assets": inventory}) as federation:
            assert federation.lookup(MAC).decision == "compliant"

    def test_rules_and_merge_are_as_with_the_real_one(self, mdm_mode: str) -> None:
        servers = {"macs": [a_device(passcode_set=False)], "phones": [a_device("grace", id="2")]}
        with federated(mdm_mode, servers, merge="first", rules=Rules(passcode_set=True)) as federation:
            answer = federation.lookup(MAC)
            assert (answer.device.id, answer.decision) == ("1", "noncompliant")


@pytest.mark.parametrize(
    ("options", "real"), [(fakes._SyncOptions, MdmFederation), (fakes._AsyncOptions, AsyncMdmFederation)]
)
def test_a_federation_takes_what_the_real_one_takes(options: type, real: type) -> None:
    assert {"clients", *options.__annotations__} == inspect.signature(real).parameters.keys()


PAIRS = [
    (FakeMdmClient, MdmClient),
    (FakeAsyncMdmClient, AsyncMdmClient),
    (FakeMdmFederation, MdmFederation),
    (FakeAsyncMdmFederation, AsyncMdmFederation),
]


@pytest.mark.parametrize(("fake", "real"), PAIRS)
def test_the_signatures_are_the_real_ones(fake: type, real: type) -> None:
    for name, member in inspect.getmembers(real):
        if name.startswith("_") or not callable(member):
            continue
        assert inspect.signature(getattr(fake, name)) == inspect.signature(member), name
    assert {name for name in vars(fake) if not name.startswith("_")} == set()


class Asks(Protocol):
    """What an application may ask for in place of a class; the type checker looks whether the fakes fit."""

    def lookup(self, key: Mac | str, *, deadline: float | None = None) -> Device | None: ...


def test_a_fake_fits_a_protocol_of_the_application() -> None:
    def door(mdm: Asks) -> bool:
        device = mdm.lookup(MAC, deadline=1)
        return device is not None and device.compliance.state == "compliant"

    fake: MdmClient = FakeMdmClient([a_device()])
    assert door(fake)
    assert not door(FakeMdmClient())


def test_they_need_neither_pytest_nor_an_extra() -> None:
    program = """
import sys
for name in ("pytest", "starlette", "uvicorn", "vcr", "typer", "rich", "trio"):
    sys.modules[name] = None
from mdmsdk import Device
from mdmsdk.testing import FakeMdmClient, FakeMdmFederation
import warnings
warnings.simplefilter("error")
with FakeMdmClient([Device(registered=True, serial_number="B77")]) as mdm:
    assert mdm.lookup("serial:B77").compliance.state == "unknown"
with FakeMdmFederation({"macs": []}) as federation:
    assert federation.lookup("serial:B77").decision == "not_registered"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
