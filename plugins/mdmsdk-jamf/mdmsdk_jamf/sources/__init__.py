"""What decides about compliance: the sources that an administrator may choose from.

* `base`: what all of them do, and whether one means the devices that there are;
* `membership`: in a group or search that has a name: `groups` (smart groups), `searches` (advanced searches);
* `partners`: the state that is kept for conditional access.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdmsdk_jamf.sources.base import Source
from mdmsdk_jamf.sources.groups import SmartGroups
from mdmsdk_jamf.sources.partners import ConditionalAccess
from mdmsdk_jamf.sources.searches import AdvancedSearches

if TYPE_CHECKING:
    from mdmsdk_jamf.settings import JamfSettings
    from mdmsdk_jamf.sources.base import Get, Run

__all__ = ["Source", "source_of"]

_KINDS: Final[dict[str, type[Source]]] = {
    "smart-group": SmartGroups,
    "advanced-search": AdvancedSearches,
    "conditional-access": ConditionalAccess,
}


def source_of(settings: JamfSettings, get: Get, runs: tuple[Run, ...] = ()) -> Source:
    """The source that the settings choose, for one operation; see `Source`."""
    chosen = settings.compliance.source if settings.compliance else ""
    return _KINDS.get(chosen, Source)(settings, get, runs)
