"""Pseudonyms: real values out of a recording, stable made-up ones in, in the same form.

One value gets one pseudonym wherever it stands, so a recording stays consistent: the device asked for is
still the one that is answered. Pseudonyms depend on a key that is not kept, so they cannot be reversed.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import re
import string
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

from mdmsdk.identifiers import Imei, Udid
from mdmsdk.testing.written import pattern_of, rewritten, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["REDACTED", "Pseudonyms"]

REDACTED = "redacted"

# Names of fields that say who or what a device is. Compared without case, `_`, `-` and spaces.
_PERSONAL = re.compile(
    r"user|owner|email|mail|upn|phone|serial|imei|meid|imsi|iccid|udid|guid|uuid|mac|ipaddress|hostname|fullname"
    r"|displayname|devicename|givenname|surname|asset|location|department|building|room|principal|deviceid"
    r"|managementid|ssid|directoryid|azuread|servername|computername|machinename|domain|netbios|fqdn"
)
# Fields named so that hold words of the protocol and not of a person.
_PUBLIC = re.compile(
    r"usergroup|phonenumbertype|serialport|machine(?!name)|macos|userapproved|querymaxsize|emailenabled"
    r"|tokensource|tokentype|tokenendpoint|groupname"
)
_SECRET = re.compile(
    r"token|secret|password|authorization|cookie|assertion|apikey|accesskey|credential|escrow|recoverykey|bypasscode"
    r"|unlockcode"
)
_WORDS = re.compile(r"true|false|null|none|unknown|yes|no|n/a", re.IGNORECASE)
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-]?)(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}")
# Paths and accounts of Windows networks, `\\SERVER\share` and `DOMAIN\user`, in whatever field.
_NETWORK = re.compile(r"\\\\[^\\\s].*|[\w.-]{2,}\\[\w.$@-]{2,}")
_CREDENTIAL = re.compile(r"[\w-]+ ([A-Za-z0-9+/._~-]{16,}=*)", re.ASCII)
# First parts of host names that say what a server does and not whose it is.
_COMMON_HOSTS = frozenset({"localhost", "dashboard", "devices", "graph", "login", "portal", "test"})
SHORTEST = 4  # a shorter text stands in too many other places to be replaced everywhere


class Pseudonyms:
    """A growing table of values and what stands for them.

    Args:
        key: decides which pseudonym a value gets; the same key, the same pseudonyms.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._table: dict[str, str] = {}
        self._values: list[str] = []
        self._pattern: re.Pattern[str] | None = None

    def learn(self, *values: str | None) -> None:
        """Take in values that must not stay in a recording."""
        for value in values:
            if not value or len(value) < SHORTEST or value in self._table or _WORDS.fullmatch(value):
                continue
            if "\\" in value:
                self._learn_path(value)
                continue
            if _MAC.fullmatch(value):
                digits = re.sub("[:-]", "", value).upper()
                self._table.update(
                    zip(_mac_forms(digits), _mac_forms(self._made_up_mac(digits)), strict=True)
                )
            elif imei := _imei_digits(value):
                made_up = Imei(self._made_up(imei[:14])).spellings[0]
                self._table.update(zip(_imei_forms(imei), _imei_forms(made_up), strict=True))
            else:
                made_up = self._made_up(value)
                self._table[value] = made_up
                # A provider may ask for other spellings than that of the record.
                ways = zip(_spellings(value), _spellings(made_up), strict=False)
                self._table = dict(ways) | self._table
            self._pattern = None

    def _learn_path(self, value: str) -> None:
        """Take in a path with backslashes and its parts, which may stand elsewhere by themselves."""
        parts = re.split(r"(\\+)", value)
        self.learn(*parts)
        made_up = "".join(
            part if part.startswith("\\") else self._table.get(part) or self._made_up(part) for part in parts
        )
        self._table |= {value: made_up, value.lower(): made_up.lower(), value.upper(): made_up.upper()}
        self._pattern = None

    def learn_origin(self, origin: str, stand_in: str) -> None:
        """Take in a server's address, for which another one stands; its host name may stand by itself."""
        here, there = urlsplit(origin), urlsplit(stand_in)
        self._table |= {
            origin: stand_in,
            here.netloc: there.netloc,
            here.hostname or "": there.hostname or "",
        }
        owner = (here.hostname or "").partition(".")[0]
        if not owner.isdigit() and owner not in _COMMON_HOSTS:
            self.learn(owner)
        self._pattern = None

    def learn_secret(self, *values: str | None) -> None:
        """Take in values that one word replaces, because even their form may tell something.

        In Base64, the word stands there in Base64 too, so that what is asked for at a replay is the same.
        """
        for value in values:
            if value:
                self._table |= {_base64(value): _base64(REDACTED), value: REDACTED}
                self._pattern = None

    def learn_body(self, text: str) -> None:
        """Take in what the fields of a JSON, XML or form body hold, as their names suggest.

        A body that is a scheme and a credential, as for a header, is a login's answer.
        """
        if line := _CREDENTIAL.fullmatch(text.strip().strip('"').strip()):
            self.learn_secret(line[1])
        for name, value in _leaves(text):
            if _NETWORK.fullmatch(value):
                self.learn(value)
            plain = re.sub(r"[^a-z]", "", name.lower())
            if _PUBLIC.search(plain):
                continue
            if _SECRET.search(plain) and len(value) >= SHORTEST:
                self.learn_secret(value)
            elif _PERSONAL.search(plain):
                self.learn(*(part.strip() for part in value.split(",")))

    def apply(self, text: str) -> str:
        """The text with every value that was taken in replaced, however it is written there."""
        if not self._table:
            return text
        if self._pattern is None:
            self._table.pop("", None)
            self._values = sorted(self._table, key=len, reverse=True)
            ways = (f"(?P<v{number}>{pattern_of(value)})" for number, value in enumerate(self._values))
            self._pattern = re.compile(whole("|".join(ways)))
        return self._pattern.sub(self._replace, text)

    def _replace(self, found: re.Match[str]) -> str:
        value = self._values[int((found.lastgroup or "v0")[1:])]
        return rewritten(value, self._table[value], found[0])

    def _made_up(self, value: str) -> str:
        """Another text of the same form: a digit for a digit, a letter for a letter, hex for hex."""
        hexadecimal = all(char in string.hexdigits or char in "-:{}" for char in value)
        made_up: list[str] = []
        for char, number in zip(value, self._numbers(value), strict=False):
            if char.isascii() and char.isdigit():
                # It may stand as a number in JSON, which begins with no zero.
                made_up.append(string.digits[number % 10 if made_up or char == "0" else 1 + number % 9])
            elif char.isalpha():
                letter = chr(ord("a") + number % (6 if hexadecimal else 26))
                made_up.append(letter.upper() if char.isupper() else letter)
            else:
                made_up.append(char)
        return "".join(made_up)

    def _made_up_mac(self, digits: str) -> str:
        """Another address with the same first octet, which tells random addresses from built-in ones."""
        numbers = self._numbers(digits)
        signs = string.digits if digits.isdecimal() else "0123456789ABCDEF"  # it may be a phone number
        return digits[:2] + "".join(signs[next(numbers) % len(signs)] for _ in digits[2:])

    def _numbers(self, value: str) -> Iterator[int]:
        counter = 0
        while True:
            yield from hmac.digest(self._key, f"{counter}:{value}".encode(), "sha256")
            counter += 1


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _mac_forms(digits: str) -> list[str]:
    """The spellings of an address, from twelve upper-case digits."""
    pairs, fours = re.findall("..", digits), re.findall("....", digits)
    forms = [digits, ":".join(pairs), "-".join(pairs), ".".join(fours)]
    return [*forms, *(form.lower() for form in forms)]


