"""Lookups by the directory: it says which records to ask for, and they have to show the key."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from mdmsdk.client.verdict import Records, as_key
from mdmsdk.directory.entries import KINDS, MOST_RECORDS, Reference, reference_of
from mdmsdk.errors import FilterIgnoredError, InvalidIdentifierError, MdmError, UnsupportedOperationError
from mdmsdk.progress import row_identity
from mdmsdk.proof import shows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    from mdmsdk._run.budget import Hurry
    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.directory.aio import AsyncDirectory
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device

    Rows = list[Device] | MdmError

__all__ = ["Pointer", "Route"]


class Pointer:
    """What a directory says about a key.

    Attributes:
        records: those that showed it.
        doubt: why others may show it, too; None if none does, as far as a walk tells that was complete.
    """

    __slots__ = ("doubt", "records")

    def __init__(self, records: Iterable[Reference], doubt: str | None) -> None:
        self.records: tuple[Reference, ...] = tuple(dict.fromkeys(records))
        self.doubt: str | None = doubt
        if len(self.records) > MOST_RECORDS:
            self.records = ()
            self.doubt = (
                f"more than {MOST_RECORDS} records showed this identifier, so that it names no device"
            )


class Route:
    """The way of one window of keys to one server.

    Args:
        directory: where to look first.
        client: of the server.
        hurry: who waits.
        fresh: whether only the server itself may say that it does not know a key.

    Attributes:
        untold: whether it was the directory that said so of a key.
    """

    def __init__(
        self, directory: AsyncDirectory, client: AsyncMdmClient, hurry: Hurry, *, fresh: bool = False
    ) -> None:
        self._directory, self._client, self._hurry, self._fresh = directory, client, hurry, fresh
        self._waits: ModuleType = directory._waits  # noqa: SLF001
        self._pointers: dict[Key, Pointer] = {}
        self._began = time.monotonic()
        self.untold: bool = False

    async def look_up(self, given: Sequence[Key | str]) -> list[Records]:
        """What the server has for each key, as the client itself would say it."""
        kept = {one: key for one in given if (key := _kept(one)) is not None}
        others = [one for one in given if one not in kept]
        asked = await self._client._look_up(others, self._hurry) if others else []  # noqa: SLF001
        results = dict(zip(others, asked, strict=True))
        found = await self._rows(dict.fromkeys(kept.values()))
        results |= {one: self._records(one, found[key]) for one, key in kept.items()}
        return [results[one] for one in given]

    async def _rows(self, keys: Iterable[Key]) -> dict[Key, Rows]:
        """Every record of each key, or why there is no answer."""
        wanted = list(keys)
        self._pointers = await self._directory._look(self._client, wanted)  # noqa: SLF001
        sure = [key for key in wanted if self._is_sure(key)]
        said = self._directory._said  # noqa: SLF001
        said.update((self._client.server, self._word(key)) for key in wanted)
        fetched = await self._fetch(sure)
        # Records that do not show the key any more: where that went, a walk has not seen yet.
        found = {key: rows for key, rows in fetched.items() if rows or not self._pointers[key].records}
        self.untold = not all(found.values())
        others = [key for key in wanted if key not in found]
        found |= await self._search(others)
        # What an older walk saw is better than nothing, but never a pass.
        late = [key for key in others if key not in fetched and not _is_told(found.get(key))]
        for key, rows in (await self._fetch(late)).items():
            if rows:
                found[key] = rows if isinstance(rows, MdmError) else self._doubted(key, rows)
        return {key: found[key] if key in found else self._unsupported(key) for key in wanted}

    def _is_sure(self, key: Key) -> bool:
        """Whether there is nothing else to ask."""
        pointer = self._pointers[key]
        return pointer.doubt is None and bool(pointer.records or not self._fresh)

    def _word(self, key: Key) -> str:
        if not self._is_sure(key):
            return "unsure"
        return "records" if self._pointers[key].records else "absent"

    async def _search(self, keys: Sequence[Key]) -> dict[Key, Rows]:
        """What the server's own search finds; without the keys by which it has none."""
        able = [key for key in keys if type(key) in self._client.provider.keys]
        if not able:
            return {}
        results = await self._client._look_up(able, self._hurry)  # noqa: SLF001
        answers: dict[Key, Rows] = {
            key: list(one.devices) if one.error is None else one.error
            for key, one in zip(able, results, strict=True)
        }
        await self._note({key: rows for key, rows in answers.items() if not isinstance(rows, MdmError)})
        return {key: rows for key, rows in answers.items() if not isinstance(rows, UnsupportedOperationError)}

    async def _note(self, records: dict[Key, list[Device]]) -> None:
        """Remember which records show the keys that were asked for."""
        provider, fresh = self._client.provider, {}
        for key, devices in records.items():
            showing = [device for device in devices if shows(provider, key, device)]
            names = [name for device in showing if (name := reference_of(provider, device))]
            if set(names) - set(self._pointers[key].records):
                fresh[key] = [*self._pointers[key].records, *names]
        if fresh:
            await self._directory._note(self._client, fresh)  # noqa: SLF001

    async def _fetch(self, keys: Sequence[Key]) -> dict[Key, Rows]:
        """The records that the directory names, as far as they show the key; one failure is the answer."""
        kind = self._client.provider.record_key
        wanted = {ref: kind.parse(ref.name) for key in keys for ref in self._pointers[key].records}
        by_place: dict[str | None, list[Key]] = {}
        for ref, name in wanted.items():
            if name is not None:
                by_place.setdefault(ref.place, []).append(name)
        size = self._client._batch_size  # noqa: SLF001
        chunks = [
            (place, names[start : start + size])
            for place, names in by_place.items()
            for start in range(0, len(names), size)
        ]
        fetch = self._client._look_up_named  # noqa: SLF001
        jobs = [partial(fetch, place, names, self._hurry) for place, names in chunks]
        answers: dict[tuple[str | None, Key | str], Rows] = {}
        for (place, _), found in zip(chunks, await self._waits.gather(jobs), strict=True):
            answers |= {
                (place, one.key): list(one.devices) if one.error is None else one.error for one in found
            }
        said = {ref: answers[ref.place, name] for ref, name in wanted.items() if name is not None}
        return {
            key: self._showing(key, [said.get(ref) for ref in self._pointers[key].records]) for key in keys
        }

    def _showing(self, key: Key, answers: Iterable[Rows | None]) -> Rows:
        showing: dict[object, Device] = {}
        untold = False
        for rows in answers:
            # It does not take the name, or answers about other records: the entry is wrong, not the server.
            if rows is None or isinstance(rows, FilterIgnoredError | UnsupportedOperationError):
                untold = True
                continue
            if isinstance(rows, MdmError):
                return rows
            for device in rows:
                if shows(self._client.provider, key, device):
                    showing[row_identity(device)] = device
        found = list(showing.values())
        # The record that it stands for may be the device, and not comply.
        why = f"another record of {self._client.server} showed this {key.kind}, and cannot be asked for"
        return [device.doubted(why) for device in found] if untold else found

    def _doubted(self, key: Key, rows: Sequence[Device]) -> list[Device]:
        why = f"other records of {self._client.server} may show this {key.kind}: {self._pointers[key].doubt}"
        return [device.doubted(why) for device in rows]

    def _unsupported(self, key: Key) -> UnsupportedOperationError:
        client, pointer = self._client, self._pointers[key]
        name = client.provider.name
        what = pointer.doubt or "the records that showed it do not show it any more"
        if pointer.doubt is None and not pointer.records:
            what = "that the directory does not know it is no word of the server"
        return UnsupportedOperationError(
            f"the provider {name!r} cannot search by {key.kind}, and its directory does not say: {what}",
            server=client.server,
            provider=name,
            operation="find",
            hint="Renew it with `mdm directory build`, and look at `mdm directory status`.",
        )

    def _records(self, key: Key | str, rows: Rows) -> Records:
        elapsed_ms = (time.monotonic() - self._began) * 1000
        if isinstance(rows, MdmError):
            return Records(key, error=rows, elapsed_ms=elapsed_ms)
        return Records(key, rows, elapsed_ms=elapsed_ms)


def _is_told(rows: Rows | None) -> bool:
    """Whether the server's own search gave an answer, or failed at it."""
    return bool(rows)


def _kept(one: Key | str) -> Key | None:
    """The key, if it is of a kind that a directory keeps."""
    try:
        key = as_key(one)
    except InvalidIdentifierError:
        return None
    return key if type(key) in KINDS else None
