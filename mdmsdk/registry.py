"""Providers and simulators by name, from the entry points of installed distributions.

Nothing is imported but the one plugin that is asked for; a broken plugin harms only itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points, metadata
from typing import Any

from stevedore.named import NamedExtensionManager

from mdmsdk.errors import ProviderLoadError, UnknownProviderError
from mdmsdk.provider import Limits, MdmProvider, contract_of

__all__ = ["PROVIDERS", "SIMULATORS", "PluginInfo", "installed", "load_provider", "load_simulator"]

PROVIDERS = "mdmsdk.providers"
SIMULATORS = "mdmsdk.simulators"
_OLDEST = 1
"""The oldest version of the contract whose plugins still work."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """An installed plugin, as its distribution describes it, not imported."""

    name: str
    distribution: str | None
    version: str | None
    target: str


def installed(group: str = PROVIDERS) -> list[PluginInfo]:
    """All installed plugins of a group, by name."""
    # Read afresh: stevedore's cache on disk forgets which distribution an entry point belongs to.
    return sorted(map(_describe, entry_points(group=group)), key=lambda plugin: plugin.name)


def _describe(point: EntryPoint) -> PluginInfo:
    if point.dist is None:
        return PluginInfo(point.name, None, None, point.value)
    return PluginInfo(point.name, point.dist.name, point.dist.version, point.value)


def _load(group: str, name: str) -> Any:
    named = [plugin for plugin in installed(group) if plugin.name == name]
    if not named:
        known = ", ".join(plugin.name for plugin in installed(group)) or "none"
        raise UnknownProviderError(
            f"no installed plugin provides {name!r}; installed are: {known}",
            provider=name,
            hint=_how_to_get(name),
        )
    if len({plugin.target for plugin in named}) > 1:
        owners = " and ".join(sorted(str(plugin.distribution) for plugin in named))
        raise ProviderLoadError(
            f"{name!r} is provided twice, by {owners}", provider=name, hint="Uninstall one of the two."
        )
    failures: list[BaseException] = []
    # With the callback stevedore tells us, and logs no traceback of its own.
    manager: NamedExtensionManager[Any] = NamedExtensionManager(
        group, names=[name], on_load_failure_callback=lambda _manager, _point, error: failures.append(error)
    )
    if failures:
        owner, cause = named[0].distribution, failures[0]
        raise ProviderLoadError(
            f"the plugin {name!r} of {owner} could not be loaded: {type(cause).__name__}: {cause}",
            provider=name,
            hint=f"Reinstall it with what it needs: pip install --force-reinstall {owner}",
        ) from cause
    return manager[name].plugin


def _how_to_get(name: str) -> str:
    # Only plugins that core itself names: a made-up name might belong to somebody else.
    vendor = name.partition("-")[0]
    if vendor in (metadata("mdmsdk").get_all("Provides-Extra") or []):
        return f"Check the spelling, or install the plugin: pip install 'mdmsdk[{vendor}]'"
    return "Check the spelling, or install the plugin that provides it."


def load_provider(name: str) -> type[MdmProvider]:
    """The provider class of that name.

    Raises:
        UnknownProviderError: no installed plugin has the name.
        ProviderLoadError: importing it failed, it is no provider of this contract, or two share the name.
    """
    loaded = _load(PROVIDERS, name)
    if not (isinstance(loaded, type) and issubclass(loaded, MdmProvider)):
        raise ProviderLoadError(
            f"the entry point {name!r} is no MdmProvider class",
            provider=name,
            hint="Report it to its publisher.",
        )
    declared = {"name": str, "vendor": str, "settings_type": type, "keys": frozenset, "limits": Limits}
    if wrong := [
        word for word, kind in declared.items() if not isinstance(getattr(loaded, word, None), kind)
    ]:
        raise ProviderLoadError(
            f"{name!r} does not declare what a provider has to: {', '.join(wrong)}",
            provider=name,
            hint="Report it to its publisher.",
        )
    _check_contract(name, loaded)
    return loaded


def _check_contract(name: str, loaded: type[MdmProvider]) -> None:
    version, current = contract_of(loaded), MdmProvider.contract_version
    if version > current:
        raise ProviderLoadError(
            f"{name!r} is written for contract version {version}, this mdmsdk knows {_OLDEST} to {current}",
            provider=name,
            hint="Update mdmsdk: pip install --upgrade mdmsdk",
        )
    if version < _OLDEST:
        raise ProviderLoadError(
            f"{name!r} is written for contract version {version}, this mdmsdk knows {_OLDEST} to {current}",
            provider=name,
            hint="Update the plugin, or ask its publisher for a release that fits this mdmsdk.",
        )
    if version < current:
        warnings.warn(
            f"the provider {name!r} is written for contract version {version}; the next version of mdmsdk "
            f"will refuse it: let login() take a second argument, previous",
            DeprecationWarning,
            stacklevel=3,
        )


def load_simulator(name: str) -> Any:
    """The simulator class of that name; raises as `load_provider` does."""
    return _load(SIMULATORS, name)
