"""The credential: an API key, or the tokens of an OAuth application.

Sources: "Authorization" and "OAuth", https://developer.cisco.com/meraki/api-v1/authorization/ and
https://developer.cisco.com/meraki/api-v1/oauth-overview/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from mdmsdk.errors import MalformedResponseError, TokenError
from mdmsdk.flow import call, send
from mdmsdk.provider import Token, basic_token
from mdmsdk.wire import Request

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk.wire import Response
    from mdmsdk_meraki.settings import MerakiSettings

__all__ = ["AUTHORIZE_AGAIN", "Login"]

_LIFE = 3600  # seconds; where the answer does not say
AUTHORIZE_AGAIN = (
    "The refresh token is used up, revoked, or was idle for 90 days: let an administrator authorise the "
    "application again, and store the refresh token that on_refresh is given each time."
)


class Login:
    """Gives out credentials, and remembers the one refresh token that is still good.

    A refresh token is good for one use. The next one comes with each access token; it goes to the application
    first, which must not lose it, and is used only after that.
    """

    def __init__(self, settings: MerakiSettings) -> None:
        self._settings = settings
        self._access_token = settings.access_token
        self._refresh_token = settings.refresh_token
        self._unsaved = False

    def token(self) -> Flow[Token]:
        """The credential to send.

        Raises:
            TokenError: the refresh token was refused, or the application could not store the next one.
        """
        settings = self._settings
        if settings.api_key:
            return Token(settings.api_key.get_secret_value(), static=True)
        given, self._access_token = self._access_token, None
        if self._refresh_token is None:
            # Nothing can renew it: after a refusal the same one would only be refused again.
            given = given or settings.access_token or SecretStr("")
            return Token(given.get_secret_value(), static=True)
        if given:
            return Token(given.get_secret_value())
        yield from self._hand_over()
        return (yield from self._refresh(self._refresh_token))

    def _refresh(self, refresh_token: SecretStr) -> Flow[Token]:
        settings = self._settings
        secret = settings.client_secret or SecretStr("")
        client = basic_token(settings.client_id or "", secret.get_secret_value())
        request = Request(
            "POST",
            settings.token_url,
            headers={"Accept": "application/json"},
            form={"grant_type": "refresh_token", "refresh_token": refresh_token.get_secret_value()},
            audience=None,
            # Sent again, it would be refused: the first one may have been used up before the answer got lost.
            idempotent=False,
        )
        answer = _fields((yield from send(client.on(request))))
        if following := answer.get("refresh_token"):
            self._refresh_token, self._unsaved = SecretStr(str(following)), True
            yield from self._hand_over()
        life = answer.get("expires_in")
        return Token(
            str(answer["access_token"]), expires_in=float(life) if isinstance(life, int | float) else _LIFE
        )

    def _hand_over(self) -> Flow[None]:
        """Give a new refresh token to the application, again if that failed the last time."""
        hook, secret = self._settings.on_refresh, self._refresh_token
        if self._unsaved and hook and secret:
            yield from call(lambda: _store(hook, secret))
            self._unsaved = False


def _store(hook: object, secret: SecretStr) -> None:
    try:
        hook(secret.get_secret_value())  # type: ignore[operator] # the settings let only callables in
    except Exception as error:  # noqa: BLE001 - the application's own code
        raise TokenError(
            f"on_refresh could not store the new refresh token ({type(error).__name__})",
            step="on_refresh",
            retryable=True,
            hint="Mend the function that is given as on_refresh: the old refresh token is no longer good.",
        ) from None


def _fields(response: Response) -> dict[str, object]:
    answer = response.json()
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise MalformedResponseError("the token service answered without an access token")
    return answer
