"""Keys from the certificates with which devices show themselves on a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.errors import ConfigurationError, InvalidIdentifierError
from mdmsdk.identifiers import CERTIFICATE_FORM, Guid, Key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

__all__ = ["keys_from_certificate"]


def keys_from_certificate(certificate: bytes | str) -> list[Key]:
    """Read the device identifiers that a certificate carries, in order and without repeats.

    Subject alternative name URIs come first, then subject common names, in the forms
    ``ID:<vendor>:GUID:<value>`` and ``ID:<vendor>:DeviceID:<value>``, comma-separated lists included.

    Args:
        certificate: PEM text or DER bytes.

    Raises:
        InvalidIdentifierError: this is not a certificate.
        ConfigurationError: the extra ``mdmsdk[certificates]`` is not installed.
    """
    keys: dict[Key, None] = {}
    for text in _certificate_texts(certificate):
        for found in CERTIFICATE_FORM.finditer(text):
            if key := Guid.parse(found["value"]):
                keys[key] = None
    return list(keys)


def _certificate_texts(certificate: bytes | str) -> Iterator[str]:
    try:
        from cryptography import x509
    except ImportError as error:
        raise ConfigurationError(
            "reading certificates needs the cryptography package",
            hint="Install it with: pip install 'mdmsdk[certificates]'",
        ) from error
    data = certificate.encode() if isinstance(certificate, str) else certificate
    try:
        pem = b"-----BEGIN" in data
        cert = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
        return iter([*_san_uris(cert), *_common_names(cert)])
    except ValueError as error:
        raise InvalidIdentifierError(
            "this is not a readable X.509 certificate", hint="Give it as PEM text or DER bytes."
        ) from error


def _san_uris(cert: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def _common_names(cert: x509.Certificate) -> list[str]:
    from cryptography.x509.oid import NameOID

    return [str(name.value) for name in cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
