"""The login by certificate: every request is signed. Needs the cryptography package."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from mdmsdk.logins import KeyPair
    from mdmsdk.wire import Request

__all__ = ["signed"]


# Omnissa, "Using UEM Functionality With a REST API", certificate-based authentication, and the vendor's
# sample code: Authorization: CMSURL`1 BASE64, a detached CMS signature over the path in UTF-8, with the
# signing time as signed attribute and the end certificate alone. Whether the query belongs to it is not said;
# the samples sign the path.
def signed(request: Request, pair: KeyPair, *, sign_query: bool = False) -> Request:
    """The request with the signature of its address.

    Raises:
        ConfigurationError: the key is of a kind that cannot sign so.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder

    parts = urlsplit(request.full_url)
    content = f"{parts.path}?{parts.query}" if sign_query and parts.query else parts.path
    builder = PKCS7SignatureBuilder().set_data(content.encode())
    try:
        builder = builder.add_signer(pair.certificate, pair.key, SHA256())
    except TypeError:
        raise ConfigurationError(
            "the certificate's key cannot sign", hint="The key has to be RSA or elliptic-curve."
        ) from None
    options = [PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoCapabilities]
    signature = base64.b64encode(builder.sign(Encoding.DER, options)).decode()
    return request.with_headers({"Authorization": f"CMSURL`1 {signature}"})
