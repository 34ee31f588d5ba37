"""The query language of EPMM's device search. Pure.

Source: Ivanti EPMM API v2 guide, "Query operators and fields".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdmsdk.errors import InvalidIdentifierError, UnsupportedOperationError
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk_ivanti.core.records import MANAGED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["MAX_QUERY", "MAX_TERMS", "noncompliant", "pack", "terms"]

MAX_QUERY: Final = 255
"""Characters. API v2 guide, "Devices: search": the longest query that is accepted."""
MAX_TERMS: Final = 7
"""As many IMEIs fit into one query; of all other kinds fewer do."""
_OR: Final = " OR "
_FIELDS: Final[dict[type[Key], Sequence[str]]] = {
    Guid: ("common.uuid",),
    Mac: ("common.wifi_mac_address", "common.ethernet_mac"),
    Udid: ('"ios.iPhone UDID"',),
    Serial: ("common.SerialNumber",),
    Imei: ("common.imei",),
}


def terms(key: Key, known: Collection[str]) -> str:
    """The condition for one key; `known` are the fields that the server can search.

    Raises:
        InvalidIdentifierError: the value cannot be quoted, or is too long.
        UnsupportedOperationError: the server has no such field.
    """
    # In which of its spellings the server keeps a MAC address is not documented: ask for both. It ignores
    # case.
    values = (key.hex, key.value) if isinstance(key, Mac) else (key.value,)
    names = [name for name in _FIELDS[type(key)] if name.strip('"') in known]
    if not names:
        raise UnsupportedOperationError(f"this server has no field to search a {key.kind} in")
    found = _OR.join(f"{name}={_quoted(key, value)}" for name in names for value in values)
    if len(found) > MAX_QUERY:
        raise InvalidIdentifierError(
            f"this {key.kind} is too long to be looked up: EPMM takes queries of {MAX_QUERY} characters"
        )
    return found


def _quoted(key: Key, value: str) -> str:
    # The guide names no way to write a quote inside a quoted text; a backslash could be meant as one.
    if '"' in value or "\\" in value or not value.isprintable():
        raise InvalidIdentifierError(
            f"this {key.kind} holds a character that EPMM's query language cannot quote",
            hint="Quotation marks, backslashes and control characters have no spelling there: ask by GUID.",
        )
    return f'"{value}"'


def pack(keys: Sequence[Key], known: Collection[str]) -> list[str]:
    """As few queries as the keys fit into."""
    queries: list[str] = []
    for term in dict.fromkeys(terms(key, known) for key in keys):
        if queries and len(queries[-1]) + len(_OR) + len(term) <= MAX_QUERY:
            queries[-1] += _OR + term
        else:
            queries.append(term)
    return queries


def noncompliant(known: Collection[str]) -> str:
    """The query for managed devices that do not comply, are quarantined, or in a security state but Ok."""
    states = _OR.join(f'common.status="{state}"' for state in MANAGED)
    faults = ["common.compliant=false"]
    faults += ["common.quarantined=true"] * ("common.quarantined" in known)
    faults += ['common.security_state!="Ok"'] * ("common.security_state" in known)
    return f"({states}) AND ({_OR.join(faults)})"
