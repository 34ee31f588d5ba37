"""Proof: a record counts only for what it shows itself."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.client.verdict import settle
from mdmsdk.errors import FilterIgnoredError, InvalidIdentifierError, MalformedResponseError, ResponseError
from mdmsdk.flow import send
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Key, Mac, Serial, Udid, Username
from mdmsdk.ise import IseProvider, IseSettings
from mdmsdk.models import Compliance, ComplianceState, Device, ServerInfo
from mdmsdk.proof import assign, proven, shows
from mdmsdk.rows import Row
from mdmsdk.search import one_by_one, search
from mdmsdk.testing import play
from mdmsdk.wire import Request, Response
from tests.core.conftest import TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

GOOD = Compliance(state=ComplianceState.COMPLIANT)
MAC, OTHER = Mac("00:1b:44:11:3a:b7"), Mac("00:1b:44:11:3a:b8")
FIVE = tuple(Mac(f"001B4411{number:04X}") for number in range(5))


def device(**fields: Any) -> Device:
    return Device(**{"registered": True, "compliance": GOOD, **fields})


@dataclass
class Rules:
    """The part of a provider that proof looks at."""

    partial: Mapping[type[Key], int]
    loose: frozenset[type[Key]] = frozenset()
    never_shown: frozenset[type[Key]] = frozenset()
    trusted_silent: frozenset[type[Key]] = frozenset()
    settings: TinySettings = TinySettings(base_url="https://mdm.example")  # noqa: RUF009 - frozen


def rules(**fields: Any) -> Any:
    return Rules(**{"partial": {}, **fields})


@pytest.mark.parametrize(
    ("key", "record", "shown"),
    [
        (MAC, {"mac_addresses": (OTHER, MAC)}, True),
        (MAC, {"mac_addresses": (OTHER,)}, False),
        (MAC, {}, None),
        (MAC, {"unreadable": frozenset({"mac_addresses"})}, False),
        (MAC, {"mac_addresses": FIVE}, False),
        (Imei("490154203237518"), {"imei": "49 015420 323751"}, True),
        (Imei("490154203237518"), {"imei": "4901542032"}, False),
        (Imei("490154203237518"), {"imei": "x", "other_identifiers": (Imei("490154203237518"),)}, True),
        (Imei("490154203237518"), {"other_identifiers": (Imei("353879234252633"),)}, False),
        (Serial("S1"), {"serial_number": "s1 "}, True),
        (Serial("S1"), {"serial_number": "Default string"}, None),
        (Serial("S1"), {"unreadable": frozenset({"serial_number"})}, False),
        (Guid("A-1"), {"guid": "B", "other_identifiers": (Guid("a-1"),)}, True),
        (DeviceId("0F"), {"id": "0f"}, False),
    ],
)
def test_a_record_shows_a_key_or_contradicts_it_or_is_silent(
    key: Key, record: dict[str, Any], shown: bool | None
) -> None:
    assert shows(rules(), key, device(**record)) is shown


def test_a_full_member_that_holds_some_values_only_is_silent_about_others() -> None:
    five, one = rules(partial={Mac: 5}), rules(partial={Mac: 1})
    assert shows(five, MAC, device(mac_addresses=FIVE)) is None
    assert shows(five, MAC, device(mac_addresses=FIVE[:4])) is False
    assert shows(one, MAC, device(mac_addresses=(OTHER,))) is None
    unreadable = device(mac_addresses=FIVE, unreadable=frozenset({"mac_addresses"}))
    assert shows(five, MAC, unreadable) is False


class TestProven:
    right, wrong, silent = device(serial_number="S1"), device(serial_number="S2"), device()

    def test_exact_records_are_kept_and_others_dropped(self) -> None:
        assert proven(rules(), Serial("S1"), [self.wrong, self.right, self.wrong]) == [self.right]

    def test_others_alone_are_an_error_or_nothing_where_the_search_is_loose(self) -> None:
        with pytest.raises(FilterIgnoredError):
            proven(rules(), Serial("S1"), [self.wrong])
        assert proven(rules(loose={Serial}), Serial("S1"), [self.wrong]) == []
        assert proven(rules(), Serial("S1"), []) == []

    @pytest.mark.parametrize("state", list(ComplianceState))
    def test_a_silent_record_is_no_pass(self, state: ComplianceState) -> None:
        given_ = device(compliance=Compliance(state=state, reasons=("own",)))
        (found,) = proven(rules(), Serial("S1"), [given_])
        assert found.compliance.state == ("noncompliant" if state == "noncompliant" else "unknown")
        assert found.compliance.reasons[0] == "own"
        assert "serial" in found.compliance.reasons[1]

    def test_what_the_server_never_shows_counts_for_the_only_record(self) -> None:
        known = rules(never_shown={Serial})
        assert proven(known, Serial("S1"), [self.silent]) == [self.silent]
        states = [found.compliance.state for found in proven(known, Serial("S1"), [self.silent] * 2)]
        assert states == ["unknown"] * 2
        # One that shows another key is not silent, even where a record need not show all keys of a device.
        one_of_many = rules(never_shown={Mac}, partial={Mac: 1})
        (found,) = proven(one_of_many, MAC, [device(mac_addresses=(OTHER,))])
        assert found.compliance.state == "unknown"
        with pytest.raises(FilterIgnoredError):
            proven(known, Serial("S1"), [self.wrong])

    def test_what_the_administrator_trusts_counts(self) -> None:
        settings = {"base_url": "https://mdm.example", "username": "u", "password": "p"}
        trusting = IseProvider(IseSettings(**settings, trust_silent=["hostname"]))  # type: ignore[arg-type]
        assert proven(trusting, Hostname("h"), [self.silent]) == [self.silent]
        (found,) = proven(trusting, Username("u"), [self.silent])
        assert found.compliance.state == "unknown"
        assert 'trust_silent = ["username"]' in found.compliance.reasons[0]

    @given(
        asked=st.sampled_from("ABC"),
        values=st.lists(st.sampled_from([*"ABC", "", "To be filled by O.E.M."]), max_size=5),
        loose=st.booleans(),
    )
    def test_only_records_with_this_very_key_pass(
        self, asked: str, values: list[str], *, loose: bool
    ) -> None:
        devices = [device(serial_number=value or None, id=str(row)) for row, value in enumerate(values)]
        try:
            found = proven(rules(loose={Serial} if loose else frozenset()), Serial(asked), devices)
        except FilterIgnoredError:
            assert not loose
            assert asked not in values
            return
        passes = {row.id for row in found if row.compliance.state == "compliant"}
        assert passes == {str(row) for row, value in enumerate(values) if value == asked}


def test_each_record_of_a_batch_belongs_to_the_keys_that_it_shows() -> None:
    keys = [Serial("S1"), Serial("S2"), Serial("S3")]
    one, two = device(serial_number="S1"), device(serial_number="S2")
    found = assign(rules(), keys, [one, two])
    assert found == {keys[0]: [one], keys[1]: [two], keys[2]: []}
    stray = assign(rules(), keys, [one, device(serial_number="S9")])
    assert stray[keys[0]] == [one]
    assert all(isinstance(stray[key], FilterIgnoredError) for key in keys[1:])
    loose = assign(rules(loose={Serial}), keys, [one, device(serial_number="S9")])
    assert loose == {keys[0]: [one], keys[1]: [], keys[2]: []}


class Batch(TinyProvider):
    """Refuses a whole request for one key in it, and is loose about another."""

    bad: ClassVar[frozenset[str]] = frozenset({"BAD"})

    def ask(self, keys: Sequence[Key]) -> Flow[list[Device]]:
        names = [key.value for key in keys]
        answer = yield from send(Request("GET", "https://mdm.example/find", {"keys": names}))
        return [device(serial_number=line) for line in answer.text.split()]


def answering(bad: Mapping[str, int], known: frozenset[str], requests: list[int]) -> Any:
    def answer(request: Request) -> Response | ResponseError:
        names = cast("list[str]", request.params["keys"])
        requests.append(len(names))
        if status := next((bad[name] for name in names if name in bad), None):
            return ResponseError("refused", status=status)
        rows = [name for name in names if name in known] + ["STRAY"] * ("LOOSE" in names)
        return Response(200, {}, " ".join(rows).encode(), request.url)

    return answer


@pytest.mark.parametrize("place", [0, 7, 251, 499])
@pytest.mark.parametrize("bad", ["BAD", "LOOSE"])
def test_one_bad_key_of_many_spoils_its_own_answer_alone(place: int, bad: str) -> None:
    keys: list[Key] = [Serial(f"S{number}") for number in range(500)]
    keys[place] = Serial(bad)
    known, requests = frozenset({"S3", "S99", "S400"}), list[int]()
    provider = Batch(TinySettings(base_url="https://mdm.example"))
    found = play(search(provider, keys, provider.ask), answering({"BAD": 400}, known, requests))
    assert {key.value for key, rows in found.items() if rows and isinstance(rows, list)} - {bad} == known
    if bad == "BAD":
        assert isinstance(found[keys[place]], ResponseError)
    else:
        with pytest.raises(FilterIgnoredError):
            proven(provider, keys[place], cast("list[Device]", found[keys[place]]))
    assert all(isinstance(rows, list) for key, rows in found.items() if key != keys[place])
    assert len(requests) <= 25


def test_a_field_that_is_refused_altogether_costs_few_requests() -> None:
    keys: list[Key] = [Serial(f"S{number}") for number in range(500)]
    requests = list[int]()
    provider = Batch(TinySettings(base_url="https://mdm.example"))
    every = dict.fromkeys((key.value for key in keys), 400)
    found = play(search(provider, keys, provider.ask), answering(every, frozenset(), requests))
    assert all(isinstance(answer, ResponseError) for answer in found.values())
    assert len(requests) <= 25


def test_a_failure_that_no_smaller_question_mends_is_raised() -> None:
    requests = list[int]()
    provider = Batch(TinySettings(base_url="https://mdm.example"))
    flow = search(provider, [Serial("BAD"), Serial("S1")], provider.ask)
    with pytest.raises(ResponseError):
        play(flow, answering({"BAD": 500}, frozenset(), requests))
    assert requests == [2]


def test_keys_that_are_asked_for_singly_fail_singly() -> None:
    def find(key: Key) -> Flow[list[Device]]:
        yield from ()
        if key.value == "BAD":
            raise MalformedResponseError("damaged")
        return []

    found = play(one_by_one([Serial("S1"), Serial("BAD")], find), [])
    assert found[Serial("S1")] == []
    assert isinstance(found[Serial("BAD")], MalformedResponseError)


class Spoiled(TinyProvider):
    """Fails for one key of a batch."""

    limits: ClassVar[Any] = TinyProvider.limits

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        yield from super().find(info, key)
        if key.value == "BAD":
            raise MalformedResponseError("damaged")
        return [device(serial_number=key.value), device(serial_number="OTHER")]


def test_a_bad_key_among_many_fails_alone_in_every_mode(tiny: Connect) -> None:
    client: Modal = tiny(kind=Spoiled)
    good, bad, last = client.lookup_many(["serial:S1", "serial:BAD", "serial:S2"])
    assert (good.error, last.error) == (None, None)
    assert isinstance(bad.error, MalformedResponseError)
    assert bad.error.server == "tiny"
    assert good.device.serial_number == "S1"


class TestKeys:
    @pytest.mark.parametrize(("one", "other"), [("\u017fIM1", "SIM1"), ("STRAßE", "STRASSE"), ("É", "é")])
    @pytest.mark.parametrize("kind", [Guid, Udid, Serial, Hostname, Username])
    def test_case_counts_beyond_ascii(self, kind: type[Key], one: str, other: str) -> None:
        assert kind(one) != kind(other)

    @pytest.mark.parametrize("kind", [Serial, Hostname, Username])
    def test_both_spellings_of_an_accent_are_one_name(self, kind: type[Key]) -> None:
        one, other = (kind(unicodedata.normalize(form, "MÜLLER-Ångström")) for form in ("NFC", "NFD"))
        assert (one, hash(one)) == (other, hash(other))

    @pytest.mark.parametrize(
        ("kind", "text"),
        [(Mac, text) for text in ("02:00:00:00:00:00", "020000000000", "0000.0000.0000", "44-44-44-44-44-44")]
        + [(Mac, "02:00:4C:4F:4F:50")]
        + [
            (Serial, text)
            for text in ("Defaultstring", "DEFAULT STRING", "ToBeFilledByO.E.M.", "to be filled by o.e.m")
            + (
                "Not Applicable",
                "not-applicable",
                "System Serial Number",
                "0123456789",
                "123456789",
                "XXXXXXX",
            )
            + ("000", "........", "N/A", "None")
        ]
        + [(Udid, "00000000-0000-0000-0000-000000000000"), (Guid, "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF")]
        + [(Imei, "000000000000000"), (Imei, "999999999999999")],
    )
    def test_placeholders_are_no_keys_and_absent_in_records(self, kind: type[Key], text: str) -> None:
        with pytest.raises(InvalidIdentifierError):
            kind(text)
        assert kind.read(text) is None
        row = Row({"value": text})
        if kind is Mac:
            assert (row.macs("value"), row.unreadable) == ((), frozenset())
        else:
            assert getattr(device(**{kind.field: row.key(kind, "value")}), kind.field) is None

    @pytest.mark.parametrize(
        "text", ["\ud800", "name\udcff", "a\x85b", "x\u2028y", "S" * 16_000, "-" * 16_000]
    )
    @pytest.mark.parametrize("kind", [Mac, Guid, Serial, Hostname, Username, DeviceId])
    def test_what_no_identifier_can_be_is_an_error_of_ours(self, kind: type[Key], text: str) -> None:
        with pytest.raises(InvalidIdentifierError) as caught:
            kind(text)
        str(caught.value).encode()
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize("bad", ["\udcff\udcfe", "serial:a\x00b", "0:" * 8000, "%" * 16_000])
    def test_one_bad_key_of_many_is_one_error(self, tiny: Connect, bad: str) -> None:
        client: Modal = tiny(kind=Spoiled)
        results = list(client.lookup_many(["serial:S1", bad, "serial:S2"]))
        assert [type(result.error) for result in results] == [type(None), InvalidIdentifierError, type(None)]


def test_the_vendors_own_record_is_handed_out_without_secrets() -> None:
    raw = {
        "serial": "S1",
        "tokenSource": "dep",
        "PersonalRecoveryKey": "hush",
        "security": [{"unlock_pin": "hush", "note": "x"}, {"activationLockBypassCode": "hush"}],
        "password-hint": "hush",
    }
    kept = settle(device(raw=raw), "s", "p").raw
    assert kept == {"serial": "S1", "tokenSource": "dep", "security": [{"note": "x"}, {}]}
    assert settle(device(), "s", "p").raw is None


class TestRow:
    def test_texts_that_speak_against_a_device(self) -> None:
        row = Row({"why": ["old", " rooted ", "", None], "more": "late"})
        assert (row.words("why", "more", "none"), row.unreadable) == (["old", "rooted", "late"], frozenset())
        row = Row({"why": ["old", {"a": 1}], "more": True})
        assert (row.words("why", "more"), row.unreadable) == (["old"], frozenset({"why", "more"}))

    @pytest.mark.parametrize("document", [{}, {"version": None}, {"version": " "}, {"version": ["7"]}])
    def test_a_text_that_has_to_be_there(self, document: Any) -> None:
        assert Row({"version": 7}).required("version") == "7"
        with pytest.raises(MalformedResponseError, match="has no version"):
            Row(document).required("version")

    def test_identifiers_fill_the_fields_of_a_device(self) -> None:
        row = Row({"nr": "A1", "other": ["B2", "a1"], "imei": ["350000862471854"], "w": ["001b44113ab7", 7]})
        fields = row.identifiers(serial=("nr", "other"), imei="imei", mac="w", udid="none")
        found = device(**fields, unreadable=row.unreadable)
        assert (found.serial_number, found.imei, found.udid) == ("A1", None, None)
        assert found.mac_addresses == (Mac("00:1b:44:11:3a:b7"),)
        assert found.other_identifiers == (Serial("B2"),)
        assert found.unreadable == {"imei", "mac_addresses"}

    def test_identifiers_in_objects_of_the_record_stand_beside_its_own(self) -> None:
        modem, network = Row({"imei": ["350000862471854", "59105109176278"]}), Row({"mac": "001b44113ab8"})
        row = Row({"imei": "350000862471854", "mac": "001b44113ab7"})
        found = device(**row.identifiers(modem, network, imei=["imei"], mac="mac"))
        assert (found.imei, found.other_identifiers) == ("350000862471854", (Imei("59105109176278"),))
        assert found.mac_addresses == (Mac("001b44113ab7"), Mac("001b44113ab8"))

    def test_the_document_is_kept_as_it_came(self) -> None:
        document = {"Serial": None, "a": [1]}
        assert Row(document).document is document

    @pytest.mark.parametrize("value", ["maybe", [True], {"a": 1}, 2, 1.5, "2"])
    def test_a_veto_that_cannot_be_read_is_a_doubt(self, value: Any) -> None:
        row = Row({"blocked": value, "passcode": value})
        assert (row.flag("passcode"), row.unreadable) == (None, frozenset())
        assert (row.veto("blocked"), row.unreadable) == (None, frozenset({"blocked"}))

    @pytest.mark.parametrize("value", [True, 1, "1", "YES", "yes ", "Y", "True"])
    def test_a_yes_in_any_spelling_is_one(self, value: Any) -> None:
        row = Row({"blocked": value})
        assert (row.veto("blocked"), row.unreadable) == (True, frozenset())

    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_what_is_not_there_is_neither(self, value: Any) -> None:
        row = Row({"blocked": value, "state": value})
        assert (row.veto("blocked"), row.veto("other"), row.word("state")) == (None, None, None)
        assert row.unreadable == frozenset()
        assert row.has("blocked") is False

    def test_the_first_member_that_is_there_counts(self) -> None:
        row = Row({"a": "", "b": 7, "c": "x"})
        assert row.text("a", "b", "c") == "7"
        assert row.number("b") == 7
        assert [row.number(name) for name in ("c", "d")] == [None, None]

    @pytest.mark.parametrize("value", [1768478400, "1768478400", 1768478400000, "2026-01-15T12:00:00Z"])
    def test_times_in_all_spellings(self, value: Any) -> None:
        assert Row({"a": value}).time("a") == datetime(2026, 1, 15, 12, tzinfo=UTC)

    @pytest.mark.parametrize("value", [0, -5, 3, True, "never", "nan", 1e300, "9999-12-31", [], {}, None])
    def test_what_is_no_time(self, value: Any) -> None:
        assert Row({"a": value}).time("a") is None

    def test_a_list_of_texts_is_read_whole_or_not_at_all(self) -> None:
        row = Row({"a": ["x ", ""], "b": ["x", 7], "c": "x", "d": []})
        assert [row.texts(name) for name in "abcde"] == [["x ", ""], None, None, [], None]

    def test_objects_inside_share_the_account(self) -> None:
        row = Row({"general": {"blocked": []}, "nets": [{"mac": "0026B424FEB"}, {"mac": "001B44113AB7"}]})
        assert row.row("general").veto("blocked") is None
        macs = [mac for net in row.rows("nets") for mac in net.macs("mac")]
        assert macs == [MAC]
        assert row.unreadable == {"blocked", "mac_addresses"}
        assert row.row("none").text("x") is None
        for wrong in (lambda: row.rows("general"), lambda: row.row("nets"), lambda: Row([])):
            with pytest.raises(MalformedResponseError):
                wrong()

    def test_records_of_a_list_have_accounts_of_their_own(self) -> None:
        first, second = Row({"rows": [{"blocked": []}, {"blocked": False}]}).records("rows")
        assert (first.veto("blocked"), second.veto("blocked")) == (None, False)
        assert (first.unreadable, second.unreadable) == (frozenset({"blocked"}), frozenset())
        assert Row({"rows": []}).records("rows") == []
        assert Row({"rows": [7, {}]}).documents("rows") == [7, {}]
        others: list[Any] = [None, {}, "text", [None], [[]]]
        for other in others:
            with pytest.raises(MalformedResponseError):
                Row({"rows": other}).records("rows")

    def test_a_member_in_two_spellings_is_malformed(self) -> None:
        class Squashed(Row):
            @staticmethod
            def normal(name: str) -> str:
                return name.replace("_", "").lower()

        assert Squashed({"Serial_Number": "S"}).text("serialnumber") == "S"
        with pytest.raises(MalformedResponseError):
            Squashed({"SerialNumber": "S", "serial_number": "S"})


JSON = [
    '{"a": 1, "a": 1}',
    '{"a": true, "b": [{"c": 1, "c": 2}]}',
    '{"a": NaN}',
    '{"a": Infinity}',
    '{"a": -1e999}',
    '{"a": ' + "9" * 1_000_000 + "}",
    '{"a": 1.' + "9" * 1_000_000 + "}",
    "[" * 100_000,
    '{"a": 1} {"a": 2}',
    '{"a": 1}x',
    "",
]


@pytest.mark.parametrize("text", JSON, ids=range(len(JSON)))
def test_json_that_contradicts_itself_is_malformed(text: str) -> None:
    with pytest.raises(MalformedResponseError):
        Response(200, {}, text.encode(), "https://mdm.example/").json()


LINK = [
    ("<https://a.example/?p=2>; rel=next", "https://a.example/?p=2"),
    ('</p?a=1,2;3>; title="a, <b>; rel=next"; REL="prev next"', "https://mdm.example/p?a=1,2;3"),
    ("<a>; rel=first, <b>; rel=next , <c>; rel=last", "https://mdm.example/b"),
    ('<b>; rel=next; rel=prev; title*=UTF-8\'\'x; foo="\\"bar"', "https://mdm.example/b"),
    ("<a>; rel=prev", None),
    ("", None),
]
UNREADABLE_LINKS = ["<u>; rel='next'", '<u>; rel="next', "<u>; rel*=UTF-8''next", "<u", "u; rel=next"]
UNREADABLE_LINKS += ["<u>", "<u>; title=next", "<a>; rel=next, <b>; rel=next", '<u>; rel=next; anchor="/x"']
UNREADABLE_LINKS += ["<u>; rel=next <v>; rel=prev", "<u v>; rel=next", "<u>; rel=", "<>; rel=next"]
UNREADABLE_LINKS += ["<u>;rel=ne\u00ebxt"]


@pytest.mark.parametrize(("field", "target"), LINK)
def test_a_link_is_read_to_the_letter(field: str, target: str | None) -> None:
    response = Response(200, {"link": field} if field else {}, b"", "https://mdm.example/devices")
    assert response.link("next") == target


@pytest.mark.parametrize("field", UNREADABLE_LINKS)
def test_a_link_that_cannot_be_read_is_an_error(field: str) -> None:
    with pytest.raises(MalformedResponseError):
        Response(200, {"link": field}, b"", "https://mdm.example/devices").link("next")


@given(st.text(alphabet="<>;,=\"'\\ relnxt*", max_size=40))
def test_no_field_goes_unnoticed(field: str) -> None:
    response = Response(200, {"link": f"<u>; rel=next{field}"}, b"", "https://mdm.example/")
    try:
        found = response.link("next")
    except MalformedResponseError:
        return
    assert found is not None or not field.replace(" ", "").startswith((";", ","))


def test_unreadable_facts_are_no_pass_in_every_mode(tiny: Connect) -> None:
    class Doubtful(TinyProvider):
        def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
            yield from super().find(info, key)
            return [device(serial_number=key.value, unreadable=frozenset({"quarantined"}))]

    found = tiny(kind=Doubtful).lookup("serial:S1")
    assert found.compliance.state == "unknown"
    assert "quarantined" in found.compliance.reasons[0]
