"""Providers and simulators by name, from the entry points of installed distributions.

Nothing is imported but the one plugin that is asked for; a broken plugin harms only itself.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, is_dataclass
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points, metadata
from inspect import isfunction
from pathlib import Path
from typing import Any

from stevedore.named import NamedExtensionManager

from mdmsdk.errors import ProviderLoadError, UnknownProviderError
from mdmsdk.identifiers import KEY_KINDS
from mdmsdk.provider import Capability, Limits, MdmProvider, contract_of
from mdmsdk.refusals import Refusal
from mdmsdk.settings import ProviderSettings
from mdmsdk.words import nearest

__all__ = [
    "PROVIDERS",
    "SIMULATORS",
    "PluginInfo",
    "_faults_of",
    "installed",
    "load_provider",
    "load_simulator",
]

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
    return sorted(map(_describe, _points(group)), key=lambda plugin: plugin.name)


def _points(group: str) -> EntryPoints:
    # Read afresh: stevedore's cache on disk forgets which distribution an entry point belongs to.
    return _points_in(group, tuple((place, _changed(place)) for place in sys.path))


@lru_cache(maxsize=4)  # who loads all plugins reads all metadata once, and not once for each
def _points_in(group: str, _places: tuple[tuple[str, int], ...]) -> EntryPoints:
    return entry_points(group=group)


def _changed(place: str) -> int:
    """When something was last installed there, or taken away; 0 where nothing can be."""
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return 0


def _describe(point: EntryPoint) -> PluginInfo:
    if point.dist is None:
        return PluginInfo(point.name, None, None, point.value)
    return PluginInfo(point.name, point.dist.name, point.dist.version, point.value)


def _load(group: str, name: str) -> Any:
    # A search of everything that is installed is too dear for each client that an application makes.
    return _loaded(group, name, tuple(sys.path))


@cache  # keeps what loaded well; what did not is looked for again
def _loaded(group: str, name: str, _places: tuple[str, ...]) -> Any:
    points = _points(group)
    named = [_describe(point) for point in points.select(name=name)]
    if not named:
        known = [plugin.name for plugin in installed(group)]
        raise UnknownProviderError(
            f"no installed plugin provides {name!r}"
            f"{nearest(name, known) or ';'} installed are: {', '.join(known) or 'none'}",
            provider=name,
            hint=_how_to_get(name),
        )
    if len({plugin.target for plugin in named}) > 1:
        owners = " and ".join(sorted(str(plugin.distribution) for plugin in named))
        raise ProviderLoadError(
            f"{name!r} is provided twice, by {owners}", provider=name, hint="Uninstall one of the two."
        )
    failures: list[BaseException] = []
    # What was installed since the process began is found as well, as `installed` does.
    NamedExtensionManager.ENTRY_POINT_CACHE[group] = list(points)
    try:
        # With the callback stevedore tells us, and logs no traceback of its own.
        manager: NamedExtensionManager[Any] = NamedExtensionManager(
            group,
            names=[name],
            on_load_failure_callback=lambda _manager, _point, error: failures.append(error),
        )
    except (AssertionError, SystemExit) as error:  # stevedore passes them on
        failures.append(error)
    else:
        if not failures:
            return manager[name].plugin
    owner, cause = named[0].distribution, failures[0]
    raise ProviderLoadError(
        f"the plugin {name!r} of {owner} could not be loaded: {type(cause).__name__}: {cause}",
        provider=name,
        hint=f"Reinstall it with what it needs: pip install --force-reinstall {owner}",
    ) from cause


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
        raise _not_usable(PROVIDERS, name, ["it is no MdmProvider class"])
    if faults := _faults_of(name, loaded):
        raise _not_usable(PROVIDERS, name, faults)
    _check_contract(name, loaded)
    return loaded


def _not_usable(group: str, name: str, faults: Sequence[str]) -> ProviderLoadError:
    owners = {plugin.distribution for plugin in installed(group) if plugin.name == name}
    return ProviderLoadError(
        f"the plugin {name!r} of {' and '.join(map(str, owners))} cannot be used: {'; '.join(faults)}",
        provider=name,
        hint="Report it to its publisher; whoever writes it finds what is wrong with: mdm plugin check",
    )


def _faults_of(name: str, provider: type[MdmProvider]) -> list[str]:
    """What a class lacks, or declares wrongly, to be the provider of that name; each with its remedy."""
    faults = []
    if (own := getattr(provider, "name", None)) != name:
        faults.append(f"its name is {own!r}, which has to be that of its entry point")
    declared: dict[str, tuple[Callable[[Any], bool], str]] = {
        "vendor": (lambda value: isinstance(value, str) and bool(value), "a text"),
        "settings_type": (lambda value: _is_class(value, ProviderSettings), "a ProviderSettings class"),
        "keys": (_are_kinds, "a frozenset of classes of keys, such as frozenset({Mac})"),
        "loose": (_are_kinds, "a frozenset of classes of keys"),
        "never_shown": (_are_kinds, "a frozenset of classes of keys"),
        "partial": (
            lambda value: isinstance(value, Mapping) and _are_kinds(value.keys()),
            "counts by class of key",
        ),
        "capabilities": (
            lambda value: isinstance(value, AbstractSet) and value <= set(Capability),
            "a frozenset of members of Capability",
        ),
        "limits": (lambda value: isinstance(value, Limits), "Limits(...)"),
        "refusals": (_are_refusals, "a tuple of Refusal"),
        "may_be_empty": (_is_pattern, "a regular expression or None"),
        "contract_version": (lambda value: isinstance(value, int), "a whole number"),
    }
    faults += [
        f"{word} has to be {wanted}"
        for word, (fits, wanted) in declared.items()
        if not fits(getattr(provider, word, None))
    ]
    lacking = sorted(provider.__abstractmethods__)
    faults += [f"it has no method {word}" for word in lacking]
    faults += [
        f"{word} has to be a method"
        for word, method in vars(MdmProvider).items()
        if isfunction(method) and word not in lacking and not callable(getattr(provider, word, None))
    ]
    return faults


def _is_class(value: Any, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)


def _are_kinds(value: Any) -> bool:
    return isinstance(value, AbstractSet) and value <= set(KEY_KINDS.values())


def _are_refusals(value: Any) -> bool:
    # A property gives them for each server.
    return isinstance(value, property) or (
        isinstance(value, Sequence) and all(isinstance(one, Refusal) for one in value)
    )


def _is_pattern(value: Any) -> bool:
    try:
        return value is None or bool(re.compile(value))
    except (re.error, TypeError):
        return False


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
    loaded = _load(SIMULATORS, name)
    if not (isinstance(loaded, type) and callable(getattr(loaded, "routes", None))):
        raise _not_usable(SIMULATORS, name, ["it is no simulator class"])
    faults = []
    if (own := getattr(loaded, "name", None)) != name:
        faults.append(f"its name is {own!r}, which has to be that of its entry point")
    if not is_dataclass(getattr(loaded, "habits_type", None)):
        faults.append("habits_type has to be a frozen dataclass")
    faults += [f"it has no method {word}" for word in sorted(getattr(loaded, "__abstractmethods__", ()))]
    if faults:
        raise _not_usable(SIMULATORS, name, faults)
    return loaded
