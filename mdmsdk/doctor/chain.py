"""Reads the certificates that a server sent: who issued what to whom, until when, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from mdmsdk._run.probe import Sight

# https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
_NOT_YET, _EXPIRED = 9, 10
_SELF_SIGNED, _UNKNOWN_ROOT = 18, 19
_OTHER_NAMES = {62, 64}
_OPENSSL = range(1, 200)

# Makers of proxies that look into TLS, as they appear in the certificates that those make up.
INSPECTORS = (
    "Blue Coat",
    "Burp Suite",
    "Check Point",
    "Cisco Umbrella",
    "Fiddler",
    "Forcepoint",
    "FortiGate",
    "Fortinet",
    "Kaspersky",
    "mitmproxy",
    "Netskope",
    "Palo Alto Networks",
    "Skyhigh",
    "Sophos",
    "Squid",
    "Symantec Web Security",
    "Zscaler",
)
_RENEW_SOON = timedelta(days=14)
_INSTALL = "To see the certificates here, install the extra: pip install 'mdmsdk[certificates]'."


class Reading(NamedTuple):
    """What certificates say about a connection, and what to do."""

    detail: str
    remedy: str | None


@dataclass(frozen=True)
class _Certificate:
    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: datetime
    ends: datetime
    issuer_at: str | None
    fingerprint: str

    @property
    def who(self) -> str:
        return f"{self.subject!r}, issued by {self.issuer!r}, good until {self.ends:%Y-%m-%d}"


def hosts_in(sight: Sight) -> list[str]:
    """The host names in the server's own certificate."""
    chain = _read(sight)
    return [name for name in chain[0].names if "." in name] if chain else []


def read_chain(host: str, sight: Sight, now: datetime, setting: str = "base_url") -> Reading:
    """What the certificates of a server say.

    Args:
        host: the name under which it was asked.
        sight: what the handshake showed.
        now: the time.
        setting: what names the host in the configuration.
    """
    chain = _read(sight)
    if not chain:
        detail = f"the certificate of {host} is not trusted: {sight.words}" if sight.code else ""
        return Reading(detail or f"{sight.version}, trusted", _INSTALL)
    maker = _inspector(chain)
    through = f"; that is {maker}, a proxy that looks into TLS" if maker else ""
    if sight.code is None:
        return _trusted(chain[0], sight, now, through)
    reading = _distrusted(host, chain, sight, now, setting)
    if maker and sight.code not in {_EXPIRED, _NOT_YET, *_OTHER_NAMES}:
        return Reading(
            f"{reading.detail}{through}, not the MDM",
            f"Export the proxy's own root certificate ({chain[-1].issuer!r}) and name it in tls.ca_file, or "
            f"have {host} exempted from inspection.",
        )
    return reading


def _trusted(leaf: _Certificate, sight: Sight, now: datetime, through: str) -> Reading:
    left = leaf.ends - now
    remedy = None
    if left < _RENEW_SOON:
        remedy = f"Renew the certificate of {leaf.subject!r} soon: it ends in {left.days} days."
    return Reading(f"{sight.version}; {leaf.who}{through}", remedy)


def _distrusted(host: str, chain: list[_Certificate], sight: Sight, now: datetime, setting: str) -> Reading:
    leaf = chain[0]
    late = next((one for one in chain if one.ends < now), None)
    early = next((one for one in chain if one.begins > now), None)
    foreign = sight.code not in _OPENSSL  # the reason of macOS or Windows, with numbers of their own
    if late and (sight.code == _EXPIRED or foreign):
        return Reading(
            f"the certificate of {late.subject!r} ended on {late.ends:%Y-%m-%d %H:%M} UTC",
            f"Have the server's certificate renewed. This machine's clock says {now:%Y-%m-%d %H:%M} UTC: "
            "check that, too.",
        )
    if early and (sight.code == _NOT_YET or foreign):
        return Reading(
            f"the certificate of {early.subject!r} begins on {early.begins:%Y-%m-%d %H:%M} UTC only",
            f"Check this machine's clock, which says {now:%Y-%m-%d %H:%M} UTC.",
        )
    if sight.code in _OTHER_NAMES:
        names = ", ".join(leaf.names) or "nobody"
        return Reading(
            f"the certificate is for {names}, not for {host}: {leaf.who}",
            f"Write one of these names into {setting}, if the MDM answers there, or give the server a "
            f"certificate for {host}; a proxy or load balancer before it may answer instead.",
        )
    return _untrusted(chain, sight)


