"""The store on a Redis server: it is away, refuses, is something else, or drops what it should keep."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import redis
import trustme
from pydantic import SecretStr

from mdmsdk.errors import StoreError
from mdmsdk.store import AsyncStore, Store, StoreSettings, health
from tests.forks import in_child
from tests.store.conftest import read_then_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "correct-horse-battery"
HELD = 15.0  # seconds: less than a server that hangs would take, and more than a busy machine


@pytest.fixture
def own_server(redis_server: Any) -> Iterator[Any]:
    """A server that a test may kill."""
    server = type(redis_server)()
    server.start()
    yield server
    server.kill()


def test_it_is_killed_and_comes_back(
    own_server: Any,
    open_store: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = open_store(url=own_server.url, key=KEY)
    store.set("a", b"1")
    token = store.lease("walk", 60)
    own_server.kill()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(StoreError, match="out of reach") as caught:
            store.get("a")
        assert time.monotonic() - began < HELD
        assert "Redis server runs" in (caught.value.hint or "")
    monkeypatch.setattr(health, "_REST", 0.0)
    with pytest.raises(StoreError):
        store.set_many({"b": b"2", "c": b"3"}, expires=60)
    assert caplog.text.count("out of reach") == 1
    own_server.start()
    back = (store.wrapped._inner if store.mode == "sync" else store.wrapped)._back
    back._health._rests_until = 0.0
    assert store.get("a") is None  # it has forgotten everything
    assert caplog.text.count("works again") == 1
    assert not store.set_fenced("walk", token, {"a": b"2"})
    assert store.lease("walk", 60) > token


def test_a_server_that_hangs_costs_a_moment_once(open_store: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = open_store(url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0", key=KEY)
        began = time.monotonic()
        with pytest.raises(StoreError, match="out of reach"):
            store.get("a")
        assert time.monotonic() - began < HELD
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(StoreError, match="out of reach"):
                store.get("a")
        assert time.monotonic() - began < HELD / 3


def test_something_else_answers(open_store: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            # It ends when the test does, which may be before a second connection, or in the middle of one.
            with contextlib.suppress(OSError):
                for _ in range(2):
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        store = open_store(url=f"redis://127.0.0.1:{listener.getsockname()[1]}/0", key=KEY)
        with pytest.raises(StoreError):
            store.get("a")


def test_a_wrong_password_is_told_and_shown_nowhere(own_server: Any, open_store: Callable[..., Any]) -> None:
    with own_server.client as client:
        client.config_set("requirepass", "right-password")
    wrong = open_store(url=own_server.url, key=KEY, password="wrong-password")
    with pytest.raises(StoreError, match="refuses us") as caught:
        wrong.get("a")
    assert "wrong-password" not in f"{caught.value!r}{vars(caught.value)}{caught.value.__cause__}"
    right = open_store(url=own_server.url, key=KEY, password="right-password")
    right.set("a", b"1")
    assert right.get("a") == b"1"


def test_a_server_that_drops_anything_is_not_asked_to_keep(
    own_server: Any, open_store: Callable[..., Any]
) -> None:
    with own_server.client as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    store = open_store(url=own_server.url, key=KEY)
    store.set("a", b"1", expires=60)
    assert store.get("a") == b"1"
    with pytest.raises(StoreError, match="may drop") as caught:
        store.set("b", b"1")
    assert "maxmemory-policy" in (caught.value.hint or "")
    assert store.get("a") == b"1"


def test_a_full_server_is_told_and_reading_goes_on(own_server: Any, open_store: Callable[..., Any]) -> None:
    store = open_store(url=own_server.url, key=KEY)
    store.set("a", b"1")
    with own_server.client as client:
        client.config_set("maxmemory", "100kb")
    with pytest.raises(StoreError, match="full"):
        store.set("b", b"1")
    assert store.get("a") == b"1"


def test_what_somebody_else_keeps_there_is_not_ours(
    redis_server: Any, open_store: Callable[..., Any]
) -> None:
    store = open_store(url=redis_server.url, key=KEY)
    with redis_server.client as client:
        client.rpush("mdmsdk:value:list", "a")
        client.set("mdmsdk:value:text", "compliant")
        client.set("other", "a")
        assert store.get_many(["list", "text", "other"]) == [None, None, None]
        store.set("list", b"1", expires=60)
        assert store.get("list") == b"1"
        assert client.get("other") == b"a"


def _back_of(store: Any) -> Any:
    return (store.wrapped._inner if store.mode == "sync" else store.wrapped)._back


def test_a_read_that_is_broken_off_leaves_no_answer_for_the_next(
    redis_server: Any, open_store: Callable[..., Any]
) -> None:
    store = open_store(url=redis_server.url, key=KEY)
    store.set_many({"a": b"1", "b": b"2"})
    assert store.get("a") == b"1"
    (connection,) = _back_of(store)._held
    read = connection.read_response
    error = KeyboardInterrupt if store.mode == "sync" else ArithmeticError

    def interrupted() -> Any:
        connection.read_response = read
        raise error

    connection.read_response = interrupted
    with pytest.raises(error):
        store.get("a")
    assert store.get("b") == b"2"
    assert _back_of(store)._held == [connection]


@pytest.mark.parametrize("values", [{"a": b"2"}, {"a": b"2", "b": b"2"}])
def test_reads_that_are_broken_off_leave_connections_to_writes(
    redis_server: Any, values: dict[str, bytes]
) -> None:
    async def run() -> None:
        async with AsyncStore(StoreSettings(url=redis_server.url, key=SecretStr(KEY))) as store:
            assert await store.get("a") is None
            back: Any = store._back
            others = [await back._client.connection_pool.get_connection() for _ in range(15)]
            back._held.extend(others)  # as reads leave them
            await store.set_many(values, 60)
            assert await store.get("a") == b"2"

    asyncio.run(run())
    with Store(StoreSettings(url=redis_server.url, key=SecretStr(KEY))) as sync:
        sync.get("a")
        inner: Any = sync._inner._back
        inner._held.extend([inner._client.connection_pool.get_connection() for _ in range(15)])
        sync.set_many(values, 60)
        assert sync.get("a") == b"2"


def test_connections_that_the_server_closed_meanwhile_are_made_anew(
    redis_server: Any, open_store: Callable[..., Any]
) -> None:
    store = open_store(url=redis_server.url, key=KEY)
    store.set("a", b"1")
    assert store.get("a") == b"1"
    with redis_server.client as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert store.get("a") == b"1"


def test_many_threads_share_few_connections(redis_server: Any) -> None:
    settings: Any = {"url": redis_server.url, "key": KEY}
    with (
        redis_server.client as client,
        Store(StoreSettings(**settings)) as store,
        ThreadPoolExecutor(50) as threads,
    ):
        before = len(client.client_list())
        store.set("a", b"1")
        assert set(threads.map(lambda _: store.get("a"), range(500))) == {b"1"}
        back: Any = store._inner._back
        assert len(back._held) <= 4
        store.set("b", b"2")
        assert len(client.client_list()) <= before + 16


def test_threads_that_come_first_together_share_one_client(
    redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    second = threading.Event()
    real = redis.BlockingConnectionPool.from_url

    def from_url(*args: Any, **options: Any) -> Any:
        made.append(real(*args, **options))
        if len(made) > 1:
            second.set()
        second.wait(0.3)  # in which another one may come as far
        return made[-1]

    monkeypatch.setattr(redis.BlockingConnectionPool, "from_url", from_url)
    together = threading.Barrier(4)
    with Store(StoreSettings(url=redis_server.url, key=SecretStr(KEY))) as store:

        def read(_: int) -> None:
            together.wait()
            assert store.get("x") is None

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(read, range(4)))
    assert len(made) == 1, "the first client closes its connections when another one takes its place"


def test_no_secret_is_there(redis_server: Any, open_store: Callable[..., Any]) -> None:
    store = open_store(url=redis_server.url, key=KEY)
    store.set_many({"a": b"1", "b": b"2"})
    store.lease("walk", 60)
    with redis_server.client as client:
        for key in client.scan_iter():
            assert KEY.encode() not in key + client.get(key)


def test_parent_and_child_go_on_after_a_fork(redis_server: Any) -> None:
    settings: Any = {"url": redis_server.url, "key": KEY}
    with Store(StoreSettings(**settings)) as store:
        store.set("a", b"1")
        assert in_child(lambda: read_then_write(store, "b")) == "b'1'"
        assert store.get_many(["a", "b"]) == [b"1", b"2"]


def test_one_event_loop_after_another(redis_server: Any) -> None:
    import asyncio

    from mdmsdk.store import AsyncStore

    settings: Any = {"url": redis_server.url, "key": KEY}
    store = AsyncStore(StoreSettings(**settings))
    asyncio.run(store.set("a", b"1"))

    async def last() -> bytes | None:
        found = await store.get("a")
        await store.aclose()
        return found

    assert asyncio.run(last()) == b"1"
    with warnings.catch_warnings():  # redis-py remarks on connections whose event loop ended before them
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_only_a_trusted_server_is_spoken_to(
    redis_server: Any, open_store: Callable[..., Any], tmp_path: Path
) -> None:
    authority, files = trustme.CA(), {}
    for host in ("localhost", "elsewhere.example"):
        certificate = authority.issue_cert(host)
        files[host] = tmp_path / f"{host}.pem"
        certificate.private_key_and_cert_chain_pem.write_to_path(files[host])
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for host, (ca_file, told) in {
        "localhost": ("ca.pem", None),
        "elsewhere.example": ("ca.pem", "is not trusted"),
        "": (None, "is not trusted"),
    }.items():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        pem = str(files[host or "localhost"])
        server = type(redis_server)()
        server.start(
            *("--tls-port", str(port), "--tls-cert-file", pem, "--tls-key-file", pem),
            *("--tls-ca-cert-file", str(tmp_path / "ca.pem"), "--tls-auth-clients", "no"),
        )
        try:
            options = {"ca_file": tmp_path / ca_file} if ca_file else {}
            store = open_store(url=f"rediss://localhost:{port}/0", key=KEY, **options)
            if told is None:
                store.set("a", b"1")
                assert store.get("a") == b"1"
                continue
            with pytest.raises(StoreError, match=told) as caught:
                store.get("a")
            assert "ca_file" in (caught.value.hint or "")
        finally:
            server.kill()
