"""How many requests 1,000 unknown keys cost, with every provider that speaks a protocol of its own."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from mdmsdk.identifiers import KEY_KINDS, Key
from mdmsdk.simulator import Fleet
from tests.vendors.relay import natives, relayed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.testing import Modal

KEYS = 1000
FEW = 20
"""Keys that show whether they are asked for one by one."""
ONE_SCOPE: dict[str, dict[str, Any]] = {
    "ivanti-cloud": {"spaces": ("Global",)},
    "ivanti-core": {"spaces": ("Global",)},
    "meraki": {"networks": 1},
}
"""Habits of simulators, so that there is one network or device space."""


def unknown(kind: str, count: int) -> list[Key]:
    """Keys of a kind that no device has."""
    return [KEY_KINDS[kind](_text(kind, 7_000_001 + 13 * number)) for number in range(count)]


def _text(kind: str, number: int) -> str:
    match kind:
        case "mac":
            return f"0050C2{number:06X}"
        case "imei":
            return f"35{number:012d}"
        case "meid":
            return f"A1{number:012X}"
        case "udid":
            return f"{number:040x}"
        case "guid":
            return str(uuid.UUID(int=number * 2**80 + number))
        case "username":
            return f"user{number}@example.com"
    return str(number) if kind == "id" else f"NONE{number}"


def requests(name: str) -> Iterator[tuple[str, int]]:
    """Kinds of keys, each with the requests that 1,000 unknown ones cost after the heartbeat."""
    sent: list[Any] = []
    fleet = Fleet.generate(40, seed=7)
    with relayed(name, fleet, "sync", sent.append, ONE_SCOPE.get(name)) as client:
        client.heartbeat()
        for kind in sorted(kind.kind for kind in client.provider.keys):
            yield kind, _count(client, sent, kind)


def _count(client: Modal, sent: list[Any], kind: str) -> int:
    for count in (FEW, KEYS):
        sent.clear()
        for result in client.lookup_many(unknown(kind, count)):
            assert result.error is None, result.error
            assert result.device is None
        if len(sent) >= count:
            break
    return len(sent) * KEYS // count


def row(name: str) -> str:
    """The line of one provider in the table of the reference."""
    return f"| `{name}` | {', '.join(f'`{kind}` {count:,}' for kind, count in requests(name))} |"


def main() -> None:
    """Print the table of the reference."""
    for name in natives():
        print(row(name), flush=True)


if __name__ == "__main__":
    main()
