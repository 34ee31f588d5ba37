"""The Cisco ISE MDM API of Ivanti EPMM and Ivanti Neurons for MDM: what differs from the protocol.

Source: Cisco, "Integrate MDM and UEM Servers with Cisco ISE", chapter "Integrate Ivanti (previously
MobileIron) UEM".
"""

from __future__ import annotations

from typing import ClassVar

from mdmsdk.ise import IseProvider
from mdmsdk.provider import Limits
from mdmsdk.refusals import by_status
from mdmsdk_ivanti.advice import CLOUD_ADDRESS, CORE_ADDRESS, CORE_LOGIN, NO_PASSWORDS

__all__ = ["IvantiCloudIseProvider", "IvantiCoreIseProvider"]


class _IvantiIseProvider(IseProvider):
    vendor = "Ivanti"
    limits: ClassVar[Limits] = Limits(concurrency=5)


class IvantiCoreIseProvider(_IvantiIseProvider):
    """EPMM; GUIDs, and with them version 3, from release 11.3.0.0 build 24 on."""

    name = "ivanti-core-ise"
    # The chapter's section "Create a MobileIron Core User and Assign API Permissions".
    refusals = by_status(
        {
            401: CORE_LOGIN,
            403: (
                "Select the user under Admin > Admins, choose Actions > Assign to Space, and give it the API "
                "role; it needs the permissions of a tenant administrator."
            ),
            404: CORE_ADDRESS,
        }
    )


class IvantiCloudIseProvider(_IvantiIseProvider):
    """Neurons for MDM: Cisco's own example of the protocol, with ``/ciscoise/mdmapi/v3`` as its path."""

    name = "ivanti-cloud-ise"
    # The chapter's section "Create a MobileIron Cloud User Account and Assign the Cisco ISE Operations Role".
    refusals = by_status(
        {
            401: f"Check username and password. {NO_PASSWORDS}: use ivanti-cloud with a token.",
            403: (
                "Give the API user the role 'Cisco ISE Operations' (Users > Add API User > Assign Roles). "
                "Only the super administrator has it at first, and can pass it on."
            ),
            404: CLOUD_ADDRESS,
        }
    )
