"""`mdm.toml`: which servers there are, and where their secrets are kept."""

from __future__ import annotations

import logging
import os
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from pydantic import BaseModel, Field, SecretStr, field_validator

from mdmsdk.certificates import compile_patterns
from mdmsdk.client import AsyncMdmClient, MdmClient
from mdmsdk.client.build import M, checked, kinds_of, make_provider
from mdmsdk.directory.settings import DirectorySettings
from mdmsdk.environment import from_environment, merged_tables
from mdmsdk.errors import ConfigurationError, MdmError, SecretError
from mdmsdk.registry import load_provider
from mdmsdk.secret_sources import read_secret
from mdmsdk.settings import Rules, Settings
from mdmsdk.silence import sealed
from mdmsdk.store import AsyncStore, Store, StoreSettings
from mdmsdk.trust import is_trusted, own_folder
from mdmsdk.words import nearest, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mdmsdk.provider import MdmProvider

__all__ = [
    "Config",
    "FederationSettings",
    "connect_server",
    "connect_server_async",
    "find_config",
    "load_config",
    "read_secret",
]

FILE_NAME = "mdm.toml"
_ENVIRONMENT = "the environment"
_UNREAD = "not read"
_WEEK = 10_080 * 60.0
_EVERYBODY_MAY_READ = 0o004
_log = logging.getLogger("mdmsdk.config")


class FederationSettings(Settings):
    """How several servers are asked together.

    Attributes:
        order: the servers that are asked, the preferred ones first; default: all, as in the file.
        merge: which record stands for a device that several servers know: the one with the
            strictest compliance state deciding, the first in order, or the newest check-in.
        rules: what a device has to fulfil besides, whatever its servers say of it.
        patience: seconds that a lookup waits for further servers once one has answered.
        chain_fallback: whether a device that only its MAC address finds, after other identifiers were not
            found, may be compliant.
        cache_ttl: seconds for which the records of a server are used again without asking; 0: ask always.
        cache_negative_ttl: the same where a server does not know the device, at most `cache_ttl`.
        cache_max_age: seconds for which records are used where a server fails; default: `cache_ttl`, so that
            nothing older is.
        directory: whether lookups go by a directory of the servers' inventories, where one is complete.
        certificate_patterns: other forms of identifiers in certificates, see
            `mdmsdk.keys_from_certificate`.
    """

    order: tuple[str, ...] = ()
    merge: Literal["strictest", "first", "newest"] = "strictest"
    rules: Rules | None = None
    patience: float = Field(default=2.0, gt=0, le=300)
    chain_fallback: bool = False
    # Cisco ISE: 1 to 10,080 minutes between two looks at a device.
    cache_ttl: float = Field(default=60.0, ge=0, le=_WEEK)
    cache_negative_ttl: float = Field(default=10.0, ge=0, le=_WEEK)
    cache_max_age: float | None = Field(default=None, ge=0, le=_WEEK)
    directory: bool = False
    certificate_patterns: tuple[str, ...] = ()

    @field_validator("certificate_patterns")
    @classmethod
    def _check_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        try:
            compile_patterns(patterns)
        except ConfigurationError as error:
            raise ValueError(error.message) from None
        return patterns


class _File(Settings):
    servers: dict[str, dict[str, Any]] = Field(min_length=1)
    federation: FederationSettings = FederationSettings()
    store: dict[str, Any] = {}  # noqa: RUF012 - frozen, and a copy for each
    directory: DirectorySettings = DirectorySettings()
    gateway: dict[str, Any] = {}  # noqa: RUF012 - likewise


def _raise(_: tuple[str, ...], error: SecretError) -> NoReturn:
    raise error


