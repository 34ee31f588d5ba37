"""The logins of BlackBerry UEM: the authorization line, and OAuth."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from mdmsdk.errors import TokenError
from mdmsdk.flow import send
from mdmsdk.logins import oauth_token, secret_text
from mdmsdk.provider import Token, basic_token
from mdmsdk.wire import Request
from mdmsdk_blackberry.refusals import check_token

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk_blackberry.settings import BlackBerrySettings

__all__ = ["authorization_line", "oauth"]

_REQUEST: Final = {"Content-Type": "application/vnd.blackberry.authorizationrequest-v1+json"}
_LINE: Final = re.compile(r"(besng-basic) ([A-Za-z0-9+/_-]+={0,2})", re.ASCII)
# BlackBerry, "BWS OAuth implementation": a service's token lives for 10 minutes.
_LIFE: Final = 600.0


# UEM REST API reference, "Getting started": POST util/authorization, provider LOCAL or AD, the password in
# Base64; the answer is one line, to be sent as the Authorization header as it is. It holds the password, and
# no end is named: it is good until the account changes.
def authorization_line(settings: BlackBerrySettings) -> Flow[Token]:
    """The line that stands for an administrator's user name and password, and holds both.

    Raises:
        AuthenticationError: the server refuses them, or the account is locked.
        TokenError: what answers gives no such line.
    """
    password = base64.b64encode(secret_text(settings.password).encode()).decode()
    account = {"provider": "AD", "domain": settings.domain} if settings.domain else {"provider": "LOCAL"}
    body = json.dumps({**account, "username": settings.username, "password": password}).encode()
    url = f"{settings.api}/util/authorization"
    answer = yield from send(Request("POST", url, headers=_REQUEST, body=body, audience=None))
    line = _LINE.fullmatch(answer.text.strip().strip('"').strip())
    if line is None:
        raise TokenError(
            "the server answered the login without an authorization line",
            step="token",
            hint="Something else than UEM may answer there: check base_url and tenant.",
        )
    return Token(line[2], scheme=line[1])


# BlackBerry, "BWS OAuth implementation": client credentials with the scope MDMBWS.All. Clients from the
# vendor's samples send client and percent-encoded secret by HTTP Basic.
def oauth(settings: BlackBerrySettings) -> Flow[Token]:
    """A token of the vendor's identity service.

    Raises:
        TokenError: the service refused, or answers without a token.
    """
    secret = quote(secret_text(settings.client_secret), safe="")
    form = {"grant_type": "client_credentials", "scope": "MDMBWS.All"}
    request = basic_token(settings.client_id or "", secret).on(
        Request("POST", settings.login_url or "", form=form)
    )
    return (yield from oauth_token(request, check=check_token, life=_LIFE))
