"""Checks a detached CMS signature (RFC 5652), as the server does for the certificate login."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["signed_by"]

_SEQUENCE, _SET, _OID, _OCTETS, _CONTEXT_0 = 0x30, 0x31, 0x06, 0x04, 0xA0
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_MESSAGE_DIGEST: Final = bytes.fromhex("2a864886f70d010904")
_SIGNING_TIME: Final = bytes.fromhex("2a864886f70d010905")
_SHORT: Final = 0x80


def signed_by(signature: bytes, content: bytes, certificate: Any) -> bool:
    """Whether `content` was signed by the key of `certificate`, with a time and no other certificate.

    Args:
        signature: DER of the SignedData.
        content: what was signed; it is not part of the signature.
        certificate: of the cryptography package.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

    try:
        if load_der_pkcs7_certificates(signature) != [certificate]:
            return False
        attributes, value = _signer(signature)
        facts = dict(_attribute(part) for _, part, _ in _items(attributes))
        if facts.get(_MESSAGE_DIGEST) != hashlib.sha256(content).digest() or _SIGNING_TIME not in facts:
            return False
        # Signed as a SET, although it stands there under a tag of its own.
        _verify(certificate.public_key(), value, bytes([_SET]) + _length(len(attributes)) + attributes)
    except (InvalidSignature, ValueError, IndexError, StopIteration):
        return False
    return True


def _verify(key: Any, value: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, RSAPublicKey):
        key.verify(value, signed, PKCS1v15(), SHA256())
    else:
        key.verify(value, signed, ECDSA(SHA256()))


def _signer(signature: bytes) -> tuple[bytes, bytes]:
    """The signed attributes and the signature value of the first signer."""
    _, content_info, _ = next(_items(signature))
    kind, wrapped = [inner for _, inner, _ in _items(content_info)][:2]
    if kind != _SIGNED_DATA:
        raise ValueError("this is no SignedData")
    _, signed_data, _ = next(_items(wrapped))
    *_, (_, signers, _) = _items(signed_data)
    _, signer, _ = next(_items(signers))
    parts = list(_items(signer))
    attributes = next(inner for tag, inner, _ in parts if tag == _CONTEXT_0)
    value = next(inner for tag, inner, _ in parts if tag == _OCTETS)
    return attributes, value


def _attribute(part: bytes) -> tuple[bytes, bytes]:
    (_, name, _), (_, values, _) = _items(part)
    _, value, _ = next(_items(values))
    return name, value


def _items(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The DER values that follow each other: tag, content, and where the next begins."""
    position = 0
    while position < len(data):
        tag, size = data[position], data[position + 1]
        position += 2
        if size >= _SHORT:
            count = size - _SHORT
            size = int.from_bytes(data[position : position + count], "big")
            position += count
        if position + size > len(data):
            raise ValueError("broken off")
        yield tag, data[position : position + size], position + size
        position += size


def _length(size: int) -> bytes:
    if size < _SHORT:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([_SHORT + len(digits)]) + digits
