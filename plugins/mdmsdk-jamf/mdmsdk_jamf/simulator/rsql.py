"""RSQL as the simulated server reads it: a filter becomes a predicate over flat values.

Source: "Filtering with RSQL", https://developer.jamf.com/jamf-pro/docs/filtering-with-rsql
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = ["BadFilterError", "Predicate", "ordered", "parse"]

Values = Mapping[str, Sequence[str]]
"""The values of a record by filter field; several where the field is a list."""
Predicate = Callable[[Values], bool]

_TOKENS = re.compile(
    r"\s*(?:(?P<op>=in=|=out=|==|!=|=[lg][te]=|[<>]=?)|(?P<mark>[();,])|(?P<quoted>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')"
    r"|(?P<word>[^\s\"'();,=!~<>]+))"
)
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "=lt=": operator.lt,
    "<=": operator.le,
    "=le=": operator.le,
    ">": operator.gt,
    "=gt=": operator.gt,
    ">=": operator.ge,
    "=ge=": operator.ge,
}


def ordered(text: str) -> list[tuple[int, str]]:
    """Give what to compare a value by: the numbers in it by their size, as of ids, versions and dates."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


class BadFilterError(ValueError):
    """The filter cannot be read, or names a field that cannot be searched; `field` says which."""

    def __init__(self, field: str | None = None) -> None:
        """Keep the field."""
        super().__init__(field)
        self.field = field


def parse(text: str, fields: frozenset[str], *, has_in: bool = True) -> Predicate:
    """Read a filter.

    Args:
        text: As it came, decoded; an empty one lets everything through.
        fields: What may be searched.
        has_in: Whether `=in=` and `=out=` are known.

    Raises:
        BadFilterError: It is no filter, or names another field.
    """
    if not text:
        return lambda _values: True
    reader = _Reader(text, fields, has_in=has_in)
    found = reader.either()
    if reader.left:
        raise BadFilterError
    return found


def _split(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text.rstrip()):
        found = _TOKENS.match(text, place)
        if found is None:
            raise BadFilterError
        place = found.end()
        yield str(found.lastgroup), found[str(found.lastgroup)]


class _Reader:
    def __init__(self, text: str, fields: frozenset[str], *, has_in: bool) -> None:
        self.left = list(_split(text))
        self._fields = fields
        self._has_in = has_in

    def either(self) -> Predicate:
        parts = [self._both()]
        while self._take("mark", ",") or self._take("word", "or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda values: any(part(values) for part in parts)

    def _both(self) -> Predicate:
        parts = [self._one()]
        while self._take("mark", ";") or self._take("word", "and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda values: all(part(values) for part in parts)

    def _one(self) -> Predicate:
        if self._take("mark", "("):
            inner = self.either()
            self._need("mark", ")")
            return inner
        field = self._need("word")
        if field not in self._fields:
            raise BadFilterError(field)
        sign = self._need("op")
        if sign in {"=in=", "=out="}:
            return self._list(field, wanted=sign == "=in=")
        if order := _ORDERS.get(sign):
            bound = ordered(self._literal())
            return lambda values: any(order(ordered(value), bound) for value in values[field])
        pattern = self._value()
        wanted = sign == "=="
        return lambda values: any(map(pattern, values[field])) == wanted

    def _list(self, field: str, *, wanted: bool) -> Predicate:
        if not self._has_in:
            raise BadFilterError
        self._need("mark", "(")
        choices = {self._literal()}
        while self._take("mark", ","):
            choices.add(self._literal())
        self._need("mark", ")")
        return lambda values: any(value.casefold() in choices for value in values[field]) == wanted

    def _literal(self) -> str:
        kind, text = self._next()
        if kind not in {"quoted", "word"}:
            raise BadFilterError
        return re.sub(r"\\(.)", r"\1", text[1:-1] if kind == "quoted" else text).casefold()

    def _value(self) -> Callable[[str], bool]:
        """One value, in which a star that is not escaped stands for any text."""
        kind, text = self._next()
        if kind not in {"quoted", "word"}:
            raise BadFilterError
        text = text[1:-1] if kind == "quoted" else text
        pieces = [re.sub(r"\\(.)", r"\1", piece) for piece in re.split(r"(?<!\\)\*", text)]
        if len(pieces) == 1:
            plain = pieces[0].casefold()
            return lambda value: value.casefold() == plain
        pattern = re.compile(".*".join(map(re.escape, pieces)), re.IGNORECASE | re.DOTALL)
        return lambda value: pattern.fullmatch(value) is not None

    def _next(self) -> tuple[str, str]:
        if not self.left:
            raise BadFilterError
        return self.left.pop(0)

    def _take(self, kind: str, text: str) -> bool:
        if self.left and self.left[0] == (kind, text):
            self.left.pop(0)
            return True
        return False

    def _need(self, kind: str, text: str | None = None) -> str:
        found, value = self._next()
        if found != kind or text not in {None, value}:
            raise BadFilterError
        return value
