"""The usual ways of logging in: settings with their checks, and flows to tokens.

A provider's settings take the parts that its vendor offers, beside `mdmsdk.settings.ProviderSettings`, and
its `login` calls the flow that belongs to them. Nothing here keeps anything: what the next login needs goes
into `mdmsdk.provider.Token.extra`, and comes back as `previous`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from mdmsdk.errors import ConfigurationError, MalformedResponseError, TokenError
from mdmsdk.flow import Flow, call, send
from mdmsdk.provider import Token, basic_token
from mdmsdk.refusals import oauth_check
from mdmsdk.rows import Row
from mdmsdk.settings import BasicUsername, Settings
from mdmsdk.wire import Request, Response

__all__ = [
    "ApiKeyLogin",
    "BasicLogin",
    "CertificateKey",
    "ClientCredentials",
    "Credential",
    "KeyPair",
    "RefreshToken",
    "api_key",
    "basic",
    "client_basic",
    "client_credentials",
    "oauth_token",
    "password_grant",
    "refresh",
]

_log = logging.getLogger("mdmsdk.logins")

LIFE = 3600.0
"""Seconds for which a token is used whose life nobody names; a 401 renews it before, if need be."""
_FILES_HINT = (
    "Give `file` as PKCS #12 (.p12, .pfx) with its key, or as PEM with the key in it or in key_file, and "
    "`password` if the key is encrypted."
)


_CREDENTIAL = re.compile(r"[\x21-\x7e]+")


def _check_credential(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not _CREDENTIAL.fullmatch(text):
        raise ValueError("it is empty, or has characters that no credential has in a header")
    return SecretStr(text)


Credential = Annotated[SecretStr, AfterValidator(_check_credential)]
"""A secret that goes into a header as it is; blanks around it are no part of it."""


class BasicLogin(Settings):
    """User name and password.

    Attributes:
        username: the account.
        password: its password.
    """

    username: BasicUsername | None = None
    password: SecretStr | None = None


class ClientCredentials(Settings):
    """An OAuth client (RFC 6749, section 4.4).

    Attributes:
        client_id: the client.
        client_secret: its secret, which goes to the token service and nowhere else.
    """

    client_id: str | None = None
    client_secret: SecretStr | None = None


class ApiKeyLogin(Settings):
    """A key that goes with every request.

    Attributes:
        api_key: the key.
    """

    api_key: Credential | None = None


class RefreshToken(Settings):
    """An OAuth refresh token that is good for one use (RFC 6749, section 6).

    Attributes:
        refresh_token: the token, with which access tokens are got.
        on_refresh: called with each new refresh token; must store it for the next start of the program. Only
            from Python.
    """

    refresh_token: Credential | None = None
    on_refresh: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)


class CertificateKey(Settings):
    """A certificate with its private key.

    Attributes:
        file: a PKCS #12 file (.p12, .pfx), or the certificate in PEM.
        key_file: the key in PEM; default: it stands in `file`.
        password: what opens the key or the PKCS #12 file.
    """

    file: Path
    key_file: Path | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if not str(self.file).strip():
            raise ValueError("file is empty")
        return self

    def load(self) -> Flow[KeyPair]:
        """Read certificate and key, which may have been renewed meanwhile. Needs the cryptography package.

        Raises:
            ConfigurationError: a file cannot be read or opened, or they do not belong together.
        """
        return call(partial(_load, self))


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """A certificate and its private key, as the cryptography package has them; never shown."""

    certificate: Any
    key: Any


def secret_text(secret: SecretStr | None) -> str:
    """The text of a secret; empty where there is none."""
    return secret.get_secret_value() if secret else ""


def basic(settings: BasicLogin) -> Token:
    """The static credential of HTTP Basic authentication; costs no request."""
    return basic_token(settings.username or "", secret_text(settings.password))


def client_basic(settings: ClientCredentials) -> Token:
    """The id and secret of a client as the credential that some token services want of it."""
    return basic_token(settings.client_id or "", secret_text(settings.client_secret))


def api_key(settings: ApiKeyLogin, scheme: str = "Bearer") -> Token:
    """The key as a static credential; costs no request."""
    return Token(secret_text(settings.api_key), scheme=scheme, static=True)


def client_credentials(
    url: str,
    settings: ClientCredentials,
    *,
    form: Mapping[str, str] | None = None,
    check: Callable[[Response], Response] | None = None,
) -> Flow[Token]:
    """A token by the client credentials grant, the secret in the form (RFC 6749, sections 2.3.1 and 4.4).

    Args:
        url: of the token service.
        settings: the client.
        form: further parameters, such as a scope.
        check: as for `oauth_token`.

    Raises:
        TokenError: as `oauth_token`.
    """
    grant = {"grant_type": "client_credentials", "client_id": settings.client_id or ""}
    grant |= {"client_secret": secret_text(settings.client_secret), **(form or {})}
    return (yield from oauth_token(Request("POST", url, form=grant), check=check))


def password_grant(
    url: str,
    settings: BasicLogin,
    *,
    client: Token | None = None,
    form: Mapping[str, str] | None = None,
    check: Callable[[Response], Response] | None = None,
) -> Flow[Token]:
    """A token by the password grant (RFC 6749, section 4.3).

    Args:
        url: of the token service.
        settings: the account.
        client: the client's own credential (`basic_token`), where the service wants one.
        form: further parameters.
        check: as for `oauth_token`.

    Raises:
        TokenError: as `oauth_token`.
    """
    grant = {"grant_type": "password", "username": settings.username or ""}
    grant |= {"password": secret_text(settings.password), **(form or {})}
    request = Request("POST", url, form=grant)
    return (yield from oauth_token(client.on(request) if client else request, check=check))


def oauth_token(
    request: Request, *, check: Callable[[Response], Response] | None = None, life: float = LIFE
) -> Flow[Token]:
    """The token of a token service (RFC 6749, section 5.1).

    A refresh token that comes with it is in `Token.extra`, as a secret.

    Args:
        request: asks for it; it is sent without another credential.
        check: looks at the answer; default: `mdmsdk.refusals.oauth_check`.
        life: seconds for which the token is used if the service does not say.

    Raises:
        TokenError: the service refused, or answers without a token.
    """
    headers = {"Accept": "application/json", **request.headers}
    asked = Request(
        request.method,
        request.url,
        request.params,
        headers,
        form=request.form,
        json=request.json,
        audience=None,  # the service is no part of the API: nothing of the API's goes there
        idempotent=request.idempotent,
        check=check or request.check or oauth_check(),
    )
    answer = _token_row((yield from send(asked)))
    value, following = answer.text("access_token"), answer.text("refresh_token")
    if not value:
        raise TokenError(
            "the login service answered without an access token",
            step="token",
            hint="Something else than the login service may answer there: check its address.",
        )
    named = answer.number("expires_in")
    if named is not None and named < 0:
        raise TokenError("the login service gave a token that has ended", step="token")
    return Token(value, expires_in=life if named is None else named, extra=following and SecretStr(following))


def _token_row(response: Response) -> Row:
    try:
        return Row(response.json(), "an answer with a token")
    except MalformedResponseError as error:
        raise TokenError(error.message, step="token", hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """A refresh token that the application could not store yet."""

    secret: SecretStr


def refresh(
    url: str,
    settings: RefreshToken,
    previous: Token | None,
    *,
    client: Token | None = None,
    form: Mapping[str, str] | None = None,
    check: Callable[[Response], Response] | None = None,
) -> Flow[Token]:
    """A token by the refresh token grant (RFC 6749, section 6), where each refresh token is good for one use.

    The next refresh token comes with the access token. It is given to the application, which must not lose
    it; if it cannot store it, that is tried once more before it is used.

    Args:
        url: of the token service.
        settings: the first refresh token.
        previous: the token before, with the newest refresh token.
        client: the client's own credential (`basic_token`).
        form: further parameters.
        check: as for `oauth_token`.

    Raises:
        TokenError: the service refused, or the application cannot store the refresh token.
    """
    newest = previous.extra if previous else settings.refresh_token
    if isinstance(newest, _Unsaved):
        newest = newest.secret
        yield from call(partial(_store, settings.on_refresh, newest))
    grant = {"grant_type": "refresh_token", "refresh_token": secret_text(newest), **(form or {})}
    # Sent again, it would be refused: the first one may have been used up before the answer got lost.
    request = Request("POST", url, form=grant, idempotent=False)
    token = yield from oauth_token(client.on(request) if client else request, check=check)
    following = token.extra
    if isinstance(following, SecretStr):
        try:
            yield from call(partial(_store, settings.on_refresh, following))
        except TokenError as error:
            _log.warning("%s; it will be tried once more", error.message)
            following = _Unsaved(following)
    return Token(
        token.value, expires_in=token.expires_in, extra=following or newest, rotates=following is not None
    )


def _store(hook: Callable[..., Any] | None, secret: SecretStr) -> None:
    try:
        if hook:
            hook(secret.get_secret_value())
    except Exception as error:  # noqa: BLE001 - the application's own code
        raise TokenError(
            f"on_refresh could not store the new refresh token ({type(error).__name__})",
            step="on_refresh",
            retryable=True,
            hint="Mend the function that is given as on_refresh: the old refresh token is no longer good.",
        ) from None


def _load(settings: CertificateKey) -> KeyPair:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "a login with a certificate needs the cryptography package",
            hint="Install it with: pip install cryptography",
        ) from None
    password = secret_text(settings.password).encode() or None
    try:
        data = settings.file.read_bytes()
        key_data = settings.key_file.read_bytes() if settings.key_file else data
        certificate, key = _open(data, key_data, password)
    except OSError as error:
        raise ConfigurationError(
            f"the certificate's file {error.filename} cannot be read: {error.strerror}",
            hint="Check the path and that this user may read it.",
        ) from None
    except (ValueError, TypeError):  # the library's own words may quote what it read
        raise ConfigurationError(f"{settings.file} and its key cannot be opened", hint=_FILES_HINT) from None
    if certificate is None or key is None:
        raise ConfigurationError(f"{settings.file} has no certificate with its key", hint=_FILES_HINT)
    if certificate.public_key() != key.public_key():
        raise ConfigurationError(
            f"the key does not belong to the certificate {settings.file}", hint=_FILES_HINT
        )
    return KeyPair(certificate, key)


def _open(data: bytes, key_data: bytes, password: bytes | None) -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
    from cryptography.x509 import load_pem_x509_certificate

    if b"-----BEGIN" in data:
        # A password for a key that is not encrypted would be refused.
        opens = password if b"ENCRYPTED" in key_data else None
        return load_pem_x509_certificate(data), load_pem_private_key(key_data, opens)
    key, certificate, _ = load_key_and_certificates(data, password)
    return certificate, key
