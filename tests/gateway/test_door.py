"""Who is let in, and what bad requests get: an error in the face's own format that gives nothing away."""

from __future__ import annotations

import contextlib
import json
import socket
from http.client import HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from mdmsdk.client.build import checked
from mdmsdk.errors import ConfigurationError
from mdmsdk.gateway import GatewaySettings, app
from mdmsdk.gateway.access import Access, Refusal
from mdmsdk.testing import FakeAsyncMdmFederation
from tests.gateway.conftest import KEY, LOGIN, MAC, SETTINGS, device

if TYPE_CHECKING:
    from tests.gateway.conftest import Faces, Open

BARE = MAC.replace(":", "")
MDMINFO = "/ciscoise/mdminfo/?ise_api_version=3"


@pytest.fixture
def faces(gateway: Open) -> Faces:
    opened: Faces = gateway({"one": [device()]})
    return opened


@pytest.mark.parametrize(
    "auth", [None, ("controller", "wrong-password!!"), ("Controller", LOGIN[1]), ("", ""), ("controller", "")]
)
def test_wrong_credentials_of_a_controller(faces: Faces, auth: tuple[str, str] | None) -> None:
    answer = httpx.get(faces.origin + MDMINFO, auth=auth)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert LOGIN[1] not in answer.text


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer \xff\xfe"],
)
def test_wrong_keys(faces: Faces, header: str) -> None:
    raw = {b"Authorization": header.encode("latin-1")} if header else {}
    answer = httpx.get(f"{faces.origin}/v1/servers", headers=raw)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 401


def test_a_key_is_for_its_scopes_alone(gateway: Open) -> None:
    keys = [{**SETTINGS["rest"]["keys"][0], "scopes": ["lookup"]}]
    faces: Faces = gateway({"one": [device()]}, rest={"keys": keys})
    assert faces.rest.get(f"/v1/devices/mac/{MAC}").status_code == 200
    for path in ("/v1/noncompliant", "/v1/devices", "/v1/servers"):
        assert faces.rest.get(path).status_code == 403


def test_a_face_that_is_off_is_not_there(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, ise=None)
    assert faces.ise.get(MDMINFO).status_code == 404
    faces = gateway({"one": [device()]}, rest=None)
    assert faces.rest.get("/v1/servers").status_code == 404


def test_who_guesses_is_slowed_down(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, failed_logins=3)
    said = [httpx.get(faces.origin + MDMINFO, auth=("controller", f"guess-{n}-guess")) for n in range(5)]
    assert [answer.status_code for answer in said] == [401, 401, 401, 429, 429]
    assert int(said[-1].headers["Retry-After"]) > 0
    # The right password tells nothing to one who guesses, either.
    assert faces.ise.get(MDMINFO).status_code == 429


def test_each_client_waits_for_itself_and_no_longer_than_it_has_to() -> None:
    now = [0.0]
    access = Access(GatewaySettings.model_validate({**SETTINGS, "rate": 1}), lambda: now[0])
    for _ in range(10):
        access.admit("192.0.2.1")
    with pytest.raises(Refusal) as refused:
        access.admit("192.0.2.1")
    assert refused.value.status == 429
    access.admit("192.0.2.2")
    now[0] += 1.0
    access.admit("192.0.2.1")


@pytest.mark.parametrize(
    ("client", "other", "one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("64:ff9b::192.0.2.1", "192.0.2.1", True),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:DB8:0:0::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("somebody", "else", False),
        ("", "127.0.0.1", False),
    ],
)
def test_whoever_has_a_network_is_one_client(client: str, other: str, one: bool) -> None:
    access = Access(GatewaySettings.model_validate({**SETTINGS, "failed_logins": 1, "rate": 0.1}))
    limits = {401: lambda who: access.basic(who, "Basic YTpi"), 429: access.admit}
    for guess in limits.values():
        with contextlib.suppress(Refusal):
            guess(client)
    for status, guess in limits.items():
        told = 200
        try:
            guess(other)
        except Refusal as refused:
            told = refused.status
        assert told == (429 if one else {401: 401, 429: 200}[status])


def test_clients_behind_a_proxy_are_told_apart(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, failed_logins=2, proxies=["127.0.0.1", "10.0.0.0/8"])
    guess = ("controller", "guess-guess-guess")

    def asked(*forwarded: str, auth: tuple[str, str] = guess) -> int:
        headers = [("X-Forwarded-For", one) for one in forwarded]
        return httpx.get(faces.origin + MDMINFO, auth=auth, headers=headers).status_code

    assert [asked("192.0.2.1") for _ in range(3)] == [401, 401, 429]
    # What the client itself wrote stands before, and what proxies add, comes after.
    assert asked("127.0.0.1, 192.0.2.1", "10.1.2.3") == 429
    assert asked("192.0.2.1:4711") == 429
    assert asked("192.0.2.2") == 401
    assert asked("192.0.2.1", auth=LOGIN) == 429
    assert asked("192.0.2.2", auth=LOGIN) == 200
    assert [asked(f"[2001:db8::{number}]:1") for number in range(3)] == [401, 401, 429]
    # Without a word, or with one that is no address, it is the proxy.
    assert [asked(), asked("nonsense"), asked("")] == [401, 401, 429]


