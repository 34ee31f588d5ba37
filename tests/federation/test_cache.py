"""What servers said before: when it may be used again, and that nothing worse hides behind it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pydantic import SecretStr

from mdmsdk import parse_key
from mdmsdk.errors import ConnectError, DeadlineExceededError, PermissionDeniedError, StoreError
from mdmsdk.federation import decide
from mdmsdk.federation.shelf import _SLOW
from mdmsdk.flow import call
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.settings import Rules
from mdmsdk.store import AsyncStore, Store
from mdmsdk.testing import (
    FakeAsyncMdmFederation,
    FakeMdmFederation,
    FakeServer,
    Modal,
    fakes,
    open_client,
    open_federation,
)
from tests.federation.conftest import GUID, MAC, record

__all__ = ["MAC", "SERIAL", "Open", "days_on", "device", "inner_of", "opened"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from tests.federation.conftest import Servers

SERIAL = "serial:C02XK0AAJG5H"


def device(state: str = "compliant", **facts: Any) -> Device:
    given = {"id": "1", "registered": True, "mac_addresses": [MAC], "serial_number": "C02XK0AAJG5H", **facts}
    return Device(compliance=Compliance(state=ComplianceState(state)), **given)


class Clock:
    """What time it is, for the cache and for the store."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.running = 1000.0

    def step(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
        self.running += seconds

    def __call__(self) -> float:
        return self.now


class Open:
    """Opens federations with a cache, over servers in memory, in one mode, with one clock."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.clock = Clock()
        self.opened: list[Modal] = []

    def store(self, *, shared: bool = False) -> Any:
        """A store; `shared`: as if other processes saw it."""
        store: Any = Store() if self.mode == "sync" else AsyncStore()
        inner = store._inner if self.mode == "sync" else store
        inner._clock = inner._envelope._clock = inner._back._clock = self.clock
        if shared:
            inner._kind, inner._personal = "redis", False
        return store

    def __call__(self, servers: dict[str, Any], **options: Any) -> Modal:
        kind: Any = FakeMdmFederation if self.mode == "sync" else FakeAsyncMdmFederation
        options = {"cache_ttl": 60, "store": self.store(), **options}
        federation = Modal(kind(servers, **options), self.mode)
        self.timed(federation)
        self.opened.append(federation)
        return federation

    def timed(self, federation: Modal) -> None:
        """Have a federation's cache go by the clock."""
        shelf = inner_of(federation)._servers.cache.shelf
        shelf.clock, shelf.monotonic = self.clock, lambda: self.clock.running


def inner_of(federation: Modal) -> Any:
    return getattr(federation.wrapped, "_inner", federation.wrapped)


def days_on(federation: Modal, server: str, days: float) -> None:
    """Have the clock of a server be so many days ahead."""
    clock = inner_of(federation).clients[server]._runner.shared.clock
    clock.now = lambda: datetime.now(UTC) + timedelta(days=days)


@pytest.fixture
def opened(mdm_mode: str) -> Iterator[Open]:
    opened = Open(mdm_mode)
    yield opened
    for one in opened.opened:
        one.close()


class TestAge:
    def test_a_server_is_not_asked_again_within_the_ttl(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        first = federation.lookup(MAC)
        federation.fakes["a"].devices[:] = [device("noncompliant")]
        opened.clock.step(59)
        assert decide(federation.lookup(MAC)) == decide(first) == "compliant"
        assert federation.lookup(MAC).device == first.device
        opened.clock.step(1)
        assert decide(federation.lookup(MAC)) == "noncompliant"
        assert len(federation.fakes["a"].asked) == 2

    def test_that_there_is_no_such_device_counts_for_less_long(self, opened: Open) -> None:
        federation = opened({"a": []}, cache_negative_ttl=10)
        federation.lookup(MAC)
        federation.fakes["a"].devices.append(device())
        opened.clock.step(9.9)
        assert decide(federation.lookup(MAC)) == "not_registered"
        opened.clock.step(0.1)
        assert decide(federation.lookup(MAC)) == "compliant"

    def test_a_call_may_want_it_younger(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        federation.lookup(MAC)
        opened.clock.step(5)
        federation.lookup(MAC, max_age=5.1)
        assert len(federation.fakes["a"].asked) == 1
        federation.find(MAC, max_age=5)
        assert len(federation.fakes["a"].asked) == 2
        list(federation.lookup_many([MAC], max_age=0))
        assert len(federation.fakes["a"].asked) == 3

    def test_a_call_cannot_want_it_older(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        federation.lookup(MAC)
        opened.clock.step(61)
        federation.lookup(MAC, max_age=3600)
        assert len(federation.fakes["a"].asked) == 2

    def test_a_clock_that_is_put_back_makes_nothing_younger(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        federation.lookup(MAC)
        federation.lookup(MAC)
        opened.clock.step(50)
        opened.clock.now -= 52
        federation.lookup(MAC)
        assert len(federation.fakes["a"].asked) == 1
        opened.clock.step(10)
        federation.lookup(MAC)
        assert len(federation.fakes["a"].asked) == 2

    def test_an_answer_says_how_old_it_is(self, mdm_mode: str) -> None:
        kind: Any = FakeMdmFederation if mdm_mode == "sync" else FakeAsyncMdmFederation
        with Modal(kind({"a": [device()]}, cache_ttl=60), mdm_mode) as federation:
            before = federation.lookup(MAC).outcomes[0]
            time.sleep(0.05)
            after = federation.lookup(MAC).outcomes[0]
        assert after.age >= 0.05
        assert abs((after.answered_at - before.answered_at).total_seconds()) < 0.001

    def test_without_a_ttl_each_lookup_asks(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        inner_of(federation)._servers.cache = None
        federation.lookup(MAC)
        federation.lookup(MAC)
        assert len(federation.fakes["a"].asked) == 2


class TestFailures:
    def test_an_error_is_never_kept(self, opened: Open) -> None:
        federation = opened({"a": FakeServer([device()], down=ConnectError("no route"))})
        assert decide(federation.lookup(MAC)) == "no_answer"
        federation.fakes["a"].down = None
        assert decide(federation.lookup(MAC)) == "compliant"

    def test_nothing_old_is_used_unless_the_administrator_says_so(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        federation.lookup(MAC)
        federation.fakes["a"].down = ConnectError("no route")
        opened.clock.step(60)
        assert decide(federation.lookup(MAC)) == "no_answer"

    def test_what_is_old_stands_in_for_a_server_that_fails(self, opened: Open) -> None:
        federation = opened({"a": [device()], "b": []}, cache_max_age=600)
        federation.lookup(MAC)
        federation.fakes["a"].down = ConnectError("no route")
        opened.clock.step(599)
        answer = federation.lookup(MAC)
        assert (decide(answer), answer.complete) == ("compliant", True)
        assert answer.notes == ("a: what it said before stands, since it fails now: no route",)
        assert decide(federation.lookup(MAC, max_age=500)) == "no_answer"
        opened.clock.step(1)
        assert decide(federation.lookup(MAC)) == "no_answer"

    def test_it_does_not_where_the_server_refuses(self, opened: Open) -> None:
        federation = opened({"a": [device()]}, cache_max_age=600)
        federation.lookup(MAC)
        federation.fakes["a"].down = PermissionDeniedError("no", status=403)
        opened.clock.step(60)
        assert decide(federation.lookup(MAC)) == "no_answer"

    def test_that_there_was_no_device_never_stands_in(self, opened: Open) -> None:
        federation = opened({"a": []}, cache_max_age=600)
        federation.lookup(MAC)
        federation.fakes["a"].down = ConnectError("no route")
        opened.clock.step(60)
        assert decide(federation.lookup(MAC)) == "no_answer"


class TestMerging:
    def test_a_worse_word_of_one_server_is_not_hidden_by_the_kept_one_of_another(self, opened: Open) -> None:
        federation = opened({"a": [device()], "b": []}, cache_negative_ttl=1)
        assert decide(federation.lookup(MAC)) == "compliant"
        federation.fakes["b"].devices.append(device("noncompliant"))
        opened.clock.step(1)
        answer = federation.lookup(MAC)
        assert decide(answer) == "noncompliant"
        assert [len(fake.asked) for fake in federation.fakes.values()] == [1, 2]

    def test_all_records_are_kept(self, opened: Open) -> None:
        federation = opened({"a": [device(id="1"), device("noncompliant", id="2")]})
        assert decide(federation.lookup(MAC)) == "noncompliant"
        assert [one.id for one in federation.find(MAC)] == ["1", "2"]
        assert [decide(one) for one in federation.lookup_many([MAC, MAC])] == ["noncompliant"] * 2
        assert len(federation.fakes["a"].asked) == 1

    def test_only_what_is_missing_is_asked_for(self, opened: Open) -> None:
        federation = opened({"a": [device()], "b": []})
        federation.lookup(MAC, servers=["a"])
        answers = list(federation.lookup_many([MAC, SERIAL, "what?"]))
        assert [decide(one) for one in answers] == ["compliant", "compliant", "no_answer"]
        asked = sorted(map(str, (parse_key(MAC), parse_key(SERIAL))))
        assert [sorted(map(str, fake.asked)) for fake in federation.fakes.values()] == [asked] * 2

    def test_a_server_s_days_are_counted_when_its_records_are_used(self, opened: Open) -> None:
        rules = Rules(max_days_since_check_in=1)
        federation = opened({"a": FakeServer([device(last_check_in=time.time())], rules=rules)})
        assert [decide(federation.lookup(MAC)) for _ in range(3)] == ["compliant"] * 3
        days_on(federation, "a", 1.1)
        assert decide(federation.lookup(MAC)) == "noncompliant"
        days_on(federation, "a", 0)
        assert decide(federation.lookup(MAC)) == "compliant"
        assert len(federation.fakes["a"].asked) == 1


class TestSettings:
    @pytest.mark.parametrize("other", [{"rules": Rules(passcode_set=True)}, {"judges": False}])
    def test_with_others_nothing_that_is_kept_counts(self, opened: Open, other: dict[str, Any]) -> None:
        store = opened.store()
        opened({"a": [device()]}, store=store).lookup(MAC)
        changed = opened({"a": FakeServer([device()], **other)}, store=store)
        changed.lookup(MAC)
        assert len(changed.fakes["a"].asked) == 1
        same = opened({"a": []}, store=store)
        assert decide(same.lookup(MAC)) == "compliant"
        assert not same.fakes["a"].asked

    def test_rules_of_the_federation_count_when_it_is_used(self, opened: Open) -> None:
        store = opened.store()
        opened({"a": [device(passcode_set=False)]}, store=store).lookup(MAC)
        stricter = opened({"a": []}, store=store, rules=Rules(passcode_set=True))
        assert decide(stricter.lookup(MAC)) == "noncompliant"

    def test_another_secret_may_see_other_devices(self, servers: Servers) -> None:
        servers.knows("a", record())
        federation = servers.open("a", cache_ttl=60)
        federation.lookup(MAC)
        federation.lookup(MAC)
        assert servers.asked("a") == ["mac"]
        client = inner_of(federation).clients["a"]
        settings = client.provider.settings.model_copy(update={"password": SecretStr("another")})
        client._runner.plugin.provider = type(client.provider)(settings)
        federation.lookup(MAC)
        assert servers.asked("a") == ["mac", "mac"]
        for name in inner_of(federation)._servers.cache.shelf._homes["a"]:
            assert "another" not in str(name)

    def test_what_was_asked_with_the_secret_of_before_is_not_kept(self, servers: Servers) -> None:
        servers.knows("a", record(), wait=0.5)
        federation = servers.open("a", cache_ttl=60)
        federation.heartbeat()
        with ThreadPoolExecutor(1) as pool:
            early = pool.submit(federation.lookup, MAC)
            while not servers.asked("a"):
                time.sleep(0.01)
            servers._opened[0].refresh_secrets(password="another")
            assert early.result().found
        federation.lookup(MAC)
        assert servers.asked("a") == ["mac", "mac"]


class TestChain:
    def test_the_next_identifier_needs_a_fresh_word(self, opened: Open) -> None:
        federation = opened({"a": [device(state="noncompliant")], "b": []}, chain_fallback=True)
        guid = parse_key(f"guid:{GUID}")
        federation.lookup(guid)
        federation.lookup([guid, MAC])
        assert federation.fakes["a"].asked == [guid, guid, parse_key(MAC)]
        federation.lookup([guid, MAC])
        assert federation.fakes["a"].asked == [guid, guid, parse_key(MAC), guid]
        assert decide(federation.lookup(guid)) == "not_registered"
        assert len(federation.fakes["b"].asked) == 4

    def test_a_device_that_is_known_by_now_is_not_passed_over(self, opened: Open) -> None:
        federation = opened({"a": [device()]}, chain_fallback=True)
        federation.lookup(f"guid:{GUID}")
        federation.fakes["a"].devices.append(device("noncompliant", id="2", guid=GUID, mac_addresses=[]))
        assert decide(federation.lookup([f"guid:{GUID}", MAC])) == "noncompliant"


class TestForgetting:
    @pytest.mark.parametrize("by", [MAC, SERIAL, "imei:353778083456461", device(id="1")])
    def test_a_device_is_forgotten_under_all_its_keys(self, opened: Open, by: Any) -> None:
        federation = opened({"a": [device(imei="353778083456461")], "b": []})
        federation.lookup(MAC)
        federation.lookup(SERIAL)
        federation.fakes["a"].devices[:] = [device("noncompliant", imei="353778083456461")]
        assert decide(federation.lookup(MAC)) == "compliant"
        federation.invalidate(by)
        assert [decide(federation.lookup(key)) for key in (MAC, SERIAL)] == ["noncompliant"] * 2

    def test_others_are_not(self, opened: Open) -> None:
        other = "00:1B:44:11:3A:B8"
        federation = opened({"a": [device()]})
        federation.lookup(other)
        federation.invalidate(MAC)
        federation.lookup(other)
        assert len(federation.fakes["a"].asked) == 1

    def test_another_process_forgets_as_well(self, opened: Open) -> None:
        store = opened.store()
        one, other = opened({"a": [device()]}, store=store), opened({"a": []}, store=store)
        one.lookup(MAC)
        assert decide(other.lookup(MAC)) == "compliant"
        one.invalidate(SERIAL)
        assert decide(other.lookup(MAC)) == "not_registered"

    def test_a_fresh_lookup_asks_and_what_it_finds_counts(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        federation.lookup(MAC)
        federation.fakes["a"].devices[:] = [device("noncompliant")]
        assert decide(federation.lookup(MAC, fresh=True)) == "noncompliant"
        assert decide(federation.lookup(MAC)) == "noncompliant"
        assert len(federation.fakes["a"].asked) == 2

    def test_a_fresh_lookup_that_fails_leaves_nothing(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        federation.lookup(MAC)
        federation.fakes["a"].down = ConnectError("no route")
        assert decide(federation.lookup(MAC, fresh=True)) == "no_answer"
        assert decide(federation.lookup(MAC)) == "no_answer"

    def test_a_store_that_is_full_brings_nothing_back(self, opened: Open) -> None:
        federation = opened({"a": [device()]})
        assert [decide(federation.lookup(MAC)) for _ in range(3)] == ["compliant"] * 3
        federation.fakes["a"].devices[:] = [device("noncompliant")]

        async def full(*_: Any) -> None:
            raise StoreError("the store is full")

        inner_of(federation)._servers.cache.shelf.store._back.write = full
        assert decide(federation.lookup(MAC, fresh=True)) == "noncompliant"
        assert decide(federation.lookup(MAC)) == "noncompliant"


class Gate(FakeServer):
    """A server that answers with what it knew when it was asked, once it may."""

    def __init__(self, *devices: Device) -> None:
        super().__init__(list(devices))
        self.arrived, self.open = threading.Event(), threading.Event()

    def wait(self) -> None:
        """Wait until the gate is open."""
        self.arrived.set()
        assert self.open.wait(30)


class GateProvider(fakes._FakeProvider):
    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        found = yield from super().find(info, key)
        yield from call(self._fake.wait)  # type: ignore[attr-defined]
        return found


class TestUnderWay:
    """Lookups at the same time."""

    @pytest.fixture
    def gate(self) -> Gate:
        return Gate(device())

    @pytest.fixture
    def federation(self, gate: Gate, mdm_mode: str) -> Iterator[Modal]:
        client = open_client(GateProvider(gate), mdm_mode, server="a")
        with client, open_federation([client], mdm_mode, cache_ttl=60) as federation:
            yield federation

    def test_a_thousand_lookups_of_one_device_are_one_question(
        self, federation: Modal, gate: Gate, mdm_mode: str
    ) -> None:
        threading.Timer(0.5, gate.open.set).start()
        answers = at_once(federation, mdm_mode, 1000)
        assert len(gate.asked) == 1
        assert {decide(answer) for answer in answers} == {"compliant"}

    @pytest.mark.parametrize("how", ["invalidate", "fresh"])
    def test_a_word_asked_for_before_does_not_count_afterwards(
        self, federation: Modal, gate: Gate, how: str
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            early = pool.submit(federation.lookup, MAC)
            assert gate.arrived.wait(30)
            gate.devices[:] = [device("noncompliant")]
            first, gate.open = gate.open, threading.Event()
            gate.open.set()
            if how == "invalidate":
                federation.invalidate(SERIAL)
                federation.invalidate(MAC)
            late = federation.lookup(MAC, fresh=how == "fresh")
            first.set()
            assert decide(early.result()) == "compliant"
        assert decide(late) == "noncompliant"
        assert decide(federation.lookup(MAC)) == "noncompliant"  # though the other one came last
        assert len(gate.asked) == 2

    def test_nobody_joins_what_began_before_his_max_age(self, federation: Modal, gate: Gate) -> None:
        with ThreadPoolExecutor(1) as pool:
            early = pool.submit(federation.lookup, MAC)
            assert gate.arrived.wait(30)
            gate.devices[:] = [device("noncompliant")]
            first, gate.open = gate.open, threading.Event()
            gate.open.set()
            threading.Timer(1.0, first.set).start()
            assert decide(federation.lookup(MAC, max_age=0)) == "noncompliant"
            assert decide(early.result()) == "compliant"

    def test_a_chain_goes_on_after_no_word_that_another_asked_for(
        self, federation: Modal, gate: Gate
    ) -> None:
        guid = f"guid:{GUID}"
        with ThreadPoolExecutor(2) as pool:
            early = pool.submit(federation.lookup, guid)
            assert gate.arrived.wait(30)
            gate.devices.append(
                device("noncompliant", id="2", guid=GUID, mac_addresses=[], serial_number=None)
            )
            late = pool.submit(federation.lookup, [guid, SERIAL])
            time.sleep(0.2)  # so that it waits for the other one
            gate.open.set()
            assert decide(early.result()) == "not_registered"
            assert decide(late.result()) == "noncompliant"

    def test_who_has_more_time_than_the_one_who_asks_asks_then(self, servers: Servers) -> None:
        servers.knows("a", record(), wait=0.4)
        federation = servers.open("a", cache_ttl=60)
        federation.heartbeat()
        hasty: Callable[[Modal], Any] = lambda one: one.lookup(MAC, deadline=0.2)  # noqa: E731

        def patient(federation: Modal) -> Any:
            time.sleep(0.1)
            return federation.lookup(MAC)

        late, answer = federation.side_by_side([hasty, patient])
        assert isinstance(late.outcomes[0].error, DeadlineExceededError)
        assert decide(answer) == "compliant"

    def test_who_waits_for_another_keeps_his_deadline(self, servers: Servers) -> None:
        servers.knows("a", record(), wait=2.0)
        federation = servers.open("a", cache_ttl=60)
        federation.heartbeat()

        def hasty(federation: Modal) -> Any:
            time.sleep(0.1)
            began = time.monotonic()
            answer = federation.lookup(MAC, deadline=0.2)
            assert time.monotonic() - began < 1.8
            return answer

        answer, late = federation.side_by_side([lambda one: one.lookup(MAC), hasty])
        assert isinstance(late.outcomes[0].error, DeadlineExceededError)
        assert decide(answer) == "compliant"


def at_once(federation: Modal, mode: str, count: int) -> list[Any]:
    if mode == "sync":
        return federation.side_by_side([lambda one: one.lookup(MAC)] * count)
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await federation.wrapped.lookup(MAC))

    async def ask_all() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(ask)

    federation.run(ask_all)
    return answers


class Broken:
    """A back end that does not work."""

    def __getattr__(self, name: str) -> Any:
        async def fail(*args: Any, **options: Any) -> None:
            raise StoreError("out of reach")

        return fail


class Hung:
    """A back end that never answers."""

    def __init__(self, waits: Any) -> None:
        self._waits = waits
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def hang(*args: Any, **options: Any) -> None:
            self.asked.append(name)
            await self._waits.sleep(60)

        return hang


class TestStore:
    def test_lookups_go_on_without_it_and_say_so(
        self, opened: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = opened.store()
        federation = opened({"a": [device()]}, store=store)
        federation.lookup(MAC)
        inner = getattr(store, "_inner", store)
        working, inner._back = inner._back, Broken()
        federation.fakes["a"].devices[:] = [device("noncompliant")]
        answers = [federation.lookup(MAC), federation.lookup(MAC, fresh=True)]
        answers += federation.lookup_many([MAC, SERIAL])
        assert [decide(one) for one in answers] == ["noncompliant"] * 4
        assert all(one.notes == ("asked without the cache: out of reach",) for one in answers)
        assert [one.levelname for one in caplog.records if one.name == "mdmsdk.cache"] == ["WARNING"]
        with pytest.raises(StoreError):
            federation.invalidate(MAC)
        inner._back = working
        assert federation.lookup(SERIAL).notes == ()

    def test_one_that_hangs_costs_a_lookup_a_part_of_its_time_and_the_next_ones_nothing(
        self, opened: Open
    ) -> None:
        store = opened.store(shared=True)
        federation = opened({"a": [device()]}, store=store)
        inner_of(federation)._servers.cache.shelf.store._back = hung = Hung(inner_of(federation)._waits)
        federation.heartbeat()
        began = time.monotonic()
        answer = federation.lookup(MAC, deadline=2.4)
        assert time.monotonic() - began < 2.3
        assert (decide(answer), answer.notes) == ("compliant", (f"asked without the cache: {_SLOW}",))
        before = len(hung.asked)
        assert decide(federation.lookup(MAC, deadline=2.4)) == "compliant"
        assert len(hung.asked) == before > 0

    def test_who_the_user_is_stays_in_memory(self, opened: Open) -> None:
        mine = device(user="anna", phone_number="+4912345678", raw={"user": "anna"})
        for shared, user in ((False, "anna"), (True, None)):
            store = opened.store(shared=shared)
            federation = opened({"a": [mine]}, store=store)
            federation.lookup(MAC)
            federation.lookup("username:anna")
            kept = federation.lookup(MAC).device
            assert (kept.user, len(federation.fakes["a"].asked)) == (user, 2)
            entries = str(vars(getattr(store, "_inner", store)._back))
            assert ("anna" in entries, "12345678" in entries) == (not shared, not shared)

    def test_a_user_s_name_that_was_asked_for_first_is_still_held_against_a_record(
        self, opened: Open
    ) -> None:
        mine = device(user="bert")
        federation = opened({"a": [mine]}, store=opened.store(shared=True), chain_fallback=True)
        federation.lookup(MAC)
        assert decide(federation.lookup(["username:anna", MAC])) == "unknown"
