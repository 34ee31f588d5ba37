"""What goes wrong on the way to a server: who arranges it, and what the doctor has to say about it.

The table in ``docs/how-to/doctor.md`` is made of these.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from dataclasses import dataclass, field, replace
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import trustme

from mdmsdk.config import Config, FederationSettings
from mdmsdk.doctor import diagnose
from mdmsdk.simulator import Fault, Fleet, IseSimulator, RunningSimulator, serve
from mdmsdk_blackberry.simulator import BlackBerrySimulator
from mdmsdk_configmgr.simulator import ConfigMgrSimulator
from mdmsdk_intune.simulator import IntuneIseSimulator, IntuneSimulator
from mdmsdk_ivanti.simulator import IvantiCoreSimulator
from mdmsdk_jamf.ise.simulator import JamfIseSimulator
from mdmsdk_jamf.simulator import ALL_PRIVILEGES, JamfSimulator
from mdmsdk_maas360.simulator import Maas360Simulator
from mdmsdk_meraki.simulator import MerakiSimulator
from mdmsdk_soti.simulator import SotiSimulator
from mdmsdk_workspaceone.simulator import WorkspaceOneSimulator
from tests.transports.conftest import Peer, Server, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    import pytest

PASSWORD = "hunter2-Tr0ub4dor"
FLEET = Fleet.generate(20, seed=7)
SHORT = {"timeout": 0.8}
NOW = dt.datetime.now(dt.UTC)


@dataclass
class Stage:
    """Where scenarios are arranged."""

    stack: ExitStack
    folder: Path
    patch: pytest.MonkeyPatch
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)

    def serve(self, simulator: Any) -> RunningSimulator[Any]:
        return self.stack.enter_context(serve(simulator))

    def listen(self, function: Callable[[Peer], None], context: ssl.SSLContext | None = None) -> Server:
        server = Server(function, context)
        self.stack.callback(server.close)
        return server

    def show(self, *blobs: trustme.Blob, key: trustme.Blob) -> str:
        """A server that shows these certificates; gives its address."""
        file = self.folder / "server.pem"
        file.write_bytes(b"".join(blob.bytes() for blob in (key, *blobs)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return self.listen(lambda peer: peer.answer_each(answer()), context).origin

    def trust(self, authority: trustme.CA) -> dict[str, Any]:
        file = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(file)
        return {"ca_file": str(file)}


def account(base_url: str, **more: Any) -> dict[str, Any]:
    return {"provider": "ise", "base_url": base_url, "username": "nac.door", "password": PASSWORD, **more}


def config_of(folder: Path, **servers: dict[str, Any]) -> Config:
    policy = {"timeout": 5.0, "deadline": 10.0, "attempts": 1}
    told = {
        name: {**settings, "policy": {**policy, **settings.get("policy", {})}}
        for name, settings in servers.items()
    }
    path = folder / "mdm.toml"
    path.touch(mode=0o600)
    return Config(path=path, trusted=True, servers=told, federation=FederationSettings())


@dataclass(frozen=True)
class Scenario:
    """One thing that goes wrong.

    Attributes:
        title: what, in the words of the documentation.
        step: where the doctor finds it.
        remedy: a part of what it says is to be done.
        detail: a part of what it says was found.
        arrange: makes it go wrong, and gives the settings of the server.
        misconfigured: whether the settings are at fault, which is another exit code.
        warning: whether the step goes well all the same.
    """

    title: str
    step: str
    remedy: str
    detail: str
    arrange: Callable[[Stage], dict[str, Any]]
    misconfigured: bool = False
    warning: bool = False


# --- settings and network ---


def secret_missing(stage: Stage) -> dict[str, Any]:
    stage.patch.delenv("MDM_DOCTOR_SECRET", raising=False)
    return account("https://mdm.example") | {"password": {"env": "MDM_DOCTOR_SECRET"}}


def setting_misspelt(_: Stage) -> dict[str, Any]:
    return account("https://mdm.example", usrname="x")


def proxy_unusable(_: Stage) -> dict[str, Any]:
    return account("https://mdm.example", proxy=f"socks5://us:{PASSWORD}@proxy.example:1080")


def name_unknown(stage: Stage) -> dict[str, Any]:
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "mdm.example":
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return real(host, *args, **kwargs)

    stage.patch.setattr(socket, "getaddrinfo", resolve)
    return account("https://mdm.example")


def name_servers_silent(stage: Stage) -> dict[str, Any]:
    over, real = threading.Event(), socket.getaddrinfo
    stage.stack.callback(over.set)

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "silent.example":
            if not kwargs.get("flags"):
                over.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return real(host, *args, **kwargs)

    stage.patch.setattr(socket, "getaddrinfo", resolve)
    return account("https://silent.example", policy=SHORT)


def port_closed(stage: Stage) -> dict[str, Any]:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return account(f"http://127.0.0.1:{gone.getsockname()[1]}")


def packets_dropped(stage: Stage) -> dict[str, Any]:
    """A full queue of connections: the system drops further attempts, as a firewall does."""
    listener = stage.stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    port = listener.getsockname()[1]
    for _ in range(3):
        waiting = stage.stack.enter_context(socket.socket())
        waiting.settimeout(0)
        waiting.connect_ex(("127.0.0.1", port))
    return account(f"http://127.0.0.1:{port}", policy=SHORT)


def proxy_wants_login(stage: Stage) -> dict[str, Any]:
    refusal = answer(status="407 Proxy Authentication Required")
    proxy = stage.listen(lambda peer: peer.answer_each(refusal))
    return account("https://mdm.example", proxy=proxy.origin)


def silent_server(stage: Stage) -> dict[str, Any]:
    server = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    server.simulator.faults.add(Fault("hang"))
    return {**server.settings, "policy": SHORT}


# --- TLS ---


def intermediate_missing(stage: Stage) -> dict[str, Any]:
    root = trustme.CA()
    leaf = root.create_child_ca().issue_cert("127.0.0.1")
    url = stage.show(leaf.cert_chain_pems[0], key=leaf.private_key_pem)
    return account(url, tls=stage.trust(root))


def authority_unknown(stage: Stage) -> dict[str, Any]:
    root = trustme.CA(organization_name="Example Corp")
    leaf = root.issue_cert("127.0.0.1")
    return account(stage.show(*leaf.cert_chain_pems, root.cert_pem, key=leaf.private_key_pem))


def interceptor(stage: Stage) -> dict[str, Any]:
    root = trustme.CA(organization_name="Zscaler Inc.")
    leaf = root.issue_cert("127.0.0.1")
    return account(stage.show(*leaf.cert_chain_pems, key=leaf.private_key_pem))


def certificate_expired(stage: Stage) -> dict[str, Any]:
    root = trustme.CA()
    ended = NOW - dt.timedelta(days=3)
    leaf = root.issue_cert("127.0.0.1", not_before=NOW - dt.timedelta(days=90), not_after=ended)
    return account(stage.show(*leaf.cert_chain_pems, key=leaf.private_key_pem), tls=stage.trust(root))


def other_name(stage: Stage) -> dict[str, Any]:
    root = trustme.CA()
    leaf = root.issue_cert("mdm.example")
    return account(stage.show(*leaf.cert_chain_pems, key=leaf.private_key_pem), tls=stage.trust(root))


# --- what answers ---


def clock_wrong(stage: Stage) -> dict[str, Any]:
    ahead = format_datetime(NOW + dt.timedelta(hours=1), usegmt=True)
    server = stage.listen(lambda peer: peer.answer_each(answer(b"", f"Date: {ahead}")))
    return account(server.origin)


def login_page(stage: Stage) -> dict[str, Any]:
    server = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    server.simulator.faults.add(Fault("login_page"))
    return server.settings


def server_down(stage: Stage) -> dict[str, Any]:
    server = stage.serve(IseSimulator(FLEET, password=PASSWORD))
    server.simulator.faults.add(Fault("status", status=500))
    return server.settings


def instance_wrong(stage: Stage) -> dict[str, Any]:
    settings = stage.serve(JamfIseSimulator(FLEET, password=PASSWORD)).settings
    return {**settings, "instance": "/networkIntegrationEndpoint/8"}


def basic_disabled(stage: Stage) -> dict[str, Any]:
    return stage.serve(JamfIseSimulator(FLEET, password=PASSWORD, deny=401)).settings


def role_missing(stage: Stage) -> dict[str, Any]:
    return stage.serve(JamfIseSimulator(FLEET, password=PASSWORD, deny=403)).settings


def privilege_missing(stage: Stage) -> dict[str, Any]:
    privileges = ALL_PRIVILEGES - {"Read Computers"}
    return stage.serve(JamfSimulator(FLEET, privileges=privileges)).settings


def source_silent(stage: Stage) -> dict[str, Any]:
    return stage.serve(JamfSimulator(FLEET, source="conditional-access", partner=False)).settings


def list_too_often(stage: Stage) -> dict[str, Any]:
    settings = stage.serve(IntuneIseSimulator(FLEET, bulk_interval=14400)).settings
    list(diagnose(config_of(stage.folder, before=settings)))
    return settings


# --- Entra ID and Intune ---


def refused_with(number: int, word: str = "invalid_client") -> Callable[[Stage], dict[str, Any]]:
    def arrange(stage: Stage) -> dict[str, Any]:
        return stage.serve(IntuneIseSimulator(FLEET, refuse_login=number, refuse_word=word)).settings

    return arrange


def permission_missing(stage: Stage) -> dict[str, Any]:
    return stage.serve(IntuneIseSimulator(FLEET, permissions=frozenset({"Application.Read.All"}))).settings


def intune_certificates(stage: Stage) -> dict[str, Any]:
    settings = stage.serve(IntuneIseSimulator(FLEET)).settings
    settings.pop("tls")
    return settings


def password_login_off(stage: Stage) -> dict[str, Any]:
    return stage.serve(JamfSimulator(FLEET, login="user", basic=False)).settings


def certificate_early(stage: Stage) -> dict[str, Any]:
    root = trustme.CA()
    begins = NOW + dt.timedelta(days=2)
    leaf = root.issue_cert("127.0.0.1", not_before=begins, not_after=begins + dt.timedelta(days=90))
    return account(stage.show(*leaf.cert_chain_pems, key=leaf.private_key_pem), tls=stage.trust(root))


def no_tls(stage: Stage) -> dict[str, Any]:
    def serve_plain(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.send(answer(status="400 Bad Request"))

    return account(stage.listen(serve_plain).origin.replace("http:", "https:"))


def client_certificate_wanted(stage: Stage) -> dict[str, Any]:
    root = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    root.issue_cert("127.0.0.1").configure_cert(context)
    root.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    origin = stage.listen(lambda peer: peer.answer_each(answer()), context).origin
    return account(origin, tls=stage.trust(root))


def service_retired(stage: Stage) -> dict[str, Any]:
    return stage.serve(IntuneIseSimulator(FLEET, services=("NACAPIService",))).settings


def meraki_key_wrong(stage: Stage) -> dict[str, Any]:
    return {**stage.serve(MerakiSimulator(FLEET)).settings, "api_key": "no-such-key"}


def meraki_api_off(stage: Stage) -> dict[str, Any]:
    return stage.serve(MerakiSimulator(FLEET, api_disabled=frozenset({0}))).settings


def ivanti_password_wrong(stage: Stage) -> dict[str, Any]:
    return {**stage.serve(IvantiCoreSimulator(FLEET)).settings, "password": "no-such-password"}


def tenant_code_wrong(stage: Stage) -> dict[str, Any]:
    return {**stage.serve(WorkspaceOneSimulator(FLEET)).settings, "tenant_code": "no-such-code"}


def maas360_account_elsewhere(stage: Stage) -> dict[str, Any]:
    return {**stage.serve(Maas360Simulator(FLEET)).settings, "billing_id": "40000001"}


def maas360_key_wrong(stage: Stage) -> dict[str, Any]:
    return {**stage.serve(Maas360Simulator(FLEET)).settings, "app_access_key": "no-such-key"}


def account_sees_nothing(stage: Stage) -> dict[str, Any]:
    return stage.serve(Maas360Simulator(Fleet(()))).settings


def configmgr_rights_missing(stage: Stage) -> dict[str, Any]:
    return stage.serve(ConfigMgrSimulator(FLEET, wmi_rights=False)).settings


def blackberry_role_missing(stage: Stage) -> dict[str, Any]:
    return stage.serve(BlackBerrySimulator(FLEET, deny="NOT_AUTHORIZED")).settings


def soti_secret_wrong(stage: Stage) -> dict[str, Any]:
    return {**stage.serve(SotiSimulator(FLEET)).settings, "client_secret": "no-such-secret"}


def source_missing(stage: Stage) -> dict[str, Any]:
    return stage.serve(JamfSimulator(FLEET, source="none")).settings


def login_certificate_unknown(stage: Stage) -> dict[str, Any]:
    settings = stage.serve(IntuneIseSimulator(FLEET)).settings
    return {**settings, "authority_url": authority_unknown(stage)["base_url"]}


def login_host_unknown(stage: Stage) -> dict[str, Any]:
    settings = stage.serve(IntuneIseSimulator(FLEET)).settings
    name_unknown(stage)
    return {**settings, "authority_url": "https://mdm.example"}


def login_host_closed(stage: Stage) -> dict[str, Any]:
    settings = stage.serve(WorkspaceOneSimulator(FLEET, login="oauth")).settings
    return {**settings, "token_url": port_closed(stage)["base_url"]}


def inventory_deprecated(stage: Stage) -> dict[str, Any]:
    return stage.serve(JamfSimulator(FLEET, version="11.23.2")).settings


def sunset_announced(stage: Stage) -> dict[str, Any]:
    return with_fields(stage, {"deprecation": "@1767225600", "sunset": "Wed, 30 Jun 2027 23:59:59 GMT"})


MAC = next(device for device in FLEET if device.platform == "macOS" and device.compliance == "compliant")
MACS = FLEET.without(*(device for device in FLEET if device.id != MAC.id))


def jamf_beside_intune(stage: Stage, jamf: Fleet, intune: Fleet) -> dict[str, Any]:
    stage.beside["intune"] = stage.serve(IntuneSimulator(intune)).settings
    return stage.serve(JamfSimulator(jamf)).settings


def registered_twice(stage: Stage) -> dict[str, Any]:
    again = replace(MAC, id=MAC.id + 5000, guid="7f0a2c1e-7b3d-4e58-9c46-d1a2b3c4e5f7")
    return jamf_beside_intune(stage, MACS, MACS.including(again))


def judged_differently(stage: Stage) -> dict[str, Any]:
    return jamf_beside_intune(
        stage, MACS, MACS.replace(MAC, compliance="noncompliant", failure_reasons=("x",))
    )


def unresponsive(stage: Stage) -> dict[str, Any]:
    assert MAC.last_check_in
    late = MAC.last_check_in - dt.timedelta(hours=30)
    return jamf_beside_intune(stage, MACS.replace(MAC, last_check_in=late), MACS)


def quota_spent(stage: Stage) -> dict[str, Any]:
    return with_fields(stage, {"x-ratelimit-remaining": "0"})


def with_fields(stage: Stage, fields: dict[str, str]) -> dict[str, Any]:
    """A server whose answers have more fields in the header."""
    simulator = IseSimulator(FLEET, password=PASSWORD)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def more(message: Any) -> None:
            if message["type"] == "http.response.start":
                told = [(name.encode(), value.encode()) for name, value in fields.items()]
                message["headers"] = [*message["headers"], *told]
            await send(message)

        await simulator.app(scope, receive, more)

    return simulator.settings(stage.serve(app).origin)


_DNS = "Check the name in the base_url, and DNS here."
_WAY = "and that the route and every firewall on the way let this machine through."
SCENARIOS = (
    Scenario(
        "a secret is not there",
        "settings",
        "Set MDM_DOCTOR_SECRET to the secret.",
        "is not set",
        secret_missing,
        misconfigured=True,
    ),
    Scenario(
        "a setting is misspelt",
        "settings",
        "The settings are:",
        "usrname is not known, is username meant?",
        setting_misspelt,
        misconfigured=True,
    ),
    Scenario(
        "the proxy's address cannot be used",
        "proxy",
        "Write it as http://HOST:PORT",
        "the proxy is not usable",
        proxy_unusable,
        misconfigured=True,
    ),
    Scenario(
        "the proxy refuses the way, or wants a login",
        "proxy",
        "Check the login in the proxy's address, and that the proxy lets this host through.",
        "it refuses the way to mdm.example: 407",
        proxy_wants_login,
    ),
    Scenario("the host name is not known", "name", _DNS, "mdm.example: not known", name_unknown),
    Scenario("no name server answers", "name", _DNS, "no name server answered in 0.8 s", name_servers_silent),
    Scenario("nobody listens on the port", "tcp", _WAY, "127.0.0.1 refused", port_closed),
    Scenario(
        'ISE: "connection timed out"; a firewall drops the packets',
        "tcp",
        _WAY,
        "127.0.0.1 no answer",
        packets_dropped,
    ),
    Scenario(
        "an intermediate certificate is missing",
        "tls",
        "Have the server send its whole chain, with all intermediate certificates",
        "the server sent no other certificate",
        intermediate_missing,
    ),
    Scenario(
        'ISE: "PKIX path building failed"; the authority is unknown',
        "tls",
        "save its certificate and name the file in tls.ca_file",
        "the root certificate 'Example Corp' is not trusted here",
        authority_unknown,
    ),
    Scenario(
        "the certificates of Microsoft's services are not trusted",
        "tls",
        "name the file in tls.ca_file",
        "is not trusted here",
        intune_certificates,
    ),
    Scenario(
        "a proxy looks into TLS",
        "tls",
        "Export the proxy's own root certificate",
        "that is Zscaler, a proxy that looks into TLS, not the MDM",
        interceptor,
    ),
    Scenario(
        "the certificate has expired",
        "tls",
        "Have the server's certificate renewed.",
        f"the certificate of '127.0.0.1' ended on {NOW - dt.timedelta(days=3):%Y-%m-%d}",
        certificate_expired,
    ),
    Scenario(
        "the certificate begins later",
        "tls",
        "Check this machine's clock, which says",
        "UTC only",
        certificate_early,
    ),
    Scenario(
        "the certificate is for another name",
        "tls",
        "Write one of these names into base_url",
        "is for mdm.example, not for 127.0.0.1",
        other_name,
    ),
    Scenario(
        "the port does not speak TLS",
        "tls",
        "Check that this port speaks TLS 1.2 or later",
        "no secure connection to 127.0.0.1",
        no_tls,
    ),
    Scenario(
        "the server accepts connections and is silent",
        "http",
        "Check that the server is up and the network lets it answer",
        "did not answer in full within 0.8 s",
        silent_server,
    ),
    Scenario(
        "the server wants a client certificate",
        "http",
        "whether it wants a client certificate",
        "no secure connection to 127.0.0.1",
        client_certificate_wanted,
    ),
    Scenario(
        "the clocks differ",
        "clock",
        "Set this machine's clock by NTP, or the server's",
        "s behind the server",
        clock_wrong,
    ),
    Scenario(
        "ISE: the token issuing URL shows a certificate that is not trusted",
        "login-host",
        "save its certificate and name the file in tls.ca_file",
        "127.0.0.1, tls: ",
        login_certificate_unknown,
    ),
    Scenario(
        "Intune: the login host's name is not known",
        "login-host",
        "Check the name in the login address, and DNS here.",
        "mdm.example, name: mdm.example: not known",
        login_host_unknown,
    ),
    Scenario(
        "Workspace ONE: nobody listens at the token host",
        "login-host",
        _WAY,
        "127.0.0.1, tcp: port",
        login_host_closed,
    ),
    Scenario(
        'ISE: "401"; Jamf Pro has Basic authentication switched off, or the password is wrong',
        "login",
        "'Allow Basic authentication in addition to Bearer Token authentication'",
        "the server refused the credential (401)",
        basic_disabled,
    ),
    Scenario(
        "Jamf Pro gives no token for a password",
        "login",
        "Basic authentication, with which a token is asked for, is",
        "(401)",
        password_login_off,
    ),
    Scenario("Meraki: the API key is wrong", "login", "compare api_key", "(401)", meraki_key_wrong),
    Scenario(
        "MaaS360: the billing id is wrong, or belongs to another instance",
        "login",
        "that base_url is the host of the instance that the account lies in",
        "the billing id is not known here",
        maas360_account_elsewhere,
    ),
    Scenario(
        "MaaS360: the access key or the password is wrong",
        "login",
        "Check username, password, app_id, app_version and app_access_key",
        "Invalid credentials",
        maas360_key_wrong,
    ),
    Scenario(
        "SOTI: the API client or its user is wrong",
        "login",
        "Check client_id and client_secret (Global Settings > Services > API Client)",
        "invalid_",
        soti_secret_wrong,
    ),
    Scenario(
        "Ivanti: the password is wrong",
        "login",
        "Check username and password",
        "(401)",
        ivanti_password_wrong,
    ),
    Scenario(
        "Entra ID: the client secret is wrong",
        "login",
        "create a client secret",
        "AADSTS7000215",
        refused_with(7000215),
    ),
    Scenario(
        "Entra ID: the client secret has expired",
        "login",
        "log in with a certificate",
        "AADSTS7000222",
        refused_with(7000222),
    ),
    Scenario(
        "Entra ID: the application is not in this tenant",
        "login",
        "Compare client_id and tenant_id with the overview of the app registration",
        "AADSTS700016",
        refused_with(700016, "unauthorized_client"),
    ),
    Scenario(
        'ISE: "failed to acquire auth token"; the certificate is not the one in the manifest',
        "login",
        "Upload this very certificate to the app registration",
        "AADSTS700027",
        refused_with(700027),
    ),
    Scenario(
        'ISE: "failed to acquire auth token"; nobody has consented',
        "login",
        "granted again after every change",
        "AADSTS65001",
        refused_with(65001, "invalid_grant"),
    ),
    Scenario(
        "Entra ID: the token's audience is wrong",
        "login",
        "cloud and nac_audience",
        "AADSTS500011",
        refused_with(500011, "invalid_resource"),
    ),
    Scenario(
        'ISE: "404"; the instance is wrong, or its integration was deleted',
        "heartbeat",
        "The instance is wrong, or the network integration was deleted",
        "no Cisco ISE MDM API found",
        instance_wrong,
    ),
    Scenario(
        "the account lacks a role",
        "heartbeat",
        "Grant the account the privilege Read Network Integration",
        "(403)",
        role_missing,
    ),
    Scenario(
        "the app registration lacks the permission of the API",
        "heartbeat",
        "get_device_compliance of the API 'Intune'",
        "(403)",
        permission_missing,
    ),
    Scenario(
        "Intune: only the retired NAC service is there",
        "heartbeat",
        "Check that this tenant has an active Intune licence",
        "that Microsoft retired in March 2024",
        service_retired,
    ),
    Scenario(
        "Meraki: the organisation does not allow the API",
        "heartbeat",
        "API & Webhooks",
        "does not allow the API",
        meraki_api_off,
    ),
    Scenario(
        "Workspace ONE: the tenant code is wrong", "heartbeat", "tenant_code", "(403)", tenant_code_wrong
    ),
    Scenario(
        "BlackBerry UEM: the administrator's role lacks a right",
        "heartbeat",
        "View users and activated devices",
        "(403)",
        blackberry_role_missing,
    ),
    Scenario(
        "Configuration Manager: the account lacks the rights in WMI",
        "heartbeat",
        "a member of the local group SMS Admins",
        "(404)",
        configmgr_rights_missing,
    ),
    Scenario(
        "a login page answers instead of the API",
        "heartbeat",
        "A login page, portal or proxy answers at this address",
        "answered with a web page instead of XML",
        login_page,
    ),
    Scenario(
        "the server fails",
        "heartbeat",
        "Look at the server's own log and status page",
        "the server failed (500)",
        server_down,
    ),
    Scenario(
        "the source of compliance says nothing about the fleet",
        "heartbeat",
        "correct the setting compliance, or what it names",
        "says nothing about any of the",
        source_silent,
        misconfigured=True,
    ),
    Scenario(
        "Jamf Pro: its newest inventory API is deprecated",
        "heartbeat",
        "Jamf deprecated v3 of the computer inventory on 2026-07-14: update Jamf Pro to 11.30 or later",
        "API v3",
        inventory_deprecated,
        warning=True,
    ),
    Scenario(
        "the server says that its API ends",
        "heartbeat",
        "deprecated since 2026-01-01 and to be switched off on 2027-06-30",
        "API 3",
        sunset_announced,
        warning=True,
    ),
    Scenario(
        "a privilege for lookups is missing",
        "lookup",
        "Grant the account or API role: Read Computers.",
        "(403)",
        privilege_missing,
    ),
    Scenario(
        "the account sees no device, as after it lost its groups",
        "lookup",
        "the groups of the devices that it is to see",
        "the account sees no device",
        account_sees_nothing,
    ),
    Scenario(
        "Intune: the list is asked for too often",
        "list",
        "at most once in 4 hours",
        "(503)",
        list_too_often,
    ),
    Scenario(
        "no source of compliance is named",
        "compliance",
        "give the setting compliance, as",
        "there is no source of compliance",
        source_missing,
        misconfigured=True,
    ),
    Scenario(
        "the quota is spent",
        "limits",
        "The quota is spent: ask less often",
        "x-ratelimit-remaining: 0",
        quota_spent,
    ),
    Scenario(
        "Jamf with Intune: a Mac is registered twice",
        "agreement",
        "Remove what earlier enrolments left behind, and enrol the device again",
        f"serial:{MAC.serial_number} has 2 records",
        registered_twice,
    ),
    Scenario(
        "Jamf with Intune: a Mac complies in one and not in the other",
        "agreement",
        "the registration is incomplete or was made twice",
        f"serial:{MAC.serial_number} is ",
        judged_differently,
    ),
    Scenario(
        'Jamf with Intune: a Mac is "unresponsive"',
        "agreement",
        "the user who registered the Mac has to sign in again",
        "checked in with intune, but for 30 hours before that not with mdm: unresponsive there",
        unresponsive,
    ),
)
