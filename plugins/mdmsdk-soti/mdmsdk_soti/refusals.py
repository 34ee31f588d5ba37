"""What MobiControl's error answers mean, and the reading of its error bodies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdmsdk.errors import EndpointNotFoundError
from mdmsdk.refusals import Complaint, Refusal, oauth_check

if TYPE_CHECKING:
    from mdmsdk.rows import Row
    from mdmsdk.wire import Response

__all__ = ["GROUPS", "REFUSALS", "UnknownRecordError", "check_login", "read_complaint"]


class UnknownRecordError(EndpointNotFoundError):
    """The server has no such record, and said so in its own words; to flows, an empty answer."""


_LOGIN: Final = (
    "Check client_id and client_secret (Global Settings > Services > API Client) and the console user: wrong "
    "password, locked or expired. MobiControl locks accounts after some wrong logins. Use a local user: it "
    "is not documented whether one of an identity provider is let in."
)
GROUPS: Final = "Give the console user the right View Groups, at the root of the device groups."
_POLICIES: Final = "Give the console user the right View Compliance Policies."
_CONSOLE: Final = "Give the console user the right Web Console Access."
_INDEX: Final = (
    "The server or its search index is down: ask GET /search/health, and look at the search service in the "
    "console. Look-ups by device id do without it."
)
_ADDRESS: Final = "Set base_url to the host of the console, without a path or with /MobiControl/api."
_FILTER: Final = "Set encoding to single or double, if the heartbeat cannot find out which one is right."
# Not /devices/search, where 404 does not speak of a device.
_ONE: Final = r"/devices/(?!search[?/])[^/?]+"
# MobiControl's description of the API names no status for an unknown id. Seen are 404 and 422 in its own
# error body; a 404 without that is an address that is not there.
REFUSALS: Final = (
    Refusal(404, path=_ONE, words=r"\S", error=UnknownRecordError, means="it has no such device"),
    Refusal(
        422,
        path=_ONE,
        words=r"not found|does not exist|no such|unknown device",
        error=UnknownRecordError,
        means="it has no such device",
    ),
    Refusal((400, 404, 422), path=r"/devices/search\?", hint=_FILTER),
    Refusal(401, hint=_LOGIN),
    Refusal(403, path="/compliancePolicies", hint=_POLICIES),
    Refusal(403, path="/servers", hint=_CONSOLE),
    Refusal(403, hint=GROUPS),
    Refusal(404, hint=_ADDRESS),
    Refusal(503, hint=_INDEX),
)
check_login: Final = oauth_check(hint=_LOGIN)


# MobiControl's description of the API: {"ErrorCode", "ErrorMessage", "Data", "HelpLink"}; version 13 also
# {"Message"}.
def read_complaint(response: Response, row: Row) -> Complaint:
    """What an error answer says: its code, which is 0 for most errors, and its words."""
    del response
    return Complaint(row.text("ErrorCode") or "", row.text("ErrorMessage", "Message") or "")
