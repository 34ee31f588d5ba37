"""What an administrator fills in for SOTI MobiControl."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints

from mdmsdk.logins import BasicLogin, ClientCredentials
from mdmsdk.settings import BasicUsername, ProviderSettings, Url, below

__all__ = ["POLICED", "SotiSettings"]

# SOTI's help, "Device Compliance Policies" of 15.1 and 2024.0: they are for Android, Apple and Linux.
POLICED: Final = (
    *("AndroidForWork", "AndroidElm", "AndroidKnox", "AndroidPlus", "AndroidGeneric"),
    *("Ios", "Mac", "Linux", "LinuxXtHub"),
)
Kind = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{2,60}$")]


# MobiControl's description of the API, "Authorization": neither has a colon.
def _check_secret(secret: SecretStr | None) -> SecretStr | None:
    if secret and ":" in secret.get_secret_value():
        raise ValueError("MobiControl allows no colon in it")
    return secret


class SotiSettings(BasicLogin, ClientCredentials, ProviderSettings):
    """Settings of `mdmsdk_soti.SotiProvider`: an API client, and a console user with its rights.

    Attributes:
        base_url: the server's address, ``https://HOST``; ``/MobiControl/api`` may be left out.
        client_id: the API client.
        client_secret: its secret, which goes to the token service and nowhere else.
        username: a console user, whose rights count.
        password: its password.
        client_auth: where the token service wants the client: in the header or in the form.
        encoding: how often the values of filters are encoded; ``auto`` finds it out at the heartbeat.
        policy_kinds: the kinds of devices for which compliance policies decide, and not the default check.
        use_azure: whether a device that Entra calls not compliant is not compliant.
        verify_and_sync: have each search compared with the database, which costs the server more.
        page_size: rows of one page of a list.
    """

    logins = (("client_id", "client_secret", "username", "password"),)
    account = ()  # a server has one customer

    base_url: Annotated[Url, below("/mobicontrol/api")]
    client_id: BasicUsername | None = None
    client_secret: Annotated[SecretStr | None, AfterValidator(_check_secret)] = None
    client_auth: Literal["basic", "body"] = "basic"
    encoding: Literal["auto", "single", "double"] = "auto"
    policy_kinds: tuple[Kind, ...] = POLICED
    use_azure: bool = False
    verify_and_sync: bool = False
    # No limit is documented; clients in public code ask for up to 1,000 in production.
    page_size: int = Field(default=500, ge=16, le=1000)
