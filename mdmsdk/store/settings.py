"""Where the store is, and the key with which its entries are made fast."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from mdmsdk.settings import Settings, is_loopback

__all__ = ["StoreSettings"]

_SHORTEST_KEY = 16  # characters
_MIB = 1024 * 1024


class StoreSettings(Settings):
    """Where values are kept that outlive a call.

    Attributes:
        url: ``memory:``, ``sqlite:///var/lib/mdmsdk/store.db`` (or ``sqlite:store.db``, beside the
            configuration), or ``redis://host:6379/0``; ``rediss://`` with TLS, which any other host than this
            one needs.
        key: a secret of 16 characters or more, the same in all processes that share the store. Entries carry
            a code made with it, and one whose code is wrong is not there. In memory, one is made up.
        username: with Redis, the user.
        password: with Redis, its password.
        ca_file: with ``rediss://``, a PEM file with authorities to trust besides the operating system's.
        max_size: in memory, the bytes after which what has been unused the longest is dropped, if it has an
            end; what has none is never dropped.
        personal: whether users' names, phone numbers and vendors' own records (``keep_raw``) may be kept in
            other places than memory.
    """

    url: str = "memory:"
    key: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    max_size: int = Field(default=64 * _MIB, ge=_MIB)
    personal: bool = False

    @property
    def kind(self) -> Literal["memory", "sqlite", "redis"]:
        """Which of the back ends it is."""
        scheme = self.url.partition(":")[0]
        return "memory" if scheme == "memory" else "sqlite" if scheme == "sqlite" else "redis"

    @property
    def file(self) -> Path:
        """The file of the back end that has one."""
        path = self.url.partition(":")[2].removeprefix("//")
        if path[:1] == "/" and path[2:3] == ":":  # sqlite:///C:/store.db
            path = path[1:]
        return Path(path).expanduser()

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        scheme, colon, rest = url.partition(":")
        known = scheme in {"memory", "sqlite", "redis", "rediss"}
        if not (known and colon) or (scheme == "memory") == bool(rest.strip("/")):
            raise ValueError("memory:, sqlite:///PATH or redis://HOST:PORT/NUMBER is wanted")
        if scheme == "sqlite" and rest.startswith("//") and not rest.startswith("///"):
            raise ValueError("sqlite:///PATH is wanted for a full path, sqlite:PATH for one beside mdm.toml")
        return url if scheme in {"memory", "sqlite"} else _checked_address(url)

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key and len(key.get_secret_value()) < _SHORTEST_KEY:
            raise ValueError(f"it has fewer than {_SHORTEST_KEY} characters and could be guessed")
        return key

    @model_validator(mode="after")
    def _check(self) -> StoreSettings:
        if self.kind != "memory" and not self.key:
            raise ValueError("key is missing: without it anybody who writes to the store could forge entries")
        if (self.username or self.password or self.ca_file) and self.kind != "redis":
            raise ValueError("username, password and ca_file are for redis:// alone")
        return self


def _checked_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
        parts = urlsplit("")
    if not host or not (parts.path.strip("/") or "0").isdigit():
        raise ValueError("redis://HOST:PORT/NUMBER is wanted")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a credential does not belong into a URL; use username and password")
    if parts.query or parts.fragment:
        raise ValueError("a URL without ? and # is wanted")
    if parts.scheme == "redis" and not is_loopback(host):
        raise ValueError("redis:// sends all in clear text; rediss:// is wanted (redis:// for loopback only)")
    return url
