"""From settings to a back end; the libraries of the others are not loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.store.memory import MemoryBackEnd

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from mdmsdk.store.back_end import BackEnd
    from mdmsdk.store.settings import StoreSettings


def open_back_end(settings: StoreSettings, waits: ModuleType, clock: Callable[[], float]) -> BackEnd:
    """The back end that the settings name. Nothing is opened before it is used."""
    if settings.kind == "sqlite":
        from mdmsdk.store.sqlite import SqliteBackEnd

        return SqliteBackEnd(settings.file, waits, clock)
    if settings.kind == "redis":
        from mdmsdk.store.redis import RedisBackEnd

        return RedisBackEnd(settings, waits)
    return MemoryBackEnd(clock, settings.max_size)
