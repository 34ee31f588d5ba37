"""What a plugin author writes: one subclass of `MdmProvider`, whose methods are flows."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ResponseError,
    ServerError,
    TokenError,
    UnsupportedOperationError,
)
from mdmsdk.flow import Flow, done
from mdmsdk.search import Found, one_by_one
from mdmsdk.settings import LowerLimits, ProviderSettings
from mdmsdk.wire import Request, Response, http_date, redact_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo

__all__ = [
    "Capability",
    "Limits",
    "MdmProvider",
    "Page",
    "ProviderSettings",
    "Token",
    "basic_token",
    "check_status",
    "retry_after_seconds",
]

T = TypeVar("T")


class Capability(StrEnum):
    """What a provider can do beyond heartbeat, lookup and noncompliant list."""

    BATCH = "batch"
    """Several keys in one request."""
    INVENTORY = "inventory"
    """A list of all devices."""
    REASONS = "reasons"
    """Failure reasons in detail, at the cost of more requests."""
    LOCK = "lock"
    CORPORATE_WIPE = "corporate-wipe"
    FULL_WIPE = "full-wipe"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server bears. The runner keeps to it; flows never count or wait for it.

    Attributes:
        rate: requests a second in each lane (see `Request.lane`), None for no limit.
        burst: requests that may be sent at once in a lane before the rate counts.
        total_rate: requests a second over all lanes, None for no limit.
        concurrency: requests that may be under way at once.
        batch_size: keys that `find_batch` takes at once.
        page_size: rows to ask for on one page, where the server does not say.
        shortest_poll: seconds between two noncompliant lists.
    """

    rate: float | None = None
    burst: int = 1
    total_rate: float | None = None
    concurrency: int = 10
    batch_size: int = 1
    page_size: int = 100
    shortest_poll: float = 0.0

    def lowered(self, by: LowerLimits) -> Limits:
        """The same, or less where the administrator allows less."""
        lower = {
            name: value if mine is None else min(value, mine)
            for name in ("rate", "burst", "concurrency")
            if (value := getattr(by, name)) is not None
            for mine in (getattr(self, name),)
        }
        return replace(self, **lower)


@dataclass(frozen=True, slots=True)
class Token:
    """A credential to send. Its value never shows in ``repr``.

    Attributes:
        scheme: the word before it in the Authorization header.
        expires_in: seconds from now, None if it does not expire.
        static: a password or API key: logging in again would only send the same one, so a refusal
            is final, and it is not sent a second time.
        extra: what `MdmProvider.authorize` or `logout` needs besides.

    Raises:
        TokenError: the value holds characters that no header can carry.
    """

    value: str = field(repr=False)
    scheme: str = "Bearer"
    expires_in: float | None = None
    static: bool = False
    extra: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not (self.value.isascii() and self.value.isprintable()):
            raise TokenError(
                "the credential holds characters that no HTTP header can carry",
                step="token",
                hint="Look for a typing error if it stands in the settings, and otherwise at what answers in "
                "place of the login service.",
            )

    def on(self, request: Request) -> Request:
        """The request with this credential in its Authorization header (RFC 9110, section 11.6.2)."""
        return request.with_headers({"Authorization": f"{self.scheme} {self.value}"})


def basic_token(username: str, password: str) -> Token:
    """The static credential of HTTP Basic authentication (RFC 7617, in UTF-8)."""
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return Token(pair, scheme="Basic", static=True)


