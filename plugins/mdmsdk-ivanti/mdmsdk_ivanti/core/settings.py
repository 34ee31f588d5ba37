"""What an administrator fills in for Ivanti EPMM."""

from __future__ import annotations

from mdmsdk_ivanti.settings import IvantiSettings

__all__ = ["IvantiCoreSettings"]


class IvantiCoreSettings(IvantiSettings):
    """Ivanti EPMM, formerly MobileIron Core.

    Attributes:
        base_url: the server's address; for Connected Cloud with the account's path.
        username: a local user with the API role, assigned to the device spaces it is to see.
        password: its password.
    """

    logins = (("username", "password"),)
    account = ()  # a server, or the path on a shared one, has one customer
