"""What the table ``[gateway]`` of mdm.toml holds."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.identifiers import Username, parse_key
from mdmsdk.models import Decision
from mdmsdk.settings import Settings

__all__ = ["AuditLog", "GatewaySettings", "GatewayTls", "IseFace", "Override", "RestFace", "RestKey", "Scope"]

Scope = Literal["lookup", "lists", "servers", "decisions", "metrics"]
_SHORTEST = 12
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_INSTANCE = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


def _network(text: str) -> str:
    # Host bits that are set are a slip in whom to let in.
    ipaddress.ip_network(text)
    return text


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise ValueError(
            "64 hexadecimal digits are wanted: `mdm serve --new-key NAME` makes a key and its hash"
        )
    return text


def _path(text: str) -> str:
    if not _INSTANCE.fullmatch(text):
        raise ValueError("a path is wanted that begins with / and does not end with it, such as /door")
    return text


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < _SHORTEST:
        raise ValueError(f"at least {_SHORTEST} characters are wanted")
    return secret


class IseFace(Settings):
    """The face that a network access controller asks as it asks an MDM server.

    Attributes:
        username: that the controller logs in with, by HTTP Basic.
        password: for it, 12 characters or more.
        instance: a prefix of all paths, the "Instance Name" in the controller's form, such as ``/door``.
        grace: whether a device in its time of grace counts as compliant.
        page_size: the most devices of one answer.
        list_age: seconds for which one reading of a list serves all who ask for it.
        redirect_url: where users enrol their devices.
    """

    username: str = Field(min_length=1, pattern=r"^[^:\x00-\x1f\x7f]+$")
    password: Annotated[SecretStr, AfterValidator(_long_enough)]
    instance: Annotated[str, AfterValidator(_path)] = ""
    grace: bool = False
    page_size: int = Field(default=500, ge=1, le=5000)
    list_age: float = Field(default=60.0, ge=0, le=86400)
    redirect_url: str = Field(default="", pattern=r"^(https?://\S+)?$")

    @property
    def passing(self) -> frozenset[Decision]:
        """The decisions that count as compliant."""
        return frozenset({Decision.COMPLIANT, *([Decision.GRACE] if self.grace else [])})


class RestKey(Settings):
    """A key of the REST face, by its hash: `mdm serve --new-key` makes one.

    Attributes:
        name: of who has it, for the log.
        sha256: of the key, 64 hexadecimal digits.
        scopes: what it is for: lookups, lists of devices, the state of the servers; and, unless
            it is to see nobody else's questions, the newest decisions.
    """

    name: str = Field(min_length=1)
    sha256: Annotated[str, AfterValidator(_hash)]
    scopes: frozenset[Scope] = frozenset({"lookup", "lists", "servers"})


class RestFace(Settings):
    """The face for programs.

    Attributes:
        keys: who may ask, with ``Authorization: Bearer KEY``.
        page: whether there is a web page at ``/``, which asks with the key that a person enters.
    """

    keys: tuple[RestKey, ...] = Field(min_length=1)
    page: bool = True


class GatewayTls(Settings):
    """TLS of what listens.

    Attributes:
        cert: a PEM file with the certificate and those between it and its authority.
        key: a PEM file with its private key.
        client_ca: a PEM file with authorities; only clients with a certificate of theirs are let in.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


class AuditLog(Settings):
    """Where a line of JSON goes for each decision.

    Attributes:
        file: grows; readable for its owner alone. SIGHUP opens it anew.
        stdout: whether the standard output gets the lines.
        syslog: the socket of this machine's syslog, such as ``/dev/log``; facility authpriv.
        keys: whether devices stand there as a keyed hash or in clear.
        hash_key: for the hash, 12 characters or more; who has it can find the lines of a device.
        required: whether nothing is answered while no line can be written.
    """

    file: Path | None = None
    stdout: bool = False
    syslog: Path | None = None
    keys: Literal["hashed", "clear"] = "hashed"
    hash_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = None
    required: bool = False

    @model_validator(mode="after")
    def _check(self) -> AuditLog:
        if not (self.file or self.stdout or self.syslog):
            raise ValueError("file, stdout or syslog is wanted: where do the lines go?")
        if (self.keys == "hashed") is (self.hash_key is None):
            raise ValueError('hash_key is wanted, unless keys = "clear" says that there is no hash')
        return self


