"""What a provider states of its lists, and what core makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import MalformedResponseError, MdmError, UnsupportedOperationError
from mdmsdk.identifiers import Imei, Mac, Meid, Serial, Udid
from mdmsdk.models import Description, FrozenModel, ServerInfo
from mdmsdk.provider import Capability, MdmProvider
from mdmsdk.search import changed
from mdmsdk.testing import open_client, play
from tests.core.conftest import TinyProvider, TinySettings
from tests.directory.conftest import ChangingProvider, Listing, device

if TYPE_CHECKING:
    from mdmsdk.models import Device

DAY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Place(FrozenModel):
    id: str


class Places(Description):
    places = "shelves"

    shelves: tuple[Place, ...]
    unit: str = ""


SHELVES = Places(shelves=(Place(id="a"), Place(id="b")), unit="cm")


class Shelved(TinyProvider):
    """Tells in which places it was asked."""

    def find_batch(self, info: ServerInfo, keys: Any) -> Any:
        yield from ()
        return {key: [one.id for one in Places.of(info).shelves] for key in keys}


@pytest.mark.parametrize(
    ("place", "asked"), [("b", ["b"]), ("gone", ["a", "b"]), (None, ["a", "b"])], ids=str
)
def test_a_record_is_asked_for_in_its_place_or_where_that_is_gone_in_all(
    place: str | None, asked: list[str]
) -> None:
    key, info = Serial("SER1"), ServerInfo(description=SHELVES)
    found: Any = play(Shelved(TinySettings(base_url="https://tiny.example")).find_in(info, place, [key]), [])
    assert found == {key: asked}
    assert SHELVES.within("b").unit == "cm"


def test_what_people_read_is_the_description_unless_a_provider_says_more() -> None:
    assert ServerInfo(description=SHELVES).extra == {"shelves": [{"id": "a"}, {"id": "b"}], "unit": "cm"}
    assert ServerInfo(description=SHELVES, extra={"quota": 3}).extra == {"quota": 3}
    assert ServerInfo().extra == {}


class OnlyChanges(ChangingProvider):
    devices_page = MdmProvider.devices_page


def test_a_list_of_changes_since_no_time_is_the_list_of_all_devices() -> None:
    fake = Listing(devices=[device(1), device(2)])
    provider = OnlyChanges(fake)
    page = play(provider.devices_page(ServerInfo(), None), [])
    assert [one.id for one in page.items] == ["1", "2"]
    assert fake.since == [None]
    vars(provider)["capabilities"] = frozenset({Capability.CHANGES})
    with pytest.raises(UnsupportedOperationError):
        provider.devices_page(ServerInfo(), None)


def test_an_error_in_changing_a_record_is_the_answer_to_its_key_alone() -> None:
    good, bad, missing = Serial("SER1"), Serial("SER2"), Serial("SER3")
    refused = MalformedResponseError("no")

    def change(one: Device) -> Device:
        if one.id == "2":
            raise MalformedResponseError("damaged")
        return one.model_copy(update={"name": "changed"})

    found = changed({good: [device(1)], bad: [device(1), device(2)], missing: refused}, change)
    assert [one.name for one in found[good]] == ["changed"]  # type: ignore[union-attr]
    assert isinstance(found[bad], MdmError)
    assert found[missing] is refused


@pytest.mark.parametrize(
    ("backends", "listed"),
    [
        (("compliance-retrieval", "graph"), {Serial, Imei, Meid, Udid}),
        (("graph",), {Mac, Serial, Imei, Meid, Udid}),
        (("compliance-retrieval",), set()),
    ],
)
def test_intune_lists_what_its_back_ends_show(backends: tuple[str, ...], listed: set[type]) -> None:
    who = {"tenant_id": "contoso.example", "client_id": "abc", "client_secret": "s3cret-s3cret"}
    provider = make_provider("intune", {**who, "backends": backends})
    assert {kind for kind in (Mac, Serial, Imei, Meid, Udid) if provider.lists(kind)} == listed
    assert (Capability.CHANGES in provider.capabilities) == ("graph" in backends)


@pytest.mark.parametrize("wired", [False, True])
def test_meraki_lists_every_mac_unless_wired_ones_are_looked_up(*, wired: bool) -> None:
    provider = make_provider("meraki", {"api_key": "0123456789abcdef", "wired_macs": wired})
    assert provider.lists(Mac) != wired
    assert provider.lists(Serial)
    assert not provider.lists(Imei)


def test_a_provider_is_asked_for_changes_in_utc() -> None:
    fake = Listing(devices=[device(1)], changed={"1"})
    with open_client(ChangingProvider(fake), "sync") as client:
        assert [one.id for one in client.devices(since=DAY.astimezone(timezone(timedelta(hours=5))))] == ["1"]
    assert [since and since.isoformat() for since in fake.since] == ["2026-01-02T03:04:05+00:00"]
