"""What an administrator fills in for Ivanti EPMM and Ivanti Neurons for MDM."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints

from mdmsdk.logins import BasicLogin
from mdmsdk.settings import ProviderSettings

__all__ = ["IvantiCloudSettings", "IvantiCoreSettings", "IvantiSettings"]


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple | set | frozenset) else [value]


# How the GDPR profile of an API user disguises a value is not published: runs of a mask character, or a word.
MASKS: Final = re.compile(
    r".*(?:\*{2,}|[•●█]{2,}|[xX]{4,}|#{3,}).*|(?:masked|hidden|obfuscated|anonymi[sz]ed|redacted)\W*"
)
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), Field(coerce_numbers_to_str=True)
]
Spaces = Annotated[tuple[Name, ...], BeforeValidator(_as_list)]
"""Numbers or names of device spaces, one or several of them."""


class IvantiSettings(BasicLogin, ProviderSettings):
    """What both products need.

    Attributes:
        page_size: rows to ask for on one page. 200 are known to work with every EPMM; Neurons for MDM refuses
            more than 500.
        mask_pattern: regular expression for values that the account's GDPR profile has disguised.
    """

    page_size: int = Field(default=200, ge=2, le=500)
    mask_pattern: re.Pattern[str] = MASKS


class IvantiCoreSettings(IvantiSettings):
    """Ivanti EPMM, formerly MobileIron Core.

    Attributes:
        base_url: the server's address; for Connected Cloud with the account's path.
        username: a local user with the API role, assigned to the device spaces it is to see.
        password: its password.
        spaces: numbers or names of the device spaces to look into; default: all that the user is assigned to.
    """

    logins = (("username", "password"),)

    spaces: Spaces = ()


class IvantiCloudSettings(IvantiSettings):
    """Ivanti Neurons for MDM, formerly MobileIron Cloud.

    Attributes:
        base_url: the cluster's address, such as https://eu1.mobileiron.com.
        username: an API user.
        password: its password.
        token: instead of both, a token for tenants whose administrators sign in with password and PIN.
        partitions: numbers or names of the device spaces to look into; default: all of the tenant.
    """

    logins = (("username", "password"), ("token",))

    token: SecretStr | None = None
    partitions: Spaces = ()
