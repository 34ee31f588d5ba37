"""What a plugin author writes: one subclass of `MdmProvider`, whose methods are flows."""

from __future__ import annotations

import base64
import inspect
import re
import warnings
from abc import ABC, abstractmethod
from dataclasses import InitVar, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mdmsdk.errors import TokenError, UnsupportedOperationError
from mdmsdk.flow import Flow, done
from mdmsdk.identifiers import DeviceId
from mdmsdk.refusals import Complaint, Refusal, check_status, check_with, retry_after_seconds
from mdmsdk.search import Found, of_one, one_by_one
from mdmsdk.settings import LowerLimits, ProviderSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.rows import Row
    from mdmsdk.wire import Request, Response

__all__ = [
    "Capability",
    "Limits",
    "MdmProvider",
    "Page",
    "ProviderSettings",
    "Token",
    "basic_token",
    "check_status",
    "contract_of",
    "retry_after_seconds",
]

T = TypeVar("T")
_LOGIN_PARAMETERS = 3  # self, audience, previous
_DECLARED = ("keys", "capabilities", "limits", "partial", "loose", "never_shown", "record_key", "listed")


class Capability(StrEnum):
    """What a provider can do beyond heartbeat, lookup and noncompliant list."""

    BATCH = "batch"
    """Several keys in one request."""
    INVENTORY = "inventory"
    """A list of all devices."""
    REASONS = "reasons"
    """Failure reasons in detail, at the cost of more requests."""
    CHANGES = "changes"
    """A list of the devices that changed since a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server bears. The runner keeps to it; flows never count or wait for it.

    Attributes:
        rate: requests a second in each lane (see `Request.lane`), None for no limit.
        burst: requests that may be sent at once in a lane before the rate counts.
        total_rate: requests a second over all lanes, None for no limit.
        concurrency: requests that may be under way at once.
        batch_size: keys that `find_batch` takes at once.
    """

    rate: float | None = None
    burst: int = 1
    total_rate: float | None = None
    concurrency: int = 10
    batch_size: int = 1
    # Of contract version 1; nothing reads them any more.
    page_size: InitVar[int | None] = None
    shortest_poll: InitVar[float | None] = None

    def __post_init__(self, page_size: int | None, shortest_poll: float | None) -> None:
        if page_size is not None or shortest_poll is not None:
            warnings.warn(
                "page_size and shortest_poll are no limits since contract version 2: leave them out",
                DeprecationWarning,
                stacklevel=3,
            )

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
        extra: what `MdmProvider.authorize`, `logout` or the next `login` needs besides.
        rotates: what gets the next token is good for one use, and so belongs to one process.
        single_use: good for one exchange, such as a Kerberos ticket with its authenticator. It is never kept
            and never sent twice: each request, attempt and redirect begins with a login of its own.

    Raises:
        TokenError: the value holds characters that no header can carry.
    """

    value: str = field(repr=False)
    scheme: str = "Bearer"
    expires_in: float | None = None
    static: bool = False
    extra: Any = field(default=None, repr=False)
    rotates: bool = False
    single_use: bool = False

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
        next_cursor: what to pass for the next page, a frozen value that only the provider understands; None
            on the last one.
        total: how many rows the whole list has, where the server says so.
        sent: what tells each row that the server sent, such as its id, where a provider leaves some of them
            out of `items`: a page may bring progress without an item. None where they are all.
        moved: whether the list got further even without a new row, such as to the next of several networks.
    """

    items: Sequence[T]
    next_cursor: Any = None
    total: int | None = None
    sent: Sequence[str | None] | None = None
    moved: bool = False


def contract_of(provider: type[MdmProvider]) -> int:
    """The version of the contract that a class is written for, by itself and by the form of its `login`."""
    version = provider.contract_version
    if version > 1 and len(inspect.signature(provider.login).parameters) < _LOGIN_PARAMETERS:
        return 1  # it takes no `previous`
    return version


