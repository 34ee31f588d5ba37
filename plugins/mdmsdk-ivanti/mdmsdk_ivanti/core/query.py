"""The query language of EPMM's device search. Pure.

Source: Ivanti EPMM API v2 guide, "Query operators and fields".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdmsdk.errors import InvalidIdentifierError, UnsupportedOperationError
from mdmsdk.identifiers import Imei, Key, Mac
from mdmsdk_ivanti.core.records import MANAGED, CoreRecord

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["BATCH", "MAX_QUERY", "OR", "noncompliant", "terms"]

MAX_QUERY: Final = 255
"""Characters. API v2 guide, "Devices: search": the longest query that is accepted."""
BATCH: Final = 28
"""Four queries full of serial numbers, seven of GUIDs. More might not be answered within one deadline: of MAC
addresses only one fits into a query."""
OR: Final = " OR "
# A device without a security state may be taken for one whose state is not Ok.
_FAULTS: Final = {
    "common.compliant": "common.compliant=false",
    "common.quarantined": "common.quarantined=true",
    "common.security_state": '(common.security_state!="Ok" AND common.security_state "is not empty")',
}


def terms(key: Key, known: Collection[str]) -> str:
    """The condition for one key; `known` are the fields that the server can search.

    Raises:
        InvalidIdentifierError: the value cannot be quoted.
        UnsupportedOperationError: the server has no such field.
    """
    # More spellings of a MAC address than those in two fields do not fit into a query.
    names = [name for name in CoreRecord.names[key.kind][:2] if name in known]
    if not names:
        raise UnsupportedOperationError(f"this server has no field to search a {key.kind} in")
    # The guide names no way to write a quote inside a quoted text; a backslash could be meant as one.
    if not key.value.isprintable() or {*key.value} & {'"', "\\"}:
        raise InvalidIdentifierError(
            f"this {key.kind} holds a character that EPMM's query language cannot quote",
            hint="Quotation marks, backslashes and control characters have no spelling there: ask by GUID.",
        )
    sign, texts = "=", key.spellings
    if isinstance(key, Mac):
        texts = (key.hex, key.value)  # which of the two is not documented; case is ignored
    elif isinstance(key, Imei):
        # With a check digit, with a software version, or without; iOS groups the digits.
        body = key.value[:14]
        sign, texts = ' "starts with" ', (body, f"{body[:2]} {body[2:8]} {body[8:]}")
    fields = [f'"{name}"' if " " in name else name for name in names]
    return OR.join(f'{field}{sign}"{text}"' for field in fields for text in texts)


def noncompliant(known: Collection[str]) -> str:
    """The query for managed devices that do not comply, are quarantined, or in a security state but Ok."""
    states = OR.join(f'common.status="{state}"' for state in MANAGED)
    faults = OR.join(fault for name, fault in _FAULTS.items() if name in known)
    return f"({states}) AND ({faults})"
