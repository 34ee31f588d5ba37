"""Servers of the Cisco ISE MDM API of which only that face is known: presets with their vendors' advice.

Each is the provider `ise` with what the vendor's own page, or Cisco's, says about it. Nobody has tried them
on a real server yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mdmsdk.ise.provider import IseProvider
from mdmsdk.ise.settings import IseSettings, ServerPath
from mdmsdk.refusals import Refusal, by_status

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SureMdmIseProvider", "SureMdmIseSettings", "XenMobileIseProvider", "XenMobileIseSettings"]

_SUREMDM = "Settings > Account Settings > Enterprise Integrations > Cisco ISE Integration"


class SureMdmIseSettings(IseSettings):
    """Settings of `SureMdmIseProvider`: those of any server of this protocol."""


# 42Gears, "Integrate SureMDM with Cisco ISE": switched on in the console (Enterprise licence), with a user
# and a password of its own. Neither a version nor an instance is named.
class SureMdmIseProvider(IseProvider):
    """42Gears SureMDM as Cisco ISE sees it."""

    name = "suremdm-ise"
    vendor = "42Gears"
    settings_type: ClassVar[type[IseSettings]] = SureMdmIseSettings
    refusals: Sequence[Refusal] = by_status(
        {
            401: f"Take the user name and password from {_SUREMDM}: a login of the console does not serve.",
            403: f"Switch the integration on under {_SUREMDM}; it needs the Enterprise licence.",
            404: "Set base_url to the address of the account, such as https://ACCOUNT.suremdm.io, and switch "
            f"the integration on under {_SUREMDM}. No instance is named; try one that your console shows.",
        }
    )


class XenMobileIseSettings(IseSettings):
    """Settings of `XenMobileIseProvider`.

    Attributes:
        instance: the path before ``/ciscoise``. That of older guides is the default, which no document that
            could be read confirms: ask your console, or leave it empty.
    """

    instance: ServerPath = "/zdm"


# Cisco, "Integrating XenMobile with Cisco ISE": an API user, and the server's certificate imported in ISE.
# Cisco lists XenMobile 10.x on premises alone, and not Citrix Endpoint Management.
class XenMobileIseProvider(IseProvider):
    """Citrix XenMobile 10 on premises as Cisco ISE sees it."""

    name = "xenmobile-ise"
    vendor = "Citrix"
    settings_type: ClassVar[type[IseSettings]] = XenMobileIseSettings
    refusals: Sequence[Refusal] = by_status(
        {
            401: "Give user name and password of a XenMobile account with an API role.",
            403: "Give the account a role that may use the API (RBAC: Public API Access).",
            404: "Set instance to the path that stands before /ciscoise on your server, or to nothing: zdm "
            "is what older guides have. The service Citrix Endpoint Management is not listed for Cisco ISE.",
        }
    )
