"""Processes, event loops, signals and closing: a client stays usable, or says that it is closed."""

from __future__ import annotations

import asyncio
import codecs
import dis
import gc
import itertools
import json
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import mdmsdk
from mdmsdk import wire
from mdmsdk._run import pool, waits_sync
from mdmsdk._run.stop import Stop
from mdmsdk.client import AsyncMdmClient, MdmClient
from mdmsdk.errors import ClientClosedError, MdmError
from mdmsdk.flow import Flow, call, pause, send, together
from mdmsdk.provider import Limits
from mdmsdk.settings import Policy
from mdmsdk.wire import Request, Response
from tests.core.conftest import Answer, Script, TinyProvider, TinySettings
from tests.forks import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

MAC = "00:1B:44:11:3A:B7"


class TestClosing:
    def test_a_closed_client_refuses_new_work(self, tiny: Connect) -> None:
        client = tiny()
        client.heartbeat()
        twin = client.with_policy(deadline=3)
        client.run(client.wrapped.close if client.mode == "sync" else client.wrapped.aclose)
        for one in (client, twin):
            for ask in (
                one.heartbeat,
                lambda one=one: one.lookup(MAC),
                lambda one=one: list(one.noncompliant()),
            ):
                with pytest.raises(ClientClosedError) as caught:
                    ask()
                assert caught.value.server == "tiny"
            (result,) = one.lookup_many([MAC])
            assert isinstance(result.error, ClientClosedError)

    @pytest.mark.parametrize("waits_for", ["answer", "place", "turn", "login", "library", "retry", "pause"])
    def test_what_is_under_way_ends(self, tiny: Connect, script: Script, waits_for: str) -> None:
        hanging = threading.Event()

        class Waiting(TinyProvider):
            limits = Limits(
                concurrency=1 if waits_for == "place" else 9, rate=0.5 if waits_for == "turn" else None
            )

            def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
                if waits_for == "library":
                    yield from together(call(lambda: hanging.wait(9)), call(lambda: hanging.wait(9)))
                if waits_for == "pause":
                    yield from pause(8)
                return (yield from super().find(info, key))

        client = tiny(kind=Waiting, login="token", policy={"max_wait": 9, "deadline": 9, "timeout": 9})
        script.routes |= {"/token": '{"token": "T"}', "/logout": ""}
        if waits_for not in {"login", "turn"}:
            client.heartbeat()
        slow = Answer("S1", wait=4)
        script.routes |= {
            "answer": {"/find": slow},
            "place": {"/find": slow},
            "login": {"/token": slow},
            "retry": {"/find": Answer("", 503, {"retry-after": "8"})},
        }.get(waits_for, {})
        close = client.wrapped.close if client.mode == "sync" else client.wrapped.aclose

        def closing(client: Modal) -> float:
            time.sleep(0.3)
            client.run(close)
            return time.monotonic()

        def asking(client: Modal) -> tuple[Any, float]:
            try:
                return client.lookup(MAC), time.monotonic()
            except MdmError as error:
                return error, time.monotonic()

        *asked, closed_at = client.side_by_side([asking, asking, closing])
        hanging.set()
        for outcome, ended_at in asked:
            assert isinstance(outcome, ClientClosedError)
            assert ended_at - closed_at < 3.0

    def test_a_client_with_another_policy_does_not_close_what_it_shares(
        self, tiny: Connect, mdm_mode: str
    ) -> None:
        client = tiny()
        client.heartbeat()
        twin = client.with_policy(deadline=3)
        if mdm_mode == "sync":
            with twin:
                pass
            twin.close()
        else:
            client.run(twin.wrapped.aclose)
        assert client.lookup(MAC).serial_number == "S1"
        assert twin.lookup(MAC).serial_number == "S1"

    def test_a_second_close_does_nothing(self, tiny: Connect, script: Script) -> None:
        script.routes |= {"/token": '{"token": "T"}', "/logout": ""}
        client = tiny(login="token")
        client.heartbeat()
        for _ in range(2):
            client.run(client.wrapped.close if client.mode == "sync" else client.wrapped.aclose)
        assert script.counts["/logout"] == 1

    def test_clients_refuse_to_be_pickled(self, tiny: Connect) -> None:
        with pytest.raises(TypeError, match="make one there"):
            pickle.dumps(tiny().wrapped)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestForks:
    @pytest.fixture
    def client(self, origin: str) -> MdmClient:
        return MdmClient(TinyProvider(TinySettings(base_url=origin, login="token")), server="tiny")

    def test_both_processes_go_on_and_only_one_logs_out(self, client: MdmClient, script: Script) -> None:
        script.routes |= {"/token": '{"token": "T"}', "/logout": ""}
        client.heartbeat()

        def child() -> str:
            with client:
                found = client.lookup(MAC)
            return str(found and found.serial_number)

        assert in_child(child) == "S1"
        assert script.counts["/logout"] == 0
        assert client.lookup(MAC) is not None
        client.close()
        assert script.counts["/logout"] == 1

    def test_locks_and_places_held_at_the_time_begin_anew(self, client: MdmClient, script: Script) -> None:
        script.routes |= {"/token": Answer('{"token": "T"}', wait=1.0), "/logout": ""}
        threads = [threading.Thread(target=client.lookup, args=(MAC,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)  # one logs in, the others wait for it
        began = time.monotonic()
        client._inner._runner.shared._state.gate._lock.acquire()
        try:
            assert in_child(lambda: repr(client.lookup(MAC))).startswith("Device(")
        finally:
            client._inner._runner.shared._state.gate._lock.release()
        assert time.monotonic() - began < 5
        for thread in threads:
            thread.join()
        client.close()

    def test_the_pool_of_threads_begins_anew(self, client: MdmClient, script: Script) -> None:
        script.routes |= {"/token": '{"token": "T"}', "/logout": ""}
        keys = [f"00:1B:44:11:3A:{number:02X}" for number in range(8)]
        assert len([result for result in client.lookup_many(keys) if result.device]) == 8
        found = in_child(lambda: str(len([result for result in client.lookup_many(keys) if result.device])))
        assert found == "8"
        client.close()


class TestLoops:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_one_event_loop_after_another(self, origin: str, script: Script, backend: str) -> None:
        script.routes |= {"/token": '{"token": "T"}', "/logout": ""}
        settings = TinySettings(base_url=origin, login="token")
        client = AsyncMdmClient(TinyProvider(settings), server="tiny")

        async def look() -> str | None:
            found = await client.lookup(MAC)
            return found.serial_number if found else None

        async def broken_off() -> None:
            script.routes["/find"] = Answer("S1", wait=5)
            with anyio.move_on_after(0.1):
                await client.lookup(MAC)
            script.routes["/find"] = "S1"

        async def last() -> None:
            await look()
            await client.aclose()

        assert anyio.run(look, backend=backend) == "S1"
        anyio.run(broken_off, backend=backend)
        assert anyio.run(look, backend=backend) == "S1"
        anyio.run(last, backend=backend)
        assert script.counts["/token"] == 1
        assert script.counts["/logout"] == 1

    def test_a_wait_that_the_server_asked_for_holds_on_the_next_loop(
        self, origin: str, script: Script
    ) -> None:
        script.routes |= {"/token": '{"token": "T"}', "/logout": ""}
        script.routes["/find"] = Answer("", 429, headers={"Retry-After": "50"})
        settings = TinySettings(base_url=origin, login="token", policy=Policy(attempts=1, deadline=5.0))
        client = AsyncMdmClient(TinyProvider(settings), server="tiny")

        async def look() -> str:
            try:
                return repr(await client.lookup(MAC))
            except MdmError as error:
                return type(error).__name__

        assert asyncio.run(look()) == "RateLimitedError"
        assert asyncio.run(look()) == "DeadlineExceededError"
        assert script.counts["/find"] == 1
        asyncio.run(client.aclose())  # who leaves may log out
        assert script.counts["/logout"] == 1

    def test_a_loop_that_was_stopped_in_the_middle_holds_nothing(self, origin: str, script: Script) -> None:
        class Narrow(TinyProvider):
            limits = Limits(concurrency=1)

        client = AsyncMdmClient(Narrow(TinySettings(base_url=origin)), server="tiny")
        script.routes["/info"] = Answer("", wait=0.5)
        loop = asyncio.new_event_loop()
        task = loop.create_task(client.heartbeat())
        loop.run_until_complete(asyncio.sleep(0.1))  # and then nobody runs it any more

        async def again() -> None:
            await client.heartbeat()
            await client.aclose()

        asyncio.run(again())
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class Interrupt(Exception):  # noqa: N818 - as Celery names its own
    """What a signal handler raises."""


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all those in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def loops_out_of_their_cleanup(code: CodeType) -> list[int]:
    """Lines of loops in a `with` or `try` ... `finally` whose jump back to their head lies outside of it."""
    read: Any = dis.Bytecode(code)  # its stub knows nothing of these entries
    entries = read.exception_entries
    instructions = {found.offset: found for found in read}
    offsets = list(instructions)

    def cleanup_of(offset: int | None) -> int | None:
        while offset is not None:
            offset = next((entry.target for entry in entries if entry.start <= offset < entry.end), None)
            if offset is None or instructions[offset].opname != "PUSH_EXC_INFO":
                continue  # one that the compiler made up, for a comprehension or a generator
            head = offsets[offsets.index(offset) :][:8]
            if all(instructions[each].opname != "CHECK_EXC_MATCH" for each in head):
                break
        return offset

    return [
        found.positions.lineno or 0
        for found in instructions.values()
        if found.opname == "JUMP_BACKWARD" and found.positions
        if (cleanup := cleanup_of(found.argval)) is not None and cleanup_of(found.offset) != cleanup
    ]


ROUNDS = int(os.environ.get("MDMSDK_INTERRUPTS", "300"))


class Wire:
    """Answers at once, in place of the HTTP library."""

    def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        time.sleep(0.00002)
        body = {"/token": b'{"token": "T", "expires_in": 0.001}', "/find": b"S1"}
        return Response(200, {}, body.get(request.url[len("http://127.0.0.1:9") :], b""), request.url)

    def close(self) -> None:
        """There is nothing to close."""


class Narrow(TinyProvider):
    """Has more under way than there are places."""

    limits = Limits(concurrency=2)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        yield from together(*(send(self.get("/find")) for _ in range(3)))
        return (yield from super().find(info, key))


class Quick(Wire):
    """The same without any wait."""

    def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
        body = {"/page": b'{"rows": [1, 2]}', "/find": b"S1"}
        return Response(200, {}, body.get(request.url[len("http://127.0.0.1:9") :], b""), request.url)


def interrupted_at(number: int, work: Callable[[], object]) -> bool:
    """Do some work with Ctrl-C at so many calls of what drives coroutines; tells whether it came to that.

    A signal handler runs when a function begins, and when one that is written in C has ended.
    """
    calls = itertools.count()
    where, made = "", False

    def look(frame: FrameType, event: str, what: object) -> None:
        nonlocal where, made
        file = frame.f_code.co_filename
        if where or event not in {"call", "c_return"} or not file.endswith(("/waits_sync.py", "/sync.py")):
            return
        if next(calls) == number:
            where = f"{file}:{frame.f_lineno}"
            made = (frame.f_code, event) == (waits_sync._close.__code__, "c_return")
            raise KeyboardInterrupt

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sys.setprofile(look)
        try:
            work()
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
    told = [str(one.message) for one in warned]
    if made:  # and not yet awaited, which Python 3.13 tells: no code can stand between the two
        told = [one for one in told if "coroutine method 'aclose'" not in one]
    assert told == [], where
    return bool(where)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that were just made
class TestInterrupts:
    """Interrupts at random points; MDMSDK_INTERRUPTS says how many, 100,000 in the long run."""

    @pytest.fixture(autouse=True)
    def left_over(self) -> Iterator[None]:
        """Has its sockets collected here, where the warning is expected, and not in another test."""
        yield
        gc.collect()

    @pytest.fixture
    def interrupted(self) -> Iterator[Callable[[Callable[[], Any], float], bool]]:
        """Calls something and interrupts it after so many seconds; tells whether it was in time."""
        armed: list[type[BaseException]] = []
        kinds = itertools.cycle([Interrupt, KeyboardInterrupt])

        def handler(*_: object) -> None:
            if armed:
                raise armed.pop()

        def interrupted(function: Callable[[], Any], seconds: float) -> bool:
            try:
                armed.append(next(kinds))
                signal.setitimer(signal.ITIMER_REAL, seconds)
                function()
            except (Interrupt, KeyboardInterrupt, MdmError):
                return True
            finally:
                armed.clear()
                signal.setitimer(signal.ITIMER_REAL, 0)
            return False

        before = signal.signal(signal.SIGALRM, handler)
        yield interrupted
        signal.signal(signal.SIGALRM, before)

    @pytest.mark.parametrize("kind", [RuntimeError, ValueError, TimeoutError])
    @pytest.mark.parametrize("where", ["json", "codec"])
    def test_one_while_an_answer_is_read_comes_out_as_itself(
        self, kind: type[Exception], where: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Late(kind):  # type: ignore[valid-type, misc]
            pass

        def handler(*_: object) -> None:
            raise Late

        def interrupted(*_: Any) -> Any:
            signal.raise_signal(signal.SIGALRM)
            return "", 0

        class Reading(TinyProvider):
            def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
                answer = yield from send(self.get("/find"))
                assert answer.json() if where == "json" else answer.text
                return []

        class Answering(Wire):
            def exchange(self, request: Request, seconds: float, max_body: int) -> Response:
                return Response(200, {"content-type": "text/plain; charset=interrupted"}, b'{"a": 1}')

        if where == "json":
            monkeypatch.setattr(wire, "_DECODER", json.JSONDecoder(object_pairs_hook=interrupted))
        found = codecs.CodecInfo(codecs.lookup("utf-8").encode, interrupted, name="interrupted")
        codecs.register(search := {"interrupted": found}.get)
        before = signal.signal(signal.SIGALRM, handler)
        client = MdmClient(Reading(TinySettings(base_url="http://127.0.0.1:9", login="none")), server="tiny")
        client._inner._runner.shared._http[""] = Answering()
        try:
            with pytest.raises(Late):
                client.lookup(MAC)
        finally:
            signal.signal(signal.SIGALRM, before)
            client.close()
            codecs.unregister(search)

    @pytest.mark.timeout(3600)
    def test_none_leaves_a_lock_held(
        self, interrupted: Callable[..., bool], capsys: pytest.CaptureFixture[str]
    ) -> None:
        parent = MdmClient(Narrow(TinySettings(base_url="http://127.0.0.1:9", login="token")), server="tiny")
        parent._inner._runner.shared._http[""] = Wire()
        client = parent.with_policy(deadline=5, attempts=1)
        others = set(threading.enumerate())  # of servers of other tests, which may still be ending
        assert client.lookup(MAC) is not None
        count, slowest = 0, 0.0
        for number in range(ROUNDS):
            count += interrupted(lambda: client.lookup(MAC), 0.00001 + 0.000001 * (number * 7919 % 3000))
            if number % 10 == 0:
                began = time.monotonic()
                assert client.lookup(MAC) is not None
                slowest = max(slowest, time.monotonic() - began)
        with capsys.disabled():
            if ROUNDS > 10_000:
                sys.stdout.write(f"\n{count} interrupts, then at most {slowest:.2f} s for a lookup\n")
        assert count > ROUNDS // 4
        assert slowest < 2.5
        assert len(set(threading.enumerate()) - others) < 12
        parent.close()

    def test_none_leaves_a_coroutine_that_never_began(self) -> None:
        """Each call of what drives coroutines is interrupted once, where Python looks for signals."""
        client = MdmClient(Narrow(TinySettings(base_url="http://127.0.0.1:9", login="none")), server="tiny")
        client._inner._runner.shared._http[""] = Quick()
        with_lists = client.with_policy(deadline=5, attempts=1)
        for work in (lambda: client.lookup(MAC), lambda: list(with_lists.noncompliant())):
            work()
            rounds = next(number for number in itertools.count() if not interrupted_at(number, work))
            assert rounds > 50
            work()
        client.close()

    def test_no_loop_jumps_out_of_its_cleanup(self) -> None:
        """As `mdmsdk._run.signals` says. Command line, simulators and kit leave with their process."""
        root = Path(mdmsdk.__file__).parent
        found = [
            f"{path.relative_to(root)}:{line}"
            for path in sorted(root.rglob("*.py"))
            if path.relative_to(root).parts[0] not in {"cli", "simulator", "testing"}
            for code in codes(compile(path.read_text("utf-8"), str(path), "exec"))
            for line in loops_out_of_their_cleanup(code)
        ]
        assert found == []

    def test_a_job_dropped_at_an_interrupt_keeps_no_place(
        self, origin: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        goes_on = threading.Event()

        class Beside(TinyProvider):
            limits = Limits(concurrency=1)

            def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
                if not goes_on.is_set():
                    yield from together(call(lambda: goes_on.wait(5)), super().find(info, key))
                return (yield from super().find(info, key))

        client = MdmClient(Beside(TinySettings(base_url=origin)), server="tiny")
        client.heartbeat()
        claimed = pool.Job.claimed

        def interrupted(job: pool.Job) -> bool:
            dropped = claimed(job)
            if dropped and threading.current_thread() is threading.main_thread():
                raise Interrupt
            return dropped

        hasty = client.with_policy(deadline=0.2)
        monkeypatch.setattr(pool.Job, "claimed", interrupted)
        with pytest.raises(Interrupt):
            hasty.lookup(MAC)
        monkeypatch.undo()
        goes_on.set()
        assert client.with_policy(deadline=2).lookup(MAC) is not None
        client.close()

    def test_a_thread_left_over_at_an_interrupt_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        started: list[threading.Thread] = []
        start = threading.Thread.start

        def interrupted(thread: threading.Thread) -> None:
            start(thread)
            started.append(thread)
            raise Interrupt

        monkeypatch.setattr(pool, "_IDLE", 0.05)
        monkeypatch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(Interrupt):
            pool.Pool(1, Stop()).submit(pool.Job(int, lambda: None))
        (thread,) = started
        thread.join(60)
        assert not thread.is_alive()

    def test_nor_with_real_connections(
        self, interrupted: Callable[..., bool], origin: str, script: Script
    ) -> None:
        script.routes |= {"/token": '{"token": "T", "expires_in": 0.05}', "/logout": ""}
        parent = MdmClient(Narrow(TinySettings(base_url=origin, login="token")), server="tiny")
        client = parent.with_policy(deadline=5, attempts=1)
        count = sum(interrupted(lambda: client.lookup(MAC), 0.0005 * (1 + n % 20)) for n in range(40))
        assert count > 10
        assert client.lookup(MAC) is not None
        parent.close()
