"""The three logins: what is sent where, and what goes wrong."""

import base64
import builtins
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from mdmsdk.errors import AuthenticationError, ConfigurationError, MdmError, TokenError
from mdmsdk.identifiers import Serial
from mdmsdk.logins import KeyPair
from mdmsdk.provider import Token
from mdmsdk.simulator import Fault, Fleet, RunningSimulator
from mdmsdk.testing import Modal
from mdmsdk.testing.playing import Played, play
from mdmsdk.wire import Request, Response
from mdmsdk_workspaceone import WorkspaceOneProvider
from mdmsdk_workspaceone.settings import CertificateSettings
from mdmsdk_workspaceone.signature import signed
from mdmsdk_workspaceone.simulator import WorkspaceOneSimulator
from mdmsdk_workspaceone.simulator.cms import signed_by

Make = Callable[..., WorkspaceOneProvider]
Start = Callable[..., RunningSimulator[WorkspaceOneSimulator]]
Connect = Callable[..., Modal]

URL = "https://as1.example.com/api/mdm/devices?searchby=Udid&id=7"
NO_BASIC = dict.fromkeys(("tenant_code", "username", "password"))
OAUTH = {**NO_BASIC, "client_id": "client", "client_secret": "hush-word", "region": "emea"}


def sent(provider: WorkspaceOneProvider, token: Token) -> dict[str, str]:
    return dict(provider.authorize(Request("GET", URL), token).headers)


# --- Basic ---


def test_basic_goes_with_the_tenant_code(make: Make) -> None:
    provider = make()
    token = play(provider.login("api"), [])
    assert token.static
    pair = base64.b64encode(b"reader:pass-of-tests").decode()
    assert sent(provider, token) == {"Authorization": f"Basic {pair}", "aw-tenant-code": "key-of-tests"}


# --- OAuth ---


def test_oauth_asks_the_token_service_alone(make: Make) -> None:
    provider, played = make(**OAUTH), Played()
    answer = b'{"access_token": "t-1", "token_type": "Bearer", "expires_in": 1800}'
    token = play(provider.login("api"), [answer], record=played)
    (request,) = played.requests
    assert (request.method, request.url) == (
        "POST",
        "https://emea.uemauth.workspaceone.com/connect/token",
    )
    assert request.audience is None
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": "hush-word",
    }
    assert (token.value, token.expires_in, token.static) == ("t-1", 1800.0, False)
    assert sent(provider, token) == {"Authorization": "Bearer t-1"}
    assert sent(make(**{**OAUTH, "tenant_code": "key"}), token)["aw-tenant-code"] == "key"
    assert "hush-word" not in f"{request!r}{token!r}{request.full_url}"


@pytest.mark.parametrize(
    ("life", "seconds"), [(b"60", 60.0), (b'"60"', 60.0), (b"null", 3600.0), (b'"long"', 3600.0)]
)
def test_the_life_of_a_token(make: Make, life: bytes, seconds: float) -> None:
    answer = b'{"access_token": "t-1", "expires_in": ' + life + b"}"
    assert play(make(**OAUTH).login("api"), [answer]).expires_in == seconds


@pytest.mark.parametrize("answer", [b"<html></html>", b"[]", b"{}", b'{"access_token": ""}'])
def test_an_answer_without_a_token_is_told(make: Make, answer: bytes) -> None:
    with pytest.raises(MdmError) as caught:
        play(make(**OAUTH).login("api"), [answer])
    assert caught.value.hint


def test_the_secret_goes_to_the_token_service_and_nothing_of_the_api_does(
    start: Start, mdm_connect: Connect, small_fleet: Fleet
) -> None:
    api, login = start(login="oauth"), start(login="oauth")
    api.simulator._tokens = login.simulator._tokens  # one tenant, two hosts
    settings = {
        **api.settings,
        "token_url": login.settings["token_url"],
        "tenant_code": "simulated-tenant-code",
    }
    client = mdm_connect(**settings)
    assert client.lookup(Serial(small_fleet[0].serial_number))
    assert [(request.method, request.path) for request in login.simulator.requests] == [
        ("POST", "/connect/token")
    ]
    assert not login.simulator.requests[0].has_credentials
    assert login.simulator.token_requests == [
        {"grant_type": "client_credentials", "client_id": "simulated-client"}
    ]
    assert api.simulator.token_requests == []
    assert {request.scheme for request in api.simulator.requests} == {"bearer"}


