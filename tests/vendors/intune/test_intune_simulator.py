"""The simulator has the manners and the bad habits that the vendor's pages and users tell of."""

from __future__ import annotations

import base64
import os
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from mdmsdk.simulator import Fleet, RunningSimulator, SimDevice, serve
from mdmsdk_intune.simulator import IntuneHabits, IntuneIseSimulator, IntuneSimulator
from mdmsdk_intune.simulator.entra import GRAPH, INTUNE
from mdmsdk_intune.simulator.graph import SERVICE_PATH

SPECS = Path(os.environ.get("MDMSDK_SPECS") or Path(__file__).parents[3] / "../shared/specs")
DEVICES = "/v1.0/deviceManagement/managedDevices"
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet.generate(40, seed=5)


@pytest.fixture(scope="module")
def ask(fleet: Fleet) -> Iterator[Ask]:
    """Sends requests with a token for the audience given; `habits` hold for that request."""
    simulator = IntuneSimulator(fleet)
    with (
        serve(simulator) as running,
        httpx.Client(
            base_url=running.origin,
            verify=ssl.create_default_context(cafile=running.settings["tls"]["ca_file"]),
        ) as client,
    ):

        def ask(
            path: str,
            audience: str = GRAPH,
            method: str = "GET",
            json: Any = None,
            params: dict[str, str] | None = None,
            **habits: Any,
        ) -> httpx.Response:
            simulator.habits = IntuneHabits(**habits)
            form = {
                "grant_type": "client_credentials",
                "client_id": simulator.habits.client_id,
                "client_secret": simulator.habits.client_secret,
                "scope": f"{audience}/.default",
            }
            token = client.post(f"/{simulator.habits.tenant_id}/oauth2/v2.0/token", data=form).json()[
                "access_token"
            ]
            login = {"Authorization": f"Bearer {token}"}
            return client.request(method, path, json=json, params=params, headers=login)

        yield ask


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 40),
        ("?$filter=wiFiMacAddress eq '00005E000001'", 40),
        ("?$filter=ethernetMacAddress eq '00005E000001'", 40),
        ("?$filter=id eq 'x'", 40),
        ("?$filter=serialNumber eq ''", 40),
        ("?$filter=serialNumber eq 'x'", 0),
        ("?$filter=serialNumber eq 'x' or complianceState eq 'compliant'", 0),
        ("?$filter=udid eq 'x' and serialNumber eq 'x'", 0),
        ("?$top=3", 3),
    ],
)
def test_filters_are_heeded_or_dropped_without_a_word(ask: Ask, query: str, count: int) -> None:
    answer = ask(DEVICES + query)
    assert answer.status_code == 200
    assert len(answer.json()["value"]) == count
    assert answer.json()["@odata.count"] == count


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("lastSyncDateTime lt 2000-01-01T00:00:00Z", lambda device: device.last_check_in is None),
        ("lastSyncDateTime ge 2000-01-01T00:00:00Z", lambda device: device.last_check_in is not None),
        ("operatingSystem eq 'iOS'", lambda device: device.platform == "iOS"),
        ("contains(deviceName,'TOP-')", lambda device: "top-" in device.hostname.lower()),
        ("startswith(deviceName,'top-')", lambda device: "top-" in device.hostname.lower()),
        (
            "complianceState eq 'compliant' and operatingSystem eq 'Windows'",
            lambda device: (device.compliance, device.platform) == ("compliant", "Windows"),
        ),
        (
            "complianceState eq 'compliant' or complianceState eq 'noncompliant'",
            lambda device: device.compliance in {"compliant", "noncompliant"},
        ),
    ],
)
def test_documented_filters_are_heeded(
    ask: Ask, fleet: Fleet, query: str, wanted: Callable[[SimDevice], bool]
) -> None:
    rows = ask(DEVICES, params={"$filter": query}).json()["value"]
    assert {row["id"] for row in rows} == {device.guid for device in fleet if wanted(device)}
    assert 0 < len(rows) < len(fleet)


@pytest.mark.parametrize(
    "query",
    [
        {"$orderby": "deviceName"},
        {"$search": "x"},
        {"$expand": "users"},
        {"$skip": "3"},
        {"$filter": "endswith(deviceName,'x')"},
        {"$filter": "serialNumber ne 'x'"},
        {"$filter": "noSuchThing eq 'x'"},
        {"$filter": "serialNumber eq 'x' and"},
        {"$filter": "lastSyncDateTime gt yesterday"},
        {"$select": "noSuchThing"},
        {"$top": "many"},
        {"$skiptoken": "made-up"},
    ],
)
def test_what_is_not_simulated_is_refused(ask: Ask, query: dict[str, str]) -> None:
    assert ask(DEVICES, params=query).status_code == 400
    address = "/deviceManagement/managedDevices?" + "&".join(f"{name}={text}" for name, text in query.items())
    part = {"id": "1", "method": "GET", "url": address}
    (answer,) = ask("/v1.0/$batch", method="POST", json={"requests": [part]}).json()["responses"]
    assert answer["status"] == 400


