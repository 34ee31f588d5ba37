"""The commands `directory build`, `directory status` and `directory export`."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mdmsdk.cli import rows
from mdmsdk.cli.bar import Bar
from mdmsdk.cli.formats import writing
from mdmsdk.cli.report import FAILED, Tally
from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError, IncompleteListError
from mdmsdk.federation import MdmFederation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mdmsdk.cli.options import Format
    from mdmsdk.directory import Directory, DirectoryStatus, WalkProgress


@contextmanager
def _opened(config: Path | None, names: Sequence[str], tally: Tally) -> Iterator[Directory]:
    """The directory of the configuration.

    Raises:
        ConfigurationError: there is none, or it ends with the command.
    """
    if load_config(config).store_settings().kind == "memory":
        raise ConfigurationError(
            "the store is the memory of this process, and a directory in it ends with the command",
            hint='Set url in the table store, such as "sqlite:///var/lib/mdmsdk/store.db", and key.',
        )
    with MdmFederation.from_config(config, servers=names or None) as federation:
        if federation.directory is None:
            raise ConfigurationError(
                "the configuration keeps no directory", hint="Set directory = true in the table federation."
            )
        for broken in federation.broken.values():
            tally.error(broken.error, FAILED)
        yield federation.directory


def build(config: Path | None, chosen: Format | None, names: Sequence[str], *, full: bool) -> int:
    """Walk through the inventories, and write how far each directory is then."""
    tally, lock, came = Tally(), threading.Lock(), dict[str, int]()
    with _opened(config, names, tally) as directory, Bar("devices") as bar:

        def step(progress: WalkProgress) -> None:
            with lock:
                bar.step(progress.devices - came.get(progress.server, 0))
                came[progress.server] = progress.devices

        statuses = directory.build(full=full, progress=step)
    _show(statuses, chosen, tally)
    return tally.code


def status(config: Path | None, chosen: Format | None, names: Sequence[str]) -> int:
    """Write how far each directory is."""
    tally = Tally()
    with _opened(config, names, tally) as directory:
        _show(directory.status(), chosen, tally)
    return tally.code


def _show(statuses: Iterable[DirectoryStatus], chosen: Format | None, tally: Tally) -> None:
    with writing(rows.DIRECTORY, chosen) as out:
        for one in statuses:
            out.write(one.model_dump(mode="json"))
            if one.reason or not one.complete:
                tally.note(FAILED)


def export(config: Path | None, chosen: Format | None, names: Sequence[str]) -> int:
    """Write one row for each identifier."""
    tally = Tally()
    with (
        _opened(config, names, tally) as directory,
        Bar("identifiers") as bar,
        writing(rows.DIRECTORY_ENTRIES, chosen) as out,
    ):
        try:
            for entry in directory.export():
                out.write(entry.model_dump(mode="json"))
                bar.step()
        except IncompleteListError as error:
            tally.error(error)
    return tally.code
