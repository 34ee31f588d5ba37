"""Stores of each kind, in each mode, with a clock that a test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.store import AsyncStore, Store, StoreSettings
from mdmsdk.testing import Modal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "correct-horse-battery"
MODES = ["sync", "asyncio", "trio"]


class Hand:
    """A clock that stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr(AsyncStore, "_clock", hand)
    return hand


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory"])
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Of a store of each kind, empty."""
    return {"url": "memory:", "key": KEY}


@pytest.fixture
def open_store(mode: str) -> Iterator[Callable[..., Any]]:
    """Opens stores of the mode, and closes them."""
    opened: list[Modal] = []

    def make(**settings: Any) -> Modal:
        kind: Any = Store if mode == "sync" else AsyncStore
        opened.append(Modal(kind(StoreSettings(**settings)), mode))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def store(clock: Hand, settings: dict[str, Any], open_store: Callable[..., Any]) -> Any:
    return open_store(**settings)
