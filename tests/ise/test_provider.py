"""Login, settings, status errors, and what a dialect can change."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import ValidationError

import mdmsdk.ise
from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnsupportedOperationError,
)
from mdmsdk.flow import done
from mdmsdk.identifiers import Guid, Mac, Udid
from mdmsdk.ise import IseDialect, IseDialectSettings, IseProvider, IseServiceSettings, IseSettings
from mdmsdk.provider import Token
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import ServerInfo
    from tests.ise.conftest import Drive, Make, Server, Xml

ROOT = "https://mdm.example.com"


def test_login_is_basic_static_and_costs_no_request(drive: Drive, make: Make) -> None:
    provider = make(username="nac", password="p:ä")
    played = drive(provider, provider.login("api"), [])
    assert played.result.static
    assert played.result.scheme == "Basic"
    assert base64.b64decode(played.result.value).decode() == "nac:p:ä"


def test_secrets_do_not_show(make: Make) -> None:
    provider = make(password="hunter2")
    assert (
        "hunter2"
        not in repr(provider.settings) + str(provider.settings) + provider.settings.model_dump_json()
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": ""},
        {"username": "a:b"},
        {"api_version": 4},
        {"api_version": 0},
        {"bulk_identifier": "udid"},
        {"filter": "all&value=x"},
        {"filter": ""},
        {"max_user_devices": 0},
        {"base_url": "http://mdm.example.com"},
        {"nonsense": 1},
    ],
)
def test_wrong_settings_are_refused_without_showing_values(make: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**wrong)
    assert "s3cret" not in str(caught.value)


def test_user_name_and_password_are_needed() -> None:
    with pytest.raises(ValidationError):
        IseSettings.model_validate({"base_url": ROOT})


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, AuthenticationError, "Allow Basic Authentication"),
        (403, PermissionDeniedError, "Cisco ISE Operations"),
        (404, EndpointNotFoundError, "instance"),
        (500, ServerError, "log"),
    ],
)
def test_errors_say_what_an_administrator_should_do(
    make: Make, status: int, kind: type[MdmError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        make().check(Response(status, {}, b"", f"{ROOT}/x?value=jane"))
    assert words in (caught.value.hint or "")
    assert "jane" not in str(caught.value)


@pytest.mark.parametrize(
    "query", ["devices/?paging=0&querycriteria=compliance&value=false", "devices/0/compliance/false/all"]
)
def test_a_refused_list_is_explained(make: Make, query: str) -> None:
    for status, headers, kind in (
        (503, {}, ServerError),
        (503, {"retry-after": "60"}, RateLimitedError),
        (429, {}, RateLimitedError),
    ):
        with pytest.raises(kind) as caught:
            make().check(Response(status, headers, b"", f"{ROOT}/{query}"))
        assert "4 hours" in (caught.value.hint or "")
    with pytest.raises(ServerError) as caught:
        make().check(Response(503, {}, b"", f"{ROOT}/devices/?paging=0&querycriteria=macaddress&value=x"))
    assert "4 hours" not in (caught.value.hint or "")


def test_what_version_1_has_in_the_path_stays_out_of_messages(make: Make) -> None:
    with pytest.raises(EndpointNotFoundError) as caught:
        make().check(Response(404, {}, b"", f"{ROOT}/api/devices/0/username/jane.doe/all"))
    assert "jane" not in str(caught.value) + str(caught.value.url)
    assert str(caught.value.url).endswith("/api/devices/...")


def test_exports_are_sorted_and_real() -> None:
    names = mdmsdk.ise.__all__
    assert sorted(names) == sorted(set(names))
    assert all(hasattr(mdmsdk.ise, name) for name in names)


class Cloud(IseDialect):
    """A dialect as a plugin writes it: another login, discovery elsewhere, a fixed path, fewer keys."""

    name = "cloud-ise"
    vendor = "Cloud"
    keys: ClassVar = frozenset({Mac, Guid})
    audience = "nac"
    bulk_identifiers = ("macaddress",)

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        return done(Token(audience))

    def heartbeat(self) -> Flow[ServerInfo]:
        return (yield from self.discover("https://found.example.com/Service"))

    def api_urls(self, root: str, api_path: str) -> Sequence[str]:
        del api_path
        return [f"{root}/cisco"]


@pytest.mark.parametrize("settings_type", [IseDialectSettings, IseServiceSettings])
def test_a_dialect_states_its_differences(
    drive: Drive, xml: type[Xml], settings_type: type[IseServiceSettings]
) -> None:
    provider = Cloud(settings_type(base_url=ROOT))
    played = drive(provider, provider.heartbeat(), [xml.info(api_path="https://elsewhere.example/x")])
    info = played.result
    assert played.urls == ["https://found.example.com/Service/ciscoise/mdminfo/?ise_api_version=3"]
    assert info.provider == "cloud-ise"
    played = drive(provider, provider.find(info, Guid("G")), [xml.answer(xml.row(guid="G"))])
    assert played.urls[0].startswith("https://found.example.com/Service/cisco/devices/?")
    assert played.requests[0].audience == "nac"
    assert played.result[0].provider == "cloud-ise"
    with pytest.raises(UnsupportedOperationError, match="Cloud"):
        drive(provider, provider.find(info, Udid("U")), [])
    played = drive(provider, provider.noncompliant_page(info, None), [xml.answer()])
    assert "deviceidentifier=macaddress" in played.urls[0]


def test_the_path_of_the_settings_stands_above_a_dialects(drive: Drive, xml: type[Xml]) -> None:
    provider = Cloud(IseDialectSettings(base_url=ROOT, api_path="/set"))
    info = drive(provider, provider.heartbeat(), [xml.info()]).result
    assert info.extra["api_base"] == "https://found.example.com/set"


@pytest.mark.parametrize("name", ["instance", "api_version", "api_path", "filter", "max_user_devices"])
def test_a_vendors_one_service_leaves_nothing_of_the_protocol_open(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        IseServiceSettings.model_validate({"base_url": ROOT, name: 3})
    assert name in IseDialectSettings.model_fields


def test_batches_are_single_lookups(make: Make) -> None:
    assert "find_batch" not in vars(IseDialect) | vars(IseProvider)
    assert {capability.value for capability in make().capabilities} == {"inventory"}


def test_no_flow_starts_before_it_is_run(make: Make, server: Server) -> None:
    provider = make()
    flows = [
        provider.heartbeat(),
        provider.find(server(), Udid("U")),
        provider.noncompliant_page(server(), None),
    ]
    for flow in flows:
        flow.close()
