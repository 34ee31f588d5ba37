"""What an administrator fills in for a Jamf Pro server."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mdmsdk import settings
from mdmsdk.logins import BasicLogin, ClientCredentials
from mdmsdk.settings import ProviderSettings

__all__ = ["ComplianceSettings", "JamfSettings"]

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
NameOrId = Name | Annotated[int, Field(ge=1)]


class ComplianceSettings(settings.ComplianceSettings):
    """Where the verdict comes from: Jamf Pro has none of its own.

    Attributes:
        source: a smart group; an advanced search, as the integration with Cisco ISE uses it; the state that
            Jamf Pro keeps per device for conditional access; or rules over the inventory.
        computers: name or id of the group or search for computers.
        mobile_devices: the same for mobile devices. Of a kind that is not named, no verdict is given.
        members: what being in the group or search means.
    """

    source: Literal["smart-group", "advanced-search", "conditional-access", "rules"]
    computers: NameOrId | None = None
    mobile_devices: NameOrId | None = None
    members: Literal["compliant", "noncompliant"] = "compliant"

    @property
    def wanted(self) -> dict[str, str | int]:
        """The names and ids by inventory, as far as there are any."""
        both = {"computers": self.computers, "mobile_devices": self.mobile_devices}
        return {name: value for name, value in both.items() if value is not None}

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if bool(self.wanted) != (self.source in {"smart-group", "advanced-search"}):
            raise ValueError(
                "smart-group and advanced-search need computers or mobile_devices, and no other source does"
            )
        return self


class JamfSettings(ProviderSettings, BasicLogin, ClientCredentials):
    """Settings of `mdmsdk_jamf.JamfProvider`; ``base_url`` with port and context path where there are any.

    Attributes:
        client_id: an API client of Jamf Pro.
        client_secret: its secret.
        username: a local or LDAP account instead of an API client; single sign-on accounts cannot log in.
        password: its password.
        compliance: where the verdict comes from, see `ComplianceSettings`; without it, states are unknown.
        remediation: what the user of a noncompliant device should do.
        secondary_macs: how to find a computer by its second MAC address, which no filter of the server knows:
            by the search of the Classic API, by reading through all computers, or not at all.
        page_size: rows of one page of a list; the server gives 2,000 at the most.
    """

    logins = (("client_id", "client_secret"), ("username", "password"))
    # Jamf, "Jamf Pro API Scalability Best Practices": five connections to a server, whoever has them.
    account = ()

    compliance: ComplianceSettings | None = None
    remediation: str | None = None
    secondary_macs: Literal["match", "sweep", "off"] = "match"
    page_size: int = Field(default=1000, ge=16, le=2000)
