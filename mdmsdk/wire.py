"""Requests and responses as plain values, so that a flow can be tested without a network."""

from __future__ import annotations

import codecs
import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

from mdmsdk.errors import MalformedResponseError
from mdmsdk.links import find_link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Request",
    "Response",
    "http_date",
    "https_place",
    "origin_of",
    "read_json",
    "redact_url",
    "same_origin",
]

# Query parameters whose values cannot be private; the values of all others are left out of messages.
_HARMLESS = frozenset(
    {"deviceidentifier", "fields", "ise_api_version", "limit", "order", "page", "page-size", "pagesize"}
    | {"per_page", "querycriteria", "rows", "section", "sort", "start", "$select", "$top"}
)
_MAC = r"(?:[0-9A-Fa-f]{2}(?:%3[Aa]|[:.-])?){5}[0-9A-Fa-f]{2}"
# Addresses, user names, what stands behind the name of a kind of key, as in version 1 of the ISE API, and
# what has three digits or more: GUIDs, serial and record numbers do, names and versions of an API do not.
_PRIVATE_IN_PATH = re.compile(
    rf"(?<=/)(?:{_MAC}|[^/]*(?:@|%40)[^/]*|(?:[^/\d]*\d){{3}}[^/]*)(?=/|$)"
    r"|(?<=/)(?P<kind>mac(?:address)?|imei|meid|udid|guid|serial(?:number)?|host(?:name)?|user(?:name|s|id)?"
    r"|e?mail|match)/[^/]+",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or ""), parts.port or _DEFAULT_PORTS.get(parts.scheme)


# RFC 9110, section 4.2.4: user information in a URL is deprecated; RFC 3986 allows %2f in a host, which
# parsers read differently. An address that a server names is taken only where all read the same.
_PLAIN_AUTHORITY = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?")


def same_origin(url: str, home: str) -> bool:
    """Whether a URL leads to the origin of another, written so that nobody can read it otherwise.

    Raises:
        ValueError: it is no URL.
    """
    there, here = urlsplit(url), urlsplit(home)
    if there.netloc.lower() == here.netloc.lower():
        return there.scheme == here.scheme
    return bool(_PLAIN_AUTHORITY.fullmatch(there.netloc)) and origin_of(url) == origin_of(home)


def https_place(url: str) -> str | None:
    """The host of an https URL, with its port behind a colon where that is not 443; in lower case.

    None for every other URL, and where the host holds anything but letters, digits, hyphens and dots.

    Raises:
        ValueError: it is no URL.
    """
    scheme, host, port = origin_of(url)
    if scheme != "https" or not _PLAIN_AUTHORITY.fullmatch(urlsplit(url).netloc):
        return None
    return host if port == _DEFAULT_PORTS["https"] else f"{host}:{port}"


def redact_url(url: str) -> str:
    """The URL without user, password and fragment, and without what could be private in path and query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(unreadable URL)"
    names = (pair.partition("=") for pair in parts.query.split("&") if pair)
    query = "&".join(f"{name}={value if name.lower() in _HARMLESS else '...'}" for name, _, value in names)
    path = _PRIVATE_IN_PATH.sub(lambda found: f"{found['kind']}/..." if found["kind"] else "...", parts.path)
    return urlunsplit((parts.scheme, host, path, query, ""))


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
        lane: which of the server's rate limits it counts against, such as an organisation's.
        check: looks at the answer instead of `mdmsdk.provider.MdmProvider.check`, where another service than
            the provider's API gives it, such as a login service.
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
    lane: str = ""
    check: Callable[[Response], Response] | None = field(default=None, repr=False, compare=False)

    @property
    def full_url(self) -> str:
        """The URL with its query; a fragment is never sent."""
        url = self.url.partition("#")[0]
        if not self.params:
            return url
        pairs = []
        for name, value in self.params.items():
            encoded = _encode(name)
            for text in (value,) if isinstance(value, str | int) else value:
                pairs.append(f"{encoded}={_encode(str(text))}")  # noqa: PERF401 - two loops read better so
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


_MOST_DIGITS = 40


class _UnreliableError(Exception):
    """A document that follows the grammar, and yet not everybody reads it alike."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _UnreliableError("a member stands there twice")
    return members


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _UnreliableError("a number is too long")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits) if len(digits) <= _MOST_DIGITS else math.inf
    if math.isinf(number):
        raise _UnreliableError("a number is too large")
    return number


def _constant(word: str) -> Any:
    raise _UnreliableError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_constant
)


# RFC 8259, sections 4 and 6: names within an object should be unique, and what happens where they are not
# cannot be relied on; NaN and Infinity are no numbers. RFC 7493 (I-JSON) forbids both.
def read_json(text: bytes | str, source: str) -> Any:
    """A document, every member of which says one thing.

    Args:
        text: UTF-8, with or without a byte-order mark.
        source: where it comes from, for the error.

    Raises:
        MalformedResponseError: it is no JSON, has a member twice, or a number beyond all bounds.
    """
    # Not every ValueError: an application's signal handler may raise one in the middle of this.
    with suppress(json.JSONDecodeError, UnicodeDecodeError, RecursionError, _UnreliableError):
        if isinstance(text, bytes):
            text = text.removeprefix(codecs.BOM_UTF8).decode()
        return _DECODER.decode(text)
    # Out here, because the decoder's own error holds the whole document.
    raise MalformedResponseError(f"{source} did not answer with JSON that can be relied on")


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
    def nothing(self) -> bool:
        """Whether the server says that there is nothing, by 204 (No Content), whatever else it sent."""
        return self.status == 204  # noqa: PLR2004 - HTTP's own number

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
        return read_json(self.body, redact_url(self.url))

    def link(self, relation: str) -> str | None:
        """The absolute address of a link with this relation; None where no Link field has one.

        Raises:
            MalformedResponseError: a Link field cannot be read (RFC 8288), so that nobody knows whether
                there is one, or it names two.
        """
        if (field := self.header("link")) is None:
            return None
        with suppress(ValueError):
            found = find_link(field, relation)
            return None if found is None else urljoin(self.url, found)
        raise MalformedResponseError(f"{redact_url(self.url)} sent a Link header that cannot be read")

    def __repr__(self) -> str:
        return f"<Response {self.status} {redact_url(self.url)} {len(self.body)} bytes>"
