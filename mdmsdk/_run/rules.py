"""Decisions that need no I/O: where a redirect leads, whether and when to try again."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from mdmsdk.errors import (
    DeadlineExceededError,
    MalformedResponseError,
    MdmError,
    RateLimitedError,
    RedirectError,
    ResponseError,
)
from mdmsdk.wire import Request, Response, https_place, origin_of, same_origin
from mdmsdk.words import without_secrets as without_members

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.words import Secrets
MAX_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0


def is_redirect(response: Response) -> bool:
    """Whether the answer sends the client elsewhere (RFC 9110, section 15.4)."""
    return response.status in _REDIRECTS and response.header("location") is not None


def next_hop(request: Request, response: Response, trusts: Callable[[str], bool]) -> Request:
    """The request that a redirect leads to.

    Only the same origin is followed, and over https a host that the provider declares. A request without
    audience, such as a login with its secret, stays where it is. One with content is not repeated as a GET.

    Raises:
        RedirectError: it leads to another origin, or would change the method.
    """
    try:
        target = urljoin(request.full_url, response.header("location") or "")
        place = _elsewhere(target, request.url, _nowhere if request.audience is None else trusts)
    except ValueError:
        raise RedirectError("the server redirects to an unreadable address") from None
    if place:
        raise RedirectError(
            f"the server redirects from {urlsplit(request.url).hostname} to {place}, "
            "which must not see the credential",
        )
    if request.method not in {"GET", "HEAD"} and response.status not in {307, 308}:
        raise RedirectError(f"the server redirects a {request.method} request with status {response.status}")
    return replace(request, url=target, params={})


def check_destination(url: str, base_url: str, trusts: Callable[[str], bool]) -> None:
    """Let a credential go only to the server itself, or over https to a host that the provider declares.

    Raises:
        RedirectError: the address, such as a next-page link of the server, leads elsewhere.
    """
    if url.startswith(base_url) and url[len(base_url) :][:1] in {"/", "?", ""}:
        return
    try:
        place = _elsewhere(url, base_url, trusts)
    except ValueError:
        raise RedirectError("the server names an unreadable address") from None
    if place:
        raise RedirectError(
            f"the server leads to {place}, "
            f"which must not see the credential for {urlsplit(base_url).hostname}"
        )


def _elsewhere(url: str, home: str, trusts: Callable[[str], bool]) -> str | None:
    """The place of a URL if a credential must not go there, for a message; None if it may."""
    if same_origin(url, home) or ((place := https_place(url)) and trusts(place)):
        return None
    scheme, host, _ = origin_of(url)
    return f"{scheme}://{host}"


def _nowhere(_place: str) -> bool:
    return False


_SECRET_FIELD = re.compile(r"secret|password|assertion|token", re.IGNORECASE)
# RFC 9110, section 11.4: a credential may be a list of parameters, as in MaaS360's token="...".
_QUOTED = re.compile(r'"([^"]+)"')
_COOKIE = re.compile(r"(?:^|,)\s*[^=;,\s]+=\"?([^;,\s\"]+)")


def learn_cookies(response: Response, secrets: Secrets) -> None:
    """Take in the cookies that an answer sets, which its other fields may repeat."""
    if cookies := response.header("set-cookie"):
        secrets.add(*_COOKIE.findall(cookies))


def without_secrets(request: Request, response: Response, secrets: Secrets) -> Response:
    """The answer as a provider may read and quote it: it may repeat the credential that was sent.

    Of a good answer, that is a value in clear among the data; a login's own answer stays as it is.
    """
    learn_cookies(response, secrets)
    credential = request.headers.get("Authorization", "").partition(" ")[2]
    credential = max(_QUOTED.findall(credential), key=len, default=credential)
    good = response.status < 300  # noqa: PLR2004 - HTTP's own numbers
    if good and (request.audience is None or not secrets.stand_in(response.body, credential)):
        return response
    secrets.add(credential)
    secrets.add(*(text for name, text in (request.form or {}).items() if _SECRET_FIELD.search(name)))
    headers = {name: secrets.hide(value) for name, value in response.headers.items()}
    return replace(response, headers=headers, body=secrets.hide_in(response.body))


def fit_to_show(response: Response, secrets: Secrets) -> Response:
    """The answer without what must not be shown: credentials, cookies, and members that tell of secrets."""
    headers = {name: secrets.hide(value) for name, value in response.headers.items() if "cookie" not in name}
    try:
        body = json.dumps(without_members(response.json())).encode()
    except MalformedResponseError:
        body = response.body
    url = secrets.hide(response.url)
    return replace(response, headers=headers, body=secrets.hide_in(body), url=url)


def worth_retrying(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment, within the same deadline."""
    return isinstance(error, MdmError) and error.retryable and not isinstance(error, DeadlineExceededError)


def wait_before_retry(error: BaseException | None, attempt: int, max_wait: float) -> float | None:
    """Seconds before the next attempt, or None where waiting is no use.

    The server's own wait comes first, with a little jitter on top so that clients do not come back
    all at once; otherwise exponential with full jitter.

    Args:
        error: what the attempt ended with.
        attempt: how many attempts were made.
        max_wait: the longest wait that is put up with.
    """
    asked = error.retry_after if isinstance(error, ResponseError) else None
    if asked is not None:
        return asked + random.uniform(0, min(0.1 * asked, 1.0)) if asked <= max_wait else None  # noqa: S311
    if isinstance(error, RateLimitedError):
        attempt += 1  # no hurry where the server complained
    return min(random.uniform(0, min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)), max_wait)  # noqa: S311
