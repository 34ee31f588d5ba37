"""Tokens from Entra ID, with secret and certificate, and every way not to get one."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    RateLimitedError,
    RedirectError,
    ResponseError,
    ServerError,
    TlsError,
    TokenError,
)
from mdmsdk.simulator import Fault, Fleet, serve
from mdmsdk.testing import play
from mdmsdk.wire import Response
from mdmsdk_intune.refusals import LOGIN
from mdmsdk_intune.simulator.entra import GRAPH, INTUNE

if TYPE_CHECKING:
    from mdmsdk.testing import Modal
    from mdmsdk.wire import Request
    from tests.vendors.intune.conftest import Identity, Make, Open, Serve

TOKEN = "/oauth2/v2.0/token"


def test_each_audience_gets_its_own_token(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of()
    client_of(tenant).heartbeat()
    assert tenant.simulator.entra.tokens == {GRAPH: 1, INTUNE: 1}


def test_graph_alone_asks_for_no_other_token(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of()
    client_of(tenant, backends=["graph"]).heartbeat()
    assert tenant.simulator.entra.tokens == {GRAPH: 1}


def test_fifty_cold_lookups_log_in_once_for_each_audience(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    tenant = tenant_of()
    client = client_of(tenant)
    guid = next(device.guid for device in fleet if device.registered)

    def ask(client: Modal) -> Any:
        return client.lookup(f"guid:{guid}")

    found = client.side_by_side([ask] * 50)
    assert {device.guid for device in found} == {guid}
    assert tenant.simulator.entra.tokens == {GRAPH: 1, INTUNE: 1}
    assert tenant.simulator.requests.count(TOKEN) == 2


def test_an_expired_token_is_renewed_once(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    tenant = tenant_of()
    client = client_of(tenant)
    guid = next(device.guid for device in fleet if device.registered)
    assert client.lookup(f"guid:{guid}")
    tenant.simulator.entra.expire_all()
    assert all(
        device.guid == guid for device in client.side_by_side([lambda one: one.lookup(f"guid:{guid}")] * 10)
    )
    assert tenant.simulator.entra.tokens == {GRAPH: 2, INTUNE: 2}


def test_a_wrong_scope_gives_a_token_that_nobody_takes(tenant_of: Serve, client_of: Open) -> None:
    # What a single slash would do: the reason for the other one.
    tenant = tenant_of()
    client = client_of(tenant, "intune-ise", nac_audience="https://graph.microsoft.com")
    with pytest.raises((AuthenticationError, TokenError)) as caught:
        client.heartbeat()
    assert caught.value.hint


def forms(identity: Identity) -> dict[str, dict[str, str]]:
    certificate = identity.text.encode()
    pfx = pkcs12.serialize_key_and_certificates(
        b"ise",
        identity.key,
        identity.certificate,
        None,
        serialization.BestAvailableEncryption(b"pfx-password"),
    )
    key = identity.write("key.pem", identity.pem())
    locked = identity.write("locked.pem", identity.pem(b"key-password"))
    file = identity.write("cert.pem", certificate)
    return {
        "two files": {"file": file, "key_file": key},
        "encrypted key": {"file": file, "key_file": locked, "password": "key-password"},
        "password of a bare key": {"file": file, "key_file": key, "password": "not needed"},
        "one file": {"file": identity.write("both.pem", certificate, identity.pem())},
        "pfx": {"file": identity.write("both.pfx", pfx), "password": "pfx-password"},
    }


FORMS = ["two files", "encrypted key", "password of a bare key", "one file", "pfx"]


@pytest.mark.parametrize("form", FORMS)
def test_certificates_log_in_in_every_form(
    tenant_of: Serve, client_of: Open, identity: Identity, form: str
) -> None:
    tenant = tenant_of(certificates=(identity.text,))
    settings = {key: value for key, value in tenant.settings.items() if key != "client_secret"}
    tenant_settings = {**settings, "certificate": forms(identity)[form]}
    client = client_of(_Given(tenant_settings), "intune-ise")
    assert client.heartbeat().product == "Microsoft Intune"
    # The signature was checked; the header names the certificate by its thumbprint.
    (header, claims), *_ = tenant.simulator.entra.assertions
    digest = identity.certificate.fingerprint(hashes.SHA1())  # noqa: S303 - it only names the certificate
    assert header["x5t"].rstrip("=") == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert claims["aud"].endswith(TOKEN)
    assert len(tenant.simulator.entra.assertions) == 2


class _Given:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings


def test_a_certificate_that_is_not_registered_is_told_with_its_thumbprint(
    tenant_of: Serve, client_of: Open, identity: Identity
) -> None:
    tenant = tenant_of()
    settings = {key: value for key, value in tenant.settings.items() if key != "client_secret"}
    client = client_of(_Given({**settings, "certificate": forms(identity)["one file"]}))
    with pytest.raises(TokenError) as caught:
        client.heartbeat()
    assert caught.value.vendor_code == "AADSTS700027"
    assert identity.certificate.fingerprint(hashes.SHA1()).hex().upper() in str(caught.value)  # noqa: S303 - as above
    assert "Upload" in str(caught.value.hint)


def broken(identity: Identity) -> dict[str, dict[str, str]]:
    good = forms(identity)
    elliptic_certificate, elliptic = identity.elliptic()
    empty = pkcs12.serialize_key_and_certificates(
        None, None, identity.certificate, None, serialization.BestAvailableEncryption(b"pfx-password")
    )
    return {
        "wrong password": {**good["encrypted key"], "password": "wrong"},
        "no password": {name: good["encrypted key"][name] for name in ("file", "key_file")},
        "wrong PFX password": {**good["pfx"], "password": "wrong"},
        "no key in it": {"file": good["two files"]["file"]},
        "PFX without key": {"file": identity.write("empty.pfx", empty), "password": "pfx-password"},
        "not a file": {"file": str(identity.folder / "nowhere.pem")},
        "no certificate": {"file": identity.write("text.pem", b"hello")},
        "elliptic": {"file": identity.write("ec.pem", elliptic_certificate, elliptic)},
        "another key": {
            "file": identity.write("other.pem", elliptic_certificate),
            "key_file": good["two files"]["key_file"],
        },
    }


@pytest.mark.parametrize(
    "case",
    ["wrong password", "no password", "wrong PFX password", "no key in it", "PFX without key", "not a file"]
    + ["no certificate", "elliptic", "another key"],
)
def test_certificates_that_cannot_be_used_are_a_matter_of_settings(
    make: Make, identity: Identity, case: str
) -> None:
    provider = make(client_secret=None, certificate=broken(identity)[case])
    with pytest.raises(ConfigurationError) as caught:
        play(provider.login("graph"), [])
    assert caught.value.hint
    shown = f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert "PRIVATE" not in shown
    assert "key-password" not in shown


# --- refusals ---


def refused(make: Make, answer: dict[str, Any], status: int = 401) -> MdmError:
    """The error for a refusal of the token service."""
    provider = make()
    refusal = Response(status, {}, json.dumps(answer).encode(), f"https://login.microsoftonline.com/t{TOKEN}")
    with pytest.raises(MdmError) as caught:
        play(
            provider.login("graph"), [described(refusal.url.removesuffix(TOKEN)), refusal], provider=provider
        )
    return caught.value


CODES = sorted({code for refusal in LOGIN for code in refusal.code or ()})


@pytest.mark.parametrize("code", CODES)
def test_every_known_code_has_its_meaning_and_remedy(make: Make, code: str) -> None:
    answer = {
        "error": "invalid_client",
        "error_description": f"{code}: words.",
        "correlation_id": "c-1",
    }
    error = refused(make, answer)
    assert isinstance(error, TokenError)
    assert (error.vendor_code, error.step, error.request_id) == (code, "Microsoft Graph", "c-1")
    meaning = next(refusal for refusal in LOGIN if code in (refusal.code or ()))
    assert error.hint == meaning.hint
    assert meaning.means in str(error)
    assert code in str(error)
    assert "words" not in str(error)


def test_the_known_codes_are_not_fewer_than_they_were() -> None:
    assert len(CODES) == 28


@pytest.mark.parametrize(
    ("answer", "expected", "hint"),
    [
        ({"error": "invalid_client", "error_codes": [7000222]}, "has expired", "client secret"),
        ({"error": "invalid_client", "error_codes": [123456]}, "AADSTS123456", "certificate"),
        ({"error": "unauthorized_client"}, "may not log in", "client_id"),
        ({"error": "something_new", "error_codes": ["text"]}, "something_new", "tenant_id"),
        ({"error": "<script>alert(1)</script>"}, "no code", "tenant_id"),
        ({"error": "temporarily_unavailable"}, "busy", "moment"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_refusals_are_read_as_far_as_they_go(
    make: Make, *, answer: dict[str, Any], expected: str, hint: str, status: int
) -> None:
    error = refused(make, answer, status)
    assert isinstance(error, TokenError)
    assert expected in str(error)
    assert "script" not in str(error)
    assert hint in str(error.hint)
    assert error.retryable == ("busy" in expected)


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (404, {}, EndpointNotFoundError),
        (407, {"message": "who are you?"}, ResponseError),
        (429, {"error": "invalid_client"}, RateLimitedError),
        (503, {"error": "temporarily_unavailable", "error_codes": [90033]}, ServerError),
    ],
)
def test_what_is_no_refusal_of_the_application_goes_by_its_status(
    make: Make, *, status: int, answer: dict[str, Any], kind: type[MdmError]
) -> None:
    error = refused(make, answer, status)
    assert type(error) is kind
    assert "proxy" in str(error.hint)


@pytest.mark.parametrize(
    ("habits", "changes", "code"),
    [
        ({}, {"client_secret": "wrong"}, "AADSTS7000215"),
        ({"client_id": "another-app"}, {"client_id": "8d4e2f60-17b5-4a9c-b3d8-60c1f29e7a54"}, "AADSTS700016"),
        ({}, {"tenant_id": "elsewhere.example.com"}, "AADSTS90002"),
        ({}, {"nac_audience": "https://api.manage.microsoft.us"}, "AADSTS500011"),
        ({"refuse_login": 7000222}, {}, "AADSTS7000222"),
        ({"refuse_login": 65001, "refuse_word": "invalid_grant", "refuse_status": 400}, {}, "AADSTS65001"),
        ({"refuse_login": 53003, "refuse_word": "access_denied", "refuse_status": 400}, {}, "AADSTS53003"),
    ],
)
def test_refusals_come_from_the_authority_with_a_remedy(
    tenant_of: Serve, client_of: Open, habits: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    tenant = tenant_of(**habits)
    with pytest.raises(TokenError) as caught:
        client_of(tenant, "intune-ise", **changes).heartbeat()
    assert caught.value.vendor_code == code
    assert caught.value.hint
    assert caught.value.operation == "heartbeat" or caught.value.operation == "login"  # noqa: PLR1714 - both are fine
    assert "simulated-secret" not in f"{caught.value}{caught.value.hint}"


def test_a_refused_login_is_not_repeated(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of()
    client = client_of(tenant, "intune-ise", client_secret="wrong")
    for _ in range(3):
        with pytest.raises(TokenError):
            client.heartbeat()
    assert tenant.simulator.entra.refusals == 1


def test_an_authority_that_fails_for_a_moment_is_asked_again(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of()
    tenant.simulator.faults.add(Fault("status", match=TOKEN, status=503, times=1, body_format="json"))
    assert client_of(tenant, "intune-ise").heartbeat()
    tenant.simulator.faults.add(Fault("status", match=TOKEN, status=500))
    with pytest.raises(ServerError) as caught:
        client_of(tenant, "intune-ise", policy={"attempts": 1}).heartbeat()
    assert caught.value.operation == "login"


def test_a_web_page_instead_of_a_token_is_malformed(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of()
    tenant.simulator.faults.add(Fault("login_page", match=TOKEN))
    with pytest.raises(MalformedResponseError):
        client_of(tenant).heartbeat()


def test_the_secret_goes_to_no_other_host(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of(token_host="https://evil.example")
    with pytest.raises(RedirectError) as caught:
        client_of(tenant).heartbeat()
    assert "evil.example" in str(caught.value)
    assert tenant.simulator.requests.count(TOKEN) == 0


def test_an_authority_that_is_not_trusted_is_named(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of()
    settings = {key: value for key, value in tenant.settings.items() if key != "tls"}
    with pytest.raises(TlsError) as caught:
        client_of(_Given(settings)).heartbeat()
    assert "localhost" in str(caught.value) or "127.0.0.1" in str(caught.value)
    assert "ca_file" in str(caught.value.hint)


def test_msal_uses_our_proxy(tenant_of: Serve, client_of: Open) -> None:
    # Nothing listens at the proxy: whoever does not use it would get through.
    tenant = tenant_of()
    with pytest.raises(ConnectError):
        client_of(tenant, proxy="http://127.0.0.1:9", policy={"attempts": 1}).heartbeat()
    assert len(tenant.simulator.requests) == 0


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([b"[]"], MalformedResponseError),
        ([b"{}"], MalformedResponseError),
        ([b'{"authorization_endpoint": 1, "token_endpoint": 2}'], MalformedResponseError),
        ([b"not json"], MalformedResponseError),
    ],
)
def test_a_description_that_is_none_is_no_login(
    make: Make, answers: list[bytes], expected: type[Exception]
) -> None:
    provider = make()
    with pytest.raises(expected):
        play(provider.login("graph"), answers, provider=provider)


def described(url: str) -> bytes:
    return json.dumps(
        {"authorization_endpoint": f"{url}/authorize", "token_endpoint": f"{url}{TOKEN}", "issuer": url}
    ).encode()


def test_the_flow_needs_two_requests_and_no_network(make: Make) -> None:
    provider = make()
    sent: list[Request] = []

    def answer(request: Request) -> bytes:
        sent.append(request)
        if request.method == "GET":
            return described("https://login.microsoftonline.com/tenant-1")
        return b'{"access_token": "value-1", "token_type": "Bearer", "expires_in": 3599}'

    token = play(provider.login("nac"), answer, provider=provider)
    assert (token.value, token.expires_in) == ("value-1", 3599)
    assert [request.audience for request in sent] == [None, None]
    assert sent[1].form is not None
    assert sent[1].form["scope"] == "https://api.manage.microsoft.com//.default"
    assert "value-1" not in repr(token)


@pytest.mark.parametrize("body", [b"{}", b'{"access_token": ""}', b'{"token_type": "Bearer"}'])
def test_an_answer_without_token_and_error_is_malformed(make: Make, body: bytes) -> None:
    provider = make()
    answers = [described("https://login.microsoftonline.com/tenant-1"), body]
    with pytest.raises(MalformedResponseError):
        play(provider.login("graph"), answers, provider=provider)


def test_a_description_with_an_error_names_the_tenant_fault(make: Make) -> None:
    provider = make()
    body = b'{"error": "invalid_tenant", "error_description": "AADSTS90002: none.", "error_codes": [90002]}'
    url = "https://login.microsoftonline.com/example.com/v2.0/.well-known/openid-configuration"
    with pytest.raises(TokenError) as caught:
        play(provider.login("graph"), [Response(400, {}, body, url)], provider=provider)
    assert caught.value.vendor_code == "AADSTS90002"
    assert "cloud" in str(caught.value.hint)


# --- weight ---


@pytest.mark.parametrize(
    "program",
    [
        "import mdmsdk_intune",
        "from mdmsdk.registry import load_provider; load_provider('intune'); load_provider('intune-ise')",
        "from mdmsdk.cli import main\ntry: main(['providers', '--details'])\nexcept SystemExit: pass",
    ],
)
def test_msal_is_imported_by_nothing_but_a_login(program: str) -> None:
    loaded = "sorted({'msal', 'requests', 'jwt'} & set(sys.modules))"
    script = f"import sys\n{program}\nprint({loaded}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_a_simulator_is_served_over_https_by_itself(fleet: Fleet) -> None:
    from mdmsdk_intune.simulator import IntuneIseSimulator

    with serve(IntuneIseSimulator(fleet)) as running:
        assert running.origin.startswith("https://")
        assert running.settings["tls"]["ca_file"]
