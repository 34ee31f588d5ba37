"""Link header fields (RFC 8288), to the letter: one that cannot be read may be the next page. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_link"]

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_TARGET: Final = re.compile(r"[\s,]*<([^<>\"\s\\^`{|}]+)>")
_PARAMETER: Final = re.compile(rf"\s*;\s*(?:({_WORD})\s*(?:=\s*({_WORD}|{_QUOTED}))?)?\s*", re.DOTALL)
_RELATION: Final = re.compile(r"[a-z][a-z0-9.-]*|[a-z][a-z0-9+.-]*:[^\s\"'<>]+", re.IGNORECASE)


def _links(field: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Target and parameters of each link; of a parameter that stands twice the first counts (section 3.3)."""
    at = 0
    while field[at:].strip(" \t,"):
        target = _TARGET.match(field, at)
        if target is None:
            raise ValueError("a link has no target")
        at, parameters = target.end(), dict[str, str]()
        while (parameter := _PARAMETER.match(field, at)) and parameter.end() > at:
            at = parameter.end()
            if name := parameter[1]:
                value = parameter[2] or ""
                if value.startswith('"'):
                    value = re.sub(r"\\(.)", r"\1", value[1:-1])
                parameters.setdefault(name.lower(), value)
        if field[at:].strip() and not field[at:].lstrip().startswith(","):
            raise ValueError("a link does not end where it should")
        yield target[1], parameters


def find_link(field: str, relation: str) -> str | None:
    """The target of the link with this relation; None where there is none.

    Args:
        field: the value of all Link header fields, joined by commas.
        relation: a registered relation type in lower case, such as ``next``.

    Raises:
        ValueError: a link or its relation cannot be read, or two links with the relation differ.
    """
    targets = set()
    for target, parameters in _links(field):
        relations = parameters.get("rel", "").lower().split()
        # Section 3.3: rel has to be there, once, and has no form with a star. One with an anchor is about
        # another resource than the answer.
        readable = relations and all(map(_RELATION.fullmatch, relations))
        if not readable or {"rel*", "anchor"} & parameters.keys():
            raise ValueError("a link's relation cannot be read")
        if relation in relations:
            targets.add(target)
    if len(targets) > 1:
        raise ValueError("two links have the same relation")
    return next(iter(targets), None)
