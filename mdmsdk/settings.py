"""What an administrator fills in for one server, and what every provider has in common there."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, NoReturn, SupportsIndex
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

__all__ = [
    "BasicUsername",
    "LowerLimits",
    "Policy",
    "ProviderSettings",
    "Settings",
    "TlsSettings",
    "Url",
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


def _check_username(text: str) -> str:
    # RFC 7617, section 2: the first colon ends the user name.
    if not text.strip() or ":" in text:
        raise ValueError("a user name is wanted; HTTP Basic authentication allows no colon in it")
    return text


BasicUsername = Annotated[str, AfterValidator(_check_username)]
"""A user name that HTTP Basic authentication can carry."""


class Settings(BaseModel):
    """Base of all settings: frozen, unknown names refused, no values in error messages, never pickled."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

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


class ProviderSettings(Settings):
    """What every provider's settings have.

    Attributes:
        base_url: the server's address.
        policy: patience, see `Policy`.
        tls: trust, see `TlsSettings`.
        proxy: URL of an HTTP proxy, secret because it may hold a password; default: the environment's.
        limits: less than the vendor allows, see `LowerLimits`; more than that changes nothing.
        keep_raw: keep the vendor's own record in `Device.raw`.
        judges: whether an answer of several servers is complete only with this one; False for an inventory
            beside the MDM, whose silence means nothing.
    """

    base_url: Url
    policy: Policy = Policy()
    tls: TlsSettings = TlsSettings()
    limits: LowerLimits = LowerLimits()
    proxy: SecretStr | None = None
    keep_raw: bool = False
    judges: bool = True


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
