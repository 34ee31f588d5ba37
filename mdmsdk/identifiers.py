"""Keys: the identifiers by which a device can be asked for.

Each kind is a small value class, normalised when it is made and compared by value, however it was
spelled: ``Mac("00-1b-44-11-3a-b7") == Mac("001B.4411.3AB7")``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from mdmsdk.errors import ConfigurationError, InvalidIdentifierError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = [
    "KEY_KINDS",
    "DeviceId",
    "Guid",
    "Hostname",
    "Imei",
    "Key",
    "Mac",
    "Meid",
    "Serial",
    "Udid",
    "Username",
    "keys_from_certificate",
    "parse_key",
]

# Values that makers leave in the firmware; as a key they would match many devices.
_PLACEHOLDERS = frozenset(
    {"", "0", "none", "null", "n/a", "unknown", "default string", "system serial number"}
    | {"to be filled by o.e.m.", "not available", "not specified"}
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def _shorten(text: str) -> str:
    return text if len(text) <= 64 else text[:61] + "..."  # noqa: PLR2004 - what fits a line


class Key:
    """One identifier of one kind; `value` is its normalised text.

    Args:
        text: the identifier as a person or a vendor writes it.

    Raises:
        InvalidIdentifierError: the text is not an identifier of this kind.
    """

    __slots__ = ("_canonical", "value")

    kind: ClassVar[str]
    field: ClassVar[str]
    """The field of `mdmsdk.models.Device` that holds this kind."""

    def __init__(self, text: str) -> None:
        cleaned = text.strip()
        if cleaned.casefold() in _PLACEHOLDERS or _UNPRINTABLE.search(cleaned):
            raise self._refuse(text, "it is empty, a placeholder, or has control characters")
        self.value: str = self._normalise(cleaned)
        self._canonical = self._canonicalise(self.value)

    def _normalise(self, text: str) -> str:
        return text

    def _canonicalise(self, value: str) -> str:
        """The form in which two values are compared; most kinds ignore case."""
        return value.casefold()

    def _refuse(self, text: str, why: str) -> InvalidIdentifierError:
        return InvalidIdentifierError(f"{_shorten(text)!r} is not a {self.kind}: {why}")

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """The key in a vendor's text, or None where the text holds none of this kind."""
        if text is None:
            return None
        try:
            return cls(text)
        except InvalidIdentifierError:
            return None

    def __eq__(self, other: object) -> bool:
        if type(other) is type(self):
            return self._canonical == other._canonical
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.kind, self._canonical))

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.value,)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let a model field be a key: built from text, written as text."""
        from pydantic_core import core_schema

        if cls is Key:  # any kind; bare text does not say which
            return core_schema.is_instance_schema(Key, serialization=core_schema.to_string_ser_schema())
        return core_schema.no_info_plain_validator_function(
            lambda given: given if isinstance(given, cls) else cls(str(given)),
            serialization=core_schema.to_string_ser_schema(),
            json_schema_input_schema=core_schema.str_schema(),
        )


_NOT_HEX = re.compile(r"[^0-9A-Fa-f]")
_MAC_FORMS = re.compile(
    r"(?:[0-9a-f]{12}|[0-9a-f]{2}(?:(?P<two>[:-])[0-9a-f]{2})(?:(?P=two)[0-9a-f]{2}){4}"
    r"|[0-9a-f]{4}(?P<four>[.:-])[0-9a-f]{4}(?P=four)[0-9a-f]{4}"
    r"|[0-9a-f]{6}[:-][0-9a-f]{6})",
    re.IGNORECASE,
)
_MULTICAST, _LOCAL = 0x01, 0x02  # the two flag bits of the first octet, IEEE 802-2014 section 8.2


@final
class Mac(Key):
    """A network interface's MAC address (EUI-48); `value` reads ``00:1B:44:11:3A:B7``.

    Accepted spellings: twelve hex digits bare, in pairs, in threes of four (Cisco) or in two halves.
    Multicast and all-zero addresses are refused: no interface has one.
    """

    __slots__ = ()
    kind = "mac"
    field = "mac_addresses"

    def _normalise(self, text: str) -> str:
        if not _MAC_FORMS.fullmatch(text):
            raise self._refuse(text, "twelve hex digits are wanted, such as 00:1B:44:11:3A:B7")
        digits = _NOT_HEX.sub("", text).upper()
        if digits == "0" * 12:
            raise self._refuse(text, "the all-zero address belongs to no device")
        if int(digits[:2], 16) & _MULTICAST:
            raise self._refuse(text, "it is a multicast address")
        return ":".join([digits[start : start + 2] for start in range(0, 12, 2)])

    def _canonicalise(self, value: str) -> str:
        return value

    @property
    def hex(self) -> str:
        """Twelve upper-case hex digits without separators."""
        return self.value.replace(":", "")

    @property
    def randomized(self) -> bool:
        """Whether the address is locally administered, as private Wi-Fi addresses are."""
        return bool(int(self.value[:2], 16) & _LOCAL)


_UDID_FORM = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{16}")
_UUID_FORM = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@final
class Udid(Key):
    """The maker's unique device identifier: Apple's two forms, a Mac's hardware UUID, or other text."""

    __slots__ = ()
    kind = "udid"
    field = "udid"

    def _normalise(self, text: str) -> str:
        if len(text) > 128 or re.search(r"\s", text):  # noqa: PLR2004 - no maker's is longer
            raise self._refuse(text, "at most 128 characters without spaces are wanted")
        return text