def test_a_token_service_that_redirects_does_not_take_the_secret_along(
    start: Start, mdm_connect: Connect
) -> None:
    api, elsewhere = start(login="oauth"), start(login="oauth")
    api.simulator.faults.add(
        Fault("redirect", match="/connect/token", status=307, location=f"{elsewhere.origin}/connect/token")
    )
    with pytest.raises(MdmError):
        mdm_connect(**api.settings).heartbeat()
    assert len(elsewhere.simulator.requests) == 0


@pytest.mark.parametrize("wrong", [{"client_secret": "wrong-secret"}, {"client_id": "other-region"}])
def test_a_refused_client_is_told_once(start: Start, mdm_connect: Connect, wrong: dict[str, str]) -> None:
    running = start(login="oauth")
    client = mdm_connect(**{**running.settings, **wrong})
    for _ in range(3):
        with pytest.raises(TokenError) as caught:
            client.heartbeat()
        assert caught.value.vendor_code == "invalid_client"
        assert "region" in str(caught.value.hint)
        assert "wrong-secret" not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value}"
    assert len(running.simulator.token_requests) == 1


def test_a_token_that_is_refused_early_is_renewed_once(start: Start, mdm_connect: Connect) -> None:
    running = start(login="oauth")
    client = mdm_connect(**running.settings)
    client.heartbeat()
    running.simulator._tokens.clear()
    client.heartbeat()
    assert running.simulator.tokens_issued == 2


def look(client: Modal, key: Serial) -> Any:
    return client.lookup(key)


def test_one_login_serves_many_lookups(start: Start, mdm_connect: Connect, small_fleet: Fleet) -> None:
    running = start(login="oauth")
    client = mdm_connect(**running.settings)
    calls: list[Callable[[Modal], Any]] = [
        partial(look, key=Serial(device.serial_number)) for device in small_fleet[:8]
    ]
    assert all(client.side_by_side(calls))
    assert running.simulator.tokens_issued == 1


# --- certificate ---


def header(pair: Any, **options: bool) -> str:
    return signed(Request("GET", URL), pair, **options).headers["Authorization"]


