"""The store on a Redis or Valkey server, for many processes and machines."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from mdmsdk._run.budget import Budget
from mdmsdk._run.pool import Pool
from mdmsdk._run.stop import Stop
from mdmsdk.errors import ConfigurationError, DeadlineExceededError, StoreError
from mdmsdk.store.health import Health

try:
    import redis
    import redis.asyncio
    from redis import exceptions as errors
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    raise ConfigurationError(
        "redis is not installed", hint="Install it with: pip install 'mdmsdk[redis]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from mdmsdk.store.back_end import Fence
    from mdmsdk.store.settings import StoreSettings

_VALUE, _LEASE, _LAST_TOKEN = b"mdmsdk:value:", b"mdmsdk:lease:", b"mdmsdk:token"
# Seconds for connecting and for an answer; and for both, and both again on another connection.
_TIMEOUT, _PATIENCE = 0.5, 2.5
_AT_ONCE = 1000  # names of a page
_AT_A_TIME = 16  # connections
_HELD = 4  # of those, kept aside for reading

# The scripts are sent each time: a server that was restarted has forgotten them.
# Greater than those before a restart that lost everything, too, as long as the server's clock was right.
_TAKE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local now = redis.call('TIME')
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, now[1] * 1000000 + now[2])
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
return text
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
_WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for number = 2, #KEYS do
  redis.call('SET', KEYS[number], ARGV[number + 1])
  if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[number], ARGV[2]) end
end
return 1
"""


_BROKEN = (errors.ConnectionError, errors.TimeoutError)


