"""Whatever pages a broken or hostile server gives: a list is whole or an error, and a lookup no pass."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdmsdk._run.library import lib
from mdmsdk.errors import MdmError
from mdmsdk.ise import IseProvider, IseSettings, discovery
from mdmsdk.testing import open_client

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

BASE = "http://127.0.0.1:9"
INFO = (
    "<ise_api><name>mdminfo</name><api_version>{}</api_version><api_path>/mdm</api_path>"
    "<query_max_size>2</query_max_size></ise_api>"
)
EXAMPLES = int(os.environ.get("MDMSDK_ATTACKS", "60"))
SETTINGS = IseSettings.model_validate(
    {"base_url": BASE, "username": "u", "password": "p", "policy": {"attempts": 1, "deadline": 5.0}}
)
NO_MORE = {None, "0", "", " 0 "}


@dataclass(frozen=True)
class Reply:
    """One answer of the server: rows of (number of the device, word of its verdict), and the envelope."""

    rows: tuple[tuple[int, str | None], ...] = ()
    token: str | None = "0"
    busy: int = 0
    status: int = 200
    tail: str = ""

    @property
    def body(self) -> bytes:
        def row(number: int, word: str | None) -> str:
            verdict = "" if word is None else f"<compliance><status>{word}</status></compliance>"
            inner = f"<guid>g{number}</guid><register_status>true</register_status>{verdict}"
            return f"<device><guid>g{number}</guid><attributes>{inner}</attributes></device>"

        paging = "" if self.token is None else f"<paging_info>{escape(self.token)}</paging_info>"
        rows = "".join(row(*one) for one in self.rows)
        return (
            f"<ise_api><name>attributes</name>{paging}<server_busy_wait_seconds>{self.busy}"
            f"</server_busy_wait_seconds><deviceList>{rows}</deviceList>{self.tail}</ise_api>"
        ).encode()


ROWS = st.lists(
    st.tuples(
        st.integers(0, 9), st.sampled_from(["false", "false", "False", "0", None, "", "maybe", "true"])
    ),
    max_size=3,
).map(tuple)
TOKENS = st.sampled_from(["0", None, "", " 0 ", "00", "1", "2", "3", "-0", "0,1", "a b&c=d", "é", "0x0", "."])
# A list, a page or an envelope that hides where nobody looks for it.
TAILS = st.sampled_from(["", "", "", "<paging_info>7</paging_info>", "<x><deviceList/></x>", "<DEVICELIST/>"])
REPLIES = st.builds(
    Reply,
    rows=ROWS,
    token=TOKENS,
    busy=st.sampled_from([0, 0, 0, 1, 86400]),
    status=st.sampled_from([200] * 8 + [400, 422, 404, 500]),
    tail=TAILS,
)


def ask(version: int, replies: list[Reply], call: Callable[[Any], Any]) -> tuple[Any, list[Reply]]:
    """What a client makes of a server's replies, be it an error, and those that it was given."""
    given_out: list[Reply] = []

    def answer(asked: Any) -> Any:
        if "mdminfo" in str(asked.url):
            return lib.Response(200, content=INFO.format(version).encode())
        if len(given_out) == len(replies):
            return lib.Response(500)
        given_out.append(replies[len(given_out)])
        return lib.Response(given_out[-1].status, content=given_out[-1].body)

    provider = IseProvider(SETTINGS)
    with (
        lib.Client(transport=lib.MockTransport(answer)) as http,
        closing(open_client(provider, "sync", http=http)) as client,
    ):
        try:
            return call(client), given_out
        except MdmError as error:
            return error, given_out


QUICKLY = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICKLY
@given(version=st.integers(1, 3), replies=st.lists(REPLIES, min_size=1, max_size=6))
def test_no_device_is_lost_without_an_error(
    version: int, replies: list[Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_LONGEST_BUSY_WAIT", 0)  # no test waits
    outcome, served = ask(version, replies, lambda client: list(client.noncompliant()))
    assert len(served) <= len(replies)
    if isinstance(outcome, MdmError):
        return
    # It was read to its end; only the first of the two identifiers may have been refused.
    last = served[-1] if served[-1].status == 200 else served[-2]
    assert last.token in NO_MORE
    assert last.tail in {"", "<DEVICELIST/>"}
    assert last.rows or not last.busy
    assert sum(reply.status != 200 for reply in served) <= (1 if version == 3 else 0)
    assert {reply.status for reply in served} <= {200, 400, 422}
    told = {number: word for reply in served if reply.status == 200 for number, word in reply.rows}
    assert "true" not in {word for reply in served if reply.status == 200 for _, word in reply.rows}
    assert {device.guid for device in outcome} == {f"g{number}" for number in told}
    assert "compliant" not in {str(device.compliance.state) for device in outcome}


@QUICKLY
@given(replies=st.lists(REPLIES, min_size=1, max_size=4), first=st.integers(0, 2))
def test_no_pages_of_a_lookup_make_a_pass(
    replies: list[Reply], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_LONGEST_BUSY_WAIT", 0)  # no test waits
    # One that would be a pass, at any place among the others.
    replies.insert(min(first, len(replies)), Reply(((1, "true"),), replies[0].token))
    outcome, served = ask(3, replies, lambda client: client.lookup("guid:g1"))
    if outcome is None or isinstance(outcome, MdmError) or str(outcome.compliance.state) != "compliant":
        return
    assert {reply.status for reply in served} == {200}
    # A page whose only token stands at its end has one all the same.
    late = "<paging_info>7</paging_info>"
    assert served[-1].token in NO_MORE
    assert served[-1].tail != late
    assert {word for reply in served for number, word in reply.rows if number == 1} == {"true"}
    hidden = {reply.tail for reply in served if (reply.token, reply.tail) != (None, late)}
    assert hidden <= {"", "<DEVICELIST/>"}
