"""What an error answer of Jamf Pro means, and what an administrator should do about it. Data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mdmsdk.refusals import Complaint, Refusal, oauth_check

if TYPE_CHECKING:
    from mdmsdk.rows import Row
    from mdmsdk.wire import Response

__all__ = ["PRIVILEGES", "REFUSALS", "check_client", "complaint"]

# "Privilege Requirements", https://developer.jamf.com/jamf-pro/docs/privileges-and-deprecations, and the
# x-required-privileges of the API's own description.
PRIVILEGES: Final = (
    ("/computers-inventory", "Read Computers"),
    ("/computers/match/", "Read Computers"),
    ("/mobile-devices/", "Read Mobile Devices"),
    ("/v1/computer-groups", "Read Smart Computer Groups and Read Static Computer Groups"),
    ("/computer-groups", "Read Smart Computer Groups"),
    ("/mobile-device-groups", "Read Smart Mobile Device Groups"),
    ("/advancedcomputersearches", "Read Advanced Computer Searches"),
    ("/advancedmobiledevicesearches", "Read Advanced Mobile Device Searches"),
    ("/device-compliance-information/", "Read Device Compliance Information"),
    ("", "the read privileges"),
)
# "Client Credentials": a role that is added to a client works only after its secret was rotated.
_GRANT: Final = (
    "Grant the account or API role: {}. A role that was only now added to an API client works after its "
    "secret was rotated; an account that is limited to a site sees that site only."
)
_CLIENT: Final = (
    "Check client_id and client_secret, and that the API client is enabled (Settings > System > API roles "
    "and clients). A secret that was rotated is valid at once, the one before no longer."
)
_USER: Final = (
    "Either user name or password is wrong, or the account is locked, or a single sign-on account; or Basic "
    "authentication, with which a token is asked for, is off (User accounts and groups > Password policy)."
)
_EXPIRED: Final = (
    "The password of the account has expired or has to be changed: sign in to Jamf Pro with it once and set "
    "a new one, or use an API client, whose secret does not expire."
)
_REFUSED: Final = (
    "A fresh token was refused: the account or API client may just have been disabled, or a proxy drops the "
    "Authorization header."
)
_ADDRESS: Final = (
    "Check base_url: host, and on premises port and context path, as in https://jamf.example.com:8443/jamf. "
    "Or Jamf Pro is too old: API clients exist from 10.49 on; before, username and password are needed."
)
_FILTER: Final = (
    "The server does not take this search filter; older versions lack some fields. Update Jamf Pro, or ask "
    "by serial number or UDID."
)
_BROKEN: Final = (
    "Look at Jamf Pro's server log. One damaged inventory record can break every page that it is on; from "
    "version 11.29 on, mobile devices are read past it."
)
_STARTING: Final = Refusal(
    (500, 502, 503, 504),
    hint="Jamf Pro may be starting or being updated, as /api/startup-status tells without a login; or look "
    "at Jamf Pro's server log and at what stands before it.",
)
REFUSALS: Final = (
    *(Refusal(403, path=path, hint=_GRANT.format(needed)) for path, needed in PRIVILEGES),
    Refusal(401, path="/auth/token", code="USER_EXPIRED_PASSWORD", hint=_EXPIRED),
    Refusal(401, path="/auth/token", hint=_USER),
    Refusal(401, hint=_REFUSED),
    Refusal(404, hint=_ADDRESS),
    Refusal((400, 414), path=r"[?&]filter=", hint=_FILTER),
    Refusal(500, path=r"/(computers-inventory|mobile-devices/detail)\?", hint=_BROKEN),
    _STARTING,
)


def complaint(response: Response, row: Row) -> Complaint:
    """The code and the field of an error answer, never its texts, which may quote what was asked."""
    del response
    cause = next(iter(row.rows("errors")), row)
    field = cause.text("field") or ""
    return Complaint(cause.text("code") or "", field if re.fullmatch(r"[\w.]{1,60}", field) else "")


check_client: Final = oauth_check(Refusal(404, hint=_ADDRESS), _STARTING, hint=_CLIENT)
"""Looks at what the login service for API clients answers, which has its own shape (RFC 6749)."""
