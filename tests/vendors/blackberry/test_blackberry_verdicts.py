"""What becomes a verdict: never a pass but by the endpoint for Cisco ISE, about this device, undoubted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.verdict import settle
from mdmsdk.errors import FilterIgnoredError, MalformedResponseError, MdmError
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Meid, Udid, Username
from mdmsdk.models import ComplianceState, Device
from mdmsdk.proof import proven
from mdmsdk.testing import play
from tests.vendors.blackberry.conftest import GUID, ISE, ISE_ROW, MAC, ROW, USER, Server, info, make

if TYPE_CHECKING:
    from mdmsdk.wire import Request, Response

PASS, FAIL, OPEN = ComplianceState.COMPLIANT, ComplianceState.NONCOMPLIANT, ComplianceState.UNKNOWN
GOOD = {**ISE_ROW, "status": "true"}
BAD = {**ISE_ROW, "status": "false", "reason": "No passcode"}


def look(server: Server, key: Key | None = None, *, ise: bool = True) -> Device:
    """One device as a client hands it out."""
    provider = make(**(ISE if ise else {}))
    key = key or Mac(MAC)
    found = play(provider.find(info(ise=ise), key), server, provider=provider)
    (device,) = proven(provider, key, found)
    return settle(device, "uem", "blackberry")


def row(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**ROW, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("compromised", "state", "jailbroken"),
    [
        (True, FAIL, True),
        ("true", FAIL, True),
        (False, OPEN, False),
        (None, OPEN, None),
        ("perhaps", OPEN, None),
    ],
)
def test_without_the_endpoint_only_compromised_is_a_verdict(
    compromised: Any, state: ComplianceState, jailbroken: bool | None
) -> None:
    device = look(Server(row(compromised=compromised)), ise=False)
    assert device.registered
    assert (device.compliance.state, device.jailbroken) == (state, jailbroken)
    assert bool(device.compliance.reasons) is (state is FAIL)


@pytest.mark.parametrize(
    ("compromised", "told", "state"),
    [
        (False, GOOD, PASS),
        (None, GOOD, PASS),
        (True, GOOD, FAIL),
        ("perhaps", GOOD, OPEN),
        ([], GOOD, OPEN),
        (False, BAD, FAIL),
        (True, BAD, FAIL),
        ("perhaps", BAD, FAIL),
        (False, {**GOOD, "jail_broken": "true"}, FAIL),
        (False, {**GOOD, "status": "perhaps"}, OPEN),
        (False, ISE_ROW, OPEN),
        (False, {**GOOD, "register_status": "false"}, OPEN),
        (False, {**GOOD, "register_status": ""}, OPEN),
    ],
)
def test_what_either_api_says_against_a_device_counts(
    compromised: Any, told: dict[str, Any], state: ComplianceState
) -> None:
    device = look(Server(row(compromised=compromised), ise=(told,)))
    assert device.compliance.state is state
    if compromised is True:
        assert "The device is compromised (jailbroken or rooted)." in device.compliance.reasons
    if told is BAD:
        assert "No passcode" in device.compliance.reasons


@pytest.mark.parametrize(
    "change",
    [
        {"serial_number": "SN0099"},
        {"serial_number": "SN0099", "guid": GUID},
        {"udid": "another"},
        {"imei": "350000000000099"},
        {"guid": GUID.replace("3", "4")},  # the other enrolment of the same device
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_that_shows_another_device_proves_nothing(change: dict[str, str]) -> None:
    device = look(Server(ROW, ise=({**GOOD, **change},)))
    assert device.compliance.state is OPEN
    assert "does not know the device, or tells of another one" in device.compliance.reasons[0]


def test_a_device_that_the_endpoint_does_not_know_is_unknown_whatever_rules_say() -> None:
    device = look(Server(ROW))
    assert device.compliance.state is OPEN
    assert device.compliance.reasons  # so that rules do not fill it in


def test_of_two_rows_for_one_device_the_stricter_counts() -> None:
    assert look(Server(ROW, ise=(GOOD, BAD))).compliance.state is FAIL


def test_a_row_with_the_guid_of_the_record_is_its_own() -> None:
    own, twin = {**GOOD, "guid": GUID}, {**BAD, "guid": GUID.replace("3", "4")}
    assert look(Server(ROW, ise=(twin, own))).compliance.state is PASS


def test_an_address_alone_joins_only_where_nothing_else_is_shown() -> None:
    bare = {"macaddress": ISE_ROW["macaddress"], "register_status": "true", "status": "true"}
    assert look(Server(ROW, ise=(bare,))).compliance.state is PASS
    other = {**bare, "macaddress": "02AB00000018"}
    assert look(Server(ROW, ise=(other,))).compliance.state is OPEN


def test_a_device_without_an_address_is_judged_by_its_udid() -> None:
    server = Server(row(wifiMacAddress=None), ise=({**GOOD, "macaddress": "02AB00000018"},))
    assert look(server, Udid("a-udid-17")).compliance.state is PASS
    assert "querycriteria=udid" in server.asked[-1]


@pytest.mark.parametrize(
    "key", [Mac("02:AB:00:00:00:99"), Udid("b"), Imei("350000000000099"), Guid(GUID.replace("3", "4"))]
)
def test_an_answer_about_another_device_is_none(key: Key) -> None:
    server = Server(ROW, ise=(GOOD,))
    with pytest.raises(FilterIgnoredError):
        look(server, key)
    assert not any("ciscoise" in asked or "/users/" in asked for asked in server.asked)


@pytest.mark.parametrize("silent", ["wifiMacAddress", "udid", "imei"])
def test_a_record_that_does_not_show_the_key_is_no_pass(silent: str) -> None:
    keys = {"wifiMacAddress": Mac(MAC), "udid": Udid("a-udid-17"), "imei": Imei("350000000000017")}
    told = {name: value for name, value in GOOD.items() if name not in {"macaddress", "udid"}}
    device = look(Server(row(**{silent: None}), ise=(told,)), keys[silent])
    assert device.compliance.state is OPEN


def test_an_identifier_that_the_endpoint_shows_is_proof_for_the_joined_record() -> None:
    device = look(Server(ROW, ise=({**GOOD, "meid": "A0123456789012"},)), Meid("A0123456789012"))
    assert (device.meid, device.compliance.state) == ("A0123456789012", PASS)
    with pytest.raises(FilterIgnoredError):
        look(Server(ROW, ise=({**GOOD, "meid": "A0123456789099"},)), Meid("A0123456789012"))


def test_an_identifier_that_cannot_be_read_is_not_taken_from_the_other_side() -> None:
    device = look(Server(row(udid=["?"]), ise=(GOOD,)))
    assert device.udid is None
    assert device.matches(Udid("a-udid-17")) is False


def test_many_records_that_do_not_show_the_key_cost_no_further_requests() -> None:
    rows = [row(wifiMacAddress=None, guid=f"{place}{GUID[1:]}") for place in range(5)]
    provider, server = make(**ISE), Server(*rows, ise=(GOOD,))
    found = play(provider.find(info(ise=True), Mac(MAC)), server, provider=provider)
    assert len(server.asked) == 1
    assert all(one.compliance.state is OPEN for one in proven(provider, Mac(MAC), found))


@pytest.mark.parametrize("guid", [None, "", "17", 5])
def test_a_row_without_a_guid_is_malformed(guid: Any) -> None:
    with pytest.raises(MalformedResponseError):
        look(Server(row(guid=guid)))


@pytest.mark.parametrize(
    "told", ['"totalMatches": 3', '"totalMatches": "3"', '"count": 3, "max": 100', '"total": [3]']
)
def test_a_total_that_does_not_fit_fails(told: str) -> None:
    provider = make()
    body = f'{{{told}, "devices": []}}'
    with pytest.raises(MdmError):
        play(provider.find(info(), Mac(MAC)), [body, body], provider=provider)


class TestUsers:
    def test_a_device_shows_its_user(self) -> None:
        assert look(Server(ROW, ise=(GOOD,))).user == "jane.doe"

    def test_a_user_is_found_by_name_and_proven_by_the_link(self) -> None:
        server = Server(ROW, ise=(GOOD,))
        device = look(server, Username("Jane.Doe"))
        assert (device.guid, device.user, device.compliance.state) == (GUID, "jane.doe", PASS)

    def test_a_shared_device_has_none(self) -> None:
        links = [{"rel": "sharedDeviceGroup", "href": "https://x/sharedDeviceGroups/1"}]
        assert look(Server(row(links=links), ise=(GOOD,))).user is None

    def test_a_device_without_the_link_is_no_pass_for_a_name(self) -> None:
        device = look(Server(row(links=None), ise=(GOOD,)), Username("jane.doe"))
        assert device.compliance.state is OPEN

    def test_other_users_are_no_answer(self) -> None:
        with pytest.raises(FilterIgnoredError):
            look(Server(ROW, ise=(GOOD,)), Username("john.doe"))

    def test_a_record_of_another_user_is_no_answer(self) -> None:
        server = Server(ROW, ise=(GOOD,))
        server.users[0]["guid"] = GUID
        with pytest.raises(FilterIgnoredError):
            look(server)

    def test_another_device_of_the_same_user_is_no_answer_to_a_guid(self) -> None:
        server = Server(row(guid=GUID.replace("3", "4")), ise=(GOOD,))
        with pytest.raises(FilterIgnoredError):
            look(server, Username("jane.doe"))

    def test_a_user_without_a_guid_proves_no_name(self) -> None:
        server = Server(ROW, ise=(GOOD,))
        answer = server.__call__

        def nameless(request: Request) -> Response | str:
            return '{"username": "jane.doe"}' if request.url.endswith(USER) else answer(request)

        provider = make(**ISE)
        found = play(provider.find(info(ise=True), Username("jane.doe")), nameless, provider=provider)
        (device,) = proven(provider, Username("jane.doe"), found)
        assert (device.user, device.compliance.state) == (None, OPEN)

    def test_a_user_that_is_gone_leaves_the_device_without_a_name(self) -> None:
        other = f"{ROW['links'][0]['href']}".replace("11111111", "99999999")
        server = Server(row(links=[{"rel": "userDevice", "href": other}]), ise=(GOOD,))
        device = look(server)
        assert (device.user, device.compliance.state) == (None, PASS)

    def test_a_device_that_only_the_user_s_list_has_is_not_unknown(self) -> None:
        with pytest.raises(FilterIgnoredError):
            look(Server(ise=(GOOD,)), Username("jane.doe"))

    def test_a_tie_without_its_device_is_malformed(self) -> None:
        server = Server(ROW, ise=(GOOD,))
        server.ties = [{"guid": GUID}]
        with pytest.raises(MalformedResponseError):
            look(server, Username("jane.doe"))
