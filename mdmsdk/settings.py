"""What an administrator fills in for one server, and what every provider has in common there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NoReturn, Self, SupportsIndex, TypedDict
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from mdmsdk.models import FrozenModel

__all__ = [
    "BasicUsername",
    "ComplianceSettings",
    "LowerLimits",
    "Policy",
    "PolicyChanges",
    "ProviderSettings",
    "Rules",
    "Settings",
    "TlsSettings",
    "Url",
    "below",
    "is_loopback",
    "secret_values",
]


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this very machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_url(url: str) -> str:
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("this is not a URL; https://HOST or https://HOST:PORT is wanted") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("https://HOST or https://HOST:PORT is wanted")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a credential does not belong into a URL; use the settings made for it")
    if parts.query or parts.fragment:
        raise ValueError("a URL without ? and # is wanted")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(
            "http would send the credential in clear text; https is wanted (http for loopback only)"
        )
    return url


Url = Annotated[str, AfterValidator(_check_url)]
"""A base address, https or http for loopback; no credential, no query, no slash at its end."""
_HOST = r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$"
Host = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=_HOST)]


def below(path: str) -> AfterValidator:
    """For a `Url`: adds a path that may be left out, because all addresses of the vendor's API have it."""
    return AfterValidator(lambda url: url if url.lower().endswith(path) else f"{url}{path}")


def _check_username(text: str) -> str:
    # RFC 7617, section 2: the first colon ends the user name.
    if not text.strip() or ":" in text:
        raise ValueError("a user name is wanted; HTTP Basic authentication allows no colon in it")
    return text


BasicUsername = Annotated[str, AfterValidator(_check_username)]
"""A user name that HTTP Basic authentication can carry."""


class Settings(FrozenModel):
    """Base of all settings: frozen, unknown names refused, no values in error messages, never pickled."""

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)
    gone: ClassVar[Mapping[str, str]] = {}
    """Settings that there were, and what to do without them, for the message."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse: a pickle would hold the secrets in clear."""
        raise TypeError(f"{type(self).__name__} refuses to be pickled, as it may hold secrets")


class Policy(Settings):
    """How patient the client is. All times are seconds.

    Attributes:
        timeout: for one request, from connecting to the last byte.
        deadline: for one operation with its login, waits and retries; not for lists.
        list_patience: for one page of a list, with as many waits as the server asks for.
        attempts: how often one request is sent at the most; only idempotent ones are repeated.
        max_wait: the longest wait before another attempt; a server that asks for more is not retried.
        max_body: the most bytes of one answer, after decompression.
        max_pages: the most pages of one list.
        info_ttl: how long a server's description is used before it is asked for again.
        breaker_failures: after how many failures in a row the server is left alone; 0 never.
        breaker_reset: for how long it is left alone.
        refused_wait: for how long a refused credential is not sent again, because accounts lock.
    """

    timeout: float = Field(default=10.0, gt=0)
    deadline: float = Field(default=30.0, gt=0)
    list_patience: float = Field(default=300.0, gt=0)
    attempts: int = Field(default=3, ge=1, le=10)
    max_wait: float = Field(default=10.0, ge=0)
    max_body: int = Field(default=64 * 1024 * 1024, gt=0)
    max_pages: int = Field(default=10_000, gt=0)
    info_ttl: float = Field(default=3600.0, ge=0)
    breaker_failures: int = Field(default=5, ge=0)
    breaker_reset: float = Field(default=30.0, gt=0)
    refused_wait: float = Field(default=300.0, ge=0)


class PolicyChanges(TypedDict, total=False):
    """Fields of `Policy`, each of which may be left out."""

    timeout: float
    deadline: float
    list_patience: float
    attempts: int
    max_wait: float
    max_body: int
    max_pages: int
    info_ttl: float
    breaker_failures: int
    breaker_reset: float
    refused_wait: float


class TlsSettings(Settings):
    """Whom to trust, and how to identify oneself.

    Attributes:
        ca_file: PEM file with authorities to trust besides the operating system's.
        client_cert: PEM file with a client certificate and its chain.
        client_key: PEM file with its key, where that is apart.
        client_key_password: what opens the key.
    """

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    client_key_password: SecretStr | None = None

    @model_validator(mode="after")
    def _check(self) -> TlsSettings:
        if self.client_key and not self.client_cert:
            raise ValueError("client_key is of no use without client_cert")
        return self


class LowerLimits(Settings):
    """What this client may use of what the vendor allows, where other tools share it.

    Attributes:
        rate: requests a second in each lane.
        burst: requests that may be sent at once in a lane before the rate counts.
        concurrency: requests that may be under way at once.
    """

    rate: float | None = Field(default=None, gt=0)
    burst: int | None = Field(default=None, ge=1)
    concurrency: int | None = Field(default=None, ge=1)


SYSTEMS = (
    *("macOS", "iOS", "iPadOS", "tvOS", "watchOS", "visionOS"),
    *("Windows", "Android", "ChromeOS", "Linux"),
)
_SYSTEMS = {name.lower(): name for name in SYSTEMS}


def _check_system(name: object) -> str:
    if not (isinstance(name, str) and (known := _SYSTEMS.get(name.lower()))):
        raise ValueError(f"the systems are: {', '.join(SYSTEMS)}")
    return known


def _check_where(value: object) -> object:
    if isinstance(value, list | tuple) and value:
        return tuple(map(_check_system, value))
    if not isinstance(value, bool):
        raise ValueError('true, or a list of systems such as ["macOS", "Windows"], is wanted')  # noqa: TRY004
    return value


