"""What error answers of MaaS360 mean, those with status 200 included. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.refusals import Complaint, Refusal, check_with, error_row
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.wire import Response

__all__ = ["REFUSALS", "ROLE", "check_login", "read_complaint", "unmasked"]

# Public clients of the API: 1007 is the code of a token that is over, 1008 of a wrong billing id.
_OVER, _WRONG_ACCOUNT = "1007", "1008"
_SAYS_OVER = "I have expired"
_CODE = re.compile(r"\w{1,20}", re.ASCII)

_LOGIN: Final = (
    "Check username, password, app_id, app_version and app_access_key (Setup > Services > Web Services API, "
    "Manage Access Keys). The account has to be an administrator of this customer whom nobody locked."
)
_ACCOUNT: Final = (
    "Check billing_id, and that base_url is the host of the instance that the account lies in: "
    "its first digit tells, as the reference page lists."
)
ROLE: Final = (
    "Give the administrator a role with 'Device View - Read-only', and the groups of the devices that it is "
    "to see."
)
_ADDRESS: Final = "Check base_url and billing_id; web services have to be switched on for this customer."
_REPORT: Final = "The server refuses a value of the request: report the address to the plugin."
REFUSALS: Final = (
    Refusal(code=_WRONG_ACCOUNT, means="the billing id is not known here", hint=_ACCOUNT),
    Refusal(code=_OVER, means="the token is over", hint=_LOGIN),
    Refusal(400, hint=_REPORT),
    Refusal(401, hint=_LOGIN),
    Refusal(403, hint=ROLE),
    Refusal(404, hint=_ADDRESS),
)


# Public clients: {"authResponse": {"errorCode": 1007, "errorDesc": "..."}}, with status 401 or 200. The code
# is a number or a text; 0 is none. IBM's own app for its SOAR looks for the words of a token that is over.
def read_complaint(response: Response, row: Row) -> Complaint:
    """What an answer says is wrong: its code and its words."""
    if not row.document and _SAYS_OVER in response.text:
        return Complaint(_OVER)
    for part in map(Row, _objects(row.document)):
        code = part.text("errorCode") or ""
        if part.has("errorCode") and code != "0":
            return Complaint(code if _CODE.fullmatch(code) else "unreadable", part.text("errorDesc") or "")
    return Complaint()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a document, however deep."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(one)


def unmasked(response: Response, *, login: bool = False) -> Response:
    """The answer; one that tells an error with status 200, with the status that the error stands for.

    Args:
        response: the answer.
        login: whether it answers a login, where each error is a refusal of the credential.
    """
    suspect = b"errorCode" in response.body or _SAYS_OVER.encode() in response.body
    if response.status != 200 or not suspect:  # noqa: PLR2004 - HTTP's own number
        return response
    if not (code := read_complaint(response, error_row(response)).code):
        return response
    return replace(response, status=401 if login or code in {_OVER, _WRONG_ACCOUNT} else 400)


def check_login(response: Response) -> Response:
    """Look at the answer to a login."""
    return check_with(REFUSALS, read_complaint, unmasked(response, login=True))
