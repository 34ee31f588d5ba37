"""What servers said becomes an answer: whose record stands, what rules say of it, what may be said again."""

from __future__ import annotations

import copy
import time
from operator import is_
from typing import TYPE_CHECKING, Self

from mdmsdk.client.verdict import judge_together, rivals_of, tightened
from mdmsdk.federation.chain import goes_on, held_against
from mdmsdk.federation.merge import Answer, Merge, Outcome, merged
from mdmsdk.federation.remembered import Before, Remembered
from mdmsdk.identifiers import Key
from mdmsdk.models import ComplianceState, Device

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mdmsdk._run.budget import Budget
    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.federation.shelf import Shelf
    from mdmsdk.settings import Rules

__all__ = ["Answers"]


class Answers:
    """The answers of a federation.

    Args:
        clients: its servers, by name.
        merge: which record stands for a device that several know.
        rules: what a device has to fulfil besides.
        fallback: whether a MAC address alone is enough after other identifiers were not found.
        shelf: where what servers said is kept; None without a cache.

    Attributes:
        merge: which record stands for a device that several know.
        rules: what a device has to fulfil besides.
        remembered: the latest answers, which may be given again.
    """

    def __init__(
        self,
        clients: Mapping[str, AsyncMdmClient],
        merge: Merge,
        rules: Rules | None,
        shelf: Shelf | None,
        *,
        fallback: bool,
    ) -> None:
        self.merge: Merge = merge
        self.rules = rules
        self.remembered: Remembered = Remembered()
        self._clients = clients
        self._shelf = shelf
        self._fallback = fallback

    def of(self, clients: Mapping[str, AsyncMdmClient]) -> Self:
        """The same for the same servers with another patience."""
        twin = copy.copy(self)
        twin._clients = clients  # noqa: SLF001 - it is one of these
        return twin

    async def as_before(
        self, chain: Sequence[Key], names: tuple[str, ...], whole: Budget | None, max_age: float | None
    ) -> Answer | None:
        """The answer that was given before, if all servers' words are the same and may be used."""
        known = self.remembered.find(chain[0], names)
        if known is None or self._shelf is None or (known.goes_on and len(chain) > 1):
            return None
        at = whole.at if whole else time.monotonic() + self._least_deadline(names)
        return self._again(known) if await self._shelf.still(known.words, at, max_age) else None

    def _least_deadline(self, names: Iterable[str]) -> float:
        return min([self._clients[name]._runner.policy.deadline for name in names])  # noqa: SLF001

    def _again(self, known: Before) -> Answer | None:
        """An answer of before, if the rules say the same of its device now."""
        answer = known.answer
        if self.rules is None or self.rules.max_days_since_check_in is None:
            return answer
        device = self._by_rules(known.merged, answer.outcomes)
        return answer if device is answer.device or device == answer.device else None

    def answer(
        self,
        key: Key | str,
        outcomes: tuple[Outcome, ...],
        names: tuple[str, ...],
        before: Sequence[Key],
        notes: Collection[str],
    ) -> Answer:
        """What the outcomes come to; remembered for as long as the cache has them.

        Args:
            key: the one that counts.
            outcomes: of all servers.
            names: of those servers.
            before: the keys that were asked for before, and not found.
            notes: what went wrong beside the servers.
        """
        if not isinstance(key, Key) or before or notes or self._shelf is None:
            return self._of(key, merged(outcomes, self.merge), outcomes, before, notes)
        known = self.remembered.find(key, names)
        if known and all(map(is_, known.answer.outcomes, outcomes)) and (same := self._again(known)):
            return same
        device = merged(outcomes, self.merge)
        answer = self._of(key, device, outcomes)
        clients = [self._clients.get(name) for name in names]
        if words := self._shelf.words(clients, key, outcomes):
            self.remembered.keep(key, names, Before(answer, device, goes_on(outcomes), words))
        return answer

    def _of(
        self,
        key: Key | str,
        device: Device | None,
        outcomes: tuple[Outcome, ...],
        before: Iterable[Key] = (),
        notes: Iterable[str] = (),
    ) -> Answer:
        device = self._by_rules(device, outcomes)
        return Answer(key=key, device=device, outcomes=outcomes, before=tuple(before), notes=tuple(notes))

    def _by_rules(self, device: Device | None, outcomes: Iterable[Outcome]) -> Device | None:
        if device is None or self.rules is None:
            return device
        return self._ruled(device, [one.device for one in outcomes if one.device])

    def _ruled(self, device: Device, known: Sequence[Device]) -> Device:
        """The device by the rules; which of them it breaks, any of its records may know."""
        if len(known) == 1:
            return self.tightened(device)
        judged = list(map(self.tightened, (device, *known)))
        broken = [one for one in judged if one.compliance.state is ComplianceState.NONCOMPLIANT]
        rivals = [judged[0], *rivals_of(device, broken)]
        return judge_together(judged[0], rivals, f"{len(known)} servers know the device")

    def tightened(self, device: Device) -> Device:
        """A record of one server, by the rules."""
        if self.rules is None:
            return device
        return tightened(device, self.rules, self._clients[device.server].server_time)

    def held_against(self, outcome: Outcome, key: Key, before: Sequence[Key]) -> Outcome:
        """The outcome of a later identifier of a chain (`mdmsdk.federation.chain.held_against`)."""
        if outcome.server not in self._clients:
            return outcome
        provider = self._clients[outcome.server].provider
        return held_against(outcome, key, before, provider, fallback=self._fallback)
