"""The audit log: a line of JSON for each decision."""

from __future__ import annotations

import hmac
import json
import logging
import os
import stat
import sys
import time
from contextlib import closing, contextmanager
from functools import lru_cache
from logging.handlers import SysLogHandler
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import ConfigurationError
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.journal import journal_row
from mdmsdk.gateway.written import Written
from mdmsdk.identifiers import Key, parse_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mdmsdk.gateway.journal import Asker, Decided, Journal
    from mdmsdk.gateway.settings import AuditLog

__all__ = ["Audit", "audited", "keyed_hash"]

_log = logging.getLogger("mdmsdk.gateway")
_OFTEN = 60.0
"""Seconds between two complaints about the same."""
_OWNER_ONLY = 0o600
_END = b"\n"
_ASKERS = 1024
_WHAT = ("kind", "key", "decision", "override", "proof", "servers")
"""Of the members of a decision in the journal, those that follow from what servers and overrides say."""
_as_json = json.JSONEncoder(separators=(",", ":")).encode  # made once: each takes longer than a line
# A link is not followed to somebody else's file, and a pipe would hold everything up. Windows has neither.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"):
    _FLAGS |= getattr(os, _name, 0)


def keyed_hash(secret: str, key: Key | str) -> str:
    """What stands for an identifier in the audit log: 32 hexadecimal digits.

    Args:
        secret: the setting ``gateway.audit.hash_key``.
        key: the identifier; a text where it is none.
    """
    text = f"{key.kind}:{key.canonical}" if isinstance(key, Key) else f"text:{key}"
    return hmac.digest(secret.encode(), text.encode(errors="surrogatepass"), "sha256").hex()[:32]


@contextmanager
def audited(
    journal: Journal, settings: AuditLog | None, lost: Callable[[int], None] | None = None
) -> Iterator[None]:
    """While this is entered, decisions are written down; nothing is without settings.

    Args:
        journal: of the decisions.
        settings: where to.
        lost: is told how many lines could not be written.

    Raises:
        ConfigurationError: they cannot be written there.
    """
    if settings is None:
        yield
        return
    with closing(Audit(settings, lost)) as audit:
        journal.listeners.append(audit)
        yield


