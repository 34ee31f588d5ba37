"""The runner: what a client has the methods of its provider performed by."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

from mdmsdk._run.budget import Budget
from mdmsdk._run.operation import Operation
from mdmsdk._run.plugin import Plugin
from mdmsdk._run.state import Shared
from mdmsdk._run.telemetry import Watched
from mdmsdk.errors import ClientClosedError, MdmError
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
        self.plugin: Plugin = Plugin(provider)
        self.server = server
        self.policy = policy
        self.is_twin = False
        self.shared: Shared = Shared(waits, provider, http)
        self.secrets: Secrets = Secrets(secret_values(provider.settings))

    @property
    def provider(self) -> MdmProvider:
        """The provider whose flows are run."""
        return self.plugin.provider

    async def renew(self, provider: MdmProvider) -> None:
        """Go on with the secrets of another provider of the same class: what comes next logs in anew."""
        self.secrets.keep(secret_values(provider.settings))
        self.plugin.provider = provider
        if http := self.shared.renew(provider.settings):
            await self.shared.waits.close(http)

    def with_policy(self, policy: Policy) -> Runner:
        """The same server, limits, tokens and connections under another policy."""
        twin = copy.copy(self)
        twin.policy = policy
        twin.is_twin = True
        return twin

    async def run(self, operation: str, budget: Budget, method: str, *args: Any) -> Any:
        """Perform the flow of a provider's method, and give its result.

        Raises:
            MdmError: with server, provider and operation filled in.
        """
        with sealed(self.secrets):
            try:
                if self.shared.closed:
                    raise ClientClosedError("the client is closed")
                with Watched(operation, method, self.server, self.provider.name) as seen:
                    return await Operation(self, budget, seen).observed(method, *args)
            except MdmError as error:
                told = error
                if self.shared.closed and not isinstance(error, ClientClosedError):
                    told = ClientClosedError("the client was closed meanwhile")
                told.locate(server=self.server, provider=self.provider.name, operation=operation)
                if told is not error:
                    raise told from None
                raise

    async def aclose(self) -> None:
        """End what is under way, give credentials back and close the connections.

        Not for one that was made by `with_policy`: what it shares is not its own.
        """
        if self.is_twin or self.shared.closed:
            return
        try:
            for token in self.shared.close():
                try:
                    await Operation(self, Budget(self.policy.timeout)).ask("logout", token)
                except MdmError as error:
                    _log.info("%s: giving the token back failed: %s", self.server, error.message)
        finally:
            if http := self.shared.take_http():
                await self.shared.waits.close(http)
            if self.shared.limits:
                await self.shared.limits.aclose()
