"""For tests of plugins and applications: fakes, the contract suite, `play`, both modes, cassettes, scrubbing.

Needs the extra ``mdmsdk[testing]``, but for the fakes: `FakeMdmClient` and its kin. Its fixtures come with
the pytest plugin and need no import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdmsdk.testing.cassettes import Operation, load_operations, recording, replaying
    from mdmsdk.testing.contract import FAULTS, BaseProviderContract
    from mdmsdk.testing.fakes import (
        FakeAsyncMdmClient,
        FakeAsyncMdmFederation,
        FakeMdmClient,
        FakeMdmFederation,
        FakeServer,
    )
    from mdmsdk.testing.modes import MODES, Modal, open_client, open_federation
    from mdmsdk.testing.playing import Played, play
    from mdmsdk.testing.scrub import Pseudonyms
    from mdmsdk.testing.secrets import find_secrets, secret_values

if _pytest := sys.modules.get("pytest"):  # the fakes do without it
    _pytest.register_assert_rewrite("mdmsdk.testing.contract")

__all__ = [
    "FAULTS",
    "MODES",
    "BaseProviderContract",
    "FakeAsyncMdmClient",
    "FakeAsyncMdmFederation",
    "FakeMdmClient",
    "FakeMdmFederation",
    "FakeServer",
    "Modal",
    "Operation",
    "Played",
    "Pseudonyms",
    "find_secrets",
    "load_operations",
    "open_client",
    "open_federation",
    "play",
    "recording",
    "replaying",
    "secret_values",
]

# Pytest loads the plugin below this package in every project where mdmsdk is installed: nothing else is
# imported before a name is used, so that it costs nothing there and needs no extra.
_HOMES = ("fakes", "playing", "modes", "scrub", "secrets", "cassettes", "contract")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"mdmsdk.testing.{home}")
            if name in module.__all__:
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
