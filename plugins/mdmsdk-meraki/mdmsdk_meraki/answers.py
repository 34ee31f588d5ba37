"""What the API's refusals mean, and which hosts are Meraki's. Pure.

Source: "Error codes", https://developer.cisco.com/meraki/api-v1/errors/: JSON with a list of texts; an
unknown path and a gateway answer with HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import MalformedResponseError
from mdmsdk.words import safe_words

if TYPE_CHECKING:
    from mdmsdk.wire import Response
    from mdmsdk_meraki.settings import MerakiSettings

__all__ = ["error_text", "hint_for", "is_meraki_host", "token_error_code"]

# "Getting started", https://developer.cisco.com/meraki/api-v1/getting-started/: the regions; the shards of an
# organisation lie below the same domains.
_DOMAINS = ("meraki.com", "meraki.ca", "meraki.cn", "meraki.in", "gov-meraki.com")
_CODE = re.compile(r"[a-z_]{1,40}")

_KEY_HINT = (
    "Check api_key: in the dashboard, My profile > API access shows the last digits of each key; at most two "
    "are good at a time. Check that base_url is the region of the account."
)
_OAUTH_HINT = (
    "The OAuth access token is wrong or has ended, which it does after 60 minutes: give a new one, or let "
    "the provider renew it with refresh_token, client_id, client_secret and on_refresh."
)
_RIGHTS_HINT = (
    "Give the administrator of the API key read access to the organisation or its Systems Manager networks; "
    "an OAuth application needs the scopes sm:config:read and dashboard:general:config:read. Check that API "
    "access is on (Organization > Configure > API & Webhooks) and allows this source address."
)
_NOT_THERE_HINT = (
    "This organisation or network does not exist, or the credential may not see it, or API access is off in "
    "the organisation (Organization > Configure > API & Webhooks): check organizations and networks in the "
    "settings."
)
_ADDRESS_HINT = "Check base_url: it ends with /api/v1, such as https://api.meraki.com/api/v1."


def is_meraki_host(host: str) -> bool:
    """Whether a host lies in one of Meraki's domains."""
    return any(host == domain or host.endswith(f".{domain}") for domain in _DOMAINS)


def _json_object(response: Response) -> dict[str, Any]:
    try:
        body = response.json()
    except MalformedResponseError:
        return {}
    return body if isinstance(body, dict) else {}


def error_text(response: Response) -> str:
    """The first of the server's own texts, else empty."""
    errors = _json_object(response).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return safe_words(first) if isinstance(first, str) else ""


def hint_for(response: Response, settings: MerakiSettings) -> str | None:
    """What an administrator should do about an error status."""
    hints = {401: _KEY_HINT if settings.api_key else _OAUTH_HINT, 403: _RIGHTS_HINT, 404: _ADDRESS_HINT}
    if response.status == 404 and "errors" in _json_object(response):  # noqa: PLR2004 - HTTP's own number
        return _NOT_THERE_HINT
    return hints.get(response.status)


# RFC 6749, section 5.2: a token service refuses with 400 or 401 and one code.
def token_error_code(response: Response) -> str | None:
    """The code with which a token service refused; None for every other answer."""
    if response.status not in {400, 401}:
        return None
    code = _json_object(response).get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None
