"""What a heartbeat finds out about a server where MobiControl's description is silent.

Public clients differ in how often they encode a filter, servers store a MAC address in the spelling of the
device's platform, and no answer to an unknown id is documented. So each of these is tried on a device that
the server lists, and on an id that no device has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

from mdmsdk.errors import EndpointNotFoundError, MdmError, ResponseError
from mdmsdk.flow import attempt, together
from mdmsdk.identifiers import Mac
from mdmsdk.models import Description
from mdmsdk_soti.records import MACS, MODEMS, SERIALS
from mdmsdk_soti.refusals import UnknownRecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk_soti.records import Record

    Read = Callable[[str], Flow[Record | None]]
    Search = Callable[[str, str, bool], Flow[list[Record]]]

__all__ = ["SINGLE_FIRST", "SotiDescription", "learn", "mac_spellings", "misread", "quotable"]

SINGLE_FIRST: Final = (False, True)
"""Whether to encode twice: first not, then so."""
_HIDDEN: Final = "Something before the server may hide /devices/ID from this account: let it pass."
_NOBODY: Final = "mdmsdk-no-such-device"
_MISREAD: Final = frozenset({400, 404, 422})


class SotiDescription(Description):
    """What the heartbeat learns.

    Attributes:
        policies: whether the server knows compliance policies, as those from 15.1 on do.
        encodings: whether to encode the value of a filter twice; both ways where that is not known, and none
            where a search does not find what the server lists.
        absent: what an id gets that no device has: a refusal in MobiControl's words, the JSON null, or a
            404 without a word.
        mac_path: devices can be read by a MAC address in any spelling, and not in the stored one alone.
        mac_search: a search finds MAC addresses in any spelling.
    """

    policies: bool
    encodings: tuple[bool, ...]
    absent: Literal["refused", "null", "bare"]
    mac_path: bool
    mac_search: bool


def learn(
    sample: Sequence[Record], read: Read, search: Search, *, policies: bool, encodings: tuple[bool, ...]
) -> Flow[SotiDescription]:
    """What a server does with ids, MAC addresses and filters.

    Args:
        sample: some records of its list.
        read: the record at a path below ``/devices/``; None where the server has none.
        search: the rows for a property and a value, encoded twice or not.
        policies: see `SotiDescription`.
        encodings: those that may be tried.

    Raises:
        EndpointNotFoundError: no listed device can be read, so that an unknown one cannot be told.
    """
    parts = yield from together(_absent(read), _path(sample, read), _search(sample, search, encodings))
    learnt: dict[str, Any] = {name: value for part in parts for name, value in part.items()}
    if not learnt["mac_path"]:
        yield from _check_paths(sample, read)
    return SotiDescription(policies=policies, **learnt)


def mac_spellings(mac: Mac) -> tuple[str, ...]:
    """The texts under which servers hold an address: bare and upper, as Apple's devices say it, and upper.

    A public client's recordings of version 13 have the first two on one and the same server.
    """
    return mac.hex, mac.value.lower(), mac.value


def misread(error: MdmError) -> bool:
    """Whether a search may only have been refused for its encoding."""
    return isinstance(error, ResponseError) and error.status in _MISREAD


def quotable(text: str) -> bool:
    """Whether a text can stand between the quotes of a filter, for which no escape is documented."""
    return text.isprintable() and not set(text) & set("'\"\\")


def _absent(read: Read) -> Flow[dict[str, Any]]:
    answer = yield from attempt(read(_NOBODY))
    known = {UnknownRecordError: "refused", EndpointNotFoundError: "bare", type(None): "null"}
    # Another answer, such as an error: look-ups of unknown devices end with it as well.
    return {"absent": known.get(type(answer), "refused")}


def _check_paths(sample: Sequence[Record], read: Read) -> Flow[None]:
    """Make sure that a listed device can be read by its id; one of two may have left meanwhile."""
    answers = yield from together(*(attempt(read(record.device_id)) for record in sample[:2]))
    if answers and all(one is None or isinstance(one, EndpointNotFoundError) for one in answers):
        raise EndpointNotFoundError(
            "the server lists devices, and finds none of them by its id", status=404, hint=_HIDDEN
        )


def _path(sample: Sequence[Record], read: Read) -> Flow[dict[str, Any]]:
    held = ((record, record.text("MACAddress") or "") for record in sample)
    tried = next(((record, text, mac) for record, text in held if (mac := Mac.parse(text))), None)
    if tried is None:
        return {"mac_path": False}
    record, text, mac = tried
    answer = yield from attempt(read(f"mac:{_other(mac, text)}"))
    found = None if isinstance(answer, MdmError) or answer is None else answer.device_id
    return {"mac_path": found == record.device_id}


def _search(sample: Sequence[Record], search: Search, encodings: tuple[bool, ...]) -> Flow[dict[str, Any]]:
    """The encoding that finds a listed device, and whether MAC addresses are found in another spelling."""
    learnt = {"encodings": encodings, "mac_search": False}
    names = (*MACS[:2], *SERIALS, *MODEMS)
    held = (
        (record, name, text)
        for record in sample
        for name in names
        if (text := record.text(name)) and quotable(text)
    )
    record, name, text = next(held, (None, "", ""))
    if record is None:
        return learnt
    if len(encodings) > 1:
        for twice in encodings:
            answer = yield from attempt(search(name, text, twice))
            if isinstance(answer, MdmError):
                if not misread(answer):
                    return learnt  # the index is down, or busy: both are tried later
            elif _only(answer, record, name):
                encodings = (twice,)
                break
        else:
            return {**learnt, "encodings": ()}
    mac = Mac.parse(text) if name in MACS else None
    if mac is None:
        return {**learnt, "encodings": encodings}
    answer = yield from attempt(search(name, _other(mac, text), encodings[0]))
    found = not isinstance(answer, MdmError) and _only(answer, record, name)
    return {"encodings": encodings, "mac_search": found}


def _only(rows: Sequence[Record], record: Record, name: str) -> bool:
    """Whether a search found a record, and none with another value: the filter is not passed over."""
    values = {re.sub(r"[\W_]", "", row.text(name) or "").lower() for row in rows}
    return record.device_id in {row.device_id for row in rows} and len(values) == 1


def _other(mac: Mac, text: str) -> str:
    """An address in a spelling in which it is not stored."""
    return mac.value.lower() if text == mac.hex else mac.hex
