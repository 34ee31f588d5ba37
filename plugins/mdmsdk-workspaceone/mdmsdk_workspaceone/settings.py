"""What an administrator fills in for Workspace ONE UEM."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from mdmsdk.logins import BasicLogin, CertificateKey, ClientCredentials
from mdmsdk.settings import ProviderSettings, Url

__all__ = ["TOKEN_URL", "UUID", "CertificateSettings", "WorkspaceOneSettings"]

# Omnissa, "Using UEM Functionality With a REST API", data centre and token URLs. UEM 2209's edition of it has
# uemauth.vmwservices.com, which is on its way out: a secret goes there only where token_url says so.
TOKEN_URL: Final = "https://{region}.uemauth.workspaceone.com/connect/token"  # noqa: S105 - an address
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _read_zone(name: Any) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        raise ValueError("an IANA time zone is wanted, such as Europe/Berlin or UTC") from None


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
        base_url: the API's address, for SaaS ``https://asNNNN.awmdm.com``; with or without ``/api``.
        tenant_code: the API key of the organisation group; with OAuth it is not needed, but sent if given.
        username: an administrator account with an API role; with `password`, HTTP Basic authentication.
        client_id: an OAuth client; with `client_secret` and one of `region` and `token_url`.
        region: the data centre, which names the token service.
        token_url: the address of another token service, or of the regional one under its former name.
        certificate: see `CertificateSettings`.
        api_version: of the device search, which gives the lists; default: 2 where there is one, or else 1.
        organization_group: limits the lists to one group and its children: its number, in version 3 its UUID.
        details: after a lookup by another key, read the record by GUID as well.
        time_zone: the zone of times that the server writes without one; default: UTC.
        page_size: rows of one page of a list.
    """

    logins = (("username", "password"), ("client_id", "client_secret"), ("certificate",))

    tenant_code: SecretStr | None = None
    region: Literal["uat", "na", "emea", "apac"] | None = None
    token_url: Url | None = None
    certificate: CertificateSettings | None = None
    api_version: Literal[1, 2, 3] | None = None
    organization_group: int | str | None = None
    details: bool = True
    time_zone: Annotated[ZoneInfo | None, BeforeValidator(_read_zone)] = None
    # Workspace ONE API help, mdm v1, devices/search: at most 500; more is silently taken for 500.
    page_size: int = Field(default=500, ge=16, le=500)

    @property
    def login_url(self) -> str | None:
        """The token service's address, for OAuth."""
        return self.token_url or (self.region and TOKEN_URL.format(region=self.region))

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if [self.region, self.token_url].count(None) != (1 if self.client_id else 2):
            raise ValueError(
                "client_id wants either region (uat, na, emea or apac) or token_url, which are of no use "
                "without client_id"
            )
        # Omnissa, "Using UEM Functionality With a REST API": the API key goes with Basic and certificates.
        if self.client_id is None and self.tenant_code is None:
            raise ValueError("tenant_code is missing; only OAuth does without it")
        return self

    @model_validator(mode="after")
    def _check_group(self) -> Self:
        form = UUID if self.api_version == 3 else re.compile("[0-9]+")  # noqa: PLR2004 - with other names
        if self.organization_group is not None and not form.fullmatch(str(self.organization_group)):
            raise ValueError("organization_group is a number, and with api_version 3 a UUID")
        return self
