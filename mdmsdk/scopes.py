"""Parts of a server that an administrator chooses by number or name, such as device spaces. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from mdmsdk.errors import ConfigurationError
from mdmsdk.words import safe_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Chosen", "choose"]

_SHOWN = 20


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple | set | frozenset) else [value]


Chosen = Annotated[
    tuple[
        Annotated[
            str, StringConstraints(strip_whitespace=True, min_length=1), Field(coerce_numbers_to_str=True)
        ],
        ...,
    ],
    BeforeValidator(_as_list),
]
"""A setting with numbers or names, one or several of them."""


def choose(
    wanted: Sequence[str | int],
    known: Mapping[str, str],
    noun: str,
    hint: str,
    *,
    names_first: bool = False,
) -> tuple[str, ...]:
    """The numbers of those parts of a server that are wanted; of all if none is named.

    Args:
        wanted: from the settings: texts, which are numbers or names, names in any case; or numbers.
        known: the names of the parts that the account sees, by number.
        noun: what a part is, for messages.
        hint: what to do if one of them is not there.
        names_first: take a text for a name, and for a number only where no part has it as its name.

    Raises:
        ConfigurationError: the account sees none, not one that is wanted, or two of its name; names that are
            like it are shown first.
    """
    chosen = []
    for one in wanted or ([] if known else ["at all"]):
        word, names = str(one), {} if isinstance(one, int) else known
        exact = [number for number, name in names.items() if name == word] if names_first else []
        same = [number for number, name in names.items() if name.casefold() == word.casefold()]
        found = exact or ([word] if word in known else same)
        if len(found) != 1:
            folded = [name.casefold() for name in known.values()]
            near = [] if found else get_close_matches(word.casefold(), folded, cutoff=0.4)
            shown = sorted(known.items(), key=lambda part: part[1].casefold() not in near)[:_SHOWN]
            listed = ", ".join(safe_words(f"{name} ({number})") for number, name in shown) or "none"
            raise ConfigurationError(f"the account sees no single {noun} {one}; it sees: {listed}", hint=hint)
        chosen += found
    return tuple(dict.fromkeys(chosen or known))
