"""The administrator's own rules over what a vendor reports about a device. Pure.

Each rule that a device breaks is a reason; a fact that is not known leaves the verdict unknown, and so does a
device to which no rule applies. `mdmsdk.settings.Rules` are the settings.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.version import Version

from mdmsdk.evidence import conclude
from mdmsdk.models import seen_within

if TYPE_CHECKING:
    from datetime import datetime

    from mdmsdk.models import Compliance, Device
    from mdmsdk.settings import Rules

__all__ = ["SOURCE", "judge", "system_of"]

SOURCE = "rules"
"""`Compliance.source` of a verdict by rules."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# How vendors begin the names of systems; a word that goes on with other letters is another system's, but for
# names of editions. Phones with Windows counted their versions in another way, and so does Darwin, the kernel
# of macOS.
_NAMES = (
    ("macOS", r"mac_?os(?:_?x)?|os_?x|mac|macintosh"),
    ("iPadOS", r"ipad_?os|ipad"),
    ("iOS", r"ios|iphone_?os|iphone|ipod"),
    ("tvOS", r"tv_?os|apple_?tv"),
    ("watchOS", r"watch_?os|apple_?watch"),
    ("visionOS", r"vision_?os"),
    ("Windows", r"(?:microsoft_)?windows(?!_?(?:phone|mobile|ce|rt))"),
    ("Android", r"android(?:enterprise|forwork)?"),
    ("ChromeOS", r"chrome_?os"),
    ("Linux", r"linux"),
)
_SYSTEM = re.compile(
    "|".join(f"(?P<{name}>(?:{words})(?![a-z]))" for name, words in _NAMES).replace("_", "[ _-]"),
    re.IGNORECASE | re.ASCII,
)
# Numbers with dots, behind the system's name if that stands there. The atomic group keeps "20H2" from being
# version 2.
_RELEASE = re.compile(
    r"[\s,_-]*(?:v|version)?\s*(?>([0-9]{1,9}(?:\.[0-9]{1,9}){0,9}))(?![\w.])", re.IGNORECASE
)
# Rule, fact, the value that keeps the rule, the reason if it is another one, and what is not known without.
_FACTS = (
    ("disk_encrypted", "disk_encrypted", True, "The disk is not encrypted.", "whether the disk is encrypted"),
    ("passcode_set", "passcode_set", True, "No passcode is set.", "whether a passcode is set"),
    (
        *("not_jailbroken", "jailbroken", False, "The device is jailbroken or rooted."),
        "whether the device is jailbroken or rooted",
    ),
)
_PHONE = re.compile("iphone|ipod", re.IGNORECASE | re.ASCII)
NO_RULE = "No rule applies to this kind of device."
_NOT_MANAGED = "The device is not managed by this server."
_LONGEST = 200  # characters of a vendor's text that are looked at
_LAST_NAMED_BY_KERNEL = Version("10")
_BUILD_PARTS = 3


def judge(rules: Rules, device: Device, now: datetime | None) -> Compliance:
    """The verdict of rules on one device: compliant only if some apply and each of those is fulfilled.

    Args:
        rules: what it has to fulfil.
        device: what its server reports; its own verdict is not looked at but for the words of the server.
        now: what the server's clock says; None leaves the time since the last check-in unknown.
    """
    systems = _systems(device.os, device.model)
    found = [
        *_facts(rules, device, systems),
        *(_version_kept(rules, device, systems) if rules.minimum_os else ()),
        *(_recent(days, device, now) if (days := rules.max_days_since_check_in) else ()),
        *(
            _words(rules, device.compliance.vendor_state)
            if rules.required_words or rules.forbidden_words
            else ()
        ),
    ]
    broken = [reason for kept, reason in found if kept is False]
    unknown = [f"Not known: {fact}." for kept, fact in found if kept is None] if found else [NO_RULE]
    if not device.registered:
        unknown.append(_NOT_MANAGED)
    return conclude(broken, unknown, source=SOURCE)


# Of the rules that are for a device, or may be: whether it keeps one, and the reason if it does not, or what
# is not known.
_Outcomes = Iterator[tuple[bool | None, str]]


