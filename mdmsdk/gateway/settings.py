"""What the table ``[gateway]`` of mdm.toml holds."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from mdmsdk.settings import Settings

__all__ = ["GatewaySettings", "GatewayTls", "IseFace", "RestFace", "RestKey", "Scope"]

Scope = Literal["lookup", "lists", "servers", "decisions"]
_SHORTEST = 12
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


def _network(text: str) -> str:
    # Host bits that are set are a slip in whom to let in.
    ipaddress.ip_network(text)
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
        list_age: seconds for which one reading of the noncompliant list serves all who ask for it.
        redirect_url: where users enrol their devices.
    """

    username: str = Field(min_length=1, pattern=r"^[^:\x00-\x1f\x7f]+$")
    password: Annotated[SecretStr, AfterValidator(_long_enough)]
    instance: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    grace: bool = False
    page_size: int = Field(default=500, ge=1, le=5000)
    list_age: float = Field(default=60.0, ge=0, le=86400)
    redirect_url: str = Field(default="", pattern=r"^(https?://\S+)?$")


class RestKey(Settings):
    """A key of the REST face, by its hash: `mdm serve --new-key` makes one.

    Attributes:
        name: of who has it, for the log.
        sha256: of the key, 64 hexadecimal digits.
        scopes: what it is for: lookups, lists of devices, the state of the servers; and, unless
            it is to see nobody else's questions, the newest decisions.
    """

    name: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    scopes: frozenset[Scope] = frozenset({"lookup", "lists", "servers"})


class RestFace(Settings):
    """The face for programs.

    Attributes:
        keys: who may ask, with ``Authorization: Bearer KEY``.
    """

    keys: tuple[RestKey, ...] = Field(min_length=1)


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


class GatewaySettings(Settings):
    """How the gateway listens, and to whom.

    Attributes:
        listen: address and port; another address than loopback needs `tls`.
        workers: processes that serve there; they share what is in the store.
        tls: certificate and key; they are read again on SIGHUP.
        ise: the ISE face; off if absent.
        rest: the REST face; off if absent.
        networks: addresses of clients that are let in; empty: all that reach it.
        rate: requests per second of one client at one worker, on average over ten seconds.
        failed_logins: wrong credentials of one client in a minute, after which it has to wait.
        deadline: seconds for one answer.
        max_body: bytes of one request's body.
        connections: of each worker, at the same time; more are refused at once.
        drain: seconds that requests under way get when the gateway ends.
    """

    listen: str = "127.0.0.1:8765"
    workers: int = Field(default=1, ge=1, le=64)
    tls: GatewayTls | None = None
    ise: IseFace | None = None
    rest: RestFace | None = None
    networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    rate: float = Field(default=500.0, gt=0)
    failed_logins: int = Field(default=10, ge=1)
    deadline: float = Field(default=5.0, gt=0, le=300)
    max_body: int = Field(default=1_000_000, ge=1_000)
    connections: int = Field(default=1_000, ge=1)
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
    def _check_exposure(self) -> GatewaySettings:
        if self.tls is None and not _LOOPBACK.fullmatch(self.address[0]):
            raise ValueError(
                f"listening on {self.address[0]} needs the table tls, as passwords would cross the network "
                "in clear; behind a proxy on this machine, listen on 127.0.0.1"
            )
        return self
