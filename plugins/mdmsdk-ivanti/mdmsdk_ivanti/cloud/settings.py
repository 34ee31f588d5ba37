"""What an administrator fills in for Ivanti Neurons for MDM."""

from __future__ import annotations

from pydantic import SecretStr  # noqa: TC002 - pydantic reads it

from mdmsdk_ivanti.settings import IvantiSettings

__all__ = ["IvantiCloudSettings"]


class IvantiCloudSettings(IvantiSettings):
    """Ivanti Neurons for MDM, formerly MobileIron Cloud.

    Attributes:
        base_url: the cluster's address, such as https://eu1.mobileiron.com.
        username: an API user.
        password: its password.
        token: instead of both, a token for tenants whose administrators sign in with password and PIN.
    """

    logins = (("username", "password"), ("token",))
    # A cluster serves many tenants. The one published limit, of application inventories, is for each user.
    account = ("username", "token")

    token: SecretStr | None = None
