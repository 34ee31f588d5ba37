"""Running the gateway: it listens, and one process or several serve."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError
from mdmsdk.gateway.files import allow_files
from mdmsdk.gateway.logs import write_json
from mdmsdk.gateway.served import Served, read_settings
from mdmsdk.gateway.together import together
from mdmsdk.gateway.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdmsdk.gateway.settings import GatewaySettings

__all__ = ["serve"]

_log = logging.getLogger("mdmsdk.gateway")
_WAITING = 2048
"""Connections that wait to be accepted."""


def serve(path: Path | None, tell: Callable[[str], None], workers: int | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then let requests under way come to their end.

    SIGHUP reads the configuration and the certificates anew. What is wrong then is told in the log, and the
    gateway goes on with what it had; another address, or number of workers, needs another start.

    Args:
        path: of the configuration; default: the one that is found.
        tell: is called with what a person at the terminal wants to know, unless the log is JSON.
        workers: how many processes serve; default: as the configuration says.

    Raises:
        ConfigurationError: the configuration is not usable, or the address is taken.
    """
    config = load_config(path)
    settings = read_settings(config)
    count = workers or settings.workers

    if settings.log == "json":
        write_json()
        tell = _log.info

    allow_files(settings)

    def announce(origin: str) -> None:
        tell(f"serving on {origin}")
        _notify(b"READY=1")

    with contextlib.closing(_listen(settings)) as listener:
        if count == 1:
            asyncio.run(Served(path).run(config, listener, announce))
        else:
            with together():
                Workers(path, config, count, listener).run(announce)
    tell("every request has come to its end")


def _notify(state: bytes) -> None:
    """Tell systemd, where it started us and waits for that: a datagram, as sd_notify(3) has it."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, contextlib.suppress(OSError):
            # A name that begins with @ is none of a file.
            manager.sendto(state, b"\0" + address[1:].encode() if address[0] == "@" else address.encode())


def _listen(settings: GatewaySettings) -> socket.socket:
    host, port = settings.address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Named, so that asyncio switches off Nagle's algorithm.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise ConfigurationError(f"{settings.listen} is no address here: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_WAITING)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"the gateway cannot listen on {settings.listen}: {error.strerror}",
            hint="Another program may have the port: choose another one with listen in the table gateway.",
        ) from None
    return listener
