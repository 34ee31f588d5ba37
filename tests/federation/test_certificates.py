"""Certificates as they are deployed: which identifiers they carry, and which they do not."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from mdmsdk.certificates import keys_from_certificate
from mdmsdk.errors import ConfigurationError, InvalidIdentifierError
from mdmsdk.identifiers import Guid, Hostname, Serial, Username

GUID = "51431193-e6c3-4339-9a2b-8f1ff1fd42a2"
SID = "tag:microsoft.com,2022-09-14:sid:S-1-5-21-1111111111-2222222222-3333333333-1105"
UPN = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
NOW = dt.datetime.now(dt.UTC)


def utf8(text: str) -> bytes:
    data = text.encode()
    length = bytes([len(data)]) if len(data) < 128 else bytes([0x81, len(data)])
    return b"\x0c" + length + data


def issue(
    *,
    cn: str = "",
    serial: str = "",
    uris: Any = (),
    dns: Any = (),
    upns: Any = (),
    days: int = 1,
    since: int = -9,
) -> x509.Certificate:
    """A certificate that is valid from some days on until some days from now."""
    attributes = [(NameOID.COMMON_NAME, cn), (NameOID.SERIAL_NUMBER, serial)]
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes if value])
    names: list[x509.GeneralName] = [*map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, dns)]
    names += [x509.OtherName(UPN, utf8(text)) for text in upns]
    builder = x509.CertificateBuilder(subject, subject, serial_number=7)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = builder.public_key(key.public_key()).not_valid_before(NOW + dt.timedelta(days=since))
    builder = builder.not_valid_after(NOW + dt.timedelta(days=days))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        ({"uris": [f"ID:Microsoft Endpoint Manager:GUID:{GUID}", SID]}, [Guid(GUID)]),
        ({"uris": [SID, f"ID:Intune:DeviceID:{GUID},ID:Mobileiron:GUID:aaaa"]}, [Guid(GUID), Guid("aaaa")]),
        ({"cn": "ID:Mobileiron:GUID:aaaa, ID:MerakiSM:DeviceID:42"}, [Guid("aaaa"), Guid("42")]),
        ({"uris": [f"IntuneDeviceId://{GUID}"]}, [Guid(GUID)]),
        ({"uris": [f"intunedeviceid://{GUID.upper()}"]}, [Guid(GUID)]),
        ({"cn": GUID}, [Guid(GUID)]),
        ({"uris": [f"urn:uuid:{GUID}"], "cn": GUID.upper()}, [Guid(GUID)]),
        ({"cn": "host/pc-7.corp.example"}, [Hostname("pc-7.corp.example")]),
        ({"dns": ["pc-7.corp.example", "*.corp.example"]}, [Hostname("pc-7.corp.example")]),
        ({"upns": ["PC-7$@corp.example", "jane@corp.example"]}, [Hostname("PC-7")]),
        ({"upns": ["host/pc-7.corp.example@CORP.EXAMPLE"]}, [Hostname("pc-7.corp.example")]),
        ({"serial": "C02XK0AAJG5H", "cn": "laptop-7"}, [Serial("C02XK0AAJG5H")]),
        ({"serial": "To be filled by O.E.M.", "uris": [SID], "cn": "Jane Doe"}, []),
        (
            {"dns": ["pc-7"], "serial": "C02XK0AAJG5H", "uris": [f"IntuneDeviceId://{GUID}"]},
            [Guid(GUID), Serial("C02XK0AAJG5H"), Hostname("pc-7")],
        ),
        ({"uris": ["IntuneDeviceId://", "ID:Intune:GUID:", "https://id.example/ID"]}, []),
        ({"uris": ["ID:Intune:GUID:00000000-0000-0000-0000-000000000000"], "cn": "0" * 8}, []),
    ],
)
def test_forms(names: Any, keys: list[Any]) -> None:
    assert keys_from_certificate(issue(**names)) == keys


def test_a_guid_keeps_whose_it_is() -> None:
    keys: Any = keys_from_certificate(
        issue(uris=["ID:MerakiSM:DeviceID:42", f"IntuneDeviceId://{GUID}"], cn=GUID)
    )
    assert [(str(key), key.issuer) for key in keys] == [("42", "MerakiSM"), (GUID, "Intune")]


def test_people_are_named_only_on_request() -> None:
    cert = issue(upns=["jane@corp.example", "x" * 150 + "@corp.example"])
    assert keys_from_certificate(cert) == []
    assert keys_from_certificate(cert, users=True) == [
        Username("jane@corp.example"),
        Username("x" * 150 + "@corp.example"),
    ]


@pytest.mark.parametrize(
    "value", [b"", b"\x0c", b"\x0c\x05ab", b"\x16\x02ab", b"\x0c\x81", b"\x0c\x02\xff\xfe"]
)
def test_other_names_that_hold_no_text_are_passed_over(value: bytes) -> None:
    name = x509.SubjectAlternativeName([x509.OtherName(UPN, value)]) if value[1:] else None
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, NOW, NOW + dt.timedelta(days=1))
    try:
        cert = (builder.add_extension(name, critical=False) if name else builder).sign(key, hashes.SHA256())
        found = keys_from_certificate(cert, users=True)
    except (ValueError, InvalidIdentifierError):
        return  # the library refuses to write it, or to read it
    assert all(str(key) != "ab" for key in found)


class TestPatterns:
    def test_an_administrators_own_forms_come_first(self) -> None:
        pattern = r"AAD_ID=(?P<guid>[0-9a-f-]{36});SN=(?P<serial>\w+)"
        cert = issue(cn=f"AAD_ID={GUID};SN=C02XK0AAJG5H", dns=["pc-7"])
        expected = [Guid(GUID), Serial("C02XK0AAJG5H"), Hostname("pc-7")]
        assert keys_from_certificate(cert, patterns=[pattern]) == expected

    @pytest.mark.parametrize("pattern", ["(", "GUID=(.*)", "(?P<name>.*)", "(?P<guid>a)(?P<other>b)"])
    def test_one_that_is_not_usable_is_told(self, pattern: str) -> None:
        with pytest.raises(ConfigurationError):
            keys_from_certificate(issue(cn=GUID), patterns=[pattern])


class TestBadInput:
    def test_one_that_is_not_valid_now_is_told(self) -> None:
        gone, early = issue(cn=GUID, days=-1), issue(cn=GUID, since=1, days=2)
        for cert, words in ((gone, "expired on"), (early, "is not valid before")):
            with pytest.raises(InvalidIdentifierError, match=words):
                keys_from_certificate(cert)
            assert keys_from_certificate(cert, expired=True) == [Guid(GUID)]

    @pytest.mark.parametrize("given", [b"", "x", b"\x30\x80" * 40, 7, None, ["-----BEGIN"]])
    def test_garbage_is_told(self, given: Any) -> None:
        with pytest.raises(InvalidIdentifierError, match="certificate"):
            keys_from_certificate(given)


class TestTls:
    """The other side's certificate of a connection, over memory."""

    @pytest.fixture
    def folder(self, tmp_path: Any) -> Any:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, GUID)])
        cert = (
            x509.CertificateBuilder(name, name, key.public_key(), 7)
            .not_valid_before(NOW - dt.timedelta(days=1))
            .not_valid_after(NOW + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = cert.public_bytes(serialization.Encoding.PEM)
        pem += key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "both.pem").write_bytes(pem)
        return tmp_path

    @pytest.mark.parametrize("asks", [True, False])
    def test_the_clients_certificate_names_it(self, folder: Any, asks: bool) -> None:
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client_context.check_hostname = False
        for context in (server_context, client_context):
            context.load_cert_chain(folder / "both.pem")
            context.load_verify_locations(folder / "both.pem")
        server_context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_context.wrap_bio(to_server, to_client, server_side=True)
        client = client_context.wrap_bio(to_client, to_server)
        with pytest.raises(InvalidIdentifierError, match="no certificate"):
            keys_from_certificate(server)
        for side in (client, server, client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        if asks:
            assert keys_from_certificate(server) == [Guid(GUID)]
        else:
            with pytest.raises(InvalidIdentifierError, match="no certificate"):
                keys_from_certificate(server)
