"""`$filter` as Graph reads it for managed devices: heeds some properties, drops the others without a word.

https://learn.microsoft.com/graph/api/resources/intune-devices-manageddevice
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

__all__ = ["QueryError", "heeded", "selected"]

_NUMBERS: Final = ("lastSyncDateTime", "enrolledDateTime")
# What may be asked of a property; a filter on any other is dropped, so that every device comes back.
_HEEDED: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(_NUMBERS, frozenset({"lt", "le", "gt", "ge"})),
    "deviceName": frozenset({"eq", "contains", "startswith"}),
    **dict.fromkeys(
        ("complianceState", "serialNumber", "azureADDeviceId", "imei", "userId", "emailAddress"),
        frozenset({"eq"}),
    ),
    **dict.fromkeys(
        ("userPrincipalName", "operatingSystem", "managementAgent", "managementState", "jailBroken"),
        frozenset({"eq"}),
    ),
}
_EITHER: Final = frozenset({"complianceState", "jailBroken", "managementState"})
"""Properties of which several values may be joined by `or`; of the others only the first is read."""
_VALUE: Final = r"(?P<{0}>'(?:[^']|'')*'|[\w.:+-]+)"
_CLAUSE: Final = re.compile(
    rf"\s*(?:(?P<name>\w+)\s+(?P<sign>eq|ne|lt|le|gt|ge)\s+{_VALUE.format('value')}"
    rf"|(?P<function>contains|startswith|endswith)\((?P<inner>\w+)\s*,\s*{_VALUE.format('argument')}\))"
    r"(?P<joint>\s+and\s+|\s+or\s+|\s*$)",
    re.IGNORECASE,
)

Row = Mapping[str, Any]
Test = Callable[[Row], bool]


class QueryError(ValueError):
    """The query cannot be read, or asks what is not simulated; the text says what."""


def heeded(text: str, known: Row) -> Test:
    """Read a filter.

    Args:
        text: The filter; an empty one holds for every row.
        known: Any row, for the names of the properties.

    Raises:
        QueryError: it cannot be read, names no property, or asks what nobody says that Graph answers.
    """
    clauses: list[tuple[str, Test]] = []
    joints: list[str] = []
    while text:
        found = _CLAUSE.match(text)
        if found is None:
            raise QueryError(f"the filter cannot be read from {text[:40]!r} on")
        name, sign = found["name"] or found["inner"], (found["sign"] or found["function"]).lower()
        if name not in known:
            raise QueryError(f"Could not find a property named {name!r}")
        value = found["value"] or found["argument"]
        clauses.append((name, _test(name, sign, value.strip("'").replace("''", "'"))))
        joints.append(found["joint"].strip().lower())
        text = text[found.end() :]
        if not text and joints[-1]:
            raise QueryError("the filter breaks off")
    if len(clauses) > 1 and any(name == "deviceName" for name, _ in clauses):
        del clauses[1:]
    if "or" in joints and not {name for name, _ in clauses} <= _EITHER:
        del clauses[joints.index("or") + 1 :]
    any_of = "or" in joints[: len(clauses) - 1]
    if any_of and "and" in joints:
        raise QueryError("`and` beside `or` is not simulated")
    return lambda row: (any if any_of else all)(test(row) for _, test in clauses) or not clauses


def _test(name: str, sign: str, value: str) -> Test:
    if name not in _HEEDED or not value:
        return lambda _row: True
    if sign not in _HEEDED[name]:
        raise QueryError(f"{sign} of {name} is not simulated")
    if name in _NUMBERS:
        bound = _moment(value)
        return {
            "lt": lambda row: _moment(row[name]) < bound,
            "le": lambda row: _moment(row[name]) <= bound,
            "gt": lambda row: _moment(row[name]) > bound,
            "ge": lambda row: _moment(row[name]) >= bound,
        }[sign]
    wanted = value.lower()
    if sign == "eq":
        return lambda row: str(row[name]).lower() == wanted
    # The beginning is looked for anywhere, https://github.com/microsoftgraph/microsoft-graph-docs/issues/11809
    return lambda row: wanted in str(row[name]).lower()


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise QueryError(f"{text!r} is no date and time") from None
    if moment.tzinfo is None:
        raise QueryError(f"{text!r} has no time zone")
    return moment


def selected(row: Row, names: str) -> dict[str, Any]:
    """Give the properties that `$select` names; all where it is empty.

    Raises:
        QueryError: one of them does not exist.
    """
    wanted = [name.strip() for name in names.split(",") if name]
    if lacking := [name for name in wanted if name not in row]:
        raise QueryError(f"Could not find a property named {lacking[0]!r}")
    return {name: value for name, value in row.items() if not wanted or name in {"id", *wanted}}
