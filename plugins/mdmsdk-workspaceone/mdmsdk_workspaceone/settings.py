"""What an administrator fills in for Workspace ONE UEM."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, model_validator

from mdmsdk.logins import BasicLogin, CertificateKey, ClientCredentials
from mdmsdk.settings import ProviderSettings, Url, below

__all__ = ["TOKEN_URL", "UUID", "CertificateSettings", "WorkspaceOneSettings"]

# Omnissa, "Using UEM Functionality With a REST API", data centre and token URLs. UEM 2209's edition of it has
# uemauth.vmwservices.com, which is on its way out: a secret goes there only where token_url says so.
TOKEN_URL: Final = "https://{region}.uemauth.workspaceone.com/connect/token"  # noqa: S105 - an address
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class CertificateSettings(CertificateKey):
    """A client certificate of an administrator account, with which each request is signed.

    Attributes:
        sign_query: sign the query of each address too and not its path alone. The vendor does not say which,
            and trying both would count as a wrong login, for which accounts are locked.
    """

    sign_query: bool = False


class WorkspaceOneSettings(BasicLogin, ClientCredentials, ProviderSettings):
    """Settings of `mdmsdk_workspaceone.WorkspaceOneProvider`; one of three logins.

    Attributes:
        base_url: the API's address, for SaaS ``https://asNNNN.awmdm.com``; ``/api`` may be left out.
        tenant_code: the API key of the organisation group; with OAuth it is not needed, but sent if given.
        username: an administrator account with an API role; with `password`, HTTP Basic authentication.
        client_id: an OAuth client; with `client_secret` and one of `region` and `token_url`.
        region: the data centre, which names the token service.
        token_url: the address of another token service, or of the regional one under its former name.
        certificate: see `CertificateSettings`.
        organization_group: the number of a group, which limits the lists to it and its children.
        details: after a lookup by another key, read the record by GUID as well.
        time_zone: the IANA zone of times that the server writes without one, such as Europe/Berlin; default:
            UTC.
        page_size: rows of one page of a list.
    """

    gone: ClassVar = {"api_version": "the newest version of the device search that both sides know is spoken"}
    logins = (
        *(("username", "password"), ("certificate",)),
        *(("client_id", "client_secret", "region"), ("client_id", "client_secret", "token_url")),
    )
    # A SaaS host serves many tenants. That the daily quota (X-RateLimit-Limit) is for each API key or OAuth
    # client is inferred: it differs by tenant.
    account = ("tenant_code", "client_id")

    base_url: Annotated[Url, below("/api")]
    tenant_code: SecretStr | None = None
    region: Literal["uat", "na", "emea", "apac"] | None = None
    token_url: Url | None = None
    certificate: CertificateSettings | None = None
    organization_group: int | None = Field(default=None, ge=0)
    details: bool = True
    time_zone: ZoneInfo | None = None
    # Workspace ONE API help, mdm v1, devices/search: at most 500; more is silently taken for 500.
    page_size: int = Field(default=500, ge=16, le=500)

    @property
    def login_url(self) -> str | None:
        """The token service's address, for OAuth."""
        return self.token_url or (self.region and TOKEN_URL.format(region=self.region))

    @model_validator(mode="after")
    def _check_tenant_code(self) -> Self:
        # Omnissa, "Using UEM Functionality With a REST API": the API key goes with Basic and certificates.
        if self.client_id is None and self.tenant_code is None:
            raise ValueError("tenant_code is missing; only OAuth does without it")
        return self
