"""Keys: the identifiers by which a device can be asked for.

Each kind is a small value class, normalised when it is made and compared by value, however it was
spelled: ``Mac("00-1b-44-11-3a-b7") == Mac("001B.4411.3AB7")``.
"""

from __future__ import annotations

import re
import string
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.words import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

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
    "parse_key",
]

# What is written where there is no identifier, in words.
_NOTHING = frozenset(
    {"", "0", "n/a", "none", "null", "nil", "undefined", "unknown", "unspecified", "unavailable"}
    | {"not applicable", "not available", "not known", "not present", "not set", "not specified"}
)
_NOT_WORD = re.compile(r"[\W_]+")
# The same for serial numbers and the like, with what makers leave in the firmware of many devices. Compared
# by letters and digits alone, so in any spacing, case and punctuation.
_PLACEHOLDERS = frozenset(_NOT_WORD.sub("", word) for word in _NOTHING) | frozenset(
    {"absent", "default", "defaultstring", "empty", "false", "invalid", "notassigned", "notdefined", "true"}
    | {"notprovided", "noserial", "noserialnumber", "nosn", "oem", "sn", "serial", "serialnumber", "tbd"}
    | {"systemserialnumber", "chassisserialnumber", "baseboardserialnumber", "tobedefinedbyoem"}
    | {"tobefilled", "tobefilledbyoem", "tobefilledbymanufacturer"}
    # Hardware UUIDs that several makers' boards share.
    | {"03000200040005000006000700080009", "123456781234567890abcddeefaabbcc"}
)
_COUNTED = "01234567890123456789"
_FEW = 7
"""Digits in order from which on a number looks made up."""
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_LONGEST = 512
# Control characters, line and paragraph separators, and halves of surrogate pairs, which no UTF-8 can carry.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _shorten(text: str) -> str:
    text = text if len(text) <= 64 else text[:61] + "..."  # noqa: PLR2004 - what fits a line
    return _UNPRINTABLE.sub("?", text)


def _fold(text: str) -> str:
    """The text composed, and in lower case as far as ASCII goes."""
    # Beyond ASCII, folding the case joins what is not the same: STRAßE and STRASSE.
    return (text if text.isascii() else unicodedata.normalize("NFC", text)).translate(_LOWER)


def _checked(text: object) -> str:
    """The text without blanks around it.

    Raises:
        InvalidIdentifierError: it is no text, or none that any identifier could be.
    """
    if not isinstance(text, str):
        raise InvalidIdentifierError(f"an identifier is a text, not {type(text).__name__}")
    if len(text) > _LONGEST:
        raise InvalidIdentifierError(
            f"{_shorten(text)!r} is longer than any identifier: {_LONGEST} characters"
        )
    text = text.strip()
    if _UNPRINTABLE.search(text):
        raise InvalidIdentifierError(
            f"{_shorten(text)!r} holds characters that no identifier has",
            hint="Control characters and bytes that are no UTF-8 belong to none: look where they come from.",
        )
    return text


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
        text = _checked(text)
        if self.stands_for_nothing(text):
            raise self._refuse(text, "it is empty, or a placeholder that names no single device")
        self._hold(text)

    def _hold(self, text: str) -> None:
        self.value: str = self._normalise(text)
        self._canonical = self._canonicalise(self.value)

    @classmethod
    def stands_for_nothing(cls, text: str) -> bool:
        """Whether a text is written where there is no such identifier, or is shared by many devices."""
        text = text[: _LONGEST + 1].strip().translate(_LOWER)
        return text in _NOTHING or cls._is_shared(text if text.isalnum() else _NOT_WORD.sub("", text))

    @classmethod
    def _is_shared(cls, word: str) -> bool:
        """Whether these letters and digits stand on many devices, or on none."""
        return word in _PLACEHOLDERS or len(word) > 1 == len(set(word))

    def _normalise(self, text: str) -> str:
        return text

    def _canonicalise(self, value: str) -> str:
        """The form in which two values are compared; most kinds ignore the case of ASCII letters."""
        return _fold(value)

    def _refuse(self, text: str, why: str) -> InvalidIdentifierError:
        return InvalidIdentifierError(f"{_shorten(text)!r} is not a {self.kind}: {why}")

    @property
    def spellings(self) -> tuple[str, ...]:
        """The texts under which a server may hold this device, the likeliest first."""
        return (self.value,)

    @property
    def cases(self) -> tuple[str, ...]:
        """`spellings`, and each in upper and in lower case, for a server that may tell those apart."""
        if not self.value.isascii():
            return self.spellings
        return tuple(
            dict.fromkeys(way for text in self.spellings for way in (text, text.upper(), text.lower()))
        )

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """The key in a vendor's text, or None where the text holds none of this kind."""
        try:
            return cls.read(text)
        except InvalidIdentifierError:
            return None

    @classmethod
    def read(cls, text: str | None) -> Self | None:
        """The key in a vendor's text; None where it is empty or a placeholder, so that there is none.

        Raises:
            InvalidIdentifierError: the text says something, but is no identifier of this kind.
        """
        if text is None or cls.stands_for_nothing(text):
            return None
        key = cls.__new__(cls)
        key._hold(_checked(text))  # noqa: SLF001 - as __init__ does, but for the look that was just had
        return key

    @property
    def canonical(self) -> str:
        """The text that is the same for all spellings of this identifier."""
        return self._canonical

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

    def __reduce__(self) -> tuple[Callable[..., Key], tuple[Any, ...]]:
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
# Addresses that very many devices have. What Android tells every app about its own Wi-Fi address:
# https://developer.android.com/about/versions/marshmallow/android-6.0-changes#behavior-hardware-id; the fixed
# ones of virtual adapters for VPN, dial-up and loopback are the same on every computer.
_SHARED_MACS = frozenset(
    {"020000000000", "02004c4f4f50", "00059a3c7800", "00059a3c7a00", "025041000001", "00090ffe0001"}
    | {"00090faa0001", "204153594eff", "505054503030", "005345000000"}
)


