"""Answers of the Cisco ISE MDM API: from bytes to plain values. Pure, and the only user of lxml.

Tolerant where vendors differ: any namespace, any case of element names, missing and empty elements,
byte-order marks, wrong content types, a wrong UTF-16 label. Strict where it matters: a document type, and
with it every entity, is refused; nothing is fetched; what is not an answer of this protocol is
`MalformedResponseError`, never an empty list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lxml import etree

from mdmsdk.errors import MalformedResponseError, ResponseTooLargeError
from mdmsdk.ise.protocol import hide_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.wire import Response

__all__ = ["Answer", "Row", "boolean", "number", "read_answer"]

Row = dict[str, Any]
"""One element: lower-case local name -> text, None where it is empty, or another `Row`."""

_SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
# lxml locks a parser while it is used, so threads may share one.
_PARSER = etree.XMLParser(**_SAFE)
_UTF8_PARSER = etree.XMLParser(encoding="utf-8", **_SAFE)

_MAX_TAGS = 2_000_000
"""Of one answer. A tree takes far more memory than its text; 5,000 full records have 300,000 tags."""
_MAX_DEPTH = 4
"""device > attributes > compliance > status is as deep as the protocol goes."""

_MAX_NAMES = 512
_ENVELOPE = frozenset({"devicelist", "device", "paging_info"})
_MOST_TOGETHER = 8192
"""Characters of an element that a device has several times, such as its MAC addresses."""

_LAST_PAGE = "0"
_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_DOCTYPE = re.compile(rb"(?:\s++|<\?(?>.*?\?>)|<!--(?>.*?-->))*+<!DOCTYPE", re.DOTALL | re.IGNORECASE)
_LABELLED_UTF16 = re.compile(rb"<\?xml[^>]{1,80}encoding\s*=\s*[\"']utf-16", re.IGNORECASE)

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

_PAGE_HINT = (
    "A login page, portal or proxy answers at this address: check base_url and instance, and that the "
    "account may use the API without signing in on a web page."
)
_CUT_HINT = "The answer was cut off on its way: try again, then look at the proxy and at the server's log."
_DTD_HINT = "This protocol has no document types, and one can serve an attack: find out what answers here."


def boolean(text: object) -> bool | None:
    """A flag as vendors write it (true, false, 1, 0, yes, no, in any case), or None."""
    if not isinstance(text, str):
        return None
    found = _BOOLEANS.get(text)
    return found if found is not None else _BOOLEANS.get(text.lower())


def number(text: object) -> int | None:
    """A whole number that is not negative, or None."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19:  # noqa: PLR2004 - 64 bits
        return int(text)
    return None


