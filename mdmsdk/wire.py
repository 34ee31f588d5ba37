"""Requests and responses as plain values, so that a flow can be tested without a network."""

from __future__ import annotations

import codecs
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from mdmsdk.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Request", "Response", "http_date", "origin_of", "redact_url"]

# Query parameters whose values cannot be private; the values of all others are left out of messages.
_HARMLESS = frozenset(
    {"deviceidentifier", "fields", "ise_api_version", "limit", "order", "page", "page-size", "pagesize"}
    | {"per_page", "querycriteria", "rows", "section", "sort", "start", "$select", "$top"}
)
_MAC = r"(?:[0-9A-Fa-f]{2}(?:%3[Aa]|[:.-])?){5}[0-9A-Fa-f]{2}"
_MAC_IN_PATH = re.compile(rf"(?<=/){_MAC}(?=/|$)")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or ""), parts.port or _DEFAULT_PORTS.get(parts.scheme)


def redact_url(url: str) -> str:
    """The URL without user, password and fragment, and without what could be private in path and query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(unreadable URL)"
    names = (pair.partition("=") for pair in parts.query.split("&") if pair)
    query = "&".join(f"{name}={value if name.lower() in _HARMLESS else '...'}" for name, _, value in names)
    return urlunsplit((parts.scheme, host, _MAC_IN_PATH.sub("...", parts.path), query, ""))


def http_date(text: str | None) -> datetime | None:
    """The date of a header field (RFC 9110, section 5.6.7) as an aware time; None where it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _encode(text: str) -> str:
    return text if text.isalnum() and text.isascii() else quote(text, safe="")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, not yet sent.

    Attributes:
        params: query parameters; a sequence of values repeats the name. Percent-encoded, spaces as %20.
        form, json, body: the content, at most one of them.
        audience: whose token goes with it; None sends no credential.
        idempotent: whether it may be sent again after a failure.
        timeout: seconds for this request, where the policy's do not fit.
        lane: which of the server's rate limits it counts against, such as an organisation's.
    """

    method: str
    url: str
    params: Mapping[str, str | int | Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    json: Any = None
    body: bytes | None = None
    audience: str | None = "api"
    idempotent: bool = True
    timeout: float | None = None
    lane: str = ""

    @property
    def full_url(self) -> str:
        """The URL with its query; a fragment is never sent."""
        url = self.url.partition("#")[0]
        if not self.params:
            return url
        pairs = []
        for name, value in self.params.items():
            for text in (value,) if isinstance(value, str | int) else value:
                pairs.append(f"{_encode(name)}={_encode(str(text))}")  # noqa: PERF401 - two loops read better so
        return f"{url}{'&' if '?' in url else '?'}{'&'.join(pairs)}"

    def content(self) -> tuple[bytes, str | None]:
        """The body and the content type that belongs to it."""
        if self.form is not None:
            return urlencode(self.form).encode(), "application/x-www-form-urlencoded"
        if self.json is not None:
            return json.dumps(self.json, separators=(",", ":")).encode(), "application/json"
        return self.body or b"", None

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """The same request with these headers in addition."""
        return replace(self, headers={**self.headers, **headers})

    def __repr__(self) -> str:
        return f"<Request {self.method} {redact_url(self.full_url)}>"


_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, read to the end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""

    def header(self, name: str) -> str | None:
        """The value of a header, whatever the case of its name."""
        return self.headers.get(name.lower())

    @property
    def date(self) -> datetime | None:
        """What the server's clock said (RFC 9110, section 6.6.1); None where it did not say."""
        return http_date(self.header("date"))

    @property
    def text(self) -> str:
        """The body as text; undecodable bytes are replaced, a byte-order mark is dropped."""
        found = _CHARSET.search(self.header("content-type") or "")
        try:
            encoding = codecs.lookup(found[1]).name if found else "utf-8"
        except LookupError:
            encoding = "utf-8"
        return self.body.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace")

    def json(self) -> Any:
        """The body as JSON, whatever content type it claims.

        Raises:
            MalformedResponseError: the body is not JSON.
        """
        with suppress(ValueError, RecursionError):
            return json.loads(self.body.decode("utf-8-sig"))
        # Out here, because the parser's own error holds the whole body.
        raise MalformedResponseError(f"{redact_url(self.url)} did not answer with JSON")

    def __repr__(self) -> str:
        return f"<Response {self.status} {redact_url(self.url)} {len(self.body)} bytes>"
