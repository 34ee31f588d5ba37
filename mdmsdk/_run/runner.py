"""The runner: what a client has the methods of its provider performed by."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

from mdmsdk._run.budget import Budget
from mdmsdk._run.operation import Operation
from mdmsdk._run.plugin import Plugin
from mdmsdk._run.state import Shared
from mdmsdk.errors import MdmError
from mdmsdk.settings import secret_values
from mdmsdk.silence import sealed
from mdmsdk.words import Secrets

if TYPE_CHECKING:
    from types import ModuleType

    from mdmsdk.provider import MdmProvider
    from mdmsdk.settings import Policy

_log = logging.getLogger("mdmsdk.run")


class Runner:
    """Runs a provider's flows. Clients with another policy share everything else with the first."""

    def __init__(
        self, waits: ModuleType, provider: MdmProvider, server: str, policy: Policy, http: Any = None
    ) -> None:
        self.provider = provider
        self.plugin = Plugin(provider)
        self.server = server
        self.policy = policy
        self.shared = Shared(waits, provider, http)
        self.secrets = Secrets(secret_values(provider.settings))

    def with_policy(self, policy: Policy) -> Runner:
        """The same server, limits, tokens and connections under another policy."""
        twin = copy.copy(self)
        twin.policy = policy
        return twin

    async def run(self, operation: str, budget: Budget, method: str, *args: Any) -> Any:
        """Perform the flow of a provider's method, and give its result.

        Raises:
            MdmError: with server, provider and operation filled in.
        """
        with sealed(self.secrets):
            try:
                return await Operation(self, budget).observed(method, *args)
            except MdmError as error:
                error.locate(server=self.server, provider=self.provider.name, operation=operation)
                raise

    async def aclose(self) -> None:
        """Give credentials back and close the connections. The runner may be used again."""
        state = self.shared.now
        try:
            for token in state.tokens.drain():
                try:
                    await Operation(self, Budget(self.policy.timeout)).ask("logout", token)
                except MdmError as error:
                    _log.info("%s: giving the token back failed: %s", self.server, error.message)
        finally:
            if http := self.shared.take_http():
                await self.shared.waits.close(http)
