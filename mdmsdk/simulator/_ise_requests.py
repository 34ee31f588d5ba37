"""Reading requests to the ISE simulator: what Cisco describes, and more only where a habit accepts it. Pure.

Source: the MDM API of versions 1, 2 and 3, https://developer.cisco.com/docs/identity-services-engine/
"""

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from mdmsdk.simulator._ise_habits import IseHabits
from mdmsdk.simulator._ise_xml import ATTRIBUTES, CRITERIA, Query

__all__ = ["RefusedError", "asked_version", "is_acceptable", "path_query", "tail_of", "url_query"]

_NAMES: Final = frozenset({"paging", "querycriteria", "value", "filter"})
_WITH_IDENTIFIER: Final = 3
_ALL_NAMED: Final = 3
_GUID_BYTES: Final = 128
_IDENTIFIERS: Final = frozenset({"guid", "macaddress"})
# By Cisco's tables of attributes and criteria.
_VALUES: Final = {
    "macaddress": re.compile("[0-9A-Fa-f]{12}"),
    "compliance": re.compile("true|false"),
    "imei": re.compile("[0-9]{14,16}"),
    "meid": re.compile("[0-9A-Fa-f]{14}|[0-9]{10}"),
}
# The table of attributes names these otherwise than the answers do, and one that no answer has.
_TABLE_NAMES: Final = {"compliance_status": 1, "mac_addresses": 3, "period": 3}
_MEDIA: Final = frozenset({"*/*", "application/*", "application/xml"})


class RefusedError(Exception):
    """The request is not as Cisco describes it; the text says how."""


def tail_of(path: str, habits: IseHabits) -> str:
    """Give the path below the device API, with the slashes that the habits make of it."""
    if "loose_paths" not in habits.accepts:
        return path
    parts = [part for part in path.split("/") if part]
    return f"/{'/'.join(parts)}{'/' if len(parts) == 1 else ''}"


def is_acceptable(accept: str, habits: IseHabits) -> bool:
    """Whether a client takes XML; without the header it does."""
    kinds = {kind.partition(";")[0].strip().lower() for kind in accept.split(",")}
    return not accept or "any_media" in habits.accepts or not _MEDIA.isdisjoint(kinds)


def asked_version(pairs: Sequence[tuple[str, str]], habits: IseHabits, *, slash: bool) -> int:
    """Give the version that a request for the description asks for.

    Raises:
        RefusedError: it is no number, or it is missing or there where the form of the path has it otherwise.
    """
    if not pairs and (not slash or "optional_parameters" in habits.accepts):
        return 1
    if not slash and habits.mdminfo_form == "described":
        raise RefusedError("ise_api_version belongs behind /mdminfo/")
    asked = _named(pairs, {"ise_api_version"}, habits).get("ise_api_version", "")
    if not (asked.isascii() and asked.isdecimal()):
        raise RefusedError("ise_api_version has to be a number")
    return int(asked)


def url_query(
    pairs: Sequence[tuple[str, str]], version: int, habits: IseHabits, batch: Iterable[str] = ()
) -> Query:
    """Read the parameters of versions 2 and 3.

    Args:
        pairs: Decoded as those of a form.
        version: Of the path that was called.
        habits: Of the server.
        batch: More values, from the body.

    Raises:
        RefusedError: Cisco's description does not have such a request.
    """
    accepts = habits.accepts
    with_identifier = version == _WITH_IDENTIFIER
    given = _named(pairs, _NAMES | ({"deviceidentifier"} if with_identifier else set()), habits)
    if "optional_parameters" in accepts:
        given = {name: text for name, text in given.items() if text or name in {"querycriteria", "value"}}
        given = {"paging": "0", "filter": "all"} | given
    for name in ("paging", "filter"):
        if not given.get(name):
            raise RefusedError(f"{name} is required")
    if given.get("querycriteria") and not given.get("value"):
        raise RefusedError("value is required, also beside those in a body")
    return _checked(
        Query(
            version=version,
            paging=given["paging"],
            filter=given["filter"],
            criterion=_criterion(given, version, habits),
            values=tuple(dict.fromkeys([*([given["value"]] if "value" in given else []), *batch])),
            identifier=given.get("deviceidentifier", ""),
        ),
        habits,
        identified="deviceidentifier" in given,
    )


