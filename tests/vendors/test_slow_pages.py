"""Pages that do not come in time are asked for in smaller ones, wherever their size can be chosen."""

from __future__ import annotations

from typing import Any

import pytest

from mdmsdk._run.library import lib
from mdmsdk.provider import Capability
from mdmsdk.simulator import Fleet
from tests.vendors.relay import natives, relayed

FLEET = Fleet.generate(60, seed=11)
SIZES = ("perPage", "$top", "page-size", "limit", "rows", "pagesize", "page_size", "take", "pageSize", "max")
MOST = 25
"""Rows that these servers give in time; the smallest page that MaaS360 knows."""


@pytest.mark.parametrize("name", natives(Capability.INVENTORY))
def test_a_list_in_pages_that_are_too_large_is_complete(name: str) -> None:
    asked: list[int] = []
    begun = False

    def see(request: Any) -> None:
        if "group" in request.url.path:
            return  # short lists of names
        size = next((int(request.url.params[word]) for word in SIZES if word in request.url.params), 0)
        if begun:
            asked.append(size)
        if begun and size > MOST:
            raise lib.ReadTimeout("too slow", request=request)

    with relayed(name, FLEET, "sync", see, policy={"attempts": 1}) as client:
        whole = [device.id for device in client.devices()]
        begun = True
        assert [device.id for device in client.devices()] == whole
    assert len(whole) > MOST
    assert max(asked) > MOST
    assert any(16 <= size <= MOST for size in asked)
