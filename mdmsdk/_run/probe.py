"""The way to a server in single steps, each apart from all others, over what all exchanges go over."""

from __future__ import annotations

import ssl
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from mdmsdk._run.budget import Budget
from mdmsdk._run.http import first_cause
from mdmsdk._run.library import core
from mdmsdk._run.net import reaching, resolving
from mdmsdk._run.operation import Operation
from mdmsdk._run.trust import seeing_context
from mdmsdk.errors import MdmError, TlsError
from mdmsdk.silence import sealed
from mdmsdk.wire import Request
from mdmsdk.words import safe_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk._run.names import Address
    from mdmsdk._run.proxies import Way
    from mdmsdk._run.runner import Runner
    from mdmsdk.wire import Response


class Sight(NamedTuple):
    """What a TLS handshake showed.

    Attributes:
        chain: the certificates that the other side sent, its own first, in DER.
        version: of TLS.
        code: OpenSSL's reason for not trusting the chain (X509_V_ERR...); None where it is trusted.
        words: the same in words.
    """

    chain: Sequence[bytes]
    version: str | None
    code: int | None = None
    words: str = ""


def refused_by_proxy(error: MdmError) -> str | None:
    """What a proxy said when it refused the way; None where it did not."""
    refusal = first_cause(error, core.ProxyError)
    return safe_words(str(refusal)) if refusal else None


class Probe:
    """Takes single steps of the way to a runner's server; everything else is the runner's own work."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._waits = runner.shared.waits

    def way(self, url: str) -> Way:
        """By which proxy an address is reached, and why.

        Raises:
            ConfigurationError: the proxy's address cannot be used.
        """
        way: Way = self._runner.shared.http().way(url)
        return way

    async def resolve(self, host: str, port: int, seconds: float) -> Sequence[Address]:
        """The addresses of a host.

        Raises:
            OSError: there are none, or not in time.
        """
        found: Sequence[Address] = await self._waits.network(resolving(host, port), seconds)
        return found

    async def reach(self, addresses: Sequence[Address], seconds: float) -> list[OSError | None]:
        """What becomes of a connection to each of the addresses: None where one answers."""
        outcomes: list[OSError | None] = await self._waits.network(reaching(addresses), seconds)
        return outcomes

    async def look(self, url: str, seconds: float) -> Sight:
        """Who answers under TLS, and whether it is to be trusted; nothing is sent.

        Raises:
            TransportError: there was no handshake to look at.
        """
        try:
            seen = await self._look(url, seconds)
        except TlsError as error:
            refusal = first_cause(error, ssl.SSLCertVerificationError)
            if refusal is None:
                raise
            seen = await self._look(url, seconds, seeing_context())
            return Sight(seen.chain, seen.version, refusal.verify_code, str(refusal.verify_message))
        return Sight(seen.chain, seen.version)

    async def _look(self, url: str, seconds: float, context: ssl.SSLContext | None = None) -> Any:
        http, state = self._runner.shared.http(), self._runner.shared.now
        budget = Budget(seconds)
        turn = state.gate.turn()
        try:
            await turn.take(budget)
            look = partial(http.look, url, budget.remaining(), context)
            return await self._waits.exchange(look, budget, state.pool, turn, quiet=True)
        finally:
            if not turn.lent:
                turn.done()

    async def ask(self, url: str, seconds: float) -> tuple[Response, float]:
        """Any answer to a request without a credential, and the seconds that it took.

        Raises:
            TransportError: there was none.
        """
        request = Request("GET", url, audience=None)
        began = time.monotonic()
        # It is policy.timeout that ends it: the budget is more than that.
        response = await Operation(self._runner, Budget(2 * seconds)).exchange_once(request)
        return response, time.monotonic() - began

    async def log_in(self, audience: str, seconds: float) -> None:
        """Have a credential for an audience, from the runner's store or from a login.

        Raises:
            MdmError: there is none.
        """
        runner = self._runner
        with sealed(runner.secrets):
            try:
                await Operation(runner, Budget(seconds)).token(audience)
            except MdmError as error:
                error.locate(server=runner.server, provider=runner.provider.name, operation="login")
                raise

    @property
    def fields(self) -> Mapping[str, str]:
        """The header of the server's last good answer."""
        return self._runner.shared.clock.fields
