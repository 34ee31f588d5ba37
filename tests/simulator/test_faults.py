from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk.simulator import Fault

if TYPE_CHECKING:
    from mdmsdk.simulator import Fleet
    from tests.simulator.conftest import IseClient, Start

PATH = "/ciscoise/mdminfo/?ise_api_version=3"
type_of = "content-type"


def get(ise: IseClient, path: str = PATH) -> httpx.Response:
    return ise.http.get(path)


def test_a_status_comes_with_a_page_and_a_time_to_wait(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("status", status=503, retry_after=2.5))
    response = get(ise)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2.5")
    assert "503 Service Unavailable" in response.text


@pytest.mark.parametrize(
    ("form", "content_type"),
    [("html", "text/html"), ("json", "application/json"), ("xml", "application/xml"), ("text", "text/plain")],
)
def test_the_page_of_a_status_has_a_form(ise: IseClient, form: Any, content_type: str) -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    ise.simulator.faults.add(Fault("status", status=429, retry_after=moment, body_format=form))
    response = get(ise)
    assert response.headers[type_of].startswith(content_type)
    assert parsedate_to_datetime(response.headers["retry-after"]) == moment


def test_a_status_can_have_its_own_body_and_headers(ise: IseClient) -> None:
    fault = Fault(
        "status", status=599, body='{"a": 1}', content_type="application/json", headers={"x-id": "7"}
    )
    ise.simulator.faults.add(fault)
    response = get(ise)
    assert (response.status_code, response.json(), response.headers["x-id"]) == (599, {"a": 1}, "7")


def test_a_login_page_says_200(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("login_page"))
    response = get(ise)
    assert response.status_code == 200
    assert "<form" in response.text


def test_a_fault_hits_what_it_matches_after_a_while_and_some_times(ise: IseClient) -> None:
    fault = Fault("status", match="version=3", after=1, times=2)
    ise.simulator.faults.add(fault)
    assert [get(ise).status_code for _ in range(4)] == [200, 500, 500, 200]
    assert ise.simulator.faults.hits(fault) == 2
    assert get(ise, "/ciscoise/mdminfo").status_code == 200


def test_a_fault_can_have_a_predicate_and_a_block(ise: IseClient) -> None:
    fault = Fault("status", match=lambda request: request.parameters.get("ise_api_version") == "2")
    with ise.simulator.faults.during(fault):
        assert get(ise).status_code == 200
        assert get(ise, "/ciscoise/mdminfo/?ise_api_version=2").status_code == 500
    assert get(ise, "/ciscoise/mdminfo/?ise_api_version=2").status_code == 200


def test_the_first_of_two_faults_acts_and_clear_ends_all(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("status", status=501, times=1), Fault("status", status=502))
    assert [get(ise).status_code for _ in range(3)] == [501, 502, 502]
    ise.simulator.faults.clear()
    assert get(ise).status_code == 200


def test_faulty_requests_are_logged_too(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("reset", times=1))
    with pytest.raises(httpx.ReadError):
        get(ise)
    assert len(ise.simulator.requests) == 1


def test_a_delay_delays(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("delay", seconds=0.15))
    started = time.perf_counter()
    assert get(ise).status_code == 200
    assert time.perf_counter() - started >= 0.15


def test_a_hanging_answer_never_comes(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("hang"))
    with pytest.raises(httpx.ReadTimeout):
        ise.http.get(PATH, timeout=0.2)


def test_a_drip_beats_the_timeout_between_bytes(ise: IseClient) -> None:
    usual = get(ise).content
    ise.simulator.faults.add(Fault("drip", seconds=0.01, chunk=len(usual) // 10))
    started = time.perf_counter()
    assert ise.http.get(PATH, timeout=0.5).content == usual
    assert time.perf_counter() - started >= 0.1


def test_an_endless_body_goes_on(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("endless"))
    received = 0
    with ise.http.stream("GET", PATH) as response:
        for piece in response.iter_bytes():
            received += len(piece)
            if received > 5_000_000:
                break
    assert received > 5_000_000


def test_a_gzip_bomb_is_small_on_the_wire(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("gzip_bomb", size=20 << 20))
    with ise.http.stream("GET", PATH) as response:
        wire = b"".join(response.iter_raw())
    assert len(wire) < 100_000
    assert len(get(ise).content) > 20 << 20


def test_a_truncated_body_ends_early(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("truncated"))
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        get(ise)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_reset_resets(ise: IseClient, share: float) -> None:
    ise.simulator.faults.add(Fault("reset", share=share))
    with pytest.raises(httpx.ReadError):
        get(ise)


def test_another_protocol_is_no_http(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("not_http"))
    with pytest.raises(httpx.RemoteProtocolError):
        get(ise)


@pytest.mark.parametrize(("status", "sent"), [(None, 302), (308, 308), (200, 302)])
def test_a_redirect_points_elsewhere(ise: IseClient, status: int | None, sent: int) -> None:
    ise.simulator.faults.add(Fault("redirect", status=status, location="http://other.example.com/x"))
    response = get(ise)
    assert (response.status_code, response.headers["location"]) == (sent, "http://other.example.com/x")


def test_the_usual_answer_can_have_another_type(ise: IseClient) -> None:
    usual = get(ise)
    ise.simulator.faults.add(Fault("content_type", content_type="application/octet-stream"))
    response = get(ise)
    assert response.headers.get_list(type_of) == ["application/octet-stream"]
    assert response.content == usual.content


def test_a_body_can_be_any_or_empty(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("body", body=b"\x00\xff", content_type="application/xml", times=1))
    ise.simulator.faults.add(Fault("empty"))
    assert get(ise).content == b"\x00\xff"
    response = get(ise)
    assert (response.status_code, response.content) == (200, b"")


def test_a_replay_ignores_the_query(ise: IseClient) -> None:
    ise.simulator.faults.add(Fault("replay"))
    first = get(ise)
    assert get(ise, "/ciscoise/mdminfo/?ise_api_version=1").content == first.content


def test_a_post_survives_a_delay(ise: IseClient, fleet: Fleet) -> None:
    ise.simulator.faults.add(Fault("delay", seconds=0.01))
    mac = next(device.wifi_mac for device in fleet if device.wifi_mac and device.registered)
    path = f"/ciscoise/mdmapi/v2/batchdevices/?paging=0&querycriteria=macaddress&value={mac}&filter=all"
    body = f"<ise_api><value>{mac}</value></ise_api>"
    answer = ise.http.post(path, content=body, headers={"Content-Type": "application/xml"})
    assert (answer.status_code, mac in answer.text) == (200, True)


def test_without_a_server_a_broken_connection_is_an_exception(start: Start) -> None:
    simulator = start().simulator
    simulator.faults.add(Fault("reset"))
    transport = httpx.ASGITransport(simulator.app)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get(PATH)

    with pytest.raises(ConnectionResetError):
        asyncio.run(ask())
