"""What an administrator fills in for a Jamf Pro server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from mdmsdk.settings import BasicUsername, ProviderSettings, Settings

__all__ = ["ComplianceSettings", "JamfSettings", "Rules"]

_SYSTEMS = ("macOS", "iOS", "iPadOS", "tvOS", "watchOS", "visionOS")


def _system(name: str) -> str:
    if name.casefold() not in map(str.casefold, _SYSTEMS):
        raise ValueError(f"the systems are: {', '.join(_SYSTEMS)}")
    return name.casefold()


System = Annotated[str, AfterValidator(_system)]
NameOrId = Annotated[str, Field(min_length=1)] | Annotated[int, Field(ge=1)]


class Rules(Settings):
    """What a device has to fulfil; a rule that is not set is not looked at.

    Attributes:
        filevault: computers: the boot disk is encrypted.
        passcode: mobile devices: a passcode is set.
        no_jailbreak: mobile devices: no jailbreak was detected.
        max_days_since_contact: days since the device last spoke with the server, by the server's clock.
        minimum_os: the lowest version, by system: ``{"macOS": "14.7", "iOS": "17.7"}``. All computers have
            macOS, whatever it was called; for iPads, iPadOS counts before iOS.
    """

    filevault: bool = False
    passcode: bool = False
    no_jailbreak: bool = False
    max_days_since_contact: int | None = Field(default=None, ge=1, le=3650)
    minimum_os: dict[System, Annotated[str, Field(pattern=r"^\d+(\.\d+)*$", max_length=40)]] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _check(self) -> Rules:
        if self == type(self).model_construct():
            raise ValueError("at least one rule is wanted")
        return self


class ComplianceSettings(Settings):
    """Where the verdict comes from: Jamf Pro has none of its own.

    Attributes:
        source: a smart group; an advanced search, as the integration with Cisco ISE uses it; the state that
            Jamf Pro keeps per device for conditional access; or rules over the inventory.
        computers: name or id of the group or search for computers.
        mobile_devices: the same for mobile devices. Of a kind that is not named, no verdict is given.
        members: what being in the group or search means.
        rules: with the source ``rules``.
        search_max_age: seconds for which the result of an advanced search is used, which the server would
            otherwise run anew for each lookup and each page of a list; 0 does so.
    """

    source: Literal["smart-group", "advanced-search", "conditional-access", "rules"]
    computers: NameOrId | None = None
    mobile_devices: NameOrId | None = None
    members: Literal["compliant", "noncompliant"] = "compliant"
    rules: Rules | None = None
    search_max_age: float = Field(default=60.0, ge=0, le=86400, allow_inf_nan=False)

    @property
    def named(self) -> bool:
        """Whether the source is something in Jamf Pro that has a name."""
        return self.source in {"smart-group", "advanced-search"}

    @model_validator(mode="after")
    def _check(self) -> ComplianceSettings:
        sets = self.computers is not None or self.mobile_devices is not None
        if self.named and not sets:
            raise ValueError(f"the source {self.source} needs computers or mobile_devices, a name or an id")
        if not self.named and sets:
            raise ValueError(f"the source {self.source} has no use for computers and mobile_devices")
        if self.source != "advanced-search" and "search_max_age" in self.model_fields_set:
            raise ValueError(f"the source {self.source} has no use for search_max_age")
        if (self.source == "rules") != (self.rules is not None):
            raise ValueError("the source rules and the table rules belong together")
        return self


class JamfSettings(ProviderSettings):
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

    client_id: str | None = None
    client_secret: SecretStr | None = None
    username: BasicUsername | None = None
    password: SecretStr | None = None
    compliance: ComplianceSettings | None = None  # type: ignore[assignment] # its own rules, for now
    remediation: str | None = None
    secondary_macs: Literal["match", "sweep", "off"] = "match"
    page_size: int = Field(default=1000, ge=16, le=2000)

    @model_validator(mode="after")
    def _check(self) -> JamfSettings:
        client = (self.client_id, self.client_secret)
        user = (self.username, self.password)
        given = [pair for pair in (client, user) if any(pair)]
        if len(given) != 1 or not all(given[0]):
            raise ValueError("either client_id and client_secret or username and password are wanted")
        return self
