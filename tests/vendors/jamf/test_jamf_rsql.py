"""Filters: quoting, lists, length."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk_jamf.rsql import any_of, chunks, encoded, listed, quoted
from mdmsdk_jamf.simulator.rsql import BadFilterError, parse

FIELDS = frozenset({"name", "udid"})


@pytest.mark.parametrize(
    ("value", "written"),
    [("plain", "'plain'"), ("O'Neill", r"'O\'Neill'"), ("a*b", r"'a\*b'"), ("back\\slash", r"'back\\slash'")],
)
def test_values_are_quoted_and_wildcards_are_not_meant(value: str, written: str) -> None:
    assert quoted(value) == written


def test_one_value_is_compared_several_are_listed() -> None:
    assert any_of(["udid"], ["A"]) == "udid=='A'"
    assert any_of(["udid"], ["A", "B"]) == "udid=in=('A','B')"
    assert any_of(["id", "udid"], ["A", "B"]) == "id=in=('A','B'),udid=in=('A','B')"


@given(st.text(), st.text())
def test_a_server_reads_the_value_that_was_meant_and_no_other(value: str, other: str) -> None:
    matches = parse(any_of(["name"], [value]), FIELDS)
    assert matches({"name": [value]})
    assert matches({"name": [other]}) == (other.casefold() == value.casefold())


@given(st.lists(st.text(), min_size=2, max_size=5), st.text())
def test_a_list_holds_its_values_and_no_other(values: list[str], other: str) -> None:
    matches = parse(any_of(["name", "udid"], values), FIELDS)
    assert all(matches({"name": [], "udid": [value]}) for value in values)
    expected = other.casefold() in {value.casefold() for value in values}
    assert matches({"name": [other], "udid": []}) == expected


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_an_encoded_filter_stays_one_parameter(text: str) -> None:
    written = encoded(text)
    assert unquote(written) == text
    assert not set(written) & set('&=+#;, "<>')


@given(st.lists(st.integers(0, 10**9).map(str), max_size=900))
def test_chunks_keep_all_ids_in_order_and_fit_into_a_url(ids: list[str]) -> None:
    groups = chunks(ids)
    assert [number for group in groups for number in group] == ids
    assert all(len(encoded(any_of(["mobileDeviceId"], group))) <= 4200 for group in groups)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=300), min_size=2, max_size=60))
def test_the_length_of_a_filter_is_told_in_advance(values: list[str]) -> None:
    assert listed(values) - 20 <= len(encoded(any_of(["x"], values))) <= listed(values) + 20


@pytest.mark.parametrize(
    "text", ["name", "name==", "name=='a", "name=='a' x", "(name=='a'", "other=='a'", "'a'"]
)
def test_the_simulated_server_refuses_what_is_no_filter(text: str) -> None:
    with pytest.raises(BadFilterError):
        parse(text, FIELDS)


def test_the_simulated_server_knows_operators_and_wildcards() -> None:
    values = {"name": ["Ada's Mac"], "udid": ["U1", "U2"]}
    for text, expected in {
        "name=='ADA*'": True,
        "name=='*Mac' and udid=='u2'": True,
        "name=='x',(udid=='U1';udid!='U3')": True,
        "udid=out=('U1')": False,
        'name=="Ada\'s Mac"': True,
        "name=='Ada*' ; udid==U9": False,
    }.items():
        assert parse(text, FIELDS)(values) is expected, text
    with pytest.raises(BadFilterError):
        parse("udid=in=('U1')", FIELDS, has_in=False)
