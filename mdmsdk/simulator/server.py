"""Run simulators on 127.0.0.1: one in a background thread for a test, or several until they are stopped."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mdmsdk.simulator._inject import TRANSPORT
from mdmsdk.simulator.base import Simulator

__all__ = ["RunningSimulator", "TlsFiles", "serve", "serve_forever"]

_HOST: Final = "127.0.0.1"
_START_LIMIT: Final = 10.0  # seconds
_STOP_LIMIT: Final = 1.0
_LOOK_AROUND: Final = 0.1
_LATE_COMERS: Final = 5  # turns of the event loop in which a connection just being accepted shows up

ServedT = TypeVar("ServedT")


class TlsFiles(NamedTuple):
    """PEM files for https: the server's chain and key, and the authority that a client has to trust."""

    cert_file: Path
    key_file: Path
    ca_file: Path | None = None


@runtime_checkable
class BringsTls(Protocol):
    """A simulator that is served over https unless told otherwise: its vendor's own library insists."""

    def tls(self) -> TlsFiles:
        """Give the files to serve it with."""


class RunningSimulator(Generic[ServedT]):
    """A server that listens. Closing it cuts every connection, also those of answers that hang."""

    def __init__(self, simulator: ServedT, *, port: int = 0, tls: TlsFiles | None = None) -> None:
        """Start the server in a thread of its own and wait until it accepts connections.

        Args:
            simulator: A `Simulator` or any ASGI application.
            port: 0 for any free one.
            tls: Files for https; None for http, or for the simulator's own where it brings some.

        Raises:
            OSError: The port is taken.
            RuntimeError: The server did not come up.
        """
        self.simulator = simulator
        if tls is None and isinstance(simulator, BringsTls):
            tls = simulator.tls()
        self._tls = tls
        listener = _listen(port)
        self.port: int = listener.getsockname()[1]
        app = simulator.app if isinstance(simulator, Simulator) else simulator
        self._server = _Server(_configure(app, tls))
        self._thread = threading.Thread(
            target=self._run, args=(listener,), name=f"simulator:{self.port}", daemon=True
        )
        self._thread.start()
        if not self._server.up.wait(_START_LIMIT) or not self._server.started:
            self.close()
            message = f"the simulator on port {self.port} did not start"
            raise RuntimeError(message)

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{_HOST}:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """What an administrator writes into `mdm.toml` for this server."""
        simulator = self.simulator
        settings: dict[str, Any] = {"base_url": self.origin}
        if isinstance(simulator, Simulator):
            settings = simulator.settings(self.origin)
        if self._tls and self._tls.ca_file:
            settings["tls"] = {"ca_file": str(self._tls.ca_file)}
        return dict(settings)

    def close(self) -> None:
        """Stop; a second call does nothing. Returns within about a second, whatever the clients do."""
        self._server.stop()
        self._thread.join(_STOP_LIMIT + 1.0)

    def _run(self, listener: socket.socket) -> None:
        try:
            self._server.run(sockets=[listener])
        finally:
            listener.close()
            self._server.up.set()


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it, each answer of two
    # writes would wait some 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def serve(
    simulator: ServedT, *, port: int = 0, tls: TlsFiles | None = None
) -> Iterator[RunningSimulator[ServedT]]:
    """Run a simulator, or any ASGI application, for the time of a `with` block.

    Args:
        simulator: What answers.
        port: On 127.0.0.1; 0 for any free one.
        tls: Files for https; None for http.

    Yields:
        The running server, with its `origin` and `settings`.
    """
    running = RunningSimulator(simulator, port=port, tls=tls)
    try:
        yield running
    finally:
        running.close()


def serve_forever(
    simulators: Sequence[Simulator[Any]],
    *,
    ports: Sequence[int] = (),
    tls: TlsFiles | None = None,
    duration: float | None = None,
    ready: Callable[[list[RunningSimulator[Simulator[Any]]]], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Run simulators until SIGINT, SIGTERM, the end of the parent process, `stop`, or the duration's end.

    Args:
        simulators: Each gets its own port.
        ports: In the same order; missing ones are chosen by the system.
        tls: Files for https; None for http.
        duration: Seconds after which to stop.
        ready: Called once with all running servers.
        stop: Set from another thread to stop.

    Raises:
        OSError: A port is taken.
    """
    end = None if duration is None else time.monotonic() + duration
    stopping = stop or threading.Event()
    parent = os.getppid()
    with ExitStack() as stack:
        signals = stack.enter_context(_signals())
        wanted = [*ports, *[0] * len(simulators)]
        running = [
            stack.enter_context(serve(simulator, port=port, tls=tls))
            for simulator, port in zip(simulators, wanted, strict=False)
        ]
        if ready is not None:
            ready(running)
        while not signals and not stopping.is_set() and os.getppid() == parent:
            left = _LOOK_AROUND if end is None else min(_LOOK_AROUND, end - time.monotonic())
            if left <= 0:
                break
            stopping.wait(left)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list. Only the main thread may; elsewhere signals stay as they are.

    The handler touches no lock: a signal can come while the main thread holds the one of an event.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _configure(app: Any, tls: TlsFiles | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Connection,
        ws="none",
        lifespan="auto",
        loop="asyncio",
        log_config=None,  # several servers in a program: none of them may set up its logging
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=60,
        ssl_certfile=None if tls is None else str(tls.cert_file),
        ssl_keyfile=None if tls is None else str(tls.key_file),
    )


class _Connection(H11Protocol):
    """Hands the transport to the application, for faults that break the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self.app_state = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is up, and that stops at once instead of waiting for its clients."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()
        self._halt: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        self.should_exit = True
        if self._loop is not None and self._halt is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._halt.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._halt = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.up.set()

    async def main_loop(self) -> None:
        # The Date header is renewed on ticks divisible by ten, which zero is.
        while self._halt is not None and not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for _ in range(_LATE_COMERS):
            for connection in list(self.server_state.connections):
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
            await asyncio.sleep(0)
        # Answers that wait notice the end of their connection by themselves; whoever does not is cancelled.
        tasks = set(self.server_state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_LIMIT / 2)
            for task in late:
                task.cancel()
        await self.lifespan.shutdown()
