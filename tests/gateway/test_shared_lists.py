"""Lists that replicas share: one of them reads, all give the same pages, and what is lost is read anew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import SecretStr

from mdmsdk.errors import StoreError
from mdmsdk.gateway import shared_lists
from mdmsdk.gateway.lists import Readings
from mdmsdk.gateway.overrides import Overrides
from mdmsdk.gateway.shared_lists import Listed, SharedList, SharedLists
from mdmsdk.models import Decision
from mdmsdk.settings import Rules
from mdmsdk.store import AsyncStore, StoreSettings
from mdmsdk.testing import FakeAsyncMdmFederation
from tests.gateway.conftest import device
from tests.store.conftest import Hand

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

BAD = [
    Listed(device("noncompliant", id=str(number), serial_number=f"SN{number:06}"), Decision.NONCOMPLIANT)
    for number in range(600)
]
SECONDS = 900.0


class Replica:
    """A replica over the store of others; counts how often it reads."""

    def __init__(
        self, store: AsyncStore, clock: Hand, scope: str = "", names: Sequence[str] = ("one",), **options: Any
    ) -> None:
        federation = FakeAsyncMdmFederation({name: [] for name in names}, **options)
        self.lists = SharedLists(federation, store, scope, SECONDS, clock)
        self.reads = 0
        self.name = f"{id(self):x}"
        self.slow: anyio.Event | None = None

    async def read(self) -> list[Listed] | None:
        self.reads += 1
        if self.slow:
            await self.slow.wait()
        return BAD

    async def obtain(self, age: float = 60.0) -> SharedList | None:
        return await self.lists.obtain("false", self.name, age, self.read)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr(AsyncStore, "_clock", hand)
    monkeypatch.setattr(shared_lists, "_AGAIN", 0.001)
    return hand


@pytest.fixture
def run(clock: Hand) -> Callable[[Callable[[AsyncStore], Coroutine[Any, Any, None]]], None]:
    async def main(test: Callable[[AsyncStore], Coroutine[Any, Any, None]]) -> None:
        async with AsyncStore(StoreSettings(key=SecretStr("k" * 16))) as store:
            await test(store)

    return lambda test: anyio.run(main, test)


def test_one_reads_and_the_others_have_it(run: Any, clock: Hand) -> None:
    async def test(store: AsyncStore) -> None:
        one, other = Replica(store, clock), Replica(store, clock)
        one.slow = anyio.Event()
        got: list[SharedList | None] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.obtain)

            async def ask() -> None:
                got.append(await other.obtain())

            while not one.reads:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(ask)
            await anyio.sleep(0.01)
            assert got == []
            one.slow.set()
        assert (one.reads, other.reads) == (1, 0)
        assert got[0]
        assert (got[0].name, got[0].devices) == (one.name, BAD)
        # Who pages through it may go on at any of them.
        found = await other.lists.named(one.name)
        assert found
        assert found.devices == BAD
        assert await other.lists.named("nobodys") is None
        clock.forward(61)
        await other.obtain()
        assert other.reads == 1
        # None of it is there any longer than it may be paged through.
        clock.forward(SECONDS)
        assert await one.lists.named(one.name) is None

    run(test)


def test_what_was_being_read_by_one_that_is_gone_is_read_by_another(run: Any, clock: Hand) -> None:
    async def test(store: AsyncStore) -> None:
        one, other = Replica(store, clock), Replica(store, clock)
        one.slow = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.obtain)
            while not one.reads:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        clock.forward(11)
        found = await other.obtain()
        assert found
        assert (found.name, other.reads) == (other.name, 1)

    run(test)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_list_of_which_a_part_is_lost_is_none_and_read_anew(run: Any, clock: Hand, lost: int) -> None:
    async def test(store: AsyncStore) -> None:
        one, other = Replica(store, clock), Replica(store, clock)
        await one.obtain()
        names = [name async for name in store.scan("gateway/lists/")]
        (part,) = [name for name in names if name.endswith(f"/{one.name}/{lost}")]
        await store.delete(part)
        assert await other.lists.named(one.name) is None
        found = await other.obtain()
        assert found
        assert (found.devices, other.reads) == (BAD, 1)

    run(test)


def test_others_servers_rules_and_settings_have_other_lists(run: Any, clock: Hand) -> None:
    async def test(store: AsyncStore) -> None:
        await Replica(store, clock).obtain()
        rules = Rules(registered=True)
        for other in (
            Replica(store, clock, scope="grace"),
            Replica(store, clock, rules=rules),
            Replica(store, clock, merge="first"),
            # The same server by another name: the devices of the list name theirs.
            Replica(store, clock, names=("another",)),
        ):
            await other.obtain()
            assert other.reads == 1
        # Where several servers change their names, no list of before counts, either.
        swapped = [Replica(store, clock, names=names) for names in (("one", "two"), ("two", "one"))]
        for other in swapped:
            await other.obtain()
        assert [other.reads for other in swapped] == [1, 1]
        same = Replica(store, clock)
        await same.obtain()
        assert same.reads == 0

    run(test)


def test_a_list_that_cannot_be_read_is_not_shared(run: Any, clock: Hand) -> None:
    async def test(store: AsyncStore) -> None:
        one, other = Replica(store, clock), Replica(store, clock)

        async def fail() -> None:
            return None

        assert await one.lists.obtain("false", one.name, 60, fail) is None
        await other.obtain()
        assert other.reads == 1

    run(test)


@pytest.mark.parametrize("personal", [True, False])
def test_users_are_in_the_store_only_if_they_may(run: Any, clock: Hand, personal: bool) -> None:
    async def test(store: AsyncStore) -> None:
        store._personal = personal
        one = Replica(store, clock)
        somebodys = device("noncompliant", user="ann", phone_number="+1 555 0100")
        given = [Listed(somebodys, Decision.NONCOMPLIANT)]

        async def read() -> list[Listed]:
            return given

        # All give the same, the one that read it too.
        own = await one.lists.obtain("false", one.name, 60, read)
        others = await Replica(store, clock).obtain()
        assert own
        assert others
        assert own.devices == others.devices
        assert (own.devices == given) is personal
        assert own.devices[0].device.user == ("ann" if personal else None)

    run(test)


def test_while_the_store_fails_each_reads_for_itself(run: Any, clock: Hand, monkeypatch: Any) -> None:
    async def fail(*_: Any) -> None:
        raise StoreError("away")

    async def test(store: AsyncStore) -> None:
        federation = FakeAsyncMdmFederation({"one": [one.device for one in BAD[:3]]})
        shared = SharedLists(federation, store, "", SECONDS)
        passing = frozenset({Decision.COMPLIANT})
        async with federation, anyio.create_task_group() as tasks:
            make = partial(Readings, federation, tasks, 60, passing, Overrides([]), shared)
            one, other = make(), make()
            first = one.latest("false")
            await first.wait(5)
            # A page that another one gave the way to: the store is asked, and nothing is made up.
            found = await other.named(first.name)
            assert found
            assert found.devices == first.devices
            assert await make().named("12345678901") is None
            with monkeypatch.context() as broken:
                broken.setattr(AsyncStore, "get", fail)
                broken.setattr(AsyncStore, "lease", fail)
                with pytest.raises(StoreError):
                    await make().named(first.name)
                assert await one.named(first.name) is first
                alone = make().latest("false")
                await alone.wait(5)
                assert alone.devices
                assert len(alone.devices) == 3
            joined = make().latest("false")
            await joined.wait(5)
            assert joined.name == first.name

    run(test)
