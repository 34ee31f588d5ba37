"""A client of a provider's simulator, between which a test sees every request."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mdmsdk._run.library import lib
from mdmsdk._run.trust import tls_context
from mdmsdk.client.build import make_provider
from mdmsdk.registry import SIMULATORS, installed, load_provider, load_simulator
from mdmsdk.simulator import IseSimulator, serve
from mdmsdk.testing import open_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mdmsdk.provider import Capability, MdmProvider
    from mdmsdk.simulator import Fleet, RunningSimulator
    from mdmsdk.testing import Modal


def _simulated(*, ise: bool) -> list[str]:
    names = [plugin.name for plugin in installed(SIMULATORS)]
    return [name for name in names if issubclass(load_simulator(name), IseSimulator) == ise]


def natives(*capabilities: Capability) -> list[str]:
    """The simulated providers with these capabilities that speak their vendor's own protocol."""
    own = [name for name in _simulated(ise=False) if not name.endswith("-ise")]
    return [name for name in own if load_provider(name).capabilities >= {*capabilities}]


def dialects() -> list[str]:
    """The simulated providers that speak Cisco ISE's protocol."""
    return _simulated(ise=True)


def unlimited(running: RunningSimulator[Any], **settings: Any) -> MdmProvider:
    """A provider for a running simulator, without a rate limit."""
    given = {**running.settings, **settings}
    provider = make_provider(given.pop("provider"), given)
    vars(provider).update(limits=replace(provider.limits, rate=None, total_rate=None))
    return provider


@contextmanager
def relayed(
    name: str,
    fleet: Fleet,
    mode: str,
    see: Callable[[Any], None],
    habits: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Modal]:
    """A client without a rate limit.

    Args:
        name: the provider.
        fleet: what the simulator knows.
        mode: of the client.
        see: is shown each request before it is sent, and may raise instead.
        habits: switches of the simulator.
        settings: beside those that the simulator gives.
    """
    with serve(load_simulator(name)(fleet, **(habits or {}))) as running:
        provider = unlimited(running, **settings)
        with lib.HTTPTransport(verify=tls_context(provider.settings.tls)) as onward:

            def answer(asked: Any) -> Any:
                see(asked)
                reply = onward.handle_request(asked)
                reply.read()
                fields = {key: value for key, value in reply.headers.items() if key != "content-encoding"}
                return lib.Response(reply.status_code, headers=fields, content=reply.content)

            kind = lib.Client if mode == "sync" else lib.AsyncClient
            http = kind(transport=lib.MockTransport(answer))
            with open_client(provider, mode, http=http) as client:
                yield client
                client.run(http.close if mode == "sync" else http.aclose)
