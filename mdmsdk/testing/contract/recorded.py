"""What a provider makes of its cassettes."""

from __future__ import annotations

from pathlib import Path

from mdmsdk.client.build import make_provider
from mdmsdk.testing.cassettes import load_operations, perform, replaying
from mdmsdk.testing.contract.base import Stand
from mdmsdk.testing.modes import open_client

__all__ = ["Recorded"]


class Recorded(Stand):
    """Tests that need no server."""

    def test_cassettes_replay(self, mode: str) -> None:
        folder = self.cassettes or Path("cassettes") / self.provider
        settings, operations = load_operations(folder)
        assert {operation.call for operation in operations} >= {"heartbeat", "find", "noncompliant"}
        for operation in operations:
            provider = make_provider(self.provider, settings | self.extra_settings())
            with (
                replaying(folder / f"{operation.name}.yaml"),
                open_client(provider, mode, server="cassette") as client,
            ):
                assert perform(client, operation.call, operation.key) == operation.expected
