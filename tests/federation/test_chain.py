"""Several identifiers of one device: what a later one finds is held against those before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.federation import Status, decide
from mdmsdk.federation.chain import as_chain
from mdmsdk.identifiers import Guid, Mac, Serial, parse_key
from tests.federation.conftest import GUID, MAC, record

if TYPE_CHECKING:
    from tests.federation.conftest import Servers

CHAIN = [f"guid:{GUID}", MAC]


def test_the_first_identifier_that_finds_the_device_is_enough(servers: Servers) -> None:
    servers.knows("a", record(guid=GUID), by="guid")
    servers.knows("b")
    answer = servers.open("a", "b").lookup(CHAIN)
    assert (answer.key, answer.before, decide(answer)) == (Guid(GUID), (), "compliant")
    assert servers.asked("a") == servers.asked("b") == ["guid"]


def test_the_next_is_asked_for_where_nobody_knows_the_first(servers: Servers) -> None:
    servers.knows("a", record(state="noncompliant"), by="mac")
    servers.knows("b")
    answer = servers.open("a", "b").lookup(CHAIN)
    assert (answer.key, answer.before) == (Mac(MAC), (Guid(GUID),))
    assert decide(answer) == "noncompliant"
    assert servers.asked("a") == servers.asked("b") == ["guid", "mac"]


def test_a_failed_certificate_identifier_is_never_replaced_by_a_mac(servers: Servers) -> None:
    """Another device may have copied the MAC address of one that complies."""
    servers.knows("a", record(), by="mac")
    servers.fails("b")
    answer = servers.open("a", "b").lookup(CHAIN)
    assert (answer.found, answer.complete, decide(answer)) == (False, False, "no_answer")
    assert servers.asked("a") == ["guid"]


@pytest.mark.parametrize("state", ["compliant", "grace"])
def test_a_mac_after_a_certificate_identifier_is_no_pass(servers: Servers, state: str) -> None:
    servers.knows("a", record(state=state), by="mac")
    answer = servers.open("a").lookup(CHAIN)
    assert answer.found
    assert decide(answer) == "unknown"
    assert "no server knows the guid" in answer.device.compliance.reasons[-1]
    assert decide(servers.open("a", chain_fallback=True).lookup(CHAIN)) == state


def test_a_serial_number_after_it_is(servers: Servers) -> None:
    servers.knows("a", record(serial_number="C02XK0AAJG5H"), by="serial")
    answer = servers.open("a").lookup([f"guid:{GUID}", "serial:C02XK0AAJG5H"])
    assert decide(answer) == "compliant"


def test_a_record_that_shows_another_identifier_is_another_device(servers: Servers) -> None:
    other = record(guid="00000000-1111-2222-3333-444444444444", serial_number="C02XK0AAJG5H")
    servers.knows("a", other, by="serial")
    federation = servers.open("a", chain_fallback=True)
    answer = federation.lookup([f"guid:{GUID}", "serial:C02XK0AAJG5H"])
    assert decide(answer) == "unknown"
    assert "another guid" in answer.device.compliance.reasons[-1]
    servers.knows("a", {**other, "compliance": {"state": "noncompliant"}}, by="serial")
    assert decide(federation.lookup([f"guid:{GUID}", "serial:C02XK0AAJG5H"])) == "noncompliant"


def test_a_server_that_cannot_search_by_the_first_does_not_keep_others_from_the_next(
    servers: Servers,
) -> None:
    servers.knows("a")
    servers.knows("b", record(), by="mac")
    federation = servers.open("a", "b", kinds={"b": "macs"}, chain_fallback=True)
    answer = federation.lookup(CHAIN)
    assert (answer.key, decide(answer)) == (Mac(MAC), "compliant")


def test_unknown_by_any_identifier_that_a_server_can_search_by(servers: Servers) -> None:
    servers.knows("a")
    servers.knows("b")
    answer = servers.open("a", "b", kinds={"b": "macs"}).lookup([MAC, f"guid:{GUID}"])
    assert [one.status for one in answer.outcomes] == [Status.NOT_FOUND, Status.NOT_FOUND]
    assert decide(answer) == "not_registered"
    answer = servers.open("b", kinds={"b": "macs"}).lookup(f"guid:{GUID}")
    assert (answer.outcomes[0].status, decide(answer)) == (Status.UNSUPPORTED, "no_answer")


def test_an_inventory_that_fails_does_not_end_the_chain(servers: Servers) -> None:
    servers.knows("a", record(state="noncompliant"), by="mac")
    servers.fails("b")
    federation = servers.open("a", "b")
    inner: Any = federation.wrapped.clients["b"]
    provider = inner.provider
    provider.settings = provider.settings.model_copy(update={"judges": False})
    assert decide(federation.lookup(CHAIN)) == "noncompliant"


def test_an_identifier_is_asked_for_at_its_vendors_servers(servers: Servers) -> None:
    servers.knows("a", record(guid="4711"))
    servers.knows("b")
    servers.knows("c")
    federation = servers.open("a", "b", "c", kinds={"a": "of-meraki", "b": "of-jamf"})
    answer = federation.lookup("ID:MerakiSM:DeviceID:4711")
    assert [one.status for one in answer.outcomes] == [Status.FOUND, Status.NOT_ASKED, Status.NOT_FOUND]
    assert decide(answer) == "compliant"
    assert [servers.asked(name) for name in "abc"] == [["guid"], [], ["guid"]]
    assert [device.server for device in federation.find("ID:MerakiSM:DeviceID:4711")] == ["a"]
    assert federation.find("ID:MerakiSM:DeviceID:4711", servers=["b"]) == []  # as `lookup` asks it then
    assert servers.asked("b") == ["guid"]
    assert next(iter(federation.lookup_many(["ID:MerakiSM:DeviceID:4711"]))).outcomes[1].status == "not_asked"


def test_one_that_is_no_servers_own_is_asked_for_everywhere(servers: Servers) -> None:
    servers.knows("a", record(guid="4711"))
    servers.knows("b")
    federation = servers.open("a", "b", kinds={"a": "of-meraki", "b": "of-jamf"})
    answer = federation.lookup("ID:Somebody:GUID:4711")
    assert [one.status for one in answer.outcomes] == [Status.FOUND, Status.NOT_FOUND]


def test_a_mac_that_the_device_made_up_comes_last_and_is_marked(servers: Servers) -> None:
    made_up = Mac("F2:F1:BB:F0:31:A9")
    assert as_chain([made_up, "serial:C1"]) == (Serial("C1"), made_up)
    servers.knows("a")
    answer = servers.open("a").lookup([made_up, "serial:C1"])
    assert (answer.key, answer.randomized) == (made_up, True)
    assert servers.asked("a") == ["serial", "mac"]
    assert not servers.open("a").lookup(MAC).randomized


@pytest.mark.parametrize("given", [[], None, 7, ["nonsense"], [f"serial:S{n}" for n in range(17)], [7]])
def test_what_is_no_chain_is_told(given: Any) -> None:
    with pytest.raises(InvalidIdentifierError):
        as_chain(given)


def test_a_certificates_word_for_the_vendor_is_kept_and_not_compared() -> None:
    key = parse_key("ID:MerakiSM:DeviceID:4711")
    assert isinstance(key, Guid)
    assert (key, key.issuer) == (Guid("4711"), "MerakiSM")
