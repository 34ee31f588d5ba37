"""Text that others wrote, made fit to be shown: it steers no terminal, holds no secret of ours, and ends."""

from __future__ import annotations

import base64
import difflib
import html
import json
import re
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

__all__ = ["Secrets", "listed", "nearest", "one_line", "safe_words", "without_secrets"]

# Unicode's control, format and line-separating characters, lone surrogates, and what is to be drawn as
# nothing (DerivedCoreProperties.txt, Default_Ignorable_Code_Point): they steer a terminal, reorder what
# stands around them, or make two texts look alike.
_UNSAFE = (
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bcaf\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# Emoji and some scripts are written with joiners, which are harmless behind such a character.
_JOINED = "(?<=[^\x00-\u02ff\u2000-\u206f\ufe00-\ufe0f])(?:\ufe0f\u200d?|[\u200c\u200d])"
_JOINED_OR_UNSAFE = re.compile(f"(?P<joined>{_JOINED})|{_UNSAFE}")
_BLANK = re.compile(r"[\t\n\r]+")
_HIDDEN = "..."
_SHORTEST = 6  # characters; a shorter secret cannot be told from words
_REMEMBERED = 64  # tokens and cookies, the latest ones


def one_line(text: str) -> str:
    """The text on one line, with every character that is not simply drawn written as an escape."""
    return _JOINED_OR_UNSAFE.sub(_drawn, _BLANK.sub(" ", text.strip()))


def nearest(word: str, known: Iterable[str], show: Callable[[str], str] = str) -> str:
    """The question whether the known word that is nearest to this one is meant; empty where none is near.

    Args:
        word: what somebody wrote.
        known: what it might have been.
        show: how such a word is named in the question.
    """
    spellings = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), spellings, n=1)
    return f", is {show(spellings[near[0]])} meant?" if near else ""


def _drawn(found: re.Match[str]) -> str:
    return found["joined"] or found[0].encode("unicode_escape").decode("ascii")


def safe_words(text: str, limit: int = 200) -> str:
    """What a server said, or whatever else is quoted: on one line, harmless, cut at `limit` characters."""
    text = one_line(text[: limit + 1])  # an escape is longer than what it stands for
    return text if len(text) <= limit else f"{text[:limit]}{_HIDDEN}"


def listed(names: Iterable[str], most: int = 20) -> str:
    """What a server has, for a message: in order, made harmless, and not more than a person would read."""
    ordered = sorted(map(safe_words, names))
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return (", ".join(ordered[:most]) or "none") + more


# As security answers of Workspace ONE, Intune and Jamf call keys of disks, of locked devices and of accounts.
_SECRET_MEMBER = re.compile(r"recoverykey|unlockpin|password|secret|token(?!source)|bypasscode|escrow")


def without_secrets(value: Any) -> Any:
    """A vendor's record without the members whose names tell that they hold a secret, however deep."""
    if isinstance(value, dict):
        return {
            name: without_secrets(inner)
            for name, inner in value.items()
            if not _SECRET_MEMBER.search(re.sub(r"[\W_]", "", str(name)).lower())
        }
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value


class Secrets:
    """What must not be shown, and the means to take it out of a text, in whatever way it is written there.

    Args:
        values: secrets that stay, such as those of the settings.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lasting: frozenset[str] = frozenset()
        self._passing: deque[str] = deque(maxlen=_REMEMBERED)
        self._pattern: re.Pattern[str] | None = None
        self.keep(values)

    def keep(self, values: Iterable[str]) -> None:
        """More secrets that stay; those before still must not be shown."""
        self._lasting |= {part for value in values for part in _parts(value)}
        self._in_clear = tuple(_raw(part) for part in self._lasting if len(part) >= _SHORTEST)
        self._pattern = None

    def add(self, *values: str) -> None:
        """Remember tokens or cookies; of these only the latest."""
        if new := [value for value in values if value and value not in self._passing]:
            self._passing += new
            self._pattern = None

    def stand_in(self, body: bytes, credential: str) -> bool:
        """Whether a lasting secret or this credential stands there in clear; quick, for large bodies."""
        for secret in self._in_clear:
            if secret in body:
                return True
        return len(credential) >= _SHORTEST and _raw(credential) in body

    def hide(self, text: str) -> str:
        """The text without the secrets."""
        if self._pattern is None:
            self._pattern = self._compile()
        return self._pattern.sub(_HIDDEN, text)

    def hide_in(self, body: bytes) -> bytes:
        """The same for bytes; unchanged where there is nothing to hide."""
        text = body.decode("utf-8", "surrogateescape")
        hidden = self.hide(text)
        return body if hidden == text else _raw(hidden)

    def _compile(self) -> re.Pattern[str]:
        spellings = {way for value in (*self._lasting, *self._passing) for way in _spellings(value)}
        # The longest first: one may be part of another. A host name is given back in lower case.
        longest = sorted(spellings, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest)) or "(?!)", re.IGNORECASE)


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _parts(secret: str) -> Iterator[str]:
    """The secret, and of a URL, such as a proxy's, the login in it as well."""
    yield secret
    try:
        login, at, _ = urlsplit(secret).netloc.rpartition("@")
    except ValueError:
        return
    if at:
        yield from (login, unquote(login))
        yield from (login.partition(":")[2], unquote(login.partition(":")[2]))


def _spellings(secret: str) -> Iterator[str]:
    """The ways in which a server may repeat a secret: raw, percent-encoded, in JSON, in XML, in Base64."""
    if len(secret) < _SHORTEST:
        return
    yield secret
    yield from (quote(secret, safe=""), quote(secret), quote_plus(secret))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (html.escape(secret), html.escape(secret, quote=False))
    # Inside longer text, Base64 looks different for each of the three places in a group where it may begin;
    # the characters at both ends also depend on the neighbours.
    raw = _raw(secret)
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode()
        end = len(whole) if (before + len(raw)) % 3 == 0 else len(whole.rstrip("=")) - 1
        inside = whole[(0, 2, 3)[before] : end]
        if len(inside) >= _SHORTEST:
            yield from (inside, inside.replace("+", "-").replace("/", "_"))
