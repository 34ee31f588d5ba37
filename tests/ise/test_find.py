"""Lookups: what is asked, what a row means, and that no other device is ever taken for the one asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import (
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Key, Mac, Meid, Serial, Udid, Username
from mdmsdk.ise import IseProvider
from mdmsdk.models import ComplianceState, Device
from mdmsdk.proof import proven

if TYPE_CHECKING:
    from tests.ise.conftest import Drive, Make, Server, Xml

API = "https://mdm.example.com/ise/mdm/api"
MAC = Mac("00:1b:44:11:3a:b7")
OTHER = "001B44113AB8"
FIVE = ",".join(f"001B4411{n:04X}" for n in range(5))


@pytest.fixture(name="look")
def _look(drive: Drive, make: Make, server: Server) -> Any:
    def look(key: Key, *answers: Any, version: int = 3, **settings: Any) -> list[Device]:
        provider = make(**settings)
        found: list[Device] = drive(provider, provider.find(server(version), key), answers).result
        return proven(provider, key, found)

    return look


@pytest.fixture(name="read")
def _read(look: Any, xml: type[Xml]) -> Any:
    def read(row: str) -> Device:
        (device,) = look(MAC, xml.answer(row), trust_silent=["mac"])
        assert isinstance(device, Device)
        return device

    return read


class TestWhatIsAsked:
    @pytest.mark.parametrize(
        ("key", "query"),
        [
            (MAC, "querycriteria=macaddress&value=001B44113AB7"),
            (Udid("00008020-0015784C218A402E"), "querycriteria=udid&value=00008020-0015784C218A402E"),
            (Imei("49-015420-323751-8"), "querycriteria=imei&value=490154203237518"),
            (Meid("a0000009abcdef"), "querycriteria=meid&value=A0000009ABCDEF"),
            (
                Guid("{1759C0FD-C8DA-49E8-B14F-19D85ACFACEA}"),
                "querycriteria=guid&value=1759c0fd-c8da-49e8-b14f-19d85acfacea",
            ),
            (Hostname("pc-1.example.com"), "querycriteria=guidhn&value=pc-1.example.com"),
            (Username("jane doe+x@example.com"), "querycriteria=username&value=jane%20doe%2Bx%40example.com"),
        ],
    )
    def test_every_criterion_in_the_order_that_ise_has(
        self, drive: Drive, make: Make, server: Server, xml: type[Xml], *, key: Key, query: str
    ) -> None:
        provider = make()
        played = drive(provider, provider.find(server(), key), [xml.answer()])
        assert played.urls == [f"{API}/devices/?paging=0&{query}&filter=all"]
        assert played.requests[0].headers == {"Accept": "application/xml"}
        assert played.result == []

    @pytest.mark.parametrize(
        ("key", "path"),
        [(MAC, "macaddress/001B44113AB7"), (Username("jane/doe?#%"), "username/jane%2Fdoe%3F%23%25")],
    )
    def test_version_1_has_everything_in_the_path(
        self, drive: Drive, make: Make, server: Server, xml: type[Xml], *, key: Key, path: str
    ) -> None:
        provider = make()
        played = drive(provider, provider.find(server(1), key), [xml.answer()])
        assert played.urls == [f"{API}/devices/0/{path}/all"]

    @pytest.mark.parametrize("name", [".", ".."])
    def test_dots_cannot_leave_their_place_in_the_path(self, look: Any, name: str) -> None:
        with pytest.raises(InvalidIdentifierError):
            look(Username(name), version=1)

    def test_the_filter_keeps_its_plus(
        self, drive: Drive, make: Make, server: Server, xml: type[Xml]
    ) -> None:
        provider = make(filter="register_status+compliance_status")
        new, old = (drive(provider, provider.find(server(n), MAC), [xml.answer()]).urls[0] for n in (2, 1))
        assert new.endswith("&filter=register_status+compliance_status")  # to the letter, as Cisco's example
        assert old.endswith("/register_status+compliance_status")

    @pytest.mark.parametrize(
        ("key", "since"),
        [
            (Udid("u"), 2),
            (Imei("490154203237518"), 2),
            (Meid("A0000009ABCDEF"), 2),
            (Guid("g"), 3),
            (Hostname("h"), 3),
        ],
    )
    def test_a_key_of_a_later_version_is_refused_before_any_request(
        self, look: Any, key: Key, since: int
    ) -> None:
        for version in range(1, since):
            with pytest.raises(UnsupportedOperationError, match=f"version {since}"):
                look(key, version=version)

    @pytest.mark.parametrize("key", [Serial("C02XK0AAJG5H"), DeviceId("42")])
    def test_a_key_that_no_version_has_is_refused(self, look: Any, key: Key) -> None:
        with pytest.raises(UnsupportedOperationError) as caught:
            look(key)
        assert "guid, hostname, imei, mac, meid, udid, username" in caught.value.hint

    def test_declares_all_its_keys(self) -> None:
        assert IseProvider.keys == {Mac, Udid, Guid, Imei, Meid, Hostname, Username}


class TestShapesSeen:
    def test_intune_version_2_by_mac_has_no_mac(self, look: Any, xml: type[Xml]) -> None:
        (device,) = look(MAC, xml.sample("intune-v2/by-mac.xml"), version=2, trust_silent=["mac"])
        assert device.compliance.state is ComplianceState.COMPLIANT
        assert (device.mac_addresses, device.udid, device.guid) == ((), None, None)
        assert (device.os, device.os_version, device.passcode_set) == (None, "10.0.19043.2006", True)
        assert (device.disk_encrypted, device.jailbroken) == (None, None)

    def test_intune_version_3_by_guid(self, look: Any, xml: type[Xml]) -> None:
        (device,) = look(Guid("6F1B0E52-9A55-4C0C-8D14-0D5A3C1F7E01"), xml.sample("intune-v3/by-guid.xml"))
        assert device.guid == "6f1b0e52-9a55-4c0c-8d14-0d5a3c1f7e01"
        assert device.registered
        assert device.compliance.state is ComplianceState.COMPLIANT

    def test_version_2_with_everything_and_a_lower_case_mac(self, look: Any, xml: type[Xml]) -> None:
        (device,) = look(MAC, xml.sample("mock-v2/by-mac.xml"), version=3)
        assert device.model_dump(exclude={"compliance", "server", "id", "name", "user", "guid"}) == {
            "provider": "ise",
            "udid": "synthetic-udid-0001",
            "serial_number": "SYNTH-0002",
            "imei": "490154203237518",
            "meid": "A0000009ABCDEF",
            "mac_addresses": (MAC,),
            "phone_number": "+1 555 0100",
            "manufacturer": "Samsung",
            "model": "Galaxy",
            "os": "Android",
            "os_version": "2.3.2",
            "registered": True,
            "disk_encrypted": True,
            "passcode_set": False,
            "jailbroken": False,
            "last_check_in": None,
        }
        assert device.compliance.state is ComplianceState.NONCOMPLIANT
        assert device.compliance.reasons == ("The PIN is too short",)
        assert device.compliance.remediation == "Choose a longer PIN"
        assert device.compliance.vendor_state == "false"

    def test_version_3_of_ivanti(self, look: Any, xml: type[Xml]) -> None:
        body = xml.sample("ivanti-v3/by-guid.xml")
        for key in (
            Guid("1759c0fd-c8da-49e8-b14f-19d85acfacea"),
            Mac("F434F0A1E478"),
            Udid("00008020-0015784C218A402E"),
        ):
            (device,) = look(key, body)
            assert (device.os, device.os_version, device.phone_number) == ("iOS", "14.4", None)
            assert device.last_check_in == datetime(2021, 5, 21, 4, 32, 41, tzinfo=UTC)


class TestWhatARowMeans:
    @pytest.mark.parametrize(
        ("status", "state"),
        [(word, "compliant") for word in ("true", "TRUE", "1", "Yes", " true ")]
        + [(word, "noncompliant") for word in ("false", "False", "0", "NO")]
        + [(word, "unknown") for word in ("maybe", "compliant", "2", "truefalse", "on", "-1")],
    )
    def test_only_a_plain_yes_is_compliant(self, read: Any, xml: type[Xml], status: str, state: str) -> None:
        device = read(xml.row(status))
        assert device.compliance.state == state
        assert device.compliance.vendor_state == status.strip()

    @pytest.mark.parametrize("status", [None, ""])
    def test_no_status_is_unknown(self, read: Any, xml: type[Xml], status: str | None) -> None:
        device = read(xml.row(status))
        assert (device.compliance.state, device.compliance.vendor_state) == ("unknown", None)
        assert device.registered

    def test_a_verdict_without_its_container_is_understood(self, read: Any, xml: type[Xml]) -> None:
        assert read(xml.row(None, compliance="true")).compliance.state == "compliant"
        assert read(xml.row(None, compliance="false")).compliance.state == "noncompliant"

    def test_two_verdicts_are_none(self, read: Any, xml: type[Xml]) -> None:
        row = xml.row("true").replace("</status>", "</status><status>false</status>")
        assert read(row).compliance.state == "unknown"

    @pytest.mark.parametrize("inner", ["true", "false"])
    def test_two_places_that_contradict_each_other_are_none(
        self, read: Any, xml: type[Xml], inner: str
    ) -> None:
        other = {"true": "false", "false": "true"}[inner]
        assert read(xml.row(inner, outer={"compliance": {"status": other}})).compliance.state == "unknown"
        device = read(xml.row("true", inner, outer={"register_status": other}))
        assert (device.registered, device.compliance.state) == (False, "unknown")

    def test_compliant_but_no_longer_registered_is_unknown(self, read: Any, xml: type[Xml]) -> None:
        device = read(xml.row("true", "false"))
        assert not device.registered
        assert (device.compliance.state, device.compliance.vendor_state) == ("unknown", "true")
        assert "no longer registered" in device.compliance.reasons[0]

    def test_noncompliant_and_no_longer_registered_stays_so(self, read: Any, xml: type[Xml]) -> None:
        device = read(xml.row("false", "no"))
        assert (device.registered, device.compliance.state) == (False, "noncompliant")

    @pytest.mark.parametrize(
        ("register", "status", "registered"),
        [
            ("true", "false", True),
            ("1", None, True),
            ("false", None, False),
            ("pending", "true", False),
            (None, "true", False),
            (None, "false", False),
            (None, None, False),
            ("", None, False),
        ],
    )
    def test_registered_is_claimed_only_with_a_reason(
        self, read: Any, xml: type[Xml], *, register: str | None, status: str | None, registered: bool
    ) -> None:
        device = read(xml.row(status, register, outer={"macaddress": MAC.hex}))
        assert device.registered is registered
        assert ("register_status" in device.unreadable) == (register not in {"true", "1", "false"})
        if register == "pending":
            assert device.compliance.state == "unknown"

    def test_attributes_may_lack_their_container(self, read: Any) -> None:
        device = read(
            "<device><udid>U</udid><register_status>true</register_status>"
            "<compliance><status>true</status></compliance></device>"
        )
        assert (device.udid, device.compliance.state, device.registered) == ("U", "compliant", True)

    @pytest.mark.parametrize(
        ("text", "year"),
        [("1621571561000", 2021), ("1621571561", 2021), ("2021-05-21T04:32:41Z", 2021), ("2021-05-21", 2021)]
        + [("1621571561000.0", 2021), ("1.621571561E12", 2021)]
        + [
            (text, None)
            for text in ("0", "-1", "1", "99999999999999999", "never", "nan", "inf", "9" * 400, "")
        ]
        + [(text, None) for text in ("0001-01-01T00:00:00", "9999-12-31", "1e99", "32503680000000")],
    )
    def test_last_check_in(self, read: Any, xml: type[Xml], text: str, year: int | None) -> None:
        moment = read(xml.row(lastCheckinTimeStamp=text)).last_check_in
        assert (moment and moment.year) == year
        assert moment is None or moment.utcoffset() == datetime.now(UTC).utcoffset()

    @pytest.mark.parametrize(
        ("text", "system", "version"),
        [
            ("iOS 14.4", "iOS", "14.4"),
            ("Android,2.3.2", "Android", "2.3.2"),
            ("iPadOS-17.1", "iPadOS", "17.1"),
            ("macOS 14.4.1", "macOS", "14.4.1"),
            ("Windows 10.0.19045", "Windows", "10.0.19045"),
            ("10.0.19043.2006", None, "10.0.19043.2006"),
            ("14.4", None, "14.4"),
            ("Tizen 3", None, "Tizen 3"),
            ("iOS", None, "iOS"),
            ("Android 14 beta 2", None, "Android 14 beta 2"),
            ("", None, None),
        ],
    )
    def test_system(
        self, read: Any, xml: type[Xml], text: str, system: str | None, version: str | None
    ) -> None:
        device = read(xml.row(os_version=text))
        assert (device.os, device.os_version) == (system, version)

    @pytest.mark.parametrize(
        ("text", "number"),
        [("PDA 2", None), ("PDA", None), ("pda 17", None), ("none", None), ("+49 30 1", "+49 30 1")],
    )
    def test_phone_number(self, read: Any, xml: type[Xml], text: str, number: str | None) -> None:
        assert read(xml.row(phone_number=text)).phone_number == number

    def test_addresses_from_all_places_once_and_without_rubbish(self, read: Any, xml: type[Xml]) -> None:
        row = xml.row(
            outer={"macaddress": "00-1b-44-11-3a-b7"}, macaddresses=f"001b44113ab7, {OTHER};000000000000,x"
        )
        assert [mac.hex for mac in read(row).mac_addresses] == [MAC.hex, OTHER]

    def test_a_reason_belongs_to_a_verdict_that_needs_one(self, read: Any, xml: type[Xml]) -> None:
        reason = "<failure_reason>Because</failure_reason></compliance>"
        for status, reasons in (("true", ()), ("false", ("Because",)), ("?", ("Because",))):
            device = read(xml.row(status).replace("</compliance>", reason))
            assert device.compliance.reasons == reasons

    def test_the_raw_record_is_kept_on_request_only(self, look: Any, read: Any, xml: type[Xml]) -> None:
        assert read(xml.row()).raw is None
        (device,) = look(MAC, xml.answer(xml.row()), keep_raw=True)
        assert device.raw == {"attributes": {"register_status": "true", "compliance": {"status": "true"}}}

    def test_a_nested_value_where_a_text_belongs_is_left_out(self, read: Any, xml: type[Xml]) -> None:
        device = read(xml.row(model={"x": "1"}, serial_number="S", os_version={"y": "2"}))
        assert (device.model, device.serial_number, device.os_version) == (None, "S", None)


class TestAnswersAboutOthers:
    @pytest.mark.parametrize(
        ("key", "inner"),
        [
            (MAC, {"macaddresses": OTHER}),
            (MAC, {"macaddresses": f"{OTHER},001B44113AB9"}),
            (MAC, {"macaddresses": OTHER[:-1]}),
            (MAC, {"macaddresses": "01" + OTHER[2:]}),
            (MAC, {"macaddresses": f"{FIVE},{OTHER[:-1]}"}),
            (Imei("490154203237518"), {"imei": "4901542032"}),
            (Udid("U1"), {"udid": "U2"}),
            (Imei("490154203237518"), {"imei": "353879234252633"}),
            (Meid("A0000009ABCDEF"), {"meid": "A0000009ABCDEE"}),
            (Guid("G1"), {"guid": "G2"}),
        ],
    )
    def test_a_row_of_another_device_is_never_returned(
        self, look: Any, xml: type[Xml], key: Key, inner: dict[str, str]
    ) -> None:
        with pytest.raises(FilterIgnoredError):
            look(key, xml.answer(xml.row(**inner)))
        right = dict.fromkeys(inner, key.value)
        (device,) = look(key, xml.answer(xml.row(**right), xml.row(**inner)))
        assert device.matches(key)

    def test_the_address_beside_the_attributes_counts(self, look: Any, xml: type[Xml]) -> None:
        with pytest.raises(FilterIgnoredError):
            look(MAC, xml.answer(xml.row(outer={"macaddress": OTHER})))

    def test_several_rows_that_all_match_are_returned(self, look: Any, xml: type[Xml]) -> None:
        rows = [xml.row(macaddresses=MAC.hex, guid=guid) for guid in "AB"]
        assert [device.guid for device in look(MAC, xml.answer(*rows))] == ["A", "B"]

    @pytest.mark.parametrize(
        "silent",
        [{"serial_number": "S"}, {"macaddresses": "020000000000"}, {"macaddresses": FIVE}]
        # The protocol lists five at most, so the one asked for may be the sixth, or the device another one.
        + [{"macaddresses": FIVE, "outer": {"macaddress": FIVE[:12]}}],
    )
    def test_a_row_that_does_not_show_the_key_is_no_pass(
        self, look: Any, xml: type[Xml], silent: dict[str, Any]
    ) -> None:
        (device,) = look(MAC, xml.answer(xml.row("true", **silent)))
        assert device.compliance.state == "unknown"
        assert 'trust_silent = ["mac"]' in device.compliance.reasons[-1]
        (device,) = look(MAC, xml.answer(xml.row("false", **silent)))
        assert device.compliance.state == "noncompliant"
        (device,) = look(MAC, xml.answer(xml.row("true", **silent)), trust_silent=["mac"])
        assert device.compliance.state == "compliant"

    def test_several_rows_that_cannot_be_told_apart_are_not(self, look: Any, xml: type[Xml]) -> None:
        with pytest.raises(FilterIgnoredError):
            look(MAC, xml.answer(xml.row(), xml.row(serial_number="S")))

    def test_a_silent_row_beside_a_proven_one_is_no_pass(self, look: Any, xml: type[Xml]) -> None:
        devices = look(MAC, xml.answer(xml.row(macaddresses=MAC.hex), xml.row(serial_number="S")))
        assert [device.compliance.state for device in devices] == ["compliant", "unknown"]

    def test_two_guids_in_one_row_are_no_identity(self, look: Any, xml: type[Xml]) -> None:
        with pytest.raises(MalformedResponseError):
            look(Guid("A"), xml.answer(xml.row(outer={"guid": "A"}, guid="B")))
        assert look(Guid("a"), xml.answer(xml.row(outer={"guid": "{A}"}, guid="a")))

    def test_two_identifiers_of_a_kind_in_one_row_are_no_identity(self, look: Any, xml: type[Xml]) -> None:
        for outer, inner in (("U1", "U2"), ("U2", "U1")):
            with pytest.raises(FilterIgnoredError):
                look(Udid("U1"), xml.answer(xml.row(outer={"udid": outer}, udid=inner)))

    @pytest.mark.parametrize(
        ("key", "name", "other"),
        [
            (Imei("353778083456461"), "imei", "490154203237518"),
            (Meid("A0000009ABCDEF"), "meid", "A0000009ABCDEE"),
            (Udid("U1"), "udid", "<v>U2</v>"),
            (Guid("G1"), "guid", "<v>G2</v>"),
            (Imei("353778083456461"), "imei", "<v>490154203237518</v>"),
        ],
    )
    def test_a_row_that_contradicts_itself_is_no_match(
        self, look: Any, xml: type[Xml], key: Key, name: str, other: str
    ) -> None:
        with pytest.raises(FilterIgnoredError):
            look(key, xml.answer(xml.row(outer={name: key.value}, **{name: "@"}).replace("@", other)))

    def test_a_phone_for_two_sim_cards_is_found_by_either_imei(self, look: Any, xml: type[Xml]) -> None:
        row = xml.row(imei="490154203237518, 353879234252633")
        for imei in ("490154203237518", "353879234252633"):
            assert len(look(Imei(imei), xml.answer(row))) == 1
        with pytest.raises(FilterIgnoredError):
            look(Imei("356938035643809"), xml.answer(row))

    def test_one_guid_element_twice_is_none_that_matches(self, look: Any, xml: type[Xml]) -> None:
        row = xml.row(guid="A").replace("</guid>", "</guid><guid>B</guid>")
        with pytest.raises(FilterIgnoredError):
            look(Guid("A"), xml.answer(row))

    @given(
        kind=st.sampled_from(["macaddresses", "udid", "imei", "guid", "meid"]),
        values=st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=4),
        asked=st.sampled_from(["1", "2", "3"]),
    )
    def test_what_is_returned_has_the_key_or_stands_alone(
        self,
        drive: Drive,
        make: Make,
        server: Server,
        xml: type[Xml],
        *,
        kind: str,
        values: list[str | None],
        asked: str,
    ) -> None:
        maker, pattern = {
            "macaddresses": (Mac, "001B4411000{}"),
            "udid": (Udid, "U-{}"),
            "imei": (Imei, "4901542032375{}8"),
            "guid": (Guid, "G-{}"),
            "meid": (Meid, "A000000900000{}"),
        }[kind]
        key: Key = maker(pattern.format(asked))
        rows = [xml.row(**{kind: pattern.format(value) if value else None}) for value in values]
        provider = make()
        try:
            found = drive(provider, provider.find(server(), key), [xml.answer(*rows)]).result
            found = proven(provider, key, found)
        except FilterIgnoredError:
            assert asked not in values or values.count(None) > 1
        else:
            assert len(found) == values.count(asked) + values.count(None)
            passes = [device for device in found if device.compliance.state == "compliant"]
            assert all(device.matches(key) for device in passes)


class TestAnswersThatAreNone:
    def test_an_empty_list_means_unknown(self, look: Any) -> None:
        for body in (
            b"<ise_api><deviceList/></ise_api>",
            b"<ise_api><name>attributes</name><deviceList>\n</deviceList></ise_api>",
        ):
            assert look(MAC, body) == []

    @pytest.mark.parametrize(
        "body",
        [
            b"<ise_api/>",
            b"<ise_api><name>attributes</name><api_version>3</api_version></ise_api>",
            b"<ise_api><name>mdminfo</name><api_path>/x</api_path></ise_api>",
            b"<ise_api><name>error</name><message>down</message></ise_api>",
            b"<html/>",
            b"<deviceList/>",
            b"",
        ],
    )
    def test_anything_else_is_an_error_and_not_unknown(self, look: Any, body: bytes) -> None:
        with pytest.raises(MalformedResponseError):
            look(MAC, body)

    def test_404_is_an_error_and_not_unknown(self, look: Any) -> None:
        with pytest.raises(EndpointNotFoundError):
            look(MAC, 404)

    @given(cut=st.integers(min_value=0, max_value=10_000), flip=st.integers(min_value=1, max_value=255))
    def test_damage_never_becomes_a_verdict_of_compliant(
        self, drive: Drive, make: Make, server: Server, xml: type[Xml], *, cut: int, flip: int
    ) -> None:
        body = bytearray(xml.sample("mock-v2/by-mac.xml"))
        body[cut % len(body)] ^= flip
        provider = make()
        try:
            # Damage to paging_info makes it ask for another page.
            found = drive(provider, provider.find(server(), MAC), lambda _request: bytes(body)).result
        except MdmError:
            return
        assert all(device.compliance.state != "compliant" for device in found)


class TestPages:
    def test_a_user_has_several_devices_on_several_pages(
        self, drive: Drive, make: Make, server: Server, xml: type[Xml]
    ) -> None:
        provider = make()
        pages = [
            xml.answer(xml.row(guid="A"), xml.row(guid="B"), paging_info="x/y+z &="),
            xml.answer(xml.row(guid="C"), paging_info=0),
        ]
        played = drive(provider, provider.find(server(), Username("jane")), pages)
        assert [device.guid for device in played.result] == ["A", "B", "C"]
        assert (
            played.urls[1]
            == f"{API}/devices/?paging=x%2Fy%2Bz%20%26%3D&querycriteria=username&value=jane&filter=all"
        )

    def test_version_1_puts_the_token_into_the_path(
        self, drive: Drive, make: Make, server: Server, xml: type[Xml]
    ) -> None:
        provider = make()
        pages = [xml.answer(paging_info="a/b"), xml.answer()]
        played = drive(provider, provider.find(server(1), Username("jane")), pages)
        assert played.urls[1] == f"{API}/devices/a%2Fb/username/jane/all"
        with pytest.raises(MalformedResponseError):
            drive(provider, provider.find(server(1), Username("jane")), [xml.answer(paging_info="..")])

    @pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"]])
    def test_a_repeated_token_ends_in_an_error(self, look: Any, xml: type[Xml], tokens: list[str]) -> None:
        with pytest.raises(IncompleteListError) as caught:
            look(Username("jane"), *(xml.answer(xml.row(), paging_info=token) for token in tokens))
        assert caught.value.collected == len(tokens)

    def test_pages_that_bring_nothing_new_end_in_an_error(self, look: Any, xml: type[Xml]) -> None:
        answers = [xml.answer(xml.row(guid=1), paging_info=n + 1) for n in range(11)]
        with pytest.raises(IncompleteListError, match="brought nothing new"):
            look(Username("jane"), *answers)

    def test_pages_have_a_cap(self, look: Any, xml: type[Xml]) -> None:
        answers = [xml.answer(paging_info=n + 1) for n in range(3)]
        with pytest.raises(IncompleteListError):
            look(Username("jane"), *answers, policy={"max_pages": 3})

    def test_a_server_that_ignores_the_key_is_stopped_at_its_first_page(
        self, look: Any, xml: type[Xml]
    ) -> None:
        with pytest.raises(FilterIgnoredError):
            look(MAC, xml.answer(xml.row(macaddresses=OTHER), paging_info="1"))

    def test_more_devices_than_a_user_can_have_are_not_believed(self, look: Any, xml: type[Xml]) -> None:
        rows = [xml.row(guid=n) for n in range(3)]
        assert len(look(Username("jane"), xml.answer(*rows), max_user_devices=3)) == 3
        with pytest.raises(FilterIgnoredError):
            look(Username("jane"), xml.answer(*rows), max_user_devices=2)


@pytest.mark.parametrize(
    ("wait", "pauses"),
    [("5", [(5, True)]), ("86400", [(900, True)]), ("0", []), ("soon", []), (None, []), ("-3", [])],
)
def test_a_busy_server_is_left_alone_by_all(
    drive: Drive, make: Make, server: Server, xml: type[Xml], *, wait: str | None, pauses: list[Any]
) -> None:
    provider = make()
    answer = xml.answer(xml.row(), server_busy_wait_seconds=wait)
    played = drive(provider, provider.find(server(), MAC), [answer])
    assert [(pause.seconds, pause.server_wide) for pause in played.pauses] == pauses


def test_a_busy_server_does_not_say_that_it_lacks_the_device(
    drive: Drive, make: Make, server: Server, xml: type[Xml]
) -> None:
    provider, busy = make(), xml.answer(server_busy_wait_seconds="2")
    for answers in ([busy, busy], [xml.answer(xml.row(), paging_info="n"), busy, busy]):
        with pytest.raises(IncompleteListError, match="2 seconds"):
            drive(provider, provider.find(server(), MAC), answers)
    assert drive(provider, provider.find(server(), MAC), [busy, xml.answer()]).result == []


def test_dialect_can_take_a_missing_list_for_an_unknown_device(
    drive: Drive, make: Make, server: Server
) -> None:
    class Lenient(IseProvider):
        absent_list_is_empty = True

    provider = Lenient(make().settings)
    none = b"<ise_api><name>Attributes</name></ise_api>"
    assert drive(provider, provider.find(server(), MAC), [none]).result == []
    for body in (b"<ise_api><name>mdminfo</name></ise_api>", b"<ise_api/>"):
        with pytest.raises(MalformedResponseError):
            drive(provider, provider.find(server(), MAC), [body])
    with pytest.raises(MalformedResponseError):
        drive(provider, provider.noncompliant_page(server(), None), [none])