@final
class Mac(Key):
    """A network interface's MAC address (EUI-48); `value` reads ``00:1B:44:11:3A:B7``.

    Accepted spellings: twelve hex digits bare, in pairs, in threes of four (Cisco) or in two halves.
    Multicast addresses are refused, which no interface has, and those that very many devices share.
    """

    __slots__ = ()
    kind = "mac"
    field = "mac_addresses"

    @classmethod
    def _is_shared(cls, word: str) -> bool:
        return word in _SHARED_MACS or word == word[:2] * 6

    def _normalise(self, text: str) -> str:
        if not _MAC_FORMS.fullmatch(text):
            raise self._refuse(text, "twelve hex digits are wanted, such as 00:1B:44:11:3A:B7")
        digits = _NOT_HEX.sub("", text).upper()
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


# Apple's UDIDs since 2018, and UUIDs: their hex digits in groups.
_HYPHENED = re.compile(
    r"([0-9A-F]{8})(?:([0-9A-F]{4})([0-9A-F]{4})([0-9A-F]{4})([0-9A-F]{12})|([0-9A-F]{16}))", re.IGNORECASE
)


def _hyphened(digits: str) -> str | None:
    """The UDID of these hex digits with its hyphens; None where it has none."""
    found = _HYPHENED.fullmatch(digits)
    return "-".join(filter(None, found.groups())) if found else None


@final
class Udid(Key):
    """The maker's unique device identifier: Apple's two forms, a Mac's hardware UUID, or other text.

    Those of hex digits are compared without hyphens, which some servers leave out.
    """

    __slots__ = ()
    kind = "udid"
    field = "udid"

    def _normalise(self, text: str) -> str:
        if len(text) > 128 or re.search(r"\s", text):  # noqa: PLR2004 - no maker's is longer
            raise self._refuse(text, "at most 128 characters without spaces are wanted")
        return text

    def _canonicalise(self, value: str) -> str:
        digits = value.replace("-", "")
        return digits.lower() if _hyphened(digits) else _fold(value)

    @property
    def spellings(self) -> tuple[str, ...]:
        """As given; without hyphens; and with them, where UDIDs of this length have any."""
        digits = self.value.replace("-", "")
        hyphened = _hyphened(digits)
        return tuple(dict.fromkeys((self.value, digits, hyphened))) if hyphened else (self.value,)


