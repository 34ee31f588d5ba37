"""The contract suite, for both providers, in sync and in async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mdmsdk.testing import BaseProviderContract
from mdmsdk_meraki.simulator.rows import sm_id

if TYPE_CHECKING:
    from mdmsdk.models import Device
    from mdmsdk.simulator import SimDevice


@pytest.mark.usefixtures("in_no_hurry")
class TestMeraki(BaseProviderContract):
    provider = "meraki"
    paging: ClassVar[dict[str, Any]] = {"page_size": 4}
    wrong_login: ClassVar[dict[str, Any]] = {"api_key": "0" * 40}
    excused: ClassVar[dict[str, str]] = {
        "test_no_device_is_lost_while_others_come_and_go": (
            "page tokens are opaque: what they stand for while devices leave is not documented"
        ),
    }

    def is_record_of(self, found: Device, device: SimDevice) -> bool:
        return found.guid == sm_id(device)


class TestMerakiIse(BaseProviderContract):
    provider = "meraki-ise"
    habits: ClassVar = {"with inventory": {"accepts": frozenset({"inventory"})}}
    paging: ClassVar[dict[str, Any]] = {"page_size": 3, "query_max_size": 3}

    def is_record_of(self, found: Device, device: SimDevice) -> bool:
        return found.guid == sm_id(device)
