"""Several identifiers of one device, asked for in order as Cisco ISE does: GUID, then MAC. Pure.

What a later identifier finds may be another device's record: a MAC address is easily copied. So the next one
is asked for only after every server that could know the one before said that it does not, and what it finds
is held against those before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mdmsdk.client.verdict import as_key
from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.federation.merge import Status
from mdmsdk.identifiers import Guid, Hostname, Key, Mac, Username
from mdmsdk.proof import shows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.federation.merge import Outcome
    from mdmsdk.provider import MdmProvider

__all__ = ["as_chain", "by_name", "goes_on", "held_against", "in_scope", "renewed", "spoken"]

_MOST = 16
"""Identifiers of one device; a certificate holds a few."""
_WEAK = frozenset({Mac, Hostname, Username})
"""Kinds that are easily copied, or that several devices share."""
_FALLBACK = "found by its {} alone, which may be another device's: no server knows the {} asked for first"


def as_chain(given: Key | str | Iterable[Key | str]) -> tuple[Key, ...]:
    """The identifiers in the order in which to ask, without repeats; randomised MAC addresses come last.

    Raises:
        InvalidIdentifierError: there is none, one is no key, or there are more than one device has.
    """
    if isinstance(given, str | Key) or not isinstance(given, Iterable):
        return (as_key(given),)
    keys = dict.fromkeys(map(as_key, given))
    if not 0 < len(keys) <= _MOST:
        raise InvalidIdentifierError(f"1 to {_MOST} identifiers of one device are wanted, not {len(keys)}")
    return tuple(sorted(keys, key=lambda key: isinstance(key, Mac) and key.randomized))


def in_scope(key: Key, providers: Mapping[str, MdmProvider]) -> set[str]:
    """The names of the servers to ask for a key.

    A certificate says for which vendor's servers its identifier is. Those are asked, and servers of which
    nobody knows the vendor; all of them where no server is that vendor's.
    """
    issuer = key.issuer if isinstance(key, Guid) else None
    if issuer is None:
        return set(providers)
    word = _folded(issuer)
    own = {name for name, one in providers.items() if word in map(_folded, one.certificate_names)}
    open_to_all = {name for name, one in providers.items() if not one.certificate_names}
    return own | open_to_all if own else set(providers)


def _folded(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def goes_on(outcomes: Iterable[Outcome]) -> bool:
    """Whether the next identifier may be asked for: all that could know this one say that they do not."""
    said = {outcome.status for outcome in outcomes if outcome.judges or outcome.device}
    return said <= {Status.NOT_FOUND, Status.UNSUPPORTED, Status.NOT_ASKED}


def spoken(before: Sequence[Outcome], now: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """What each server said, where nothing was found: a server has spoken if it knows none of the keys."""
    return tuple(
        first if last.status is Status.UNSUPPORTED and first.status is Status.NOT_FOUND else last
        for first, last in zip(before, now, strict=True)
    )


def by_name(before: Iterable[Key]) -> bool:
    """Whether records are held against a user's name, which those that were kept may not show any more."""
    return any(isinstance(one, Username) for one in before)


def renewed(before: Sequence[Outcome], now: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """The outcomes, with those of the servers that were asked again."""
    later = {outcome.server: outcome for outcome in now}
    return tuple(later.get(outcome.server, outcome) for outcome in before)


def held_against(
    outcome: Outcome, key: Key, before: Sequence[Key], provider: MdmProvider, *, fallback: bool
) -> Outcome:
    """The outcome of a later identifier, after those before it had found nothing.

    A record that shows another value for one of those is no pass, nor is one that only a MAC address or a
    name found after surer identifiers, unless `fallback` says that this is enough.
    """
    device = outcome.device
    if device is None or not before:
        return outcome
    doubts = [
        f"the record shows another {type(one).kind} than the one asked for first: it may be another device's"
        for one in before
        if shows(provider, one, device) is False
    ]
    surer = sorted({type(one).kind for one in before if type(one) not in _WEAK})
    if type(key) in _WEAK and surer and not fallback:
        doubts.append(_FALLBACK.format(key.kind, " and ".join(surer)))
    return outcome.model_copy(update={"device": device.doubted(*doubts)}) if doubts else outcome