class Config(Settings):
    """A configuration file, its secrets not yet read.

    Attributes:
        path: where it was found; relative paths in it count from its folder.
        servers: by name, the settings of each with its ``provider``.
        trusted: whether it may read secrets and files. One that was only found in the working directory may
            not: it may belong to somebody else, who would choose the command, and where the secret goes.
        store: where values are kept that outlive a call; see `store_settings`.
        directory: how old the directory may be, and how often it is renewed.
        gateway: how `mdm serve` serves; see `mdmsdk.gateway.settings`.
    """

    path: Path
    trusted: bool
    servers: dict[str, dict[str, Any]] = Field(repr=False)
    federation: FederationSettings
    store: dict[str, Any] = Field(default={}, repr=False)
    directory: DirectorySettings = DirectorySettings()
    gateway: dict[str, Any] = Field(default={}, repr=False)

    def names(self, only: Iterable[str] | None = None) -> list[str]:
        """The servers to ask, in order.

        Args:
            only: those that were asked for by name; None means all.

        Raises:
            ConfigurationError: a name has no table in the file, or no server is asked for.
        """
        chosen = list(dict.fromkeys((self.federation.order or self.servers) if only is None else only))
        if not chosen:
            raise ConfigurationError(
                "no server is named", hint=f"Name some of {', '.join(self.servers)}; None stands for all."
            )
        if unknown := [name for name in chosen if name not in self.servers]:
            raise ConfigurationError(
                f"{self.path} has no server {', '.join(unknown)}{nearest(unknown[0], self.servers)}",
                hint=f"It has: {', '.join(self.servers)}.",
            )
        return chosen

    def provider(self, name: str) -> MdmProvider:
        """The provider of a server, with its secrets read from where they are kept.

        Raises:
            ConfigurationError: no such provider, wrong settings, or an unreadable secret.
        """
        kind = self.servers[name].get("provider")
        with sealed():
            try:
                if not isinstance(kind, str):
                    raise ConfigurationError(
                        "the setting provider is missing",
                        hint='Name one that `mdm providers` lists, such as provider = "ise".',
                    )
                return self._make(kind, self.servers[name])
            except MdmError as error:
                known = kind if isinstance(kind, str) else None
                error.locate(server=name, provider=known, operation="connect")
                raise

    def store_settings(self) -> StoreSettings:
        """The settings of the store, with its secrets read; the memory of this process, where there are none.

        Raises:
            ConfigurationError: they are not usable, or a secret is unreadable.
        """
        settings = self.read(StoreSettings, self.store, "store")
        if settings.kind != "sqlite" or settings.file.is_absolute():
            return settings
        url = f"sqlite://{(self.path.parent.absolute() / settings.file).as_posix()}"
        return settings.model_copy(update={"url": url})

    def read(self, model: type[M], table: dict[str, Any], what: str) -> M:
        """A table as a settings model, with its secrets read and its paths counted from the file's folder.

        Raises:
            ConfigurationError: it is not usable, or a secret is unreadable.
        """
        with sealed():
            return checked(model, self.resolve(model, table, _raise), what)

    def _make(self, kind: str, settings: dict[str, Any]) -> MdmProvider:
        values = {name: value for name, value in settings.items() if name != "provider"}
        return make_provider(kind, self.resolve(load_provider(kind).settings_type, values, _raise))

    def resolve(
        self,
        model: type[BaseModel],
        values: dict[str, Any],
        tell: Callable[[tuple[str, ...], SecretError], None],
        place: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The values with secrets read and paths made absolute, as the types of the fields say.

        Args:
            model: the settings.
            values: for them.
            tell: gets where a secret cannot be read, and why; it is left as it is.
            place: where the values stand.
        """
        resolved = dict(values)
        for name, field in model.model_fields.items():
            kinds, value = kinds_of(field.annotation), values.get(name)
            if SecretStr in kinds and isinstance(value, dict):
                try:
                    self._require_trust(name)
                    resolved[name] = SecretStr(self._read_secret(name, value))
                except SecretError as error:
                    tell((*place, name), error)
                    resolved[name] = SecretStr(_UNREAD)
            elif SecretStr in kinds and isinstance(value, str):
                self._warn_of_readers(name)
            elif Path in kinds and isinstance(value, str):
                if name != "ca_file":  # the others lead to keys
                    try:
                        self._require_trust(name)
                    except SecretError as error:
                        tell((*place, name), error)
                resolved[name] = self.path.parent / Path(value).expanduser()
            elif isinstance(value, dict):
                inner = next(
                    (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None
                )
                if inner:
                    resolved[name] = self.resolve(inner, value, tell, (*place, name))
        return resolved

    def _read_secret(self, name: str, source: dict[str, Any]) -> str:
        try:
            return read_secret(source, self.path.parent)
        except SecretError as error:
            error.message = f"{name}: {error.message}"
            raise

    def _require_trust(self, setting: str) -> None:
        if not self.trusted:
            raise SecretError(
                f"{setting} is not read: {self.path} was found, not named, and may be somebody else's",
                hint="Look at it. Then name it, with --config or $MDMSDK_CONFIG, or trust it as it is now: "
                f"mdm config trust {self.path}",
            )

    def _warn_of_readers(self, setting: str) -> None:
        if os.name == "posix" and self.path.is_file() and self.path.stat().st_mode & _EVERYBODY_MAY_READ:
            _log.warning(
                "%s holds %s in clear text, and every user of this machine can read it: chmod 600 it, or "
                "keep the secret elsewhere",
                one_line(str(self.path)),
                setting,
            )


def connect_server(name: str, path: str | Path | None = None, *, http: Any = None) -> MdmClient:
    """A client for one server of the configuration. Nothing is sent before the first call.

    Args:
        name: the server's name in the file.
        path: the file; default: the one that `find_config` finds.
        http: as `mdmsdk.connect` takes it.

    Raises:
        ConfigurationError: the file, the server's settings or a secret is not usable.
    """
    read, store = _reader(name, path)
    client = MdmClient(read(), server=name, http=http, renew=read)
    if store:
        client.share_limits(Store(store), close=True)
    return client


def connect_server_async(name: str, path: str | Path | None = None, *, http: Any = None) -> AsyncMdmClient:
    """The same for async, where `http` is an async client; used with ``async with``."""
    read, store = _reader(name, path)
    client = AsyncMdmClient(read(), server=name, http=http, renew=read)
    if store:
        client.share_limits(AsyncStore(store), close=True)
    return client


def _reader(name: str, path: str | Path | None) -> tuple[Callable[[], MdmProvider], StoreSettings | None]:
    """What gives the provider of a server, and the store over which its limits are counted, if any."""
    config = load_config(path)
    config.names([name])
    store = config.store_settings() if config.store else None
    return partial(config.provider, name), store if store and store.kind == "redis" else None


def find_config(path: str | Path | None = None) -> Path:
    """The configuration file: the one given, ``$MDMSDK_CONFIG``, ``./mdm.toml``, or the user's own.

    Raises:
        ConfigurationError: there is none.
    """
    if given := path or os.environ.get("MDMSDK_CONFIG"):
        return Path(given).expanduser()
    places = [Path(FILE_NAME), own_folder() / FILE_NAME]
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError(
        f"no configuration file: neither {' nor '.join(map(str, places))} exists",
        hint="Write one with `mdm init`, name it with --config or $MDMSDK_CONFIG, or see `mdm simulate`.",
    )


def load_config(path: str | Path | None = None) -> Config:
    """Read the configuration file that `find_config` finds, and what the environment says.

    Variables such as ``MDMSDK_SERVERS__MACS__BASE_URL`` come before what a file says that is named, and stand
    alone where none is named (see `mdmsdk.environment.from_environment`).

    Raises:
        ConfigurationError: it cannot be read, is not TOML, or has unknown tables.
    """
    with sealed():
        return _load(path)


def _load(path: str | Path | None) -> Config:
    place, tables, trusted = read_tables(path)
    file = checked(_File, tables, str(place))
    config = Config(
        path=place,
        trusted=trusted,
        servers=file.servers,
        federation=file.federation,
        store=file.store,
        directory=file.directory,
        gateway=file.gateway,
    )
    config.names()
    return config


def read_tables(path: str | Path | None = None) -> tuple[Path, dict[str, Any], bool]:
    """Where a configuration is, what is in it before anything is checked, and whether it is trusted.

    Raises:
        ConfigurationError: there is none, or it cannot be read, or is not TOML.
    """
    named, variables = path or os.environ.get("MDMSDK_CONFIG"), from_environment(os.environ)
    if variables.get("servers") and not named:
        return Path(_ENVIRONMENT), variables, True
    place = find_config(path)
    content, tables = _read(place)
    trusted = bool(named) or is_trusted(place, content)
    return place.absolute(), merged_tables(tables, variables if named else {}), trusted


def _read(place: Path) -> tuple[bytes, dict[str, Any]]:
    """What is in a file, as it is and as tables."""
    _log.debug("the configuration is %s", one_line(str(place.absolute())))
    try:
        content = place.read_bytes()
        return content, tomllib.loads(content.decode())
    except OSError as error:
        raise ConfigurationError(
            f"{place} cannot be read: {error.strerror}", hint="Check the path and the file's permissions."
        ) from None
    except RecursionError:
        raise ConfigurationError(
            f"{place} is not valid TOML: it is nested too deeply",
            hint="No setting lies many levels deep.",
        ) from None
    except ValueError as error:  # tomllib's own, or text that is not UTF-8
        place_in_file = (
            str(error).rpartition("(")[2].rstrip(")") if "(at" in str(error) else "see the TOML rules"
        )
        raise ConfigurationError(
            f"{place} is not valid TOML: {place_in_file}", hint="Text values stand in double quotes."
        ) from None
