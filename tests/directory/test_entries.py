"""The compact forms in which a directory is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdmsdk.directory.cursors import dumped, loaded
from mdmsdk.directory.entries import EMPTY, Reference, code_of, find, halves, key_of, lines_of, merge, written
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import FrozenModel
from mdmsdk.paging import Link, Place


class Colour(Enum):
    RED = "red"


class Network(FrozenModel):
    id: str
    when: datetime | None = None


@dataclass(frozen=True)
class Deep:
    place: Place
    seen: frozenset[str]
    colour: Colour = Colour.RED
    key: Key | None = None


@dataclass
class Foreign:
    x: int = 1


CURSORS = [
    None,
    7,
    "opaque",
    ("a", 1, None),
    Place(("1", "2"), 500, met=(1, "b"), done=(("1", 3),)),
    Link(
        (Network(id="N_1", when=datetime(2026, 1, 15, tzinfo=UTC)), Network(id="N_2")), name="https://x/?a=b"
    ),
    Deep(Place((), 1), frozenset({"x"}), key=Serial("C02XK0AAJG5H")),
]


@pytest.mark.parametrize("cursor", CURSORS, ids=lambda cursor: type(cursor).__name__)
def test_cursors_come_back(cursor: Any) -> None:
    assert loaded(dumped(cursor), {"mdmsdk", "tests"}) == cursor


@pytest.mark.parametrize("cursor", [object(), [1], {"a": 1}, lambda: None])
def test_other_values_are_no_cursors(cursor: Any) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        dumped(cursor)


@pytest.mark.parametrize(
    "text",
    [
        '{"class":["tests.directory.test_entries:Foreign",{"y":1}]}',
        '{"class":["subprocess:Popen",{"args":"true"}]}',
        '{"class":["mdmsdk.models:no_such",{}]}',
        '{"class":["mdmsdk.no_such:Device",{}]}',
        '{"class":["mdmsdk.client.build:checked",{}]}',
        '{"class":["mdmsdk.client:MdmClient",{"provider":null}]}',
        '{"enum":["mdmsdk.models:FrozenModel",1]}',
        '{"other":1}',
        "{}",
        "not json",
    ],
)
def test_texts_that_are_no_cursors_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cursor|Expecting value|unpack"):
        loaded(text, {"mdmsdk", "tests"})


KEYS = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda number: Mac(f"001B{number:08x}")),
    st.integers(1, 2**40).map(lambda number: Serial(f"S{number:X}Q")),
)


@given(st.dictionaries(KEYS, st.sets(st.integers(0, 99).map(str), min_size=1, max_size=3), max_size=12))
@settings(max_examples=25)
def test_what_was_put_in_is_found_and_nothing_else(known: dict[Key, set[str]]) -> None:
    shard = EMPTY
    for key, names in known.items():
        for name in names:
            shard, _ = merge(shard, {code_of(key): {written(Reference(name, "N 1")): None}})
    assert {key_of(code) for code, _ in lines_of(shard)} == known.keys()
    low, high = halves(shard, 1)
    for key, names in known.items():
        code = code_of(key)
        assert {ref.name for ref in find(shard, code)} == names
        assert {ref.place for ref in find(shard, code)} == {"N 1"}
        assert bool(find(low, code)) != bool(find(high, code))
        assert key_of(code) == key
    for other in (Mac("00:1C:00:00:00:01"), Serial("N 1"), Imei("490154203237518")):
        assert find(shard, code_of(other)) == ()


def test_the_same_text_of_another_kind_is_another_identifier() -> None:
    text = "3F2504E0-4F89-11D3-9A0C-0305E82C3301"
    shard, count = merge(EMPTY, {code_of(Guid(text)): {b"1": None}})
    assert count == 1
    assert find(shard, code_of(Udid(text))) == ()
    assert find(shard, code_of(Guid(text.lower()))) == (Reference("1"),)
