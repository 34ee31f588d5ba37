"""What an administrator fills in for Workspace ONE UEM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, model_validator

from mdmsdk.identifiers import Guid
from mdmsdk.settings import BasicUsername, ProviderSettings, Settings, Url

__all__ = ["TOKEN_URL", "CertificateSettings", "WorkspaceOneSettings"]

# Omnissa, "Using UEM Functionality With a REST API", data centre and token URLs. UEM 2209's edition of it has
# uemauth.vmwservices.com, which is on its way out: a secret goes there only where token_url says so.
TOKEN_URL: Final = "https://{region}.uemauth.workspaceone.com/connect/token"  # noqa: S105 - an address


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("an IANA time zone is wanted, such as Europe/Berlin or UTC") from None
    return name


class CertificateSettings(Settings):
    """A client certificate of an administrator account, with which each request is signed.

    Attributes:
        file: a PKCS #12 file (.p12, .pfx), or the certificate in PEM.
        key_file: the key in PEM; default: it stands in `file`.
        password: what opens the file or the key.
        sign_query: sign the query of each address too and not its path alone. The vendor does not say which,
            and trying both would count as a wrong login, for which accounts are locked.
    """

    file: Path
    key_file: Path | None = None
    password: SecretStr | None = None
    sign_query: bool = False


class WorkspaceOneSettings(ProviderSettings):
    """Settings of `mdmsdk_workspaceone.WorkspaceOneProvider`; one of three logins.

    Attributes:
        base_url: the API's address, for SaaS ``https://asNNNN.awmdm.com``; with or without ``/api``.
        tenant_code: the API key of the organisation group; with OAuth it is not needed, but sent if given.
        username: an administrator account with an API role; with `password`, HTTP Basic authentication.
        password: its password.
        client_id: an OAuth client; with `client_secret` and one of `region` and `token_url`.
        client_secret: its secret, which goes to the token service and nowhere else.
        region: the data centre, which names the token service.
        token_url: the address of another token service, or of the regional one under its former name.
        certificate: see `CertificateSettings`.
        api_version: of the device search, which gives the lists; default: 2 where there is one, or else 1.
        organization_group: limits the lists to one group and its children: its number, in version 3 its UUID.
        details: after a lookup by another key, read the record by GUID as well.
        time_zone: the zone of times that the server writes without one; default: UTC.
        page_size: rows of one page of a list.
    """

    tenant_code: SecretStr | None = None
    username: BasicUsername | None = None
    password: SecretStr | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    region: Literal["uat", "na", "emea", "apac"] | None = None
    token_url: Url | None = None
    certificate: CertificateSettings | None = None
    api_version: Literal[1, 2, 3] | None = None
    organization_group: int | str | None = None
    details: bool = True
    time_zone: Annotated[str, AfterValidator(_check_zone)] | None = None
    # Workspace ONE API help, mdm v1, devices/search: at most 500; more is silently taken for 500.
    page_size: int = Field(default=500, ge=16, le=500)

    @property
    def login_url(self) -> str | None:
        """The token service's address, for OAuth."""
        if self.client_id is None:
            return None
        return self.token_url or TOKEN_URL.format(region=self.region)

    @model_validator(mode="after")
    def _check_login(self) -> WorkspaceOneSettings:
        basic = self.username is not None or self.password is not None
        oauth = self.client_id is not None or self.client_secret is not None
        if basic + oauth + (self.certificate is not None) != 1:
            raise ValueError(
                "one login is wanted: username and password, client_id and client_secret, or certificate"
            )
        if basic and (self.username is None or self.password is None):
            raise ValueError("username and password belong together")
        if oauth and (not self.client_id or self.client_secret is None):
            raise ValueError("client_id and client_secret belong together")
        if oauth and (self.region is None) == (self.token_url is None):
            raise ValueError("client_id wants either region (uat, na, emea or apac) or token_url")
        if not oauth and (self.region or self.token_url):
            raise ValueError("region and token_url are of no use without client_id")
        # Omnissa, "Using UEM Functionality With a REST API": the API key goes with Basic and certificates.
        if not oauth and self.tenant_code is None:
            raise ValueError("tenant_code is missing; only OAuth does without it")
        return self

    @model_validator(mode="after")
    def _check_search(self) -> WorkspaceOneSettings:
        group = self.organization_group
        number = isinstance(group, int) or (group is not None and group.isdecimal())
        version3 = self.api_version == 3  # noqa: PLR2004 - the version with other names
        if group is not None and number == version3:
            raise ValueError("organization_group is a number, and with api_version 3 a UUID")
        if group is not None and not number and not Guid.parse(str(group)):
            raise ValueError("organization_group is a number, and with api_version 3 a UUID")
        return self
