"""Files that are their owner's alone."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from mdmsdk.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS = 0o077
_OTHERS_MAY_WRITE = 0o022


def claim(path: Path) -> None:
    """Make a file, and the folders to it, for their owner alone, where they are not there yet.

    Raises:
        StoreError: they are, but others may get at them; or they cannot be made.
    """
    try:
        _make_folder(path.parent)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            problem = _problem(path, os.fstat(descriptor))
        finally:
            os.close(descriptor)
    except OSError as error:
        what = "is a symbolic link" if path.is_symlink() else f"cannot be opened: {error.strerror}"
        raise StoreError(
            f"the store {path} {what}",
            hint="Name a file in a folder that this user may write to, as url in the table store.",
        ) from None
    if problem:
        raise StoreError(f"the store {path} is not used: {problem[0]}", hint=problem[1])


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _problem(path: Path, status: os.stat_result) -> tuple[str, str] | None:
    """What is wrong with a file, and what to do."""
    if not stat.S_ISREG(status.st_mode):
        return "it is no file", "Name a file, as url in the table store."
    if not hasattr(os, "geteuid"):  # Windows has no such modes; a user's folders are the user's
        return None
    if status.st_uid != os.geteuid():
        return (
            "it belongs to another user",
            "Let every user have a store of their own, or share a Redis server.",
        )
    if status.st_mode & _OTHERS:
        return "other users may read or write it", f"chmod 600 {path}"
    folder = path.parent.stat()
    if folder.st_uid not in {os.geteuid(), 0} or folder.st_mode & _OTHERS_MAY_WRITE:
        return "other users may write to its folder", f"chmod go-w {path.parent}, or name another folder."
    return None
