"""Getting a token of Jamf Pro: for an API client, or for a user.

Sources: "Client Credentials", https://developer.jamf.com/jamf-pro/docs/client-credentials, and "Jamf Pro API
Overview", https://developer.jamf.com/jamf-pro/docs/jamf-pro-api-overview.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    MalformedResponseError,
    PermissionDeniedError,
)
from mdmsdk.flow import send
from mdmsdk.models import clean_time
from mdmsdk.provider import Token, basic_token
from mdmsdk.wire import Request

if TYPE_CHECKING:
    from pydantic import SecretStr

    from mdmsdk.flow import Flow
    from mdmsdk.wire import Response

__all__ = ["by_client", "by_password", "give_back", "keep_alive"]

# The second path is the one of the first releases with API clients (10.49); it is not described any more.
OAUTH_PATHS: Final = ("/api/v1/oauth/token", "/api/oauth/token")
USER_PATH: Final = "/api/v1/auth/token"
_KEEP_ALIVE: Final = "/api/v1/auth/keep-alive"
INVALIDATE: Final = "/api/v1/auth/invalidate-token"
_TOO_OLD: Final = (
    "Check base_url (host, port and context path, nothing behind them). API clients exist from Jamf Pro "
    "10.49 on; an older server needs username and password."
)


# An API client's token lives as long as its settings say, from 60 seconds on, and cannot be prolonged.
def by_client(base_url: str, client_id: str, secret: SecretStr) -> Flow[Token]:
    """The token of an API client (OAuth 2.0 client credentials).

    Raises:
        TokenError: the client is unknown, disabled, or its secret is wrong.
        EndpointNotFoundError: no such server, or one older than API clients.
    """
    grant = {"grant_type": "client_credentials", "client_id": client_id}
    for path in OAUTH_PATHS:
        form = {**grant, "client_secret": secret.get_secret_value()}
        request = Request("POST", base_url + path, form=form, audience=None)
        del form
        try:
            response = yield from send(request)
        except EndpointNotFoundError:
            continue
        lifetime = _field(response, "expires_in")
        if not isinstance(lifetime, int) or lifetime < 0:
            raise MalformedResponseError(
                "the login service of Jamf Pro does not say how long its token lives"
            )
        return Token(_word(response, "access_token"), expires_in=lifetime)
    raise EndpointNotFoundError(f"{base_url} has no login for API clients", status=404, hint=_TOO_OLD)


def by_password(base_url: str, username: str, password: SecretStr) -> Flow[Token]:
    """The token of a user; the only request that carries the password.

    Raises:
        AuthenticationError: user name or password is wrong, or may not be used here.
    """
    request = Request("POST", base_url + USER_PATH, audience=None)
    basic = basic_token(username, password.get_secret_value())
    return _user_token((yield from send(basic.on(request))))


def keep_alive(base_url: str, token: Token) -> Flow[Token | None]:
    """A new token for a user's old one, which ends with it; None where the old one is no longer good."""
    request = Request("POST", base_url + _KEEP_ALIVE, audience=None, idempotent=False)
    try:
        return _user_token((yield from send(token.on(request))))
    except (AuthenticationError, PermissionDeniedError, EndpointNotFoundError):
        return None


def give_back(base_url: str, token: Token) -> Flow[None]:
    """End a user's token."""
    yield from send(token.on(Request("POST", base_url + INVALIDATE, audience=None)))


# The end is an absolute time of the server's clock, so that is the clock to measure it by; its Date header
# cuts the fraction of a second off. Without one, the token is used until the server refuses it.
def _user_token(response: Response) -> Token:
    now, end = response.date, clean_time(_word(response, "expires"))
    life = (end - now).total_seconds() if now and end else None
    return Token(_word(response, "token"), expires_in=None if life is None else max(life - 1.0, 1.0))


def _field(response: Response, name: str) -> Any:
    payload = response.json()
    return payload.get(name) if isinstance(payload, dict) else None


def _word(response: Response, name: str) -> str:
    value = _field(response, name)
    if not isinstance(value, str) or not value:
        raise MalformedResponseError(f"the login service of Jamf Pro answered without {name}")
    return value
