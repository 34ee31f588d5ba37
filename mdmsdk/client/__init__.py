"""Clients: what an application uses to ask one MDM server."""

from __future__ import annotations

from typing import Any

from mdmsdk.client.aio import AsyncMdmClient
from mdmsdk.client.build import make_provider
from mdmsdk.client.sync import MdmClient
from mdmsdk.silence import sealed

__all__ = ["AsyncMdmClient", "MdmClient", "connect", "connect_async"]


def connect(provider: str, *, server: str | None = None, http: Any = None, **settings: Any) -> MdmClient:
    """A client for one server. Nothing is sent before the first call.

    Args:
        provider: the provider's entry-point name, such as ``"jamf"`` or ``"ise"``.
        server: the name under which errors and devices mention the server; default: its host name.
        http: an `httpx.Client` (or ``httpx2``) of the application's own, which stays open on close.
            Trust, proxy and cookies are then its affair, and only its own timeouts bound a slow read.
        settings: what the provider's reference page lists: ``base_url``, credentials, ``policy`` ...

    Raises:
        ConfigurationError: no such provider, or settings that it cannot use.
    """
    with sealed(values=settings):
        return MdmClient(make_provider(provider, settings), server=server, http=http)


def connect_async(
    provider: str, *, server: str | None = None, http: Any = None, **settings: Any
) -> AsyncMdmClient:
    """The same for async, where `http` is an async client; used with ``async with``."""
    with sealed(values=settings):
        return AsyncMdmClient(make_provider(provider, settings), server=server, http=http)
