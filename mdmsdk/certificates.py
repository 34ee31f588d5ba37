"""Keys from the certificates with which devices show themselves on a network."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import ConfigurationError, InvalidIdentifierError
from mdmsdk.identifiers import CERTIFICATE_FORM, KEY_KINDS, Guid, Hostname, Key, Serial, Username

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Sequence

    from cryptography import x509

__all__ = ["compile_patterns", "keys_from_certificate"]

# "Network access control integration with Intune", https://learn.microsoft.com/intune/intune-service/protect/
# network-access-control-integrate: what other network access controls than Cisco ISE look for.
_INTUNE_URI: Final = re.compile(r"IntuneDeviceId://(?P<value>[^/?#\s]+)", re.IGNORECASE)
_BARE_GUID: Final = re.compile(
    r"(?:CN=|urn:uuid:)?\{?(?P<value>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE
)
# A computer's name as Kerberos and Active Directory write it, in a common name or a user principal name.
_HOST: Final = re.compile(r"host/(?P<spn>[^@/\s]+)(?:@\S+)?|(?P<account>[^@/\s]+)\$@\S+", re.IGNORECASE)
_UPN: Final = "1.3.6.1.4.1.311.20.2.3"
_UTF8_STRING: Final = 0x0C
_LONG: Final = 0x80


def compile_patterns(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    """Regular expressions for texts of certificates; each has groups that are named as kinds of keys.

    Raises:
        ConfigurationError: one is no regular expression, or names no kind.
    """
    compiled = []
    for text in patterns:
        try:
            pattern = re.compile(text)
        except re.error as error:
            raise ConfigurationError(
                f"{text!r} is no regular expression: {error}", hint="Write it in single quotes in mdm.toml."
            ) from None
        if not pattern.groupindex or pattern.groupindex.keys() - KEY_KINDS.keys():
            raise ConfigurationError(
                f"{text!r} names no kind of key, or something else",
                hint=f"Name a group, as in (?P<guid>...), after one of: {', '.join(KEY_KINDS)}.",
            )
        compiled.append(pattern)
    return compiled


def keys_from_certificate(
    certificate: bytes | str | x509.Certificate | ssl.SSLSocket | ssl.SSLObject,
    *,
    patterns: Iterable[str] = (),
    users: bool = False,
    expired: bool = False,
) -> list[Key]:
    """Read the identifiers of the device that a certificate carries, the surest first, without repeats.

    First come GUIDs, of the subject alternative name's URIs and of common names, in the forms
    ``ID:<vendor>:GUID:<value>`` and ``ID:<vendor>:DeviceID:<value>`` (comma-separated lists included),
    ``IntuneDeviceId://<value>`` and a bare GUID; then the subject's serial number; then host names, of DNS
    names, ``host/NAME`` and machine accounts. Everything else, such as security identifiers, is passed over.

    Args:
        certificate: PEM text, DER bytes, a ``cryptography`` certificate, or a TLS connection, of which the
            other side's counts.
        patterns: regular expressions for other forms, with groups named as kinds of keys, such as
            ``AAD_DEVICE_ID=(?P<guid>[0-9a-f-]{36})``; what they find comes first.
        users: add user principal names at the end. They name a person, who may have several devices.
        expired: take one that is not valid now.

    Raises:
        InvalidIdentifierError: this is not a certificate, or one that is not valid now.
        ConfigurationError: a pattern is not usable, or ``mdmsdk[certificates]`` is not installed.
    """
    compiled = compile_patterns(patterns)
    cert = _loaded(certificate)
    if not expired:
        _check_validity(cert)
    uris, names, accounts, hosts, serials = _texts(cert)
    texts = [*uris, *names, *accounts, *hosts, *serials]
    found = chain(
        (key for text in texts for key in _by_patterns(compiled, text)),
        (key for text in (*uris, *names) for key in _guids(text)),
        map(Serial.parse, serials),
        (Hostname.parse(text) for text in _host_names([*names, *accounts], hosts)),
        (Username.parse(text) for text in accounts if users and not _HOST.fullmatch(text)),
    )
    return list(dict.fromkeys(key for key in found if key))


def _by_patterns(patterns: Sequence[re.Pattern[str]], text: str) -> Iterator[Key | None]:
    for pattern in patterns:
        for match in pattern.finditer(text):
            for kind, value in match.groupdict().items():
                yield KEY_KINDS[kind].parse(value)


def _guids(text: str) -> Iterator[Guid | None]:
    if (match := _INTUNE_URI.fullmatch(text)) and Guid.parse(match["value"]):
        yield Guid.issued(match["value"], "Intune")
    elif match := _BARE_GUID.fullmatch(text):
        yield Guid.parse(match["value"])
    for match in CERTIFICATE_FORM.finditer(text):
        if Guid.parse(match["value"]):
            yield Guid.issued(match["value"], match["vendor"].strip())


def _host_names(texts: Iterable[str], hosts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if match := _HOST.fullmatch(text):
            yield match["spn"] or match["account"]
    yield from (host for host in hosts if "*" not in host)


def _loaded(certificate: Any) -> x509.Certificate:
    try:
        from cryptography import x509
    except ImportError as error:
        raise ConfigurationError(
            "reading certificates needs the cryptography package",
            hint="Install it with: pip install 'mdmsdk[certificates]'",
        ) from error
    if isinstance(certificate, x509.Certificate):
        return certificate
    if hasattr(certificate, "getpeercert"):
        try:
            certificate = certificate.getpeercert(binary_form=True)
        except ValueError:
            certificate = None
        if certificate is None:
            raise InvalidIdentifierError(
                "the other side of this connection showed no certificate",
                hint="Ask for one in the handshake: context.verify_mode = ssl.CERT_REQUIRED.",
            )
    data = certificate.encode() if isinstance(certificate, str) else certificate
    try:
        pem = b"-----BEGIN" in data
        return x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    except (TypeError, ValueError) as error:
        raise InvalidIdentifierError(
            "this is not a readable X.509 certificate", hint="Give it as PEM text or DER bytes."
        ) from error


def _check_validity(cert: x509.Certificate) -> None:
    now = datetime.now(UTC)
    if cert.not_valid_after_utc < now:
        problem = f"expired on {cert.not_valid_after_utc:%Y-%m-%d}"
    elif cert.not_valid_before_utc > now:
        problem = f"is not valid before {cert.not_valid_before_utc:%Y-%m-%d}"
    else:
        return
    raise InvalidIdentifierError(
        f"the certificate {problem}",
        hint="It names no device now. Renew it, or look at this machine's clock.",
    )


def _texts(cert: x509.Certificate) -> tuple[list[str], list[str], list[str], list[str], list[str]]:
    """The URIs, common names, user principal names, DNS names and serial numbers of a certificate."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        own = {
            oid: [str(one.value) for one in cert.subject.get_attributes_for_oid(oid)]
            for oid in (NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER)
        }
        names = x509.SubjectAlternativeName([])
        with suppress(x509.ExtensionNotFound):
            names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except ValueError as error:
        raise InvalidIdentifierError(
            "the names in this certificate cannot be read", hint="Look at it with: openssl x509 -text"
        ) from error
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    hosts = names.get_values_for_type(x509.DNSName)
    others = names.get_values_for_type(x509.OtherName)
    accounts = [text for one in others if one.type_id.dotted_string == _UPN and (text := _utf8(one.value))]
    return uris, own[NameOID.COMMON_NAME], accounts, hosts, own[NameOID.SERIAL_NUMBER]


def _utf8(der: bytes) -> str:
    """The text in a UTF8String (X.690, section 8.1.3); an empty one where it is none."""
    if len(der) < 2 or der[0] != _UTF8_STRING:  # noqa: PLR2004 - type and length
        return ""
    size, start = der[1], 2
    if size >= _LONG:
        start += size - _LONG
        size = int.from_bytes(der[2:start], "big")
    return der[start : start + size].decode(errors="replace") if start + size == len(der) else ""
