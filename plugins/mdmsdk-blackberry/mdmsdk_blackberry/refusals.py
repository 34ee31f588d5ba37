"""What UEM's error answers mean, and the reading of its error bodies. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import AuthenticationError, EndpointNotFoundError, ResponseError
from mdmsdk.refusals import Complaint, Refusal, oauth_check

if TYPE_CHECKING:
    from mdmsdk.rows import Row
    from mdmsdk.wire import Response

__all__ = ["REFUSALS", "ROLE", "OrderRefusedError", "UnknownUserError", "check_token", "read_complaint"]


class UnknownUserError(EndpointNotFoundError):
    """The server has no such user; to lookups of devices, a user without a name."""


class OrderRefusedError(ResponseError):
    """The server does not sort its list by GUID."""


_ADDRESS: Final = (
    "Check base_url, on premises https://HOST:18084, and tenant, the SRP id of the installation as the "
    "console shows it under Help > About; and that BlackBerry UEM Core runs."
)
_LOGIN: Final = (
    "Check username, password and domain; without domain the account is a local one. UEM answers the same "
    "for an account that is locked, so unlock it before the next try."
)
ROLE: Final = (
    "Give the administrator a role with 'View users and activated devices' (Settings > Administrators > "
    "Roles)."
)
_APPLICATION: Final = (
    "Add the application to UEM under Settings > BlackBerry Enterprise Identity > Services; Enterprise "
    "Identity has to be on."
)
_CLIENT: Final = (
    "Check client_id, client_secret and tenant; the application is registered in BlackBerry's developer "
    "console."
)
_TYPE: Final = (
    "This version of UEM does not know the media type of this call: report its version to the plugin."
)
_LOGIN_PATH: Final = r"/util/authorization\?"
# UEM REST API reference, "Getting started" (errors) and the errors of each resource.
REFUSALS: Final = (
    # Wrong credentials are 400 there, and not 401.
    Refusal(400, path=_LOGIN_PATH, error=AuthenticationError, means="the login is refused", hint=_LOGIN),
    Refusal(400, path=r"sortBy=", error=OrderRefusedError),
    Refusal(
        400, path=r"/(?:devices|users)\?", hint="It refuses the query: report its version to the plugin."
    ),
    Refusal(401, hint=_LOGIN),
    Refusal(403, code=("APPLICATION_NOT_FOUND", "113"), hint=_APPLICATION),
    Refusal(403, hint=ROLE),
    Refusal(404, path=r"/users/[^/]+\?", error=UnknownUserError),
    Refusal(404, hint=_ADDRESS),
    Refusal((406, 415), hint=_TYPE),
)
check_token: Final = oauth_check(hint=_CLIENT)


# UEM REST API reference, "Getting started": {"id", "subStatusCode", "message"}. The message is left out of
# ours: it may quote what was sent.
def read_complaint(response: Response, row: Row) -> Complaint:
    """What an error answer says: its code, and the number of the request."""
    del response
    code = re.match(r"[A-Z0-9_]+", row.text("subStatusCode") or "")
    return Complaint(code[0] if code else "", request_id=row.text("id"))