def test_pages_hold_every_device_once(ask: Ask, fleet: Fleet) -> None:
    seen: list[str] = []
    path = f"{DEVICES}?$select=deviceName&$top=7"
    while path:
        page = ask(path).json()
        seen += [row["id"] for row in page["value"]]
        path = page.get("@odata.nextLink", "")
    assert sorted(seen) == sorted(device.guid for device in fleet)


def test_lists_lack_what_only_one_device_has(ask: Ask, fleet: Fleet) -> None:
    rows = ask(DEVICES).json()["value"]
    assert {row["ethernetMacAddress"] for row in rows} == {row["udid"] for row in rows} == {None}
    device = next(device for device in fleet if device.ethernet_mac and device.platform == "macOS")
    for path in (f"{DEVICES}/{device.guid}", f"{DEVICES}('{device.guid}')"):
        assert ask(path).json()["ethernetMacAddress"] == device.ethernet_mac
        assert ask(path).json()["udid"] is None
        chosen = ask(f"{path}?$select=udid").json()
        assert chosen.pop("@odata.context").endswith(
            "/v1.0/$metadata#deviceManagement/managedDevices/$entity"
        )
        assert chosen == {"id": device.guid, "udid": device.udid}


def test_batches_have_at_most_twenty_requests(ask: Ask) -> None:
    part = {"method": "GET", "url": "/deviceManagement/managedDevices?$top=1"}
    for count, status in [(20, 200), (21, 400), (0, 400)]:
        body = {"requests": [{**part, "id": str(number)} for number in range(count)]}
        assert ask("/v1.0/$batch", method="POST", json=body).status_code == status


@pytest.mark.parametrize(("audience", "status"), [(INTUNE, 200), (INTUNE.rstrip("/"), 401), (GRAPH, 401)])
def test_the_audience_has_its_slash(ask: Ask, audience: str, status: int) -> None:
    answer = ask(f"{SERVICE_PATH}/ciscoise/mdminfo/?ise_api_version=3", audience)
    assert answer.status_code == status


def parse(answer: httpx.Response) -> ET.Element:
    return ET.fromstring(answer.content)  # noqa: S314 - written by the simulator of this very test


def retrieve(ask: Ask, criterion: str, value: str, **habits: Any) -> ET.Element:
    query = f"?paging=0&querycriteria={criterion}&value={value}&deviceidentifier=macaddress&filter=all"
    answer = ask(f"{SERVICE_PATH}/cisco/devices/{query}", INTUNE, **habits)
    assert answer.status_code == 200
    return parse(answer)


def names(element: ET.Element | None) -> set[str]:
    assert element is not None
    return {child.tag.rpartition("}")[2] for child in element}


def test_the_lists_pages_end_with_zero(ask: Ask, fleet: Fleet) -> None:
    page = retrieve(ask, "compliance", "false", query_max_size=3)
    assert page.findtext("{*}paging_info") == "3"
    page = retrieve(ask, "compliance", "false")
    assert page.findtext("{*}paging_info") == "0"
    assert len(page.findall("{*}deviceList/{*}device")) == len(fleet.noncompliant())


def test_what_it_answers_is_part_of_cisco_s_description(ask: Ask, fleet: Fleet) -> None:
    yaml = pytest.importorskip("yaml", reason="reading the description needs PyYAML")
    path = SPECS / "cisco-ise-mdm-v3.swagger.yaml"
    if not path.is_file():
        pytest.skip(f"Cisco's description {path.name} is not here; MDMSDK_SPECS names its folder")
    definitions = yaml.safe_load(path.read_text(encoding="utf-8"))["definitions"]
    info = parse(ask(f"{SERVICE_PATH}/ciscoise/mdminfo/?ise_api_version=3", INTUNE))
    assert names(info) == set(definitions["mdm-server-info"]["properties"])
    page = retrieve(ask, "guid", fleet[0].guid)
    described = definitions["mdm-device-attributes-response"]["properties"]
    assert names(page) <= set(described)
    device = described["deviceList"]["properties"]["device"]["properties"]
    assert names(page.find("{*}deviceList/{*}device")) <= {*device, "Attributes"}
    attributes = device["attributes"]["properties"]
    assert {name.lower() for name in names(page.find(".//{*}Attributes"))} <= {
        name.lower() for name in attributes
    }
    assert names(page.find(".//{*}Compliance")) <= set(attributes["compliance"]["properties"])