def test_nobody_says_who_he_is_unless_a_proxy_is_named(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, failed_logins=2)
    said = [
        httpx.get(faces.origin + MDMINFO, headers={"X-Forwarded-For": f"192.0.2.{number}"}).status_code
        for number in range(3)
    ]
    assert said == [401, 401, 429]


@pytest.mark.parametrize(
    ("client", "allowed"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.2.0.1", False), ("2001:db8::1", False), ("", False)],
)
def test_networks(client: str, allowed: bool) -> None:
    access = Access(GatewaySettings(networks=("10.1.0.0/16",)))
    if allowed:
        access.admit(client)
        return
    with pytest.raises(Refusal) as refused:
        access.admit(client)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    ("criterion", "value", "more"),
    [
        ("macaddress", "00:1B", {}),
        ("macaddress", "", {}),
        ("macaddress", "../../etc/passwd", {}),
        ("serialnumber", "X", {}),
        ("compliance", "maybe", {}),
        ("macaddress", BARE, {"filter": "secrets"}),
        ("macaddress", BARE, {"deviceidentifier": "guid"}),
        ("compliance", "false", {"deviceidentifier": "imei"}),
        ("macaddress", BARE, {"another": "1"}),
        ("guid", "0" * 32, {}),
    ],
)
def test_bad_questions_of_a_controller(
    faces: Faces, criterion: str, value: str, more: dict[str, str]
) -> None:
    answer = faces.ask(3, criterion, value, **more)
    assert answer.status_code == 400
    assert "ise_api" not in answer.text
    assert value not in answer.text or value in {"", "X", "true", "false"}


