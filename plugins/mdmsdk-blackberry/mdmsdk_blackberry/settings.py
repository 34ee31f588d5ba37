"""What an administrator fills in for BlackBerry UEM."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from mdmsdk.ise import IseSettings
from mdmsdk.ise.settings import ServerPath
from mdmsdk.logins import BasicLogin, ClientCredentials
from mdmsdk.settings import BasicUsername, ProviderSettings, Url

__all__ = ["BlackBerrySettings"]

# BlackBerry, "BWS OAuth implementation": the identity provider, one path for each tenant.
_TOKEN_URL: Final = "https://idp.blackberry.com/op/tenant/{tenant}/token"  # noqa: S105 - an address
_ISE: Final = "ise_"


class BlackBerrySettings(BasicLogin, ClientCredentials, ProviderSettings):
    """Settings of `mdmsdk_blackberry.BlackBerryProvider`; one of two logins.

    Attributes:
        base_url: the server's address, on premises ``https://HOST:18084``.
        tenant: the SRP id of the installation, such as S12345678; in the cloud the id of the tenant.
        username: an administrator of UEM on premises; with `password`.
        domain: the directory domain of that account; default: a local account.
        client_id: an OAuth client of BlackBerry Enterprise Identity; with `client_secret`.
        token_url: another token service than BlackBerry's.
        ise_username: a local administrator for the endpoint for Cisco ISE, which alone knows compliance.
        ise_password: its password.
        ise_instance: the path before the endpoint, if there is one.
        ise_api_version: the highest version of its protocol to ask for.
        ise_api_path: where its device list is; default: what it says itself.
        users: whether lookups ask for the name of the device's user, at the cost of a request.
        page_size: rows to ask for on one page.
    """

    logins = (("username", "password"), ("client_id", "client_secret"))
    account = ("tenant",)

    tenant: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[\w.-]{1,64}$")]
    domain: str | None = None
    token_url: Url | None = None
    ise_username: BasicUsername | None = None
    ise_password: SecretStr | None = None
    ise_instance: ServerPath | None = None
    ise_api_version: Literal[1, 2, 3] = 3
    ise_api_path: ServerPath | None = None
    users: bool = True
    # UEM REST API reference, Devices: max is 1 to 1000.
    page_size: int = Field(default=1000, ge=2, le=1000)

    @property
    def api(self) -> str:
        """The address of the REST API."""
        return f"{self.base_url}/{self.tenant}/api/v1"

    @property
    def login_url(self) -> str | None:
        """The token service's address, for OAuth."""
        return self.token_url or (self.client_id and _TOKEN_URL.format(tenant=self.tenant))

    @property
    def ise(self) -> IseSettings | None:
        """The settings of the endpoint for Cisco ISE; None where it is not to be asked."""
        if self.ise_username is None:
            return None
        own = {name: getattr(self, name) for name in type(self).model_fields if name.startswith(_ISE)}
        given: dict[str, Any] = {
            name.removeprefix(_ISE): value for name, value in own.items() if value is not None
        }
        return IseSettings(base_url=self.base_url, policy=self.policy, **given)

    @model_validator(mode="after")
    def _check_accounts(self) -> Self:
        if (self.ise_username is None) != (self.ise_password is None):
            raise ValueError("ise_username and ise_password belong together")
        if self.domain and self.client_id:
            raise ValueError("domain belongs to username and password")
        return self
