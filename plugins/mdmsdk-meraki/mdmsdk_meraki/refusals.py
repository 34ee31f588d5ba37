"""What the API's refusals mean.

Source: "Error codes", https://developer.cisco.com/meraki/api-v1/errors/: JSON with a list of texts; an
unknown path and a gateway answer with HTML.
"""

from mdmsdk.refusals import Refusal, by_status, oauth_check

__all__ = ["OAUTH_CHECK", "REFUSALS"]

_KEY = (
    "Check that base_url is the region of the account, and compare api_key with the last digits under My "
    "profile > API access. An OAuth access token ends after 60 minutes; with refresh_token it is renewed."
)
_RIGHTS = (
    "The account needs read access to the organisation or its Systems Manager networks, and an application "
    "the scopes sm:config:read and dashboard:general:config:read. Under Organization > Configure > API & "
    "Webhooks, API access has to be on, and to allow this source address."
)
_NOT_THERE = (
    "Check organizations and networks: what they name does not exist, the account may not see it, or API "
    "access is off in the organisation (Organization > Configure > API & Webhooks)."
)
_ADDRESS = "Check base_url: it ends with /api/v1, such as https://api.meraki.com/api/v1."

REFUSALS = (
    Refusal(404, words=".", hint=_NOT_THERE),  # the API itself says so, and no web server
    *by_status({401: _KEY, 403: _RIGHTS, 404: _ADDRESS}),
)
OAUTH_CHECK = oauth_check(
    hint="The refresh token is used up, revoked, or was idle for 90 days: authorise the application again, "
    "and store the refresh token that on_refresh is given each time."
)
