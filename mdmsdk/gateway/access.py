"""Who may ask the gateway: networks, credentials, and how often."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import time
from collections import OrderedDict
from enum import Enum
from typing import TYPE_CHECKING

from mdmsdk.gateway.clients import Networks, is_here, who

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdmsdk.gateway.settings import GatewaySettings, RestKey

__all__ = ["Access", "Refusal", "Room"]

_CLIENTS = 10_000
"""The most clients that are remembered; the one that was silent the longest is forgotten first."""
_BURST = 10.0  # seconds
_MINUTE = 60.0
_GUESSED = "too many wrong credentials of this client"


class Refusal(Exception):  # noqa: N818 - an answer, and no error of ours
    """Why a request is not served.

    Attributes:
        status: of HTTP.
        title: what is wrong, in words that hold nothing of the request.
        hint: what to do.
        headers: of the answer.
    """

    def __init__(
        self, status: int, title: str, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.hint = hint
        self.headers: dict[str, str] = dict(headers or {})


class Room(Enum):
    """What room there is for a connection: for those that are told that they are too many, there is some."""

    ENOUGH = "enough"
    TOO_MANY = "there are as many connections as there may be"
    TOO_MANY_OF_ONE = "this client has as many connections as it may have"
    NONE = "none"


class _Bucket:
    """A count that leaks at a steady rate."""

    def __init__(self) -> None:
        self.level = 0.0
        self._at = 0.0

    def leak(self, rate: float, now: float) -> None:
        self.level = max(0.0, self.level - (now - self._at) * rate)
        self._at = now


class _Buckets:
    """One bucket for each client, of those that came last."""

    def __init__(self, rate: float, room: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._room = room
        self._clock = clock
        self._kept: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until the client's bucket has room for one more; 0 if it has now."""
        bucket = self._kept.get(client)
        return self._wait(bucket) if bucket else 0.0

    def take(self, client: str) -> float:
        """Count one if there is room; else seconds until there is."""
        bucket = self._kept.get(client)
        if bucket is None:
            bucket = self._kept[client] = _Bucket()
            if len(self._kept) > _CLIENTS:
                self._kept.popitem(last=False)
        wait = self._wait(bucket)
        if wait == 0:
            bucket.level += 1
            self._kept.move_to_end(client)
        return wait

    def _wait(self, bucket: _Bucket) -> float:
        bucket.leak(self._rate, self._clock())
        return max(0.0, (bucket.level + 1 - self._room) / self._rate)


class Access:
    """Lets clients in.

    Args:
        settings: of the gateway.
        clock: seconds that only grow.
    """

    def __init__(self, settings: GatewaySettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._networks = Networks(settings.networks)
        self._requests = _Buckets(settings.rate, max(1.0, settings.rate * _BURST), clock)
        if face := settings.ise:
            wanted = f"{face.username}:{face.password.get_secret_value()}".encode()
            self._controller = face.username, _digest(wanted)
        keys = settings.rest.keys if settings.rest else ()
        self._keys = [(bytes.fromhex(key.sha256), key) for key in keys]
        # Each worker counts for itself, and who guesses may ask them all.
        guesses = math.ceil(settings.failed_logins / settings.workers)
        self._failures = _Buckets(guesses / _MINUTE, guesses, clock)

    def admit(self, client: str) -> None:
        """Let a request in by where it comes from.

        Raises:
            Refusal: 403 for a network that may not ask, 429 for a client that asks too often.
        """
        self.admit_to_health(client, here=False)
        _let(self._requests.take(who(client)), "too many requests of this client")

    def admit_to_health(self, client: str, *, here: bool = True) -> None:
        """Let a request in that asks whether the gateway lives, however many others there are.

        Args:
            client: the address that it comes from.
            here: whether this machine may ask in any case.

        Raises:
            Refusal: 403 for a network that may not ask.
        """
        if self._networks and client not in self._networks and not (here and is_here(client)):
            raise Refusal(403, "this address may not ask", "The table gateway, networks, says which may.")

    def basic(self, client: str, authorization: str) -> str:
        """Check the user name and password of the ISE face; gives the name.

        Raises:
            Refusal: 401, or 429 after too many wrong ones.
        """
        _let(self._failures.wait(who(client)), _GUESSED)
        # One comparison for both, in constant time; a colon ends the name, and none has one.
        name, wanted = self._controller
        right = hmac.compare_digest(_digest(_basic(authorization)), wanted)
        return self._decided(client, name if right else None, 'Basic realm="mdm", charset="UTF-8"')

    def bearer(self, client: str, authorization: str, scope: str) -> str:
        """Check a bearer key; gives the name of who has it.

        Raises:
            Refusal: 401, 403 if the key is not for this, or 429 after too many wrong ones.
        """
        _let(self._failures.wait(who(client)), _GUESSED)
        kind, _, text = authorization.partition(" ")
        digest = _digest(text.strip().encode(errors="surrogateescape"))
        found: RestKey | None = None
        for wanted, key in self._keys:
            if hmac.compare_digest(digest, wanted) and kind.lower() == "bearer":
                found = key
        name = self._decided(client, found.name if found else None, "Bearer")
        if found and scope not in found.scopes:
            raise Refusal(403, f"this key is not for {scope}", "Its scopes stand in the table gateway.rest.")
        return name

    def _decided(self, client: str, name: str | None, challenge: str) -> str:
        if name is not None:
            return name
        self._failures.take(who(client))
        raise Refusal(
            401,
            "wrong or missing credentials",
            "The REST face wants the header Authorization: Bearer KEY, with a key that `mdm serve --new-key` "
            "made and whose hash stands in the table gateway.rest.",
            headers={"WWW-Authenticate": challenge},
        )


def _let(wait: float, title: str) -> None:
    if wait > 0:
        raise Refusal(429, title, "Ask again later.", headers={"Retry-After": str(int(wait) + 1)})


def _basic(authorization: str) -> bytes:
    """Name and password with a colon between them; empty if that is none."""
    kind, _, text = authorization.partition(" ")
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(text: bytes) -> bytes:
    # Texts of one length take one time to compare.
    return hashlib.sha256(text).digest()
