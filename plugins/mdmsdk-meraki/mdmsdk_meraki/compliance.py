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

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from mdmsdk_meraki.rows import Row
    from mdmsdk_meraki.settings import ComplianceSettings, Rule

__all__ = ["NO_SOURCE", "fits", "judge", "needed_fields", "policies_of", "tag_matches"]

NO_SOURCE = (
    "The Meraki Dashboard API reports no compliance: name its source in the setting compliance, such as "
    '{ source = "policy-tags" }.'
)
# "noncompliant", "non-compliant", "not yet compliant": what ends in a good word need not be good.
_NEGATED = re.compile(
    r"(?<![^\W_])(?:(?:non|not|no|un|in|never)[\W_]*|(?:not|never|no[\W_]+longer)[\W_].*)compliant",
    re.IGNORECASE | re.DOTALL,
)
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


def _piece(char: str) -> str:
    if char.isascii() and char.isalpha():
        # The case of these letters alone: beyond, folding the case joins what is not the same.
        return f"[{char.lower()}{char.upper()}]"
    return {"*": "(.*)", " ": r"[\W_]+"}.get(char) or re.escape(char)


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(map(_piece, pattern)), re.DOTALL)


def _name(pattern: str, tag: str) -> str | None:
    """What the first star stands for, which is the policy's name; None if the tag does not fit."""
    if not (found := _expression(pattern).fullmatch(tag)):
        return None
    return found[1].strip(" \t_-.:") if found.re.groups else ""


def tag_matches(pattern: str, tag: str) -> str | None:
    """The policy's name if the tag fits, else None: what the first star stands for, or the whole tag."""
    return None if (name := _name(pattern, tag)) is None else name or tag


def _names(patterns: Iterable[str], tags: Iterable[str]) -> dict[str, str]:
    """The tags that fit one of the patterns, each with its policy's name."""
    found: dict[str, str] = {}
    for pattern in patterns:
        for tag in tags:
            if name := tag_matches(pattern, tag):
                found.setdefault(tag, name)
    return found


def _policies(patterns: Iterable[str], tags: Collection[str]) -> set[str]:
    return {name for pattern in patterns for tag in tags if (name := _name(pattern, tag))}


def _trimmed(patterns: Iterable[str], tags: Iterable[str]) -> list[str]:
    """The tags, without punctuation around them where they fit a pattern of violation only so."""
    patterns = tuple(patterns)
    return [tag if _names(patterns, (tag,)) else _EDGES.sub("", tag) for tag in tags]


def _good(tags: Iterable[str]) -> list[str]:
    """The tags that may speak for a device."""
    return [tag for tag in tags if not _NEGATED.search(tag)]


def fits(source: ComplianceSettings, tags: Collection[str]) -> bool:
    """Whether one of the patterns fits one of these tags, so that the source says something."""
    violating, compliant = source.patterns
    return bool(_names(violating, _trimmed(violating, tags)) or _names(compliant, _good(tags)))


def policies_of(source: ComplianceSettings, tags: Collection[str]) -> set[str]:
    """The policies that these tags tell of, where the settings do not name them but have a star for it."""
    violating, compliant = source.patterns
    if not _is_open(source):
        return set()
    return _policies(violating, _trimmed(violating, tags)) | _policies(compliant, _good(tags))


def _tells(tag: str, policies: Iterable[str]) -> bool:
    """Whether a tag begins with the name of a policy and goes on."""
    text = _EDGES.sub("", tag)
    return any(re.match(rf"{re.escape(name)}[\W_]", text, re.IGNORECASE) for name in policies)


def _is_open(source: ComplianceSettings) -> bool:
    return source.source == "policy-tags" and any("*" in pattern for pattern in source.patterns[1])


def judge(
    source: ComplianceSettings | None, row: Row, now: datetime | None, policies: Collection[str] = ()
) -> Compliance:
    """The compliance of the device in a row.

    Args:
        source: what decides; None gives ``unknown`` with a hint.
        row: the device.
        now: the server's own time, for the age of the last contact.
        policies: those that the devices of this server are known to be judged by.
    """
    if source is None:
        return Compliance(reasons=(NO_SOURCE,))
    by_rules = source.source == "rules"
    verdict = _judge_rules(source, row, now) if by_rules else _judge_tags(source, row, policies)
    if verdict.state is ComplianceState.COMPLIANT and row.veto("quarantined"):
        return _unknown("the device is quarantined", source=verdict.source)
    return verdict


