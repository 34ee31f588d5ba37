"""Other people's clients against our simulators, and their table at the end: `nox -s foreign`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from mdmsdk.simulator import Fleet, Simulator, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.simulator import RunningSimulator

COLUMNS: Final = ("lists all", "finds one", "reads fields")
CLIENTS: Final = pytest.StashKey[dict[str, dict[str, str]]]()
PRISM: Final = pytest.StashKey[list[tuple[str, ...]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CLIENTS] = {}
    heads: list[tuple[str, ...]] = [("description", "requests", "requests at fault", "answers at fault")]
    config.stash[PRISM] = heads


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet.generate(size=260, seed=11)


@pytest.fixture(scope="module")
def start(fleet: Fleet) -> Iterator[Callable[..., RunningSimulator[Any]]]:
    """Run a simulator until the end of the module."""
    with ExitStack() as stack:

        def run(kind: type[Simulator[Any]], **habits: Any) -> RunningSimulator[Any]:
            return stack.enter_context(serve(kind(fleet, **habits)))

        yield run


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """Write a cell of the clients' table; a test does so after its asserts."""

    def write(client: str, column: str, text: str) -> None:
        assert column in COLUMNS
        request.config.stash[CLIENTS].setdefault(client, {})[column] = text

    return write


@pytest.fixture(scope="session")
def count(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write a line of Prism's table: the description, requests, and faults in requests and in answers."""

    def write(*cells: object) -> None:
        request.config.stash[PRISM].append(tuple(map(str, cells)))

    return write


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    clients, prism = config.stash[CLIENTS], config.stash[PRISM]
    rows: list[tuple[str, ...]] = [("client", *COLUMNS)]
    rows += [(name, *(cells.get(column, "-") for column in COLUMNS)) for name, cells in clients.items()]
    for title, table in (("other people's clients", rows), ("Prism between ours", prism)):
        if len(table) > 1:
            terminalreporter.section(title)
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            for row in table:
                cells = zip(row, widths, strict=True)
                terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