class Override(Settings):
    """The administrator's own word on one device, until a date.

    Attributes:
        key: an identifier of the device, with its kind, such as ``mac:00:1B:44:11:3A:B7``.
        decision: a denial counts whatever servers and allowances say.
        until: when it ends; date, time and offset.
        reason: that people read in answers.
        by: who decided it.
        despite_noncompliant: whether the device is allowed even where a server says that it does not comply.
    """

    key: str
    decision: Literal["allow", "deny"]
    until: AwareDatetime
    reason: str = Field(min_length=1, max_length=500)
    by: str = Field(min_length=1, max_length=200)
    despite_noncompliant: bool = False

    @field_validator("key")
    @classmethod
    def _check_key(cls, text: str) -> str:
        try:
            key = parse_key(text)
        except InvalidIdentifierError as error:
            raise ValueError(error.message) from None
        if isinstance(key, Username):
            raise ValueError("a user has several devices: name one of them")  # noqa: TRY004 - a wrong value
        return text

    @model_validator(mode="after")
    def _check(self) -> Override:
        if self.despite_noncompliant and self.decision == "deny":
            raise ValueError("despite_noncompliant belongs to an allowance")
        return self


class GatewaySettings(Settings):
    """How the gateway listens, and to whom.

    Attributes:
        listen: address and port; another address than loopback needs `tls`.
        workers: processes that serve there; they share what is in the store.
        tls: certificate and key; they are read again on SIGHUP.
        ise: the ISE face; off if absent.
        rest: the REST face; off if absent.
        metrics: who may read ``/metrics``: nobody, this machine, or who has a key of the REST face with the
            scope "metrics".
        log: whether `mdm serve` logs text for people, or lines of JSON, with one for each response.
        audit: the audit log; off if absent.
        overrides: what counts for single devices, whatever their servers say.
        networks: addresses of clients that are let in; empty: all that reach it.
        proxies: addresses of proxies, whose X-Forwarded-For says who the client is.
        rate: requests per second of one client at one worker, on average over ten seconds.
        failed_logins: wrong credentials of one client in a minute, after which it has to wait.
        deadline: seconds for one answer.
        max_body: bytes of one request's body.
        connections: of each worker, at the same time; requests on more are refused at once.
        client_connections: of one client among them.
        drain: seconds that requests under way get when the gateway ends.
    """

    listen: str = "127.0.0.1:8765"
    workers: int = Field(default=1, ge=1, le=64)
    tls: GatewayTls | None = None
    ise: IseFace | None = None
    rest: RestFace | None = None
    metrics: Literal["off", "loopback", "key"] = "off"
    log: Literal["text", "json"] = "text"
    audit: AuditLog | None = None
    overrides: tuple[Override, ...] = ()
    networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    rate: float = Field(default=500.0, gt=0)
    failed_logins: int = Field(default=10, ge=1)
    deadline: float = Field(default=5.0, gt=0, le=300)
    max_body: int = Field(default=1_000_000, ge=1_000)
    connections: int = Field(default=1_000, ge=1)
    client_connections: int = Field(default=250, ge=1)
    drain: float = Field(default=10.0, ge=0, le=600)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if not (host and port.isdecimal() and int(port) <= 65535):  # noqa: PLR2004 - the last port
            raise ValueError("an address and a port are wanted, such as 127.0.0.1:8765 or [::1]:8765")
        return listen

    @model_validator(mode="after")
    def _check_metrics(self) -> GatewaySettings:
        keys = self.rest.keys if self.rest else ()
        if self.metrics == "key" and not any("metrics" in key.scopes for key in keys):
            raise ValueError('metrics = "key" wants a key of gateway.rest.keys with the scope "metrics"')
        return self

    @model_validator(mode="after")
    def _check_exposure(self) -> GatewaySettings:
        if self.tls is None and not _LOOPBACK.fullmatch(self.address[0]):
            raise ValueError(
                f"listening on {self.address[0]} needs the table tls, as passwords would cross the network "
                "in clear; behind a proxy on this machine, listen on 127.0.0.1"
            )
        return self