def needed_fields(source: ComplianceSettings) -> frozenset[str]:
    """The fields that the source reads; a server that sends none of them in a whole page tells nothing."""
    if source.source == "rules":
        fields = {field for rule in source.rules for field in _RULES[rule][1]}
        return frozenset(fields | ({"lastConnected"} if source.max_contact_age else set()))
    return frozenset({"autoTags" if source.source == "policy-tags" else "tags"})


def _unknown(*reasons: str, source: str | None = None) -> Compliance:
    return Compliance(reasons=reasons, source=source)


# "Security policies", https://documentation.meraki.com/SM: every policy tags every device.
def _judge_tags(source: ComplianceSettings, row: Row, policies: Collection[str]) -> Compliance:
    """One tag of violation is enough; every pattern of compliance, and every policy, has to be met."""
    (field,) = needed_fields(source)
    if (tags := row.texts(field)) is None:
        return _unknown(f"the server sent no readable {field}", source=source.source)
    violating, compliant = source.patterns
    if bad := _names(violating, _trimmed(violating, tags)):
        return Compliance(
            state=ComplianceState.NONCOMPLIANT,
            reasons=tuple(f"{name} is violated (tag {tag!r})" for tag, name in bad.items()),
            vendor_state=", ".join(bad),
            source=", ".join(dict.fromkeys(bad.values())),
        )
    if lacking := _lacking(source, field, tags, policies):
        return _unknown(lacking, source=source.source)
    good = _names(compliant, _good(tags))
    return Compliance(
        state=ComplianceState.COMPLIANT,
        vendor_state=", ".join(good),
        source=", ".join(dict.fromkeys(good.values())),
    )


def _lacking(
    source: ComplianceSettings, field: str, tags: Collection[str], policies: Collection[str]
) -> str | None:
    """What these tags, none of which is of violation, lack to say that the device complies."""
    compliant, good = source.patterns[1], _good(tags)
    missing = [pattern for pattern in compliant if not _names((pattern,), good)]
    if missing or not compliant:
        wanted = " and ".join(map(repr, missing)) or "any pattern of compliance"
        return f"no tag in {field} fits {wanted}"
    if not _is_open(source):
        return None
    fitting = _names(compliant, good)
    doubtful = [tag for tag in tags if tag not in good or (tag not in fitting and _tells(tag, policies))]
    if doubtful:
        return f"the tag {min(doubtful)!r} may be one of violation"
    if not policies:
        return "which policies there are is not known: at the heartbeat, no device had a tag of one"
    unjudged = sorted(set(policies) - _policies(compliant, good))
    return f"no tag in {field} says that {', '.join(unjudged)} is kept" if unjudged else None


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _no_missing_apps(row: Row) -> bool | None:
    number = row.count("missingAppsCount")
    return None if number is None else number == 0


# For each rule: what is true where it is kept, the fields that tell, and what is wrong where it is broken.
_RULES: Mapping[Rule, tuple[Callable[[Row], bool | None], tuple[str, ...], str]] = {
    "not-rooted": (
        lambda row: _not(row.veto("isRooted")),
        ("isRooted",),
        "the device is rooted or jailbroken",
    ),
    "passcode": (
        lambda row: row.locked,
        ("passCodeLock", "screenLockEnabled", "loginRequired"),
        "no passcode or lock is set",
    ),
    "encryption": (
        lambda row: row.encrypted,
        ("diskEncryptionEnabled", "hardwareEncryptionCaps"),
        "the storage is not encrypted",
    ),
    "no-missing-apps": (_no_missing_apps, ("missingAppsCount",), "required apps are missing"),
    "not-quarantined": (
        lambda row: _not(row.veto("quarantined")),
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
        fresh = seen_within(days, row.moment("lastConnected"), now)
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
