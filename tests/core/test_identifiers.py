import contextlib
import datetime as dt
import pickle

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.certificates import keys_from_certificate
from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.identifiers import (
    KEY_KINDS,
    DeviceId,
    Guid,
    Hostname,
    Imei,
    Key,
    Mac,
    Meid,
    Serial,
    Udid,
    Username,
    parse_key,
)

unicast = (
    st.integers(1, 2**48 - 1)
    .filter(lambda number: not number >> 40 & 1)
    .map(lambda number: f"{number:012X}")
    .filter(lambda digits: not Mac.stands_for_nothing(digits))  # those that many devices have
)


def spellings(digits: str) -> list[str]:
    pairs = [digits[i : i + 2] for i in range(0, 12, 2)]
    fours = [digits[i : i + 4] for i in range(0, 12, 4)]
    forms = [
        digits,
        ":".join(pairs),
        "-".join(pairs),
        ".".join(fours),
        f"{digits[:6]}-{digits[6:]}",
        f" {digits}\n",
    ]
    return [*forms, *(form.lower() for form in forms)]


@given(unicast)
def test_a_mac_is_the_same_in_every_spelling(digits: str) -> None:
    macs = {Mac(text) for text in spellings(digits)} | {parse_key(text) for text in spellings(digits)}
    assert len(macs) == 1
    (mac,) = macs
    assert isinstance(mac, Mac)
    assert mac.hex == digits
    assert Mac(str(mac)) == mac


@given(st.text(max_size=30))
def test_a_mac_is_twelve_hex_digits_or_refused(text: str) -> None:
    try:
        mac = Mac(text)
    except InvalidIdentifierError:
        return
    assert int(mac.hex, 16)


@pytest.mark.parametrize(
    "text",
    ["", "00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:01", "00:1B:44:11:3A", "00:1B-44:11:3A:B7"]
    + ["001B.44113AB7", "00:1B:44:11:3A:BG", "0:1B:44:11:3A:B7", "00:1B:44:11:3A:B7:00"],
)
def test_what_is_no_mac_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(InvalidIdentifierError, match="is not a mac: "):
        Mac(text)


def test_a_random_mac_is_told_from_a_built_in_one() -> None:
    assert Mac("02:00:00:00:00:01").randomized
    assert Mac("DA:A1:19:00:00:01").randomized
    assert not Mac("00:1B:44:11:3A:B7").randomized


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Udid("00008020-0015784c218a402e"), Udid("00008020-0015784C218A402E")),
        (Udid("00008020-0015784c218a402e"), Udid("000080200015784C218A402E")),
        (Udid("564d6f3a-1b2c-4d5e-8f90-a1b2c3d4e5f6"), Udid("564D6F3A1B2C4D5E8F90A1B2C3D4E5F6")),
        (Guid("{1759C0FD-C8DA-49E8-B14F-19D85ACFACEA}"), Guid("1759c0fd-c8da-49e8-b14f-19d85acfacea")),
        (Serial("c02xk0aajg5h"), Serial("C02XK0AAJG5H")),
        (Imei("35-693803-564380-9"), Imei("356938035643809")),
        (Imei("35693803564380"), Imei("356938035643809")),
        (Meid("a10000009296f2"), Meid("A1-000000-9296F2")),
        (Meid("270113177609606898"), Meid("A10000009296F2")),
        (Hostname("Laptop-7.example.com."), Hostname("laptop-7.EXAMPLE.com")),
        (Username("Jane.Doe"), Username("jane.doe")),
    ],
)
def test_spellings_of_one_identifier_are_equal(one: Key, other: Key) -> None:
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("35693803564380", ("356938035643809", "35693803564380")),
        ("356938035643809", ("356938035643809", "35693803564380")),
        ("35 693803 564380 9", ("356938035643809", "35693803564380")),
        ("3569380356438012", ("356938035643809", "3569380356438012", "35693803564380")),
        ("356938035643801", ("356938035643801", "356938035643809", "35693803564380")),
        ("49015420323751", ("490154203237518", "49015420323751")),
    ],
)
def test_an_imei_is_asked_for_in_every_spelling(text: str, spellings: tuple[str, ...]) -> None:
    assert Imei(text).spellings == spellings
    assert {Imei(spelling) for spelling in spellings} == {Imei(text)}


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("00008020-0015784C218A402E", ("00008020-0015784C218A402E", "000080200015784C218A402E")),
        ("000080200015784C218A402E", ("000080200015784C218A402E", "00008020-0015784C218A402E")),
        (
            "564D6F3A1B2C4D5E8F90A1B2C3D4E5F6",
            ("564D6F3A1B2C4D5E8F90A1B2C3D4E5F6", "564D6F3A-1B2C-4D5E-8F90-A1B2C3D4E5F6"),
        ),
        ("2b6f0cc904d137be2e1730235f5664094b831186", ("2b6f0cc904d137be2e1730235f5664094b831186",)),
        ("board-7-of-rack-9-x-x-x-x", ("board-7-of-rack-9-x-x-x-x",)),
    ],
)
def test_a_udid_is_asked_for_with_and_without_hyphens(text: str, spellings: tuple[str, ...]) -> None:
    assert Udid(text).spellings == spellings
    assert {Udid(spelling) for spelling in spellings} == {Udid(text)}


def test_other_keys_have_one_spelling() -> None:
    assert Serial("C02XK0AAJG5H").spellings == ("C02XK0AAJG5H",)


