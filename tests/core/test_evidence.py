"""What plugins share in reading records: verdicts over facts, disguised values, parts by name, words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import ConfigurationError, InvalidIdentifierError
from mdmsdk.evidence import Fact, weigh
from mdmsdk.flow import done
from mdmsdk.identifiers import Guid, Imei, Mac, Serial
from mdmsdk.models import Device
from mdmsdk.proof import disguised
from mdmsdk.refusals import spoken
from mdmsdk.rows import Row
from mdmsdk.scopes import choose
from mdmsdk.search import Search, find_with
from mdmsdk.testing import play
from tests.core.conftest import TinyProvider, TinySettings

FACTS = (Fact("quarantined", "quarantined", decides="quarantine"), Fact("blocked", "BLOCKED"))


@pytest.mark.parametrize(
    ("said", "word", "record", "alarm", "state", "vendor_state"),
    [
        (True, None, {"quarantined": False}, None, "compliant", "compliant"),
        (True, None, {}, None, "compliant", "compliant"),
        (False, None, {"blocked": True}, None, "noncompliant", "not compliant"),
        (True, None, {"quarantined": True}, None, "noncompliant", "compliant, quarantined"),
        (None, None, {"quarantined": True}, None, "noncompliant", "quarantined"),
        (True, None, {}, "Compromised", "noncompliant", "compliant, Compromised"),
        (True, None, {"blocked": True}, None, "unknown", "compliant, BLOCKED"),
        (None, None, {}, None, "unknown", None),
        (None, "perhaps", {}, None, "unknown", "perhaps"),
    ],
)
def test_a_pass_needs_the_word_and_nothing_against_it(  # noqa: PLR0917 - the columns of the table
    said: bool | None, word: str | None, record: Any, alarm: str | None, state: str, vendor_state: str | None
) -> None:
    verdict = weigh(Row(record), said, FACTS, word=word, alarm=alarm)
    assert (verdict.state, verdict.vendor_state) == (state, vendor_state)
    spoken_against = bool(alarm) or (
        True in record.values() and (said is not False or "blocked" not in record)
    )
    assert bool(verdict.reasons) is spoken_against
    assert verdict.source == ("quarantine" if record.get("quarantined") else None)
    assert weigh(Row(record), said, FACTS, reasons=["a rule"]).state != "compliant"
    assert weigh(Row(record), said, FACTS, doubts=["lost"]).state != "compliant"


@given(
    st.dictionaries(
        st.sampled_from(["quarantined", "blocked"]), st.booleans() | st.text(max_size=3) | st.none()
    )
)
def test_a_fact_that_cannot_be_read_is_noted(record: dict[str, Any]) -> None:
    row = Row(record)
    verdict = weigh(row, said=True, facts=FACTS)
    if verdict.state == "compliant" and not row.unreadable:
        assert not any(row.flag(name) for name in record)
        assert all(row.flag(name) is False for name in record if row.has(name))


# --- disguised values ---


@pytest.mark.parametrize(
    "value", ["*********42", "xxxxx1234", "ab####", "•••7", "masked", "Redacted", "a**", "anonymised."]
)
def test_disguised_identifiers_cannot_be_read(value: str) -> None:
    row = Row({"serial": value})
    assert row.key(Serial, "serial") is None
    assert row.unreadable == {"serial_number"}
    row = Row({"serial": value, "other": "S1"})
    assert [key.value for key in row.keys(Serial, "serial", "other")] == ["S1"]
    assert row.unreadable == {"serial_number"}


@given(st.from_regex(r"[0-9A-WYZ]{8,14}", fullmatch=True))
def test_serial_numbers_are_no_disguise(value: str) -> None:
    row = Row({"serial": value})
    assert (row.key(Serial, "serial"), row.unreadable) == (value, frozenset())


def test_a_kind_is_disguised_if_no_record_shows_it() -> None:
    hidden = Device(registered=True, unreadable=frozenset({"serial_number", "imei"}))
    shown = Device(registered=True, imei="001001000000019")
    assert disguised([hidden, shown], {Serial, Imei, Guid}) == ("serial",)
    assert disguised([hidden], {Serial, Imei}) == ("imei", "serial")
    assert disguised([], {Serial}) == ()
    second = Device(registered=True, imei="001001000000019", unreadable=frozenset({"imei"}))
    assert disguised([second], {Imei}) == ("imei",)  # a search that looks into the first finds nothing
    assert disguised([second, shown], {Imei}) == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [("+1 (201) 555-0123", "+1 (201) 555-0123"), ("PDA 7", None), ("none", None), ("******0123", None)],
)
def test_telephone_numbers(text: str, number: str | None) -> None:
    assert Device(registered=True, phone_number=text).phone_number == number


def test_identifiers_of_a_flat_record() -> None:
    row = Row({"guid": "g-1", "wifi": "00005E001122", "imei": "001001000000019", "imei2": "353778083456479"})
    found = row.identifiers(guid=("guid",), mac=("wifi",), serial=("serial",), imei=("imei", "imei2"))
    assert found == {
        "guid": "g-1",
        "imei": "001001000000019",
        "mac_addresses": (Mac("00005E001122"),),
        "other_identifiers": (Imei("353778083456479"),),
    }


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), ("12", 12), (-1, None), (True, None), (1.0, None), ("1.5", None), ("²", None)],
)
def test_whole_numbers(value: Any, number: int | None) -> None:
    assert Row({"count": value}).whole("count") == number


# --- parts of a server ---

KNOWN = {"1": "Global", "7": "Field staff", "8": "7", "9": "Twin", "10": "twin"}


@pytest.mark.parametrize(
    ("wanted", "chosen"), [((), (*KNOWN,)), (("7",), ("7",)), (("field STAFF", "1", "7"), ("7", "1"))]
)
def test_parts_by_number_or_name(wanted: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert choose(wanted, KNOWN, "space", "hint") == chosen


@pytest.mark.parametrize("wanted", ["11", "Schools", "TWIN"])
def test_parts_that_are_not_there_or_cannot_be_told_apart(wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=r"it sees: Global \(1\), Field staff \(7\)") as caught:
        choose((wanted,), KNOWN, "space", "Correct the setting.")
    assert caught.value.hint == "Correct the setting."
    with pytest.raises(ConfigurationError, match="no single space at all; it sees: none"):
        choose((), {}, "space", "hint")


# --- words, and queries that fit ---


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"errors": {"fieldErrors": [{"code": "Range", "message": "too many", "field": "rows"}]}},
            "rows: too many",
        ),
        ({"messages": ["one", {"localizedMessage": " two "}], "query": "private"}, "one: two"),
        ({"message": 7, "error": None, "errors": {}}, ""),
        ([], ""),
    ],
)
def test_what_a_server_says(body: Any, said: str) -> None:
    assert spoken(body) == said


def test_no_body_is_too_deep() -> None:
    body: Any = "deep"
    for _ in range(900):
        body = {"error": [body]}
    assert spoken(body) == ""


def test_a_key_that_fits_into_no_request_fails_alone() -> None:
    provider = TinyProvider(TinySettings(base_url="https://mdm.example"))
    how = Search(ask=lambda _: done([]), longest=6)
    keys = [Serial("S1"), Serial("S1S2S3S4"), Serial("S3")]
    found = play(find_with(provider, how, keys), [])
    assert [isinstance(found[key], InvalidIdentifierError) for key in keys] == [False, True, False]
