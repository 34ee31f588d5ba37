"""What a provider declares, and what its objects keep and show."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from mdmsdk.client.build import checked
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.provider import Capability, Limits, MdmProvider
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.settings import ProviderSettings
from mdmsdk.testing.contract.base import Stand
from mdmsdk.testing.imports import performing, within
from mdmsdk.testing.observing import io_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator.fleet import Fleet
    from mdmsdk.simulator.server import RunningSimulator
    from mdmsdk.testing.modes import Modal

__all__ = ["Declares"]

# Each with the method that states it, and another one by which the default of that does.
_METHODS = {
    Capability.BATCH: ("find_batch",),
    Capability.INVENTORY: ("devices_page", "devices_since"),
    Capability.REASONS: ("reasons",),
    Capability.CHANGES: ("devices_since",),
}


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

    def test_declares_the_capabilities_that_it_has(self) -> None:
        kind = load_provider(self.provider)
        wrong = []
        for capability, methods in _METHODS.items():
            has = any(getattr(kind, one) is not getattr(MdmProvider, one) for one in methods)
            method, *_ = methods
            own = any(method in vars(base) for base in kind.__mro__ if not within(base.__module__, "mdmsdk"))
            if capability in kind.capabilities and not has:
                wrong.append(f"{capability} is declared, and {method} is missing")
            if own and capability not in kind.capabilities:
                wrong.append(f"{method} is there, and {capability} is not declared")
        if (Capability.BATCH in kind.capabilities) != (kind.limits.batch_size > 1):
            wrong.append(
                f"batch is {'' if Capability.BATCH in kind.capabilities else 'not '}declared with a "
                f"batch_size of {kind.limits.batch_size}"
            )
        assert wrong == []

    def test_describes_and_does_not_perform(self) -> None:
        kinds = load_provider(self.provider), load_simulator(self.provider)
        assert performing(*kinds) == [], "vendor code describes, core performs"

    def test_constructor_keeps_values_and_does_nothing_else(self, running: RunningSimulator[Any]) -> None:
        kind = load_provider(self.provider)
        settings = checked(kind.settings_type, self.settings(running), self.provider)
        done: list[str] = []
        with io_of(done):
            provider = kind(settings)
        assert done == [], "no I/O in the constructor"
        assert len(running.simulator.requests) == 0
        assert isinstance(provider, MdmProvider)

    def test_keeps_nothing_between_calls(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        before = _kept(client.provider)
        client.lookup(self.some_key(running, fleet))
        list(client.lookup_many([self.some_key(running, fleet), "not a key at all"]))
        list(client.noncompliant())
        if Capability.INVENTORY in client.provider.capabilities:
            list(client.devices())
        after = _kept(client.provider)
        changed = [name for name, kept in before.items() if after[name] != kept]
        assert changed == [], "what a later call needs goes into Description or Token"


def _kept(provider: MdmProvider) -> dict[str, Any]:
    """What a provider, its settings, its class and the modules of its plugin keep, each by its name."""
    settings = provider.settings
    kept = {f"settings.{name}": _state(getattr(settings, name)) for name in type(settings).model_fields}
    kept["the provider"] = _state(provider)
    own = [base for base in type(provider).__mro__ if not within(base.__module__, "mdmsdk")]
    top = type(provider).__module__.partition(".")[0]
    modules = [module for name, module in sys.modules.items() if within(name, top) and top != "mdmsdk"]
    places: list[Any] = [*own, *modules]
    for place in places:
        for name, value in list(vars(place).items()):
            if isinstance(value, dict | list | set | deque) and not name.startswith("__"):
                kept[f"{place.__name__}.{name}"] = _state(value)
    return kept


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
