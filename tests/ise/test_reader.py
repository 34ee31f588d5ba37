"""Reading answers: what is tolerated, what is refused, and that nothing else can happen."""

from __future__ import annotations

import contextlib
import random
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import MalformedResponseError, ResponseTooLargeError
from mdmsdk.ise import boolean, read_answer
from mdmsdk.ise import reader as reader_module
from mdmsdk.ise.reader import number
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from pathlib import Path

    from mdmsdk.ise import Answer, Row
    from tests.ise.conftest import Xml

URL = "https://mdm.example.com/api/devices/?paging=0&querycriteria=username&value=jane.doe&filter=all"
SMALL = (
    b"<ise_api><name>attributes</name><deviceList><device><guid>A-1</guid></device></deviceList></ise_api>"
)
ROWS = [{"guid": "A-1"}]


def read(body: bytes, content_type: str = "application/xml") -> Answer:
    return read_answer(Response(200, {"content-type": content_type}, body, URL))


def rows(body: bytes, content_type: str = "application/xml") -> list[Row]:
    return list(read(body, content_type).rows())


def refuse(body: bytes, content_type: str = "application/xml") -> MalformedResponseError:
    with pytest.raises(MalformedResponseError) as caught:
        rows(body, content_type)
    error = caught.value
    assert error.hint
    assert "jane" not in str(error)
    assert error.__cause__ is None
    return error


DECLARED = '<?xml version="1.0" encoding="{}"?>'
TEXT = SMALL.decode()


@pytest.mark.parametrize(
    "body",
    [
        SMALL,
        b"\xef\xbb\xbf" + SMALL,
        b"  \r\n\t" + SMALL,
        b"\xef\xbb\xbf \r\n" + DECLARED.format("utf-8").encode() + SMALL,
        b"\n\xef\xbb\xbf" + SMALL,
        SMALL + b"\r\n  ",
        TEXT.encode("utf-16"),
        (DECLARED.format("utf-16") + TEXT).encode("utf-16"),
        (DECLARED.format("utf-16") + TEXT).encode("utf-16-be"),
        (DECLARED.format("UTF-16") + TEXT).encode(),
        b"\xef\xbb\xbf" + (DECLARED.format("utf-16") + TEXT).encode(),
        (DECLARED.format("iso-8859-1") + TEXT).encode("latin-1"),
        b"<!-- made by -->" + SMALL,
        b"<?xml-stylesheet href='https://evil.example/x'?>" + SMALL,
        SMALL.replace(b"A-1", b"<![CDATA[A-1]]>"),
        SMALL.replace(b"A-1", b"A<!-- x -->-1"),
        SMALL.replace(b"A-1", b"\n   A-1\n  "),
        SMALL.replace(b"A-1", b"A&#45;1"),
        SMALL.replace(b"<ise_api>", b"<ise_api xmlns='urn:x' xmlns:i='urn:i' i:nil='false'>"),
        b"<m:ise_api xmlns:m='urn:m'>" + SMALL[9:-10] + b"</m:ise_api>",
        SMALL.upper().replace(b"A-1", b"A-1"),
    ],
)
def test_reads_the_same_from_every_dress(body: bytes) -> None:
    assert rows(body) == ROWS


@pytest.mark.parametrize("content_type", ["text/html", "text/plain; charset=utf-16", "application/json", ""])
def test_a_wrong_content_type_does_not_matter(content_type: str) -> None:
    assert rows(SMALL, content_type) == ROWS


def test_names_lose_case_and_namespace_and_keep_their_nesting(xml: type[Xml]) -> None:
    (row,) = rows(xml.sample("intune-v3/by-guid.xml"))
    guid = "6f1b0e52-9a55-4c0c-8d14-0d5a3c1f7e01"
    inner = {"guid": guid, "register_status": "true", "compliance": {"status": "true"}}
    assert row == {"guid": guid, "attributes": inner}


def test_empty_elements_are_none() -> None:
    body = SMALL.replace(b"<guid>A-1</guid>", b"<guid>A</guid><udid/><imei> </imei><x><y/></x>")
    assert rows(body) == [{"guid": "A", "udid": None, "imei": None, "x": {"y": None}}]


