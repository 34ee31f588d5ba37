"""Cursors of lists as texts, so that a walk goes on after a restart. Pure.

A cursor is a frozen value of the provider's own making. Only values of plain types are written, and classes
that the provider's package or this one has loaded; nothing is imported or called for a text but the
constructors of dataclasses, models and identifiers.
"""

from __future__ import annotations

import json
import sys
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from mdmsdk.identifiers import KEY_KINDS, Key
from mdmsdk.models import FrozenModel

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["dumped", "loaded"]


def dumped(cursor: Any) -> str:
    """The text of a cursor.

    Raises:
        ValueError: it holds a value of another type.
    """
    return json.dumps(_plain(cursor), separators=(",", ":"))


def loaded(text: str, packages: Collection[str]) -> Any:
    """The cursor in a text.

    Args:
        text: what `dumped` gave.
        packages: the top packages whose classes it may hold.

    Raises:
        ValueError: it is none, or holds another class, or one that has changed since.
    """
    try:
        return _value(json.loads(text), packages)
    except (LookupError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(f"the cursor cannot be read ({type(error).__name__})") from None


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in {bool, int, float, str}:
        return value
    if kind in {tuple, frozenset}:
        return {kind.__name__: [_plain(one) for one in value]}
    if kind is datetime:
        return {"datetime": value.isoformat()}
    if isinstance(value, Key):
        return {"key": [kind.kind, value.value]}
    name = f"{kind.__module__}:{kind.__qualname__}"
    if isinstance(value, Enum):
        return {"enum": [name, _plain(value.value)]}
    if is_dataclass(kind):
        names = [field.name for field in fields(kind) if field.init]
    elif isinstance(value, FrozenModel):
        names = list(type(value).model_fields)
    else:
        raise ValueError(f"a cursor that holds a {kind.__name__} cannot be kept")
    return {"class": [name, {one: _plain(getattr(value, one)) for one in names}]}


def _value(plain: Any, packages: Collection[str]) -> Any:
    if not isinstance(plain, dict):
        return plain
    ((kind, inner),) = plain.items()
    if kind in {"tuple", "frozenset"}:
        parts = (_value(one, packages) for one in inner)
        return tuple(parts) if kind == "tuple" else frozenset(parts)
    if kind == "datetime":
        return datetime.fromisoformat(inner)
    if kind == "key":
        return KEY_KINDS[inner[0]](inner[1])
    found = _class(inner[0], packages)
    if kind == "enum" and issubclass(found, Enum):
        return found(_value(inner[1], packages))
    if kind == "class" and (is_dataclass(found) or issubclass(found, FrozenModel)):
        return found(**{name: _value(one, packages) for name, one in inner[1].items()})
    raise ValueError(f"the cursor holds a {kind}")


def _class(name: str, packages: Collection[str]) -> type[Any]:
    module, _, qualified = name.partition(":")
    if module.partition(".")[0] not in packages:
        raise ValueError("the cursor holds a class of another package")
    found = getattr(sys.modules[module], qualified)
    if not isinstance(found, type):
        raise TypeError(name)
    return found
