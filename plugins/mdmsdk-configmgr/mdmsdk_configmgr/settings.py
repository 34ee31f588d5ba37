"""What an administrator fills in for Configuration Manager."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from mdmsdk.logins import BasicLogin, RefreshToken
from mdmsdk.scopes import Chosen
from mdmsdk.settings import Policy, ProviderSettings, Settings, Url, is_loopback

__all__ = ["ConfigMgrSettings", "KerberosLogin"]


def _is_full_name(host: str) -> bool:
    """Whether a host is named as a ticket is for: in full, and by no address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." in host
    return False


class KerberosLogin(Settings):
    """The account whose tickets are used; on Windows, without settings, that of the program.

    Attributes:
        principal: the account, such as ``reader@EXAMPLE.COM``; default: the cache's own.
        ccache: the cache of tickets, such as ``FILE:/run/mdmsdk/tickets``; default: the system's, which MIT
            Kerberos fills by itself from the keytab that ``KRB5_CLIENT_KTNAME`` names. Not on Windows.
    """

    principal: str | None = None
    ccache: str | None = None


class ConfigMgrSettings(BasicLogin, RefreshToken, ProviderSettings):
    """Settings of `mdmsdk_configmgr.ConfigMgrProvider`; one of four logins.

    Attributes:
        base_url: a server with the SMS Provider by its full name, or the address of the service behind a
            cloud management gateway, ``https://HOST/CCM_Proxy_ServerAuth/NUMBER/AdminService``. Without a
            path, that of the service is added: ``/AdminService``, with a token ``/AdminService_TokenAuth``.
        kerberos: log in by Kerberos, see `KerberosLogin`; needs the extra ``kerberos``.
        tenant_id: the directory (tenant) id of Entra ID.
        client_id: the client application of the site in Entra ID.
        resource: the application ID URI of the site's server application, often ``api://TENANT/APPLICATION``.
        username: an account without multi-factor authentication; with `password`. Microsoft advises against
            this login.
        refresh_token: of an account that logged in once, instead of its password.
        token_provider: called for an access token, such as a function around msal's silent login. Only from
            Python.
        authority_url: the login authority.
        baselines: the configuration baselines that decide, by name or by ``CI_UniqueID``; default: all that
            are enabled and assigned. A device without a result for one of them is unknown.
        user_rows: count the results of single users as well; default: those of the computer alone.
        require_active: take only clients that are active and whose last health check passed for compliant.
        page_size: rows of one page of a list.
    """

    logins = (
        ("kerberos",),
        ("tenant_id", "client_id", "resource", "username", "password"),
        ("tenant_id", "client_id", "resource", "refresh_token"),
        ("token_provider",),
    )
    account = ()  # Microsoft's ceilings are for each provider and each client address

    kerberos: KerberosLogin | None = None
    tenant_id: Annotated[str, AfterValidator(str.strip)] | None = Field(default=None, pattern=r"^[\w.-]+$")
    client_id: str | None = None
    resource: str | None = None
    token_provider: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    authority_url: Url = "https://login.microsoftonline.com"
    baselines: Chosen = ()
    user_rows: bool = False
    require_active: bool = False
    page_size: int = Field(default=500, ge=16, le=5000)
    # Answers of up to 15 s have been seen, and a lookup takes three in a row.
    policy: Policy = Policy(timeout=60.0, deadline=120.0)

    @model_validator(mode="before")
    @classmethod
    def _add_path(cls, values: Any) -> Any:
        base = values.get("base_url") if isinstance(values, dict) else None
        if not isinstance(base, str) or base.strip().rstrip("/").count("/") > 2:  # noqa: PLR2004 - of https://
            return values
        path = "AdminService" if values.get("kerberos") is not None else "AdminService_TokenAuth"
        return {**values, "base_url": f"{base.strip().rstrip('/')}/{path}"}

    @property
    def host(self) -> str:
        """The server's name, for which tickets are."""
        return urlsplit(self.base_url).hostname or ""

    @model_validator(mode="after")
    def _check_host(self) -> Self:
        if self.kerberos is not None and not (_is_full_name(self.host) or is_loopback(self.host)):
            raise ValueError("base_url: Kerberos knows the server by its full name, such as cm01.example.com")
        return self
