"""A client of a provider's simulator, between which a test sees every request."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mdmsdk._run.library import lib
from mdmsdk._run.trust import tls_context
from mdmsdk.client.build import make_provider
from mdmsdk.registry import load_simulator
from mdmsdk.simulator import serve
from mdmsdk.testing import open_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mdmsdk.simulator import Fleet
    from mdmsdk.testing import Modal


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
        given = {**running.settings, **settings}
        given.pop("provider", None)
        provider = make_provider(name, given)
        vars(provider).update(limits=replace(provider.limits, rate=None, total_rate=None))
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
