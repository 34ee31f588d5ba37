"""The three logins: HTTP Basic, OAuth client credentials, and a certificate that signs each request."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from mdmsdk.errors import ConfigurationError, TokenError
from mdmsdk.flow import send
from mdmsdk.provider import Token
from mdmsdk.wire import Request

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk_workspaceone.settings import CertificateSettings, WorkspaceOneSettings

__all__ = ["CMS_SCHEME", "Signer", "load_signer", "oauth_token"]

CMS_SCHEME: Final = "CMSURL`1"
# The vendor's pages name no lifetime; an hour is what is seen. A 401 renews the token before, if need be.
_USUAL_LIFE: Final = 3600.0
_CERTIFICATE_HINT: Final = (
    "Give certificate.file as PKCS #12 with its key, or as PEM with key_file, and the password that opens "
    "it; the key has to be RSA or elliptic-curve."
)


# Omnissa, "Using UEM Functionality With a REST API", OAuth: POST with grant_type=client_credentials.
def oauth_token(settings: WorkspaceOneSettings) -> Flow[Token]:
    """Get a token from the token service.

    Raises:
        TokenError: the service refused the client, or answers something else than a token.
    """
    secret = settings.client_secret or SecretStr("")
    request = Request(
        "POST",
        settings.login_url or "",
        headers={"Accept": "application/json"},
        form={
            "grant_type": "client_credentials",
            "client_id": settings.client_id or "",
            "client_secret": secret.get_secret_value(),
        },
        audience=None,  # the service is no part of the API: nothing of the API's goes there
    )
    answer = (yield from send(request)).json()
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        raise TokenError(
            "the token service answered without an access token",
            step="token",
            hint="Check region or token_url: something else than the token service may answer there.",
        )
    life = answer.get("expires_in")
    number = isinstance(life, int | float) or (isinstance(life, str) and life.isdecimal())
    return Token(token, expires_in=float(life) if number else _USUAL_LIFE)


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate with its key; signs addresses. Needs the cryptography package."""

    certificate: Any = field(repr=False)
    key: Any = field(repr=False)
    sign_query: bool = False

    # "Using UEM Functionality With a REST API", certificate-based authentication, and the vendor's sample
    # code: Authorization: CMSURL`1 BASE64, a detached CMS signature over the path in UTF-8, with the signing
    # time as signed attribute and the end certificate alone. Whether the query belongs to it is not said;
    # the samples sign the path.
    def header(self, url: str) -> str:
        """The Authorization header for a request to `url`."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import Encoding
        from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

        parts = urlsplit(url)
        signed = f"{parts.path}?{parts.query}" if self.sign_query and parts.query else parts.path
        builder = PKCS7SignatureBuilder().set_data(signed.encode())
        options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoCapabilities]
        signature = builder.add_signer(self.certificate, self.key, SHA256()).sign(Encoding.DER, options)
        return f"{CMS_SCHEME} {base64.b64encode(signature).decode()}"


def load_signer(settings: CertificateSettings) -> Signer:
    """Read certificate and key from their files.

    Raises:
        ConfigurationError: a file cannot be read or opened, or cryptography is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    except ImportError:
        raise ConfigurationError(
            "the certificate login needs the cryptography package",
            hint="Install it with: pip install 'mdmsdk-workspaceone[certificate]'",
        ) from None
    password = settings.password.get_secret_value().encode() if settings.password else None
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
        raise ConfigurationError(
            f"{settings.file} and its key cannot be opened", hint=_CERTIFICATE_HINT
        ) from None
    if certificate is None or not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey):
        raise ConfigurationError(
            f"{settings.file} has no certificate with a key that can sign", hint=_CERTIFICATE_HINT
        )
    if certificate.public_key() != key.public_key():
        raise ConfigurationError(
            f"the key does not belong to the certificate {settings.file}", hint=_CERTIFICATE_HINT
        )
    return Signer(certificate, key, settings.sign_query)


def _open(data: bytes, key_data: bytes, password: bytes | None) -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
    from cryptography.x509 import load_pem_x509_certificate

    if b"-----BEGIN" in data:
        return load_pem_x509_certificate(data), load_pem_private_key(key_data, password)
    key, certificate, _ = load_key_and_certificates(data, password)
    return certificate, key
