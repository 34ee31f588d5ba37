"""The servers of a federation while one question is asked: who is left out, and whom nobody waits for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdmsdk._run.budget import Hurry
from mdmsdk.errors import DeadlineExceededError, MdmError
from mdmsdk.federation.merge import Outcome, Status
from mdmsdk.models import ComplianceState, LookupResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk._run.budget import Budget
    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.identifiers import Key

__all__ = ["Asking", "Broken", "Question", "not_asked"]


@dataclass(frozen=True, slots=True)
class Broken:
    """A server that cannot be asked at all: its settings, its secret or its plugin is not usable.

    Attributes:
        error: why.
        judges: whether answers are incomplete without it.
    """

    server: str
    provider: str
    error: MdmError
    judges: bool = True

    def outcome(self) -> Outcome:
        """What it contributes to each answer."""
        return Outcome(
            server=self.server,
            provider=self.provider,
            status=Status.ERROR,
            error=self.error,
            judges=self.judges,
        )


def not_asked(client: AsyncMdmClient) -> Outcome:
    """The outcome of a server to which a key does not belong."""
    provider = client.provider
    return Outcome(
        server=client.server,
        provider=provider.name,
        status=Status.NOT_ASKED,
        judges=provider.settings.judges,
    )


class Question:
    """Some keys that several servers are asked for at once.

    Args:
        keys: what to ask for.
        patience: seconds that a server may take longer than the first one that answers.
        whole: the time for all of it; None for as long as a policy gives each request.
        early: end at the first managed record that does not comply.
        bulk: there are many keys, so that a server that answers anything at all is waited for.
    """

    def __init__(
        self,
        keys: Sequence[Key | str],
        patience: float,
        *,
        whole: Budget | None = None,
        early: bool = False,
        bulk: bool = False,
    ) -> None:
        self.keys = keys
        self.patience = patience
        self.whole = whole
        self.bulk = bulk
        self._early = early
        self._first: float | None = None
        self._settled = False

    def note(self, results: Sequence[LookupResult]) -> None:
        """Take into account that a server has given all its results."""
        if self._first is None and any(result.error is None for result in results):
            self._first = time.monotonic()
        self._settled = self._settled or (self._early and all(map(_is_settled, results)))

    def until(self, heard_at: float) -> float | None:
        """How long to wait for a server that last answered something at this time."""
        if self._settled:
            return 0.0
        if self._first is None:
            return None
        return self.patience + (max(self._first, heard_at) if self.bulk else self._first)

    def late(self) -> DeadlineExceededError:
        """Why a server has no result."""
        if self._settled:
            return DeadlineExceededError("not waited for: what another server said against the device stands")
        return DeadlineExceededError(
            f"no answer within the {self.patience:g} s that others are kept waiting for it",
            hint="Look with `mdm doctor` why it is slow, or raise patience in the table federation.",
        )


def _is_settled(result: LookupResult) -> bool:
    device = result.device
    return bool(device and device.registered and device.compliance.state is ComplianceState.NONCOMPLIANT)


class Asking:
    """One server that is asked.

    Attributes:
        results: what it gave so far, in the order of the keys.
    """

    def __init__(self, client: AsyncMdmClient, question: Question) -> None:
        self.client = client
        self.results: list[LookupResult] = []
        self._question = question
        self._hurry = Hurry(question.whole)

    async def run(self) -> None:
        """Ask for all keys."""
        keys, size = self._question.keys, self.client.window
        for start in range(0, len(keys), size):
            self.results += await self.client._lookup_window(keys[start : start + size], self._hurry)  # noqa: SLF001
        self._question.note(self.results)

    def until(self) -> float | None:
        """How long to wait for it, as far as is known now."""
        return self._question.until(self.client._runner.shared.heard_at)  # noqa: SLF001

    def leave(self) -> None:
        """Note that nobody waits for it any longer."""
        self._hurry.left = True

    def outcomes(self) -> list[Outcome]:
        """One outcome for each key."""
        provider = self.client.provider
        missing = self._question.keys[len(self.results) :]
        results = [*self.results, *(LookupResult(key=key, error=self._late()) for key in missing)]
        return [
            Outcome.of(self.client.server, provider.name, result, judges=provider.settings.judges)
            for result in results
        ]

    def _late(self) -> MdmError:
        error = self._question.late()
        error.locate(server=self.client.server, provider=self.client.provider.name, operation="find")
        return error
