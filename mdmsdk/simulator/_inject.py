"""How each kind of fault is done to an ASGI answer."""

import asyncio
import contextlib
import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from http import HTTPStatus
from socket import SO_LINGER, SOL_SOCKET
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mdmsdk.simulator.faults import Fault, FaultKind

__all__ = ["TRANSPORT", "Injector", "hold"]

# Key of `scope["state"]` under which the server hands out the connection; absent without a server.
TRANSPORT: Final = "mdmsdk.transport"

_XML: Final = "application/xml"
_MEBIBYTE: Final = 1 << 20
_PROLOGUE: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_LOGIN_PAGE: Final = (
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in</h1>"
    '<form method="post" action="/login"><input name="user"><input name="password" type="password">'
    "<br><button>Sign in</button></form></body></html>\n"
)


class Injector:
    """Does faults to the answers of one application."""

    def __init__(self, app: ASGIApp) -> None:
        """Keep the application."""
        self._app = app
        # With the fault beside its answer, so that no other object can come to have its id.
        self._replays: dict[int, tuple[Fault, list[Message]]] = {}
        self._acts: dict[FaultKind, Callable[[Fault, Scope, Receive, Send], Awaitable[None]]] = {
            "status": self._status,
            "login_page": self._login_page,
            "delay": self._delay,
            "hang": self._hang,
            "drip": self._drip,
            "endless": self._endless,
            "gzip_bomb": self._gzip_bomb,
            "truncated": self._truncated,
            "reset": self._reset,
            "not_http": self._not_http,
            "redirect": self._redirect,
            "content_type": self._content_type,
            "body": self._body,
            "empty": self._empty,
            "replay": self._replay,
        }

    async def __call__(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request as the fault wants it."""
        await self._acts[fault.kind](fault, scope, receive, send)

    async def _status(self, fault: Fault, _scope: Scope, _receive: Receive, send: Send) -> None:
        status = fault.status or 500
        body, content_type = _error_page(fault, status)
        await _answer(send, status, body, fault.content_type or content_type, _extra_headers(fault))

    async def _login_page(self, fault: Fault, _scope: Scope, _receive: Receive, send: Send) -> None:
        content_type = fault.content_type or "text/html; charset=utf-8"
        await _answer(send, fault.status or 200, _LOGIN_PAGE.encode(), content_type, _extra_headers(fault))

    async def _delay(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._usual(scope, receive)
        if await hold(receive, fault.seconds):
            for message in answer:
                await send(message)

    async def _hang(self, _fault: Fault, _scope: Scope, receive: Receive, _send: Send) -> None:
        await hold(receive, None)

    async def _drip(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = _split(await self._usual(scope, receive))
        await send(start)
        async with _watching(receive) as gone:
            for position in range(0, len(body), fault.chunk):
                if await _wait(gone, fault.seconds):
                    return
                await send(
                    {
                        "type": "http.response.body",
                        "body": body[position : position + fault.chunk],
                        "more_body": True,
                    }
                )
            await send({"type": "http.response.body"})

    async def _endless(self, fault: Fault, _scope: Scope, receive: Receive, send: Send) -> None:
        await _start(send, 200, fault.content_type or _XML, _extra_headers(fault))
        block = _bytes(fault.body) or b"<ise_api><name>attributes</name>" * 512
        async with _watching(receive) as gone:
            while not gone.done():
                await send({"type": "http.response.body", "body": block, "more_body": True})
                # Sending to a connection that is gone returns at once: without this, the loop never yields.
                await asyncio.sleep(0)

    async def _gzip_bomb(self, fault: Fault, _scope: Scope, receive: Receive, send: Send) -> None:
        headers = [("content-encoding", "gzip"), *_extra_headers(fault)]
        await _start(send, 200, fault.content_type or _XML, headers)
        async with _watching(receive) as gone:
            for piece in _zipped_blanks(fault.size):
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)
            await send({"type": "http.response.body"})

    async def _truncated(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = _split(await self._usual(scope, receive))
        await send(_with_headers(start, {"content-length": str(len(body))}))
        cut = min(int(len(body) * (fault.share or 0.5)), len(body) - 1)
        await send({"type": "http.response.body", "body": body[:cut], "more_body": True})
        await _break(scope, receive, abruptly=False)

    async def _reset(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.share:
            start, body = _split(await self._usual(scope, receive))
            await send(_with_headers(start, {"content-length": str(len(body))}))
            cut = min(int(len(body) * fault.share), len(body) - 1)
            await send({"type": "http.response.body", "body": body[:cut], "more_body": True})
            # A reset throws away what the client has not read yet: give it a moment to read.
            await asyncio.sleep(0.05)
        await _break(scope, receive, abruptly=True)

    async def _not_http(self, fault: Fault, scope: Scope, receive: Receive, _send: Send) -> None:
        transport = scope.get("state", {}).get(TRANSPORT)
        if transport is not None:
            transport.write(_bytes(fault.body) or b"220 mail.example.com ESMTP ready\r\n\r\n")
        await _break(scope, receive, abruptly=False)

    async def _redirect(self, fault: Fault, _scope: Scope, _receive: Receive, send: Send) -> None:
        status = fault.status if fault.status and fault.status // 100 == 3 else 302  # noqa: PLR2004 - the 3xx class
        await _answer(send, status, b"", "text/plain", [("location", fault.location), *_extra_headers(fault)])

    async def _content_type(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        for message in await self._usual(scope, receive):
            start = message["type"] == "http.response.start"
            content_type = fault.content_type or "text/plain"
            await send(_with_headers(message, {"content-type": content_type}) if start else message)

    async def _body(self, fault: Fault, _scope: Scope, _receive: Receive, send: Send) -> None:
        body, content_type = _error_page(fault, fault.status or 200)
        await _answer(
            send, fault.status or 200, body, fault.content_type or content_type, _extra_headers(fault)
        )

    async def _empty(self, fault: Fault, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _answer(send, fault.status or 200, b"", fault.content_type or _XML, _extra_headers(fault))

    async def _replay(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if id(fault) not in self._replays:
            self._replays[id(fault)] = fault, await self._usual(scope, receive)
        for message in self._replays[id(fault)][1]:
            await send(message)

    async def _usual(self, scope: Scope, receive: Receive) -> list[Message]:
        """Give the messages that the application would have sent."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        return messages


async def hold(receive: Receive, seconds: float | None) -> bool:
    """Wait, but no longer than the client does.

    Args:
        receive: The ASGI channel, which tells that the client or the server has closed the connection.
        seconds: How long; None for as long as the client waits.

    Returns:
        Whether somebody is still there to be answered.
    """
    async with _watching(receive) as gone:
        return not await _wait(gone, seconds)


@asynccontextmanager
async def _watching(receive: Receive) -> AsyncIterator["asyncio.Task[None]"]:
    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(until_gone())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _wait(gone: "asyncio.Task[None]", seconds: float | None) -> bool:
    done, _ = await asyncio.wait({gone}, timeout=seconds)
    return bool(done)


async def _break(scope: Scope, receive: Receive, *, abruptly: bool) -> None:
    """Close the connection under the answer, and wait until the server has noticed."""
    transport = scope.get("state", {}).get(TRANSPORT)
    if transport is None:
        message = "the simulator broke the connection"
        raise ConnectionResetError(message)
    if abruptly:
        # With a linger time of zero the system sends RST instead of FIN.
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    await hold(receive, 5.0)


async def _start(send: Send, status: int, content_type: str, headers: Iterable[tuple[str, str]]) -> None:
    fields = [("content-type", content_type), *headers]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _answer(
    send: Send, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]]
) -> None:
    await _start(send, status, content_type, [("content-length", str(len(body))), *headers])
    await send({"type": "http.response.body", "body": body})


