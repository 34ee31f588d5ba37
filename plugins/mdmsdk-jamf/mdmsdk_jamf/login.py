"""Getting a token of Jamf Pro: for an API client, or for a user.

Sources: "Client Credentials", https://developer.jamf.com/jamf-pro/docs/client-credentials, and "Jamf Pro API
Overview", https://developer.jamf.com/jamf-pro/docs/jamf-pro-api-overview.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import AuthenticationError, EndpointNotFoundError, PermissionDeniedError
from mdmsdk.flow import newest, send
from mdmsdk.logins import basic, client_credentials
from mdmsdk.provider import Token
from mdmsdk.rows import Row
from mdmsdk.wire import Request
from mdmsdk_jamf.refusals import check_client

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk_jamf.settings import JamfSettings

__all__ = ["client_token", "user_token"]


# The second one is that of the first releases with API clients (10.49); it is not described any more.
_PATHS: Final = ("/api/v1/oauth/token", "/api/oauth/token")


# An API client's token lives as long as its settings say, from 60 seconds on, and cannot be prolonged.
def client_token(settings: JamfSettings) -> Flow[Token]:
    """The token of an API client (OAuth 2.0 client credentials).

    Raises:
        TokenError: the client is unknown, disabled, or its secret is wrong.
        EndpointNotFoundError: no such server, or one older than API clients.
    """

    def ask(path: str) -> Flow[Token]:
        return client_credentials(settings.base_url + path, settings, check=check_client)

    return (yield from newest(ask, _PATHS))[1]


def user_token(settings: JamfSettings, previous: Token | None) -> Flow[Token]:
    """The token of a user: for the token before, which ends with it, or else for the password.

    Raises:
        AuthenticationError: user name or password is wrong, or may not be used here.
    """
    if previous:
        with suppress(AuthenticationError, PermissionDeniedError, EndpointNotFoundError):
            return (yield from _token_for(previous, settings.base_url + "/api/v1/auth/keep-alive"))
    return (yield from _token_for(basic(settings), settings.base_url + "/api/v1/auth/token"))


# The end is an absolute time of the server's clock, so that is the clock to measure it by; its Date header
# cuts the fraction of a second off. Without one, the token is used until the server refuses it.
def _token_for(credential: Token, url: str) -> Flow[Token]:
    request = credential.on(Request("POST", url, audience=None, idempotent=credential.static))
    response = yield from send(request)
    row = Row(response.json(), "an answer with a token")
    now, end = response.date, row.time("expires")
    life = max((end - now).total_seconds() - 1.0, 1.0) if now and end else None
    return Token(row.required("token"), expires_in=life)