def signature(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    assert scheme == "CMSURL`1"
    return base64.b64decode(encoded, validate=True)


@pytest.mark.parametrize("kind", ["certificates", "elliptic"])
@pytest.mark.parametrize("form", ["pem", "p12"])
def test_a_certificate_signs_the_path(
    make: Make, request: pytest.FixtureRequest, kind: str, form: str
) -> None:
    files = request.getfixturevalue(kind)
    given = (
        {"file": files.pem, "key_file": files.key_pem}
        if form == "pem"
        else {"file": files.p12, "password": "pass-of-file"}
    )
    provider = make(username=None, password=None, certificate=given)
    token = play(provider.login("api"), [])
    assert token.static
    assert "pass-of-file" not in repr(provider.settings)
    headers = sent(provider, token)
    assert headers["aw-tenant-code"] == "key-of-tests"
    found = signature(headers["Authorization"])
    assert signed_by(found, b"/api/mdm/devices", files.certificate)
    for other in (b"/api/mdm/devices?searchby=Udid&id=7", b"/api/mdm/device", b"/API/mdm/devices", b""):
        assert not signed_by(found, other, files.certificate)


def test_the_query_is_signed_on_request(certificates: Any) -> None:
    pair = KeyPair(certificates.certificate, certificates.key)
    found = signature(header(pair, sign_query=True))
    assert signed_by(found, b"/api/mdm/devices?searchby=Udid&id=7", certificates.certificate)


def test_the_check_of_signatures_sees_another_key(certificates: Any, elliptic: Any) -> None:
    mixed = header(KeyPair(certificates.certificate, certificates.key))
    assert not signed_by(signature(mixed), b"/api/mdm/devices", elliptic.certificate)
    good = signature(mixed)
    for cut in (good[:-1], good[:40], b"", good[:-1] + bytes([good[-1] ^ 1])):
        assert not signed_by(cut, b"/api/mdm/devices", certificates.certificate)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program to judge the signature")
@pytest.mark.parametrize("kind", ["certificates", "elliptic"])
def test_openssl_accepts_the_signature(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    files = request.getfixturevalue(kind)
    (tmp_path / "s.der").write_bytes(signature(header(KeyPair(files.certificate, files.key))))
    for content, good in ((b"/api/mdm/devices", True), (b"/api/mdm/other", False)):
        (tmp_path / "content").write_bytes(content)
        command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "s.der"]
        command += ["-content", "content", "-CAfile", str(files.pem), "-purpose", "any"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is good, done.stderr


def load(**given: Any) -> KeyPair:
    pair: KeyPair = play(CertificateSettings(**given).load(), [])
    return pair


def test_files_that_cannot_be_used_are_told(certificates: Any, elliptic: Any, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.p12"
    nonsense.write_bytes(b"hush-word")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"file": tmp_path / "none.p12"}, "cannot be read"),
        ({"file": certificates.pem, "key_file": tmp_path / "none.pem"}, "none.pem cannot be read"),
        ({"file": certificates.p12}, "cannot be opened"),
        ({"file": certificates.p12, "password": "wrong-word"}, "cannot be opened"),
        ({"file": certificates.pem}, "cannot be opened"),
        ({"file": nonsense}, "cannot be opened"),
        ({"file": certificates.pem, "key_file": elliptic.key_pem}, "does not belong"),
    ]
    for given, words in cases:
        with pytest.raises(ConfigurationError) as caught:
            load(**given)
        assert words in str(caught.value)
        assert caught.value.hint
        assert "word" not in f"{caught.value}{caught.value.hint}".replace("password", "")


def test_a_password_that_nothing_needs_does_no_harm(certificates: Any) -> None:
    pair = load(file=certificates.pem, key_file=certificates.key_pem, password="x")
    assert pair.certificate == certificates.certificate


def test_without_cryptography_the_remedy_is_told(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError) as caught:
        load(file=certificates.p12)
    assert "pip install cryptography" in str(caught.value.hint)


def test_a_key_that_cannot_sign_so_is_told(certificates: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        header(KeyPair(certificates.certificate, ed25519.Ed25519PrivateKey.generate()))
    assert "RSA or elliptic-curve" in str(caught.value.hint)


def test_the_plugin_loads_without_cryptography_and_http() -> None:
    heavy = "{'cryptography', 'httpx', 'starlette'}"
    program = f"import sys, mdmsdk_workspaceone; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("sign_query", [False, True])
def test_the_server_takes_the_certificate(
    start: Start, mdm_connect: Connect, small_fleet: Fleet, certificates: Any, sign_query: bool
) -> None:
    running = start(login="certificate", certificate_signs_query=sign_query, **certificates.habits)
    assert mdm_connect(**running.settings).lookup(Serial(small_fleet[0].serial_number))
    wrong = {**running.settings["certificate"], "sign_query": not sign_query}
    client = mdm_connect(**{**running.settings, "certificate": wrong})
    with pytest.raises(AuthenticationError):
        list(client.noncompliant())


def test_another_certificate_is_refused_and_not_sent_again(
    start: Start, mdm_connect: Connect, certificates: Any, elliptic: Any
) -> None:
    running = start(login="certificate", **certificates.habits)
    other = {"file": elliptic.pem, "key_file": elliptic.key_pem}
    client = mdm_connect(**{**running.settings, "certificate": other})
    for _ in range(3):
        with pytest.raises(AuthenticationError):
            client.heartbeat()
    assert len(running.simulator.requests) == 1


def test_a_refusal_of_the_api_is_no_refusal_of_the_token_service(make: Make) -> None:
    provider = make(**OAUTH)
    with pytest.raises(AuthenticationError):
        provider.check(Response(401, {}, b"", URL))
