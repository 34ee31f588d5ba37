"""Under load: turns, places, the breaker, threads; each test in every mode."""

from __future__ import annotations

import gc
import json
import re
import threading
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk._run import budget, gate, pool, rules, waits_sync
from mdmsdk._run.budget import Budget
from mdmsdk._run.gate import Gate
from mdmsdk._run.pool import Job, Pool
from mdmsdk._run.stop import Stop
from mdmsdk.client import connect
from mdmsdk.errors import (
    ConfigurationError,
    DeadlineExceededError,
    EndpointNotFoundError,
    IncompleteListError,
    InvalidIdentifierError,
    MdmError,
    MdmTimeoutError,
    RateLimitedError,
    ServerError,
)
from mdmsdk.flow import Flow, call, send, together
from mdmsdk.identifiers import Serial
from mdmsdk.models import Description, Device, ServerInfo
from mdmsdk.paging import Slice, page_of, walk
from mdmsdk.provider import Capability, Limits
from mdmsdk.settings import LowerLimits
from tests.core.conftest import Answer, Clock, Script, TinyProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk.provider import Page
    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

MAC = "00:1B:44:11:3A:B7"


def limited(**limits: Any) -> type[TinyProvider]:
    return type("Limited", (TinyProvider,), {"limits": Limits(**limits)})


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives or raises, and how many seconds it took."""
    began = time.monotonic()
    try:
        outcome = function()
    except MdmError as error:
        outcome = error
    return outcome, time.monotonic() - began


class TestTurns:
    def test_those_that_fit_are_taken_and_the_others_owe_nothing(self, tiny: Connect, script: Script) -> None:
        # A turn a minute: none comes within the deadline, however slowly the machine runs this.
        client = tiny(kind=limited(rate=1 / 60, burst=4, concurrency=20), policy={"deadline": 20.0})
        client.heartbeat()
        outcomes = client.side_by_side([lambda client: timed(lambda: client.lookup(MAC))[0]] * 40)
        refused = [str(outcome) for outcome in outcomes if isinstance(outcome, DeadlineExceededError)]
        assert sum(isinstance(outcome, Device) for outcome in outcomes) == 3
        assert sum("has no turn within the deadline" in told for told in refused) == 37
        assert script.counts["/find"] == 3
        outcome, _ = timed(lambda: client.lookup(MAC))
        found = re.search(r"the next one comes in (\d+)", str(outcome))
        assert found
        assert int(found[1]) <= 60

    def test_exactly_those_within_the_deadline_go_and_the_next_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [100.0]
        clock = SimpleNamespace(monotonic=lambda: now[0])
        monkeypatch.setattr(gate, "time", clock)
        monkeypatch.setattr(budget, "time", clock)
        here, patience = Gate(waits_sync, Stop(), 20, Limits(rate=4)), Budget(1.0)
        refused: list[str] = []

        async def main() -> None:
            waiting = []
            for _ in range(40):
                turn = here.turn()
                try:
                    if here.enter(turn, patience) is not None:
                        waiting.append(turn)
                except DeadlineExceededError as error:
                    refused.append(str(error))
            assert len(waiting) == 3  # one has gone
            for turn in waiting:
                assert here.enter(turn, patience) is not None
                now[0] += 0.25
                assert here.enter(turn, patience) is None
            now[0] += 0.25
            assert here.enter(here.turn(), Budget(0.1)) is None  # those that were refused owe nothing

        waits_sync.drive(main)
        assert len(refused) == 36
        assert all("the next one comes in 1.0 s" in told for told in refused)

    def test_a_list_gives_way_and_still_gets_its_share(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        clock = SimpleNamespace(monotonic=lambda: now[0])
        monkeypatch.setattr(gate, "time", clock)
        monkeypatch.setattr(budget, "time", clock)

        async def order(limits: Limits) -> list[str]:
            """Who goes, where many lookups and several requests of a list wait."""
            here, patience = Gate(waits_sync, Stop(), limits.concurrency, limits), Budget(1000.0)
            waiting = {}
            for name in ("list", *["lookup"] * 7, "list"):
                waiting[here.turn(patient=name == "list")] = name
            began = here.turn()
            assert here.enter(began, patience) is None
            for turn in waiting:
                assert here.enter(turn, patience) is not None
            gone = []
            while waiting:
                now[0] += 1.0
                began.done()
                for turn in waiting:
                    if here.enter(turn, patience) is None:
                        gone.append(waiting.pop(turn))
                        began = turn
                        break
            return gone

        assert (
            waits_sync.drive(partial(order, Limits(rate=1, concurrency=20)))
            == waits_sync.drive(partial(order, Limits(concurrency=1)))
            == [*["lookup"] * 3, "list", *["lookup"] * 3, "list", "lookup"]
        )

    def test_a_list_leaves_a_turn_to_the_next_lookup(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        clock = SimpleNamespace(monotonic=lambda: now[0])
        monkeypatch.setattr(gate, "time", clock)
        monkeypatch.setattr(budget, "time", clock)

        def go(here: Gate, *, patient: bool) -> bool:
            turn = here.turn(patient=patient)
            gone = here.enter(turn, Budget(1000.0)) is None
            turn.used = gone
            turn.done()
            return gone

        async def burst(most: int) -> tuple[int, ...]:
            """How many requests of a list go at once, and how many lookups after them."""
            here = Gate(waits_sync, Stop(), 20, Limits(rate=4, burst=most))
            return tuple(sum(go(here, patient=patient) for _ in range(9)) for patient in (True, False))

        assert waits_sync.drive(partial(burst, 5)) == (4, 1)
        assert waits_sync.drive(partial(burst, 1)) == (1, 0)

    def test_who_is_asked_to_wait_makes_all_others_wait(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = Answer("", 429, headers={"Retry-After": "50"})
        client = tiny(kind=limited(), policy={"deadline": 30.0})
        client.heartbeat()
        outcomes = [timed(lambda: client.lookup(MAC))[0] for _ in range(3)]
        assert [type(one) for one in outcomes] == [RateLimitedError] + [DeadlineExceededError] * 2
        assert script.counts["/find"] == 1
        assert "the next turn comes in" in str(outcomes[1])
        assert "raise policy.deadline above it" in outcomes[1].hint
        with pytest.raises(DeadlineExceededError) as late:
            list(client.with_policy(list_patience=5.0).noncompliant())
        assert "raise policy.list_patience above it" in (late.value.hint or "")

    @pytest.mark.parametrize(("status", "wait"), [(503, "50"), (429, "14400")])
    def test_what_concerns_one_question_alone_makes_no_other_wait(
        self, tiny: Connect, script: Script, status: int, wait: str
    ) -> None:
        script.routes["/find"] = Answer("", status, headers={"Retry-After": wait})
        client = tiny(kind=limited(), policy={"deadline": 30.0})
        outcomes = [timed(lambda: client.lookup(MAC))[0] for _ in range(2)]
        assert [type(one) for one in outcomes] == [RateLimitedError] * 2
        script.routes["/find"] = "1"
        assert client.lookup(MAC) is not None

    def test_a_place_is_not_held_by_one_that_waits_for_its_turn(self, tiny: Connect, script: Script) -> None:
        class Lanes(TinyProvider):
            limits = Limits(rate=2, burst=1, concurrency=2)

            def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
                answer = yield from send(self.get("/find"))
                return [Device(id=answer.text, registered=True)]

            def get(self, path: str, **params: str) -> Any:
                return replace(super().get(path, **params), lane=path)

        client = tiny(kind=Lanes, policy={"deadline": 3.0})
        client.heartbeat()
        script.routes["/busy"] = "1"

        def busy(client: Modal) -> Any:
            return client.with_policy(deadline=2.9).lookup(MAC)

        threads = [threading.Thread(target=busy, args=(client,), daemon=True) for _ in range(5)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)  # they are in the queue of their lane
        _, spent = timed(client.heartbeat)  # the second in its lane
        for thread in threads:
            thread.join()
        assert spent < 1.9  # its own lane is used every half second

    def test_a_turn_that_is_not_used_is_given_back(self) -> None:
        gate = Gate(waits_sync, Stop(), 5, Limits(rate=1))

        async def main() -> list[bool]:
            taken = []
            for used in (False, False, True, True):
                turn = gate.turn()
                taken.append(turn.take_at_once())
                turn.used = used
                turn.done()
            return taken

        assert waits_sync.drive(main) == [True, True, True, False]

    def test_a_refused_one_does_not_try_again(self, tiny: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        client = tiny(kind=limited(rate=0.2, burst=1), policy={"deadline": 1.0})
        client.heartbeat()
        retried: list[object] = []

        def wait(*failed: object) -> float:
            retried.append(failed)
            return 0.0

        monkeypatch.setattr(rules, "wait_before_retry", wait)
        outcome, _ = timed(lambda: client.lookup(MAC))
        assert "the next one comes in" in str(outcome)
        assert retried == []

    def test_one_that_is_let_go_just_before_it_waits_does_not_wait(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate(waits_sync, Stop())

        async def main() -> None:
            first, second = gate.turn(), gate.turn()
            assert first.take_at_once()

            class Late(waits_sync.Park):
                def __init__(self) -> None:
                    first.done()  # as another thread may at this point
                    super().__init__()

            monkeypatch.setattr(waits_sync, "Park", Late)
            await second.take(Budget(2))
            second.done()

        _, spent = timed(lambda: waits_sync.drive(main))
        assert spent < 1.5

    def test_a_turn_may_end_inside_the_gate(self) -> None:
        """The garbage collector may end one that was left over whenever it likes."""
        gate = Gate(waits_sync, Stop())

        async def main() -> list[bool]:
            left = gate.turn()
            taken = [left.take_at_once()]
            with gate._lock:
                left.done()
            return [*taken, gate.turn().take_at_once()]

        ended: list[bool] = []
        thread = threading.Thread(target=lambda: ended.extend(waits_sync.drive(main)), daemon=True)
        thread.start()
        thread.join(60)
        assert ended == [True, True]

    def test_one_that_died_without_a_word_keeps_nothing(self) -> None:
        gate, left = Gate(waits_sync, Stop()), []

        async def dies(*, waiting: bool) -> None:
            turn = gate.turn()
            left.append(turn)
            if waiting:
                gate.enter(turn, Budget(9))
            else:
                await turn.take(Budget(9))
            raise KeyboardInterrupt  # as out of a signal handler, where nothing is cleaned up

        for waiting in (False, True):
            with pytest.raises(KeyboardInterrupt):
                waits_sync.drive(partial(dies, waiting=waiting))

        async def lives() -> None:
            turn = gate.turn()
            await turn.take(Budget(2))
            turn.done()

        _, spent = timed(lambda: waits_sync.drive(lives))
        assert spent < 1.5


class TestBreaker:
    def test_our_own_queue_does_not_open_it(self, tiny: Connect, script: Script) -> None:
        client = tiny(
            kind=limited(concurrency=2),
            policy={"deadline": 0.6, "timeout": 0.6, "attempts": 1, "breaker_failures": 2},
        )
        client.heartbeat()
        script.routes["/find"] = Answer("S1", wait=0.4)
        outcomes = client.side_by_side([lambda client: timed(lambda: client.lookup(MAC))[0]] * 14)
        assert sum(isinstance(outcome, DeadlineExceededError) for outcome in outcomes) >= 10
        script.routes["/find"] = "S1"
        assert client.lookup(MAC).serial_number == "S1"

    def test_a_server_that_does_not_answer_in_time_does(self, tiny: Connect, script: Script) -> None:
        client = tiny(policy={"deadline": 0.3, "attempts": 1, "breaker_failures": 2, "breaker_reset": 9})
        client.heartbeat()
        script.routes["/find"] = Answer("S1", wait=2)
        failures = [timed(lambda: client.lookup(MAC))[0] for _ in range(3)]
        assert [type(failure).__name__ for failure in failures] == [
            "DeadlineExceededError",
            "DeadlineExceededError",
            "ServerUnavailableError",
        ]

    def test_a_client_without_one_does_not_open_it_for_others(self, tiny: Connect, script: Script) -> None:
        client = tiny(policy={"attempts": 1, "breaker_failures": 2})
        script.routes["/info"] = Answer("", 500)
        careless = client.with_policy(breaker_failures=0)
        for _ in range(3):
            with pytest.raises(ServerError):
                careless.heartbeat()
        for _ in range(2):
            with pytest.raises(ServerError):
                client.heartbeat()
        with pytest.raises(MdmError, match="left alone"):
            client.heartbeat()
        with pytest.raises(ServerError):
            careless.heartbeat()


class Nested(TinyProvider):
    """Looks a batch up by flows in flows."""

    capabilities = frozenset({Capability.BATCH})
    limits = Limits(concurrency=3, batch_size=5)

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[dict[Key, Any]]:
        def one(key: Key) -> Flow[list[Device]]:
            answers = yield from together(*(send(self.get("/find", n=str(number))) for number in range(3)))
            number = yield from call(threading.active_count)
            return [Device(id=answers[0].text, serial_number=key.value, name=str(number), registered=True)]

        found = yield from together(*(one(key) for key in keys))
        return dict(zip(keys, found, strict=True))


class TestThreads:
    def test_however_nested_there_are_no_more_than_places(self, tiny: Connect, script: Script) -> None:
        client = tiny(kind=Nested)
        client.heartbeat()
        before = threading.active_count()
        script.routes["/find"] = Answer("S1", wait=0.01)
        results = list(client.lookup_many(Serial(f"NUMBER{number}") for number in range(40)))
        assert [result.device.serial_number for result in results] == [f"NUMBER{n}" for n in range(40)]
        assert script.counts["/find"] == 120
        assert script.most_at_once == 3
        assert max(int(result.device.name) for result in results) <= before + 3
        assert threading.active_count() <= before + 3

    def test_many_callers_have_no_more_places(self, tiny: Connect, script: Script) -> None:
        client = tiny(kind=Nested, policy={"deadline": 20})
        script.routes["/find"] = Answer("S1", wait=0.01)
        keys = [Serial(f"NUMBER{number}") for number in range(5)]
        found = client.side_by_side([lambda client: list(client.lookup_many(keys))] * 6)
        assert [len(results) for results in found] == [5] * 6
        assert not [result.error for results in found for result in results if result.error]
        assert script.most_at_once == 3

    def test_a_failure_ends_the_siblings_at_once(self, tiny: Connect, script: Script) -> None:
        class Together(TinyProvider):
            def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
                yield from together(self.fan_out(["/slow", "/slow"]), self.fan_out(["/bad", "/slow"]))
                return []

        client = tiny(kind=Together)
        client.heartbeat()
        script.routes |= {"/slow": Answer("", wait=2), "/bad": Answer("", 403, wait=0.05)}
        failure, spent = timed(lambda: client.lookup(MAC))
        assert "403" in str(failure)
        assert spent < 1.8

    def test_a_library_that_hangs_is_left_to_itself(self, tiny: Connect) -> None:
        hanging = threading.Event()

        class Hanging(TinyProvider):
            def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
                yield from together(call(hanging.wait), self.fan_out(["/find"]))
                return []

        client = tiny(kind=Hanging)
        client.heartbeat()
        failure, spent = timed(lambda: client.with_policy(deadline=0.4).lookup(MAC))
        hanging.set()
        assert isinstance(failure, DeadlineExceededError)
        assert spent < 5


class TestPool:
    def test_more_jobs_than_threads_are_done_and_the_threads_end(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool, "_IDLE", 0.05)
        workers, done, used = Pool(3, Stop()), [], set()

        def work(number: int) -> None:
            used.add(threading.current_thread())
            done.append(number)

        for _ in range(2):
            jobs = [Job(partial(work, number), lambda: None) for number in range(50)]
            for job in jobs:
                workers.submit(job)
            while not all(job.over for job in jobs):
                time.sleep(0.001)
            for thread in used:
                thread.join(60)  # the next round starts others
        assert sorted(done) == sorted([*range(50), *range(50)])
        assert 2 <= len(used) <= 6
        assert all(thread.daemon for thread in used)
        assert not any(thread.is_alive() for thread in used)

    def test_a_job_that_was_dropped_is_not_done(self) -> None:
        job = Job(lambda: 1, lambda: None)
        assert job.claimed()
        assert not job.claimed()
        job.run()
        assert not job.over


class TestDriving:
    def test_sleepers_wake_in_order_and_together(self) -> None:
        woken: list[float] = []

        async def sleeper(seconds: float) -> float:
            await waits_sync.sleep(seconds)
            woken.append(seconds)
            return seconds

        async def main() -> list[float]:
            return await waits_sync.gather([partial(sleeper, seconds) for seconds in (0.4, 0.08, 0.24, 0.08)])

        found, spent = timed(lambda: waits_sync.drive(main))
        assert found == [0.4, 0.08, 0.24, 0.08]
        assert woken == [0.08, 0.08, 0.24, 0.4]
        assert spent < 0.75

    def test_a_wake_from_another_thread_before_and_after_the_wait(self) -> None:
        async def main() -> None:
            park = waits_sync.Park()
            park.wake()
            await park.wait(5)
            threading.Timer(0.02, park.wake).start()
            await park.wait(5)

        _, spent = timed(lambda: waits_sync.drive(main))
        assert spent < 4

    def test_an_interrupt_closes_what_ran_beside_it(self) -> None:
        closed: list[str] = []

        async def waiting(name: str) -> None:
            try:
                await waits_sync.sleep(9)
            finally:
                closed.append(name)

        async def interrupted() -> None:
            await waits_sync.sleep(0.01)
            raise KeyboardInterrupt

        async def inner() -> None:
            await waits_sync.gather([lambda: waiting("a"), lambda: waiting("b")])

        with pytest.raises(KeyboardInterrupt):
            waits_sync.drive(partial(waits_sync.gather, [inner, interrupted, lambda: waiting("c")]))
        assert sorted(closed) == ["a", "b", "c"]

    def test_nothing_is_left_to_the_garbage_collector(self) -> None:
        async def fails() -> None:
            await waits_sync.sleep(0.001)
            raise MdmError("x")

        gc.collect()
        gc.disable()
        try:
            before = len(gc.get_objects())
            for _ in range(50):
                with pytest.raises(MdmError):
                    waits_sync.drive(partial(waits_sync.gather, [fails, fails]))
            assert len(gc.get_objects()) - before < 200
        finally:
            gc.enable()

    def test_an_async_iterator_that_is_left_early_is_closed(self) -> None:
        closed = []

        async def numbers() -> Any:
            try:
                for number in range(9):
                    yield number
            finally:
                closed.append(True)

        iterator = waits_sync.iterate(numbers())
        assert next(iterator) == 0
        iterator.close()  # type: ignore[attr-defined] # it is a generator
        assert closed == [True]


class TestLists:
    def test_a_list_waits_as_often_as_the_server_asks(self, tiny: Connect, script: Script) -> None:
        refusals = iter([Answer("", 429, {"retry-after": "0"})] * 5)
        script.routes["/page"] = lambda _: next(refusals, '{"rows": [1]}')
        client = tiny(policy={"attempts": 2, "deadline": 0.5})
        assert [device.id for device in client.noncompliant()] == ["1"]
        assert script.counts["/page"] == 6

    def test_a_list_outlives_the_deadline_and_not_its_own_patience(
        self, tiny: Connect, script: Script
    ) -> None:
        script.routes["/page"] = Answer('{"rows": [1]}', wait=0.4)
        client = tiny(policy={"deadline": 0.2, "attempts": 1})
        client.with_policy(deadline=5).heartbeat()
        assert len(list(client.noncompliant())) == 1
        with pytest.raises(DeadlineExceededError, match=r"policy\.list_patience") as caught:
            list(client.with_policy(list_patience=0.2).noncompliant())
        assert "policy.list_patience" in str(caught.value.hint)

    def test_pages_that_bring_nothing_new_end_the_list(self, tiny: Connect, script: Script) -> None:
        numbers = iter(range(10_000))
        script.routes["/page"] = lambda _: f'{{"rows": [1, 2], "next": "{next(numbers)}"}}'
        found = []
        with pytest.raises(MdmError, match="brought nothing new"):
            found.extend(tiny().noncompliant())
        assert script.counts["/page"] == 11

    @pytest.mark.parametrize("rows", ['"rows": []', '"rows": [], "sent": ["7", "8"]'])
    def test_so_do_pages_without_rows_and_with_rows_that_were_left_out_before(
        self, tiny: Connect, script: Script, rows: str
    ) -> None:
        numbers = iter(range(10_000))
        script.routes["/page"] = lambda _: f'{{{rows}, "next": "{next(numbers)}"}}'
        with pytest.raises(IncompleteListError, match="the last 10 pages brought nothing new"):
            list(tiny().noncompliant())
        assert script.counts["/page"] <= 11

    @pytest.mark.parametrize("progress", ['"sent": ["{}"]', '"moved": {}'])
    def test_pages_of_which_all_rows_were_left_out_do_not(
        self, tiny: Connect, script: Script, progress: str
    ) -> None:
        pages = (f'{{"rows": [], "next": "{n}", {progress.format(n)}}}'.replace("{{", "{") for n in range(30))
        script.routes["/page"] = lambda _: next(pages, '{"rows": [5]}')
        assert [device.id for device in tiny().noncompliant()] == ["5"]

    def test_a_page_that_does_not_come_in_time_names_the_settings(
        self, tiny: Connect, script: Script
    ) -> None:
        script.routes["/page"] = Answer('{"rows": [1]}', wait=1)
        client = tiny(policy={"timeout": 0.1, "attempts": 1})
        with pytest.raises(MdmTimeoutError) as caught:
            list(client.noncompliant())
        assert caught.value.hint == "The server needs longer for a page: raise policy.timeout."

    def test_a_page_that_does_not_come_in_time_is_asked_for_in_smaller_ones(
        self, tiny: Connect, script: Script
    ) -> None:
        class Large(TinyProvider):
            def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
                rows, following = yield from walk(self.part, [""], cursor, 1000, ordered=True)
                return page_of([Device(registered=True, id=str(row)) for row in rows], following)

            def part(self, scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
                answer = yield from send(self.get("/part", offset=str(offset), limit=str(limit)))
                return Slice([(row, row) for row in answer.json()], 300)

        def part(request: Any) -> Any:
            offset, limit = (int(request.query_params[name]) for name in ("offset", "limit"))
            return Answer(json.dumps(list(range(300))[offset : offset + limit]), wait=5 if limit > 100 else 0)

        script.routes["/part"] = part
        client = tiny(kind=Large, policy={"timeout": 0.5, "attempts": 1})
        assert [device.id for device in client.noncompliant()] == [str(row) for row in range(300)]
        asked = [
            int(request.query_params["limit"]) for request in script.requests if "part" in request.url.path
        ]
        assert asked == [1000, 250, 62, 62, 62, 62, 62]  # what was learnt holds for the pages after it


class TestLimitsOfTheAdministrator:
    def test_they_lower_those_of_the_vendor_and_never_raise_them(self) -> None:
        limits = Limits(rate=10, burst=5, concurrency=4)
        assert limits.lowered(LowerLimits(rate=2, burst=1, concurrency=3)) == Limits(rate=2, concurrency=3)
        assert limits.lowered(LowerLimits(rate=20, burst=9, concurrency=9)) == limits
        assert limits.lowered(LowerLimits()) == limits
        assert Limits().lowered(LowerLimits(rate=3)).rate == 3

    def test_they_are_kept(self, tiny: Connect, script: Script) -> None:
        script.routes["/find"] = Answer("S1", wait=0.05)
        client = tiny(limits={"concurrency": 2})
        client.side_by_side([lambda client: client.lookup(MAC)] * 8)
        assert script.most_at_once == 2


class TestDescription:
    def test_it_is_read_again_before_it_is_too_old_and_no_lookup_waits(
        self, tiny: Connect, script: Script, clock: Clock
    ) -> None:
        client = tiny(policy={"info_ttl": 100.0})
        client.lookup(MAC)
        described = getattr(client.wrapped, "_inner", client.wrapped)._described._known
        first = described.read_at
        clock.ahead = 85.0
        script.routes["/info"] = Answer("", wait=1.0)
        found, spent = timed(lambda: client.lookup(MAC))
        assert isinstance(found, Device)
        assert spent < 0.9
        client.lookup(MAC)
        until = time.monotonic() + 8
        while described.read_at == first and time.monotonic() < until:
            time.sleep(0.02)
        clock.ahead = 110.0  # past the end of the first one's life
        assert isinstance(client.lookup(MAC), Device)
        assert script.counts["/info"] == 2

    def test_what_changes_by_itself_is_no_reason_to_ask_twice(self, tiny: Connect, script: Script) -> None:
        numbers = iter(range(100))

        class Metered(TinyProvider):
            def heartbeat(self) -> Flow[ServerInfo]:
                yield from send(self.get("/info"))
                return ServerInfo(extra={"quota": next(numbers)}, description=Description())

        client = tiny(kind=Metered)
        client.heartbeat()
        script.routes["/find"] = Answer("", 404)
        with pytest.raises(EndpointNotFoundError):
            client.lookup(MAC)
        assert script.counts["/find"] == 1


class TestSlipsOfCallers:
    @pytest.mark.parametrize("keys", [MAC, b"abc", Serial("NUMBER1"), None, 7])
    def test_one_key_is_not_several(self, tiny: Connect, keys: Any) -> None:
        with pytest.raises(InvalidIdentifierError, match="several keys are wanted"):
            list(tiny().lookup_many(keys))

    @pytest.mark.parametrize("key", [None, 7, b"abc", [MAC]])
    def test_what_is_no_key_is_told(self, tiny: Connect, key: Any) -> None:
        client = tiny()
        with pytest.raises(InvalidIdentifierError, match="a key or text is wanted"):
            client.lookup(key)
        (result,) = client.lookup_many([key])
        assert isinstance(result.error, InvalidIdentifierError)

    @pytest.mark.parametrize(
        ("name", "meant"), [("timeout", "policy.timeout"), ("ca_fil", "tls.ca_file"), ("usernam", "username")]
    )
    def test_a_wrong_name_is_told_with_the_nearest_right_one(self, name: str, meant: str) -> None:
        settings: dict[str, Any] = {
            "base_url": "https://mdm.example",
            "username": "nac",
            "password": "secret",
        }
        with pytest.raises(ConfigurationError, match=rf"{name} is not known, is {meant} meant\?"):
            connect("ise", **settings | {name: 3})
