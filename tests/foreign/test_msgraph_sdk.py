"""Microsoft's own clients, msal, azure-identity and msgraph-sdk, against the Intune simulator."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest

from mdmsdk_intune.simulator import IntuneSimulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mdmsdk.simulator import Fleet, RunningSimulator

NOT_HERE = "msgraph-sdk is not installed; `nox -s foreign` has it"
msgraph = pytest.importorskip("msgraph", reason=NOT_HERE)
requests = pytest.importorskip("requests", reason=NOT_HERE)
identity = pytest.importorskip("azure.identity", reason=NOT_HERE)
core = pytest.importorskip("msgraph_core", reason=NOT_HERE)
kiota = pytest.importorskip("kiota_abstractions.base_request_configuration", reason=NOT_HERE)
login = pytest.importorskip(
    "kiota_authentication_azure.azure_identity_authentication_provider", reason=NOT_HERE
)
msal = pytest.importorskip("msal")
builder = pytest.importorskip(
    "msgraph.generated.device_management.managed_devices.managed_devices_request_builder", reason=NOT_HERE
)

CLIENT = "msgraph-sdk with azure-identity"
SCOPE = "https://graph.microsoft.com/.default"


@pytest.fixture(scope="module")
def running(start: Callable[..., Any]) -> Any:
    return start(IntuneSimulator)


@pytest.fixture(scope="module")
def ask(running: RunningSimulator[IntuneSimulator]) -> Callable[[Callable[[Any], Awaitable[Any]]], Any]:
    """Run a question to Graph: a function of the request builder for managed devices."""
    habits, settings = running.simulator.habits, running.settings
    ca_file = settings["tls"]["ca_file"]
    credential = identity.ClientSecretCredential(
        habits.tenant_id,
        habits.client_id,
        habits.client_secret,
        authority=settings["authority_url"],
        disable_instance_discovery=True,
        connection_verify=ca_file,
        use_env_settings=False,
    )
    hosts = ["127.0.0.1", urlsplit(running.origin).netloc]

    async def answer(question: Callable[[Any], Awaitable[Any]]) -> Any:
        trust = ssl.create_default_context(cafile=ca_file)
        async with httpx.AsyncClient(verify=trust, trust_env=False) as plain:
            http = core.GraphClientFactory.create_with_default_middleware(client=plain)
            provider = login.AzureIdentityAuthenticationProvider(
                credential, scopes=[SCOPE], allowed_hosts=hosts
            )
            adapter = msgraph.GraphRequestAdapter(provider, client=http)
            client = msgraph.GraphServiceClient(request_adapter=adapter)
            adapter.base_url = f"{running.origin}/v1.0"
            return await question(client.device_management.managed_devices)

    return lambda question: asyncio.run(answer(question))


def query(**options: Any) -> Any:
    kind = builder.ManagedDevicesRequestBuilder.ManagedDevicesRequestBuilderGetQueryParameters
    return kiota.RequestConfiguration(query_parameters=kind(**options))


def test_msal_logs_in_with_a_secret(running: RunningSimulator[IntuneSimulator], tell: Any) -> None:
    habits, settings = running.simulator.habits, running.settings
    with requests.Session() as session:
        session.trust_env, session.verify = False, settings["tls"]["ca_file"]
        application = msal.ConfidentialClientApplication(
            habits.client_id,
            authority=f"{settings['authority_url']}/{habits.tenant_id}",
            client_credential=habits.client_secret,
            http_client=session,
            instance_discovery=False,
        )
        token = application.acquire_token_for_client([SCOPE])["access_token"]
        address = f"{running.origin}/v1.0/deviceManagement/managedDevices"
        seen = []
        while address:
            page = session.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()
            seen += page["value"]
            address = page.get("@odata.nextLink")
    known = {device.guid: device for device in running.simulator.fleet}
    assert {row["id"] for row in seen} == set(known)
    assert all(row["serialNumber"] == known[row["id"]].serial_number for row in seen)
    tell("msal with requests", "lists all", f"{len(seen)} devices")
    tell("msal with requests", "reads fields", f"{len(seen)} records")


def test_it_lists_all(ask: Any, fleet: Fleet, tell: Any) -> None:
    async def walk(devices: Any) -> list[Any]:
        page = await devices.get(query(top=30))
        found = list(page.value)
        while page.odata_next_link:
            page = await devices.with_url(page.odata_next_link).get()
            found += page.value
        return found

    rows = ask(walk)
    assert sorted(row.id for row in rows) == sorted(device.guid for device in fleet)
    tell(CLIENT, "lists all", f"{len(rows)} devices")


def test_it_finds_one(ask: Any, fleet: Fleet, tell: Any) -> None:
    one = next(device for device in fleet if device.platform == "iOS" and device.imei)
    ways = [
        f"serialNumber eq '{one.serial_number}'",
        f"imei eq '{one.imei}'",
        f"azureADDeviceId eq '{one.directory_id}'",
        f"serialNumber eq '{one.serial_number}' and operatingSystem eq 'iOS'",
        f"serialNumber eq '{one.serial_number}' and enrolledDateTime ge 2000-01-01T00:00:00Z",
    ]
    for way in ways:
        page = ask(lambda devices, way=way: devices.get(query(filter=way, select=["id", "deviceName"])))
        assert [row.id for row in page.value] == [one.guid], way
    row = ask(lambda devices: devices.by_managed_device_id(one.guid).get())
    assert (row.id, row.imei) == (one.guid, one.imei)
    assert ask(lambda devices: devices.get(query(filter="serialNumber eq 'X'"))).value == []
    tell(CLIENT, "finds one", f"{len(ways) + 1} ways")


def test_it_reads_the_fields(ask: Any, fleet: Fleet, tell: Any) -> None:
    by_id = {device.guid: device for device in fleet}
    rows = ask(lambda devices: devices.get()).value
    states = {"grace": "inGracePeriod"}
    for row in rows:
        device = by_id[row.id]
        assert (row.serial_number, row.user_principal_name) == (device.serial_number, device.email)
        assert (row.device_name, row.os_version) == (device.hostname, device.os_version)
        assert row.compliance_state.value == states.get(device.compliance, device.compliance)
        assert (row.last_sync_date_time.year < 2) == (device.last_check_in is None)
        # What this client does not know of would stand among the additional data.
        assert row.additional_data == {}
    assert len(rows) == len(fleet)
    one = next(device for device in fleet if device.failure_reasons)
    policies = ask(
        lambda devices: devices.by_managed_device_id(one.guid).device_compliance_policy_states.get()
    )
    assert {policy.state.value for policy in policies.value} == {"nonCompliant", "compliant"}
    tell(CLIENT, "reads fields", f"{len(rows)} records")
