"""What the service's error answers mean, and the reading of its error bodies. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import PermissionDeniedError
from mdmsdk.refusals import Complaint, Refusal

if TYPE_CHECKING:
    from mdmsdk.rows import Row
    from mdmsdk.wire import Response

__all__ = ["NO_DEVICES", "REFUSALS", "read_complaint"]

NO_DEVICES: Final = (
    "Give the account the role Read-only Analyst with the security scopes and the collections of the devices."
)
_RIGHTS: Final = (
    "Make the account an administrative user of the site with the role Read-only Analyst or more, and a "
    "member of the local group SMS Admins on the server with the SMS Provider."
)
_LOGIN: Final = (
    "By Kerberos: name the server in base_url in full and as its domain does, compare the clocks, and see "
    "that the authentication level of the hierarchy admits the login; NTLM is refused from version 2509 on. "
    "With a token: the account has to be an administrative user, and resource that of the site's application."
)
_ADDRESS: Final = (
    "Check base_url: /AdminService, with a token /AdminService_TokenAuth, and through a gateway "
    "/CCM_Proxy_ServerAuth/NUMBER/AdminService. A class that this version lacks is not found, too."
)
_FAULT: Final = "The SMS Provider may be down: look at its component SMS_REST_PROVIDER, or name another one."
# Seen by the users of MSEndpointMgr's ModernDriverManagement (issue 179): without rights in WMI, every class
# is "not found". It says nothing about any device.
REFUSALS: Final = (
    Refusal(404, words="access denied", error=PermissionDeniedError, hint=_RIGHTS),
    Refusal(400, hint="The site's version may not know this query: report it to the plugin's publisher."),
    Refusal(401, hint=_LOGIN),
    Refusal(403, hint=_RIGHTS),
    Refusal(404, hint=_ADDRESS),
    Refusal((500, 502, 503, 504), hint=_FAULT),
)


# OData JSON Format 4.01, section 21: {"error": {"code", "message"}}. Messages quote the query, in which the
# keys of devices stand, so that none is shown.
def read_complaint(response: Response, row: Row) -> Complaint:
    """What an error answer says: its code, and whether the rights of the account are meant."""
    error = row.row("error")
    denied = re.search(r"access\s+(?:is\s+)?denied", error.text("message") or "", re.IGNORECASE)
    return Complaint(
        error.text("code") or "",
        "access denied" if denied else "",
        response.header("request-id") or response.header("x-ms-request-id"),
    )
