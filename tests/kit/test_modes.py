"""One way to call both clients: what is left open when a client is closed."""

from __future__ import annotations

import pytest

from mdmsdk.models import Device
from mdmsdk.testing import FakeAsyncMdmClient
from mdmsdk.testing.modes import MODES, Modal


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_list_that_outlives_its_client_ends_without_it(mode: str) -> None:
    with Modal(FakeAsyncMdmClient([Device(id=one, registered=True) for one in "12"]), mode) as client:
        listing = client.devices()
        assert next(listing).id == "1"
    listing.close()
    assert list(listing) == []
