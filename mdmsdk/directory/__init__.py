"""Which records of a server show an identifier, from walks through its inventory."""

from __future__ import annotations

from mdmsdk.directory.aio import AsyncDirectory
from mdmsdk.directory.settings import DirectorySettings
from mdmsdk.directory.state import DirectoryEntry, DirectoryStatus
from mdmsdk.directory.sync import Directory
from mdmsdk.directory.walking import WalkProgress

__all__ = [
    "AsyncDirectory",
    "Directory",
    "DirectoryEntry",
    "DirectorySettings",
    "DirectoryStatus",
    "WalkProgress",
]
