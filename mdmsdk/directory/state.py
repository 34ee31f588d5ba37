"""How far the directory of a server is, as it stands in the store, and what that proves. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from mdmsdk.models import FrozenModel
from mdmsdk.provider import Capability
from mdmsdk.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.identifiers import Key
    from mdmsdk.provider import MdmProvider

__all__ = [
    "DirectoryEntry",
    "DirectoryStatus",
    "Known",
    "State",
    "Volume",
    "Walk",
    "doubt_of",
    "place_of",
    "status_of",
]

_FEW = 16
"""Shards of a directory at first; there are more as it grows."""
_SKEW = 60.0
"""Seconds by which the clocks of machines that share a store may differ."""


class Volume(FrozenModel):
    """The shards of one walk through everything, and what was added since.

    Attributes:
        walk: the number of the walk.
        shards: how many they are, a power of two.
        identifiers: how many entries they hold.
    """

    walk: int
    shards: int = _FEW
    identifiers: int = 0


class Walk(FrozenModel):
    """A walk that is under way.

    Attributes:
        volume: where it puts what it finds.
        full: whether it goes through all devices, or through those that changed.
        begun: when it began, in seconds since 1970 by this machine's clock.
        server_time: the same by the server's clock.
        since: from when on changes are asked for.
        cursor: where the list goes on; see `mdmsdk.directory.cursors`.
        pages: how many of it are read.
        devices: how many came.
        unnamed: how many of them had no name by which they are found again.
        unreadable: the kinds of identifiers that some of them have in a form that cannot be read.
    """

    volume: Volume
    full: bool
    begun: float
    server_time: datetime
    since: datetime | None = None
    cursor: str | None = None
    pages: int = 0
    devices: int = 0
    unnamed: int = 0
    unreadable: frozenset[str] = frozenset()


class State(FrozenModel):
    """What is known of a server's directory.

    Attributes:
        fingerprint: of the settings that say which records there are.
        volume: what is looked into.
        full_at: when the last complete walk through everything began, in seconds since 1970.
        full_server_time: the same by the server's clock.
        walked_at: when the last complete walk of any kind began, in seconds since 1970.
        server_time: the same by the server's clock.
        pages: how many that through everything had.
        devices: how many devices.
        unreadable: the kinds of identifiers that some records have in a form that cannot be read.
        walk: the one that is under way.
        failure: what the last walk failed with.
    """

    fingerprint: str
    volume: Volume | None = None
    full_at: float | None = None
    full_server_time: datetime | None = None
    walked_at: float | None = None
    server_time: datetime | None = None
    pages: int = 0
    devices: int = 0
    unreadable: frozenset[str] = frozenset()
    walk: Walk | None = None
    failure: str | None = None


class DirectoryStatus(FrozenModel):
    """How far the directory of a server is.

    Attributes:
        complete: whether it says what the server does not know: a walk through everything was complete, and
            is young enough.
        built_at: when the last complete walk through everything began, UTC.
        walked_at: when the last complete walk of any kind began, UTC.
        age: seconds since `built_at`.
        devices: how many there were.
        identifiers: how many it holds.
        walking: whether a walk is under way, or was broken off and will go on.
        pages: how many pages of that are read.
        found: how many devices it found so far.
        reason: why it is not complete, or what the last walk failed with.
    """

    server: str
    provider: str
    complete: bool
    built_at: datetime | None = None
    walked_at: datetime | None = None
    age: float | None = None
    devices: int = 0
    identifiers: int = 0
    walking: bool = False
    pages: int = 0
    found: int = 0
    reason: str | None = None


class DirectoryEntry(FrozenModel):
    """An identifier, and the records of a server that showed it.

    Attributes:
        kind: of the identifier, such as ``"mac"``.
        key: the identifier.
        records: their names, as `MdmProvider.record_key` has them.
    """

    server: str
    provider: str
    kind: str
    key: str
    records: tuple[str, ...]


def place_of(server: str) -> str:
    """Where everything of a server stands in the store."""
    return f"directory/{quote(server, safe='')}"


class Known:
    """A server whose directory it is, as its settings are now: its client may have been given new secrets.

    Attributes:
        max_age: seconds after which a walk proves nothing any more.
        usable: whether it lists its devices, and can be asked for one by the name of its record.
    """

    def __init__(self, client: AsyncMdmClient, max_age: float, digest: Callable[[str], str]) -> None:
        self.server: str = client.server
        self.max_age: float = max_age
        self._client = client
        self._digest = digest
        self._fingerprint: tuple[MdmProvider, str] | None = None
        lists = Capability.INVENTORY in self.provider.capabilities
        self.usable: bool = lists and self.provider.record_key in self.provider.keys

    @property
    def provider(self) -> MdmProvider:
        """The provider that describes it."""
        return self._client.provider

    def is_recent(self, full_at: float, now: float) -> bool:
        """Whether a walk through everything is less than half as old as it may be."""
        return 0 <= now - full_at < self.max_age / 2

    def age_of(self, state: State, age: float) -> float:
        """How old a walk through everything is by the older of two clocks, as ours may have been put back.

        Args:
            state: what is known of the walk.
            age: in seconds by our clock.
        """
        now, began = self._client._runner.shared.clock.told(), state.full_server_time  # noqa: SLF001
        return max(age, (now - began).total_seconds()) if now and began else age

    @property
    def fingerprint(self) -> str:
        """What tells its records from those that other settings, or other secrets, would show."""
        provider = self.provider
        if self._fingerprint is None or self._fingerprint[0] is not provider:
            self._fingerprint = provider, fingerprint(provider, self._digest)
        return self._fingerprint[1]


def doubt_of(
    state: State | None,
    known: Known,
    now: float,
    kind: type[Key] | None = None,
) -> str | None:
    """Why the directory does not prove what it does not show; None where it does.

    Args:
        state: what is known of it.
        known: the server.
        now: the time in seconds since 1970.
        kind: of the identifier; None for any.
    """
    if state is None or state.full_at is None:
        return "no walk through the inventory was complete yet"
    if state.fingerprint != known.fingerprint:
        return "the settings of the server changed since the last walk"
    age = now - state.full_at
    if age < -_SKEW or (age := known.age_of(state, age)) > known.max_age:
        return f"the last complete walk through the inventory began {max(0.0, age) / 3600:.1f} hours ago"
    if kind and not known.provider.lists(kind):
        return f"the server's lists do not show every {kind.kind} of a device"
    if kind and kind.kind in state.unreadable:
        return f"some records show their {kind.kind} in a form that cannot be read"
    return None


def status_of(state: State | None, known: Known, now: float) -> DirectoryStatus:
    """What a state amounts to."""
    server, provider, doubt = known.server, known.provider.name, doubt_of(state, known, now)
    if state is None:
        return DirectoryStatus(server=server, provider=provider, complete=False, reason=doubt)
    walk = state.walk
    return DirectoryStatus(
        server=server,
        provider=provider,
        complete=doubt is None,
        built_at=_moment(state.full_at),
        walked_at=_moment(state.walked_at),
        age=None if state.full_at is None else max(0.0, known.age_of(state, now - state.full_at)),
        devices=state.devices,
        identifiers=state.volume.identifiers if state.volume else 0,
        walking=walk is not None,
        pages=walk.pages if walk else 0,
        found=walk.devices if walk else 0,
        reason="; ".join(filter(None, (doubt, state.failure))) or None,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
