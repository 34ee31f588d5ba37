"""The commands that ask the configured servers: `heartbeat`, `lookup`, `devices` and `noncompliant`."""

from __future__ import annotations

import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from mdmsdk.certificates import keys_from_certificate
from mdmsdk.cli import rows
from mdmsdk.cli.bar import Bar
from mdmsdk.cli.formats import writing
from mdmsdk.cli.keys import all_keys
from mdmsdk.cli.report import FAILED, UNKNOWN, WRONG, Tally
from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError, IncompleteListError, InvalidIdentifierError, MdmError
from mdmsdk.federation import MdmFederation, Status
from mdmsdk.federation.rows import device_row, heartbeat_row, lookup_row
from mdmsdk.identifiers import Key
from mdmsdk.provider import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from mdmsdk.cli.options import Format
    from mdmsdk.cli.output import View
    from mdmsdk.federation import Answer
    from mdmsdk.models import Device

_FEW_KEYS = 5
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
            out.write(heartbeat_row(beat))
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
    column: str | None,
    fresh: bool = False,
    max_age: float | None = None,
) -> int:
    """Look up the keys given, then those of a file."""
    with (
        MdmFederation.from_config(config, servers=names or None) as federation,
        all_keys(keys, source, by=by, column=column) as (wanted, total),
    ):
        # A bar would only flicker over a few keys, and disturb who types them.
        by_hand = source == "-" and sys.stdin.isatty()
        bar = Bar("keys", total, wanted=not by_hand and (total is None or total > _FEW_KEYS))
        answers = federation.lookup_many(wanted, fresh=fresh, max_age=max_age)
        return show_answers(answers, chosen, by=by, bar=bar)


def lookup_certificate(
    config: Path | None,
    chosen: Format | None,
    names: Sequence[str],
    *,
    cert: Path,
    fresh: bool = False,
    max_age: float | None = None,
) -> int:
    """Look up the device that a certificate names, by its identifiers in order."""
    try:
        data = cert.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{cert} cannot be read: {error.strerror}", hint="Give a certificate in PEM or DER."
        ) from None
    patterns = load_config(config).federation.certificate_patterns
    if not (keys := keys_from_certificate(data, patterns=patterns)):
        raise InvalidIdentifierError(
            f"{cert} names no device",
            hint="Look at its names with: openssl x509 -text. Other forms can be read with the setting "
            "federation.certificate_patterns.",
        )
    with MdmFederation.from_config(config, servers=names or None) as federation:
        answer = federation.lookup(keys, fresh=fresh, max_age=max_age)
        return show_answers([answer], chosen, bar=Bar("keys", 1, wanted=False))


def show_answers(
    answers: Iterable[Answer],
    chosen: Format | None,
    *,
    bar: Bar,
    by: str | None = None,
    view: View = rows.LOOKUP,
) -> int:
    """Write one row for each answer, as they come."""
    tally = Tally()
    with bar, writing(view, chosen) as out:
        for answer in answers:
            row = lookup_row(answer)
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
    for note in answer.notes:
        tally.remark(note, note)
    if answer.randomized and not answer.found:
        tally.remark(
            "randomized",
            f"{answer.key} is a MAC address that the device made up; servers record the hardware's own",
        )
    if not isinstance(answer.key, Key):
        tally.note(WRONG)
    elif unasked or Status.ERROR in statuses:
        tally.note(FAILED)
    elif not answer.found:
        tally.note(UNKNOWN)


def devices(config: Path | None, chosen: Format | None, names: Sequence[str]) -> int:
    """List all records of all servers."""
    with MdmFederation.from_config(config, servers=names or None) as federation:
        tally = Tally()
        show_devices(federation.devices(), chosen, tally)
        return tally.code


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
    with Bar("devices") as bar, writing(rows.NONCOMPLIANT, chosen) as out:
        try:
            for device in devices:
                out.write(device_row(device))
                count += 1
                bar.step()
        except IncompleteListError as error:
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
