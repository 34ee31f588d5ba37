"""How old a directory may be, and how often it is renewed."""

from __future__ import annotations

from pydantic import Field, model_validator

from mdmsdk.settings import Settings

__all__ = ["DirectorySettings"]

_HOUR = 3600.0


class DirectorySettings(Settings):
    """How old a directory may be, and how often it is renewed.

    Attributes:
        max_age: seconds after which a complete walk through a server's inventory proves nothing any more:
            what the directory does not show may be there then.
        interval: seconds between two walks; at most half of `max_age`. Where a server can tell what changed,
            only that is read, and everything once in half of `max_age`.
    """

    max_age: float = Field(default=24 * _HOUR, ge=60, le=30 * 24 * _HOUR)
    interval: float = Field(default=_HOUR, ge=10)

    @model_validator(mode="after")
    def _check(self) -> DirectorySettings:
        if self.interval > self.max_age / 2:
            raise ValueError("interval is more than half of max_age: a failed walk would leave it too old")
        return self
