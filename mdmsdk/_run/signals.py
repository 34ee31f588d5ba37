"""Exceptions that an application's signal handler raises in the middle of something of ours.

They may come up between any two instructions, also at a loop's jump back to its head. From Python 3.12 on,
that jump can lie outside of the `try` or `with` that the loop stands in, and then nothing there is cleaned
up. So a loop inside of one is a function of its own; a test looks for others.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType


def from_signal_handler(error: BaseException) -> bool:
    """Whether it is one, such as Celery's soft time limit: then it is no failure of ours, and left alone."""
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    cause: BaseException | None = error
    while cause is not None:
        trace = cause.__traceback__
        while trace:
            if trace.tb_frame.f_code in handlers:
                return True
            trace = trace.tb_next
        # Codecs put another exception of the same type around it, which has not come from the handler.
        cause = cause.__cause__ if type(cause.__cause__) is type(error) else None
    return False


def _code_of(handler: Any) -> CodeType | None:
    handler = getattr(handler, "func", handler)  # a partial
    code: CodeType | None = getattr(handler, "__code__", None)
    return code
