"""The login with Entra ID: msal decides what to say to the authority, the runner says it.

msal is given an HTTP client that only knows the answers so far. When it wants another one it is interrupted,
the flow sends that request as it sends all others (the same trust, proxy, timeouts, deadline, retries and
log), and msal is run again from the start with one answer more. It needs two answers: the authority's
description, and the token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mdmsdk.errors import ConfigurationError, MalformedResponseError, MdmError, RedirectError, TokenError
from mdmsdk.flow import call, send
from mdmsdk.provider import Token, check_status
from mdmsdk.wire import Request, Response, origin_of
from mdmsdk_intune.aadsts import token_error
from mdmsdk_intune.settings import CLOUDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography.x509 import Certificate

    from mdmsdk.flow import Flow
    from mdmsdk_intune.settings import CertificateSettings, IntuneIseSettings

__all__ = ["check_login", "is_login", "login", "scope_of"]

_MOST_EXCHANGES: Final = 4
_SHORT_LIFE: Final = 300  # seconds, of a token whose life is not told
_LOGIN_ORIGINS: Final = frozenset(origin_of(cloud.login) for cloud in CLOUDS.values())
_ENDINGS: Final = ("/oauth2/v2.0/token", "/.well-known/openid-configuration")
_HINT = (
    "Something else than Entra ID may answer here, such as a proxy: check authority_url, cloud, "
    "tenant_id and the "
    "proxy setting."
)
_FILES_HINT = (
    "certificate.file is a PEM certificate with its RSA key beside it or in key_file, or a PFX file; "
    "password opens "
    "an encrypted key."
)


@dataclass(frozen=True, slots=True)
class Credential:
    """By what the application shows who it is.

    Attributes:
        given: what msal takes for it: a secret, or a key with its certificate's thumbprint.
        thumbprint: of the certificate, SHA-1 in hex digits.
    """

    given: str | dict[str, str] = field(repr=False)
    thumbprint: str | None = None


# Microsoft, "Scopes and permissions", https://learn.microsoft.com/entra/identity-platform/scopes-oidc: of a
# scope, all before the last slash is the audience. Intune's audience ends in a slash, so that two stand
# before `.default`.
def scope_of(settings: IntuneIseSettings, audience: str) -> tuple[str, str]:
    """The scope to ask for, and what the token is called in messages."""
    if audience == "graph":
        return f"{settings.place.graph}/.default", "Microsoft Graph"
    return f"{settings.audience}/.default", "the Compliance Retrieval service"


def login(settings: IntuneIseSettings, audience: str) -> Flow[Token]:
    """Get a token with the OAuth client credentials grant.

    Raises:
        TokenError: Entra ID refused.
        ConfigurationError: the certificate's files cannot be used.
    """
    credential = yield from call(partial(load_credential, settings))
    answers: tuple[Response, ...] = ()
    for _ in range(_MOST_EXCHANGES):
        outcome = yield from call(partial(ask_msal, settings, audience, credential, answers))
        if isinstance(outcome, Token):
            return outcome
        if origin_of(outcome.url) not in login_origins(settings):
            raise RedirectError(
                f"the login authority leads to another host ({origin_of(outcome.url)[1]})",
                hint="That host must not see the credential: check authority_url, and what answers there.",
            )
        response = yield from send(outcome)
        if not isinstance(response.json(), dict):
            raise MalformedResponseError("the login authority did not answer with a JSON object", hint=_HINT)
        answers = (*answers, response)
    raise TokenError(
        "the login with Entra ID does not come to an end", step=scope_of(settings, audience)[1], hint=_HINT
    )


def login_origins(settings: IntuneIseSettings) -> set[tuple[str, str, int | None]]:
    """Where the application's secret may go."""
    return {origin_of(settings.authority), *_LOGIN_ORIGINS}


def is_login(url: str, settings: IntuneIseSettings) -> bool:
    """Whether an address belongs to the login."""
    return url.partition("?")[0].endswith(_ENDINGS) and origin_of(url) in login_origins(settings)


def check_login(response: Response) -> Response:
    """Let msal read Entra ID's own refusals (RFC 6749, section 5.2); everything else is an error here."""
    if 400 <= response.status < 500 and response.status != 429:  # noqa: PLR2004 - HTTP's own numbers
        try:
            answer = response.json()
        except MalformedResponseError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get("error"), str):
            return response
    return check_status(response, hint=_HINT)


