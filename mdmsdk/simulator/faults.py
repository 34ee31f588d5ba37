"""Faults that any simulator can be told to have: slow, broken, misleading or hostile answers.

A fault acts on whole HTTP answers, below the vendor's protocol. What a vendor's server does wrong within its
protocol is a habit of that simulator instead.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Literal

from mdmsdk.simulator.recording import ReceivedRequest

__all__ = ["Fault", "FaultKind", "Faults"]

FaultKind = Literal[
    "status",
    "login_page",
    "delay",
    "hang",
    "drip",
    "endless",
    "gzip_bomb",
    "truncated",
    "reset",
    "not_http",
    "redirect",
    "content_type",
    "body",
    "empty",
    "replay",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Kinds, and the options each one reads besides `match`, `after` and `times`:

    * `status` answers `status` with `retry_after`, and a body in `body_format` unless `body` is given
    * `login_page` answers 200 with an HTML form, as a proxy or a single sign-on does
    * `delay` waits `seconds`, then answers as usual; `hang` never answers
    * `drip` sends the usual answer `chunk` bytes at a time and waits `seconds` before each
    * `endless` sends a body that never ends, `gzip_bomb` a compressed one of `size` bytes when unpacked
    * `truncated` announces the whole length, sends `share` of the body, and closes the connection
    * `reset` resets the connection (TCP RST): before any answer, or after `share` of the body if above 0
    * `not_http` answers with a line of another protocol
    * `redirect` answers `status` (302 unless it is a 3xx) with `location`
    * `content_type` sends the usual answer as `content_type`; `body` sends `body` instead, as that type
    * `empty` answers `status` without a body; for this and `body` the status is 200 unless one is given
    * `replay` repeats the first matching answer, as a cache does that ignores the query

    Attributes:
        kind: What goes wrong.
        match: Text in the path or its decoded query, or a predicate over the request; None matches all.
        after: How many matching requests pass unharmed first.
        times: How many requests are hit; None for all that follow.
        status: Status code.
        retry_after: Seconds, a moment (sent as an HTTP date), or the text of the header.
        body: Answered instead of a made-up body.
        body_format: Form of the made-up body.
        content_type: Sent instead of the usual one.
        headers: Sent besides the others.
        seconds: Length of each wait.
        chunk: Bytes in each drop.
        size: Bytes of a bomb, unpacked.
        share: Part of the body that still arrives, from 0 to 1.
        location: Where a redirect points to: a path, or another host's URL.
    """

    kind: FaultKind
    _: KW_ONLY
    match: str | Callable[[ReceivedRequest], bool] | None = None
    after: int = 0
    times: int | None = None
    status: int | None = None
    retry_after: float | datetime | str | None = None
    body: bytes | str | None = None
    body_format: Literal["html", "json", "xml", "text"] = "html"
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    chunk: int = 1
    size: int = 1 << 30
    share: float = 0.0
    location: str = "/"

    def matches(self, request: ReceivedRequest) -> bool:
        """Whether the fault is about this request."""
        if self.match is None:
            return True
        return self.match in request.target if isinstance(self.match, str) else self.match(request)


@dataclass(slots=True)
class _Live:
    fault: Fault
    seen: int = 0
    hits: int = 0


class Faults:
    """The faults of one simulator. Any thread may change them while the server runs."""

    def __init__(self) -> None:
        """Start without any."""
        self._live: list[_Live] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        """Let these go wrong from now on; where several match one request, the one added first acts."""
        with self._lock:
            self._live.extend(_Live(fault) for fault in faults)

    def clear(self) -> None:
        """Let nothing go wrong any more. Answers already hanging go on doing so until the client gives up."""
        with self._lock:
            self._live.clear()

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[None]:
        """Let these go wrong inside a `with` block only."""
        self.add(*faults)
        try:
            yield
        finally:
            with self._lock:
                self._live = [live for live in self._live if not any(live.fault is fault for fault in faults)]

    def hits(self, fault: Fault) -> int:
        """Count the requests that the fault has acted on."""
        with self._lock:
            return sum(live.hits for live in self._live if live.fault is fault)

    def take(self, request: ReceivedRequest) -> Fault | None:
        """Give the fault that acts on this request, and count it."""
        with self._lock:
            for live in self._live:
                fault = live.fault
                if not fault.matches(request):
                    continue
                live.seen += 1
                if live.seen > fault.after and (fault.times is None or live.hits < fault.times):
                    live.hits += 1
                    return fault
        return None