class Audit:
    """Writes a line for each decision to all that the settings name.

    Args:
        settings: where to, and what of the identifiers.
        told: is called with the number of lines that could not be written, each time it grows.
        clock: seconds that only grow.

    Attributes:
        lost: lines that could not be written.

    Raises:
        ConfigurationError: it cannot be written there.
    """

    def __init__(
        self,
        settings: AuditLog,
        told: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lost: int = 0
        self._told = told
        self._settings = settings
        self._clock = clock
        self._told_at = -_OFTEN
        self._written: Written[bytes] = Written()
        self._ways: list[_File | _Output | _Syslog] = []
        try:
            if settings.file:
                self._ways.append(_File(settings.file))
            if settings.stdout:
                self._ways.append(_Output())
            if settings.syslog:
                self._ways.append(_Syslog(str(settings.syslog)))
        except OSError as error:
            self.close()
            raise ConfigurationError(
                f"the audit log cannot be written{_at(error)}: {error.strerror or type(error).__name__}",
                hint="Check the table gateway.audit: the path, and whose it is.",
            ) from None

    def close(self) -> None:
        """Write no more."""
        for way in self._ways:
            way.close()

    def __call__(self, decided: Decided) -> None:
        """Write a line.

        Raises:
            Refusal: it could not be written, and the settings want no answer then.
        """
        line = self.line(decided)
        failure: OSError | ValueError | None = None
        for way in self._ways:
            try:
                way.write(line)
            except (OSError, ValueError) as error:  # a closed stream is a ValueError
                failure = error
        if failure:
            self._complain(failure)
            if self._settings.required:
                raise Refusal(503, "the audit log cannot be written", headers={"Retry-After": "10"})

    def line(self, decided: Decided) -> bytes:
        """The line of a decision, without its end. It is ASCII without control characters."""
        what = (
            self._what(decided)
            if decided.override
            else self._written.of(decided.answer, "", lambda: self._what(decided))
        )
        return b'{"at":"%b",%s,%s,"age":%a,"elapsed_ms":%a,"complete":%s}' % (
            decided.at.encode(),
            _asker(decided.asker),
            what,
            decided.age,
            decided.elapsed_ms,
            b"true" if decided.answer.complete else b"false",
        )

    def _what(self, decided: Decided) -> bytes:
        """What follows from an answer and an override alone; the cache gives the same answer often."""
        row: dict[str, Any] = {**journal_row(decided)}
        secret = self._settings.hash_key
        if secret is not None:
            row["key"] = keyed_hash(secret.get_secret_value(), decided.key)
            if decided.override:
                named = parse_key(decided.override.key)
                row["override"]["key"] = keyed_hash(secret.get_secret_value(), named)
        # Servers' words, as a reason has them, may name people.
        return _members({name: row[name] for name in _WHAT})

    def _complain(self, error: Exception) -> None:
        self.lost += 1
        if self._told:
            self._told(self.lost)
        if self._clock() - self._told_at >= _OFTEN:
            self._told_at = self._clock()
            why = getattr(error, "strerror", None) or type(error).__name__
            then = (
                "no decision is answered"
                if self._settings.required
                else "decisions are answered all the same"
            )
            _log.critical(
                "THE AUDIT LOG CANNOT BE WRITTEN (%s): %d lines are lost, and %s", why, self.lost, then
            )


def _at(error: OSError) -> str:
    return f" to {error.filename}" if error.filename else ""


@lru_cache(_ASKERS)
def _asker(asker: Asker) -> bytes:
    return _members(asker._asdict())


def _members(row: Mapping[str, Any]) -> bytes:
    """The members of an object, without its brackets."""
    return _as_json(row)[1:-1].replace("\x7f", "\\u007f").encode("ascii")


class _File:
    """A file that grows; it is opened anew after each failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        self._at: int | None = self._open()

    def _open(self) -> int:
        at = os.open(self._path, _FLAGS, _OWNER_ONLY)
        mode = os.fstat(at).st_mode
        if not stat.S_ISREG(mode):
            os.close(at)
            raise OSError(None, "it is no file")
        if stat.S_IMODE(mode) & ~_OWNER_ONLY:
            os.chmod(at, _OWNER_ONLY)  # noqa: PTH101 - what is open, whatever has its name by now
        return at

    def write(self, line: bytes) -> None:
        """Write a line, whole or as an error."""
        if self._at is None:
            self._at = self._open()
        # In one piece, so that the lines of several workers do not mix.
        whole = (_END if self._torn else b"") + line + _END
        try:
            written = os.write(self._at, whole)
        except OSError:
            self.close()
            raise
        self._torn = bool(written) and written < len(whole)
        if written < len(whole):
            raise OSError(None, "no space is left for a whole line")

    def close(self) -> None:
        if self._at is not None:
            os.close(self._at)
            self._at = None


class _Output:
    """The standard output."""

    def write(self, line: bytes) -> None:
        sys.stdout.buffer.write(line + _END)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Leave it open: it is the process's."""


class _Syslog(SysLogHandler):
    """The syslog of this machine, facility authpriv."""

    def __init__(self, path: str) -> None:
        super().__init__(path, SysLogHandler.LOG_AUTHPRIV)
        self.ident = "mdmsdk-gateway: "

    def write(self, line: bytes) -> None:
        self.emit(logging.LogRecord("audit", logging.INFO, "", 0, line.decode("ascii"), None, None))

    def handleError(self, record: Any) -> None:  # noqa: ARG002, N802 - as logging calls it
        """Let the error reach who writes."""
        _, error, _ = sys.exc_info()
        if error:
            raise error
