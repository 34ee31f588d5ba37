"""What decides about compliance: the sources that an administrator may choose from.

* `base`: what all of them have, and none at all;
* `groups`, `searches`: membership in a smart group, or in an advanced search;
* `partners`: the state that is kept for conditional access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdmsdk_jamf.sources.base import JamfSource, NoSource
from mdmsdk_jamf.sources.groups import SmartGroups
from mdmsdk_jamf.sources.partners import ConditionalAccess
from mdmsdk_jamf.sources.searches import AdvancedSearches

if TYPE_CHECKING:
    from mdmsdk_jamf.inventory import Inventory
    from mdmsdk_jamf.sources.searches import Run

__all__ = ["JamfSource", "source_of"]

_KINDS: Final[dict[str, type[JamfSource]]] = {
    "smart-group": SmartGroups,
    "advanced-search": AdvancedSearches,
    "conditional-access": ConditionalAccess,
}


def source_of(inventory: Inventory, runs: tuple[Run, ...] = ()) -> JamfSource:
    """The source that the settings choose, for one operation; see `JamfSource`."""
    chosen = inventory.settings.compliance
    return _KINDS.get(chosen.source if chosen else "", NoSource)(inventory, runs)
