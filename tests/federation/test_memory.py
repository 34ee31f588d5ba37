"""However many keys there are, only so many objects are alive while they are looked up."""

from __future__ import annotations

import gc
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from mdmsdk import identifiers
from mdmsdk.federation import shelf
from mdmsdk.flow import done
from mdmsdk.identifiers import Mac
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.testing import Modal, open_client, open_federation
from mdmsdk.testing.fakes import FakeServer, _FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo

MANY = 100
FEW_REMEMBERED = 20


class Every(_FakeProvider):
    """Knows a device for each MAC address."""

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        del info
        assert isinstance(key, Mac)
        number = key.value.replace(":", "")
        compliance = Compliance(state=ComplianceState.COMPLIANT)
        device = Device(
            registered=True,
            mac_addresses=(key,),
            serial_number=number,
            udid=f"U{number}",
            compliance=compliance,
        )
        return done([device])


def keys(first: int, count: int) -> Iterator[str]:
    return (f"mac:{0x5E000000 + number:012X}" for number in range(first, first + count))


def most(federation: Modal, first: int, count: int) -> Counter[str]:
    """The most objects of each kind that were alive while so many keys were looked up, from one on."""
    highest: Counter[str] = Counter()
    for number, answer in enumerate(federation.lookup_many(keys(first, count)), 1):
        assert answer.found
        if number in {count // 2, count}:
            identifiers._parsed.cache_clear()  # has a bound of its own, which is larger than these
            gc.collect()
            highest |= Counter(type(one).__name__ for one in gc.get_objects())
    return highest


def test_four_times_as_many_keys_take_no_more_objects(mdm_mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if mdm_mode == "trio":
        pytest.skip("nothing here depends on the event loop")
    monkeypatch.setattr(shelf, "_REMEMBERED", FEW_REMEMBERED)
    client = open_client(Every(FakeServer()), mdm_mode, server="every")
    with client, open_federation([client], mdm_mode, cache_ttl=60) as federation:
        before = most(federation, 0, MANY)
        after = most(federation, MANY, 4 * MANY)  # whatever is left of each key shows 300 times
    grown = {name: count for name, count in (after - before).items() if count > MANY}
    assert grown == {}
