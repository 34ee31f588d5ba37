"""Clients: what an application uses to ask one MDM server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from mdmsdk.client.aio import AsyncMdmClient
from mdmsdk.client.build import make_provider, provider_for, with_secrets_called
from mdmsdk.client.sync import MdmClient
from mdmsdk.errors import ConfigurationError
from mdmsdk.settings import ProviderSettings
from mdmsdk.silence import sealed

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.provider import MdmProvider

__all__ = ["AsyncMdmClient", "MdmClient", "connect", "connect_async"]


@overload
def connect(provider: str, *, server: str | None = None, http: Any = None, **settings: Any) -> MdmClient: ...
@overload
def connect(provider: ProviderSettings, /, *, server: str | None = None, http: Any = None) -> MdmClient: ...
@overload
def connect(
    provider: str, given: ProviderSettings, /, *, server: str | None = None, http: Any = None
) -> MdmClient: ...
def connect(
    provider: str | ProviderSettings,
    given: ProviderSettings | None = None,
    *,
    server: str | None = None,
    http: Any = None,
    **settings: Any,
) -> MdmClient:
    """A client for one server. Nothing is sent before the first call.

    Args:
        provider: the provider's entry-point name, such as ``"jamf"`` or ``"ise"``; or its settings, such as
            ``JamfSettings(...)``, which type checkers look at.
        given: the settings, where several providers take those of one class.
        server: the name under which errors and devices mention the server; default: its host name.
        http: an `httpx.Client` (or ``httpx2``) of the application's own, which stays open on close.
            Trust, proxy and cookies are then its affair, and only its own timeouts bound a slow read.
        settings: what the provider's reference page lists: ``base_url``, credentials, ``policy`` ... In place
            of a secret, a function without arguments that gives it, which ``refresh_secrets()`` calls again.

    Raises:
        ConfigurationError: no such provider, or settings that it cannot use.
    """
    with sealed(values=settings):
        made, renew = _made(provider, given, settings)
        return MdmClient(made, server=server, http=http, renew=renew)


@overload
def connect_async(
    provider: str, *, server: str | None = None, http: Any = None, **settings: Any
) -> AsyncMdmClient: ...
@overload
def connect_async(
    provider: ProviderSettings, /, *, server: str | None = None, http: Any = None
) -> AsyncMdmClient: ...
@overload
def connect_async(
    provider: str, given: ProviderSettings, /, *, server: str | None = None, http: Any = None
) -> AsyncMdmClient: ...
def connect_async(
    provider: str | ProviderSettings,
    given: ProviderSettings | None = None,
    *,
    server: str | None = None,
    http: Any = None,
    **settings: Any,
) -> AsyncMdmClient:
    """The same for async, where `http` is an async client; used with ``async with``."""
    with sealed(values=settings):
        made, renew = _made(provider, given, settings)
        return AsyncMdmClient(made, server=server, http=http, renew=renew)


def _made(
    provider: str | ProviderSettings, given: ProviderSettings | None, settings: dict[str, Any]
) -> tuple[MdmProvider, Callable[[], MdmProvider] | None]:
    """The provider, and what makes it anew where functions give its secrets."""
    if not isinstance(provider, str) or given is not None or not any(map(callable, settings.values())):
        return _provider(provider, given, settings), None
    kept = dict(settings)

    def renew() -> MdmProvider:
        return make_provider(provider, with_secrets_called(provider, kept))

    return renew(), renew


def _provider(
    provider: str | ProviderSettings, given: ProviderSettings | None, settings: dict[str, Any]
) -> MdmProvider:
    if isinstance(provider, str) and given is None:
        return make_provider(provider, settings)
    if settings:
        raise ConfigurationError(
            f"a settings object leaves no room for {', '.join(settings)}",
            hint="Put everything into the object.",
        )
    if isinstance(provider, str) and isinstance(given, ProviderSettings):
        return provider_for(given, provider)
    if isinstance(provider, ProviderSettings) and given is None:
        return provider_for(provider)
    raise ConfigurationError(
        f"a provider's name or settings are wanted, and this is a {type(provider).__name__}",
        hint='Write connect("ise", base_url=...), connect(SETTINGS), or connect("ise", SETTINGS).',
    )
