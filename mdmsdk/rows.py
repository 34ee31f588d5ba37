"""Reading a vendor's record: what it says, what it leaves out, and what cannot be read. Pure.

A provider writes its map from record to `mdmsdk.models.Device` by hand, with a `Row` around the record. The
row keeps account of what could not be read, so that no such record is taken for a proof or for a pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mdmsdk.errors import InvalidIdentifierError, MalformedResponseError
from mdmsdk.identifiers import KEY_KINDS, Key, Mac
from mdmsdk.models import clean_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

__all__ = ["Row"]

_FLAGS = {
    "true": True,
    "yes": True,
    "y": True,
    "1": True,
    "false": False,
    "no": False,
    "n": False,
    "0": False,
}


# How servers disguise values, for which no vendor publishes a form: runs of one sign, or a word. What is left
# of such a value stands on several devices.
_DISGUISED = re.compile(
    r"\*{2}|[•●█]{2}|#{3}|x{4}|^(?:masked|hidden|obfuscated|anonymi[sz]ed|redacted)\W*$", re.IGNORECASE
)
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973


class Row:
    """One record, or an object inside it. Each method reads the first of the named members that is there.

    A name with dots leads through objects inside the record, as ``hardware.serialNumber``, where there is no
    member of the whole name. A member that is absent, None, blank or one of the words in `nothing` is not
    there. One of a type that makes no sense is unreadable: the method gives None, and the member's name goes
    into `unreadable` where that matters. A subclass may state `nothing` and `normal`.

    Args:
        document: the record as JSON or another parser gave it.
        what: what it is, for messages.
        unreadable: an account to go on with, of the record around this object.

    Raises:
        MalformedResponseError: it is no object, or has a member twice in two spellings.
    """

    nothing: ClassVar[AbstractSet[str]] = frozenset({""})
    """Texts in lower case that a vendor writes where there is no value."""

    def __init__(self, document: Any, what: str = "a device", unreadable: set[str] | None = None) -> None:
        if not isinstance(document, Mapping):
            raise MalformedResponseError(f"the server sent something that is not {what}")
        self._members = {self.normal(str(name)): value for name, value in document.items()}
        if len(self._members) != len(document):
            raise MalformedResponseError(f"the server sent {what} with a member twice")
        self._unreadable: set[str] = set() if unreadable is None else unreadable
        self._document = document
        self._inside: dict[str, Row] = {}

    @staticmethod
    def normal(name: str) -> str:
        """A member's name as it is compared; for vendors that vary the spelling."""
        return name

    @property
    def document(self) -> Any:
        """The record as the parser gave it, for `Device.raw`."""
        return self._document

    @property
    def unreadable(self) -> frozenset[str]:
        """What could not be read so far, for `Device.unreadable`."""
        return frozenset(self._unreadable)

    def _find(self, names: tuple[str, ...]) -> tuple[str, Any]:
        for name in names:
            value = self._members.get(self.normal(name))
            if value is None and "." in name:
                value = self._within(*name.rsplit(".", 1))
            if value is not None and not (isinstance(value, str) and value.strip().lower() in self.nothing):
                return name, value
        return names[0], None

    def _within(self, path: str, name: str) -> Any:
        if (inner := self._inside.get(path)) is None:
            inner = self._inside[path] = self.row(path)
        return inner._members.get(inner.normal(name))  # noqa: SLF001 - of this very class

    def has(self, *names: str) -> bool:
        """Whether one of the members is there, readable or not."""
        return self._find(names)[1] is not None

    def text(self, *names: str) -> str | None:
        """A text without blanks around it; a whole number counts as one."""
        return _text(self._find(names)[1])

    def required(self, *names: str) -> str:
        """A text without which this is not what was asked for.

        Raises:
            MalformedResponseError: it is not there, or is no text.
        """
        if (text := self.text(*names)) is None:
            raise MalformedResponseError(f"the server's answer has no {names[0]}")
        return text

    def texts(self, *names: str) -> list[str] | None:
        """The texts in a list, as they are; None where it is anything else, or not there."""
        value = self._find(names)[1]
        return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None

    def flag(self, *names: str) -> bool | None:
        """A yes or no: a boolean, 1 or 0, or such a word in any case."""
        return _flag(self._find(names)[1])

    def veto(self, *names: str) -> bool | None:
        """A flag that could speak against the device. If it cannot be read, the device is not compliant."""
        name, value = self._find(names)
        return self.doubt(name, _flag(value)) if value is not None else None

    def word(self, *names: str) -> str | None:
        """A text that could speak against the device. If it cannot be read, the device is not compliant."""
        name, value = self._find(names)
        return self.doubt(name, _text(value)) if value is not None else None

    def doubt(self, name: str, value: Any) -> Any:
        """Note that a fact that could speak against the device cannot be read, where `value` is None."""
        if value is None:
            self._unreadable.add(name)
        return value

    def number(self, *names: str) -> float | None:
        """A finite number, also as text."""
        return _number(self._find(names)[1])

    def whole(self, *names: str) -> int | None:
        """A whole number that is not negative, such as a count, also as text."""
        text = self.text(*names) or ""
        return int(text) if _WHOLE.fullmatch(text) else None

    def time(self, *names: str) -> datetime | None:
        """An aware time in UTC, None for a vendor's sentinel: ISO 8601 text, or seconds or milliseconds.

        Both count from 1970, and may stand there as text.
        """
        value = self._find(names)[1]
        if (number := _number(value)) is not None:
            return clean_time(number / 1000 if number >= _MILLISECONDS_FROM else number)
        return clean_time(value) if isinstance(value, str) else None

    def key(self, kind: type[Key], *names: str) -> str | None:
        """An identifier's text, for the field of `Device` that holds this kind; unreadable in disguise."""
        _, value = self._find(names)
        text = _identifier(value)
        if value is not None and text is None:
            self._unreadable.add(kind.field)
        return text

    def keys(self, kind: type[Key], *names: str) -> list[Key]:
        """The identifiers in all of these members, lists included, without repeats and placeholders.

        One that the server disguises, as for an account with a privacy profile, is unreadable.
        """
        found: dict[Key, None] = {}
        for value in self._all(names):
            try:
                text = _identifier(value)
                key = kind.read(text)
            except InvalidIdentifierError:
                text, key = None, None
            if text is None:
                self._unreadable.add(kind.field)
            elif key is not None:
                found[key] = None
        return list(found)

    def macs(self, *names: str) -> tuple[Mac, ...]:
        """The MAC addresses in all of these members, for `Device.mac_addresses`."""
        return tuple(key for key in self.keys(Mac, *names) if isinstance(key, Mac))

    def identifiers(self, *within: Row, **members: str | Sequence[str]) -> dict[str, Any]:
        """The fields of a `Device` for its identifiers; those beyond the first of a kind are the others.

        Args:
            *within: objects of the record that hold further MAC addresses, and further ones of kinds with
                several members.
            **members: the name of a kind (`mdmsdk.identifiers.KEY_KINDS`), and the member that holds one, or
                several that hold any number.
        """
        fields: dict[str, Any] = {}
        others: list[Key] = []
        for name, own in members.items():
            kind = KEY_KINDS[name]
            if isinstance(own, str) and kind is not Mac:
                fields[kind.field] = self.key(kind, own)
                continue
            names = (own,) if isinstance(own, str) else own
            found = list(dict.fromkeys(key for row in (self, *within) for key in row.keys(kind, *names)))
            if kind is Mac:
                fields[kind.field] = tuple(found)
            elif found:
                fields[kind.field] = found[0].value
                others += found[1:]
        return {**fields, "other_identifiers": tuple(others)}

    def words(self, *names: str) -> list[str]:
        """All texts in these members, lists included, that speak against the device, such as reasons.

        Where one of them cannot be read, the device is not compliant.
        """
        found = [self.doubt(name, _text(value)) for name in names for value in self._all((name,))]
        return [text for text in found if text]

    def _all(self, names: tuple[str, ...]) -> Iterator[Any]:
        for name in names:
            _, value = self._find((name,))
            for one in value if isinstance(value, list | tuple) else (value,):
                if one is not None and not (isinstance(one, str) and one.strip().lower() in self.nothing):
                    yield one

    def row(self, *names: str) -> Self:
        """The object in a member; an empty one where there is none. It shares `unreadable` with this row.

        Raises:
            MalformedResponseError: the member is something else.
        """
        name, value = self._find(names)
        return self._inner({} if value is None else value, name)

    def rows(self, *names: str) -> list[Self]:
        """The objects in a list; none where there is no list. They share `unreadable` with this row.

        Raises:
            MalformedResponseError: the member is something else.
        """
        name, value = self._find(names)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            raise MalformedResponseError(f"the server sent something that is not a list as {name}")
        return [self._inner(one, name) for one in value]

    def documents(self, *names: str) -> Sequence[Any]:
        """What is in a list that has to be there, as it came.

        Raises:
            MalformedResponseError: there is no list.
        """
        name, value = self._find(names)
        if not isinstance(value, list | tuple):
            raise MalformedResponseError(f"the server's answer has no list {name}")
        return value

    def records(self, *names: str) -> list[Self]:
        """The records in a list that has to be there, each with an account of its own.

        Raises:
            MalformedResponseError: there is no list, or something in it is no object.
        """
        return [type(self)(one) for one in self.documents(*names)]

    def _inner(self, document: Any, name: str) -> Self:
        return type(self)(document, f"an object ({name})", self._unreadable)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _identifier(value: Any) -> str | None:
    text = _text(value)
    return None if text is None or _DISGUISED.search(text) else text


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = _text(value)
    return None if text is None else _FLAGS.get(text.lower())


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None
