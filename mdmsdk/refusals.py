"""What an error answer means: by its status (RFC 9110), and by what a vendor says more exactly. Pure.

A provider states its vendor's refusals as data, in `mdmsdk.provider.MdmProvider.refusals`, and reads the
vendor's error body in `MdmProvider.complaint`. The first refusal that fits says what the error is and what an
administrator should do about it.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ResponseError,
    ServerError,
    TokenError,
)
from mdmsdk.rows import Row
from mdmsdk.wire import Response, http_date, redact_url
from mdmsdk.words import safe_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Complaint",
    "Refusal",
    "by_status",
    "check_status",
    "check_with",
    "error_row",
    "oauth_check",
    "retry_after_seconds",
    "spoken",
]

_CODE = re.compile(r"[\w.:/-]{1,60}", re.ASCII)
_LONGEST_WORDS = 300
_SPEAKING = re.compile(r"\w*errors?|\w*messages?", re.IGNORECASE)
_DEEPEST = 8
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "client-request-id", "x-correlation-id", "x-trace-id")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a server itself says is wrong, as far as it may be shown.

    Attributes:
        code: the vendor's own code: a word or a number. A longer text is dropped: it may quote what was sent.
        words: its own words, on one line, made harmless and cut; leave it out where they quote what was sent.
        request_id: the number of the request, for the vendor's support.
        wait: seconds that it asks to wait, where it says so in the body.
    """

    code: str = ""
    words: str = ""
    request_id: str | None = None
    wait: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", self.code if _CODE.fullmatch(self.code) else "")
        object.__setattr__(self, "words", safe_words(self.words, _LONGEST_WORDS))


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way in which a server refuses, and what it means. It fits an answer if all of its conditions hold.

    Attributes:
        status: the status, or several; None for every one from 400 on.
        code: the vendor's code, or several (`Complaint.code`).
        path: a regular expression, found in the path and query of the address.
        words: a regular expression, found in the server's own words, whatever the case.
        error: the error that it is, where the status' own (`check_status`) is not exact enough.
        means: what it means, for the message.
        hint: what an administrator should do; default: what the error's class says.
        retryable: whether the same request may succeed later; default: what the error's class says.
        wait: seconds until it may, where the server does not say.
    """

    status: int | tuple[int, ...] | None = None
    _: KW_ONLY
    code: str | tuple[str, ...] | None = None
    path: str | None = None
    words: str | None = None
    error: type[MdmError] | None = None
    means: str = ""
    hint: str | None = None
    retryable: bool | None = None
    wait: float | None = None

    def fits(self, response: Response, said: Complaint) -> bool:
        """Whether this is what an error answer means."""
        parts = urlsplit(response.url)
        return (
            _among(response.status, self.status)
            and _among(said.code, self.code)
            and (self.path is None or re.search(self.path, f"{parts.path}?{parts.query}") is not None)
            and (self.words is None or re.search(self.words, said.words, re.IGNORECASE) is not None)
        )


def by_status(hints: Mapping[int, str]) -> tuple[Refusal, ...]:
    """Refusals that say what an administrator should do about a status, and nothing else."""
    return tuple(Refusal(status, hint=hint) for status, hint in hints.items())


def _among(value: Any, wanted: Any) -> bool:
    return wanted is None or value == wanted or (isinstance(wanted, tuple) and value in wanted)


def error_row(response: Response) -> Row:
    """The JSON object of an error answer; an empty one where it is something else, such as a web page."""
    try:
        return Row(response.json(), "an error")
    except MalformedResponseError:
        return Row({})


def spoken(body: Any, depth: int = _DEEPEST) -> str:
    """What a server says in an error body of any shape: all texts in members called errors or messages.

    A field that is named beside one stands before it. Only for vendors whose texts do not quote what was
    sent; what is in members of other names is left out.
    """
    if isinstance(body, dict):
        body = [body.get("field"), *(part for name, part in body.items() if _SPEAKING.fullmatch(name))]
    if isinstance(body, list):
        return ": ".join(filter(None, (spoken(part, depth - 1) for part in body))) if depth else ""
    return body.strip() if isinstance(body, str) else ""


def check_with(
    refusals: Sequence[Refusal],
    complaint: Callable[[Response, Row], Complaint],
    response: Response,
    *,
    may_be_empty: bool = False,
    shown: Callable[[str], str] | None = None,
) -> Response:
    """Turn an error status into the error that it stands for.

    Args:
        refusals: what the vendor's refusals mean; the first that fits counts.
        complaint: reads what the server says, from the answer and its JSON object.
        response: the answer, redirects already followed.
        may_be_empty: whether the vendor documents 204 (No Content) as an answer to this request.
        shown: writes the answer's address for messages; default: without what could be private.

    Raises:
        MdmError: as the refusal says, or else as `check_status`.
    """
    if response.status == 200:  # noqa: PLR2004 - HTTP's own numbers
        return response
    told = replace(response, url=shown(response.url)) if shown else response
    if response.status < 400:  # noqa: PLR2004
        check_status(told, may_be_empty=may_be_empty)
        return response
    said = _said(complaint, response)
    refusal = next((one for one in refusals if one.fits(response, said)), Refusal())
    raise _error(told, refusal, said)


def _said(complaint: Callable[[Response, Row], Complaint], response: Response) -> Complaint:
    try:
        return complaint(response, error_row(response))
    except (
        MalformedResponseError
    ):  # an error answer of another form says nothing, and is an error all the same
        return Complaint()


def _error(response: Response, refusal: Refusal, said: Complaint) -> MdmError:
    usual, what = _usual(response, said)
    kind = refusal.error or usual
    own = ": ".join(filter(None, (said.code, said.words)))
    if issubclass(kind, TokenError):
        what = f"the login service refused ({response.status}) at {redact_url(response.url)}"
    message = f"{what}{refusal.means and ': '}{refusal.means}{f' [{own}]' if own else ''}"
    where: dict[str, Any] = {
        "request_id": said.request_id or _request_id(response),
        "retryable": refusal.retryable,
        "hint": refusal.hint or _HINTS.get(response.status),
    }
    if issubclass(kind, TokenError):
        return kind(message, step="token", vendor_code=said.code or None, **where)
    if not issubclass(kind, ResponseError):
        return kind(message, **where)
    if response.status in {501, 505} and refusal.retryable is None:
        where["retryable"] = False
    return kind(
        message,
        status=response.status,
        retry_after=refusal.wait if (wait := _wait(response, said)) is None else wait,
        url=redact_url(response.url),
        **where,
    )


_HINTS = {
    405: "Something else than the API may answer here, such as a portal or a proxy, or the server's version "
    "lacks this call: check base_url with its path, and that the plugin supports the version.",
}
"""What to do about a status that has no error of its own."""


def _wait(response: Response, said: Complaint) -> float | None:
    wait = retry_after_seconds(response)
    return said.wait if wait is None else wait


def _request_id(response: Response) -> str | None:
    return next((found for name in _REQUEST_ID_HEADERS if (found := response.header(name))), None)


def _usual(response: Response, said: Complaint) -> tuple[type[ResponseError], str]:
    """What an error status stands for by itself (RFC 9110, section 15), and the beginning of its message."""
    status = response.status
    kinds: dict[int, tuple[type[ResponseError], str]] = {
        401: (AuthenticationError, "refused the credential"),
        403: (PermissionDeniedError, "denies the account this request"),
        404: (EndpointNotFoundError, "has no such address"),
        429: (RateLimitedError, "asks for fewer requests"),
    }
    kind, words = kinds.get(status, (ResponseError, "refused the request"))
    if status == 503 and _wait(response, said) is not None:  # noqa: PLR2004 - HTTP's own numbers
        kind, words = RateLimitedError, "asks to wait"
    elif status >= 500:  # noqa: PLR2004
        kind, words = ServerError, "failed"
    return kind, f"the server {words} ({status}) at {redact_url(response.url)}"


def retry_after_seconds(response: Response) -> float | None:
    """The wait that the server asks for, in seconds (RFC 9110, section 10.2.3), or None.

    A date is measured from the server's own clock where the answer has a Date header.
    """
    text = (response.header("retry-after") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    if (until := http_date(text)) is None:
        return None
    return max(0.0, (until - (response.date or datetime.now(UTC))).total_seconds())


def check_status(response: Response, *, hint: str | None = None, may_be_empty: bool = False) -> Response:
    """Turn every status but 200 into the error that says what to do about it (RFC 9110, section 15).

    Args:
        response: the answer, redirects already followed.
        hint: what to do instead of the error's general advice.
        may_be_empty: whether the vendor documents 204 (No Content) as an answer to this request.

    Raises:
        ResponseError: for 4xx and 5xx.
        ProtocolError: for 2xx and 3xx: part of an answer, one that was changed on its way (203), or none.
    """
    if response.status == 200 or (response.status == 204 and may_be_empty):  # noqa: PLR2004
        return response
    if response.status < 400:  # noqa: PLR2004 - HTTP's own numbers
        _refuse_part(response)
    raise _error(response, Refusal(hint=hint), Complaint())


def _refuse_part(response: Response) -> NoReturn:
    raise ProtocolError(
        f"status {response.status} from {redact_url(response.url)} is no whole answer",
        hint="Something between here and the server may change its answers: look for a proxy or gateway.",
    )


# RFC 6749, section 5.2: 400 or 401 with a JSON object, the member `error` of which is one word.
def oauth_check(*refusals: Refusal, hint: str | None = None) -> Callable[[Response], Response]:
    """What looks at the answers of an OAuth token service, for `mdmsdk.wire.Request.check`.

    Args:
        refusals: what its codes mean.
        hint: what an administrator should do about every other refusal of the client.
    """
    rest = tuple(Refusal(status, error=TokenError, hint=hint) for status in range(400, 500) if status != 429)  # noqa: PLR2004
    known = (*refusals, *rest)
    return lambda response: check_with(known, _oauth_complaint, response)


def _oauth_complaint(_: Response, row: Row) -> Complaint:
    return Complaint(row.text("error") or "")
