"""Files that the gateway may have open at once: each connection is one."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdmsdk.gateway.settings import GatewaySettings

__all__ = ["REFUSED", "allow_files"]

REFUSED = 256
"""Connections over those that there may be which are told so; more are cut off."""
_OWN = 256
"""Files for connections to servers, the store, logs."""
_log = logging.getLogger("mdmsdk.gateway")


def allow_files(settings: GatewaySettings) -> None:
    """Let this process have the files open that its connections need, or say that the system does not."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    wanted = settings.connections + REFUSED + _OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft < wanted:
        _log.warning(
            "gateway.connections = %d may need %d open files, and the system allows %d: raise that limit "
            "(LimitNOFILE= of systemd, ulimit -n), or lower the setting",
            settings.connections,
            wanted,
            soft,
        )
