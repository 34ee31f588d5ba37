"""Which configuration files that were only found may read secrets."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import platformdirs

from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_trusted", "own_folder", "trust"]

_OTHERS_MAY_WRITE = 0o022


def own_folder() -> Path:
    """Where a user's own configuration lies."""
    return platformdirs.user_config_path("mdmsdk")


def is_trusted(path: Path, content: bytes) -> bool:
    """Whether a file that was found, and not named, may read secrets.

    That is so in the user's own configuration folder, if nobody else can write there, and for a file that was
    trusted with this very path and content.
    """
    if path.absolute().parent == own_folder().absolute():
        return _is_ours(path) and _is_ours(path.parent)
    mark = _mark(path, content)
    return mark.is_file() and _is_ours(mark) and _is_ours(mark.parent)


def trust(path: Path) -> Path:
    """Trust a file as it is now; any change of it ends that. Returns its full path.

    Raises:
        ConfigurationError: it cannot be read, or the trust cannot be kept.
    """
    try:
        mark = _mark(path, path.read_bytes())
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.write_text(f"{path.resolve()}\n", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
    else:
        return path.resolve()
    raise ConfigurationError(f"the file cannot be trusted: {problem}", hint="Check path and permissions.")


def _mark(path: Path, content: bytes) -> Path:
    name = hashlib.sha256(os.fsencode(path.resolve()) + b"\0" + content).hexdigest()
    return platformdirs.user_data_path("mdmsdk") / "trusted" / name


def _is_ours(path: Path) -> bool:
    if not hasattr(os, "geteuid"):  # Windows has no such modes; a user's folders are the user's
        return True
    status = path.stat()
    return status.st_uid in {os.geteuid(), 0} and not status.st_mode & _OTHERS_MAY_WRITE