def test_an_empty_list_is_a_list() -> None:
    for text in (b"<deviceList/>", b"<deviceList></deviceList>", b"<DEVICELIST>\n </DEVICELIST>"):
        answer = read(b"<ise_api><name>attributes</name>" + text + b"</ise_api>")
        assert answer.has_list
        assert list(answer.rows()) == []


def test_an_answer_without_a_list_says_so() -> None:
    assert not read(b"<ise_api><name>attributes</name></ise_api>").has_list


@pytest.mark.parametrize(
    "inside",
    [
        b"database is down",
        b"<error>down</error>",
        b"<device/>",
        b"<device><attributes/></device>",
        b"<device>x</device>",
    ],
)
def test_a_list_of_anything_but_devices_is_malformed_and_not_empty(inside: bytes) -> None:
    refuse(b"<ise_api><deviceList>" + inside + b"</deviceList></ise_api>")


def test_several_lists_are_read_one_after_the_other() -> None:
    assert rows(SMALL.replace(b"</ise_api>", SMALL[SMALL.index(b"<deviceList>") :])) == [*ROWS, *ROWS]


def test_contradicting_repeats_read_as_neither() -> None:
    two = b"<compliance><status>true</status><status>false</status></compliance>"
    (row,) = rows(b"<ise_api><deviceList><device>" + two + b"</device></deviceList></ise_api>")
    assert boolean(row["compliance"]["status"]) is None


@pytest.mark.parametrize(
    "inner",
    [
        # Of two devices mixed up, neither is to be believed.
        "<attributes><guid>A</guid></attributes><attributes><compliance>true</compliance></attributes>",
        "<guid>A</guid><device><compliance>false</compliance></device>",
        "<compliance>false<status>true</status></compliance>",
        "<compliance><status>true</status>false</compliance>",
    ],
)
def test_a_record_that_is_made_of_two_is_malformed(inner: str) -> None:
    refuse(f"<ise_api><deviceList><device>{inner}</device></deviceList></ise_api>".encode())


@pytest.mark.parametrize(
    "paging",
    [
        "<paging_info><token>abc</token></paging_info>",
        "<paging_info>abc<x/></paging_info>",
        "<paging_info value='abc'/>",
        "<paging><paging_info>abc</paging_info></paging>",
        "<more><deviceList><device><guid>B</guid></device></deviceList></more>",
    ],
)
def test_a_further_page_that_cannot_be_read_is_malformed(paging: str) -> None:
    refuse(f"<ise_api>{paging}<deviceList/></ise_api>".encode())


@pytest.mark.parametrize(
    "paging",
    ["", "<paging_info/>", "<paging_info xmlns:i='urn:i' i:nil='true'/>", "<paging_info>0</paging_info>"],
)
def test_an_end_that_is_told_is_one(paging: str) -> None:
    answer = read_answer(Response(200, {}, f"<ise_api>{paging}<deviceList/></ise_api>".encode()))
    assert answer.next_token is None


def test_one_name_for_text_and_container_is_malformed() -> None:
    refuse(SMALL.replace(b"</device>", b"<guid><x>1</x></guid></device>"))


@pytest.mark.parametrize(
    "head",
    [
        b"<!DOCTYPE ise_api>",
        b"<!DOCTYPE ise_api SYSTEM 'https://evil.example/x.dtd'>",
        b"<!DOCTYPE ise_api PUBLIC '-//x' 'x.dtd'>",
        b"<!DOCTYPE ise_api [<!ENTITY a 'b'>]>",
        b"<?xml version='1.0'?><!-- x --><?y z?>\n<!DOCTYPE ise_api>",
        b"\xef\xbb\xbf<!DOCTYPE ise_api>",
        b"<!DOCTYPE ise_api [<!ATTLIST device registered CDATA 'true'>]>",
    ],
)
def test_every_document_type_is_refused(head: bytes) -> None:
    assert "document type" in str(refuse(head + SMALL))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "utf-32"])
