"""What a provider declares, and what its objects keep and show."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from mdmsdk.client.build import make_provider
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.provider import Capability, Limits, MdmProvider
from mdmsdk.registry import load_provider
from mdmsdk.settings import ProviderSettings
from mdmsdk.testing.contract.base import Stand
from mdmsdk.testing.secrets import secret_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator.fleet import Fleet
    from mdmsdk.simulator.server import RunningSimulator
    from mdmsdk.testing.modes import Modal

__all__ = ["Declares"]


class Declares(Stand):
    """Tests of what a provider is."""

    def test_declares_what_it_is(self) -> None:
        kind = load_provider(self.provider)
        assert kind.name == self.provider
        assert kind.vendor
        assert kind.keys
        assert kind.keys <= set(KEY_KINDS.values())
        assert kind.capabilities <= set(Capability)
        assert isinstance(kind.limits, Limits)
        assert issubclass(kind.settings_type, ProviderSettings)

    def test_excuses_are_for_tests_and_have_reasons(self) -> None:
        assert [name for name in self.excused if not hasattr(self, name)] == []
        assert all(reason.strip() for reason in self.excused.values())

    def test_constructor_keeps_values_and_does_nothing_else(self, running: RunningSimulator[Any]) -> None:
        provider = make_provider(self.provider, self.settings(running))
        assert len(running.simulator.requests) == 0
        assert isinstance(provider, MdmProvider)

    def test_keeps_nothing_between_calls(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        before = _state(client.provider)
        client.lookup(self.some_key(running, fleet))
        list(client.lookup_many([self.some_key(running, fleet), "not a key at all"]))
        list(client.noncompliant())
        if Capability.INVENTORY in client.provider.capabilities:
            list(client.devices())
        assert _state(client.provider) == before, "what a later call needs goes into Description or Token"

    def test_settings_do_not_show_their_secrets(self, running: RunningSimulator[Any]) -> None:
        settings = make_provider(self.provider, self.settings(running)).settings
        for secret in secret_values(settings):
            assert secret not in repr(settings)
            assert secret not in settings.model_dump_json()


def _state(value: Any) -> Any:
    """What an object keeps, in a form that does not change with it; settings are frozen."""
    if isinstance(value, str | int | float | bytes | type | None):
        return value
    if isinstance(value, Mapping):
        return {repr(name): _state(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [_state(inner) for inner in value]
    inside = {} if isinstance(value, BaseModel) else getattr(value, "__dict__", {})
    return id(value), {name: _state(inner) for name, inner in inside.items() if inner is not value}
