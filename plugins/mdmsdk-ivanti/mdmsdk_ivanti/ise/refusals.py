"""What the refusals of the Cisco ISE MDM API of both products mean.

Source: Cisco, "Integrate MDM and UEM Servers with Cisco ISE", sections "Create a MobileIron Core User and
Assign API Permissions" and "Create a MobileIron Cloud User Account and Assign the Cisco ISE Operations Role".
"""

from __future__ import annotations

from typing import Final

from mdmsdk.refusals import by_status
from mdmsdk_ivanti.cloud import refusals as cloud
from mdmsdk_ivanti.core import refusals as core

__all__ = ["CLOUD", "CORE"]

_CORE_ROLE: Final = (
    "Select the user under Admin > Admins, choose Actions > Assign to Space, and give it the API role; it "
    "needs the permissions of a tenant administrator."
)
CORE: Final = by_status({401: core.LOGIN, 403: _CORE_ROLE, 404: core.ADDRESS})
_CLOUD_ROLE: Final = (
    "Give the API user the role 'Cisco ISE Operations' (Users > Add API User > Assign Roles). Only the super "
    "administrator has it at first, and can pass it on."
)
_BY_TOKEN: Final = f"{cloud.NO_PASSWORDS} use ivanti-cloud with a token."
CLOUD: Final = by_status({401: _BY_TOKEN, 403: _CLOUD_ROLE, 404: cloud.ADDRESS})
