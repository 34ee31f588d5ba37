"""The query languages of the simulated servers: conditions joined by AND and OR, with brackets.

Built from the vendor's guides; both products share the grammar and differ in quoting and case.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["QueryError", "QueryLanguage"]

_TOKENS: Final = re.compile(
    r"\s*(?:(?P<bracket>[()])|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<sign>!=|>=|<=|=|>|<)"
    r"|(?P<word>[^\s()=!<>\"']+)|(?P<wrong>\S))"
)
_WORDS: Final = frozenset({"contains", "starts with", "does not contain", "is empty", "is not empty"})
_ALONE: Final = frozenset({"is empty", "is not empty"})

Test = Callable[[Mapping[str, Any]], bool]


class QueryError(ValueError):
    """The query cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class QueryLanguage:
    """How one product reads queries.

    Attributes:
        ignore_case: Whether texts are compared without regard to case.
        quoted_fields: Whether names of fields may stand in quotes.
        fields: Names that can be searched; empty for all.
        rules: Field by its name in rules, such as `EMAILADDRESS EQ 'a@example.com'`; empty: there are none.
    """

    ignore_case: bool = True
    quoted_fields: bool = True
    fields: frozenset[str] = field(default_factory=frozenset)
    rules: Mapping[str, str] = field(default_factory=dict)

    def parse(self, query: str) -> Test:
        """Read a query; an empty one holds for every record.

        Raises:
            QueryError: It cannot be read.
        """
        if not query.strip():
            return lambda _record: True
        reader = _Reader(self, query)
        test = reader.either()
        if reader.tokens:
            message = f"unexpected {reader.tokens[0][1]}"
            raise QueryError(message)
        return test

    def compare(self, value: Any, sign: str, wanted: str) -> bool:
        """Whether a value of a record meets a condition."""
        if isinstance(value, bool):
            value = "true" if value else "false"
        if sign in _ALONE:
            return (value in {None, ""}) is (sign == "is empty")
        if value is None:
            return sign in {"!=", "does not contain"}
        if sign in {">", ">=", "<", "<="}:
            low, high = float(value), float(wanted)
            return {">": low > high, ">=": low >= high, "<": low < high, "<=": low <= high}[sign]
        text, wanted = str(value), str(wanted)
        if self.ignore_case:
            text, wanted = text.casefold(), wanted.casefold()
        return {
            "=": text == wanted,
            "!=": text != wanted,
            "contains": wanted in text,
            "does not contain": wanted not in text,
            "starts with": text.startswith(wanted),
        }[sign]


class _Reader:
    def __init__(self, language: QueryLanguage, query: str) -> None:
        self.language = language
        self.tokens = [
            (found.lastgroup or "", found[found.lastgroup or 0]) for found in _TOKENS.finditer(query)
        ]
        if any(kind == "wrong" for kind, _ in self.tokens):
            message = "a quotation mark is not closed"
            raise QueryError(message)

    def take(self, *kinds: str) -> tuple[str, str]:
        if not self.tokens or self.tokens[0][0] not in kinds:
            message = f"{' or '.join(kinds)} expected, not {self.tokens[0][1] if self.tokens else 'the end'}"
            raise QueryError(message)
        return self.tokens.pop(0)

    def joined(self, word: str) -> bool:
        found = bool(self.tokens) and self.tokens[0][0] == "word" and self.tokens[0][1].upper() == word
        if found:
            self.tokens.pop(0)
        return found

    def either(self) -> Test:
        tests = [self.both()]
        while self.joined("OR"):
            tests.append(self.both())
        return lambda record: any(test(record) for test in tests)

    def both(self) -> Test:
        tests = [self.condition()]
        while self.joined("AND"):
            tests.append(self.condition())
        return lambda record: all(test(record) for test in tests)

    def condition(self) -> Test:
        if self.tokens and self.tokens[0] == ("bracket", "("):
            self.tokens.pop(0)
            test = self.either()
            if self.take("bracket")[1] != ")":
                message = "a bracket is not closed"
                raise QueryError(message)
            return test
        name = self.take("word", *(["double"] if self.language.quoted_fields else []))[1]
        if self.tokens[:1] == [("word", "EQ")] and self.language.rules:
            self.tokens[0] = ("sign", "=")
            name = self.language.rules.get(name, f"of rules {name}")
        if self.language.fields and name not in self.language.fields:
            message = f"unknown field {name}"
            raise QueryError(message)
        kind, sign = self.take("sign", "double")
        if kind == "double" and sign not in _WORDS:
            message = f"unknown operator {sign}"
            raise QueryError(message)
        wanted = "" if sign in _ALONE else self.take("word", "double", "single")[1]
        compare = self.language.compare
        return lambda record: compare(record.get(name), sign, wanted)
