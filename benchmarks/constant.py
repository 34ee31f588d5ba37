"""A Starlette application with one answer, served as the gateway is: what it is compared with."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.server import DEVICE
from mdmsdk.gateway.served import uvicorn_config
from mdmsdk.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from starlette.requests import Request


async def _answer(_: Request) -> Response:
    return Response(DEVICE, media_type="application/xml")


def main() -> None:
    """Serve until somebody ends it."""
    application = Starlette(routes=[Route("/{path:path}", _answer)])
    # Named, so that asyncio switches off Nagle's algorithm.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        sys.stderr.write(f"serving on http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stderr.flush()
        server = uvicorn.Server(uvicorn_config(application, GatewaySettings()))
        asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main()
