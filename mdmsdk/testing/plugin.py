"""The pytest plugin: fixtures for tests that run in every mode and on cassettes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mdmsdk.testing.modes import Modal

__all__ = ["mdm_cassette", "mdm_connect", "mdm_mode"]


# Nothing of mdmsdk is imported before a test asks for it, since pytest loads this plugin in every project.
@pytest.fixture(params=["sync", "asyncio", "trio"])
def mdm_mode(request: pytest.FixtureRequest) -> str:
    """Each way to run a client; trio where it is installed."""
    if request.param == "trio":
        pytest.importorskip("trio", reason="trio is not installed, so there is no such mode")
    return str(request.param)


@pytest.fixture
def mdm_connect(mdm_mode: str) -> Iterator[Callable[..., Modal]]:
    """Opens clients in the test's mode, as `mdmsdk.connect` does, and closes them at its end."""
    from mdmsdk.client.build import make_provider
    from mdmsdk.testing.modes import open_client

    opened: list[Modal] = []

    def connect(provider: str, *, server: str | None = None, http: Any = None, **settings: Any) -> Modal:
        opened.append(open_client(make_provider(provider, settings), mdm_mode, server=server, http=http))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def mdm_cassette() -> Callable[[Path], AbstractContextManager[None]]:
    """Replays the cassette at a path inside a ``with`` block."""
    from mdmsdk.testing.cassettes import replaying

    return replaying
