"""What an administrator fills in for Ivanti EPMM and Ivanti Neurons for MDM."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from mdmsdk.settings import BasicUsername, ProviderSettings

__all__ = ["PAGE_SIZE", "IvantiCloudSettings", "IvantiCoreSettings", "IvantiSettings"]

# How the GDPR profile of an API user disguises a value is not published: runs of a mask character, or a word.
MASKS = r".*(?:\*{2,}|[•●█]{2,}|[xX]{4,}|#{3,}).*|(?:masked|hidden|obfuscated|anonymi[sz]ed|redacted)\W*"


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"this is no regular expression ({error.msg})") from None
    return text


def _as_texts(value: object) -> object:
    """Numbers as the texts that an administrator could have written as well."""
    given = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    plain = [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in given]
    return tuple(item.strip() if isinstance(item, str) else item for item in plain)


PAGE_SIZE = 200
"""The most rows of one page that are known to work with every EPMM; Neurons for MDM takes up to 500."""
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_texts)]
"""Numbers or names, one or several of them."""


class IvantiSettings(ProviderSettings):
    """What both products need.

    Attributes:
        page_size: rows to ask for on one page; Neurons for MDM refuses more than 500.
        mask_pattern: regular expression for values that the account's GDPR profile has disguised.
    """

    page_size: int = Field(default=PAGE_SIZE, ge=2, le=500)
    mask_pattern: Annotated[str, AfterValidator(_check_pattern)] = MASKS


class IvantiCoreSettings(IvantiSettings):
    """Ivanti EPMM, formerly MobileIron Core.

    Attributes:
        base_url: the server's address; for Connected Cloud with the account's path.
        username: a local user with the API role, assigned to the device spaces it is to see.
        password: its password.
        spaces: numbers or names of the device spaces to look into; default: all that the user is assigned to.
    """

    username: BasicUsername
    password: SecretStr
    spaces: Names = ()


class IvantiCloudSettings(IvantiSettings):
    """Ivanti Neurons for MDM, formerly MobileIron Cloud.

    Attributes:
        base_url: the cluster's address, such as https://eu1.mobileiron.com.
        username: an API user.
        password: its password.
        token: instead of both, a token for tenants whose administrators sign in with password and PIN.
        partitions: numbers or names of the device spaces to look into; default: all of the tenant.
    """

    username: BasicUsername | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    partitions: Names = ()

    @model_validator(mode="after")
    def _check_login(self) -> IvantiCloudSettings:
        basic = (self.username is not None, self.password is not None)
        if self.token is not None and any(basic):
            raise ValueError("either username and password, or token; not both")
        if self.token is None and not all(basic):
            raise ValueError("username and password are wanted, or token")
        return self
