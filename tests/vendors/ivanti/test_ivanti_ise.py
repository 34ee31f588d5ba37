"""Both products as Cisco ISE asks them: where the API is, what refusals say, what stands for no number."""

from collections.abc import Callable
from typing import Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    PermissionDeniedError,
    UnsupportedOperationError,
)
from mdmsdk.registry import load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import Modal, Played, play
from mdmsdk.wire import Response

ISE = ["ivanti-core-ise", "ivanti-cloud-ise"]
Connect = Callable[..., Modal]


def info_answer(path: str, version: int) -> Response:
    body = (
        f"<ise_api><name>mdminfo</name><api_version>{version}</api_version><api_path>{path}</api_path>"
        "<redirect_url>https://enrol.example.com/</redirect_url><query_max_size>1000</query_max_size>"
        "<messaging_support>true</messaging_support><vendor>MobileIron</vendor>"
        "<product_name>MobileIron Cloud</product_name><product_version>76.0.0.22</product_version></ise_api>"
    )
    return Response(200, {"content-type": "application/xml"}, body.encode())


@pytest.mark.parametrize("version", [2, 3])
def test_the_path_is_read_at_run_time(version: int) -> None:
    settings = {"base_url": "https://eu1.mobileiron.example", "username": "nac", "password": "p"}
    provider = make_provider("ivanti-cloud-ise", settings)
    played = Played()
    answers = [info_answer(f"/ciscoise/mdmapi/v{version}", version)]
    info = play(provider.heartbeat(), answers, provider=provider, record=played)
    assert played.requests[0].full_url.endswith("/ciscoise/mdminfo/?ise_api_version=3")
    assert info.extra["api_base"] == f"https://eu1.mobileiron.example/ciscoise/mdmapi/v{version}"
    assert (info.product, info.version, info.query_max_size) == ("MobileIron Cloud", "76.0.0.22", 1000)


@pytest.mark.parametrize(
    ("name", "status", "error", "hint"),
    [
        ("ivanti-core-ise", 401, AuthenticationError, "local user"),
        ("ivanti-core-ise", 403, PermissionDeniedError, "API role"),
        ("ivanti-core-ise", 404, EndpointNotFoundError, "Connected Cloud"),
        ("ivanti-cloud-ise", 401, AuthenticationError, "password and PIN"),
        ("ivanti-cloud-ise", 403, PermissionDeniedError, "Cisco ISE Operations"),
        ("ivanti-cloud-ise", 404, EndpointNotFoundError, "cluster"),
    ],
)
def test_refusals_name_the_role(name: str, status: int, error: Any, hint: str) -> None:
    settings = {"base_url": "https://mdm.example", "username": "nac", "password": "p"}
    with pytest.raises(error) as caught:
        make_provider(name, settings).check(Response(status, {}, b"", "https://mdm.example/ciscoise/x"))
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("name", ISE)
def test_a_stand_in_is_no_telephone_number(name: str, mdm_connect: Connect) -> None:
    fleet = Fleet.generate(40, seed=5)
    with serve(load_simulator(name)(fleet, accepts=frozenset({"inventory"}))) as running:
        client = mdm_connect(**running.settings)
        numbers = {device.guid: device.phone_number for device in client.devices()}
        assert numbers == {device.guid: device.phone_number for device in fleet if device.registered}
        client.close()


def test_an_older_epmm_has_no_guids(mdm_connect: Connect) -> None:
    fleet = Fleet.generate(20, seed=5)
    with serve(load_simulator("ivanti-core-ise")(fleet, max_api_version=2)) as running:
        client = mdm_connect(**running.settings)
        assert client.heartbeat().api_version == "2"
        assert client.lookup(f"mac:{fleet[0].mac_addresses[0]}")
        with pytest.raises(UnsupportedOperationError, match="version 3"):
            client.lookup(f"guid:{fleet[0].guid}")
        client.close()
