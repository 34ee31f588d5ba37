"""What the refusals of Neurons for MDM mean."""

from __future__ import annotations

from typing import Final

from mdmsdk.errors import EndpointNotFoundError
from mdmsdk.refusals import Refusal

__all__ = ["ADDRESS", "NO_PASSWORDS", "REFUSALS", "TOKEN_REFUSALS", "UnknownDeviceError"]

# Neurons for MDM, "Authentication": with password and PIN for the admin portal, Basic login to the API ends.
NO_PASSWORDS: Final = (
    "Check username and password of the API user (Users > Add > Add API User). If administrators of this "
    "tenant sign in with password and PIN, it refuses passwords here:"
)
ADDRESS: Final = "Check base_url: the cluster's host alone, such as https://eu1.mobileiron.com."
_ROLE: Final = (
    "Give the API user, under Users > (user) > Assign Roles, a role that may read devices, for each device "
    "space it is to see; the role 'Cisco ISE Operations' alone is for the provider ivanti-cloud-ise."
)
_RUN_OUT: Final = "It is wrong, revoked or has run out: create a new token for the API user."


class UnknownDeviceError(EndpointNotFoundError):
    """The address is that of a record, and the server has none there: an answer, not a failure."""


# That an unknown record is told by status 404 and the usual envelope is inferred; a wrong address has no
# envelope.
REFUSALS: Final = (
    Refusal(404, path=r"/api/v1/device/", code="errors", error=UnknownDeviceError),
    Refusal(401, hint=f"{NO_PASSWORDS} create a token for the API user, and set token instead of both."),
    Refusal(403, hint=_ROLE),
    Refusal(404, hint=ADDRESS),
    Refusal(400, words=r"\brows\b|between 1 and", hint="Lower page_size: this server takes smaller pages."),
    Refusal(400, words=r"partition", hint=f"Check the setting spaces. {_ROLE}"),
    Refusal(400, words=r"\bfq\b|filter|propert", hint="Ask by another identifier: it cannot search by this."),
)
TOKEN_REFUSALS: Final = (Refusal(401, hint=_RUN_OUT), *REFUSALS)
