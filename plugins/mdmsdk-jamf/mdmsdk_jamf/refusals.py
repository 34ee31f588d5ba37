"""What an administrator should do about an error answer of Jamf Pro. Pure."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

from mdmsdk.errors import MalformedResponseError, TokenError
from mdmsdk.provider import check_status
from mdmsdk_jamf.login import OAUTH_PATHS, USER_PATH

if TYPE_CHECKING:
    from mdmsdk.wire import Response

__all__ = ["refuse"]

# "Privilege Requirements", https://developer.jamf.com/jamf-pro/docs/privileges-and-deprecations, and the
# x-required-privileges of the API's own description.
_PRIVILEGES: Final = (
    ("/computers-inventory", "Read Computers"),
    ("/computers/match/", "Read Computers"),
    ("/mobile-devices/", "Read Mobile Devices"),
    ("/v1/computer-groups", "Read Smart Computer Groups and Read Static Computer Groups"),
    ("/computer-groups", "Read Smart Computer Groups"),
    ("/mobile-device-groups", "Read Smart Mobile Device Groups"),
    ("/advancedcomputersearches", "Read Advanced Computer Searches"),
    ("/advancedmobiledevicesearches", "Read Advanced Mobile Device Searches"),
    ("/device-compliance-information/", "Read Device Compliance Information"),
)
_CLIENT_HINT: Final = (
    "Check client_id and client_secret, and that the API client is enabled (Settings > System > API roles "
    "and clients). A secret that was rotated is valid at once, the one before no longer."
)
_USER_HINT: Final = (
    "Either user name or password is wrong, or the account is disabled or locked; or it is a single sign-on "
    "account, which cannot use the API; or Basic authentication, with which a token is asked for, is "
    "switched off (Settings > User accounts and groups > Password policy)."
)
_EXPIRED_HINT: Final = (
    "The password of the account has expired or has to be changed: sign in to Jamf Pro with it once and set "
    "a new one, or use an API client, whose secret does not expire."
)
_REFUSED_HINT: Final = (
    "A fresh token was refused: the account or API client may just have been disabled, or a proxy drops the "
    "Authorization header."
)
_ADDRESS_HINT: Final = (
    "Check base_url: host, and on premises port and context path, as in https://jamf.example.com:8443/jamf; "
    "nothing behind them. An address that only this server lacks needs a newer Jamf Pro."
)
_FILTER_HINT: Final = (
    "The server does not take this search filter; older versions lack some fields. Update Jamf Pro, or ask "
    "by serial number or UDID."
)
_STARTING_HINT: Final = (
    "Jamf Pro may be starting or being updated: /api/startup-status tells how far it is, without a login. If "
    "that answers 100 percent, look at Jamf Pro's server log and at the proxy or balancer before it."
)
_BROKEN_HINT: Final = (
    "Look at Jamf Pro's server log. One damaged inventory record can break every page that it is on; from "
    "version 11.29 on, mobile devices are read past it."
)
_HINTS: Final = {
    401: _REFUSED_HINT,
    404: _ADDRESS_HINT,
    **dict.fromkeys((500, 502, 503, 504), _STARTING_HINT),
}
_INVENTORIES: Final = ("/computers-inventory", "/mobile-devices/detail")
_WORD = re.compile(r"[\w.-]{1,60}", re.ASCII)


def refuse(response: Response) -> NoReturn:
    """Raise what an error answer means.

    Raises:
        TokenError: the login service refuses an API client.
        ResponseError: everything else, by status.
    """
    status, path = response.status, urlsplit(response.url).path
    said = _vendor_words(response)
    # RFC 6749, section 5.2, and not the shape of the other answers.
    if path.endswith(OAUTH_PATHS) and status in {400, 401, 403}:
        raise TokenError(
            f"Jamf Pro gives this API client no token ({status}{said and ', ' + said})",
            step="token",
            vendor_code=said or None,
            hint=_CLIENT_HINT,
        )
    hint = _hint(status, path, said, filtered="filter=" in response.url)
    check_status(response, hint=f"{hint} Jamf Pro says: {said}." if hint and said else hint)
    raise MalformedResponseError(f"Jamf Pro answered with status {status}")  # not reached: an error status


def _hint(status: int, path: str, said: str, *, filtered: bool) -> str | None:
    if status == 401 and path.endswith(USER_PATH):  # noqa: PLR2004 - HTTP's own numbers, here and below
        return _EXPIRED_HINT if "USER_EXPIRED_PASSWORD" in said else _USER_HINT
    if status == 403:  # noqa: PLR2004 - as above
        return _privilege_hint(path)
    if status in {400, 414} and filtered:
        return _FILTER_HINT
    if status == 500 and path.endswith(_INVENTORIES):  # noqa: PLR2004 - as above
        return _BROKEN_HINT
    return _HINTS.get(status)


# "Client Credentials": a role that is added to a client works only after its secret was rotated.
def _privilege_hint(path: str) -> str:
    needed = next((name for part, name in _PRIVILEGES if part in path), "the read privileges")
    return (
        f"Grant the account or API role: {needed}. A role that was only now added to an API client works "
        "after its secret was rotated; an account that is limited to a site sees that site only."
    )


def _vendor_words(response: Response) -> str:
    """The codes and field names of the answer, never its texts, which may quote what was asked."""
    with contextlib.suppress(MalformedResponseError, AttributeError, TypeError):
        payload = response.json()
        causes = payload.get("errors") or [{"code": payload.get("error")}]
        words = [
            str(cause.get(name)) for cause in causes[:3] for name in ("code", "field") if cause.get(name)
        ]
        return " ".join(word for word in words if _WORD.fullmatch(word))
    return ""