def path_query(parts: Sequence[str], pairs: Sequence[tuple[str, str]], habits: IseHabits) -> Query:
    """Read version 1's `{paging}/{criterion}/{value}/{filter}`, or `{paging}/{filter}` for all devices.

    Raises:
        RefusedError: Cisco's description does not have such a request.
    """
    if len(parts) not in {2, 4} or not all(parts):
        raise RefusedError("paging, criterion, value and filter are required")
    _named(pairs, frozenset(), habits)
    paging, *asked, wanted = parts
    criterion, values = (asked[0], (asked[1],)) if asked else ("", ())
    criterion = criterion.lower() if "any_case" in habits.accepts else criterion
    # In a path, + is a plus; in a query, as in Cisco's examples of version 2, it is decoded to a blank.
    return _checked(
        Query(version=1, paging=paging, filter=wanted.replace("+", " "), criterion=criterion, values=values),
        habits,
    )


def _named(pairs: Sequence[tuple[str, str]], known: AbstractSet[str], habits: IseHabits) -> dict[str, str]:
    """Give the parameters by name; the first one counts where a name may stand twice."""
    found: dict[str, str] = {}
    for given, text in pairs:
        name = given.lower() if "any_case" in habits.accepts else given
        if (name not in known or name in found) and "unknown_parameters" not in habits.accepts:
            raise RefusedError("a parameter is unknown, or there twice")
        found.setdefault(name, text)
    return found


def _criterion(given: dict[str, str], version: int, habits: IseHabits) -> str:
    """Give the criterion; empty for all devices."""
    criterion = given.get("querycriteria")
    if criterion is None:
        # Version 2 requires it as well, but has an example of all devices without it; version 3 has none.
        if version >= _ALL_NAMED and "inventory" not in habits.accepts:
            raise RefusedError("querycriteria is required")
        return ""
    if not criterion and "empty_criterion" not in habits.accepts:
        raise RefusedError("querycriteria is empty")
    return criterion.lower() if "any_case" in habits.accepts else criterion


def _checked(query: Query, habits: IseHabits, *, identified: bool = False) -> Query:
    accepts = habits.accepts
    known = query.criterion in CRITERIA[query.version]
    if query.criterion and not known and habits.unsupported_criterion == "error":
        raise RefusedError("this criterion is not supported")
    if query.values and not query.criterion and "unknown_parameters" not in accepts:
        raise RefusedError("a value needs a criterion")
    for value in query.values if known else ():
        _check_value(query.criterion, value, accepts)
    named = query.criterion == "compliance" and query.identifier in _IDENTIFIERS
    if identified and not named and "any_identifier" not in accepts:
        raise RefusedError("deviceidentifier has to be guid or macaddress, and belongs to a list")
    if "any_filter" not in accepts and query.filter != "all":
        attributes = {name.lower() for name in ATTRIBUTES[query.version]}
        attributes |= {name for name, since in _TABLE_NAMES.items() if query.version >= since}
        if not {name.lower() for name in query.filter.split(" ")} <= attributes:
            raise RefusedError("filter has to be all, or names of attributes joined by +")
    return query


def _check_value(criterion: str, value: str, accepts: AbstractSet[str]) -> None:
    if criterion == "macaddress" and "mac_separators" in accepts:
        value = re.sub("[:.-]", "", value)
    if criterion == "compliance":
        if "any_compliance" in accepts:
            return
        value = value.lower() if "any_case" in accepts else value
    form = _VALUES.get(criterion)
    if (form and not form.fullmatch(value)) or (criterion == "guid" and len(value.encode()) > _GUID_BYTES):
        raise RefusedError(f"this is no value for {criterion}")