@dataclass(frozen=True)  # without slots, with which Python 3.11 cannot make a Page[Device]
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        next_cursor: what to pass for the next page; None on the last one.
        total: how many rows the whole list has, where the server says so.
        sent: what tells each row that the server sent, such as its id, where a provider leaves some of them
            out of `items`: a page may bring progress without an item. None where they are all.
        moved: whether the list got further even without a new row, such as to the next of several networks.
    """

    items: Sequence[T]
    next_cursor: str | None = None
    total: int | None = None
    sent: Sequence[str | None] | None = None
    moved: bool = False


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


_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "client-request-id", "x-correlation-id", "x-trace-id")


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
    status = response.status
    if status == 200 or (status == 204 and may_be_empty):  # noqa: PLR2004 - HTTP's own numbers
        return response
    url = redact_url(response.url)
    retry_after = retry_after_seconds(response)
    kinds: dict[int, tuple[type[ResponseError], str]] = {
        401: (AuthenticationError, "refused the credential"),
        403: (PermissionDeniedError, "denies the account this request"),
        404: (EndpointNotFoundError, "has no such address"),
        429: (RateLimitedError, "asks for fewer requests"),
    }
    kind, words = kinds.get(status, (ResponseError, "refused the request"))
    if status == 503 and retry_after is not None:  # noqa: PLR2004
        kind, words = RateLimitedError, "asks to wait"
    elif status >= 500:  # noqa: PLR2004
        kind, words = ServerError, "failed"
    elif status < 400:  # noqa: PLR2004
        raise ProtocolError(
            f"status {status} from {url} is no whole answer",
            hint="Something between here and the server may change its answers: look for a proxy or gateway.",
        )
    raise kind(
        f"the server {words} ({status}) at {url}",
        status=status,
        retry_after=retry_after,
        url=url,
        request_id=next((found for name in _REQUEST_ID_HEADERS if (found := response.header(name))), None),
        retryable=False if status in {501, 505} else None,
        hint=hint,
    )


class MdmProvider(ABC):
    """One kind of MDM server, described: requests, answers, next steps; never sockets, clocks or threads.

    Every method but `authorize` and `check` is a flow: a generator of steps (see `mdmsdk.flow`).
    Errors that leave a flow are `MdmError`; for a key that the server does not know, the answer is an
    empty list and not an error.
    """

    contract_version: ClassVar[int] = 1
    name: ClassVar[str]
    """The entry-point name, such as ``"jamf"``."""
    vendor: ClassVar[str]
    settings_type: ClassVar[type[ProviderSettings]] = ProviderSettings
    keys: ClassVar[frozenset[type[Key]]]
    """What it can look up by without walking the whole tenant."""
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    limits: ClassVar[Limits] = Limits()
    passing: ClassVar[frozenset[str]] = frozenset()
    """Members of `ServerInfo.extra` that change by themselves, such as a quota."""
    partial: ClassVar[Mapping[type[Key], int]] = {}
    """Kinds of which a record shows only some identifiers of a device, and how many at the most. A record
    that shows so many does not contradict another one."""
    loose: ClassVar[frozenset[type[Key]]] = frozenset()
    """Kinds by which the server searches loosely. An answer about other devices alone is "not found"."""
    never_shown: ClassVar[frozenset[type[Key]]] = frozenset()
    """Kinds that the answer to a search by them never shows, by the vendor's own word. Its only record is
    taken for the device, unless it shows another key of the kind."""

    def __init__(self, settings: ProviderSettings) -> None:
        """Keep the settings. No I/O here, ever."""
        self.settings = settings

    @property
    def trusted_silent(self) -> frozenset[type[Key]]:
        """Kinds for which the administrator takes records that do not show the key for the device."""
        return frozenset()

    def trusts(self, host: str) -> bool:
        """Whether the credential may follow a redirect or a next-page link to another `host`, over https.

        Args:
            host: letters, digits, hyphens and dots, in lower case; a port other than 443 behind a colon.
        """
        del host
        return False

    @abstractmethod
    def login(self, audience: str) -> Flow[Token]:
        """Get a credential for `audience`.

        Raises:
            AuthenticationError, TokenError: the server or its login service refused.
        """

    def logout(self, token: Token) -> Flow[None]:
        """Give the credential back when the client closes; for static ones never called."""
        del token
        return done(None)

    def authorize(self, request: Request, token: Token) -> Request:
        """Put the credential on a request. Pure."""
        return token.on(request)

    def check(self, response: Response) -> Response:
        """Turn an error status into an error. Pure; the one place for a vendor's status quirks."""
        return check_status(response)

    @abstractmethod
    def heartbeat(self) -> Flow[ServerInfo]:
        """Reach the server and learn what it is; what the other methods need goes into the answer."""

    @abstractmethod
    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record of the server's answer to a search by this key; [] where the server does not know it.

        Which of them are about the device is decided by the client, from what they show (`mdmsdk.proof`):
        what was asked for is never written into a record.

        Raises:
            FilterIgnoredError: the server answered about other devices.
            UnsupportedOperationError: this server's version cannot search by this kind of key.
        """

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for at most ``limits.batch_size`` keys of one kind at once (see `mdmsdk.search`).

        Returns:
            An entry for every key, with its records or the error that concerns this key alone.
        """
        return one_by_one(keys, lambda key: self.find(info, key))

    @abstractmethod
    def noncompliant_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        """One page of the devices that do not comply; `cursor` is None for the first.

        Raises:
            ConfigurationError: the settings name no source of compliance.
        """

    def devices_page(self, info: ServerInfo, cursor: str | None) -> Flow[Page[Device]]:
        """One page of all devices; with `Capability.INVENTORY`."""
        del info, cursor
        raise self._unsupported(Capability.INVENTORY)

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with its failure reasons filled in; with `Capability.REASONS`. May cost requests."""
        del info, device
        raise self._unsupported(Capability.REASONS)

    def _unsupported(self, capability: Capability) -> UnsupportedOperationError:
        return UnsupportedOperationError(f"the provider {self.name!r} does not offer {capability.value}")
