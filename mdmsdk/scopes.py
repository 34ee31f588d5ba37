"""Parts of a server that an administrator chooses by number or name, such as device spaces. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from mdmsdk.errors import ConfigurationError

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


def choose(wanted: Sequence[str], known: Mapping[str, str], noun: str, hint: str) -> tuple[str, ...]:
    """The numbers of those parts of a server that are wanted; of all if none is named.

    Args:
        wanted: numbers or names, from the settings; names in any case.
        known: the names of the parts that the account sees, by number.
        noun: what a part is, for messages.
        hint: what to do if one of them is not there.

    Raises:
        ConfigurationError: the account sees none, not one that is wanted, or two of its name.
    """
    chosen = []
    for one in wanted or ([] if known else ["at all"]):
        found = (
            [one] if one in known else [n for n, name in known.items() if name.casefold() == one.casefold()]
        )
        if len(found) != 1:
            listed = ", ".join(f"{name} ({number})" for number, name in [*known.items()][:_SHOWN]) or "none"
            raise ConfigurationError(f"the account sees no single {noun} {one}; it sees: {listed}", hint=hint)
        chosen += found
    return tuple(dict.fromkeys(chosen or known))