def _facts(rules: Rules, device: Device, systems: frozenset[str]) -> _Outcomes:
    if rules.registered:
        # "Not registered" may be all that is left of a fact that cannot be read.
        kept = device.registered or (None if device.unreadable else False)
        yield kept, _NOT_MANAGED if kept is False else "whether the device is managed"
    for name, field, good, reason, fact in _FACTS:
        if not (where := getattr(rules, name)):
            continue
        if where is True or not systems.isdisjoint(where):
            value = getattr(device, field)
            yield (None, fact) if value is None else (value is good, reason)
        elif not systems:
            yield None, "the operating system"  # for which the rule may be made


def _version_kept(rules: Rules, device: Device, systems: frozenset[str]) -> _Outcomes:
    minimums = rules.minimum_os
    if not systems:
        yield None, "the operating system"
        return
    named = sorted(systems & minimums.keys(), reverse=True)  # iPadOS before iOS
    if not named:
        return
    system = named[0]
    version = _release(device.os_version, system)
    older = [name for name in named if version and version < _version(minimums[name])]
    if version is None:
        yield None, f"the version of {system}"
    elif system in older:
        yield False, f"{system} {version} is older than {minimums[system]}."
    elif older and not (_is_pad(device.model) or _is_pad(device.os)):
        yield None, "whether the device is an iPad"  # it is too old for an iPhone
    else:
        yield True, ""


def _recent(days: float, device: Device, now: datetime | None) -> _Outcomes:
    recent = seen_within(days, device.last_check_in, now)
    if recent is None:
        yield None, "when the device last checked in"
    else:
        yield recent, "" if recent else f"The device has not checked in for more than {days:g} days."


def _words(rules: Rules, said: str | None) -> _Outcomes:
    """Required words stand alone or between commas; a forbidden one counts wherever it is a word."""
    if said is None:
        yield None, "the server's word for the state"
        return
    text, all_of_it = said.translate(_LOWER), _folded(said)
    words = {word.strip() for word in text.split(",")}
    for word in rules.required_words:
        kept = word.translate(_LOWER) in words
        yield kept, "" if kept else f"The server does not say {word!r} of the device."
    for word in rules.forbidden_words:
        kept = not _word(word).search(all_of_it)
        yield kept, "" if kept else f"The server says {word!r} of the device."


@lru_cache(maxsize=256)
def _word(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){re.escape(_folded(word))}(?![^\W_])")


def _folded(text: str) -> str:
    """A text without what tells spellings of the same words apart: case, blanks, forms of characters."""
    return " ".join(unicodedata.normalize("NFKC", text.casefold()).split())


def _is_pad(model: str | None) -> bool:
    return "ipad" in (model or "").translate(_LOWER)


def system_of(name: str | None) -> str | None:
    """Which of the systems that rules know a vendor's text names; None where it is none of them.

    The text may go on with a version: "iOS 17.5", "Mac OS X 10.15.7", "Windows 11 Pro".
    """
    found = _SYSTEM.match((name or "").strip()[:_LONGEST])
    return found.lastgroup if found else None


@lru_cache(maxsize=1024)
def _systems(name: str | None, model: str | None) -> frozenset[str]:
    """The systems whose rules are for a device; none where its system is not known.

    An iPad has two, since vendors call its system iOS as well. So has a device with iOS whose model does not
    say that it is none.
    """
    system = system_of(name)
    if system == "iPadOS" or (system == "iOS" and (_is_pad(model) or not _PHONE.search(model or ""))):
        return frozenset({"iPadOS", "iOS"})
    return frozenset({system} if system else ())


_version = lru_cache(maxsize=1024)(Version)


@lru_cache(maxsize=1024)
def _release(text: str | None, system: str) -> Version | None:
    """The numbers with which a vendor's text for a version begins; parts that are missing count as zero.

    The name of a system may stand before them, and a build behind them: "Android 14", "14.7 (23H124)".
    """
    text = (text or "").strip()[:_LONGEST]
    name = _SYSTEM.match(text)
    if name and name.lastgroup != system and {name.lastgroup, system} != {"iOS", "iPadOS"}:
        return None
    found = _RELEASE.match(text, name.end() if name else 0)
    version = Version(found[1]) if found else None
    if version is not None and system == "Windows":
        # "10" and "11" are names for many builds; the systems before are older in any spelling.
        named = len(version.release) < _BUILD_PARTS or version.major > _LAST_NAMED_BY_KERNEL.major
        return None if version >= _LAST_NAMED_BY_KERNEL and named else version
    return version
