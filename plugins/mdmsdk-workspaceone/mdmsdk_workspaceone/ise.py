"""The endpoint of Workspace ONE UEM for Cisco ISE."""

from __future__ import annotations

from mdmsdk.ise import IseProvider
from mdmsdk.refusals import by_status

__all__ = ["WorkspaceOneIseProvider"]

_ACCOUNT = (
    "Give user name and password of a UEM administrator account that may use the API, as it is filled in at "
    "Cisco ISE; a directory account as DOMAIN\\user."
)


# Cisco, "Integrate MDM and UEM Servers with Cisco ISE": ISE asks Workspace ONE by MAC address in versions 1
# and 2; version 3 and the GUID, which is the device's UUID, need UEM 2402 and ISE 3.1. The guides name no
# instance, and the discovery of the versions tells which one there is.
class WorkspaceOneIseProvider(IseProvider):
    """Workspace ONE UEM as Cisco ISE sees it."""

    name = "workspaceone-ise"
    vendor = "Omnissa"
    refusals = by_status(
        {
            401: _ACCOUNT,
            403: "Give the account an administrator role with API access in the devices' organisation group.",
            404: (
                "Set base_url to the host that Cisco ISE is given, without a path: for SaaS the API's "
                "address, https://asNNNN.awmdm.com. The tenant has to offer the endpoint for ISE; by GUID, "
                "from UEM 2402."
            ),
        }
    )
