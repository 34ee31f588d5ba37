"""`$filter` as the administration service reads it: comparisons, and, or, parentheses, startswith, any.

Texts are compared without case, as WQL does. https://learn.microsoft.com/mem/configmgr/develop/adminservice/usage
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Condition", "QueryError", "condition", "fold"]

_TOKEN: Final = re.compile(r"\s*('(?:[^']|'')*'|[()/,:]|-?\d+|\w+)")
_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda own, value: own == value,
    "ne": lambda own, value: own != value,
    "lt": lambda own, value: own < value,
    "le": lambda own, value: own <= value,
    "gt": lambda own, value: own > value,
    "ge": lambda own, value: own >= value,
}
_FUNCTIONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
}

Row = Mapping[str, Any]


class QueryError(ValueError):
    """The query cannot be read, or asks what is not simulated; the text says what."""


def fold(value: Any) -> Any:
    """Give a value in the form in which it is compared."""
    return value.casefold() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a filter.

    Attributes:
        test: Tells whether a row fulfils it.
        name: A property that has to have one of `values`; None where that cannot be said.
        values: Those values, folded.
    """

    test: Callable[[Row], bool]
    name: str | None = None
    values: frozenset[Any] = frozenset()


def condition(text: str, known: Row, *, arrays: bool) -> Condition:
    """Read a filter.

    Args:
        text: The filter.
        known: Any row, for the names of the properties.
        arrays: Whether it may look into arrays.

    Raises:
        QueryError: It cannot be read, or names no property.
    """
    reader = _Reader(text, known, arrays=arrays)
    found = reader.any_of()
    if reader.token is not None:
        raise QueryError(f"the filter cannot be read from {reader.token[:40]!r} on")
    return found


class _Reader:
    def __init__(self, text: str, known: Row, *, arrays: bool) -> None:
        self._text, self._known, self._arrays = text, known, arrays
        self._place = 0
        self.token: str | None = None
        self._next()

    def _next(self) -> str:
        """Give the token and go on to the following one."""
        before = self.token or ""
        found = _TOKEN.match(self._text, self._place)
        if found is None and self._text[self._place :].strip():
            raise QueryError(f"the filter cannot be read from {self._text[self._place :][:40]!r} on")
        self.token = found[1] if found else None
        self._place = found.end() if found else len(self._text)
        return before

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            if self._next() != token:
                raise QueryError(f"the filter lacks {token!r}")

    def any_of(self) -> Condition:
        parts = [self._all_of()]
        while self.token == "or":
            self._next()
            parts.append(self._all_of())
        if len(parts) == 1:
            return parts[0]
        names = {part.name for part in parts}
        name = names.pop() if len(names) == 1 else None
        values = frozenset().union(*(part.values for part in parts)) if name else frozenset()
        return Condition(lambda row: any(part.test(row) for part in parts), name, values)

    def _all_of(self) -> Condition:
        parts = [self._one()]
        while self.token == "and":
            self._next()
            parts.append(self._one())
        if len(parts) == 1:
            return parts[0]
        known = min((part for part in parts if part.name), key=lambda part: len(part.values), default=None)
        test: Callable[[Row], bool] = lambda row: all(part.test(row) for part in parts)  # noqa: E731
        return Condition(test, known.name, known.values) if known else Condition(test)

    def _one(self) -> Condition:
        if self.token == "(":
            self._next()
            inner = self.any_of()
            self._expect(")")
            return inner
        if self.token in _FUNCTIONS:
            return self._function()
        name = self._property()
        if self.token == "/":
            return self._of_array(name)
        return self._comparison(name)

    def _property(self) -> str:
        name = self._next()
        if name not in self._known:
            raise QueryError(f"Could not find a property named '{name}'")
        return name

    def _function(self) -> Condition:
        function = _FUNCTIONS[self._next()]
        self._expect("(")
        name = self._property()
        self._expect(",")
        value = self._value()
        self._expect(")")
        if self.token == "eq":
            self._expect("eq", "true")
        return Condition(lambda row: isinstance(row[name], str) and function(fold(row[name]), value))

    def _comparison(self, name: str) -> Condition:
        sign = self._next()
        if sign not in _SIGNS:
            raise QueryError(f"the filter has {sign!r} where a comparison is wanted")
        value, compare = self._value(), _SIGNS[sign]

        def test(row: Row) -> bool:
            own = fold(row[name])
            if own is None or value is None:
                return compare(own, value) if sign in {"eq", "ne"} else False
            if type(own) is not type(value):
                raise QueryError(f"the types of {name} and of the value differ")
            return compare(own, value)

        return Condition(test, name, frozenset([value])) if sign == "eq" else Condition(test)

    def _of_array(self, name: str) -> Condition:
        if not self._arrays:
            raise QueryError("any is not supported")
        self._expect("/", "any", "(")
        variable = self._next()
        self._expect(":")
        values: list[Any] = []
        while not values or self.token == "or":
            if values:
                self._next()
            self._expect(variable, "eq")
            values.append(self._value())
        self._expect(")")
        wanted = frozenset(values)
        return Condition(lambda row: not wanted.isdisjoint(map(fold, row[name] or ())), name, wanted)

    def _value(self) -> Any:
        token = self._next()
        if token.startswith("'"):
            if "\\" in token or '"' in token:
                raise QueryError("what WQL makes of a backslash or a quotation mark is not simulated")
            return fold(token[1:-1].replace("''", "'"))
        if token in {"null", "true", "false"}:
            return {"null": None, "true": True, "false": False}[token]
        if re.fullmatch(r"-?\d+", token):
            return int(token)
        raise QueryError(f"{token!r} is no value")