def _split(messages: list[Message]) -> tuple[Message, bytes]:
    start = next(message for message in messages if message["type"] == "http.response.start")
    return start, b"".join(message.get("body", b"") for message in messages)


def _with_headers(start: Message, headers: dict[str, str]) -> Message:
    kept = [
        (name, value) for name, value in start["headers"] if name.decode("latin-1").lower() not in headers
    ]
    return {
        **start,
        "headers": [*kept, *((name.encode(), value.encode("latin-1")) for name, value in headers.items())],
    }


def _extra_headers(fault: Fault) -> list[tuple[str, str]]:
    headers = list(fault.headers.items())
    wait = fault.retry_after
    if isinstance(wait, datetime):
        headers.append(("retry-after", format_datetime(wait.astimezone(UTC), usegmt=True)))
    elif wait is not None:
        headers.append(("retry-after", wait if isinstance(wait, str) else f"{wait:g}"))
    return headers


def _error_page(fault: Fault, status: int) -> tuple[bytes, str]:
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
    pages: dict[str, tuple[str, str]] = {
        "html": (
            f"<html><body><h1>{status} {escape(phrase)}</h1></body></html>\n",
            "text/html; charset=utf-8",
        ),
        "json": (json.dumps({"error": {"code": status, "message": phrase}}), "application/json"),
        "xml": (
            f"<?xml version='1.0'?>\n<error><code>{status}</code><message>{phrase}</message></error>\n",
            _XML,
        ),
        "text": (f"{status} {phrase}\n", "text/plain; charset=utf-8"),
    }
    made_up, content_type = pages[fault.body_format]
    return made_up.encode() if fault.body is None else _bytes(fault.body), content_type


def _bytes(body: bytes | str | None) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""


def _zipped_blanks(size: int) -> Iterable[bytes]:
    """Give gzip data of an XML prologue and blanks; a full flush packs each mebibyte to the same bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    yield packer.compress(_PROLOGUE) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum, total = zlib.crc32(_PROLOGUE), len(_PROLOGUE)
    blanks = b" " * _MEBIBYTE
    block = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    while total < size:
        checksum, total = zlib.crc32(blanks, checksum), total + _MEBIBYTE
        yield block
    yield packer.flush(zlib.Z_FINISH) + struct.pack("<II", checksum, total & 0xFFFFFFFF)
