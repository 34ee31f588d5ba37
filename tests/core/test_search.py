"""Finding many keys: few requests, every spelling, each key for itself; and requests in envelopes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.batch import Batch, in_envelopes, send_batch
from mdmsdk.errors import (
    EndpointNotFoundError,
    IncompleteListError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    MdmTimeoutError,
    RateLimitedError,
    ResponseError,
    ServerError,
)
from mdmsdk.flow import Pause, attempt, call, done, joined, newest, or_none, pause, send, together
from mdmsdk.identifiers import Serial
from mdmsdk.models import Device, ServerInfo
from mdmsdk.paging import Link, collect_links, linked_page, walk_links
from mdmsdk.provider import MdmProvider
from mdmsdk.search import Search, find_with, of_one
from mdmsdk.testing import Played, play
from mdmsdk.wire import Request, Response
from tests.core.conftest import TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.search import Found

PROVIDER = TinyProvider(TinySettings(base_url="https://mdm.example"))


class Server:
    """Holds serial numbers as written, and refuses a request for a bad one."""

    def __init__(self, *held: str, bad: str | None = None, down: str | None = None) -> None:
        self.held, self.bad, self.down = held, bad, down
        self.asked: list[list[str]] = []

    def ask(self, texts: Mapping[Key, Sequence[str]]) -> Flow[list[Device]]:
        wanted = [text for own in texts.values() for text in own]
        self.asked.append(wanted)
        if self.bad in wanted:
            raise ResponseError("bad", status=400)
        if self.down in wanted:
            raise ServerError("down", status=500)
        return done([Device(registered=True, serial_number=text) for text in wanted if text in self.held])


def either_case(key: Key) -> list[str]:
    return [key.value, key.value.lower()]


def find(how: Search, *values: str) -> dict[str, Any]:
    keys = [Serial(value) for value in values]
    found = play(find_with(PROVIDER, how, keys), [])
    assert list(found) == keys
    return {
        key.value: answer if isinstance(answer, MdmError) else [device.serial_number for device in answer]
        for key, answer in found.items()
    }


def test_spellings_are_asked_for_in_turn_and_only_for_what_was_not_found() -> None:
    server = Server("SN0001", "sn0002")
    found = find(Search(ask=server.ask, spellings=either_case), "SN0001", "SN0002", "SN0003")
    assert found == {"SN0001": ["SN0001"], "SN0002": ["sn0002"], "SN0003": []}
    assert server.asked == [["SN0001", "SN0002", "SN0003"], ["sn0002", "sn0003"]]


def test_or_all_at_once() -> None:
    server = Server("sn0002")
    found = find(Search(ask=server.ask, spellings=either_case, at_once=True), "SN0001", "SN0002")
    assert found == {"SN0001": [], "SN0002": ["sn0002"]}
    assert server.asked == [["SN0001", "sn0001", "SN0002", "sn0002"]]


def test_a_record_about_another_device_does_not_end_the_search() -> None:
    class Loose(Server):
        def ask(self, texts: Mapping[Key, Sequence[str]]) -> Flow[list[Device]]:
            found = yield from super().ask(texts)
            return found or [Device(registered=True, serial_number="ANOTHER1")]

    server = Loose("sn0002")
    assert find(Search(ask=server.ask, spellings=either_case), "SN0002") == {"SN0002": ["sn0002"]}
    assert find(Search(ask=Loose().ask, spellings=either_case), "SN0002") == {"SN0002": ["ANOTHER1"]}


def test_a_key_that_cannot_be_asked_for_fails_alone() -> None:
    def some(key: Key) -> list[str]:
        if key.value == "SN0002":
            raise InvalidIdentifierError("no")
        return [] if key.value == "SN0003" else [key.value]

    server = Server("SN0001")
    found = find(Search(ask=server.ask, spellings=some), "SN0001", "SN0002", "SN0003")
    assert isinstance(found["SN0002"], InvalidIdentifierError)
    assert (found["SN0001"], found["SN0003"]) == (["SN0001"], [])
    assert server.asked == [["SN0001"]]


def test_one_bad_key_of_many_spoils_its_own_answer_within_a_budget() -> None:
    names = [f"SN{number:04}" for number in range(500)]
    server = Server(*names, bad="SN0377")
    found = find(Search(ask=server.ask), *names)
    assert isinstance(found.pop("SN0377"), ResponseError)
    assert all(found[name] == [name] for name in found)
    assert len(server.asked) <= 25


def test_a_group_that_fails_does_not_spoil_the_others_but_a_server_that_is_down_does() -> None:
    how = Search(ask=Server("SN0001", "SN0003", down="SN0002").ask, most=1)
    found = find(how, "SN0001", "SN0002", "SN0003")
    assert isinstance(found["SN0002"], ServerError)
    assert (found["SN0001"], found["SN0003"]) == (["SN0001"], ["SN0003"])
    with pytest.raises(ServerError):
        find(Search(ask=Server(down="SN0002").ask), "SN0001", "SN0002")


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=40),
    st.integers(1, 9) | st.none(),
    st.integers(5, 80) | st.none(),
)
def test_groups_hold_every_key_once_and_fit(sizes: list[int], most: int | None, longest: int | None) -> None:
    texts: dict[Key, Sequence[str]] = {
        Serial(f"SN{place:04}"): ["x" * size] for place, size in enumerate(sizes)
    }
    groups = Search(ask=Server().ask, most=most, longest=longest).groups(texts)
    assert [key for group in groups for key in group] == list(texts)
    for group in groups:
        assert most is None or len(group) <= most
        length = sum(len(own[0]) for own in group.values())
        assert longest is None or length <= longest or len(group) == 1


def test_the_records_or_the_error_of_one_key() -> None:
    key, other = Serial("SN0001"), Serial("SN0002")
    found: dict[Key, list[Device] | MdmError] = {key: [], other: ServerError("down")}
    assert of_one(found, key) == []
    with pytest.raises(ServerError):
        of_one(found, other)


def test_lists_that_come_side_by_side_are_one() -> None:
    assert play(joined(done([1, 2]), done(()), done((3,))), []) == [1, 2, 3]


PAGES = {("a", None): ([1], "2"), ("a", "2"): ([2], None), ("b", None): ([3], None)}


def read_page(scope: str, name: str | None) -> Flow[tuple[list[int], str | None]]:
    return done(PAGES[scope, name])


def test_linked_pages_of_several_scopes() -> None:
    cursor: Link | None = None
    found: list[int] = []
    while True:
        rows, cursor = play(walk_links(read_page, ["a", "b"], cursor), [])
        found += rows
        if cursor is None:
            break
    assert found == [1, 2, 3]


@pytest.mark.parametrize(("has", "told"), [(3, (3, "3")), (1, (1, "1"))])
def test_the_newest_version_that_a_server_has(has: int, told: tuple[int, str]) -> None:
    def ask(version: int) -> Flow[str]:
        yield from done(None)
        if version > has:
            raise ServerError("no such version", status=501)
        return str(version)

    assert play(newest(ask, (3, 2, 1), lambda error: isinstance(error, ServerError)), []) == told
    for versions, lacks in (((9, 8), True), ((9, 1), False)):
        with pytest.raises(ServerError):
            play(newest(ask, versions, lambda _, lacks=lacks: lacks), [])  # type: ignore[misc]


def test_an_error_that_says_that_there_is_no_record() -> None:
    def fail() -> Flow[str]:
        yield from done(None)
        raise ServerError("down", status=500)

    assert play(or_none(done("here"), ServerError), []) == "here"
    assert play(or_none(fail(), EndpointNotFoundError, ServerError), []) is None
    with pytest.raises(ServerError):
        play(or_none(fail(), EndpointNotFoundError), [])


def test_a_provider_states_find_or_find_batch() -> None:
    class Batches(TinyProvider):
        find = MdmProvider.find

        def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
            return done({key: [Device(registered=True, serial_number=key.value)] for key in keys})

    (device,) = play(Batches(PROVIDER.settings).find(ServerInfo(), Serial("A1")), [])
    assert device.serial_number == "A1"

    class Neither(TinyProvider):
        find = MdmProvider.find

    with pytest.raises(NotImplementedError, match="find or find_batch"):
        play(Neither(PROVIDER.settings).find(ServerInfo(), Serial("A1")), [])


@pytest.mark.parametrize(
    "now", [["a"], ["b"], ["b", "a"], ["c", "b"], ["c", "a", "b"], ["a", "b", "c"], ["a", "c"]]
)
def test_scopes_that_changed_end_the_list(now: list[str]) -> None:
    _, cursor = play(walk_links(read_page, ["a", "b"], None), [])
    with pytest.raises(IncompleteListError, match="changed"):
        play(walk_links(read_page, now, cursor), [])


def test_links_that_go_in_circles_or_never_end() -> None:
    assert play(collect_links(read_page, "a", max_pages=2), []) == [1, 2]
    with pytest.raises(IncompleteListError):
        play(collect_links(read_page, "a", max_pages=1), [])
    with pytest.raises(IncompleteListError):
        play(collect_links(lambda *_: done(([], "again")), max_pages=99), [])
    links = map(str, range(99))
    with pytest.raises(IncompleteListError, match="brought nothing new") as caught:
        play(collect_links(lambda *_: done(([1], next(links))), max_pages=99), [])
    assert caught.value.collected == 11


def test_a_first_page_is_asked_for_with_fewer_rows_and_a_link_as_it_stands() -> None:
    first, played = Request("GET", "https://mdm.example/list", {"a": 1}, {"x": "y"}, lane="l"), Played()
    answers: list[Response | MdmError] = [MdmTimeoutError("late"), Response(200), Response(200)]
    for url in (None, "https://mdm.example/list?page=2"):
        answer = play(linked_page(first, url, "rows", 100), answers, record=played)
        answers = answers[2:]
        assert answer.status == 200
    assert [request.full_url.partition("?")[2] for request in played.requests] == [
        "a=1&rows=100", "a=1&rows=25", "page=2",
    ]  # fmt: skip
    assert {(request.lane, request.headers["x"]) for request in played.requests} == {("l", "y")}


def pack(requests: Sequence[Request]) -> Request:
    return Request("POST", "https://mdm.example/batch", json=[request.url for request in requests])


def unpack(answer: Response, requests: Sequence[Request]) -> list[Response | MdmError]:
    parts = answer.json()
    if len(parts) != len(requests):
        raise MalformedResponseError("not whole")
    return [
        Response(status, {"retry-after": "1"} if status == 429 else {}, b"{}", request.url)
        for status, request in zip(parts, requests, strict=True)
    ]


def send_all(count: int, statuses: dict[int, list[int]], **how: Any) -> tuple[list[Any], Played]:
    record = Played()

    def answer(request: Request) -> str | MdmError:
        numbers = [int(url.rpartition("/")[2]) for url in request.json or [request.url]]
        if how.get("bad") in numbers:
            return ResponseError("bad", status=400)
        return json.dumps(
            [
                statuses.get(number, [200])[0:1][0]
                if len(statuses.get(number, [200])) == 1
                else statuses[number].pop(0)
                for number in numbers
            ]
        )

    requests = [Request("GET", f"https://mdm.example/{number}") for number in range(count)]
    batch = Batch(most=how.get("most", 20), pack=pack, unpack=unpack)
    return play(send_batch(PROVIDER, batch, requests), answer, record=record), record


def test_parts_are_sent_in_envelopes_and_come_in_order() -> None:
    outcomes, record = send_all(45, {})
    assert [outcome.url for outcome in outcomes] == [f"https://mdm.example/{number}" for number in range(45)]
    assert [len(request.json) for request in record.requests] == [20, 20, 5]


def test_a_part_that_is_throttled_is_sent_again_alone_after_the_wait() -> None:
    outcomes, record = send_all(5, {3: [429, 200], 4: [404]})
    assert [type(outcome) for outcome in outcomes[:4]] == [Response] * 4
    assert isinstance(outcomes[4], EndpointNotFoundError)
    assert [len(request.json) for request in record.requests] == [5, 1]
    assert record.pauses == [Pause(1, lane=""), Pause(1, optional=True)]


def test_a_part_that_goes_on_failing_is_its_own_error() -> None:
    outcomes, _ = send_all(3, {1: [429], 2: [500]})
    assert isinstance(outcomes[0], Response)
    assert isinstance(outcomes[1], RateLimitedError)
    assert isinstance(outcomes[2], ServerError)


def test_an_envelope_that_is_refused_for_one_part_is_halved() -> None:
    outcomes, record = send_all(20, {}, bad=7)
    assert isinstance(outcomes[7], ResponseError)
    assert all(isinstance(outcome, Response) for place, outcome in enumerate(outcomes) if place != 7)
    assert len(record.requests) <= 12


def test_a_single_request_needs_no_envelope() -> None:
    outcomes, record = send_all(1, {})
    assert isinstance(outcomes[0], Response)
    assert record.requests[0].method == "GET"


PLAIN = Batch(
    most=20,
    pack=pack,
    unpack=unpack,
    takes=lambda request: not request.url.startswith("https://mdm.example/alone"),
)


def read(name: str) -> Flow[str]:
    answer = yield from send(Request("GET", f"https://mdm.example/{name}"))
    return f"{name}:{answer.status}"


def both(*names: str) -> Flow[list[Any]]:
    first = yield from read(names[0])
    return [first, *(yield from together(*(attempt(read(name)) for name in names[1:])))]


def strict(*names: str) -> Flow[list[str]]:
    try:
        return (yield from together(*map(read, names)))
    except MdmError as error:
        return [type(error).__name__]


def run_joined(
    *flows: Flow[Any], bad: Callable[[str], MdmError | None] = lambda _name: None
) -> tuple[list[Any], list[Any]]:
    """What flows end with, and what was sent: the names in each envelope, or the name that went by itself."""
    sent: list[Any] = []

    def answer(request: Request) -> str | MdmError:
        names = [url.rpartition("/")[2] for url in request.json or [request.url]]
        sent.append(names if request.json else names[0])
        if not request.json and (error := bad(names[0])):
            return error
        return json.dumps([404 if bad(name) else 200 for name in names])

    return play(in_envelopes(PROVIDER, PLAIN, together(*map(attempt, flows))), answer), sent


def test_flows_share_envelopes_round_by_round() -> None:
    ended, sent = run_joined(read("a"), both("b", "c", "d"), read("alone-e"), both("f", "alone-g"))
    assert ended == ["a:200", ["b:200", "c:200", "d:200"], "alone-e:200", ["f:200", "alone-g:200"]]
    assert sent == [["a", "b", "f"], "alone-e", ["c", "d"], "alone-g"]


def test_a_flow_that_fails_fails_alone_and_is_told_what_failed() -> None:
    gone = EndpointNotFoundError("gone", status=404)
    ended, _ = run_joined(
        read("a"),
        read("x1"),
        both("b", "x2", "c"),
        strict("d", "x3"),
        strict("e", "f"),
        bad=lambda name: gone if name.startswith("x") else None,
    )
    assert ended[0] == "a:200"
    assert isinstance(ended[1], EndpointNotFoundError)
    assert (ended[2][0], type(ended[2][1]), ended[2][2]) == ("b:200", EndpointNotFoundError, "c:200")
    assert ended[3:] == [["EndpointNotFoundError"], ["e:200", "f:200"]]


def test_no_flows_and_flows_without_a_step_send_nothing() -> None:
    assert run_joined() == ([], [])
    assert run_joined(done(1), strict(), done(2)) == ([1, [], 2], [])


def test_pauses_and_calls_of_joined_flows_are_performed() -> None:
    def wait(seconds: float) -> Flow[str]:
        yield from pause(seconds)
        return (yield from call(lambda: f"after {seconds}"))

    record = Played()
    flow = in_envelopes(PROVIDER, PLAIN, together(wait(1), wait(2)))
    assert play(flow, [], record=record) == ["after 1", "after 2"]
    assert [step.seconds for step in record.pauses] == [1, 2]


def test_joined_flows_are_closed_when_their_runner_is() -> None:
    closed = []

    def watch(name: str) -> Flow[None]:
        try:
            yield from read(name)
        finally:
            closed.append(name)

    def inner() -> Flow[None]:
        yield from together(watch("a"), watch("b"))

    flow = in_envelopes(PROVIDER, PLAIN, together(watch("c"), inner()))
    next(flow)
    flow.close()
    assert sorted(closed) == ["a", "b", "c"]


def test_what_ends_a_joined_flow_leaves_it() -> None:
    gone = EndpointNotFoundError("gone", status=404)
    with pytest.raises(EndpointNotFoundError):
        play(in_envelopes(PROVIDER, PLAIN, together(read("a"), read("alone"))), lambda _: gone)
    down = ServerError("down", status=500)
    with pytest.raises(ServerError):
        play(in_envelopes(PROVIDER, PLAIN, together(*(attempt(read(name)) for name in "ab"))), lambda _: down)