def _check_minimums(value: object) -> object:
    if isinstance(value, dict) and len({str(name).lower() for name in value}) < len(value):
        raise ValueError("a system is named twice")
    return value


Where = Annotated[bool | tuple[str, ...], BeforeValidator(_check_where)]
"""Whether a rule holds: for every device, or for those with one of the systems."""
Version = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9}){0,9}$")]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Rules(Settings):
    """What a device has to fulfil; a rule that is not set is not looked at. See `mdmsdk.rules.judge`.

    Attributes:
        minimum_os: the lowest version by system, such as ``{"macOS": "14.7", "iOS": "17.7"}``. An iPad
            falls under iPadOS where that is named, and under iOS otherwise. Windows counts by builds:
            10.0.22000 is the first Windows 11.
        disk_encrypted: true, or the systems whose devices need it, such as ``["macOS", "Windows"]``.
        passcode_set: the same for a passcode.
        not_jailbroken: the same for devices that are neither jailbroken nor rooted.
        registered: being managed is enough, if no other rule is broken. Without it, a device that is not
            managed is not compliant either.
        max_days_since_check_in: days since the device last spoke with its server, by the server's clock.
        required_words: the server's own words for the state (`Compliance.vendor_state`) hold each of these.
        forbidden_words: they hold none of these.
    """

    minimum_os: Annotated[
        dict[Annotated[str, AfterValidator(_check_system)], Version], BeforeValidator(_check_minimums)
    ] = Field(default_factory=dict)
    disk_encrypted: Where = False
    passcode_set: Where = False
    not_jailbroken: Where = False
    registered: bool = False
    max_days_since_check_in: float | None = Field(default=None, gt=0, le=36500)
    required_words: tuple[Word, ...] = ()
    forbidden_words: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(getattr(self, name) for name in Rules.model_fields):
            raise ValueError("at least one rule is wanted")
        windows = self.minimum_os.get("Windows", "10.0.0")
        if not re.match(r"10\.0\.[0-9]", windows):
            raise ValueError(
                "minimum_os: Windows counts by builds, such as 10.0.19045; 10.0.22000 is the first Windows 11"
            )
        return self


class ComplianceSettings(Settings):
    """Where the verdict on a device comes from. A plugin whose vendor has more sources subclasses it.

    Attributes:
        source: the vendor's own verdict, or rules over what the vendor reports about the device. What the
            vendor itself says against a device stands in either case.
        rules: with the source ``rules``.
    """

    # For type checkers wider than it is, so that a subclass may name its own sources in its `Literal`.
    if TYPE_CHECKING:
        source: str = "vendor"
    else:
        source: Literal["vendor", "rules"] = "vendor"
    rules: Rules | None = None

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        if (self.source == "rules") != (self.rules is not None):
            raise ValueError('source = "rules" and the table rules belong together')
        return self


class ProviderSettings(Settings):
    """What every provider's settings have.

    Attributes:
        base_url: the server's address.
        policy: patience, see `Policy`.
        tls: trust, see `TlsSettings`.
        proxy: URL of an HTTP proxy, secret because it may hold a password; default: the environment's.
        limits: less than the vendor allows, see `LowerLimits`; more than that changes nothing.
        keep_raw: keep the vendor's own record in `Device.raw`, and the last answer for debugging (see
            `MdmClient.last_response`).
        redirect_hosts: further hosts that may see the credential, where the server redirects to them, as
            ``HOST`` or ``HOST:PORT``; over https only.
        judges: whether an answer of several servers is complete only with this one; False for an inventory
            beside the MDM, whose silence means nothing.
        compliance: where the verdict comes from, see `ComplianceSettings`; default: the vendor's own.
    """

    logins: ClassVar[Sequence[Sequence[str]]] = ()
    """The ways to log in, each by the names of its settings; a plugin's subclass states them."""
    account: ClassVar[Sequence[str] | None] = None
    """The settings that tell, besides `base_url`, whose requests the vendor counts together: servers that
    agree in all of them share rates, places and waits. Empty where the vendor counts by address, or each
    `Request` names its account as its lane. None: the user name, client or key that logs in, or else every
    secret."""

    base_url: Url
    policy: Policy = Policy()
    tls: TlsSettings = TlsSettings()
    limits: LowerLimits = LowerLimits()
    proxy: SecretStr | None = None
    keep_raw: bool = False
    redirect_hosts: tuple[Host, ...] = ()
    judges: bool = True
    compliance: ComplianceSettings | None = None

    @model_validator(mode="after")
    def _one_login_is_whole(self) -> Self:
        """Make sure that one way to log in is filled in, whole, and nothing of another one."""
        given = {name for way in self.logins for name in way if _given(getattr(self, name))}
        if self.logins and given not in [set(way) for way in self.logins]:
            wanted = ", or ".join(" and ".join(way) for way in self.logins)
            raise ValueError(f"one login is wanted: {wanted}")
        return self


def _given(value: Any) -> bool:
    return bool(value.get_secret_value().strip() if isinstance(value, SecretStr) else value)


def secret_values(value: Any) -> list[str]:
    """The values of all secret fields of settings, or of what else holds any, however deep."""
    if isinstance(value, SecretStr):
        return [value.get_secret_value()]
    if isinstance(value, BaseModel):
        value = [getattr(value, name) for name in type(value).model_fields]
    elif isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return []
    return [secret for inner in value for secret in secret_values(inner)]
