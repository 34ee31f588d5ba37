"""What the doctor found at one step, and the same without what tells who and where."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import ConfigurationError
from mdmsdk.words import safe_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdmsdk.errors import MdmError

STEPS = (
    "settings",
    "proxy",
    "name",
    "tcp",
    "tls",
    "http",
    "clock",
    "login-host",
    "login",
    "heartbeat",
    "lookup",
    "list",
    "compliance",
    "limits",
)
"""In the order in which they are taken. Where several servers answered, ``agreement`` follows for each."""
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one step on the way to one server.

    Attributes:
        server: its name in the configuration.
        step: one of `STEPS`.
        ok: False where something is wrong; None where the step was not tried, or has no meaning here.
        detail: what was found.
        remedy: what to do about it; None where there is nothing to do.
        misconfigured: whether the settings are what is wrong.
    """

    server: str
    step: str
    ok: bool | None
    detail: str
    remedy: str | None = None
    misconfigured: bool = False

    def as_row(self) -> dict[str, Any]:
        """The finding as the command line prints it."""
        return {name: getattr(self, name) for name in ("server", "step", "ok", "detail", "remedy")}


_URL_HOST = re.compile(r"(?<=://)(?:[^\s/@]*@)?(\[[0-9a-f:.]+\]|[^\s/:,;?#\"']+)", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"\b([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?=:\d+\b)", re.IGNORECASE)
_USER = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w:])", re.IGNORECASE
)


class Redactor:
    """Gives host names, addresses and user names other names, always the same one for the same thing."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: Counter[str] = Counter()

    def learn(self, kind: str, texts: Iterable[str]) -> None:
        """Know these by sight from now on."""
        for text in texts:
            if len(text) > 1:
                self._name(kind, text)

    def redact(self, finding: Finding) -> Finding:
        """The finding for somebody else's eyes."""
        detail = _USER.sub(lambda found: self._name("user", found[0]), finding.detail)
        for pattern in (_URL_HOST, _HOST_AND_PORT):
            for host in pattern.findall(detail):
                self._name(_kind(host), host)
        for address in filter(_is_address, _ADDRESS.findall(detail)):
            self._name("address", address)
        # Remedies name public addresses, too: in them only what is known is replaced.
        remedy = self._hide(finding.remedy) if finding.remedy else None
        return replace(finding, server=self._hide(finding.server), detail=self._hide(detail), remedy=remedy)

    def _hide(self, text: str) -> str:
        text = text.replace(str(Path.home()), "~")
        known = "|".join(map(re.escape, sorted(self._names, key=len, reverse=True)))
        if not known:
            return text
        whole = rf"(?<![\w-])(?:{known})(?![\w-])"
        return re.sub(whole, lambda found: self._names[found[0].lower()], text, flags=re.IGNORECASE)

    def _name(self, kind: str, text: str) -> str:
        text = text.strip("[]").lower()
        if text not in self._names and text not in self._names.values():
            self._counts[kind] += 1
            self._names[text] = f"{kind}-{self._counts[kind]}"
        return self._names.get(text, text)


def _kind(host: str) -> str:
    return "address" if _is_address(host.strip("[]")) else "host"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def finding(server: str, step: str, detail: str, remedy: str | None = None, *, ok: bool | None) -> Finding:
    """A finding whose texts are fit to be shown: a server or a certificate may have had a say in them."""
    return Finding(server, step, ok, safe_words(detail, _LONGEST), remedy and safe_words(remedy, _LONGEST))


def failed(server: str, step: str, error: MdmError) -> Finding:
    """A step that ended with an error, which knows what to do."""
    wrong = isinstance(error, ConfigurationError)
    return Finding(server, step, ok=False, detail=error.message, remedy=error.hint, misconfigured=wrong)
