"""Keeps the HTTP library's own log of our exchanges to itself: its DEBUG lines hold headers and cookies."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = ("connection", "http11", "http2", "proxy", "socks")
_exchanging = ContextVar("mdmsdk_exchanging", default=False)


class _NotOurs(logging.Filter):
    """What an application does itself with the same library stays in its log."""

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return not _exchanging.get()


def keep_quiet(library: str) -> None:
    """Drop what the loggers of an HTTP library say while an exchange of ours is under way."""
    silent = _NotOurs()
    for name in (library, library.replace("httpx", "httpcore")):
        for logger in (name, *(f"{name}.{part}" for part in _PARTS)):
            logging.getLogger(logger).addFilter(silent)


@contextmanager
def exchanging() -> Iterator[None]:
    """The time of an exchange."""
    token = _exchanging.set(True)
    try:
        yield
    finally:
        _exchanging.reset(token)