def test_a_document_type_is_refused_in_any_encoding(encoding: str) -> None:
    body = (DECLARED.format(encoding) + "<!DOCTYPE ise_api [<!ENTITY a 'A-1'>]>" + TEXT).encode(encoding)
    assert "document type" in str(refuse(body))


def test_an_entity_bomb_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
    head = f"<!DOCTYPE ise_api [<!ENTITY l0 'lol'>{levels}]>"
    body = f"{head}<ise_api x='&l11;'><name>&l11;</name></ise_api>".encode()
    assert "document type" in str(refuse(body))
    # And should the first look miss it, the parser's own guards stand behind.
    monkeypatch.setattr(reader_module, "_DOCTYPE", re.compile(b"(?!)"))
    tracemalloc.start()
    refuse(body)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_an_external_entity_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    head = f"<!DOCTYPE ise_api [<!ENTITY x SYSTEM '{secret.as_uri()}'>]>"
    body = f"{head}<ise_api><name>&x;</name></ise_api>".encode()
    refuse(body)
    monkeypatch.setattr(reader_module, "_DOCTYPE", re.compile(b"(?!)"))
    assert "hunter2" not in str(refuse(body))


def test_a_device_name_cannot_look_like_a_document_type() -> None:
    assert rows(SMALL.replace(b"A-1", b"<![CDATA[<!DOCTYPE html><html>]]>")) == [
        {"guid": "<!DOCTYPE html><html>"}
    ]


def test_the_look_for_a_document_type_is_linear() -> None:
    refuse(b"<?a?>" * 100_000 + b"<!-")
    refuse(b"<!-- " * 100_000)
    refuse(b" " * 1_000_000 + b"<")


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"<html><head><title>Sign in<br></head>",
        b"\xef\xbb\xbf\n<!doctype HTML>\n<HTML>",
        b"<html xmlns='http://www.w3.org/1999/xhtml'><body/></html>",
        "<!DOCTYPE html><html>".encode("utf-16"),
    ],
)
def test_a_web_page_is_named_as_one(body: bytes) -> None:
    error = refuse(body)
    assert "web page" in str(error)
    assert "login page" in error.hint


def test_a_web_page_is_known_by_its_content_type_too() -> None:
    assert "web page" in str(refuse(b"<p>Sign in<br>", "text/html; charset=utf-8"))


def test_every_truncation_is_refused(xml: type[Xml]) -> None:
    body = xml.sample("ivanti-v3/by-guid.xml").strip()
    for length in range(len(body)):
        assert isinstance(refuse(body[:length]), MalformedResponseError)


def test_a_cut_answer_is_worth_another_try(xml: type[Xml]) -> None:
    body = xml.sample("ivanti-v3/by-guid.xml").strip()
    for length in (len(body) - 1, len(body) // 2, body.rindex(b"</deviceList>")):
        error = refuse(body[:length])
        assert "breaks off" in str(error)
        assert error.retryable


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "nothing"),
        (b" \r\n", "nothing"),
        (b'{"error": "x"}', "JSON"),
        (b"[]", "JSON"),
        (b"Service unavailable", "not XML"),
        (b"\x1f\x8b\x08\x00\x00", "not XML"),
        (b"<a></b>", "not well-formed"),
        (b"<ise_api>&nbsp;</ise_api>", "not well-formed"),
        (b"<soap:Envelope xmlns:soap='urn:s'><ise_api/></soap:Envelope>", "<envelope>"),
        (DECLARED.format("nonsense").encode() + SMALL, "not well-formed"),
    ],
)
def test_other_bodies_are_named(body: bytes, words: str) -> None:
    assert words in str(refuse(body))


def test_messages_quote_nothing_of_a_body() -> None:
    error = refuse(b"<ise_api><hunter2></other></ise_api>")
    assert "hunter2" not in repr(error) + str(error)
    assert len(str(refuse(b"<" + b"x" * 5000 + b"/>"))) < 300


def test_deep_nesting_ends() -> None:
    refuse(b"<ise_api><deviceList><device>" + b"<a>" * 5000)
    deep = b"<a>" * 200 + b"x" + b"</a>" * 200
    body = b"<ise_api><deviceList><device><guid>A</guid>" + deep + b"</device></deviceList></ise_api>"
    assert rows(body)[0]["guid"] == "A"