@final
class Guid(Key):
    """The vendor's own unique name of a device record, below 128 bytes (Cisco ISE MDM API v3)."""

    __slots__ = ()
    kind = "guid"
    field = "guid"

    def _normalise(self, text: str) -> str:
        if text.startswith("{") and text.endswith("}"):
            text = text[1:-1]
        if len(text.encode()) >= 128 or re.search(r"\s", text):  # noqa: PLR2004 - the limit above
            raise self._refuse(text, "less than 128 bytes without spaces are wanted")
        return text.lower() if _UUID_FORM.fullmatch(text) else text


@final
class Serial(Key):
    """The maker's serial number."""

    __slots__ = ()
    kind = "serial"
    field = "serial_number"


@final
class Imei(Key):
    """The mobile equipment identity: 14 digits, and a check digit or a software version.

    Compared by the first 14 digits, which alone name the device (3GPP TS 23.003, section 6.2).
    """

    __slots__ = ()
    kind = "imei"
    field = "imei"

    def _normalise(self, text: str) -> str:
        digits = re.sub(r"[\s/.-]", "", text)
        if not re.fullmatch(r"[0-9]{14,16}", digits) or not digits.strip("0"):
            raise self._refuse(text, "14 to 16 digits are wanted")
        return digits

    def _canonicalise(self, value: str) -> str:
        return value[:14]


@final
class Meid(Key):
    """The CDMA equipment identity: 14 hex digits; the 18-digit decimal form is converted."""

    __slots__ = ()
    kind = "meid"
    field = "meid"

    def _normalise(self, text: str) -> str:
        digits = re.sub(r"[\s.-]", "", text).upper()
        if re.fullmatch(r"[0-9]{18}", digits):  # 3GPP2 X.S0008: two decimal parts for 8 and 6 hex digits
            digits = f"{int(digits[:10]):08X}{int(digits[10:]):06X}"
        if not re.fullmatch(r"[0-9A-F]{14}|[0-9]{10}", digits):
            raise self._refuse(text, "14 hex digits, or 10 or 18 decimal ones, are wanted")
        return digits


@final
class Hostname(Key):
    """The name that the device gives itself on the network."""

    __slots__ = ()
    kind = "hostname"
    field = "name"

    def _normalise(self, text: str) -> str:
        if len(text) > 253:  # noqa: PLR2004 - RFC 1035, section 2.3.4
            raise self._refuse(text, "at most 253 characters are wanted")
        return text.rstrip(".")


@final
class Username(Key):
    """The name of the person to whom the device is assigned; several devices may match."""

    __slots__ = ()
    kind = "username"
    field = "user"


@final
class DeviceId(Key):
    """The vendor's internal record number; compared to the letter."""

    __slots__ = ()
    kind = "id"
    field = "id"

    def _canonicalise(self, value: str) -> str:
        return value


KEY_KINDS: dict[str, type[Key]] = {
    cls.kind: cls for cls in (Mac, Udid, Guid, Serial, Imei, Meid, Hostname, Username, DeviceId)
}
"""All kinds by name, in the order in which help texts show them."""

# `ID:<vendor>:GUID|DeviceID:<value>`, as Cisco ISE reads it from certificates: "Integrate MDM and UEM
# Servers with Cisco ISE", chapters on Meraki, Ivanti and Intune. The vendor's part may hold spaces.
_CERTIFICATE_FORM = re.compile(r"\s*ID:(?P<vendor>[^:,]+):(?:GUID|DeviceID):(?P<value>[^,]+)", re.IGNORECASE)


_HEX_PAIRS = re.compile(r"[0-9a-f:-]*[0-9a-f]{1,2}([:-])[0-9a-f]{1,2}\1[0-9a-f:-]*", re.IGNORECASE)
# The first form that fits says of which kinds a text may be.
_FORMS: tuple[tuple[re.Pattern[str], tuple[type[Key], ...]], ...] = (
    (_MAC_FORMS, (Mac,)),  # twelve bare hex digits too: so Cisco ISE itself sends a MAC address
    (_UDID_FORM, (Udid,)),
    (re.compile(rf"\{{?(?:{_UUID_FORM.pattern})\}}?"), (Guid, Udid)),  # a Mac's UDID looks like a GUID
    (re.compile(r"[0-9]{15}"), (Imei,)),
    (re.compile(r"[0-9]{14}"), (Imei, Meid, Serial)),
    (re.compile(r"[0-9A-Fa-f]{14}"), (Meid, Serial)),
    (re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"), (Username,)),
    (_HEX_PAIRS, (Mac,)),  # meant as one; the class says what is wrong with it
)
_ANYTHING = (Serial, Hostname, Username, Udid, Guid, DeviceId)


def parse_key(text: str) -> Key:
    """Read a key whose kind is plain from its form, or named as in ``serial:C02XK0AAJG5H``.

    Raises:
        InvalidIdentifierError: the text is no identifier, or could be of several kinds; the
            message names them.
    """
    text = text.strip()
    if found := _CERTIFICATE_FORM.fullmatch(text):
        return Guid(found["value"])
    kind, colon, rest = text.partition(":")
    named = KEY_KINDS.get(kind.lower())
    if colon and named:
        return named(rest)
    candidates = _candidates(text)
    if len(candidates) == 1:
        return candidates[0](text)
    kinds = [candidate.kind for candidate in candidates]
    shown = _shorten(text)
    raise InvalidIdentifierError(
        f"{shown!r} could be of these kinds: {', '.join(kinds)}",
        hint=f"Say which, as in {kinds[0]}:{shown} (on the command line also --by {kinds[0]}).",
    )


def _candidates(text: str) -> tuple[type[Key], ...]:
    return next((kinds for form, kinds in _FORMS if form.fullmatch(text)), _ANYTHING)


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
        for found in _CERTIFICATE_FORM.finditer(text):
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
