"""Where secrets are kept: the environment, files, the system's keyring, or a program that gives them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from mdmsdk.errors import SecretError
from mdmsdk.silence import sealed

__all__ = ["read_secret"]

_COMMAND_TIMEOUT = 30.0


def read_secret(source: dict[str, Any], folder: Path = Path()) -> str:
    """A secret from where it is kept; white space at its end is dropped.

    Args:
        source: one of ``{"env": NAME}``, ``{"file": PATH}``, ``{"keyring": "SERVICE/USER"}`` and
            ``{"command": [PROGRAM, ARGUMENT, ...]}``.
        folder: where relative paths begin.

    Raises:
        SecretError: it is not there, empty or unreadable. The message names the place only.
    """
    with sealed():
        return _read_secret(source, folder)


def _read_secret(source: dict[str, Any], folder: Path) -> str:
    readers = {"env": _from_env, "file": _from_file, "keyring": _from_keyring, "command": _from_command}
    if len(source) != 1 or not readers.keys() >= source.keys():
        raise SecretError(
            "a secret is text, or a table with one of env, file, keyring and command",
            hint='Write it as { env = "NAME" }, for example.',
        )
    ((kind, place),) = source.items()
    secret = readers[kind](place, folder).rstrip()
    if not secret:
        raise SecretError(f"the secret from {kind} {_shown(place)} is empty", hint="Store the secret there.")
    return secret


def _shown(place: Any) -> str:
    return repr(place[0] if isinstance(place, list) and place else place)


def _from_env(place: Any, folder: Path) -> str:
    del folder
    value = os.environ.get(str(place))
    if value is None:
        raise SecretError(f"the environment variable {place} is not set", hint=f"Set {place} to the secret.")
    return value


def _from_file(place: Any, folder: Path) -> str:
    path = folder / Path(str(place)).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SecretError(
            f"the file {path} cannot be read: {error.strerror}",
            hint="Check that it exists and that this user may read it.",
        ) from None
    except UnicodeDecodeError:
        raise SecretError(f"the file {path} is not text", hint="Store the secret as UTF-8 text.") from None


def _from_keyring(place: Any, folder: Path) -> str:
    del folder
    service, slash, user = str(place).rpartition("/")
    if not slash:
        raise SecretError(f"{place!r} is not SERVICE/USER", hint='Write { keyring = "SERVICE/USER" }.')
    try:
        import keyring
    except ImportError:
        raise SecretError(
            "keyring is not installed", hint="Install it with: pip install 'mdmsdk[keyring]'"
        ) from None
    try:
        value = keyring.get_password(service, user)
    except Exception as error:  # noqa: BLE001 - each back end has its own errors
        raise SecretError(
            f"the keyring did not answer ({type(error).__name__})",
            hint="Check that a keyring is set up and unlocked for this user.",
        ) from None
    if value is None:
        raise SecretError(
            f"the keyring has no entry {place!r}", hint=f"Store it with: keyring set {service} {user}"
        )
    return value


def _from_command(place: Any, folder: Path) -> str:
    if not (isinstance(place, list) and place and all(isinstance(word, str) for word in place)):
        raise SecretError(
            "command is not a list of words", hint='Write { command = ["op", "read", "op://vault/item"] }.'
        )
    try:
        done = subprocess.run(  # noqa: S603 - the administrator's own command, without a shell
            place,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_TIMEOUT,
            check=True,
        )
        return done.stdout.decode()
    except FileNotFoundError:
        problem = "is not installed"
    except subprocess.TimeoutExpired:
        problem = f"did not end within {_COMMAND_TIMEOUT:g} s"
    except subprocess.CalledProcessError as error:
        problem = f"ended with status {error.returncode}"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"failed ({type(error).__name__})"
    # Its output may hold the secret, so it is not shown.
    raise SecretError(f"the command {_shown(place)} {problem}", hint="Run it by hand and see what it says.")
