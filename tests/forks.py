"""A child process that does its work and ends: it must never go on with the tests of its parent."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(function: Callable[[], str]) -> str:
    """What a function returns in a child process that was forked from here."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        text = "nothing"
        try:
            signal.alarm(20)
            text = function()
        except BaseException as error:  # noqa: BLE001 - the parent tells it
            text = repr(error)
        finally:
            os.write(writer, text.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer
