"""The commands that ask the configured servers: `heartbeat`, `lookup` and `noncompliant`."""

from __future__ import annotations

import csv
import io
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mdmsdk.cli import rows
from mdmsdk.cli.bar import Bar
from mdmsdk.cli.formats import default_format, writing
from mdmsdk.cli.report import FAILED, UNKNOWN, WRONG, Tally
from mdmsdk.errors import ConfigurationError, IncompleteListError, InvalidIdentifierError, MdmError
from mdmsdk.federation import MdmFederation, Status
from mdmsdk.identifiers import KEY_KINDS, Key, parse_key
from mdmsdk.provider import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from mdmsdk.cli.options import Format
    from mdmsdk.cli.output import View, Writer
    from mdmsdk.federation import Answer
    from mdmsdk.models import Device

_FEW_KEYS = 5  # up to here a bar would only flicker
_AT_ONCE = 8  # devices whose reasons are asked for side by side


def heartbeat(config: Path | None, chosen: Format | None, names: Sequence[str]) -> int:
    """Ask each server whether it is there."""
    with MdmFederation.from_config(config, servers=names or None) as federation:
        return show_heartbeats(federation, chosen)


def show_heartbeats(federation: MdmFederation, chosen: Format | None) -> int:
    """Write one row for each server of a federation."""
    tally = Tally()
    with writing(rows.HEARTBEAT, chosen) as out:
        for beat in federation.heartbeat():
            out.write(rows.heartbeat_row(beat))
            if beat.error:
                tally.error(beat.error)
    return tally.code


def lookup(
    config: Path | None,
    chosen: Format | None,
    names: Sequence[str],
    *,
    keys: Sequence[str],
    by: str | None,
    source: str | None,
) -> int:
    """Look up the keys given, then those of a file."""
    with (
        MdmFederation.from_config(config, servers=names or None) as federation,
        open_keys(source) if source else nullcontext(()) as listed,
    ):
        total = _total(keys, source)
        wanted = total is None or total > _FEW_KEYS
        return show_answers(
            federation, as_keys(chain(keys, listed), by), chosen, by=by, bar=Bar("keys", total, wanted=wanted)
        )


def show_answers(
    federation: MdmFederation,
    keys: Iterable[Key | str],
    chosen: Format | None,
    *,
    bar: Bar,
    by: str | None = None,
    view: View = rows.LOOKUP,
) -> int:
    """Write one row for each key, as the answers come."""
    tally = Tally()
    with bar, _writing(view, chosen, bar) as out:
        for answer in federation.lookup_many(keys):
            row = rows.lookup_row(answer)
            if by and not isinstance(answer.key, Key):
                row["key"] = answer.key.removeprefix(f"{by}:")
            out.write(row)
            _judge(answer, tally)
            bar.step()
    tally.close()
    return tally.code


def _judge(answer: Answer, tally: Tally) -> None:
    """What an answer means for the exit code, and what a person has to know about it."""
    statuses = {outcome.status for outcome in answer.outcomes}
    # Where a server is unable to search by such a key, nobody says that the device is unknown.
    unasked = not answer.found and not answer.complete
    for outcome in answer.outcomes:
        if outcome.error and (outcome.status is Status.ERROR or (unasked and outcome.judges)):
            tally.error(outcome.error)
    if not isinstance(answer.key, Key):
        tally.note(WRONG)
    elif unasked or Status.ERROR in statuses:
        tally.note(FAILED)
    elif not answer.found:
        tally.note(UNKNOWN)


def as_keys(texts: Iterable[str], by: str | None) -> Iterator[Key | str]:
    """The texts as keys; one that is none stays text, which the client refuses in its place."""
    for text in texts:
        if by is not None:
            yield KEY_KINDS[by].parse(text) or f"{by}:{text}"
            continue
        try:
            yield parse_key(text)
        except InvalidIdentifierError:
            yield text


