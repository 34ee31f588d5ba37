"""What does not keep to HTTP, or to its manners: one clear answer that gives nothing away."""

from __future__ import annotations

import base64
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from mdmsdk.testing import FakeAsyncMdmFederation
from tests.gateway.conftest import KEY, LOGIN, MAC, Faces, device, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

BASIC = "Authorization: Basic " + base64.b64encode(":".join(LOGIN).encode()).decode()
BEARER = f"Authorization: Bearer {KEY}"
LOOKUP = f'{{"chain": ["mac:{MAC}"]}}'.encode()
GIVEN_AWAY = re.compile(rf"Traceback|\.py\b|mdmsdk\.|starlette|uvicorn|{LOGIN[1]}|{KEY}|root:", re.IGNORECASE)


@pytest.fixture(scope="module")
def faces() -> Iterator[Faces]:
    limits = {"max_body": 2000, "failed_logins": 1000, "deadline": 2}
    with serving(lambda: FakeAsyncMdmFederation({"one": [device()]}), limits) as origin:
        opened = Faces(origin)
        yield opened
        opened.close()


def said(faces: Faces, *pieces: bytes) -> bytes:
    """All that comes for some bytes, until the gateway closes the connection."""
    place = urlsplit(faces.origin)
    came = b""
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60) as wire:
        try:
            for piece in pieces:
                wire.sendall(piece)
            while got := wire.recv(65536):
                came += got
        except ConnectionError:  # it closed while bytes were on their way
            pass
    assert not GIVEN_AWAY.search(came.decode("latin-1"))
    return came


def statuses(came: bytes) -> list[int]:
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", came)]