def _untrusted(chain: list[_Certificate], sight: Sight) -> Reading:
    leaf, top = chain[0], chain[-1]
    trust = "name the file in tls.ca_file (PEM, several certificates one after the other)"
    if sight.code == _SELF_SIGNED:
        return Reading(
            f"the certificate of {leaf.subject!r} is signed by itself and not trusted",
            f"If it is the MDM's own (SHA-256 {leaf.fingerprint}), save it and {trust}.",
        )
    if sight.code == _UNKNOWN_ROOT:
        return Reading(
            f"{leaf.who}; the root certificate {top.subject!r} is not trusted here",
            f"If {top.subject!r} is your organisation's authority, save its certificate and {trust}. "
            "If you do not know it, a proxy may look into TLS.",
        )
    where = f", which can be fetched at {top.issuer_at}" if top.issuer_at else ""
    if len(chain) == 1:
        return Reading(
            f"{leaf.who}; the server sent no other certificate, and {leaf.issuer!r} is not trusted here",
            "Have the server send its whole chain, with all intermediate certificates; or save "
            f"that of {leaf.issuer!r}{where}, and the root above it unless it is one, and {trust}.",
        )
    return Reading(
        f"{leaf.who}; the chain of {len(chain)} certificates ends at {top.issuer!r}, not trusted here",
        f"Save the certificate of {top.issuer!r}{where}, and {trust}; it is the root of your organisation's "
        "authority, or that of a proxy that looks into TLS.",
    )


def _inspector(chain: list[_Certificate]) -> str | None:
    words = " ".join(f"{one.subject} {one.issuer}" for one in chain).lower()
    return next((maker for maker in INSPECTORS if maker.lower() in words), None)


def _read(sight: Sight) -> list[_Certificate]:
    """The certificates from the server's own upwards, as far as they follow each other."""
    try:
        from cryptography import x509
    except ImportError:
        return []
    try:
        given = [x509.load_der_x509_certificate(one) for one in sight.chain]
        chain = given[:1]
        while above := next((one for one in given if one.subject == chain[-1].issuer), None):
            if above in chain:
                break
            chain.append(above)
        return [_described(one) for one in chain]
    except ValueError:  # what TLS takes, that library may find ill-formed
        return []


def _described(certificate: x509.Certificate) -> _Certificate:
    from cryptography.hazmat.primitives import hashes

    names = _names(certificate)
    return _Certificate(
        subject=names[0] if names else _name(certificate.subject),
        issuer=_name(certificate.issuer),
        names=names,
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        issuer_at=_issuer_at(certificate),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def _name(name: x509.Name) -> str:
    """The common name with the organisation behind it."""
    from cryptography.x509.oid import NameOID

    kinds = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
    parts = [str(part.value) for kind in kinds for part in name.get_attributes_for_oid(kind)]
    return ", ".join(dict.fromkeys(parts))


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """For whom a certificate is: host names and addresses."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def _issuer_at(certificate: x509.Certificate) -> str | None:
    """Where the certificate of the issuer can be fetched (RFC 5280, section 4.2.2.1)."""
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID

    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return None
    issuers = (one for one in access if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS)
    places = (one.access_location.value for one in issuers)
    return next((place for place in places if isinstance(place, str) and place.startswith("http")), None)
