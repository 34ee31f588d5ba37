"""What the refusals of both products mean, and what they say in them."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import EndpointNotFoundError, MalformedResponseError
from mdmsdk.refusals import Complaint, Refusal, by_status

if TYPE_CHECKING:
    from mdmsdk.rows import Row
    from mdmsdk.wire import Response

__all__ = ["CLOUD", "CLOUD_ISE", "CLOUD_TOKEN", "CORE", "CORE_ISE", "UnknownDeviceError", "complaint", "said"]

_CORE_LOGIN: Final = (
    "Check username and password; the account must be a local user (Devices & Users > Users)."
)
_CORE_ROLE: Final = (
    "Give the local user, under Admin > Admins > Assign to Space, the API role and from Device Management "
    "the roles to view the dashboard, the device page and device details, in each device space it is to see."
)
_CORE_ADDRESS: Final = (
    "Check base_url: for EPMM on premises the host alone, for Connected Cloud the account's path with it, as "
    "in https://HOST/ACCOUNT. A server without version 2 of the API needs an update, or ivanti-core-ise."
)
# Neurons for MDM, "Authentication": with password and PIN for the admin portal, Basic login to the API ends.
_NO_PASSWORDS: Final = (
    "Check username and password of the API user (Users > Add > Add API User). If administrators of this "
    "tenant sign in with password and PIN, it refuses passwords here:"
)
_CLOUD_ROLE: Final = (
    "Give the API user, under Users > (user) > Assign Roles, a role that may read devices, for each device "
    "space it is to see; the role 'Cisco ISE Operations' alone is for the provider ivanti-cloud-ise."
)
_CLOUD_ADDRESS: Final = "Check base_url: the cluster's host alone, such as https://eu1.mobileiron.com."
_SMALLER: Final = "Lower page_size: this server takes smaller pages."


class UnknownDeviceError(EndpointNotFoundError):
    """The address is that of a record, and the server has none there: an answer, not a failure."""


CORE: Final = (
    Refusal(401, hint=_CORE_LOGIN),
    Refusal(403, hint=_CORE_ROLE),
    Refusal(404, hint=_CORE_ADDRESS),
    Refusal(400, words=r"limit", hint=_SMALLER),
    Refusal(400, words=r"space", hint=f"Check the setting spaces. {_CORE_ROLE}"),
    Refusal(400, words=r"quer|field", hint="It does not know a field: report its version to the plugin."),
)
# That an unknown record is told by status 404 and the usual envelope is inferred; a wrong address has no
# envelope.
CLOUD: Final = (
    Refusal(404, path=r"/api/v1/device/", code="errors", error=UnknownDeviceError),
    Refusal(401, hint=f"{_NO_PASSWORDS} create a token for the API user, and set token instead of both."),
    Refusal(403, hint=_CLOUD_ROLE),
    Refusal(404, hint=_CLOUD_ADDRESS),
    Refusal(400, words=r"\brows\b|between 1 and", hint=_SMALLER),
    Refusal(400, words=r"partition", hint=f"Check the setting partitions. {_CLOUD_ROLE}"),
    Refusal(400, words=r"\bfq\b|filter|propert", hint="Ask by another identifier: it cannot search by this."),
)
_RUN_OUT: Final = "It is wrong, revoked or has run out: create a new token for the API user."
CLOUD_TOKEN: Final = (Refusal(401, hint=_RUN_OUT), *CLOUD)
# Cisco, "Integrate MDM and UEM Servers with Cisco ISE", sections "Create a MobileIron Core User and Assign
# API Permissions" and "Create a MobileIron Cloud User Account and Assign the Cisco ISE Operations Role".
_CORE_ISE_ROLE: Final = (
    "Select the user under Admin > Admins, choose Actions > Assign to Space, and give it the API role; it "
    "needs the permissions of a tenant administrator."
)
CORE_ISE: Final = by_status({401: _CORE_LOGIN, 403: _CORE_ISE_ROLE, 404: _CORE_ADDRESS})
_CLOUD_ISE_ROLE: Final = (
    "Give the API user the role 'Cisco ISE Operations' (Users > Add API User > Assign Roles). Only the super "
    "administrator has it at first, and can pass it on."
)
_TO_CLOUD: Final = f"{_NO_PASSWORDS} use ivanti-cloud with a token."
CLOUD_ISE: Final = by_status({401: _TO_CLOUD, 403: _CLOUD_ISE_ROLE, 404: _CLOUD_ADDRESS})


def complaint(response: Response, row: Row) -> Complaint:
    """What either product says; the code tells its own answers from those of something in between."""
    with suppress(MalformedResponseError):
        return Complaint("errors" if row.has("errors") else "", said(response.json()))
    return Complaint()


_SPEAKING: Final = re.compile(r"\w*errors?|\w*messages?", re.IGNORECASE)


# EPMM: `messages`. Neurons: `errors.globalErrors` and
# `errors.fieldErrors` with code, message and field. A body may as well be a web page.
def said(body: object) -> str:
    """What the server finds wrong with a request, in its own words; "" where it does not say."""
    return "; ".join(dict.fromkeys(_sentences(body, 8)))


def _sentences(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if isinstance(value, list) and depth:
        return [sentence for one in value for sentence in _sentences(one, depth - 1)]
    if not isinstance(value, dict):
        return []
    inner = [part for name, part in value.items() if _SPEAKING.fullmatch(name)]
    field = value.get("field")
    before = f"{field}: " if field and isinstance(field, str) else ""
    return [before + sentence for sentence in _sentences(inner, depth)]
