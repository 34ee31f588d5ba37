"""The noncompliant list and the list of all devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    PermissionDeniedError,
    ResponseError,
    ServerError,
    UnsupportedOperationError,
)
from mdmsdk.models import ComplianceState
from mdmsdk.provider import Capability

if TYPE_CHECKING:
    from tests.ise.conftest import Drive, Make, Played, Server, Xml

DEVICES = "https://mdm.example.com/ise/mdm/api/devices/"
BAD = "paging=0&querycriteria=compliance&value=false"


@pytest.fixture(name="bad")
def _bad(drive: Drive, make: Make, server: Server) -> Any:
    def bad(*answers: Any, version: int = 3, cursor: str | None = None, **settings: Any) -> Played:
        provider = make(**settings)
        return drive(provider, provider.noncompliant_page(server(version), cursor), answers)

    return bad


@pytest.mark.parametrize(
    ("version", "url"),
    [
        (3, f"{DEVICES}?{BAD}&deviceidentifier=guid&filter=all"),
        (2, f"{DEVICES}?{BAD}&filter=all"),
        (1, f"{DEVICES}0/compliance/false/all"),
    ],
)
def test_asks_as_each_version_wants_it(bad: Any, xml: type[Xml], version: int, url: str) -> None:
    played = bad(xml.answer(xml.row("false")), version=version)
    assert played.urls == [url]
    assert played.result.next_cursor is None
    assert len(played.result.items) == 1


def test_the_identifier_of_the_settings_is_asked_alone(bad: Any, xml: type[Xml]) -> None:
    played = bad(xml.answer(), bulk_identifier="macaddress")
    assert played.urls == [f"{DEVICES}?{BAD}&deviceidentifier=macaddress&filter=all"]
    assert played.result.items == []
    with pytest.raises(ResponseError):
        bad(400, bulk_identifier="guid")


@pytest.mark.parametrize("refusal", [400, 422, None])
def test_the_other_identifier_is_asked_when_one_is_refused_or_gives_nothing(
    bad: Any, xml: type[Xml], refusal: int | None
) -> None:
    page = xml.answer(xml.row("false", outer={"macaddress": "001B44113AB7"}), paging_info="n")
    played = bad(refusal or xml.answer(), page)
    assert played.urls[1] == f"{DEVICES}?{BAD}&deviceidentifier=macaddress&filter=all"
    assert len(played.result.items) == 1
    following = bad(xml.answer(), cursor=played.result.next_cursor)
    assert following.urls == [
        f"{DEVICES}?paging=n&querycriteria=compliance&value=false&deviceidentifier=macaddress&filter=all"
    ]


@pytest.mark.parametrize("replies", [(None, 400), (400, None), (None, None)])
def test_an_empty_list_is_believed_when_the_other_identifier_knows_no_better(
    bad: Any, xml: type[Xml], replies: tuple[int | None, int | None]
) -> None:
    played = bad(*(reply or xml.answer() for reply in replies))
    assert played.result.items == []
    assert played.result.next_cursor is None


def test_both_refused_is_an_error(bad: Any) -> None:
    with pytest.raises(ResponseError) as caught:
        bad(400, 400)
    assert caught.value.status == 400


@pytest.mark.parametrize("replies", [(503,), (None, 503)])
def test_a_failure_is_never_an_empty_list(bad: Any, xml: type[Xml], replies: tuple[int | None, ...]) -> None:
    with pytest.raises(ServerError) as caught:
        bad(*(reply or xml.answer() for reply in replies))
    assert "240 minutes" in caught.value.hint


def test_an_empty_page_with_a_further_one_is_not_an_empty_list(bad: Any, xml: type[Xml]) -> None:
    played = bad(xml.answer(paging_info="2"))
    assert len(played.requests) == 1
    assert played.result.next_cursor is not None


@pytest.mark.parametrize("token", ["2", "a:b", "next page/+&=?#%", "0x", "ü"])
@pytest.mark.parametrize("version", [1, 2, 3])
def test_page_tokens_come_back_as_they_were(bad: Any, xml: type[Xml], token: str, version: int) -> None:
    from urllib.parse import quote

    cursor = bad(xml.answer(xml.row("false"), paging_info=token), version=version).result.next_cursor
    (url,) = bad(xml.answer(), cursor=cursor, version=version).urls
    start = (
        f"{DEVICES}{quote(token, safe='')}/compliance"
        if version == 1
        else f"{DEVICES}?paging={quote(token, safe='')}&"
    )
    assert url.startswith(start)


@pytest.mark.parametrize("token", ["0", "", None, " 0 "])
def test_zero_nothing_and_no_token_end_the_list(bad: Any, xml: type[Xml], token: str | None) -> None:
    assert bad(xml.answer(xml.row("false"), paging_info=token)).result.next_cursor is None


def test_the_list_of_intune(bad: Any, xml: type[Xml]) -> None:
    page = bad(xml.sample("intune-v3/noncompliant.xml")).result
    assert [device.guid[-2:] for device in page.items] == ["02", "03"]
    assert {device.compliance.state for device in page.items} == {ComplianceState.NONCOMPLIANT}
    assert {device.compliance.source for device in page.items} == {None}


@pytest.mark.parametrize("register", ["true", "false"])
def test_a_compliant_row_shows_that_the_filter_was_ignored(bad: Any, xml: type[Xml], register: str) -> None:
    with pytest.raises(FilterIgnoredError):
        bad(xml.answer(xml.row("false"), xml.row("true", register)))


def test_a_row_without_a_status_is_noncompliant_by_the_list(bad: Any, xml: type[Xml]) -> None:
    (device,) = bad(xml.sample("v1/noncompliant.xml"), version=1).result.items
    assert device.compliance.state is ComplianceState.NONCOMPLIANT
    assert device.compliance.source == "noncompliant list"
    (bare,) = bad(xml.answer(xml.row(None, None, outer={"guid": "A"}))).result.items
    assert (bare.registered, bare.compliance.state) == (True, ComplianceState.NONCOMPLIANT)


def test_a_row_with_an_unknown_word_is_unknown(bad: Any, xml: type[Xml]) -> None:
    (device,) = bad(xml.answer(xml.row("perhaps"))).result.items
    assert (device.compliance.state, device.compliance.vendor_state) == (ComplianceState.UNKNOWN, "perhaps")


def test_no_list_is_no_empty_list(bad: Any) -> None:
    with pytest.raises(MalformedResponseError):
        bad(b"<ise_api><name>attributes</name></ise_api>")


@pytest.mark.parametrize(
    ("version", "first", "second"),
    [
        (1, "0/all", "n/all"),
        (2, "?paging=0&filter=all", "?paging=n&filter=all"),
        (3, "?paging=0&filter=all", "?paging=n&filter=all"),
    ],
)
def test_all_devices(
    drive: Drive, make: Make, server: Server, xml: type[Xml], *, version: int, first: str, second: str
) -> None:
    provider = make()
    assert Capability.INVENTORY in provider.capabilities
    answer = xml.answer(xml.row("true"), xml.row("false"), paging_info="n")
    played = drive(provider, provider.devices_page(server(version), None), [answer])
    assert played.urls == [DEVICES + first]
    assert [device.compliance.state.value for device in played.result.items] == ["compliant", "noncompliant"]
    played = drive(
        provider, provider.devices_page(server(version), played.result.next_cursor), [xml.answer()]
    )
    assert played.urls == [DEVICES + second]
    assert played.result.next_cursor is None


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_need_not_list_all_devices(drive: Drive, make: Make, server: Server, status: int) -> None:
    provider = make()
    with pytest.raises(UnsupportedOperationError, match=str(status)) as caught:
        drive(provider, provider.devices_page(server(), None), [status])
    assert "noncompliant list work all the same" in caught.value.hint
    with pytest.raises(ResponseError):  # it has begun to
        drive(provider, provider.devices_page(server(), "n"), [status])
    with pytest.raises(PermissionDeniedError):
        drive(provider, provider.devices_page(server(), None), [403])


@pytest.mark.parametrize("end", [None, "0"])
def test_a_busy_server_has_no_empty_list(bad: Any, xml: type[Xml], end: str | None) -> None:
    busy = xml.answer(server_busy_wait_seconds="2", paging_info=end)
    played = bad(busy, xml.answer(xml.row("false")))
    assert played.urls[0] == played.urls[1]
    assert len(played.result.items) == 1
    assert [(pause.seconds, pause.server_wide) for pause in played.pauses] == [(2, True)]
    with pytest.raises(IncompleteListError, match="2 seconds"):
        bad(busy, busy)
    following = bad(xml.answer(server_busy_wait_seconds="2", paging_info="n"))
    assert following.result.next_cursor


def test_a_busy_inventory_is_no_empty_one(drive: Drive, make: Make, server: Server, xml: type[Xml]) -> None:
    provider, busy = make(), xml.answer(server_busy_wait_seconds="2")
    with pytest.raises(IncompleteListError):
        drive(provider, provider.devices_page(server(), "n"), [busy, busy])


@pytest.mark.parametrize(("first", "second"), [("0", "7"), ("7", "0"), ("3", "7"), ("", "7")])
def test_two_further_pages_are_none_that_can_be_read(
    bad: Any, xml: type[Xml], first: str, second: str
) -> None:
    page = xml.answer(xml.row("false"), paging_info=first).replace(
        b"</ise_api>", f"<paging_info>{second}</paging_info></ise_api>".encode()
    )
    with pytest.raises(MalformedResponseError, match="envelope"):
        bad(page)
    same = page.replace(f"<paging_info>{second}<".encode(), f"<paging_info>{first}<".encode())
    assert len(bad(same).result.items) == 1