class _Wanted(Exception):  # noqa: N818 - it interrupts msal, nothing has failed
    """What msal wants to send next."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


class _Answer(NamedTuple):
    """An answer as msal reads it."""

    status_code: int
    text: str
    headers: Mapping[str, str]


class _Transport:
    """What msal takes for its HTTP client."""

    def __init__(self, answers: tuple[Response, ...]) -> None:
        self._answers: Iterator[Response] = iter(answers)

    def get(self, url: str, *, params: Any = None, headers: Any = None, **_: Any) -> _Answer:
        return self._exchange(Request("GET", url, params or {}, headers or {}, audience=None))

    def post(
        self, url: str, *, params: Any = None, data: Any = None, headers: Any = None, **_: Any
    ) -> _Answer:
        # The assertion comes as bytes, client_info as a number.
        form = {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in data.items()
        }
        return self._exchange(Request("POST", url, params or {}, headers or {}, form=form, audience=None))

    def close(self) -> None:
        """Nothing is open."""

    def _exchange(self, request: Request) -> _Answer:
        for response in self._answers:
            return _Answer(response.status, response.text, response.headers)
        raise _Wanted(request)


def ask_msal(
    settings: IntuneIseSettings, audience: str, credential: Credential, answers: tuple[Response, ...]
) -> Token | Request:
    """Run msal on the answers so far: the token, or the request that it needs answered first.

    Raises:
        TokenError: the last answer is a refusal.
        MalformedResponseError: it is neither a token nor a refusal.
    """
    import msal  # type: ignore[import-untyped] # it ships no types

    scope, step = scope_of(settings, audience)
    result: Any = None
    failed = ""
    try:
        # A new application each time: its caches would keep an old refusal for a minute, and the runner
        # keeps tokens.
        application = msal.ConfidentialClientApplication(
            settings.client_id,
            client_credential=credential.given,
            authority=f"{settings.authority}/{settings.tenant_id}",
            instance_discovery=False,  # the authority is what the administrator says
            azure_region=False,  # and not what the environment says
            http_client=_Transport(answers),
        )
        result = application.acquire_token_for_client([scope])
    except _Wanted as wanted:
        return wanted.request
    except Exception as error:  # noqa: BLE001 - msal raises what its parts raise
        # Of an unknown tenant msal says nothing but ValueError; its message quotes the answer, so that
        # error is not kept.
        failed = type(error).__name__
        result = answers[-1].json() if answers else None
    if result is None:
        raise TokenError(f"msal cannot log in with these settings ({failed})", step=step, hint=_FILES_HINT)
    if not isinstance(result, dict) or not result.get("access_token"):
        raise token_error(result or {}, step, credential.thumbprint)
    return Token(str(result["access_token"]), expires_in=float(result.get("expires_in") or _SHORT_LIFE))


def load_credential(settings: IntuneIseSettings) -> Credential:
    """The secret, or key and thumbprint from the certificate's files, which may have been renewed meanwhile.

    Raises:
        ConfigurationError: the files cannot be read, opened or used.
    """
    if settings.client_secret is not None:
        return Credential(settings.client_secret.get_secret_value())
    if settings.certificate is None:  # excluded by the settings
        raise ConfigurationError("neither client_secret nor certificate is set")
    try:
        return _from_files(settings.certificate)
    except MdmError:
        raise
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
    except (TypeError, ValueError) as error:  # what cryptography says of a wrong password or of other bytes
        why = (
            "wrong password, or no such file format"
            if isinstance(error, ValueError)
            else "a password is needed"
        )
    raise ConfigurationError(f"the login certificate cannot be used: {why}", hint=_FILES_HINT)


def _from_files(files: CertificateSettings) -> Credential:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    password = files.password.get_secret_value().encode() if files.password else None
    key, certificate = _read(files, password)
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(
            "the login certificate's key is not RSA", hint="Entra ID and msal take RSA keys only."
        )
    if certificate.public_key() != key.public_key():
        raise ConfigurationError("the login certificate and the key do not belong together", hint=_FILES_HINT)
    # Microsoft, "Microsoft identity platform application authentication certificate credentials": the SHA-1
    # thumbprint only names the certificate; the signature is RS256. This form is understood by every msal.
    thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - see above
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Credential({"private_key": pem.decode(), "thumbprint": thumbprint}, thumbprint)


def _read(files: CertificateSettings, password: bytes | None) -> tuple[Any, Certificate]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
    from cryptography.x509 import load_pem_x509_certificate

    data = files.file.read_bytes()
    if b"-----BEGIN" in data:
        key_data = files.key_file.read_bytes() if files.key_file else data
        encrypted = b"ENCRYPTED" in key_data
        return load_pem_private_key(key_data, password if encrypted else None), load_pem_x509_certificate(
            data
        )
    key, certificate, _ = pkcs12.load_key_and_certificates(data, password)
    if key is None or certificate is None:
        raise ConfigurationError("the PFX file holds no key with its certificate", hint=_FILES_HINT)
    return key, certificate
