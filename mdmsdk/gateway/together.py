"""Metrics of several workers, added up: the folder where each of them writes its own."""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["folder", "forget", "together"]

# The name that prometheus-client looks for when it is imported,
# https://prometheus.github.io/client_python/multiprocess/
_NAME = "PROMETHEUS_MULTIPROC_DIR"


def folder() -> str | None:
    """Where workers write; None for a process that serves alone."""
    return os.environ.get(_NAME)


@contextmanager
def together() -> Iterator[None]:
    """Let the processes that are started meanwhile add up what they count.

    Raises:
        ConfigurationError: there is no place for what they count.
    """
    try:
        made = TemporaryDirectory(prefix="mdm-metrics-")
    except OSError as error:
        raise ConfigurationError(
            f"several workers need a folder for what they count, and none can be made: {error.strerror}",
            hint="Let the gateway write to /tmp, which in a container may be in memory, or to another place, "
            "named in TMPDIR. One worker needs none.",
        ) from None
    with made as place:
        os.environ[_NAME] = place
        try:
            yield
        finally:
            del os.environ[_NAME]


def forget(process: int) -> None:
    """Take what a worker that ended said of itself for nothing; what it counted stays."""
    if (place := folder()) and find_spec("prometheus_client"):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(process, place)  # type: ignore[no-untyped-call]
