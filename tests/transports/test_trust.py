"""Whom a transport trusts, and what it says where it does not."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mdmsdk._run import trust
from mdmsdk.errors import ConfigurationError, ConnectError, TlsError
from mdmsdk.settings import TlsSettings
from tests.transports.conftest import Authority, Peer, Server, Transport, answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Transport]
    Serve = Callable[..., Server]

GOOD = answer(b"good")


def good(peer: Peer) -> None:
    peer.answer_each(GOOD)


def test_an_unknown_authority_is_refused(serve: Serve, transport: Open, authority: Authority) -> None:
    with pytest.raises(TlsError, match="is not trusted"):
        transport(serve(good, authority.context()).origin).get()


def test_another_name_is_refused(serve: Serve, transport: Open, authority: Authority) -> None:
    server = serve(good, authority.context("mdm.example"))
    with pytest.raises(TlsError, match="is not trusted"):
        transport(server.origin, tls={"ca_file": authority.file}).get()


def test_the_system_is_trusted_and_ca_file_adds_to_it(
    serve: Serve, transport: Open, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))  # where OpenSSL looks for the system's
    trust._context.cache_clear()
    tls = {"ca_file": authority.file}
    assert transport(serve(good, authority.context()).origin, tls=tls).get().body == b"good"
    assert transport(serve(good, other.context()).origin, tls=tls).get().body == b"good"
    assert transport(serve(good, other.context()).origin).get().body == b"good"
    trust._context.cache_clear()


def test_there_is_one_context_for_the_same_settings(authority: Authority) -> None:
    one, other = TlsSettings(ca_file=authority.file), TlsSettings(ca_file=authority.file)
    assert trust.tls_context(one) is trust.tls_context(other)
    assert trust.tls_context(one) is not trust.tls_context(TlsSettings())


def test_verification_cannot_be_switched_off(authority: Authority) -> None:
    for settings in (TlsSettings(), TlsSettings(ca_file=authority.file)):
        context = trust.tls_context(settings)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert set(TlsSettings.model_fields) == {"ca_file", "client_cert", "client_key", "client_key_password"}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_refused(serve: Serve, transport: Open, authority: Authority) -> None:
    context = authority.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(TlsError, match="no secure connection"):
        transport(serve(good, context).origin, tls={"ca_file": authority.file}).get()


def test_a_file_that_is_none_is_an_error_of_the_settings(
    serve: Serve, transport: Open, authority: Authority, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="TLS files"):
        transport(serve(good, authority.context()).origin, tls={"ca_file": tmp_path / "none.pem"}).get()


class TestClientCertificate:
    def wanting(self, authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
        context = authority.context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = context.maximum_version = version
        return context

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_is_sent(
        self, serve: Serve, transport: Open, authority: Authority, version: ssl.TLSVersion
    ) -> None:
        server = serve(good, self.wanting(authority, version))
        tls = {"ca_file": authority.file, "client_cert": authority.client}
        assert transport(server.origin, tls=tls).get().body == b"good"

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_its_lack_is_said(
        self, serve: Serve, transport: Open, authority: Authority, version: ssl.TLSVersion
    ) -> None:
        # Under TLS 1.3 the server complains after the handshake, when the request is on its way.
        server = serve(good, self.wanting(authority, version))
        for _ in range(10):
            # A connection that is reset before the complaint was read is a broken one.
            with pytest.raises((TlsError, ConnectError)):
                transport(server.origin, tls={"ca_file": authority.file}).get()


def test_a_plain_server_is_no_secure_one(serve: Serve, transport: Open) -> None:
    server = serve(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(TlsError, match="no secure connection"):
        transport(server.origin.replace("http:", "https:")).get()


class TestClosing:
    def test_a_client_in_use_ends_what_is_under_way(self, serve: Serve, transport: Open) -> None:
        asked = threading.Event()

        def silent(peer: Peer) -> None:
            peer.head()
            asked.set()
            peer.sock.recv(1)

        client = transport(serve(silent).origin)
        failures: list[Exception] = []

        def ask() -> None:
            try:
                client.get(seconds=20)
            except Exception as error:  # noqa: BLE001 - looked at below
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(60)
        began = time.monotonic()
        client.run(client.wrapped.close if client.mode == "sync" else client.wrapped.aclose)
        thread.join(60)
        assert time.monotonic() - began < 10
        assert [type(error) for error in failures] == [ConnectError]

    def test_every_socket_is_closed(self, serve: Serve, transport: Open) -> None:
        ended = threading.Event()

        def note(peer: Peer) -> None:
            good(peer)
            ended.set()

        client = transport(serve(note).origin)
        client.get()
        assert not ended.is_set()
        client.close()
        assert ended.wait(60)
