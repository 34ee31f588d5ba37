"""Times from which on a server is asked for what changed. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["earliest"]

_WEST: Final = timedelta(hours=12)
"""As far as clocks are behind UTC, anywhere."""
_PUT_BACK: Final = timedelta(hours=1)
"""By which clocks are put back, so that an hour comes twice."""


def earliest(since: datetime, zone: tzinfo | None) -> datetime:
    """The time without a zone from which on to ask a server that does not say in which zone it reads it.

    It is early enough if that is UTC or the server's own zone, so that more may come than changed.

    Args:
        since: the time from which on changes are wanted.
        zone: the server's own; None where that is not known.
    """
    utc = since.astimezone(UTC)
    local = utc.astimezone(zone) - _PUT_BACK if zone else utc - _WEST
    return min(utc.replace(tzinfo=None), local.replace(tzinfo=None))
