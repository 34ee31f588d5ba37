"""What performs the flows: tokens, retries, limits, deadlines, redirects, bodies. Each test in every mode."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import pytest

from mdmsdk._run.library import lib
from mdmsdk.client import AsyncMdmClient
from mdmsdk.errors import (
    AuthenticationError,
    ConnectError,
    DeadlineExceededError,
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    MdmTimeoutError,
    PluginError,
    ProtocolError,
    RateLimitedError,
    RedirectError,
    ResponseTooLargeError,
    ServerError,
    ServerUnavailableError,
)
from mdmsdk.flow import Flow, call, pause, send, together
from mdmsdk.models import ServerInfo
from mdmsdk.provider import Limits, Token, basic_token, check_status
from mdmsdk.wire import Request, Response
from tests.core.conftest import SECRET, Answer, Clock, Script, TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.testing import Modal

    Connect = Callable[..., Modal]

MAC = "00:1B:44:11:3A:B7"


def running(flow: Callable[[TinyProvider], Flow[Any]]) -> type[TinyProvider]:
    """A tiny provider whose heartbeat is this flow."""

    class Running(TinyProvider):
        def heartbeat(self) -> Flow[ServerInfo]:
            result = yield from flow(self)
            return ServerInfo(vendor="Tiny", extra={"result": result})

    return Running


class TestTokens:
    def test_a_login_serves_all_flows(self, tiny: Connect, script: Script) -> None:
        script.routes["/token"] = Answer('{"token": "T1", "expires_in": 3600}', wait=0.1)
        client = tiny(login="token")
        found = client.side_by_side([lambda client: client.lookup(MAC)] * 50)
        assert all(device.serial_number == "S1" for device in found)
        assert script.counts["/token"] == 1
        assert set(script.credentials()) == {"Bearer T1"}

    @pytest.mark.parametrize("life", [10**39, 1e300])
    def test_a_token_may_be_said_to_live_for_ever(self, tiny: Connect, script: Script, life: float) -> None:
        script.routes["/token"] = json.dumps({"token": "T1", "expires_in": life})
        client = tiny(login="token")
        assert client.lookup(MAC).serial_number == "S1"
        assert client.lookup(MAC).serial_number == "S1"
        assert script.counts["/token"] == 1

    def test_a_token_is_renewed_before_it_expires(self, tiny: Connect, script: Script, clock: Clock) -> None:
        numbers = iter(range(100))
        script.routes["/token"] = lambda _: json.dumps({"token": f"T{next(numbers)}", "expires_in": 200})
        client = tiny(login="token")
        client.heartbeat()
        client.heartbeat()
        assert script.counts["/token"] == 1
        clock.ahead = 170  # past four fifths of its life, not yet expired
        client.heartbeat()
        assert script.counts["/token"] == 2
        assert script.credentials()[-1] == "Bearer T1"

    def test_a_failed_early_renewal_keeps_the_good_token(
        self, tiny: Connect, script: Script, clock: Clock
    ) -> None:
        answers = iter([Answer('{"token": "T1", "expires_in": 200}')])
        script.routes["/token"] = lambda _: next(answers, Answer("down", 503))
        client = tiny(login="token", policy={"attempts": 1})
        client.heartbeat()
        clock.ahead = 170
        client.heartbeat()
        assert script.credentials() == ["Bearer T1", "Bearer T1"]
        assert script.counts["/token"] == 2

    def test_a_refused_token_is_renewed_once(self, tiny: Connect, script: Script) -> None:
        numbers = iter(range(1, 100))
        script.routes["/token"] = lambda _: json.dumps({"token": f"T{next(numbers)}"})
        client = tiny(login="token")
        client.heartbeat()
        good = "Bearer T2"
        script.routes["/info"] = lambda request: (
            "" if request.headers["authorization"] == good else Answer("old", 401)
        )
        client.heartbeat()
        assert script.credentials() == ["Bearer T1", "Bearer T1", "Bearer T2"]
        good = "nothing is good"
        with pytest.raises(AuthenticationError):
            client.heartbeat()
        assert script.credentials()[3:] == ["Bearer T2", "Bearer T3"]

    def test_many_flows_with_a_refused_token_log_in_once(self, tiny: Connect, script: Script) -> None:
        numbers = iter(range(1, 100))
        script.routes["/token"] = lambda _: Answer(json.dumps({"token": f"T{next(numbers)}"}), wait=0.05)
        client = tiny(login="token")
        client.heartbeat()
        script.routes["/find"] = lambda request: (
            Answer("S1", wait=0.05) if request.headers["authorization"] == "Bearer T2" else Answer("", 401)
        )
        found = client.side_by_side([lambda client: client.lookup(MAC)] * 8)
        assert all(device.serial_number == "S1" for device in found)
        assert script.counts["/token"] == 2

    def test_a_static_credential_is_never_tried_again(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("no", 401)
        client = tiny()
        for outcome in client.side_by_side([lambda client: client.lookup(MAC)] * 20):
            assert isinstance(outcome, AuthenticationError)
        for _ in range(3):
            with pytest.raises(AuthenticationError) as caught:
                client.heartbeat()
            assert (caught.value.server, caught.value.provider) == ("tiny", "tiny")
        assert len(script.credentials()) == 1

    def test_a_static_credential_is_sent_once_an_operation_even_without_a_wait(
        self, tiny: Connect, script: Script
    ) -> None:
        script.routes["/info"] = Answer("no", 401)
        with pytest.raises(AuthenticationError):
            tiny(policy={"refused_wait": 0}).heartbeat()
        assert len(script.credentials()) == 1

    def test_a_static_credential_is_tried_again_after_the_wait(
        self, tiny: Connect, script: Script, clock: Clock
    ) -> None:
        script.routes["/info"] = Answer("no", 401)
        client = tiny(policy={"refused_wait": 60})
        with pytest.raises(AuthenticationError):
            client.heartbeat()
        script.routes["/info"] = ""
        clock.ahead = 61
        client.heartbeat()
        assert len(script.credentials()) == 2

    def test_a_failed_login_is_shared_by_those_who_waited_for_it(self, tiny: Connect, script: Script) -> None:
        script.routes["/token"] = Answer("who are you", 401, wait=0.2)
        client = tiny(login="token")
        for outcome in client.side_by_side([lambda client: client.lookup(MAC)] * 20):
            assert isinstance(outcome, AuthenticationError)
            assert outcome.operation == "login"
        assert script.counts["/token"] == 1

    def test_each_audience_has_its_own_token(self, tiny: Connect, script: Script) -> None:
        script.routes["/token"] = lambda _: json.dumps({"token": f"for-{script.forms[-1]['for']}"})

        def flow(provider: TinyProvider) -> Flow[None]:
            for audience in ("api", "graph", "api"):
                yield from send(Request("GET", provider.url("/info"), audience=audience))

        tiny(kind=running(flow), login="token").heartbeat()
        assert script.credentials() == ["Bearer for-api", "Bearer for-graph", "Bearer for-api"]
        assert script.counts["/token"] == 2

    def test_a_token_is_given_back_on_close(self, tiny: Connect, script: Script) -> None:
        script.routes |= {"/token": '{"token": "T1"}', "/logout": Answer("whatever", 500)}
        client = tiny(login="token")
        client.heartbeat()
        client.close()
        assert script.requests[-1].headers["x-given-back"] == "T1"

    def test_a_static_credential_is_not(self, tiny: Connect, script: Script) -> None:
        client = tiny()
        client.heartbeat()
        client.close()
        assert script.counts["/logout"] == 0


class TestRetries:
    def test_a_passing_failure_is_survived(self, tiny: Connect, script: Script) -> None:
        answers = iter([Answer("", 502), Answer("", 429)])
        script.routes["/info"] = lambda _: next(answers, "7.1")
        assert tiny().heartbeat().version == "7.1"
        assert script.counts["/info"] == 3

    def test_a_lasting_failure_ends_after_the_attempts(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", 500)
        with pytest.raises(ServerError):
            tiny(policy={"attempts": 3}).heartbeat()
        assert script.counts["/info"] == 3

    @pytest.mark.parametrize("status", [400, 403, 404, 501])
    def test_a_refusal_is_not_repeated(self, tiny: Connect, script: Script, status: int) -> None:
        script.routes["/info"] = Answer("", status)
        with pytest.raises(MdmError):
            tiny().heartbeat()
        assert script.counts["/info"] == 1

    def test_what_is_not_idempotent_is_sent_once(self, tiny: Connect, script: Script) -> None:
        script.routes["/act"] = Answer("", 503)

        def flow(provider: TinyProvider) -> Flow[None]:
            yield from send(Request("POST", provider.url("/act"), idempotent=False))

        with pytest.raises(ServerError):
            tiny(kind=running(flow)).heartbeat()
        assert script.counts["/act"] == 1

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_the_server_says_how_long_to_wait(self, tiny: Connect, script: Script, form: str) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=2)  # an HTTP date has no fractions: 1 to 2 s from now
        wait = {"seconds": "1", "date": format_datetime(soon, usegmt=True)}[form]
        answers = iter([Answer("", 503, {"retry-after": wait})])
        script.routes["/info"] = lambda _: next(answers, "")
        tiny().heartbeat()
        first, second = script.times
        assert 0.9 < second - first < 5

    def test_a_wait_beyond_the_cap_is_not_waited(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", 429, {"retry-after": "14400"})
        began = time.monotonic()
        with pytest.raises(RateLimitedError) as caught:
            tiny().heartbeat()
        assert caught.value.retry_after == 14400
        assert time.monotonic() - began < 5
        assert script.counts["/info"] == 1

    def test_a_broken_connection_is_tried_again(self, tiny: Connect) -> None:
        with raw_server(
            lambda number: b"" if number == 0 else b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n9"
        ) as url:
            assert tiny(base_url=url).heartbeat().version == "9"


@contextmanager
def raw_server(answer: Callable[[int], bytes], *, drip: float = 0.0) -> Iterator[str]:
    """A server of bare bytes: reads a request, answers, and closes; with `drip`, a byte every so often."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def handle(connection: socket.socket, number: int) -> None:
            with connection:
                connection.settimeout(5)
                received = b""
                while b"\r\n\r\n" not in received:
                    if not (chunk := connection.recv(65536)):
                        return
                    received += chunk
                data = answer(number)
                step = 1 if drip else max(1, len(data))
                try:
                    for start in range(0, len(data), step):
                        connection.sendall(data[start : start + step])
                        if stop.wait(drip):
                            return
                except OSError:
                    return

        def serve() -> None:
            number = 0
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=handle, args=(connection, number), daemon=True).start()
                number += 1

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