@final
class Guid(Key):
    """The vendor's own unique name of a device record, below 128 bytes (Cisco ISE MDM API v3).

    Attributes:
        issuer: for whose servers it is, in the word of the certificate that it stands in, such as
            ``MerakiSM``, or None; not compared.
    """

    __slots__ = ("issuer",)
    kind = "guid"
    field = "guid"

    @classmethod
    def issued(cls, text: str, issuer: str | None) -> Guid:
        """The GUID in a certificate that says for whose servers it is; raises as the class does."""
        key = cls(text)
        key.issuer = issuer
        return key

    def _hold(self, text: str) -> None:
        super()._hold(text)
        self.issuer: str | None = None

    def __reduce__(self) -> tuple[Callable[..., Key], tuple[Any, ...]]:
        return Guid.issued, (self.value, self.issuer)

    @classmethod
    def _is_shared(cls, word: str) -> bool:
        return len(word) >= _FEW and super()._is_shared(
            word
        )  # some vendors count: 11 may be a record's number

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

    @classmethod
    def _is_shared(cls, word: str) -> bool:
        return super()._is_shared(word) or (len(word) >= _FEW and word in _COUNTED)


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
        if not re.fullmatch(r"[0-9]{14,16}", digits):
            raise self._refuse(text, "14 to 16 digits are wanted")
        return digits

    def _canonicalise(self, value: str) -> str:
        return value[:14]

    @property
    def spellings(self) -> tuple[str, ...]:
        """The texts under which a server may hold this device, the likeliest first.

        As given, where it has 15 digits; with the check digit that follows from the others (3GPP TS 23.003,
        annex B); as given; without one.
        """
        body = self._canonical
        doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(body))
        check = -sum(number // 10 + number % 10 for number in doubled) % 10
        whole = [self.value] if len(self.value) == len(body) + 1 else []
        return tuple(dict.fromkeys((*whole, f"{body}{check}", self.value, body)))

    @property
    def grouped(self) -> str:
        """The likeliest text in groups as Apple's devices write it, such as ``59 105109 176278 3``."""
        text = self.spellings[0]
        return f"{text[:2]} {text[2:8]} {text[8:14]} {text[14:]}"


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


class _Name(Key):
    """What people choose: any word may be meant."""

    __slots__ = ()

    @classmethod
    def _is_shared(cls, word: str) -> bool:
        return len(word) > _FEW and word in _PLACEHOLDERS


@final
class Hostname(_Name):
    """The name that the device gives itself on the network."""

    __slots__ = ()
    kind = "hostname"
    field = "name"

    def _normalise(self, text: str) -> str:
        if len(text) > 253:  # noqa: PLR2004 - RFC 1035, section 2.3.4
            raise self._refuse(text, "at most 253 characters are wanted")
        return text.rstrip(".")


@final
class Username(_Name):
    """The name of the person to whom the device is assigned; several devices may match."""

    __slots__ = ()
    kind = "username"
    field = "user"


@final
class DeviceId(_Name):
    """The vendor's internal record number; compared to the letter, but for UUIDs (RFC 9562, section 4)."""

    __slots__ = ()
    kind = "id"
    field = "id"

    def _canonicalise(self, value: str) -> str:
        return value.lower() if _UUID_FORM.fullmatch(value) else value


KEY_KINDS: dict[str, type[Key]] = {
    cls.kind: cls for cls in (Mac, Udid, Guid, Serial, Imei, Meid, Hostname, Username, DeviceId)
}
"""All kinds by name, in the order in which help texts show them."""

# `ID:<vendor>:GUID|DeviceID:<value>`, as Cisco ISE reads it from certificates: "Integrate MDM and UEM
# Servers with Cisco ISE", chapters on Meraki, Ivanti and Intune. The vendor's part may hold spaces.
CERTIFICATE_FORM = re.compile(r"\s*ID:(?P<vendor>[^:,]+):(?:GUID|DeviceID):(?P<value>[^,]+)", re.IGNORECASE)


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
    return _parsed(_checked(text))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Key:
    """The key of a text without blanks around it; of the same devices again and again."""
    if found := CERTIFICATE_FORM.fullmatch(text):
        return Guid.issued(found["value"], found["vendor"].strip())
    kind, colon, rest = text.partition(":")
    named = KEY_KINDS.get(kind.lower())
    if colon and named:
        return named(rest)
    candidates = _candidates(text)
    if len(candidates) == 1:
        return candidates[0](text)
    kinds = [candidate.kind for candidate in candidates]
    shown = _shorten(text)
    if colon and (meant := nearest(kind, KEY_KINDS)):
        raise InvalidIdentifierError(
            f"{shown!r}: {_shorten(kind)!r} is no kind of key{meant}",
            hint=f"The kinds are: {', '.join(KEY_KINDS)}.",
        )
    raise InvalidIdentifierError(
        f"{shown!r} could be of these kinds: {', '.join(kinds)}",
        hint=f"Say which, as in {kinds[0]}:{shown} (on the command line also --by {kinds[0]}).",
    )


def _candidates(text: str) -> tuple[type[Key], ...]:
    return next((kinds for form, kinds in _FORMS if form.fullmatch(text)), _ANYTHING)