@pytest.mark.parametrize(
    "path",
    [
        "/ciscoise/mdmapi/v4/devices/",
        "/ciscoise/mdmapi/v3/batchdevices/",
        f"/ciscoise/mdmapi/v{'9' * 5000}/devices/",
        "/ciscoise/",
        "/..%2f..%2fetc/passwd",
    ],
)
def test_paths_that_are_not_there(faces: Faces, path: str) -> None:
    answer = faces.ise.get(
        path, params={"paging": "0", "querycriteria": "macaddress", "value": BARE, "filter": "all"}
    )
    assert answer.status_code in {404, 405}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"chain": []}',
        b'{"chain": ["x"], "keys": ["y"]}',
        b'{"chain": ["no key at all"]}',
        b'{"chain": ["mac:00:1B:44:11:3A:B7"], "deadline": -1}',
        b'{"chain": ["mac:00:1B:44:11:3A:B7"], "max_age": NaN}',
        b'{"chain": ["mac:00:1B:44:11:3A:B7"], "servers": ["nobody"]}',
        b'{"chain": ["mac:00:1B:44:11:3A:B7"], "unknown": 1}',
        b"\xff",
        json.dumps({"keys": ["x"] * 10_001}).encode(),
    ],
)
def test_bad_questions_of_a_program(faces: Faces, body: bytes) -> None:
    answer = faces.rest.post("/v1/lookup", content=body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= answer.json().keys()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/servers?server=one", {}, 400),
        ("GET", "/v1/devices?servers=one&servers=two", {}, 400),
        ("GET", f"/v1/devices/mac/{MAC}?fresh=yes", {}, 400),
        ("GET", f"/v1/devices/mac/{MAC}?deadline=null", {}, 400),
        ("POST", "/v1/lookup?fresh=true", {}, 400),
        ("POST", "/v1/servers", {}, 405),
        ("DELETE", "/healthz", {}, 405),
        ("GET", "/v1/lookup", {}, 405),
        ("GET", "/v1/servers/", {}, 404),
        ("GET", "//v1/servers", {}, 404),
        ("GET", "/v1/devices/mac/..%2f..%2fservers", {}, 400),
        ("GET", "/v1/devices/mac/%ff%00", {}, 400),
        ("GET", "/v1/../healthz", {}, 404),
        ("GET", "/healthz", {"X-Long": "x" * 100_000}, 431),
        ("GET", "/healthz", {"Content-Length": "-1"}, 400),
    ],
)
def test_what_is_wrong_is_a_problem_with_a_hint(
    faces: Faces, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    place = urlsplit(faces.origin)
    lines = {"Host": "x", "Authorization": f"Bearer {KEY}", "Connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60) as wire:
        wire.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        answer = HTTPResponse(wire)
        answer.begin()
        problem = json.loads(answer.read())
    assert answer.status == problem["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert problem["hint"]
    assert (status == 405) is ("Allow" in answer.headers)


def test_below_another_application_faces_are_the_same() -> None:
    federation = FakeAsyncMdmFederation({"one": [device()]})
    inner = app(federation, GatewaySettings.model_validate({**SETTINGS, "networks": ["192.0.2.1"]}))
    outer = Starlette(routes=[Mount("/door", app=inner)])

    async def ask(path: str, client: str) -> httpx.Response:
        transport = httpx.ASGITransport(outer, client=(client, 1))
        async with federation, inner.lifespan(), httpx.AsyncClient(transport=transport) as http:
            return await http.get(f"http://gateway/door{path}")

    told = anyio.run(ask, MDMINFO, "192.0.2.1")
    assert (told.status_code, told.headers["Content-Type"]) == (401, "text/plain; charset=utf-8")
    assert anyio.run(ask, "/v1/servers", "192.0.2.1").status_code == 401
    assert anyio.run(ask, "/healthz", "127.0.0.1").status_code == 200  # of this machine


def test_a_body_over_the_limit(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, max_body=1000)
    assert faces.rest.post("/v1/lookup", content=b" " * 1001).status_code == 413
    pieces = (b" " * 100 for _ in range(100))
    assert faces.rest.post("/v1/lookup", content=pieces).status_code == 413


def test_a_body_that_does_not_come(gateway: Open) -> None:
    faces: Faces = gateway({"one": [device()]}, deadline=0.2)
    place = urlsplit(faces.origin)
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60) as wire:
        head = (
            f"POST /v1/lookup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 9\r\n\r\n"
        )
        wire.sendall(head.encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 408 ")
    assert faces.rest.get("/healthz").status_code == 200


def test_every_answer_says_how_to_be_read_and_no_version(faces: Faces) -> None:
    for answer in (faces.rest.get("/healthz"), faces.ise.get(MDMINFO), faces.rest.get("/nowhere")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "wrong",
    [
        {"listen": "0.0.0.0:80"},
        {"listen": "192.0.2.1:80"},
        {"listen": "nowhere"},
        {"listen": "127.0.0.1:99999"},
        {"networks": ["10.1.2.3/8"]},
        {"ise": {"username": "a:b", "password": "long-enough-password"}},
        {"ise": {"username": "a", "password": "short"}},
        {"ise": {"username": "a", "password": "long-enough-password", "instance": "no-slash"}},
        {"rest": {"keys": []}},
        {"rest": {"keys": [{"name": "x", "sha256": "ab"}]}},
    ],
)
def test_settings_that_open_a_door_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked(GatewaySettings, wrong, "gateway")
    assert "long-enough-password" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rest": {"keys": [{"name": "x", "sha256": KEY}]}}, "--new-key"),
        ({"rest": {"keys": [{"name": "x"}]}}, "rest.keys.0.sha256 is missing"),
        ({"rest": {"keys": "x"}}, "rest.keys: a list is wanted"),
        ({"ise": {"username": "a", "password": "long-enough-1", "instance": "door"}}, "such as /door"),
        ({"proxies": "127.0.0.1"}, "proxies: a list is wanted"),
        ({"metrics": "key"}, 'metrics = "key" wants a key'),
        ({"overrides": [{"until": "2030-01-31T18:00:00"}]}, "an offset are wanted"),
        ({"audit": {"file": "x"}}, "hash_key is wanted"),
        ({"isse": {}}, "is ise meant?"),
        ({"listen": "0.0.0.0:80"}, "not usable: listening on 0.0.0.0 needs the table tls"),
    ],
)
def test_what_is_wrong_with_settings_is_told_in_words_for_people(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked(GatewaySettings, wrong, "gateway")
    said = caught.value.message
    assert told in said
    assert KEY not in said
    # Neither the words of Python, nor what follows from a mistake besides it.
    assert not [word for word in ("Tuple", "tuple", "Input should", "pattern", "all:") if word in said]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"key": f"mac:{MAC}"}, "key is not known, is keys meant?"),
        ({"keys": f"mac:{MAC}"}, "keys: a list is wanted"),
        ({"keys": [f"mac:{MAC}"], "fresh": "yes"}, "fresh: true or false is wanted"),
        ({}, "either chain or keys is wanted"),
    ],
)
def test_a_program_is_told_what_to_ask(faces: Faces, asked: dict[str, object], told: str) -> None:
    assert told in faces.rest.post("/v1/lookup", json=asked).json()["hint"]


def test_who_is_not_let_in_learns_how(faces: Faces) -> None:
    said = httpx.get(f"{faces.origin}/v1/servers").json()
    assert "Authorization: Bearer KEY" in said["hint"]
    assert faces.rest.get("/v1/device").json()["detail"] == "there is nothing at this path"
