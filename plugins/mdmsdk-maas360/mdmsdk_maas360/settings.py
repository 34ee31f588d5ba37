"""What an administrator fills in for MaaS360's web services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, StringConstraints, model_validator

from mdmsdk.settings import ProviderSettings, Url

__all__ = ["HOSTS", "Maas360Settings"]

# IBM support, "MaaS360 web services integration": the first digit of the billing id tells the instance. That
# of 6 is from public clients; for others no host is known.
HOSTS: Final = {
    "1": "https://services.fiberlink.com",
    "2": "https://services.m2.maas360.com",
    "3": "https://services.m3.maas360.com",
    "4": "https://services.m4.maas360.com",
    "6": "https://services.m6.maas360.com",
}

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
State = Literal["policy", "rule", "app", "passcode"]


class Maas360Settings(ProviderSettings):
    """Settings of `mdmsdk_maas360.Maas360Provider`.

    Attributes:
        base_url: the host of the web services; default: as the first digit of `billing_id` tells.
        billing_id: the number of the customer's account.
        username: an administrator account for the web services alone.
        password: its password.
        app_id: the name of the application that was made for the web services, such as
            ``com.30000001.api``.
        app_version: its version.
        app_access_key: its key.
        required_states: which of the server's states have to be good for a pass; default: any one of policy,
            rule and app. A state that is bad makes a device noncompliant in any case.
        page_size: rows to ask for on one page of a list. The server knows these sizes alone.
    """

    logins = (("username", "password", "app_id", "app_access_key"),)
    # A host serves many customers. The guide's figures cannot be read; that they are for each customer's
    # account is inferred.
    account = ("billing_id",)

    base_url: Url = ""
    billing_id: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9]{4,20}$")] = Field(
        coerce_numbers_to_str=True
    )
    username: Text
    password: SecretStr
    app_id: Text
    app_version: Text = Field(default="1.0", coerce_numbers_to_str=True)
    app_access_key: SecretStr
    required_states: tuple[State, ...] = ()
    page_size: Literal[25, 50, 100, 200, 250] = 250

    @model_validator(mode="before")
    @classmethod
    def _find_host(cls, given: Any) -> Any:
        """Fill in the host, where the billing id tells it."""
        if not isinstance(given, Mapping) or given.get("base_url") or "billing_id" not in given:
            return given
        digit = str(given["billing_id"]).strip()[:1]
        if digit not in HOSTS:
            known = ", ".join(HOSTS)
            raise ValueError(f"base_url is wanted: hosts are known for billing ids that begin with {known}")
        return {**given, "base_url": HOSTS[digit]}
