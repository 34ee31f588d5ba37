"""What a directory holds: for each identifier the names of the records that show it. Pure.

The entries of a server stand in shards, texts of some lines each, so that one that is missing can be told
from an identifier that no device has. A line is an identifier and the records, in between tabs: neither holds
control characters.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from mdmsdk.identifiers import Guid, Imei, Key, Mac, Meid, Serial, Udid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mdmsdk.models import Device
    from mdmsdk.provider import MdmProvider

__all__ = [
    "EMPTY",
    "KINDS",
    "MOST_RECORDS",
    "Reference",
    "add",
    "code_of",
    "entries_of",
    "find",
    "halves",
    "key_of",
    "lines_of",
    "merge",
    "number_of",
    "reference_of",
    "written",
]

# Names and users are not kept: they say who has the device.
KINDS: dict[type[Key], str] = {Mac: "m", Serial: "s", Udid: "u", Guid: "g", Imei: "i", Meid: "e"}
"""The kinds of identifiers that are kept, each with its letter."""
_BY_LETTER = {letter: kind for kind, letter in KINDS.items()}
MOST_RECORDS = 100
"""Records of one identifier; one that more of them show, as the address of an adapter that is passed around,
tells no device from others."""
EMPTY = b"\n"
"""A shard without entries."""


class Reference(NamedTuple):
    """Where a record is found again.

    Attributes:
        name: the text of its `MdmProvider.record_key`.
        place: its `Device.place`.
    """

    name: str
    place: str | None = None


def code_of(key: Key) -> bytes:
    """An identifier as it stands in a shard; two that are equal have the same."""
    text = key.hex.lower() if isinstance(key, Mac) else key.canonical
    return (KINDS[type(key)] + text).encode()


def key_of(code: bytes) -> Key:
    """The identifier of an entry."""
    text = code.decode()
    return _BY_LETTER[text[0]](text[1:])


def reference_of(provider: MdmProvider, device: Device) -> Reference | None:
    """Where a record is found again; None for one without a name."""
    name = next((key.value for key in device.shown(provider.record_key)), None)
    if name is None:
        return None
    place = device.place
    return Reference(name, place if place and place.isprintable() else None)


def entries_of(provider: MdmProvider, device: Device) -> Iterator[bytes]:
    """The codes of the identifiers that a record shows, but for its own name."""
    for kind in KINDS:
        if kind is not provider.record_key:
            yield from map(code_of, device.shown(kind))


def number_of(code: bytes, shards: int) -> int:
    """In which of so many shards, a power of two, an identifier stands."""
    return zlib.crc32(code) & (shards - 1)


def written(reference: Reference) -> bytes:
    """A record as it stands in a line."""
    return "\x1f".join(filter(None, reference)).encode()


def _read(text: bytes) -> Reference:
    name, _, place = text.decode("utf-8", "replace").partition("\x1f")
    return Reference(name, place or None)


def add(buffer: dict[bytes, dict[bytes, None]], codes: Iterable[bytes], reference: Reference) -> None:
    """Note that a record shows these identifiers."""
    text = written(reference)
    for code in codes:
        buffer.setdefault(code, {})[text] = None


def merge(shard: bytes, new: Mapping[bytes, Iterable[bytes]]) -> tuple[bytes, int]:
    """A shard with more entries, and how many identifiers it has more."""
    added: list[bytes] = []
    for code, references in new.items():
        start = shard.find(b"\n" + code + b"\t") + 1
        if not start:
            kept = [*dict.fromkeys(references)][: MOST_RECORDS + 1]
            added.append(b"\t".join([code, *kept]) + b"\n")
            continue
        end = shard.index(b"\n", start)
        known = shard[start:end].split(b"\t")[1:]
        kept = list(dict.fromkeys([*known, *references]))[: MOST_RECORDS + 1]
        if kept != known:
            shard = shard[:start] + b"\t".join([code, *kept]) + shard[end:]
    return b"".join([shard, *added]), len(added)


def find(shard: bytes, code: bytes) -> tuple[Reference, ...]:
    """The records that show an identifier."""
    start = shard.find(b"\n" + code + b"\t")
    if start < 0:
        return ()
    end = shard.index(b"\n", start + 1)
    return tuple(map(_read, shard[start + len(code) + 2 : end].split(b"\t")))


def lines_of(shard: bytes) -> Iterator[tuple[bytes, tuple[Reference, ...]]]:
    """All entries of a shard."""
    for line in shard.split(b"\n")[1:-1]:
        code, *references = line.split(b"\t")
        yield code, tuple(map(_read, references))


def halves(shard: bytes, shards: int) -> tuple[bytes, bytes]:
    """The two shards that a shard becomes where there are twice as many."""
    parts: tuple[list[bytes], list[bytes]] = ([b""], [b""])
    for line in shard.split(b"\n")[1:-1]:
        parts[number_of(line.partition(b"\t")[0], 2 * shards) >= shards].append(line)
    low, high = (b"\n".join([*part, b""]) for part in parts)
    return low, high
