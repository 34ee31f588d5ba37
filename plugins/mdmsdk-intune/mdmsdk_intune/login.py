"""The login with Entra ID: msal decides what to say to the authority, the runner says it.

msal is given an HTTP client that only knows the answers so far. When it wants another one it is interrupted,
the flow sends that request as it sends all others (the same trust, proxy, timeouts, deadline, retries and
log), and msal is run again from the start with one answer more. It needs two answers: the authority's
description, and the token.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import ConfigurationError, MalformedResponseError, RedirectError, TokenError
from mdmsdk.flow import call, send
from mdmsdk.provider import Token
from mdmsdk.refusals import Complaint, check_with
from mdmsdk.rows import Row
from mdmsdk.wire import Request, Response, origin_of
from mdmsdk_intune.refusals import LOGIN, LOGIN_HINT, login_complaint
from mdmsdk_intune.settings import CLOUDS

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk.logins import KeyPair
    from mdmsdk_intune.settings import IntuneIseSettings

__all__ = ["login", "scope_of"]

_MOST_EXCHANGES: Final = 4
_SHORT_LIFE: Final = 300  # seconds, of a token whose life is not told
_LOGIN_ORIGINS: Final = frozenset(origin_of(f"https://{cloud.login}") for cloud in CLOUDS.values())


# Microsoft, "Scopes and permissions", https://learn.microsoft.com/entra/identity-platform/scopes-oidc: of a
# scope, all before the last slash is the audience. Intune's audience ends in a slash, so that two stand
# before `.default`.
def scope_of(settings: IntuneIseSettings, audience: str) -> tuple[str, str]:
    """The scope to ask for, and what the token is called in messages."""
    if audience == "graph":
        return f"https://{settings.place.graph}/.default", "Microsoft Graph"
    return f"{settings.audience}/.default", "the Compliance Retrieval service"


def login(settings: IntuneIseSettings, audience: str) -> Flow[Token]:
    """Get a token with the OAuth client credentials grant.

    Raises:
        TokenError: Entra ID refused.
        ConfigurationError: the certificate's files cannot be used.
    """
    scope, step = scope_of(settings, audience)
    credential: Any = settings.client_secret and settings.client_secret.get_secret_value()
    named = ""
    if settings.certificate:
        credential = _assertion_key((yield from settings.certificate.load()))
        named = f", certificate {credential['thumbprint']}"

    def complain(response: Response, row: Row) -> Complaint:
        said = login_complaint(response, row)
        return replace(said, words=f"{said.words}{named}") if said.words else said

    check = partial(check_with, LOGIN, complain)
    answers: tuple[Response, ...] = ()
    for _ in range(_MOST_EXCHANGES):
        outcome = yield from call(partial(ask_msal, settings, scope, credential, answers))
        if isinstance(outcome, Token):
            return outcome
        if origin_of(outcome.url) not in {origin_of(settings.authority), *_LOGIN_ORIGINS}:
            raise RedirectError(
                f"the login authority leads to another host ({origin_of(outcome.url)[1]})",
                hint="That host must not see the credential: check authority_url, and what answers there.",
            )
        try:
            answer = yield from send(replace(outcome, check=check))
        except TokenError as error:
            error.step = step
            raise
        Row(answer.json(), "an answer of Entra ID")
        answers = (*answers, answer)
    raise TokenError("the login with Entra ID does not come to an end", step=step, hint=LOGIN_HINT)


def _assertion_key(pair: KeyPair) -> dict[str, str]:
    """What msal takes for a certificate and its key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if not isinstance(pair.key, RSAPrivateKey):
        raise ConfigurationError(
            "the login certificate's key is not RSA", hint="Entra ID and msal take RSA keys only."
        )
    pem = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # Microsoft, "Microsoft identity platform application authentication certificate credentials": the SHA-1
    # thumbprint only names the certificate; the signature is RS256. This form is understood by every msal.
    thumbprint = pair.certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - see above
    return {"private_key": pem.decode(), "thumbprint": thumbprint}


class _Wanted(Exception):  # noqa: N818 - it interrupts msal, nothing has failed
    """What msal wants to send next."""


class _Transport:
    """What msal takes for its HTTP client."""

    def __init__(self, answers: tuple[Response, ...]) -> None:
        self._answers = iter(answers)

    def get(self, url: str, **given: Any) -> SimpleNamespace:
        return self._exchange("GET", url, **given)

    def post(self, url: str, **given: Any) -> SimpleNamespace:
        return self._exchange("POST", url, **given)

    def close(self) -> None:
        """Nothing is open."""

    def _exchange(
        self, method: str, url: str, *, params: Any = None, headers: Any = None, data: Any = None, **_: Any
    ) -> SimpleNamespace:
        for answer in self._answers:
            return SimpleNamespace(status_code=answer.status, text=answer.text, headers=answer.headers)
        # The assertion comes as bytes, client_info as a number.
        form = data and {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in data.items()
        }
        raise _Wanted(Request(method, url, params or {}, headers or {}, form=form, audience=None))


def ask_msal(
    settings: IntuneIseSettings, scope: str, credential: Any, answers: tuple[Response, ...]
) -> Token | Request:
    """Run msal on the answers so far: the token, or the request that it needs answered first.

    Raises:
        TokenError: msal takes the settings for wrong.
        MalformedResponseError: the last answer is not what the authority should say.
    """
    import msal  # type: ignore[import-untyped] # it ships no types

    result, failed = None, ""
    try:
        # A new application each time: its caches would keep an old refusal for a minute, and the runner
        # keeps tokens.
        application = msal.ConfidentialClientApplication(
            settings.client_id,
            client_credential=credential,
            authority=f"{settings.authority}/{settings.tenant_id}",
            instance_discovery=False,  # the authority is what the administrator says
            azure_region=False,  # and not what the environment says
            http_client=_Transport(answers),
        )
        result = application.acquire_token_for_client([scope])
    except _Wanted as wanted:
        request: Request = wanted.args[0]
        return request
    except Exception as error:  # noqa: BLE001 - msal raises what its parts raise
        failed = type(error).__name__  # its words quote the answer, so that the error is not kept
    if result is None and not answers:
        raise TokenError(f"msal cannot log in with these settings ({failed})", step="msal", hint=LOGIN_HINT)
    token = Row(result, "a token")
    if not (value := token.text("access_token")):
        raise MalformedResponseError("Entra ID gave neither a token nor an error", hint=LOGIN_HINT)
    return Token(value, expires_in=token.number("expires_in") or _SHORT_LIFE)