def test_an_answer_of_too_many_elements_is_not_parsed() -> None:
    with pytest.raises(ResponseTooLargeError):
        read(b"<ise_api>" + b"<a/>" * 2_000_001 + b"</ise_api>")


def test_a_large_page_is_read_row_by_row() -> None:
    device = SMALL[SMALL.index(b"<device>") : SMALL.index(b"</deviceList>")]
    answer = read(SMALL.replace(b"</deviceList>", device * 9_999 + b"</deviceList>"))
    tracemalloc.start()
    assert sum(1 for _ in answer.rows()) == 10_000
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_tag_names_do_not_pile_up() -> None:
    for start in range(0, 3000, 100):
        tags = "".join(f"<t{start + n}/>" for n in range(100))
        read(f"<ise_api>{tags}</ise_api>".encode())
    assert len(reader_module._LOCAL) <= 512


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("Yes", True),
        ("false", False),
        ("0", False),
        ("nO", False),
        ("", None),
        (None, None),
        ("2", None),
        ("truee", None),
        ("null", None),
        ({"x": "true"}, None),
        (1, None),
    ],
)
def test_flags(text: Any, value: Any) -> None:
    assert boolean(text) is value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("12", 12), ("-1", None), ("1.5", None), ("٣", None), ("9" * 30, None), (None, None)],
)
def test_numbers(text: Any, value: Any) -> None:
    assert number(text) == value


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_parse_or_be_malformed(body: bytes) -> None:
    with contextlib.suppress(MalformedResponseError):
        assert all(read(body).rows())


FRAGMENTS = [
    b"<ise_api>",
    b"</ise_api>",
    b"<deviceList>",
    b"</deviceList>",
    b"<device>",
    b"</device>",
    b"<guid>",
    b"x",
]
FRAGMENTS += [
    b"</guid>",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"&#0;",
    b"&lt;",
    b"<?xml version='1.0'?>",
    b"<!DOCTYPE a>",
]
FRAGMENTS += [
    b" xmlns='u'>",
    b"\x00",
    b"\xff\xfe",
    b"<a:b/>",
    b"<device/>",
    b"<deviceList/>",
    b"<guid a='1'>",
    b"&x;",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join))
def test_no_pieces_of_answers_do_anything_else_either(body: bytes) -> None:
    with contextlib.suppress(MalformedResponseError):
        assert all(read(body).rows())


@given(
    seed=st.integers(),
    namespace=st.sampled_from(["", "urn:a", "http://schemas.example/Model"]),
    prefix=st.sampled_from(["", "p", "ise"]),
)
def test_case_and_namespace_never_matter(xml: type[Xml], seed: int, namespace: str, prefix: str) -> None:
    plain = xml.sample("ivanti-v3/by-guid.xml").decode()
    body = plain[plain.index("<ise_api>") :]
    chance = random.Random(seed)  # noqa: S311 - it decides on letters
    before = f"{prefix}:" if prefix and namespace else ""
    for name in sorted(set(re.findall(r"<(\w+)", body))):
        mangled = before + "".join(chance.choice([letter.lower(), letter.upper()]) for letter in name)
        body = body.replace(f"<{name}>", f"<{mangled}>").replace(f"</{name}>", f"</{mangled}>")
    if namespace:
        body = body.replace(">", f" xmlns{':' * bool(prefix)}{prefix}='{namespace}'>", 1)
    assert rows(body.encode()) == rows(plain.encode())


def test_an_element_that_comes_again_and_again_is_refused(xml: type[Xml]) -> None:
    few, many = ("".join(f"<macs>{n}</macs>" for n in range(count)) for count in (5, 5_000))
    [row] = read_answer(Response(200, {}, xml.answer(f"<device>{few}</device>"))).rows()
    assert row["macs"] == "0,1,2,3,4"
    with pytest.raises(MalformedResponseError, match="again and again"):
        list(read_answer(Response(200, {}, xml.answer(f"<device>{many}</device>"))).rows())