@pytest.mark.parametrize(
    ("word", "verdict"), [("absent", "unknown"), ("true", "compliant"), ("false", "noncompliant")]
)
def test_the_verdict_of_a_boolean(fleet: Fleet, word: Any, verdict: str) -> None:
    simulator = IntuneIseSimulator(fleet, unknown_as=word)
    device = next(device for device in fleet if device.compliance == "unknown" and device.registered)
    assert simulator.verdict(device) == verdict
    grace = next(device for device in fleet if device.compliance == "grace" and device.registered)
    assert (simulator.verdict(grace), IntuneSimulator(fleet).verdict(grace)) == ("compliant", "grace")


@pytest.mark.parametrize(
    ("form", "number"),
    [
        ({"grant_type": "password"}, 70003),
        ({"client_secret": None}, 7000218),
        ({"scope": "https://graph.microsoft.com/User.Read"}, 70011),
        ({"scope": "https://graph.microsoft.com/.default https://x/.default"}, 70011),
        (
            {
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": "x",
            },
            700027,
        ),
    ],
)
def test_entra_refuses_what_entra_refuses(fleet: Fleet, form: dict[str, str | None], number: int) -> None:
    simulator = IntuneSimulator(fleet)
    habits = simulator.habits
    given = {
        "grant_type": "client_credentials",
        "client_id": habits.client_id,
        "client_secret": habits.client_secret,
        "scope": f"{GRAPH}/.default",
        **form,
    }
    sent = {name: value for name, value in given.items() if value is not None}
    status, body = simulator.entra.token(habits, habits.tenant_id, sent, "https://localhost/token")
    assert status >= 400
    assert body["error_codes"] == [number]
    assert f"AADSTS{number}" in body["error_description"]


def test_ise_s_scope_and_both_versions_of_the_token_address_are_known(fleet: Fleet) -> None:
    with serve(IntuneSimulator(fleet)) as running, client_of(running) as http:
        habits = running.simulator.habits
        form = {
            "grant_type": "client_credentials",
            "client_id": habits.client_id,
            "client_secret": habits.client_secret,
            "client_info": "1",
        }
        answer = http.get("/")
        for address, wanted in (
            ("v2.0/token", {"scope": f"{INTUNE}/.default openid profile offline_access"}),
            ("token", {"resource": INTUNE}),
        ):
            answer = http.post(f"/{habits.tenant_id}/oauth2/{address}", data=form | wanted)
            assert answer.status_code == 200, answer.text
            login = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            assert http.get(f"{SERVICE_PATH}/ciscoise/mdminfo/", headers=login).status_code == 200
        assert answer.json()["expires_in"] == str(habits.token_life)
        assert answer.json()["resource"] == INTUNE
        for address, wrong in (
            ("v2.0/token", {"scope": f"{INTUNE}/.default {GRAPH}/.default"}),
            ("v2.0/token", {"scope": "openid"}),
            ("token", {"resource": "https://other.example.com"}),
            ("token", {"scope": f"{INTUNE}/.default"}),
        ):
            assert http.post(f"/{habits.tenant_id}/oauth2/{address}", data=form | wrong).status_code == 400


@pytest.mark.parametrize("version", ["v2.0/", ""])
def test_assertions_name_certificate_and_address_as_other_clients_do(
    fleet: Fleet, version: str, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = self_signed(key)
    file = tmp_path / "ise.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    digest = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - it only names the certificate
    with serve(IntuneSimulator(fleet)) as running, client_of(running) as http:
        assert running.simulator.register(file)
        habits, now = running.simulator.habits, int(time.time())
        claims = {
            "iss": habits.client_id,
            "sub": habits.client_id,
            "jti": "1",
            "exp": now + 300,
            "nbf": now - 1,
        }
        form = {
            "grant_type": "client_credentials",
            "client_id": habits.client_id,
            "scope": f"{GRAPH}/.default",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }
        for other, status in (("v2.0/", 200), ("", 200), ("v3.0/", 401)):
            address = f"{running.origin}/{habits.tenant_id}/oauth2/{other}token"
            for name in (base64.b64encode(digest), base64.urlsafe_b64encode(digest)):
                signed = jwt.encode(
                    {**claims, "aud": address}, key, algorithm="RS256", headers={"x5t": name.decode()}
                )
                answer = http.post(
                    f"/{habits.tenant_id}/oauth2/{version}token",
                    data={**form, "resource": GRAPH, "client_assertion": signed},
                )
                assert answer.status_code == status, answer.text


def client_of(running: RunningSimulator[IntuneSimulator]) -> httpx.Client:
    trust = ssl.create_default_context(cafile=running.settings["tls"]["ca_file"])
    return httpx.Client(base_url=running.origin, verify=trust)


def self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ise.example.com")]), datetime.now(UTC)
    begun = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = begun.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return dated.serial_number(x509.random_serial_number()).sign(key, hashes.SHA256())
