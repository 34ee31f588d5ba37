"""Redirects and next-page links: to shards with the credential, to any other host without a word."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from mdmsdk.errors import IncompleteListError, RedirectError
from mdmsdk.identifiers import Serial
from mdmsdk.simulator import Fleet, TlsFiles
from mdmsdk_meraki.simulator.rows import sm_id

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("in_no_hurry")

FLEET = Fleet.generate(30, seed=4, cases=False)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    chain, key, root = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    server.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(root)
    return TlsFiles(chain, key, root)


def local(running: Any) -> str:
    """The same server under another host name."""
    return str(running.origin).replace("127.0.0.1", "localhost")


def place(running: Any) -> str:
    """The same server as the settings name it."""
    return local(running).partition("://")[2]


def test_a_declared_shard_gets_the_credential_over_https(
    simulate: Any, connect_to: Any, tls: TlsFiles
) -> None:
    shard = simulate(fleet=FLEET, tls=tls)
    front = simulate(fleet=FLEET, tls=tls, redirect_to=local(shard))
    client = connect_to(front, redirect_hosts=[place(shard)])
    device = FLEET[0]
    found = client.lookup(Serial(device.serial_number))
    assert found is not None
    assert found.id == sm_id(device)
    assert all(request.has_credentials for request in shard.simulator.requests)
    assert len(shard.simulator.requests) == len(front.simulator.requests)


def test_the_links_of_a_shard_are_followed_too(simulate: Any, connect_to: Any, tls: TlsFiles) -> None:
    shard = simulate(fleet=FLEET, tls=tls, page_size=3)
    front = simulate(fleet=FLEET, tls=tls, page_size=3, link_origin=local(shard))
    client = connect_to(front, redirect_hosts=[place(shard)])
    assert {device.id for device in client.devices()} == {sm_id(device) for device in FLEET}
    assert shard.simulator.device_requests > 0


@pytest.mark.parametrize("secure", [True, False])
def test_the_key_never_follows_a_redirect_to_a_foreign_host(
    simulate: Any, connect_to: Any, tls: TlsFiles, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="mdmsdk")
    foreign = simulate(fleet=FLEET, tls=tls if secure else None)
    front = simulate(fleet=FLEET, tls=tls, redirect_to=local(foreign))
    # Over http not even a declared host.
    client = connect_to(front, redirect_hosts=["localhost"] if secure else [place(foreign)])
    with pytest.raises(RedirectError, match="must not see the credential") as caught:
        client.heartbeat()
    assert "localhost" in str(caught.value)
    assert "redirect_hosts" in (caught.value.hint or "")
    assert len(foreign.simulator.requests) == 0
    assert front.simulator.habits.api_key not in f"{caught.value!r}{caught.value}{caplog.text}"


@pytest.mark.parametrize("secure", [True, False])
def test_the_key_never_follows_a_foreign_next_link(
    simulate: Any, connect_to: Any, tls: TlsFiles, secure: bool
) -> None:
    foreign = simulate(fleet=FLEET, tls=tls if secure else None)
    front = simulate(fleet=FLEET, tls=tls, page_size=3)
    client = connect_to(front)
    client.heartbeat()
    front.simulator.behave(link_origin=local(foreign))
    devices = client.devices()
    assert next(devices).id
    with pytest.raises(IncompleteListError, match="must not see the credential") as caught:
        list(devices)
    assert "redirect_hosts" in (caught.value.hint or "")
    assert len(foreign.simulator.requests) == 0


def test_redirects_end_after_five_hops(simulate: Any, connect_to: Any) -> None:
    running = simulate(redirect_loop=True)
    with pytest.raises(RedirectError, match="more than 5 times") as caught:
        connect_to(running).heartbeat()
    assert len(running.simulator.requests) == 6
    assert "base_url" in (caught.value.hint or "")