def request(line: str, *headers: str, body: bytes = b"", host: bool = True) -> bytes:
    lines = [line, *(["Host: gateway"] if host else []), *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


POST = "POST /v1/lookup HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(LOOKUP), LOOKUP)
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
LENGTH = f"Content-Length: {len(LOOKUP)}"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("GET /healthz HTTP/1.0"), 200),
        (request("GET /healthz HTTP/1.0", host=False), 200),
        (request("GET /healthz HTTP/1.1", host=False), 400),
        (request("GET /healthz HTTP/1.1", "Host: another"), 400),
        (request("GET /healthz HTTP/9.9"), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),  # TLS, where there is none
        (b"GET /healthz\r\n\r\n", 400),
        (request("GET /healthz HTTP/1.1", "Bad Header: 1"), 400),
        (request("GET /healthz HTTP/1.1", "X: a\x00b"), 400),
        (request("GET /health\x00z HTTP/1.1"), 400),
        (request("GET /health\xe9 HTTP/1.1"), 400),
        (request("GET /healthz HTTP/1.1", f"X: {'a' * 400_000}"), 431),
        (request("GET /healthz HTTP/1.1", *(f"X-{number}: a" for number in range(50_000))), 431),
        (request(f"GET /{'a' * 400_000} HTTP/1.1"), 431),
        (request("GET /healthz HTTP/1.1", "Connection: upgrade", "Upgrade: websocket"), 200),
        # Bodies whose end two programs may see in two places.
        (request(POST, BEARER, LENGTH, body=LOOKUP), 200),
        (request(POST, BEARER, CHUNKED, body=IN_CHUNKS), 200),
        (request(POST, BEARER, LENGTH, LENGTH, body=LOOKUP), 200),
        (request(POST, BEARER, LENGTH, "Content-Length: 5", body=LOOKUP + SMUGGLED), 400),
        (request(POST, BEARER, "Content-Length: 1, 2", body=LOOKUP), 400),
        (request(POST, BEARER, "Content-Length: +30", body=LOOKUP), 400),
        (request(POST, BEARER, "Content-Length: -1", body=LOOKUP), 400),
        (request(POST, BEARER, "Content-Length: 0x20", body=LOOKUP), 400),
        (request(POST, BEARER, f"Content-Length: {'9' * 500}", body=LOOKUP), 400),
        (request(POST, BEARER, "Content-Length: 4", CHUNKED, body=IN_CHUNKS + SMUGGLED), 400),
        (request(POST, BEARER, CHUNKED, CHUNKED, body=IN_CHUNKS), 501),
        (request(POST, BEARER, "Transfer-Encoding: chunked, identity", body=IN_CHUNKS), 501),
        (request(POST, BEARER, "Transfer-Encoding: xchunked", body=IN_CHUNKS), 501),
        (request(POST, BEARER, "Transfer-Encoding : chunked", body=IN_CHUNKS), 400),
        (request(POST, BEARER, "X: a\r\n Transfer-Encoding: chunked", LENGTH, body=LOOKUP), 200),
        (request("POST /v1/lookup HTTP/1.0", BEARER, CHUNKED, body=IN_CHUNKS), 400),
        (request(POST, BEARER, CHUNKED, body=b"fffffffffffffffffffffff\r\n"), 400),
        (request(POST, BEARER, CHUNKED, body=b"-1\r\n\r\n"), 400),
        (request(POST, BEARER, CHUNKED, body=b"5;" + b"x" * 40_000 + b"\r\nhello\r\n0\r\n\r\n"), 400),
        # More than is taken, told or not.
        (request(POST, BEARER, "Content-Length: 2001", body=b" " * 2001), 413),
        (request(POST, BEARER, "Content-Length: 99999999999"), 413),
        (request(POST, BEARER, CHUNKED, body=b"7d1\r\n" + b" " * 2001 + b"\r\n0\r\n\r\n"), 413),
        (request(POST, BEARER, CHUNKED, body=b"1\r\n \r\n" * 3000 + b"0\r\n\r\n"), 413),
        (request("BREW /v1/servers HTTP/1.1", BEARER), 405),
        (request("TRACE /healthz HTTP/1.1"), 405),
        (request("CONNECT 127.0.0.1:22 HTTP/1.1"), 404),
        (request("OPTIONS * HTTP/1.1"), 404),
        (request("GET http://169.254.169.254/latest/ HTTP/1.1"), 404),
        (request("POST /ciscoise/mdminfo/ HTTP/1.1", BASIC), 405),
    ],
    ids=lambda value: value if isinstance(value, int) else re.sub(rb"[^\w /:.,;-]", b"", value[:90]).decode(),
)
def test_one_answer_and_the_end(faces: Faces, sent: bytes, status: int) -> None:
    assert statuses(said(faces, sent)) == [status]
    assert faces.rest.get("/v1/servers").status_code == 200


@pytest.mark.parametrize(
    ("lines", "answered", "status"),
    [
        # While the body is awaited, while the answer is made, and after it.
        ([POST, "Host: gateway", BEARER, CHUNKED], False, 400),
        ([f"GET /v1/devices/mac/{MAC} HTTP/1.1", "Host: gateway", BEARER, CHUNKED], False, 400),
        ([POST, "Host: gateway", CHUNKED], True, 401),
    ],
)
def test_a_broken_body_gets_one_answer_and_no_fault_in_the_log(
    faces: Faces, caplog: pytest.LogCaptureFixture, lines: list[str], answered: bool, status: int
) -> None:
    """Whether it is noticed before the answer or after it, by whoever sends it, without credentials."""
    place, came = urlsplit(faces.origin), b""
    head = "\r\n".join([*lines, "", ""]).encode()
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60) as wire:
        wire.sendall(head if answered else head + b"no chunk\r\n")
        while answered and b"}" not in came:
            came += wire.recv(65536)
        if answered:
            wire.sendall(b"no chunk\r\n")
        while got := wire.recv(65536):
            came += got
    assert statuses(came) == [status]
    assert faces.rest.get("/healthz").status_code == 200  # and what the first one was is done with
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []


