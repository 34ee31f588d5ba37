"""What the server said about itself, and what is asked with that."""

from __future__ import annotations

import copy
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Self

from mdmsdk._run.budget import Budget
from mdmsdk.errors import EndpointNotFoundError, MdmError

if TYPE_CHECKING:
    from types import ModuleType

    from mdmsdk._run.runner import Runner
    from mdmsdk.models import ServerInfo

__all__ = ["Described"]

_log = logging.getLogger("mdmsdk.client")
# The share of `info_ttl` after which the description is read again while lookups go on.
_RENEW_EARLY = 0.8


class _Description:
    """Shared by clients with different policies."""

    def __init__(self) -> None:
        self.info: ServerInfo | None = None
        self.read_at = 0.0
        self.renew_after = 0.0


class Described:
    """A server whose description is known, or read when it is needed.

    Args:
        runner: performs what is asked.
        waits: how the client waits.
    """

    def __init__(self, runner: Runner, waits: ModuleType) -> None:
        self._runner = self._home = runner
        self._waits = waits
        self._known = _Description()

    def under(self, runner: Runner) -> Self:
        """The same server and description under the policy of another runner."""
        twin = copy.copy(self)
        twin._runner = runner  # noqa: SLF001 - it is one of these
        return twin

    async def read(self, operation: str, budget: Budget, *, fresh: bool = False) -> ServerInfo:
        """The server's description, from memory if it is young enough; asked for by one flow at a time."""
        known, policy = self._known, self._runner.policy
        asked_at = time.monotonic()
        if not fresh and known.info and asked_at < known.read_at + policy.info_ttl:
            if asked_at > max(known.read_at + policy.info_ttl * _RENEW_EARLY, known.renew_after):
                known.renew_after = math.inf
                self._waits.detach(self._read_again)
            return known.info
        turn = self._runner.shared.now.describing.turn()
        try:
            await turn.take(budget)
            if known.info is None or known.read_at < asked_at:
                info = await self._runner.run(operation, budget, "heartbeat")
                known.info = info.model_copy(
                    update={"server": self._runner.server, "provider": self._runner.provider.name}
                )
                known.read_at = time.monotonic()
            return known.info
        finally:
            turn.done()

    async def _read_again(self) -> None:
        """Read the description again before it is too old, while lookups go on with the old one."""
        # Whatever patience the lookup has that noticed.
        home, policy = self.under(self._home), self._home.policy
        try:
            await home.read("heartbeat", Budget(policy.deadline), fresh=True)
        except MdmError as error:
            _log.info("%s: reading the description again failed: %s", self._runner.server, error.message)
        finally:
            self._known.renew_after = time.monotonic() + policy.info_ttl * (1 - _RENEW_EARLY) / 4

    async def ask(self, operation: str, method: str, *args: Any, budget: Budget) -> Any:
        """What a method gives that needs the description; if that proves stale, with a new one."""
        known = self._known.info
        info = await self.read(operation, budget)
        try:
            return await self._runner.run(operation, budget, method, info, *args)
        except EndpointNotFoundError:
            if info is not known:
                raise
            info = await self.read(operation, budget, fresh=True)
            if info.same_as(known):
                raise
            return await self._runner.run(operation, budget, method, info, *args)
