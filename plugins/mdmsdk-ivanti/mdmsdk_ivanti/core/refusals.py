"""What the refusals of EPMM mean."""

from __future__ import annotations

from typing import Final

from mdmsdk.refusals import Refusal, by_status

__all__ = ["ADDRESS", "LOGIN", "REFUSALS"]

LOGIN: Final = "Check username and password; the account must be a local user (Devices & Users > Users)."
ADDRESS: Final = (
    "Check base_url: for EPMM on premises the host alone, for Connected Cloud the account's path with it, as "
    "in https://HOST/ACCOUNT. A server without version 2 of the API needs an update, or ivanti-core-ise."
)
_ROLE: Final = (
    "Give the local user, under Admin > Admins > Assign to Space, the API role and from Device Management "
    "the roles to view the dashboard, the device page and device details, in each device space it is to see."
)
REFUSALS: Final = (
    *by_status({401: LOGIN, 403: _ROLE, 404: ADDRESS}),
    Refusal(400, words=r"limit", hint="Lower page_size: this server takes smaller pages."),
    Refusal(400, words=r"space", hint=f"Check the setting spaces. {_ROLE}"),
    Refusal(400, words=r"quer|field", hint="It does not know a field: report its version to the plugin."),
)