def test_pipelined_requests_are_answered_in_order(faces: Faces) -> None:
    first = f"GET /v1/devices/mac/{MAC} HTTP/1.1\r\nHost: gateway\r\n{BEARER}\r\n\r\n".encode()
    wrong = b"GET /v1/servers HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer wrong\r\n\r\n"
    came = said(faces, first + wrong + SMUGGLED + request("GET /nowhere HTTP/1.1"))
    assert statuses(came) == [200, 401, 200, 404]


def test_a_body_is_called_for_only_where_it_is_wanted(faces: Faces) -> None:
    expect = "Expect: 100-continue"
    assert statuses(said(faces, request(POST, BEARER, LENGTH, expect), LOOKUP)) == [100, 200]
    assert statuses(said(faces, request(POST, LENGTH, expect))) == [401]
    assert statuses(said(faces, request(POST, BEARER, "Content-Length: 2001", expect))) == [413]


REST_TRICKS = """
/v1/../v1/servers       /v1/./servers           //v1/servers            /v1//servers
/v1/servers/            /v1/servers%00          /v1/servers%20          /V1/servers
/v1/servers;a=b         /v1/servers#a           /v1/servers%3fa=b       /v1/servers%23
/v1%2fservers           /v1%2Fservers           /v1%252fservers         %2fv1%2fservers
/%2fv1/servers          /%761/servers           /v1/%73ervers           /v1/server%73
/v1/%73ervers%2f..      /v1/servers%2f          /v1%2f%2e%2e%2fv1/servers
/%2e/v1/servers         /%2e%2e/v1/servers      /x/%2e%2e/v1/servers    /x/../v1/servers
/v1/%c0%afservers       /v1%c0%afservers        /v1%e0%80%afservers     /v1/%c1%b3ervers
/v1%5cservers           /v1\\servers             /\\v1/servers           /v1/..%5cservers
/v1/%                   /v1/servers%            /v1/servers%zz          /v1%ef%bc%8fservers
/v1/devices/mac/        /v1/devices/mac/%00     /v1/devices/mac/MAC%00  /v1/devices/mac/MAC/
/v1/devices/mac//MAC    /v1/devices//mac/MAC    /v1/devices%2fmac/MAC   /v1/devices/mac%2fMAC
/v1/devices/m%61c/MAC   /v1/device%73/mac/MAC   /v1/devices/mac/MAC;a   /v1/devices/mac/MAC%0a
/v1/devices/mac/MAC/../../servers               /v1/devices/mac/MAC%2f..%2f..%2fservers
/v1/devices/mac/%30%30%2531                     /v1/devices/id/%2e%2e   /v1/devices/id/..
/v1/devices/id/..%2fx   /v1/devices/id/a%5c..%5cx                       /v1/devices/username/%2e
/v1/devices/id/a%00b    /v1/devices/hostname/a%00b                      /v1/devices/username/a%0d%0ab
/v1/devices/serial/%ff%fe                       /v1/devices/username/%c0%ae%c0%ae
/v1/devices/username/%ed%a0%80                  /v1/devices/username/100%
/v1/devices/nothing/x   /v1/devices/__class__/x /v1/devices/id/a/b
/v1/devices/hostname/x/ciscoise/mdminfo
"""
ISE_TRICKS = """
/ciscoise/mdmapi/v3/devices                     /ciscoise/mdmapi/v3/devices/../devices/
/ciscoise//mdminfo      /CISCOISE/mdminfo       //ciscoise/mdminfo      /ciscoise/mdminfo//
/ciscoise%2fmdminfo     /ciscoise/mdminfo%2f    /ciscoise/%6ddminfo     /%63iscoise/mdminfo
/ciscoise%5cmdminfo     /ciscoise\\mdminfo       /ciscoise/./mdminfo     /ciscoise/%2e/mdminfo
/ciscoise/mdminfo%00    /ciscoise/mdminfo;a=b   /ciscoise/mdminf%c1%af  /ciscoise/mdminfo%
/ciscoise/mdmapi/v%33%00/devices/               /ciscoise/mdmapi/v%33/devices/
/ciscoise/mdmapi%2fv3/devices/                  /ciscoise/mdmapi/v3/devices%2f
/ciscoise/mdmapi/v1/devices/0/macaddress/..%2f..%2fx/all
/ciscoise/mdmapi/v1/devices/0/macaddress/%00/all
/ciscoise/mdmapi/v1/devices/0/macaddress/00/../all
/ciscoise/mdmapi/v1/devices/0%2fmacaddress/MAC/all
/ciscoise/mdmapi/v1/devices/0/mac%61ddress/MAC/all
/ciscoise/mdmapi/v1/devices/%30/macaddress/MAC/all
/ciscoise/mdmapi/v1/devices/0/macaddress/MAC%2fall
/ciscoise/mdmapi/v1/devices/0/username/%2e%2e/all
/ciscoise/mdmapi/v1/devices/0/username/%c0%ae/all
/ciscoise/mdmapi/v1/devices/0/username/a%/all
/ciscoise/mdmapi/v1/devices/0/username/a%ff/all
/ciscoise/mdmapi/v1/devices//0/macaddress/MAC/all
/ciscoise/mdmapi/v3/devices/?paging=0&querycriteria=username&value=%ff&filter=all
/ciscoise/mdmapi/v3/devices/?paging=0&querycriteria=username&value=%c0%ae&filter=all
/ciscoise/mdmapi/v3/devices/?paging=0&querycriteria=username&value=%zz&filter=all
/ciscoise/mdmapi/v3/devices/?paging=0&querycriteria=username&value=a%00b&filter=all
"""


