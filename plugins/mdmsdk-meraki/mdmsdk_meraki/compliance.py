"""The verdict on a device, from the source that the settings name. Pure.

The Dashboard API has no field for compliance ("List the devices enrolled in an SM network",
https://developer.cisco.com/meraki/api-v1/get-network-sm-devices/), so a person has to say what decides. What
cannot be told is ``unknown``; nothing is ``compliant`` because something is missing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from mdmsdk.models import Compliance, ComplianceState, seen_within
from mdmsdk_meraki.rows import count, encrypted, flag, locked, moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mdmsdk_meraki.rows import Row
    from mdmsdk_meraki.settings import ComplianceSettings, Rule

__all__ = ["NO_SOURCE", "judge", "needed_fields", "tag_matches"]

NO_SOURCE = (
    "The Meraki Dashboard API reports no compliance: name its source in the setting compliance, such as "
    '{ source = "policy-tags" }.'
)
_LONGEST_TAG = 256
# "noncompliant", "non-compliant", "not compliant": what ends in a good word need not be good.
_NEGATED = re.compile(r"(?<![^\W_])(?:non|not|no|un|in|never)[\W_]*compliant", re.IGNORECASE)


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    pieces = {"*": "(.*)", " ": r"[\W_]+"}
    expression = "".join(pieces.get(char, re.escape(char)) for char in pattern)
    return re.compile(expression, re.IGNORECASE | re.DOTALL)


def tag_matches(pattern: str, tag: str) -> str | None:
    """The policy's name if the tag fits, else None: what the first star stands for, or the whole tag."""
    if not (found := _expression(pattern).fullmatch(tag)):
        return None
    name = found[1].strip(" \t_-.:") if found.re.groups else ""
    return name or tag


def judge(source: ComplianceSettings | None, row: Row, now: datetime | None) -> Compliance:
    """The compliance of the device in a row.

    Args:
        source: what decides; None gives ``unknown`` with a hint.
        row: the device.
        now: the server's own time, for the age of the last contact.
    """
    if source is None:
        return Compliance(reasons=(NO_SOURCE,))
    if source.source == "rules":
        return _judge_rules(source, row, now)
    field = "autoTags" if source.source == "policy-tags" else "tags"
    return _judge_tags(source, field, row.get(field))


def needed_fields(source: ComplianceSettings) -> frozenset[str]:
    """The fields that the source reads; a server that sends none of them in a whole page tells nothing."""
    if source.source == "rules":
        fields = {field for rule in source.rules for field in _RULES[rule][1]}
        return frozenset(fields | ({"lastConnected"} if source.max_contact_age else set()))
    return frozenset({"autoTags" if source.source == "policy-tags" else "tags"})


def _unknown(*reasons: str, source: str | None = None) -> Compliance:
    return Compliance(reasons=reasons, source=source)


def _judge_tags(source: ComplianceSettings, field: str, value: object) -> Compliance:
    """One tag of violation is enough; every pattern of compliance has to be met."""
    if not isinstance(value, list) or not all(map(_readable, value)):
        return _unknown(f"the server sent no readable {field}", source=source.source)
    violating, compliant = source.patterns
    bad = _names(violating, value)
    if bad:
        return Compliance(
            state=ComplianceState.NONCOMPLIANT,
            reasons=tuple(f"{name} is violated (tag {tag!r})" for tag, name in bad.items()),
            vendor_state=", ".join(bad),
            source=", ".join(dict.fromkeys(bad.values())),
        )
    good_tags = [tag for tag in value if not _NEGATED.search(tag)]
    missing = [pattern for pattern in compliant if not _names((pattern,), good_tags)]
    if missing or not compliant:
        wanted = " and ".join(map(repr, missing)) or "any pattern of compliance"
        return _unknown(f"no tag in {field} fits {wanted}", source=source.source)
    good = _names(compliant, good_tags)
    return Compliance(
        state=ComplianceState.COMPLIANT,
        vendor_state=", ".join(good),
        source=", ".join(dict.fromkeys(good.values())),
    )


def _readable(tag: object) -> bool:
    return isinstance(tag, str) and len(tag) <= _LONGEST_TAG


def _names(patterns: Sequence[str], tags: Sequence[str]) -> dict[str, str]:
    """The tags that fit one of the patterns, each with its policy's name."""
    found: dict[str, str] = {}
    for pattern in patterns:
        for tag in tags:
            if name := tag_matches(pattern, tag):
                found.setdefault(tag, name)
    return found


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _no_missing_apps(row: Row) -> bool | None:
    number = count(row, "missingAppsCount")
    return None if number is None else number == 0


# For each rule: what is true where it is kept, the fields that tell, and what is wrong where it is broken.
_RULES: Mapping[Rule, tuple[Callable[[Row], bool | None], tuple[str, ...], str]] = {
    "not-rooted": (
        lambda row: _not(flag(row, "isRooted")),
        ("isRooted",),
        "the device is rooted or jailbroken",
    ),
    "passcode": (
        locked,
        ("passCodeLock", "screenLockEnabled", "loginRequired"),
        "no passcode or lock is set",
    ),
    "encryption": (
        encrypted,
        ("diskEncryptionEnabled", "hardwareEncryptionCaps"),
        "the storage is not encrypted",
    ),
    "no-missing-apps": (_no_missing_apps, ("missingAppsCount",), "required apps are missing"),
    "not-quarantined": (
        lambda row: _not(flag(row, "quarantined")),
        ("quarantined",),
        "the device is quarantined",
    ),
}


def _judge_rules(source: ComplianceSettings, row: Row, now: datetime | None) -> Compliance:
    """One broken rule is enough; one that cannot be judged leaves the device unknown."""
    broken: dict[str, str] = {}
    open_: dict[str, str] = {}
    for rule in source.rules:
        keeps, fields, wrong = _RULES[rule]
        kept = keeps(row)
        if kept is False:
            broken[rule] = wrong
        elif kept is None:
            open_[rule] = f"the server does not report {' or '.join(fields)}"
    if source.max_contact_age is not None:
        days = source.max_contact_age
        fresh = seen_within(days, moment(row, "lastConnected"), now)
        if fresh is None:
            open_["max_contact_age"] = "the time of the last contact is not known"
        elif not fresh:
            broken["max_contact_age"] = f"no contact for more than {days:g} days"
    problems = broken or open_
    asked = [*source.rules, *(["max_contact_age"] if source.max_contact_age else [])]
    state = ComplianceState.COMPLIANT
    if problems:
        state = ComplianceState.NONCOMPLIANT if broken else ComplianceState.UNKNOWN
    return Compliance(
        state=state,
        reasons=tuple(f"{rule}: {wrong}" for rule, wrong in problems.items()),
        source=", ".join(problems or asked),
    )