@contextmanager
def open_keys(source: str) -> Iterator[Iterator[str]]:
    """The keys in a file, one a line; ``-`` is stdin.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        with _open(source) as file:
            yield read_keys(file)
    except OSError as error:
        # Errors of the network are MdmErrors, which some of the builtin ones are too.
        if isinstance(error, MdmError):
            raise
        raise ConfigurationError(
            f"{source} cannot be read: {error.strerror}", hint="Check the path and the file's permissions."
        ) from None


def _open(source: str) -> AbstractContextManager[IO[str]]:
    # A byte-order mark is dropped. What is no UTF-8 stays visible in the error about that key.
    if source != "-":
        return Path(source).open(encoding="utf-8-sig", errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="backslashreplace")
    return nullcontext(sys.stdin)


def read_keys(lines: Iterable[str]) -> Iterator[str]:
    """The first column of every line but blank ones and those that begin with ``#``."""
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith('"'):
            with suppress(csv.Error):  # the client says what is wrong with it
                text = next(csv.reader([text]))[0]
        else:
            text = text.partition(",")[0]
        yield text.strip()


def _total(keys: Sequence[str], source: str | None) -> int | None:
    """How many keys there are; None where they can be read only once."""
    if source is None:
        return len(keys)
    if not Path(source).is_file():
        return None
    with _open(source) as file:
        return len(keys) + sum(1 for _ in read_keys(file))


def noncompliant(config: Path | None, chosen: Format | None, names: Sequence[str], *, reasons: bool) -> int:
    """List the devices that do not comply."""
    with MdmFederation.from_config(config, servers=names or None) as federation:
        tally = Tally()
        devices = federation.noncompliant()
        if reasons:
            devices = with_reasons(federation, devices, tally)
        show_devices(devices, chosen, tally)
        return tally.code


def show_devices(devices: Iterable[Device], chosen: Format | None, tally: Tally) -> int:
    """Write one row for each device as it comes; returns how many came."""
    count = 0
    with Bar("devices") as bar, _writing(rows.NONCOMPLIANT, chosen, bar) as out:
        try:
            for device in devices:
                out.write(rows.device_row(device))
                count += 1
                bar.step()
        except IncompleteListError as error:
            bar.hide()
            for failure in error.failures or (error,):
                tally.error(failure)
    if tally.code:
        tally.close()
    return count


def with_reasons(federation: MdmFederation, devices: Iterable[Device], tally: Tally) -> Iterator[Device]:
    """The devices with their reasons in detail, from the servers that have more than their list says."""
    able = {
        name: client.reasons
        for name, client in federation.clients.items()
        if Capability.REASONS in client.provider.capabilities
    }

    def ask(device: Device) -> tuple[Device, MdmError | None]:
        try:
            return able[device.server](device), None
        except MdmError as error:
            return device, error  # the verdict stands, only its details are missing

    failure: MdmError | None = None
    waiting: deque[Future[tuple[Device, MdmError | None]]] = deque()

    def first() -> Device:
        device, error = waiting.popleft().result()
        if error:
            tally.error(error)
        return device

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="reasons") as pool:
        try:
            for device in devices:
                waiting.append(_begin(pool, ask, device) if device.server in able else _known(device))
                if len(waiting) > _AT_ONCE:
                    yield first()
        except MdmError as error:
            failure = error  # what came before it is true, and goes out first
        while waiting:
            yield first()
    if failure:
        raise failure


def _begin(
    pool: ThreadPoolExecutor, ask: Callable[[Device], tuple[Device, MdmError | None]], device: Device
) -> Future[tuple[Device, MdmError | None]]:
    return pool.submit(ask, device)


def _known(device: Device) -> Future[tuple[Device, MdmError | None]]:
    future: Future[tuple[Device, MdmError | None]] = Future()
    future.set_result((device, None))
    return future


@contextmanager
def _writing(view: View, chosen: Format | None, bar: Bar) -> Iterator[Writer]:
    """A writer that clears the bar away before it writes to the same terminal."""
    with writing(view, chosen or default_format()) as out:
        if sys.stdout.isatty():
            out.before_first = bar.hide
        yield out
