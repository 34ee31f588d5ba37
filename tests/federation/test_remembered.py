"""An answer that was given before is given again only while nothing that it was made of has changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.federation import Status, decide
from mdmsdk.settings import Rules
from tests.federation.conftest import GUID, MAC, record
from tests.federation.test_cache import days_on, device, inner_of, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.testing import Modal
    from tests.federation.conftest import Servers
    from tests.federation.test_cache import Open

__all__ = ["opened"]

DAYS = Rules(max_days_since_check_in=1)
KNOWN = f"guid:{GUID}"


def settled(federation: Modal, key: Any = MAC) -> Any:
    """The answer that the cache alone gives, after one that it did not."""
    federation.lookup(key)
    return federation.lookup(key)


@pytest.mark.parametrize("how", [{}, {"deadline": 60}, {"max_age": 30}, {"servers": ["a", "b"]}])
def test_it_is_the_very_same(opened: Open, how: dict[str, Any]) -> None:
    federation = opened({"a": [device()], "b": []}, rules=Rules(registered=True))
    answer = settled(federation)
    assert federation.lookup(MAC, **how) is answer
    assert list(federation.lookup_many([MAC, MAC])) == [answer, answer]


def test_that_there_is_no_such_device_is_remembered_for_its_time(opened: Open) -> None:
    federation = opened({"a": []}, cache_negative_ttl=10)
    answer = settled(federation)
    assert federation.lookup(MAC) is answer
    federation.fakes["a"].devices.append(device())
    opened.clock.step(9.9)
    assert federation.lookup(MAC) is answer
    opened.clock.step(0.1)
    assert decide(federation.lookup(MAC)) == "compliant"


def test_it_may_be_too_old_for_a_call(opened: Open) -> None:
    federation = opened({"a": [device()]})
    answer = settled(federation)
    opened.clock.step(5)
    assert federation.lookup(MAC, max_age=5.1) is answer
    assert federation.lookup(MAC, max_age=5) is not answer
    assert len(federation.fakes["a"].asked) == 2


def test_a_clock_that_is_put_back_makes_it_no_younger(opened: Open) -> None:
    federation = opened({"a": [device()]})
    settled(federation)
    opened.clock.step(5)
    opened.clock.now -= 4
    federation.lookup(MAC, max_age=5)
    assert len(federation.fakes["a"].asked) == 2


def test_rules_that_count_days_are_applied_each_time(opened: Open) -> None:
    federation = opened({"a": [device(last_check_in=time.time())]}, rules=DAYS)
    answer = settled(federation)
    assert federation.lookup(MAC) is answer
    for days, decision in ((1.1, "noncompliant"), (1.2, "noncompliant"), (0, "compliant")):
        days_on(federation, "a", days)
        assert decide(federation.lookup(MAC)) == decision
        assert [decide(one) for one in federation.lookup_many([MAC])] == [decision]
    assert len(federation.fakes["a"].asked) == 1


def test_of_several_servers_each_has_its_own_clock(opened: Open) -> None:
    seen = device(last_check_in=time.time())
    federation = opened({"a": [seen], "b": [seen]}, rules=DAYS)
    assert decide(settled(federation)) == "compliant"
    days_on(federation, "b", 2)
    assert decide(federation.lookup(MAC)) == "noncompliant"
    assert len(federation.fakes["b"].asked) == 1


def test_the_first_of_a_chain_may_be_remembered(opened: Open) -> None:
    federation = opened({"a": [device(guid=GUID)]})
    answer = settled(federation, KNOWN)
    assert federation.lookup([KNOWN, MAC]) is answer
    assert federation.lookup(MAC) is not answer


def test_a_chain_goes_on_from_what_was_not_found(opened: Open) -> None:
    federation = opened({"a": []})
    assert decide(settled(federation, KNOWN)) == "not_registered"
    federation.fakes["a"].devices.append(device())
    answer = federation.lookup([KNOWN, MAC])
    assert (str(answer.key), list(map(str, answer.before))) == (str(answer.device.mac_addresses[0]), [GUID])
    assert decide(answer) == "unknown"
    federation.lookup([KNOWN, MAC])
    assert decide(federation.lookup(MAC)) == "compliant"


def _forge(federation: Modal) -> None:
    passing = inner_of(federation)._servers.cache.shelf.store._back._passing
    for name, (entry, ends) in list(passing.items()):
        passing[name] = entry.replace(b"compliant", b"COMPLIANT"), ends


def _begin_anew(federation: Modal) -> None:
    federation.invalidate(MAC)


def _lose(federation: Modal) -> None:
    inner_of(federation)._servers.cache.shelf.store._back._passing.clear()


def _set_otherwise(federation: Modal) -> None:
    client, fake = inner_of(federation).clients["a"], federation.fakes["a"]
    fake.judges = False
    client._runner.plugin.provider = type(client.provider)(fake)


@pytest.mark.parametrize("change", [_forge, _begin_anew, _lose, _set_otherwise])
def test_what_is_changed_beneath_it_is_seen(opened: Open, change: Callable[[Modal], None]) -> None:
    federation = opened({"a": [device()]})
    assert decide(settled(federation)) == "compliant"
    federation.fakes["a"].devices[:] = [device("noncompliant")]
    change(federation)
    assert federation.lookup(MAC).device.compliance.state == "noncompliant"
    assert len(federation.fakes["a"].asked) == 2


def test_how_a_key_is_written_stays(opened: Open) -> None:
    federation = opened({"a": [device(name="Desk-7")]})
    assert str(settled(federation, "hostname:DESK-7").key) == "DESK-7"
    assert str(federation.lookup("hostname:desk-7").key) == "desk-7"


@pytest.mark.parametrize("many", [False, True])
def test_what_all_servers_said_is_no_answer_to_a_certificate_for_one_of_them(
    servers: Servers, many: bool
) -> None:
    """Another vendor's record of the same text lets nobody in."""
    servers.knows("a")
    servers.knows("b", record(guid="4711"))
    kinds = {"a": "of-meraki", "b": "of-jamf"}
    federation = servers.open("a", "b", kinds=kinds, cache_ttl=60)
    assert decide(settled(federation, "guid:4711")) == "compliant"
    key = "ID:MerakiSM:DeviceID:4711"
    answer = next(iter(federation.lookup_many([key]))) if many else federation.lookup([key])
    assert [one.status for one in answer.outcomes] == [Status.NOT_FOUND, Status.NOT_ASKED]
    assert decide(answer) == "not_registered"
