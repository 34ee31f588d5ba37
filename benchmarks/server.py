"""A server with one answer to each request, in a process of its own so that it costs us nothing."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

INFO = b"""<?xml version="1.0"?><ise_api><name>mdminfo</name><api_version>3</api_version>
<api_path>/ciscoise/mdmapi/v3</api_path><redirect_url>https://mdm.example/enrol</redirect_url>
<query_max_size>1000</query_max_size><messaging_support>false</messaging_support><vendor>Bench</vendor>
<product_name>Bench</product_name><product_version>1</product_version></ise_api>"""
DEVICE = b"""<?xml version="1.0"?><ise_api><name>attributes</name><api_version>3</api_version>
<paging_info>0</paging_info><deviceList><device><guid>8e2f8d0c-3d5e-4a55-9f7a-1f4a5f7a1b02</guid><attributes>
<register_status>true</register_status><compliance><status>true</status></compliance>
<disk_encryption_on>true</disk_encryption_on><pin_lock_on>true</pin_lock_on><jail_broken>false</jail_broken>
<manufacturer>Bench</manufacturer><model>Tablet 9</model><udid>00008020-0015784C218A402E</udid>
<serial_number>BENCH0000001</serial_number><os_version>iOS 18.1</os_version>
<lastCheckinTimeStamp>1768476546000</lastCheckinTimeStamp><guid>8e2f8d0c-3d5e-4a55-9f7a-1f4a5f7a1b02</guid>
<macaddresses>001B44113AB7</macaddresses></attributes></device></deviceList></ise_api>"""


def answer(body: bytes) -> bytes:
    """A response with this body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Static(asyncio.Protocol):
    """The same device for each key."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            if self._transport:
                self._transport.write(answer(self.body(request)))

    def body(self, request: bytes) -> bytes:
        """What answers a request."""
        return INFO if b"mdminfo" in request.split(b"\r\n", 1)[0] else DEVICE


_GOOD = 50  # answers before the first fault


class Faulty(Static):
    """Fails at every tenth request or so, each time in another way."""

    _rounds = itertools.count()

    def data_received(self, data: bytes) -> None:
        """Answer well, or badly."""
        transport, number = self._transport, next(self._rounds)
        if transport is None or number < _GOOD or number % 7 or not data.endswith(b"\r\n\r\n"):
            super().data_received(data)
            return
        faults = [
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
            answer(DEVICE)[:-30],
            answer(b"<html>not the MDM</html>"),
            b"nonsense\r\n\r\n",
            b"",
        ]
        transport.write(faults[number // 7 % len(faults)])
        if number // 7 % len(faults) in {2, 4, 5}:
            transport.close()


class Dead(asyncio.Protocol):
    """Takes connections and never answers."""


def _serve(listener: socket.socket, protocol: type[asyncio.Protocol]) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(protocol, sock=listener)
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def static_server(protocol: type[asyncio.Protocol] = Static) -> Iterator[str]:
    """Its address, while the block runs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(listener, protocol), daemon=True
        )
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.join()
