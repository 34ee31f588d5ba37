"""Cookies, which load balancers and session logins need: few, and each for the origin that set it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# RFC 6265, section 6.1, asks for at least as many of a domain and as many bytes of one.
_MOST = 50
_MOST_BYTES = 4096
_MOST_BYTES_SENT = 16 * 1024

Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class _Cookie:
    value: str
    secure: bool
    until: float | None


class Cookies:
    """The cookies of one client.

    Stricter than a browser's: a ``Domain`` is not heeded, so that no cookie goes to another host or port.
    There is no lock that a fork could leave held: each step is atomic.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Origin, str, str], _Cookie] = {}

    def keep(self, origin: Origin, path: str, fields: Iterable[str]) -> None:
        """Note what an answer set.

        Args:
            origin: of the request.
            path: of the request, the query included.
            fields: the values of its ``Set-Cookie`` fields.
        """
        for field in fields:
            if len(field) <= _MOST_BYTES:
                self._set(origin, path, field)
        while len(self._kept) > _MOST:
            self._kept.pop(next(iter(list(self._kept)), (origin, "", "")), None)

    def _set(self, origin: Origin, path: str, field: str) -> None:
        pair, *rest = field.split(";")
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            return
        attributes = {
            key.strip().lower(): text.strip() for key, _, text in (part.partition("=") for part in rest)
        }
        # RFC 6265, section 5.1.4: where no path is given, the folder of the request's.
        folder = attributes.get("path", "")
        if not folder.startswith("/"):
            folder = path.partition("?")[0].rpartition("/")[0] or "/"
        key = origin, folder, name.strip()
        until = _end(attributes)
        self._kept.pop(key, None)  # the newest one goes to the end
        if until is None or until > time.time():
            self._kept[key] = _Cookie(value.strip(), "secure" in attributes, until)

    def header(self, origin: Origin, path: str) -> str | None:
        """The ``Cookie`` field for a request, None for none."""
        if not self._kept:
            return None
        path, pairs, size = path.partition("?")[0], [], 0
        for (home, folder, name), cookie in reversed(list(self._kept.items())):
            if home != origin or not _below(path, folder) or (cookie.secure and origin[0] != "https"):
                continue
            if cookie.until is not None and cookie.until <= time.time():
                continue
            size += len(name) + len(cookie.value) + 3
            if size > _MOST_BYTES_SENT:
                break
            pairs.append((-len(folder), f"{name}={cookie.value}"))
        return "; ".join(text for _, text in sorted(pairs)) or None


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def _end(attributes: dict[str, str]) -> float | None:
    """When a cookie expires, as seconds since the epoch; None at the end of the session."""
    age = attributes.get("max-age", "")
    if age.removeprefix("-").isdigit() and age.isascii():
        return time.time() + int(age) if len(age) < 12 else None  # noqa: PLR2004 - longer than anyone lives
    try:
        return parsedate_to_datetime(attributes["expires"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None