class Answer:
    """One document with the root ``ise_api``.

    Attributes:
        fields: the elements of the envelope.
    """

    __slots__ = ("_lists", "_url", "fields")

    def __init__(self, fields: Row, lists: list[Any], url: str) -> None:
        self.fields: Row = fields
        self._lists = lists
        self._url = url

    @property
    def url(self) -> str:
        """Where it came from, fit for messages."""
        return hide_values(self._url)

    @property
    def has_list(self) -> bool:
        """Whether there is a ``deviceList``, be it empty."""
        return bool(self._lists)

    def text(self, name: str) -> str | None:
        """The text of an element of the envelope; None where it is absent, empty or no text."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else None

    # Cisco ISE MDM API v2 and v3, device attributes: the last page has a paging_info of 0, or none.
    @property
    def next_token(self) -> str | None:
        """The token of the next page, None on the last one."""
        token = self.text("paging_info")
        return None if token == _LAST_PAGE else token

    # Cisco ISE MDM API v3, device attributes: only in the example; the meaning is inferred from the name.
    @property
    def busy_wait(self) -> int:
        """Seconds that the server asks its client to stay away."""
        return number(self.text("server_busy_wait_seconds")) or 0

    def rows(self) -> Iterator[Row]:
        """The ``device`` elements. To be walked once: what has been read is dropped, to save memory.

        Raises:
            MalformedResponseError: the list holds something that is not a device.
        """
        for devices in self._lists:
            empty = True
            for element in devices:
                empty = False
                row = _read(element) if _LOCAL[element.tag] == "device" else None
                if not row or not _says_anything(row) or not _ENVELOPE.isdisjoint(row):
                    raise MalformedResponseError(f"{self.url} lists something that is not a device")
                element.clear()
                yield row
            if empty and devices.text and devices.text.strip():
                raise MalformedResponseError(f"{self.url} has text where a list of devices is expected")


def read_answer(response: Response) -> Answer:
    """Read an answer, whatever content type it claims.

    Raises:
        MalformedResponseError: it is not XML, is broken off, has a document type or another root.
        ResponseTooLargeError: it has more elements than any page of devices.
    """
    root = _parse(response)
    name = _LOCAL[root.tag]
    if name != "ise_api":
        url = hide_values(response.url)
        if name == "html":
            raise _web_page(url)
        raise MalformedResponseError(f"{url} answered with <{name[:40]}> where <ise_api> is expected")
    lists = [child for child in root if _LOCAL[child.tag] == "devicelist"]
    _check_envelope(root, lists, response.url)
    return Answer(_read(root, 0), lists, response.url)


def _check_envelope(root: Any, lists: list[Any], url: str) -> None:
    """See that no list and no further page hides where nobody looks for it.

    Raises:
        MalformedResponseError: one does: an end that cannot be told is no end.
    """
    tokens = set()
    for child in root:
        if child in lists:
            continue
        paging = _LOCAL[child.tag] == "paging_info"
        if paging:
            tokens.add((child.text or "").strip())
        # An attribute says nothing but that there is no value (XML Schema, part 1, section 2.6.2).
        told = paging and (len(child) or any(_LOCAL[name] != "nil" for name in child.attrib))
        inside = len(child) and any(_LOCAL[inner.tag] in _ENVELOPE for inner in child.iterdescendants())
        if told or inside or len(tokens) > 1:
            raise MalformedResponseError(f"{hide_values(url)} answered with an envelope that cannot be read")


class _LocalNames(dict[str, str]):
    """Tag -> lower-case local name. Bounded: the tags are what the server sends."""

    def __missing__(self, tag: str) -> str:
        name = tag.rpartition("}")[2].lower()
        if len(self) < _MAX_NAMES:
            self[tag] = name
        return name


_LOCAL = _LocalNames()


def _read(element: Any, depth: int = _MAX_DEPTH) -> Row:
    # The one loop that runs for every element of every answer: no call in it that can be spared.
    row: Row = {}
    for child in element:
        name = _LOCAL[child.tag]
        value: str | Row | None
        if len(child):
            if _is_mixed(child):
                raise MalformedResponseError(f"the answer has text beside elements in <{name[:40]}>")
            value = _read(child, depth - 1) if depth else None
        else:
            text = child.text
            value = (text.strip() or None) if text is not None else None
        if name in row:
            _put(row, name, value)
        else:
            row[name] = value
    return row


def _is_mixed(element: Any) -> bool:
    text = element.text
    if text is not None and not text.isspace() and text:
        return True
    for child in element:
        text = child.tail
        if text is not None and not text.isspace() and text:
            return True
    return False


def _put(row: Row, name: str, value: str | Row | None) -> None:
    """Add a value; one that contradicts an earlier one is kept beside it, so that it reads as neither."""
    old = row.get(name)
    if old is None:
        row[name] = value
    elif value is None or value == old:
        return
    elif isinstance(old, str) and isinstance(value, str):
        if len(old) + len(value) > _MOST_TOGETHER:  # joining them one by one would take for ever
            raise MalformedResponseError(f"the answer has <{name[:40]}> again and again")
        row[name] = f"{old},{value}"
    else:
        raise MalformedResponseError(f"the answer has <{name[:40]}> twice, as a container")


def _says_anything(row: Row) -> bool:
    for value in row.values():
        if value is not None and (value.__class__ is str or _says_anything(value)):
            return True
    return False


def _parse(response: Response) -> Any:
    body = response.body
    if body[:1] != b"<":
        body = body.removeprefix(_BOM).lstrip(_BLANK)
        # Blanks may stand on either side of the mark.
        body = body.removeprefix(_BOM)
    if _DOCTYPE.match(body):
        raise _explain(response, None)
    if body.count(b"<") > _MAX_TAGS:
        raise ResponseTooLargeError(f"{hide_values(response.url)} answered with more than {_MAX_TAGS:,} tags")
    try:
        root = _parse_bytes(body)
    except (etree.LxmlError, LookupError, ValueError) as error:
        explained = _explain(response, error)
    else:
        # Seen only here where the encoding hid it from the look above.
        if root.getroottree().docinfo.internalDTD is None:
            return root
        explained = _explain(response, None)
    # The parser's own words quote the body: they stay out of the error, the chain of causes included.
    raise explained from None


def _parse_bytes(body: bytes) -> Any:
    try:
        return etree.fromstring(body, _PARSER)
    except etree.XMLSyntaxError:
        # .NET servers label a text UTF-16 that they then send as UTF-8.
        if not _LABELLED_UTF16.match(body):
            raise
    return etree.fromstring(body, _UTF8_PARSER)


def _explain(response: Response, error: Exception | None) -> MalformedResponseError:
    """Say in words for an administrator why this body cannot be read; no error means: a document type."""
    url = hide_values(response.url)
    body = response.body.strip(_BLANK + b"\0")
    if not body:
        return MalformedResponseError(f"{url} answered with nothing")
    head = body[:2048].replace(b"\0", b"").lower()
    if (
        b"<!doctype html" in head
        or b"<html" in head
        or "html" in (response.header("content-type") or "").lower()
    ):
        return _web_page(url)
    if error is None:
        return MalformedResponseError(f"{url} answered with XML that has a document type", hint=_DTD_HINT)
    if head.removeprefix(_BOM)[:1] in {b"{", b"["}:
        return MalformedResponseError(f"{url} answered with JSON instead of XML")
    if b"<" not in head:
        return MalformedResponseError(f"{url} answered with something that is not XML")
    cut = getattr(error, "code", None) == etree.ErrorTypes.ERR_TAG_NOT_FINISHED or not body.endswith(b">")
    if cut:
        return MalformedResponseError(
            f"{url} answered with XML that breaks off", hint=_CUT_HINT, retryable=True
        )
    line = getattr(error, "lineno", None)
    return MalformedResponseError(f"{url} answered with XML that is not well-formed (line {line})")


def _web_page(url: str) -> MalformedResponseError:
    return MalformedResponseError(f"{url} answered with a web page instead of XML", hint=_PAGE_HINT)