class TestTime:
    def test_a_slow_answer_is_a_timeout(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", wait=30)
        began = time.monotonic()
        with pytest.raises(MdmTimeoutError) as caught:
            tiny(policy={"timeout": 0.3, "attempts": 1}).heartbeat()
        assert time.monotonic() - began < 20
        assert "0.3 s" in str(caught.value)

    def test_the_deadline_covers_the_retries(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", wait=30)
        began = time.monotonic()
        with pytest.raises((DeadlineExceededError, MdmTimeoutError)):
            tiny(policy={"timeout": 0.3, "deadline": 0.7, "attempts": 10}).heartbeat()
        assert time.monotonic() - began < 20

    def test_the_deadline_covers_the_login(self, tiny: Connect, script: Script) -> None:
        script.routes["/token"] = Answer('{"token": "T"}', wait=3)
        with pytest.raises(DeadlineExceededError, match=r"0\.3 s"):
            tiny(login="token", policy={"timeout": 5, "deadline": 0.3}).heartbeat()
        assert script.counts["/info"] == 0

    def test_the_deadline_covers_the_wait_for_a_place(self, tiny: Connect, script: Script) -> None:
        class Narrow(TinyProvider):
            limits = Limits(concurrency=1)

        script.routes["/find"] = Answer("S1", wait=0.4)
        client = tiny(kind=Narrow, policy={"deadline": 0.6, "timeout": 0.55, "attempts": 1})
        client.heartbeat()
        outcomes = client.side_by_side([lambda client: client.lookup(MAC)] * 3)
        assert sum(isinstance(outcome, DeadlineExceededError) for outcome in outcomes) == 2

    def test_a_flow_cannot_outlive_its_deadline(self, tiny: Connect) -> None:
        def flow(provider: TinyProvider) -> Flow[None]:
            while True:
                try:
                    yield from pause(0.1)
                except MdmError:
                    continue

        with pytest.raises(DeadlineExceededError):
            tiny(kind=running(flow), policy={"deadline": 0.35}).heartbeat()

    @pytest.mark.parametrize("part", ["head", "body"])
    def test_a_server_that_drips_is_given_up(self, tiny: Connect, part: str) -> None:
        data = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"x" * 500
        drip = 0.1 if part == "head" else 0.02
        with raw_server(lambda _: data, drip=drip) as url:
            began = time.monotonic()
            with pytest.raises(MdmTimeoutError):
                tiny(base_url=url, policy={"timeout": 1.2, "attempts": 1}).heartbeat()
            assert time.monotonic() - began < 6

    def test_a_refused_connection_says_which(self, tiny: Connect) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(ConnectError, match=rf"127\.0\.0\.1:{port} refused"):
            tiny(base_url=f"http://127.0.0.1:{port}", policy={"attempts": 1}).heartbeat()

    def test_an_unknown_host_says_so(self, tiny: Connect) -> None:
        with pytest.raises(ConnectError, match=r"no-such-host\.invalid is not known"):
            tiny(base_url="https://no-such-host.invalid", policy={"attempts": 1}).heartbeat()

    def test_what_is_not_http_is_no_answer(self, tiny: Connect) -> None:
        with raw_server(lambda _: b"220 mail.example ESMTP\r\n") as url, pytest.raises(ConnectError):
            tiny(base_url=url, policy={"attempts": 1}).heartbeat()


class TestLimits:
    def test_no_more_requests_at_once_than_the_server_bears(self, tiny: Connect, script: Script) -> None:
        class Narrow(TinyProvider):
            limits = Limits(concurrency=3)

        script.routes["/find"] = Answer("S1", wait=0.05)
        client = tiny(kind=Narrow)
        client.heartbeat()
        client.side_by_side([lambda client: client.lookup(MAC)] * 12)
        assert script.most_at_once == 3

    def test_no_faster_than_the_server_bears(self, tiny: Connect, script: Script) -> None:
        class Slow(TinyProvider):
            limits = Limits(rate=20, burst=3)

        client = tiny(kind=Slow)
        client.side_by_side([lambda client: client.lookup(MAC)] * 8)
        spread = max(script.times) - min(script.times)
        assert spread > 5 / 20  # three at once, the other six a twentieth of a second apart
        assert spread < 2

    def test_lanes_have_their_own_rate_and_a_common_one(self, tiny: Connect, script: Script) -> None:
        class Lanes(TinyProvider):
            limits = Limits(rate=5, burst=1, total_rate=50)

            def heartbeat(self) -> Flow[ServerInfo]:
                get = [Request("GET", self.url("/info"), audience=None, lane=lane) for lane in "ababcd"]
                yield from together(*(send(request) for request in get))
                return ServerInfo()

        tiny(kind=Lanes).heartbeat()
        first, *_, last = sorted(script.times)
        assert 0.15 < last - first < 1.0  # two of a lane are a fifth of a second apart, not more

    def test_a_busy_server_is_left_alone(self, tiny: Connect, script: Script) -> None:
        def flow(provider: TinyProvider) -> Flow[None]:
            yield from send(provider.get("/info"))
            yield from pause(1.0, server_wide=True)

        client = tiny(kind=running(flow))
        began = time.monotonic()
        client.heartbeat()
        assert time.monotonic() - began < 0.9
        client.lookup(MAC)
        assert script.times[-1] - began > 0.45


class TestBreaker:
    def test_a_dead_server_is_left_alone_and_tried_again(
        self, tiny: Connect, script: Script, clock: Clock
    ) -> None:
        script.routes["/info"] = Answer("", 500)
        client = tiny(policy={"attempts": 1, "breaker_failures": 3, "breaker_reset": 60})
        for _ in range(3):
            with pytest.raises(ServerError):
                client.heartbeat()
        with pytest.raises(ServerUnavailableError, match="3 failures in a row; next try in") as caught:
            client.heartbeat()
        assert caught.value.server == "tiny"
        assert script.counts["/info"] == 3
        clock.ahead += 61
        with pytest.raises(ServerError):
            client.heartbeat()
        with pytest.raises(ServerUnavailableError):
            client.heartbeat()
        clock.ahead += 61
        script.routes["/info"] = ""
        client.heartbeat()
        client.heartbeat()

    def test_refusals_and_answers_do_not_open_it(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", 404)
        client = tiny(policy={"breaker_failures": 1})
        for _ in range(3):
            with pytest.raises(EndpointNotFoundError):
                client.heartbeat()

    def test_it_can_be_switched_off(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", 500)
        client = tiny(policy={"attempts": 1, "breaker_failures": 0})
        for _ in range(8):
            with pytest.raises(ServerError):
                client.heartbeat()


class TestRedirects:
    def test_the_same_server_may_move_things(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", 302, {"location": "/moved?a=1"})
        script.routes["/moved"] = lambda request: request.url.query
        assert tiny().heartbeat().version == "a=1"
        assert len(script.credentials()) == 2

    @pytest.mark.parametrize(
        "location",
        [
            "https://elsewhere.example/",
            "//elsewhere.example/",
            "http://127.0.0.1:1/",
            "https://127.0.0.1/",
            "ftp://h/",
        ]
        + ["http://[::1", "file:///etc/passwd"],
    )
    def test_another_server_never_sees_the_credential(
        self, tiny: Connect, script: Script, location: str
    ) -> None:
        script.routes["/info"] = Answer("", 302, {"location": location})
        with pytest.raises(RedirectError) as caught:
            tiny().heartbeat()
        assert caught.value.hint
        assert len(script.requests) == 1

    def test_circles_end(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", 307, {"location": "/info"})
        with pytest.raises(RedirectError, match="more than 5 times"):
            tiny().heartbeat()
        assert script.counts["/info"] == 6

    def test_a_post_is_not_turned_into_something_else(self, tiny: Connect, script: Script) -> None:
        script.routes |= {"/token": Answer("", 302, {"location": "/other"}), "/other": '{"token": "T"}'}
        with pytest.raises(RedirectError, match="POST"):
            tiny(login="token").heartbeat()
        script.routes["/token"] = Answer("", 308, {"location": "/other"})
        tiny(login="token").heartbeat()
        assert script.forms[-2]["password"] == SECRET

    @pytest.mark.parametrize(
        "url", ["https://elsewhere.example/next", "http://127.0.0.1:9/next", "http://[::1"]
    )
    def test_a_link_to_another_server_is_not_followed(self, tiny: Connect, url: str) -> None:
        def flow(provider: TinyProvider) -> Flow[None]:
            yield from send(Request("GET", url))

        with pytest.raises(RedirectError):
            tiny(kind=running(flow)).heartbeat()

    def test_a_login_stays_where_it_is(self, tiny: Connect, script: Script) -> None:
        asked: list[str] = []

        class Sharded(TinyProvider):
            def trusts(self, host: str) -> bool:
                asked.append(host)
                return True

        script.routes["/token"] = Answer("", 307, {"location": "https://shard.tiny.example/token"})
        with pytest.raises(RedirectError, match="must not see the credential"):
            tiny(kind=Sharded, login="token").heartbeat()
        assert not asked

    @pytest.mark.parametrize(
        ("location", "place"),
        [
            ("https://Shard.tiny.example/x", "shard.tiny.example"),
            ("https://shard.tiny.example:443/x", "shard.tiny.example"),
            ("https://shard.tiny.example:8443/x", "shard.tiny.example:8443"),
            ("http://shard.tiny.example/x", None),
            ("https://evil%2f.tiny.example/x", None),
            ("https://evil.example\\.tiny.example/x", None),
            ("https://user@shard.tiny.example/x", None),
            ("https://evil.example\\@shard.tiny.example/x", None),
            ("https://shard_1.tiny.example/x", None),
            ("https://shard.tiny.example./x", None),
            ("https://shärd.tiny.example/x", None),
            ("https://[::1]/x", None),
        ],
    )
    def test_what_a_provider_is_asked_about(
        self, tiny: Connect, script: Script, location: str, place: str | None
    ) -> None:
        asked: list[str] = []

        class Sharded(TinyProvider):
            def trusts(self, host: str) -> bool:
                asked.append(host)
                return False

        def flow(provider: TinyProvider) -> Flow[None]:
            yield from send(Request("GET", location))

        script.routes["/info"] = Answer("", 307, {"location": location.encode().decode("latin-1")})
        client = tiny(kind=Sharded)
        with pytest.raises(RedirectError):
            client.heartbeat()
        with pytest.raises(RedirectError):
            tiny(kind=type("Linked", (Sharded, running(flow)), {})).heartbeat()
        assert asked == [place] * 2 * bool(place)

    @pytest.mark.parametrize("odd", ["user@{}", "evil%2f@{}", "evil.example\\@{}"])
    def test_our_own_address_is_taken_only_as_everybody_reads_it(
        self, tiny: Connect, script: Script, origin: str, odd: str
    ) -> None:
        here = origin.partition("://")[2]
        script.routes["/info"] = Answer("", 307, {"location": f"http://{odd.format(here)}/moved"})
        script.routes["/moved"] = ""
        with pytest.raises(RedirectError):
            tiny().heartbeat()

    def test_a_host_that_merely_begins_like_ours_is_another(self, tiny: Connect, origin: str) -> None:
        def flow(provider: TinyProvider) -> Flow[None]:
            yield from send(Request("GET", f"{origin}@elsewhere.example/"))

        with pytest.raises(RedirectError):
            tiny(kind=running(flow)).heartbeat()


class TestBodies:
    def test_compressed_answers_are_read(self, tiny: Connect, script: Script) -> None:
        for encoding, data in (
            ("gzip", gzip.compress(b"7.1")),
            ("deflate", zlib.compress(b"7.1")),
            ("identity", b"7.1"),
        ):
            script.routes["/info"] = Answer(data, headers={"content-encoding": encoding})
            assert tiny().heartbeat().version == "7.1"

    def test_only_what_can_be_measured_is_asked_for(self, tiny: Connect, script: Script) -> None:
        tiny().heartbeat()
        assert script.requests[0].headers["accept-encoding"] == "gzip, deflate"
        assert script.requests[0].headers["user-agent"].startswith("mdmsdk/")

    @pytest.mark.parametrize("compressed", [True, False])
    def test_a_body_has_a_largest_size(self, tiny: Connect, script: Script, compressed: bool) -> None:
        data = b"\0" * 2_000_000
        headers = {"content-encoding": "gzip"} if compressed else {}
        script.routes["/info"] = Answer(gzip.compress(data) if compressed else data, headers=headers)
        with pytest.raises(ResponseTooLargeError, match="1,000,000 bytes"):
            tiny(policy={"max_body": 1_000_000}).heartbeat()
        assert len(tiny(policy={"max_body": 2_000_000}).heartbeat().version) == 2_000_000

    def test_encodings_that_were_not_asked_for_are_refused(self, tiny: Connect, script: Script) -> None:
        for encoding in ("br", "gzip, gzip", "zstd"):
            script.routes["/info"] = Answer(b"x", headers={"content-encoding": encoding})
            with pytest.raises(ProtocolError, match="encoding"):
                tiny().heartbeat()

    def test_broken_compression_is_no_answer(self, tiny: Connect, script: Script) -> None:
        whole = gzip.compress(b"some text that is long enough to be cut")
        for data in (b"no gzip at all", whole[:-12], whole[:5]):
            script.routes["/info"] = Answer(data, headers={"content-encoding": "gzip"})
            with pytest.raises(MalformedResponseError, match="compressed"):
                tiny().heartbeat()

    def test_a_body_that_ends_early_is_no_answer(self, tiny: Connect) -> None:
        with (
            raw_server(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") as url,
            pytest.raises(ConnectError, match="broke"),
        ):
            tiny(base_url=url, policy={"attempts": 1}).heartbeat()

    def test_cookies_stay_with_the_client(self, tiny: Connect, script: Script) -> None:
        script.routes["/info"] = Answer("", headers={"set-cookie": "node=7; Path=/"})
        client = tiny()
        client.heartbeat()
        client.lookup(MAC)
        tiny().heartbeat()
        assert [request.headers.get("cookie") for request in script.requests] == [None, "node=7", None]


class TestSteps:
    def test_together_keeps_the_order_and_saves_time(self, tiny: Connect, script: Script) -> None:
        script.routes |= {
            f"/{name}": Answer(name, wait=wait) for name, wait in (("a", 0.6), ("b", 0.3), ("c", 0.4))
        }
        info = tiny(kind=running(lambda provider: provider.fan_out(["/a", "/b", "/c"]))).heartbeat()
        assert info.extra["result"] == ["a", "b", "c"]
        assert script.most_at_once > 1

    def test_the_first_failure_ends_the_others(self, tiny: Connect, script: Script) -> None:
        script.routes |= {"/a": Answer("", 403, wait=0.1), "/b": Answer("", wait=0.3), "/late": ""}

        def slow(provider: TinyProvider) -> Flow[str]:
            yield from send(provider.get("/b"))
            return (yield from send(provider.get("/late"))).text

        def flow(provider: TinyProvider) -> Flow[Any]:
            return together(slow(provider), provider.fan_out(["/a"]))

        with pytest.raises(MdmError, match="403"):
            tiny(kind=running(flow)).heartbeat()
        assert script.counts["/late"] == 0

    def test_a_flow_may_go_on_after_a_failure(self, tiny: Connect, script: Script) -> None:
        def flow(provider: TinyProvider) -> Flow[str]:
            try:
                return (yield from send(provider.get("/missing"))).text
            except EndpointNotFoundError:
                return (yield from send(provider.get("/find"))).text

        assert tiny(kind=running(flow)).heartbeat().extra["result"] == "S1"

    def test_a_blocking_library_is_called(self, tiny: Connect) -> None:
        def flow(provider: TinyProvider) -> Flow[str]:
            return call(lambda: threading.current_thread().name)

        client = tiny(kind=running(flow))
        name = client.heartbeat().extra["result"]
        assert (name == threading.current_thread().name) == (client.mode == "sync")

    def test_a_library_that_fails_is_no_answer(self, tiny: Connect) -> None:
        def broken() -> None:
            raise KeyError(SECRET)

        def flow(provider: TinyProvider) -> Flow[None]:
            return call(broken)

        with pytest.raises(ProtocolError, match="KeyError") as caught:
            tiny(kind=running(flow)).heartbeat()
        assert SECRET not in str(caught.value)

    def test_a_provider_that_stumbles_is_no_answer(self, tiny: Connect, script: Script) -> None:
        def flow(provider: TinyProvider) -> Flow[Any]:
            answer = yield from send(provider.get("/info"))
            return json.loads(answer.text)["secret"]

        script.routes["/info"] = json.dumps({"other": SECRET})
        with pytest.raises(MalformedResponseError, match="KeyError") as caught:
            tiny(kind=running(flow)).heartbeat()
        assert caught.value.server == "tiny"
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("status", [200, 500])
    def test_every_flow_is_closed(self, tiny: Connect, script: Script, status: int) -> None:
        closed = []

        def flow(provider: TinyProvider) -> Flow[None]:
            try:
                yield from send(provider.get("/info"))
                yield from send(provider.get("/missing"))
            finally:
                closed.append(status)

        script.routes["/info"] = Answer("", status)
        with pytest.raises(MdmError):
            tiny(kind=running(flow), policy={"attempts": 1}).heartbeat()
        assert closed == [status]


class TestCancellation:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_cancelling_closes_flow_and_connection_and_the_client_goes_on(
        self, origin: str, script: Script, backend: str
    ) -> None:
        closed: list[str] = []

        class Closing(TinyProvider):
            def find(self, info: ServerInfo, key: Any) -> Flow[Any]:
                try:
                    return (yield from super().find(info, key))
                finally:
                    closed.append(key.value)

        async def main() -> None:
            async with AsyncMdmClient(Closing(TinySettings(base_url=origin)), server="tiny") as client:
                await client.heartbeat()
                script.routes["/find"] = Answer("S1", wait=5)
                with anyio.move_on_after(0.3) as scope:
                    await client.lookup(MAC)
                assert scope.cancelled_caught
                assert closed == [MAC]
                script.routes["/find"] = "S2"
                found = await client.lookup(MAC)
                assert found is not None
                assert found.serial_number == "S2"

        anyio.run(main, backend=backend)

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_a_cancelled_login_leaves_the_way_free(self, origin: str, script: Script, backend: str) -> None:
        async def main() -> None:
            settings = TinySettings(base_url=origin, login="token")
            async with AsyncMdmClient(TinyProvider(settings), server="tiny") as client:
                script.routes |= {"/token": Answer('{"token": "T"}', wait=5), "/logout": ""}
                with anyio.move_on_after(0.2):
                    await client.heartbeat()
                script.routes["/token"] = '{"token": "T"}'
                await client.heartbeat()

        anyio.run(main, backend=backend)


class TestLogging:
    def test_the_debug_log_tells_what_was_exchanged_and_no_secret(
        self, tiny: Connect, script: Script, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        script.routes |= {"/token": json.dumps({"token": "issued-" + SECRET}), "/logout": ""}
        client = tiny(login="token")
        client.lookup(MAC)
        client.close()
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("mdmsdk")]
        assert any("GET " in line and "/find?mac=... -> 200" in line for line in ours)
        assert SECRET not in caplog.text


class TestGivenClient:
    def test_an_application_may_bring_its_own_http_client(
        self, tiny: Connect, mdm_mode: str, script: Script
    ) -> None:
        kind = lib.Client if mdm_mode == "sync" else lib.AsyncClient
        own = kind(headers={"X-Own": "yes"}, follow_redirects=True)
        client = tiny(http=own)
        client.lookup(MAC)
        assert script.requests[0].headers["x-own"] == "yes"
        script.routes["/find"] = Answer("", 302, {"location": "https://elsewhere.example/"})
        with pytest.raises(RedirectError):
            client.lookup(MAC)
        sync = mdm_mode == "sync"
        client.run(client.wrapped.close if sync else client.wrapped.aclose)
        assert not own.is_closed
        client.run(own.close if sync else own.aclose)


class TestPolicies:
    limits: ClassVar = Limits()

    def test_another_policy_shares_everything_else(self, tiny: Connect, script: Script) -> None:
        script.routes["/token"] = '{"token": "T"}'
        client = tiny(login="token")
        client.heartbeat()
        hasty = client.with_policy(timeout=0.2, attempts=1)
        hasty.lookup(MAC)
        assert script.counts == {"/token": 1, "/info": 1, "/find": 1}
        script.routes["/find"] = Answer("S1", wait=0.5)
        with pytest.raises(MdmTimeoutError):
            hasty.lookup(MAC)
        assert client.lookup(MAC) is not None

    def test_a_policy_is_checked(self, tiny: Connect) -> None:
        with pytest.raises(MdmError, match="timeuot is not known, is timeout meant"):
            tiny().with_policy(timeuot=1)


def test_a_token_may_put_itself_anywhere(tiny: Connect, script: Script) -> None:
    class Keyed(TinyProvider):
        def authorize(self, request: Request, token: Token) -> Request:
            return request.with_headers({"X-Key": token.value})

    tiny(kind=Keyed).heartbeat()
    assert "x-key" in script.requests[0].headers
    assert not script.credentials()


class TestProvidersThatStumble:
    """Whatever a provider's own methods raise is an error of ours, with nothing of the answer in it."""

    def test_over_an_answer(self, tiny: Connect) -> None:
        class Checking(TinyProvider):
            def check(self, response: Response) -> Response:
                raise KeyError(response.text)

        with pytest.raises(MalformedResponseError, match=r"could not make sense .*\(KeyError\)"):
            tiny(kind=Checking).heartbeat()

    def test_over_a_credential(self, tiny: Connect) -> None:
        class Authorizing(TinyProvider):
            def authorize(self, request: Request, token: Token) -> Request:
                raise ValueError(token.value)

        with pytest.raises(PluginError, match=r"authorize\(\) failed .*\(ValueError\)") as caught:
            tiny(kind=Authorizing).heartbeat()
        assert basic_token("tiny", SECRET).value not in str(caught.value)


class TestStatuses:
    """Only 200 is an answer, and 204 where a provider says that the vendor documents it."""

    @pytest.mark.parametrize("status", [201, 202, 203, 205, 206, 226, 299])
    def test_another_success_is_no_whole_answer(self, tiny: Connect, script: Script, status: int) -> None:
        class Trusting(TinyProvider):
            def check(self, response: Response) -> Response:
                return response

        script.routes["/find"] = Answer("S1", status)
        for kind in (TinyProvider, Trusting):
            with pytest.raises(ProtocolError, match=f"status {status} .* is no whole answer"):
                tiny(kind=kind).lookup(MAC)

    def test_nothing_is_an_answer_only_where_the_vendor_says_so(self, tiny: Connect, script: Script) -> None:
        class Documented(TinyProvider):
            def check(self, response: Response) -> Response:
                return check_status(response, may_be_empty=response.url.partition("?")[0].endswith("/find"))

        script.routes["/find"] = Answer("", 204)
        assert tiny(kind=Documented).lookup(MAC) is None
        with pytest.raises(ProtocolError, match=r"status 204 .* is no whole answer"):
            tiny().lookup(MAC)


class TestLargeAnswers:
    """They are read in a thread, while the event loop goes on, and within the deadline."""

    def reading(self, work: Callable[[], Any]) -> type[TinyProvider]:
        def flow(provider: TinyProvider) -> Flow[Any]:
            answer = yield from send(provider.get("/large"))
            work()
            return len(answer.body)

        return running(flow)

    def test_the_event_loop_goes_on(self, tiny: Connect, script: Script, mdm_mode: str) -> None:
        script.routes["/large"] = b"x" * 300_000
        where: list[int] = []
        kind = self.reading(lambda: where.append(threading.get_ident()))
        client = tiny(kind=kind)
        assert client.heartbeat().extra["result"] == 300_000
        [here] = where
        event_loop = threading.get_ident() if mdm_mode == "sync" else client.run(ident)
        assert (here == event_loop) == (mdm_mode == "sync")

    def test_the_deadline_counts(self, tiny: Connect, script: Script) -> None:
        script.routes["/large"] = b"x" * 300_000
        client = tiny(kind=self.reading(lambda: time.sleep(0.6)), policy={"deadline": 0.5})
        with pytest.raises(DeadlineExceededError):
            client.heartbeat()

    def test_what_a_flow_stumbles_over_there_is_an_error_of_ours(self, tiny: Connect, script: Script) -> None:
        script.routes["/large"] = b"x" * 300_000
        with pytest.raises(MalformedResponseError, match="ZeroDivisionError"):
            tiny(kind=self.reading(lambda: 1 // 0)).heartbeat()


async def ident() -> int:
    return threading.get_ident()