def _spellings(value: str) -> list[str]:
    """The same identifier in either case, and a UDID with its hyphens and without."""
    udid = Udid.parse(value)
    return [
        way for text in (udid.spellings if udid else (value,)) for way in (text, text.lower(), text.upper())
    ]


def _imei_digits(value: str) -> str | None:
    """The 15 digits of an IMEI with its right check digit; None for anything else."""
    digits = value.replace(" ", "")
    imei = Imei.parse(digits) if re.fullmatch("[0-9]{15}", digits) else None
    return digits if imei and imei.spellings[0] == digits else None


def _imei_forms(digits: str) -> list[str]:
    """The spellings of an IMEI, from its 15 digits."""
    grouped = f"{digits[:2]} {digits[2:8]} {digits[8:14]}"
    return [digits, digits[:14], grouped, f"{grouped} {digits[14]}"]


def _leaves(text: str) -> Iterator[tuple[str, str]]:
    """The fields of a body with their text, as far as its form is known."""
    start = text.lstrip("\ufeff \r\n\t")[:1]
    if start in {"{", "["}:
        with contextlib.suppress(ValueError):
            yield from _json_leaves("", json.loads(text.lstrip("\ufeff")))
    elif start == "<":
        with contextlib.suppress(ET.ParseError):
            for element in ET.fromstring(text.lstrip("\ufeff \r\n\t")).iter():  # noqa: S314 - a recording of our own
                yield element.tag.rpartition("}")[2], (element.text or "").strip()
                yield from element.attrib.items()
    else:
        yield from parse_qsl(text)


def _json_leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            # A record within the record says by its own name what it is the name of.
            yield from _json_leaves(f"{name}{key}" if str(key).lower() == "name" else str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _json_leaves(name, inner)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield name, str(value)
