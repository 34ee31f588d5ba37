"""Many servers, asked together, in sync."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Self

from mdmsdk._run.waits_sync import gather
from mdmsdk.client.sync import MdmClient
from mdmsdk.client.verdict import as_key
from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError, IncompleteListError, MdmError
from mdmsdk.federation.merge import Answer, Heartbeat, Merge, Outcome, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Iterable
    from pathlib import Path
    from types import TracebackType

    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, LookupResult


class MdmFederation:
    """Several MDM servers, asked as one: all at once, one outcome each, no failure hides an answer.

    Attributes:
        clients: the servers by name, in order of preference.
    """

    def __init__(self, clients: Iterable[MdmClient], *, merge: Merge = "strictest") -> None:
        self.clients: dict[str, MdmClient] = {}
        for client in clients:
            if client.server in self.clients:
                raise ConfigurationError(f"two servers are named {client.server!r}", hint="Pass server=NAME.")
            self.clients[client.server] = client
        self._merge = merge

    @classmethod
    def from_config(cls, path: str | Path | None = None, *, servers: Iterable[str] = ()) -> Self:
        """The servers of a configuration file (see `mdmsdk.config.find_config`). Nothing is sent yet.

        Args:
            path: the file; default: the one that is found.
            servers: only these, by name.

        Raises:
            ConfigurationError: the file, a server's settings or a secret is not usable.
        """
        config = load_config(path)
        clients = [MdmClient(config.provider(name), server=name) for name in config.names(servers)]
        return cls(clients, merge=config.federation.merge)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.clients)}>"

    def close(self) -> None:
        """Close all clients."""
        for client in self.clients.values():
            client.close()

    def heartbeat(self) -> list[Heartbeat]:
        """Whether each server is there; never raises for one that is not."""
        return gather([partial(self._heartbeat, client) for client in self.clients.values()], _nothing)

    def lookup(self, key: Key | str) -> Answer:
        """What all servers together say about one key.

        Raises:
            InvalidIdentifierError: the text is no key, or could be of several kinds.
        """
        return (self._ask([as_key(key)]))[0]

    def lookup_many(self, keys: Iterable[Key | str]) -> Iterator[Answer]:
        """One answer for each key, in the order given, as `lookup` gives it.

        A text that is no key gives an answer whose outcomes hold the error.
        """
        window = max((client.window for client in self.clients.values()), default=1)
        remaining = iter(keys)
        while given := list(islice(remaining, window)):
            for answer in self._ask(given):
                yield answer

    def noncompliant(self) -> Iterator[Device]:
        """The devices that do not comply, server by server, as they arrive.

        Raises:
            IncompleteListError: after everything that the servers gave, if the list of at least one
                is not complete; `failures` holds what each of those ended with.
        """
        collected = 0
        failures: list[MdmError] = []
        for client in self.clients.values():
            try:
                for device in client.noncompliant():
                    collected += 1
                    yield device
            except MdmError as error:
                failures.append(error)
        if failures:
            raise IncompleteListError(
                "; ".join(map(str, failures)),
                collected=collected,
                failures=tuple(failures),
                operation="noncompliant",
                hint=failures[0].hint,
            )

    def _ask(self, keys: list[Key | str]) -> list[Answer]:
        jobs = [partial(self._results, client, keys) for client in self.clients.values()]
        by_server = gather(jobs, _nothing)
        answers = []
        for results in zip(*by_server, strict=True):
            outcomes = tuple(
                Outcome.of(
                    client.server, client.provider.name, result, judges=client.provider.settings.judges
                )
                for client, result in zip(self.clients.values(), results, strict=True)
            )
            device = merged(outcomes, self._merge)
            answers.append(Answer(key=results[0].key, device=device, outcomes=outcomes))
        return answers

    @staticmethod
    def _results(client: MdmClient, keys: list[Key | str]) -> list[LookupResult]:
        return [result for result in client.lookup_many(keys)]

    @staticmethod
    def _heartbeat(client: MdmClient) -> Heartbeat:
        began = time.monotonic()
        info, failure = None, None
        try:
            info = client.heartbeat()
        except MdmError as error:
            failure = error
        elapsed_ms = (time.monotonic() - began) * 1000
        return Heartbeat(
            server=client.server,
            provider=client.provider.name,
            info=info,
            error=failure,
            elapsed_ms=elapsed_ms,
        )


def _nothing() -> None:
    """What `gather` calls on a failure, where no job fails."""
