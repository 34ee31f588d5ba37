"""A child that does its work and ends, whatever happens: it must never go on with the tests of its parent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(check: Callable[[], bool], *work: Callable[[], None]) -> bool:
    """Whether a fork of this process finds what it checks, and does the work then."""
    child = os.fork()
    if not child:
        status = 1
        try:
            found = check()
            for one in work:
                one()
            status = not found
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0
