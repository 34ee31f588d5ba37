"""Keeps the HTTP library's own log of our exchanges to itself: its DEBUG lines hold headers and cookies."""

from __future__ import annotations

import logging
from contextvars import ContextVar

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


class exchanging:  # noqa: N801 - used like a function, in a `with` statement
    """The time of an exchange."""

    def __enter__(self) -> None:
        self._token = _exchanging.set(True)

    def __exit__(self, *_error: object) -> None:
        _exchanging.reset(self._token)
