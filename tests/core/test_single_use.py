"""Credentials that are good for one exchange: never kept, never sent twice."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import AuthenticationError, TokenError
from mdmsdk.flow import Flow, call
from mdmsdk.identifiers import Mac
from mdmsdk.provider import Token
from tests.core.conftest import Answer, Script, TinyProvider, token_entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

MAC = Mac("00:1B:44:11:3A:B7")
TICKETS: Iterator[int] = count(1)


class Ticketed(TinyProvider):
    """A library makes a ticket for each request."""

    previous: list[Token | None]
    given_back: list[Token]

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.previous, self.given_back = [], []

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        self.previous.append(previous)
        ticket = yield from call(lambda: f"ticket-{next(TICKETS)}")
        return Token(ticket, scheme="Negotiate", single_use=True)

    def logout(self, token: Token) -> Flow[None]:
        self.given_back.append(token)
        return (yield from super().logout(token))


def sent(script: Script) -> list[str]:
    """The tickets in the order in which they came; each of them once."""
    tickets = script.credentials()
    assert max(Counter(tickets).values()) == 1, "a ticket came twice"
    assert all(ticket.startswith("Negotiate ticket-") for ticket in tickets)
    return tickets


def test_each_request_has_one_of_its_own_and_none_is_kept(tiny: Connect, script: Script) -> None:
    client = tiny(kind=Ticketed)
    client.heartbeat()
    client.lookup(MAC)
    client.lookup(MAC)
    assert len(sent(script)) == len(script.requests) == len(client.provider.previous)
    assert set(client.provider.previous) == {None}
    assert [entry.token for entry in token_entries(client).values()] == [None]
    client.close()
    assert client.provider.given_back == []


def test_an_attempt_after_a_failure_has_a_new_one(tiny: Connect, script: Script) -> None:
    answers = iter([Answer("down", 503), Answer("down", 502)])
    script.routes["/info"] = lambda _: next(answers, Answer("7"))
    assert tiny(kind=Ticketed).heartbeat().version == "7"
    assert len(sent(script)) == script.counts["/info"] == 3


def test_an_attempt_after_a_lost_connection_has_a_new_one(tiny: Connect, script: Script) -> None:
    answers = iter([Answer("late", wait=0.5)])
    script.routes["/info"] = lambda _: next(answers, Answer("7"))
    assert tiny(kind=Ticketed, policy={"timeout": 0.2}).heartbeat().version == "7"
    assert len(sent(script)) == 2


def test_lookups_side_by_side_share_none(tiny: Connect, script: Script) -> None:
    client = tiny(kind=Ticketed)
    found = client.side_by_side([lambda client: client.lookup(MAC)] * 30)
    assert all(device.serial_number == "S1" for device in found)
    keys = [Mac(f"00:1B:44:11:3A:{number:02X}") for number in range(20)]
    assert all(result.error is None for result in client.lookup_many(keys))
    assert len(sent(script)) == len(script.requests) >= 50


def test_a_refused_one_is_followed_by_one_new_one(tiny: Connect, script: Script) -> None:
    answers = iter([Answer("old", 401)])
    script.routes["/info"] = lambda _: next(answers, Answer("7"))
    client = tiny(kind=Ticketed)
    assert client.heartbeat().version == "7"
    script.routes["/info"] = Answer("no", 401)
    with pytest.raises(AuthenticationError):
        client.heartbeat()
    assert len(sent(script)) == 4


def test_a_redirect_is_followed_with_a_new_one(tiny: Connect, script: Script) -> None:
    script.routes["/info"] = Answer("", 302, {"location": "/moved"})
    script.routes["/moved"] = "7"
    assert tiny(kind=Ticketed).heartbeat().version == "7"
    assert len(sent(script)) == 2


def test_a_login_that_fails_for_good_is_not_tried_for_each_request(tiny: Connect, script: Script) -> None:
    class Refused(Ticketed):
        def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
            self.previous.append(previous)
            yield from call(lambda: None)
            raise TokenError("no such account", step="kerberos", hint="Ask for one.")

    client = tiny(kind=Refused)
    for outcome in client.side_by_side([lambda client: client.lookup(MAC)] * 8):
        assert isinstance(outcome, TokenError)
    assert len(client.provider.previous) == 1
    assert script.requests == []
