"""The two ways in: a ticket of Kerberos for each request, and a token of Entra ID."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import ConfigurationError, TokenError
from mdmsdk.flow import call
from mdmsdk.logins import password_grant, refresh
from mdmsdk.provider import Token
from mdmsdk.refusals import oauth_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.flow import Flow
    from mdmsdk_configmgr.settings import ConfigMgrSettings

__all__ = ["log_in"]

_ENTRA: Final = (
    "Check tenant_id, client_id, resource and the account: it needs the right to the site's server "
    "application, no multi-factor authentication if it logs in by password, and the same name as an "
    "administrative user of the site. Applications without a user are not admitted."
)
_KERBEROS: Final = (
    "Get a ticket (kinit, or a keytab named in KRB5_CLIENT_KTNAME), name the server in base_url as its "
    "domain does (HTTP/HOST is its service principal), and compare the clocks."
)
_MISSING: Final = 'Install it with: pip install "mdmsdk-configmgr[kerberos]"'
# MIT Kerberos, krb5_err.et: KRB5_REALM_UNKNOWN stands before it; this one is "Cannot contact any KDC".
_NO_KDC: Final = -1765328228 & 0xFFFFFFFF
_LIFE: Final = 300.0
"""Seconds for which a token of the application's own is used; it knows how long it lives."""


# RFC 6749, section 4.3, and Microsoft, "OAuth 2.0 Resource Owner Password Credentials".
def log_in(settings: ConfigMgrSettings, previous: Token | None) -> Flow[Token]:
    """A credential for the administration service.

    Raises:
        TokenError: Entra ID or Kerberos refused.
        ConfigurationError: the library for Kerberos is missing.
    """
    if settings.kerberos is not None:
        return call(partial(_ticket, settings))
    if settings.token_provider:
        return call(partial(_ask, settings.token_provider))
    url = f"{settings.authority_url}/{settings.tenant_id}/oauth2/v2.0/token"
    scope = f"{settings.resource}/.default"
    form, check = {"client_id": settings.client_id or "", "scope": scope}, oauth_check(hint=_ENTRA)
    if settings.password is not None:
        return password_grant(url, settings, form=form, check=check)
    form["scope"] += " offline_access"  # the next refresh token
    return refresh(url, settings, previous, form=form, check=check)


def _ask(provider: Callable[[], str]) -> Token:
    try:
        value: Any = provider()
    except Exception as error:  # noqa: BLE001 - the application's own code
        raise TokenError(
            f"token_provider failed ({type(error).__name__})", step="token_provider", hint=_ENTRA
        ) from None
    if not isinstance(value, str) or not value:
        raise TokenError("token_provider gave no token", step="token_provider", hint=_ENTRA)
    return Token(value, expires_in=_LIFE)


# RFC 4559: Authorization: Negotiate, and a GSS-API token in Base64. Kerberos alone is asked for: with the
# negotiation around it, the library would fall back to NTLM, which sites refuse from version 2509 on.
# https://learn.microsoft.com/intune/configmgr/core/plan-design/changes/whats-new-in-version-2509
def _ticket(settings: ConfigMgrSettings) -> Token:
    """A ticket for the server, with an authenticator for one request (RFC 4120, section 3.2.3)."""
    account: Any = settings.kerberos and settings.kerberos.principal
    try:
        import spnego
        from spnego.exceptions import SpnegoError

        if settings.kerberos and settings.kerberos.ccache:
            account = spnego.KerberosCCache(settings.kerberos.ccache, settings.kerberos.principal)
        client = partial(spnego.client, account, hostname=settings.host, service="HTTP", protocol="kerberos")
    except ImportError:
        raise ConfigurationError(
            "a login by Kerberos needs the package pyspnego with its bindings", hint=_MISSING
        ) from None
    try:
        value = client().step()
    except ImportError:  # the bindings are installed apart
        raise ConfigurationError("pyspnego has no bindings for Kerberos here", hint=_MISSING) from None
    except (SpnegoError, ValueError, OSError) as error:
        raise _refused(error) from None
    if not value:
        raise TokenError("Kerberos gave no ticket", step="kerberos", hint=_KERBEROS)
    return Token(base64.b64encode(value).decode(), scheme="Negotiate", single_use=True)


def _refused(error: Exception) -> TokenError:
    inner = getattr(error, "base_error", None) or error
    code = getattr(inner, "min_code", 0) & 0xFFFFFFFF
    return TokenError(
        f"Kerberos gave no ticket ({type(inner).__name__}{f' {code}' if code else ''})",
        step="kerberos",
        vendor_code=str(code or getattr(inner, "winerror", "")) or None,
        retryable=code == _NO_KDC,
        hint=_KERBEROS,
    )
