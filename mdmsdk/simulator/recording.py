"""What a simulator remembers of the requests it received, without the secrets in them."""

import base64
import binascii
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

__all__ = ["ReceivedRequest", "RequestLog", "basic_credentials"]

SECRET_HEADERS: Final = frozenset(
    {
        "authorization",
        "aw-tenant-code",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-cisco-meraki-api-key",
    }
)
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it came in.

    Attributes:
        method: Upper-case HTTP method.
        path: Decoded path.
        raw_path: The path as it was on the wire.
        query: Decoded parameters in their order, empty ones included.
        headers: Lower-case names, without the headers that carry credentials.
        has_credentials: Whether a header with credentials came along.
        scheme: Lower-case authentication scheme, such as `basic` or `bearer`, if there was one.
        user: User of HTTP Basic authentication.
        host: The `Host` header.
    """

    method: str
    path: str
    raw_path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    has_credentials: bool
    scheme: str | None
    user: str | None
    host: str

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> "ReceivedRequest":
        """Read an ASGI scope."""
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        authorization = headers.get("authorization", "")
        credentials = basic_credentials(authorization)
        return cls(
            method=scope["method"],
            path=scope["path"],
            raw_path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
            query=tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            headers={name: value for name, value in headers.items() if name not in SECRET_HEADERS},
            has_credentials=not SECRET_HEADERS.isdisjoint(headers),
            scheme=authorization.partition(" ")[0].lower() or None,
            user=credentials[0] if credentials else None,
            host=headers.get("host", ""),
        )

    @property
    def parameters(self) -> dict[str, str]:
        """Query parameters by name; of a repeated one, the last value."""
        return dict(self.query)

    @property
    def target(self) -> str:
        """Path and decoded query in one text, for matching."""
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.path}?{query}" if query else self.path


class RequestLog:
    """The latest 10,000 requests, oldest first. Any thread may read it while the server writes.

    Attributes:
        total: How many there were in all.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.total: int = 0
        self._requests: deque[ReceivedRequest] = deque(maxlen=_REMEMBERED)
        self._changed = threading.Condition()

    def append(self, request: ReceivedRequest) -> None:
        """Remember one more."""
        with self._changed:
            self._requests.append(request)
            self.total += 1
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all."""
        with self._changed:
            self._requests.clear()
            self.total = 0

    def __len__(self) -> int:
        """Give the number of remembered requests."""
        return len(self._requests)

    def __iter__(self) -> Iterator[ReceivedRequest]:
        """Go through a snapshot."""
        with self._changed:
            return iter(tuple(self._requests))

    def __getitem__(self, index: int) -> ReceivedRequest:
        """Give one by position; -1 is the latest."""
        with self._changed:
            return self._requests[index]

    def matching(self, target: str = "", *, method: str | None = None) -> list[ReceivedRequest]:
        """Give the requests whose path and query contain the text, and whose method is this one."""
        return [request for request in self if target in request.target and method in {None, request.method}]

    def count(self, target: str = "", *, method: str | None = None) -> int:
        """Count what `matching` would give."""
        return len(self.matching(target, method=method))

    def wait_for(self, count: int, *, target: str = "", timeout: float = 5.0) -> bool:
        """Wait until that many matching requests came in; False when the time, in seconds, is over before."""
        with self._changed:
            return self._changed.wait_for(
                lambda: sum(target in request.target for request in self._requests) >= count, timeout
            )


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """Read an `Authorization` header of HTTP Basic: user and password, or None if it is anything else."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = (
            base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None