class MdmProvider(ABC):
    """One kind of MDM server, described: requests, answers, next steps; never sockets, clocks or threads.

    Every method but `authorize` and `check` is a flow: a generator of steps (see `mdmsdk.flow`).
    Errors that leave a flow are `MdmError`; for a key that the server does not know, the answer is an
    empty list and not an error.
    """

    contract_version: ClassVar[int] = 2
    """The version that a plugin is written for (docs/explanation/compatibility.md)."""
    name: ClassVar[str]
    """The entry-point name, such as ``"jamf"``."""
    vendor: ClassVar[str]
    settings_type: ClassVar[type[ProviderSettings]] = ProviderSettings
    keys: ClassVar[frozenset[type[Key]]]
    """What it can look up by without walking the whole tenant."""
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    limits: ClassVar[Limits] = Limits()
    refusals: Sequence[Refusal] = ()
    """What the vendor's error answers mean (see `mdmsdk.refusals`); the first that fits counts."""
    may_be_empty: ClassVar[str | None] = None
    """A regular expression, found in the addresses for which the vendor documents 204 (No Content)."""
    domains: ClassVar[Sequence[str]] = ()
    """The vendor's own, in lower case; all their hosts may see the credential (see `trusts`)."""
    partial: ClassVar[Mapping[type[Key], int]] = {}
    """Kinds of which a record shows only some identifiers of a device, and how many at the most. A record
    that shows so many does not contradict another one."""
    loose: ClassVar[frozenset[type[Key]]] = frozenset()
    """Kinds by which the server searches loosely. An answer about other devices alone is "not found"."""
    never_shown: ClassVar[frozenset[type[Key]]] = frozenset()
    """Kinds that the answer to a search by them never shows, by the vendor's own word. Its only record is
    taken for the device, unless it shows another key of the kind."""
    certificate_names: ClassVar[frozenset[str]] = frozenset()
    """How certificates name this vendor, as ``MerakiSM`` in ``ID:MerakiSM:DeviceID:1234``. In a federation,
    an identifier that names a vendor is asked for at its servers, and at those that state nothing here."""
    record_key: ClassVar[type[Key]] = DeviceId
    """The kind that names one record of the server, by which a record is asked for that a list showed."""
    listed: ClassVar[frozenset[type[Key]]] = frozenset()
    """Kinds of which the list of all devices shows every identifier by which the server knows a device. What
    a complete list does not show of such a kind, no device has."""

    def __init__(self, settings: ProviderSettings) -> None:
        """Keep the settings. No I/O here, ever."""
        self.settings = settings

    def lists(self, kind: type[Key]) -> bool:
        """Whether the list of all devices shows every identifier of a kind; by default as `listed` says."""
        return kind in self.listed

    def declare_as(self, other: type[MdmProvider]) -> None:
        """Declare what another class does, where this provider can do no more by its settings."""
        vars(self).update({name: getattr(other, name) for name in _DECLARED})

    @property
    def trusted_silent(self) -> frozenset[type[Key]]:
        """Kinds for which the administrator takes records that do not show the key for the device."""
        return frozenset()

    @property
    def login_url(self) -> str | None:
        """Where tokens come from, if that may be another host than the one of `base_url`."""
        return None

    def outdated(self, info: ServerInfo) -> tuple[str, ...]:
        """Sentences about what the vendor has deprecated or retired and this server has to be asked by.

        Each says since when, and what to do.
        """
        del info
        return ()

    def trusts(self, host: str) -> bool:
        """Whether the credential may follow a redirect or a next-page link to another `host`, over https.

        Args:
            host: letters, digits, hyphens and dots, in lower case; a port other than 443 behind a colon.
        """
        own = any(host == domain or host.endswith(f".{domain}") for domain in self.domains)
        return own or host in self.settings.redirect_hosts

    @abstractmethod
    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """Get a credential for `audience` (see `mdmsdk.logins`).

        Args:
            audience: whose token is wanted.
            previous: the token before, which ends or was refused, with its `Token.extra`; None at first.

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
        """Turn an error status into an error. Pure; the one place for a vendor's status quirks.

        By default as `refusals`, `complaint` and `may_be_empty` say. It does not see the answers to requests
        that bring a `Request.check` of their own.
        """
        empty = self.may_be_empty is not None and re.search(self.may_be_empty, response.url) is not None
        return check_with(self.refusals, self.complaint, response, may_be_empty=empty)

    def complaint(self, response: Response, row: Row) -> Complaint:
        """What the server says in an error answer, the JSON object of which is `row`. Pure."""
        del response, row
        return Complaint()

    @abstractmethod
    def heartbeat(self) -> Flow[ServerInfo]:
        """Reach the server and learn what it is; what the other methods need goes into the answer."""

    def see_a_device(self, info: ServerInfo) -> Flow[None]:
        """Make sure that the account sees any device, by one small request.

        Many servers answer an account that has lost its role or its groups with empty lists and 200. So it is
        asked where an answer names no device at all: only then does nothing mean "not known here" and "all
        comply". By default nothing is asked: for servers that cannot tell.

        Raises:
            PermissionDeniedError: it sees none (see `mdmsdk.evidence.check_sight`).
        """
        del info
        return done(None)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record of the server's answer to a search by this key; [] where the server does not know it.

        A provider states this method or `find_batch`, and each of them falls back on the other one.

        Which of them are about the device is decided by the client, from what they show (`mdmsdk.proof`):
        what was asked for is never written into a record.

        Raises:
            FilterIgnoredError: the server answered about other devices.
            UnsupportedOperationError: this server's version cannot search by this kind of key.
        """
        if type(self).find_batch is MdmProvider.find_batch:
            raise NotImplementedError("a provider states find or find_batch")
        return of_one((yield from self.find_batch(info, [key])), key)

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """`find` for at most ``limits.batch_size`` keys of one kind at once (see `mdmsdk.search`).

        Returns:
            An entry for every key, with its records or the error that concerns this key alone.
        """
        return one_by_one(keys, lambda key: self.find(info, key))

    @abstractmethod
    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that do not comply; `cursor` is None for the first (see `Page`).

        Raises:
            ConfigurationError: the settings name no source of compliance.
        """

    def find_in(self, info: ServerInfo, place: str | None, keys: Sequence[Key]) -> Flow[Found]:
        """`find_batch` for records by their own names (`record_key`), which were seen in one place.

        By default it is asked with this place alone of those in the `mdmsdk.models.Description`.

        Args:
            info: the answer to a heartbeat.
            place: a `Device.place` that the provider gave, maybe long ago; None where there is none.
            keys: at most ``limits.batch_size``, all of the kind `record_key`.
        """
        if info.description is not None:
            info = info.model_copy(update={"description": info.description.within(place)})
        return self.find_batch(info, keys)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        """One page of all devices; with `Capability.INVENTORY`.

        By default what `devices_since` gives without a time, with `Capability.CHANGES`.
        """
        if {Capability.INVENTORY, Capability.CHANGES} <= self.capabilities:
            return self.devices_since(info, None, cursor)
        raise self._unsupported(Capability.INVENTORY)

    def devices_since(self, info: ServerInfo, since: datetime | None, cursor: Any) -> Flow[Page[Device]]:
        """One page of the devices that changed; with `Capability.CHANGES`.

        They show every identifier that the server knows of them, even where that costs more requests than
        `devices_page`.

        Args:
            info: the answer to a heartbeat.
            since: by the server's own clock, in UTC; None for all devices. Others may be among them, too.
            cursor: None for the first page.
        """
        del info, since, cursor
        raise self._unsupported(Capability.CHANGES)

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        """The device with its failure reasons filled in; with `Capability.REASONS`. May cost requests."""
        del info, device
        raise self._unsupported(Capability.REASONS)

    def _unsupported(self, capability: Capability) -> UnsupportedOperationError:
        return UnsupportedOperationError(f"the provider {self.name!r} does not offer {capability.value}")