@pytest.mark.parametrize("path", [one.replace("MAC", MAC) for one in (REST_TRICKS + ISE_TRICKS).split()])
def test_path_tricks(faces: Faces, path: str) -> None:
    """A path is what it is: none leads to another one, and none leads anywhere without credentials."""
    ise = path.replace(MAC, "MAC") in ISE_TRICKS.split()
    came = said(faces, request(f"GET {path} HTTP/1.1", BASIC if ise else BEARER))
    assert statuses(came)[0] in {400, 404}, came
    assert b"root" not in came
    # That of HTTP itself has no face.
    kind = b"text/plain" if ise else b"application/problem+json"
    assert b"content-type: " + kind in came
    assert statuses(said(faces, request(f"GET {path} HTTP/1.1")))[0] in {401, 400, 404}


def test_a_value_that_has_to_be_encoded_is_decoded_once(faces: Faces) -> None:
    names = {"a%2Fb": "a/b", "DOMAIN%5Canna": "DOMAIN\\anna", "%C3%A4nne": "änne", "a%252fb": "a%2fb"}
    for sent, meant in names.items():
        assert faces.rest.get(f"/v1/devices/username/{sent}").json()["key"] == meant
        path = f"/ciscoise/mdmapi/v1/devices/0/username/{sent}/all"
        assert statuses(said(faces, request(f"GET {path} HTTP/1.1", BASIC))) == [200]
    exact = f"/v1/devices/mac/{MAC.replace(':', '%3A')}"
    assert faces.rest.get(exact).json()["found"]


def test_an_error_of_the_ise_face_repeats_nothing_of_the_request(faces: Faces) -> None:
    script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E"
    for path in (f"{script}/x/all", f"macaddress/{script}/all", f"macaddress/{MAC}/{script}"):
        came = said(faces, request(f"GET /ciscoise/mdmapi/v1/devices/0/{path} HTTP/1.1", BASIC))
        assert statuses(came) == [400]
        assert b"script" not in came


def test_who_holds_connections_keeps_nobody_out(faces: Faces) -> None:
    place = urlsplit(faces.origin)
    held = []
    try:
        for number in range(200):
            held.append(socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60))
            held[-1].sendall((b"", b"GET /v1/", b"GET /v1/servers HTTP/1.1\r\nHost: x\r\nX: ")[number % 3])
        assert httpx.get(f"{faces.origin}/healthz").status_code == 200
        assert faces.ask(3, "macaddress", MAC).status_code == 200
    finally:
        for one in held:
            one.close()
