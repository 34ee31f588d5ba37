"""The verdict on a device, from the tags that the settings name. Pure.

The Dashboard API has no field for compliance ("List the devices enrolled in an SM network",
https://developer.cisco.com/meraki/api-v1/get-network-sm-devices/), so a person has to say what decides. What
cannot be told is ``unknown``; nothing is ``compliant`` because something is missing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from mdmsdk.evidence import conclude
from mdmsdk.models import Compliance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from mdmsdk_meraki.records import Record
    from mdmsdk_meraki.settings import ComplianceSettings

__all__ = ["NO_SOURCE", "Tags", "judge", "tag_matches"]

NO_SOURCE = 'The API reports no compliance: give the setting compliance, as { source = "policy-tags" }.'
# "noncompliant", "non-compliant", "not yet compliant": what ends in a good word need not be good.
_NEGATED = re.compile(
    r"(?<![^\W_])(?:(?:non|not|no|un|in|never)[\W_]*|(?:not|never|no[\W_]+longer)[\W_].*)compliant",
    re.IGNORECASE | re.DOTALL,
)
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")


@lru_cache(maxsize=256)
def _expression(pattern: str) -> re.Pattern[str]:
    # The case of ASCII letters alone: beyond, folding the case joins what is not the same.
    text = re.escape(pattern).replace(r"\*", "(.*)").replace(r"\ ", r"(?u:[\W_]+)")
    return re.compile(text, re.ASCII | re.IGNORECASE | re.DOTALL)


def tag_matches(pattern: str, tag: str) -> str | None:
    """The policy's name if the tag fits, else None: what the first star stands for, or the whole tag."""
    if not (found := _expression(pattern).fullmatch(tag)):
        return None
    return (found[1].strip(" \t_-.:") if found.re.groups else "") or tag


def _names(patterns: Iterable[str], tags: Iterable[str]) -> dict[str, str]:
    """The tags that fit one of the patterns, each with its policy's name."""
    fits = ((tag, tag_matches(pattern, tag)) for tag in tags for pattern in reversed([*patterns]))
    return {tag: name for tag, name in fits if name}


class Tags:
    """What tags say, of one device or of a fleet.

    Attributes:
        tags: all of them.
        violated: those of violation, each with its policy's name.
        kept: those of compliance, likewise.
        fit: whether there are any of both, so that the source says something.
        policies: those that the tags tell of, where the settings do not name them but have a star for it.
    """

    def __init__(self, source: ComplianceSettings, tags: Collection[str]) -> None:
        self.tags, self._source = tags, source
        self.violated: dict[str, str] = {}
        for tag in tags:  # punctuation around a tag does not excuse it
            bare = _EDGES.sub("", tag)
            self.violated |= _names(source.violating, [tag]) or _names(source.violating, [bare])
        self.kept = _names(source.compliant, [tag for tag in tags if not _NEGATED.search(tag)])
        self.fit = bool(self.violated or self.kept)
        self._open = source.source == "policy-tags" and "*" in "".join(source.compliant)
        found = (self.violated | self.kept).items()
        self.policies = {name for tag, name in found if self._open and name != tag}

    def doubts(self, policies: Collection[str]) -> Iterator[str]:
        """What keeps these, none of which is of violation, from saying that a device complies.

        Args:
            policies: those that the devices of the server are known to be judged by.
        """
        if not self._source.compliant:
            yield "the settings name no tag of compliance"
        for pattern in self._source.compliant:
            if not _names([pattern], self.kept):
                yield f"no tag in {self._source.field} fits {pattern!r}"
        if not self._open:
            return
        for tag in self.tags:
            if tag not in self.kept and _may_violate(tag, policies):
                yield f"the tag {tag!r} may be one of violation"
        if not policies:
            yield "which policies there are is not known: at the heartbeat, no device had a tag of one"
        if unjudged := sorted(set(policies) - self.policies):
            yield f"no tag in {self._source.field} says that {', '.join(unjudged)} is kept"


def _may_violate(tag: str, policies: Iterable[str]) -> bool:
    """Whether a tag says that something is not kept, or begins with the name of a policy and goes on."""
    text = _EDGES.sub("", tag)
    told = any(re.match(rf"{re.escape(name)}[\W_]", text, re.IGNORECASE) for name in policies)
    return told or _NEGATED.search(tag) is not None


# "Security policies", https://documentation.meraki.com/SM: every policy tags every device.
def judge(source: ComplianceSettings | None, row: Record, policies: Collection[str] = ()) -> Compliance:
    """The compliance of the device in a row, as tags and the quarantine say it; rules are applied later.

    One tag of violation is enough; every pattern of compliance, and every policy, has to be met.

    Args:
        source: what decides; None gives ``unknown`` with a hint.
        row: the device.
        policies: those that the devices of this server are known to be judged by.
    """
    quarantine = ("the device is quarantined",) if row.veto("quarantined") else ()
    if source is None:
        return Compliance(reasons=(NO_SOURCE,))
    if source.rules:
        return Compliance(reasons=quarantine, vendor_state=_words(row))
    if (tags := row.tags(source.field)) is None:
        return Compliance(reasons=(f"the server sent no readable {source.field}",), source=source.source)
    said = Tags(source, tags)
    bad = tuple(f"{name} is violated (tag {tag!r})" for tag, name in said.violated.items())
    doubts = () if bad else (*said.doubts(policies), *quarantine)
    by = {} if doubts else said.violated if bad else said.kept
    names = ", ".join(dict.fromkeys(by.values())) or source.source
    return conclude(bad, doubts, vendor_state=", ".join(by) or None, source=names)


def _words(row: Record) -> str | None:
    """What the dashboard says of a device, for rules over words; None where it does not say all of it."""
    missing, quarantined = row.number("missingAppsCount"), row.flag("quarantined")
    if quarantined is None or missing is None or missing < 0:
        return None
    wrong = {"apps missing": missing > 0, "quarantined": quarantined}
    return ", ".join(word for word, there in wrong.items() if there) or "in order"