class RedisBackEnd:
    """Entries as plain values with Redis's own expiry, by the clock of the server.

    On asyncio the client is redis-py's own for asyncio; on trio, which it does not know, the sync one in
    threads.

    Args:
        settings: where the server is.
        waits: how to wait for what blocks.
    """

    def __init__(self, settings: StoreSettings, waits: ModuleType) -> None:
        self._waits = waits
        self._url = settings.url
        self._health = Health(f"the store {settings.url}")
        self._options: dict[str, Any] = {
            "username": settings.username,
            "password": settings.password.get_secret_value() if settings.password else None,
            "socket_timeout": _TIMEOUT,
            "socket_connect_timeout": _TIMEOUT,
        }
        if settings.url.startswith("rediss:"):  # what is the default differs between versions
            self._options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
        if settings.ca_file:
            self._options["ssl_ca_certs"] = str(settings.ca_file)
        self._era: object = None
        self._process = 0
        self._client: Any = None
        self._native = False
        self._held: list[Any] = []
        self._drops_all: bool | None = None
        self._alone = threading.Lock(), os.getpid()

    def _connected(self) -> Any:
        """The client of this process and event loop; connections are made as they are needed."""
        era = self._waits.era()
        if self._is_for(era):
            return self._client
        if self._alone[1] != os.getpid():  # a thread that is not here any more may have held it
            self._alone = threading.Lock(), os.getpid()
        with self._alone[0]:
            # A client that another one took the place of would close the connections that it made.
            if not self._is_for(era):
                self._connect(era)
            return self._client

    def _is_for(self, era: object) -> bool:
        return self._client is not None and self._era == era and self._process == os.getpid()

    def _connect(self, era: object) -> None:
        self._native = isinstance(era, asyncio.AbstractEventLoop)
        module: Any = redis.asyncio if self._native else redis
        again = redis.asyncio.retry.Retry if self._native else Retry
        # Once more at once: what the server closed meanwhile, and after it was restarted.
        options = {**self._options, "retry": again(NoBackoff(), 1)}
        # Hundreds that come at once wait for a connection, instead of making hundreds.
        pool = module.BlockingConnectionPool.from_url(
            self._url, max_connections=_AT_A_TIME, timeout=_PATIENCE, **options
        )
        self._pool, self._held, self._drops_all = Pool(_AT_A_TIME, Stop()), [], None
        self._client = module.Redis.from_pool(pool)
        self._era, self._process = era, os.getpid()

    async def _do(self, method: str, *arguments: Any, **named: Any) -> Any:
        """What a method of the client gives."""
        self._health.check()
        client = self._connected()
        await self._let_go(client.connection_pool)
        call = partial(getattr(client, method), *arguments, **named)
        return await self._perform(call)

    async def _let_go(self, connections: Any) -> None:
        """Give back what reads held that were broken off: all connections there may be, at the worst."""
        while len(self._held) > _HELD and (surplus := _last(self._held)):
            given = connections.release(surplus)
            if self._native:
                await given

    async def _perform(self, call: Any) -> Any:
        """What a call of the client gives."""
        try:
            if self._native:
                result = await call()
            else:
                result = await self._waits.blocking(call, Budget(_PATIENCE), self._pool)
        except (redis.RedisError, OSError, DeadlineExceededError) as error:
            raise self._explained(error) from None
        self._health.works()
        return result

    def _explained(self, error: Exception) -> StoreError:
        """Our error for one of the server's or the client's, whose words may hold what was to be kept."""
        if isinstance(error, errors.OutOfMemoryError):  # reading goes on
            return StoreError(
                f"the store {self._url} is full", hint="Raise maxmemory of the Redis server, or let it evict."
            )
        if isinstance(error, errors.AuthenticationError | errors.NoPermissionError):
            return self._health.fails(
                "refuses us",
                "Look at username and password in the table store, and at the rights of that user.",
            )
        if isinstance(error.__context__, ssl.SSLError) or isinstance(error, ssl.SSLError):
            return self._health.fails(
                "is not trusted",
                "Put the authority of the Redis server's certificate into ca_file in the table store.",
            )
        if isinstance(error, errors.InvalidResponse):
            return self._health.fails("does not speak Redis", "Look at url in the table store.")
        if isinstance(error, errors.TimeoutError | errors.ConnectionError | OSError | DeadlineExceededError):
            return self._health.fails(
                "is out of reach", "Look whether the Redis server runs, and at url in the table store."
            )
        return self._health.fails(
            f"fails ({type(error).__name__})",
            "Look at the log of the Redis server, and whether it may be written to.",
        )

    @property
    def works(self) -> bool:
        """Whether it answered when it was asked last."""
        return self._health.good

    async def read(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The entries. What is no plain value there is somebody else's, and counts as not there."""
        if not names:
            return []
        self._health.check()
        connections = self._connected().connection_pool
        ask = self._ask_native if self._native else self._ask
        entries: list[bytes | None] = await self._perform(
            partial(ask, connections, self._held, [_VALUE + name for name in names])
        )
        return entries

    # By way of redis-py's client and pool an MGET takes twice as long as by one of its connections that is
    # kept aside. These are twins, and so are the functions that they call.

    def _ask(self, connections: Any, held: list[Any], keys: Sequence[bytes]) -> Any:
        """The values of keys; asked for once more where the server closed the connection meanwhile."""
        connection = _last(held) or connections.get_connection()
        try:
            values = _mget(connection, keys)
        except _BROKEN:
            values = _mget(connection, keys)
        finally:
            held.append(connection)
        if len(held) > _HELD and (surplus := _last(held)):
            connections.release(surplus)
        return values

    async def _ask_native(self, connections: Any, held: list[Any], keys: Sequence[bytes]) -> Any:
        connection = _last(held) or await connections.get_connection()
        try:
            values = await _mget_native(connection, keys)
        except _BROKEN:
            values = await _mget_native(connection, keys)
        finally:
            held.append(connection)
        if len(held) > _HELD and (surplus := _last(held)):
            await connections.release(surplus)
        return values

    async def write(
        self, entries: Mapping[bytes, bytes], expires: float | None, fence: Fence | None = None
    ) -> bool:
        """Keep entries."""
        if not entries:
            return True
        if expires is None:
            await self._check_eviction()
        milliseconds = None if expires is None else _milliseconds(expires)
        values = {_VALUE + name: entry for name, entry in entries.items()}
        if fence:
            keys, texts = (
                [_LEASE + fence.name, *values],
                [str(fence.token), milliseconds or "", *values.values()],
            )
            return bool(await self._do("eval", _WRITE, len(keys), *keys, *texts))
        if milliseconds is None:
            await self._do("mset", values)
        elif len(values) == 1:
            ((key, entry),) = values.items()
            await self._do("set", key, entry, px=milliseconds)
        else:
            client = self._connected()
            pipeline = client.pipeline(transaction=True)
            for key, entry in values.items():
                pipeline.set(key, entry, px=milliseconds)
            self._health.check()
            await self._let_go(client.connection_pool)
            await self._perform(pipeline.execute)
        return True

    async def _check_eviction(self) -> None:
        """See that the server does not drop what has no end, which somebody may take for not there.

        Raises:
            StoreError: it may.
        """
        self._connected()
        if self._drops_all is None:
            memory = await self._do("info", "memory")
            self._drops_all = bool(memory.get("maxmemory")) and str(
                memory.get("maxmemory_policy", "")
            ).startswith("allkeys")
        if self._drops_all:
            raise StoreError(
                f"the store {self._url} may drop what it is asked to keep",
                hint="Set maxmemory-policy of the Redis server to noeviction or one of volatile-*.",
                retryable=False,
            )

    async def remove(self, names: Sequence[bytes]) -> None:
        """Keep them no longer."""
        if names:
            await self._do("unlink", *(_VALUE + name for name in names))

    async def lease(self, name: bytes, seconds: float) -> int | None:
        """Take a lease."""
        token = await self._do("eval", _TAKE, 2, _LEASE + name, _LAST_TOKEN, _milliseconds(seconds))
        return None if token is None else int(token)

    async def renew(self, fence: Fence, seconds: float) -> bool:
        """Hold a lease longer."""
        arguments = _LEASE + fence.name, str(fence.token), _milliseconds(seconds)
        return bool(await self._do("eval", _RENEW, 1, *arguments))

    async def release(self, fence: Fence) -> None:
        """Give a lease back."""
        await self._do("eval", _RELEASE, 1, _LEASE + fence.name, str(fence.token))

    async def page(self, prefix: bytes, cursor: Any) -> tuple[Sequence[bytes], Any]:
        """Some names that begin so, in the order of the server, which may give one twice."""
        pattern = (
            _VALUE
            + b"".join(b"\\" + bytes([one]) if one in b"*?[]\\" else bytes([one]) for one in prefix)
            + b"*"
        )
        after, keys = await self._do("scan", cursor or 0, match=pattern, count=_AT_ONCE)
        return [key.removeprefix(_VALUE) for key in keys], after or None

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """What a Lua script gives."""
        return await self._do("eval", script, len(keys), *keys, *arguments)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if self._native:
            if client and self._era == self._waits.era():
                await client.aclose()
        elif client is not None:
            client.close()


def _last(held: list[Any]) -> Any | None:
    try:
        return held.pop()
    except IndexError:  # another thread may have been faster
        return None


def _mget(connection: Any, keys: Sequence[bytes]) -> Any:
    """What a connection gives; one that is broken off is closed, so that no answer is left for others."""
    try:
        connection.send_command("MGET", *keys)  # and opens it
        return connection.read_response()
    except BaseException:
        connection.disconnect()
        raise


async def _mget_native(connection: Any, keys: Sequence[bytes]) -> Any:
    try:
        await connection.send_command("MGET", *keys)
        return await connection.read_response()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
