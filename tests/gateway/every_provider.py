"""The contract of our own `ise` provider, over a gateway in front of each other provider.

Some two thousand tests, and so not among those of every day: `nox -s gateway_contract` runs them.
"""

from __future__ import annotations

import importlib
from typing import Any

from mdmsdk.registry import SIMULATORS, installed
from mdmsdk.testing import BaseProviderContract
from tests.gateway.over import over

VENDORS = ("blackberry", "configmgr", "intune", "ivanti", "jamf", "maas360", "meraki", "soti", "workspaceone")

_TWICE = (
    "two records of a device that enrolled twice differ by the vendor's own id, which does not come through"
)
_LISTS = (
    "test_inventory_is_the_whole_fleet_or_refused",
    "test_no_device_is_lost_while_others_come_and_go",
    "test_rules_excuse_nothing_and_prove_nothing",
)
_SILENT = "the server's list of all devices has no verdicts, and what is not known is no pass to the protocol"
_ALL_LISTS = dict.fromkeys((*_LISTS, "test_noncompliant_list_is_the_truth"), _TWICE)
CHANGES: dict[str, dict[str, Any]] = {
    # By REST alone one device of the fleet does not comply, and one makes no pages.
    "blackberry": {
        "habits": {"usual": {}},
        "excused": {"test_rules_excuse_nothing_and_prove_nothing": _SILENT},
    },
    "configmgr": {"excused": _ALL_LISTS},
    "maas360": {"excused": _ALL_LISTS},
    "soti": {"excused": dict.fromkeys(_LISTS, _TWICE)},
}
PRESET = {"with inventory": {"accepts": frozenset({"inventory"})}}


def _contracts() -> dict[str, type[BaseProviderContract]]:
    """The contract class of each provider that has a simulator, by the provider's name."""
    names = ["tests.ise.test_contract", *(f"tests.vendors.{one}.test_{one}_contract" for one in VENDORS)]
    modules = map(importlib.import_module, names)
    members = [member for module in modules for name, member in vars(module).items() if name[:4] == "Test"]
    own: dict[str, type[BaseProviderContract]] = {kind.provider: kind for kind in members}
    for name in sorted({plugin.name for plugin in installed(SIMULATORS)} - own.keys()):
        # A preset of `ise`, with tests of its own for what it presets.
        title = f"Test{name.title().replace('-', '')}"
        own[name] = type(title, (BaseProviderContract,), {"provider": name, "habits": PRESET})
    return own


for _contract in _contracts().values():
    _class = over(_contract, **CHANGES.get(_contract.provider, {}))
    globals()[_class.__name__] = _class