def test_keys_of_different_kinds_are_never_equal() -> None:
    keys = [kind("356938035643809") for kind in (Imei, Serial, Guid, Udid, Hostname, Username, DeviceId)]
    assert len(set(keys)) == len(keys)
    assert DeviceId("a1") != DeviceId("A1")


@pytest.mark.parametrize("kind", list(KEY_KINDS.values()))
@pytest.mark.parametrize(
    "text", ["", "  ", "unknown", "To Be Filled By O.E.M.", "0", "N/A", "a\x00b", "line\nbreak"]
)
def test_placeholders_are_no_key(kind: type[Key], text: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        kind(text)


@pytest.mark.parametrize(("kind", "text"), [(Guid, "g" * 128), (Udid, "u" * 129), (Hostname, "h" * 254)])
def test_what_is_too_long_is_refused(kind: type[Key], text: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        kind(text)


def test_a_key_survives_pickling() -> None:
    for key in (Mac("00:1B:44:11:3A:B7"), Guid("x"), DeviceId("7")):
        assert pickle.loads(pickle.dumps(key)) == key  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("001b.4411.3ab7", Mac("001B44113AB7")),
        ("00008020-0015784C218A402E", Udid("00008020-0015784C218A402E")),
        ("2b6f0cc904d137be2e1730235f5664094b831186", Udid("2b6f0cc904d137be2e1730235f5664094b831186")),
        ("356938035643809", Imei("356938035643809")),
        ("jane.doe@example.com", Username("jane.doe@example.com")),
        ("serial:C02XK0AAJG5H", Serial("C02XK0AAJG5H")),
        ("GUID:1759c0fd-c8da-49e8-b14f-19d85acfacea", Guid("1759c0fd-c8da-49e8-b14f-19d85acfacea")),
        ("mac:00-1b-44-11-3a-b7", Mac("001B44113AB7")),
        ("id:42", DeviceId("42")),
        ("ID:MerakiSM:DeviceID:584342051651325130", Guid("584342051651325130")),
        ("ID:Microsoft Endpoint Manager:GUID:7d4c", Guid("7d4c")),
        ("id:intune:deviceid:7d4c", Guid("7d4c")),
    ],
)
def test_plain_text_is_read_as_what_it_must_be(text: str, key: Key) -> None:
    assert parse_key(text) == key
    assert parse_key(f" {text} ") is parse_key(text)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("1759c0fd-c8da-49e8-b14f-19d85acfacea", ["guid", "udid"]),
        ("35693803564380", ["imei", "meid", "serial"]),
        ("A10000009296F2", ["meid", "serial"]),
        ("laptop-7", ["serial", "hostname", "username", "udid", "guid", "id"]),
    ],
)
def test_what_could_be_several_kinds_is_not_guessed(text: str, kinds: list[str]) -> None:
    with pytest.raises(InvalidIdentifierError) as caught:
        parse_key(text)
    assert str(caught.value).endswith(" could be of these kinds: " + ", ".join(kinds))
    assert f"{kinds[0]}:{text}" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["00:1B:44:11:3A", "00-1B-44-11-3A-B7-99", "0:1:2:3:4:5"])
def test_what_is_meant_as_a_mac_is_told_what_is_wrong_with_it(text: str) -> None:
    with pytest.raises(InvalidIdentifierError, match="is not a mac"):
        parse_key(text)


@given(st.text(max_size=60))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidIdentifierError):
        assert isinstance(parse_key(text), Key)


def certificate(*, uris: list[str], names: list[str]) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
        .not_valid_after(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    )
    if uris:
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(san, critical=False)
    return builder.sign(key, hashes.SHA256())


def test_a_certificate_names_the_device_by_uri_before_common_name() -> None:
    cert = certificate(
        uris=["https://other.example", "ID:Microsoft Endpoint Manager:GUID:AAAA", "ID:MerakiSM:DeviceID:42"],
        names=["ID:Mobileiron:GUID:bbbb,ID:Mobileiron:GUID:aaaa", "laptop-7"],
    )
    keys = [Guid("aaaa"), Guid("42"), Guid("bbbb")]
    assert keys_from_certificate(cert.public_bytes(serialization.Encoding.DER)) == keys
    pem = cert.public_bytes(serialization.Encoding.PEM)
    assert keys_from_certificate(pem) == keys
    assert keys_from_certificate(pem.decode()) == keys


def test_a_certificate_without_identifiers_has_no_keys() -> None:
    cert = certificate(uris=[], names=["laptop-7"])
    assert keys_from_certificate(cert.public_bytes(serialization.Encoding.DER)) == []


@pytest.mark.parametrize(
    "data", [b"", b"no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_refused(data: bytes | str) -> None:
    with pytest.raises(InvalidIdentifierError, match="certificate"):
        keys_from_certificate(data)


def test_spellings_in_either_case() -> None:
    assert Serial("aB1").cases == ("aB1", "AB1", "ab1")
    assert Serial("\u00e91a").cases == ("\u00e91a",)
    assert Udid("00008101-001A2B3C4D5E6F70").cases[1:] == (
        "00008101-001a2b3c4d5e6f70",
        "00008101001A2B3C4D5E6F70",
        "00008101001a2b3c4d5e6f70",
    )


def test_an_imei_in_groups() -> None:
    assert Imei("591051091762783").grouped == "59 105109 176278 3"
    assert Imei("49015420323751").grouped == "49 015420 323751 8"
