"""Heartbeat: version negotiation, addresses, api_path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    AuthenticationError,
    ConnectError,
    EndpointNotFoundError,
    MalformedResponseError,
    MdmTimeoutError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ServerError,
    TlsError,
    VersionMismatchError,
)
from mdmsdk.identifiers import Mac
from mdmsdk.ise import IseProvider
from mdmsdk.wire import Request, Response

if TYPE_CHECKING:
    from tests.ise.conftest import Answers, Drive, Make, Played, Xml

ROOT = "https://mdm.example.com"


def heartbeat(drive: Drive, provider: IseProvider, answers: Answers) -> Played:
    return drive(provider, provider.heartbeat(), answers)


def test_asks_in_the_highest_version_with_the_slash_before_the_question_mark(
    drive: Drive, make: Make, xml: type[Xml]
) -> None:
    played = heartbeat(drive, make(), [xml.sample("ivanti-v3/mdminfo.xml")])
    assert played.urls == [f"{ROOT}/ciscoise/mdminfo/?ise_api_version=3"]
    (request,) = played.requests
    assert request.method == "GET"
    assert request.headers["Accept"] == "application/xml"
    assert request.audience == "api"


def test_reads_the_description(drive: Drive, make: Make, xml: type[Xml]) -> None:
    info = heartbeat(drive, make(), [xml.sample("ivanti-v3/mdminfo.xml")]).result
    assert (info.provider, info.vendor, info.product, info.version) == (
        "ise",
        "MobileIron",
        "MobileIron Cloud",
        "76.0.0.22",
    )
    assert (info.api_version, info.query_max_size, info.messaging) == ("3", 1000, True)
    assert info.extra == {
        "api_path": "/ciscoise/mdmapi/v3",
        "redirect_url": "https://login.example.com/",
        "api_base": f"{ROOT}/ciscoise/mdmapi/v3",
    }
    plain = info.model_copy(update={"description": None})
    assert info.model_validate_json(info.model_dump_json()) == plain


def test_missing_values_are_unknown_and_the_page_size_is_5000(
    drive: Drive, make: Make, xml: type[Xml]
) -> None:
    info = heartbeat(drive, make(), [xml.info(messaging_support="perhaps", query_max_size="many")]).result
    assert (info.vendor, info.messaging, info.query_max_size) == (None, None, 5000)


@pytest.mark.parametrize("case", ["intune-v2", "intune-v3", "jamf-v3", "mock-v2", "ivanti-v3", "v1"])
def test_reads_every_shape_seen(drive: Drive, make: Make, xml: type[Xml], case: str) -> None:
    provider = make(api_path="/fixed")
    info = heartbeat(drive, provider, [xml.sample(f"{case}/mdminfo.xml")]).result
    assert info.api_version in {"1", "2", "3"}
    assert info.extra["api_base"] == f"{ROOT}/fixed"


@pytest.mark.parametrize(
    ("sent", "received", "spoken"),
    [
        *[(3, "3", "3"), (3, "2", "2"), (3, "1", "1"), (2, "3", "2"), (1, "3", "1"), (3, "7", "3")],
        *[(3, None, "1"), (3, "2.0", "2"), (1, None, "1")],
    ],
)
def test_speaks_the_lower_of_both_versions(
    drive: Drive, make: Make, xml: type[Xml], *, sent: int, received: str | None, spoken: str
) -> None:
    played = heartbeat(drive, make(api_version=sent), [xml.info(api_version=received)])
    assert played.result.api_version == spoken


@pytest.mark.parametrize("received", ["0", "-1", "three", "3rd"])
def test_a_version_that_does_not_exist_is_a_mismatch(
    drive: Drive, make: Make, xml: type[Xml], received: str | None
) -> None:
    with pytest.raises(VersionMismatchError):
        heartbeat(drive, make(), [xml.info(api_version=received)])


def test_version_1_is_asked_without_a_query(drive: Drive, make: Make, xml: type[Xml]) -> None:
    played = heartbeat(drive, make(api_version=1), [xml.sample("v1/mdminfo.xml")])
    assert played.urls == [f"{ROOT}/ciscoise/mdminfo"]
    assert played.result.api_version == "1"


def test_404_tries_the_other_slash_form_and_then_lower_versions(
    drive: Drive, make: Make, xml: type[Xml]
) -> None:
    played = heartbeat(drive, make(), [404, 404, 404, xml.info(api_version=2)])
    assert [url.removeprefix(f"{ROOT}/ciscoise/") for url in played.urls] == [
        "mdminfo/?ise_api_version=3",
        "mdminfo?ise_api_version=3",
        "mdminfo/?ise_api_version=2",
        "mdminfo?ise_api_version=2",
    ]
    assert played.result.api_version == "2"


@pytest.mark.parametrize(
    "reply", [400, 405, 422, 500, 501, 505, b"<ise_api><name>mdminfo</name></ise_api>", b"<x"]
)
def test_falls_back_to_the_next_version_on_what_an_unknown_version_can_cause(
    drive: Drive, make: Make, xml: type[Xml], reply: Any
) -> None:
    played = heartbeat(drive, make(), [reply, xml.info(api_version=2)])
    assert played.urls[1] == f"{ROOT}/ciscoise/mdminfo/?ise_api_version=2"
    assert played.result.api_version == "2"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (429, RateLimitedError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (TlsError("untrusted"), TlsError),
        (MdmTimeoutError("slow"), MdmTimeoutError),
        (ConnectError("refused"), ConnectError),
    ],
)
def test_asks_once_when_the_account_or_the_network_is_at_fault(
    drive: Drive, make: Make, reply: Any, kind: type[Exception]
) -> None:
    asked: list[Request] = []

    def reply_once(request: Request) -> Any:
        asked.append(request)
        return reply

    with pytest.raises(kind):
        heartbeat(drive, make(), reply_once)
    assert len(asked) == 1


def test_a_refusal_after_a_fallback_ends_the_search(drive: Drive, make: Make) -> None:
    with pytest.raises(AuthenticationError):
        heartbeat(drive, make(), [404, 404, 401])


def test_nothing_found_names_every_address_and_the_instance(drive: Drive, make: Make) -> None:
    provider = make(instance="wrong")
    with pytest.raises(EndpointNotFoundError) as caught:
        heartbeat(drive, provider, [404] * 6)
    for form in (
        "/?ise_api_version=3",
        "?ise_api_version=3",
        "/?ise_api_version=2",
        "?ise_api_version=2",
        "",
        "/",
    ):
        assert f"{ROOT}/wrong/ciscoise/mdminfo{form}" in str(caught.value)
    assert "instance" in caught.value.hint


def test_a_web_page_is_reported_as_such_and_not_as_404(drive: Drive, make: Make) -> None:
    page = Response(200, {"content-type": "text/html"}, b"<!doctype html><html><title>Sign in</title>")
    with pytest.raises(MalformedResponseError, match="web page") as caught:
        heartbeat(drive, make(), lambda _: page)
    assert "instance" in caught.value.hint


def test_a_server_that_always_fails_is_a_server_error(drive: Drive, make: Make) -> None:
    with pytest.raises(ServerError):
        heartbeat(drive, make(), [500, 500, 500])


@pytest.mark.parametrize("instance", ["networkIntegrationEndpoint/42", "/networkIntegrationEndpoint/42/"])
def test_the_instance_is_a_prefix_with_or_without_slashes(make: Make, instance: str) -> None:
    assert make(instance=instance).root == f"{ROOT}/networkIntegrationEndpoint/42"


def test_an_instance_that_base_url_has_already_is_not_doubled(make: Make) -> None:
    assert make(base_url=f"{ROOT}/a/b", instance="/a/b").root == f"{ROOT}/a/b"


@pytest.mark.parametrize("instance", ["https://h/x", "/a?b", "/../x", "/a b", "/a/..", "/a#b"])
def test_what_is_no_path_is_refused_in_the_settings(make: Make, instance: str) -> None:
    for name in ("instance", "api_path"):
        with pytest.raises(ValueError, match="a path such as"):
            make(**{name: instance})


@pytest.mark.parametrize("path", ["/ise/mdm/api", "ise/mdm/api/", "/ise//mdm/api//"])
def test_the_path_counts_from_the_root_of_the_host_with_one_slash(
    drive: Drive, make: Make, xml: type[Xml], path: str
) -> None:
    info = heartbeat(drive, make(), [xml.info(api_path=path)]).result
    assert info.extra["api_base"] == f"{ROOT}/ise/mdm/api"


def test_a_path_below_the_instance_costs_no_further_request(drive: Drive, make: Make, xml: type[Xml]) -> None:
    provider = make(base_url=f"{ROOT}/StatelessNACService")
    played = heartbeat(drive, provider, [xml.sample("intune-v2/mdminfo.xml")])
    assert played.result.extra["api_base"] == f"{ROOT}/StatelessNacService/ciscodeviceinfo/mdm/api"
    assert len(played.requests) == 1


class TestPathThatCanMeanTwo:
    ROOT_FIRST = f"{ROOT}/42/ciscoise/v3"
    CONTINUED = f"{ROOT}/networkIntegrationEndpoint/42/ciscoise/v3"

    @pytest.fixture
    def provider(self, make: Make) -> IseProvider:
        return make(instance="/networkIntegrationEndpoint/42")

    def test_the_documented_meaning_is_asked_first(
        self, drive: Drive, provider: IseProvider, xml: type[Xml]
    ) -> None:
        played = heartbeat(drive, provider, [xml.sample("jamf-v3/mdminfo.xml"), xml.answer()])
        assert played.urls[1].startswith(
            f"{self.ROOT_FIRST}/devices/?paging=0&querycriteria=macaddress&value="
        )
        assert played.result.extra["api_base"] == self.ROOT_FIRST

    @pytest.mark.parametrize("reply", [404, 400, b"<html/>", b"<ise_api><name>mdminfo</name></ise_api>"])
    def test_the_continued_instance_is_asked_next_and_not_doubled(
        self, drive: Drive, provider: IseProvider, xml: type[Xml], reply: Any
    ) -> None:
        played = heartbeat(drive, provider, [xml.sample("jamf-v3/mdminfo.xml"), reply, xml.answer()])
        assert played.urls[2].startswith(f"{self.CONTINUED}/devices/?")
        assert played.result.extra["api_base"] == self.CONTINUED

    def test_a_prefix_without_overlap_is_put_in_front(
        self, drive: Drive, provider: IseProvider, xml: type[Xml]
    ) -> None:
        played = heartbeat(drive, provider, [xml.info(api_path="/api"), 404, xml.answer()])
        assert played.result.extra["api_base"] == f"{ROOT}/networkIntegrationEndpoint/42/api"

    def test_afterwards_a_lookup_costs_one_request(
        self, drive: Drive, provider: IseProvider, xml: type[Xml]
    ) -> None:
        info = heartbeat(drive, provider, [xml.sample("jamf-v3/mdminfo.xml"), 404, xml.answer()]).result
        played = drive(provider, provider.find(info, Mac("00:1b:44:11:3a:b7")), [xml.answer()])
        assert played.urls[0].startswith(f"{self.CONTINUED}/devices/?")

    def test_neither_is_an_error_that_names_both(
        self, drive: Drive, provider: IseProvider, xml: type[Xml]
    ) -> None:
        with pytest.raises(EndpointNotFoundError) as caught:
            heartbeat(drive, provider, [xml.sample("jamf-v3/mdminfo.xml"), 404, 404])
        assert self.ROOT_FIRST in str(caught.value)
        assert self.CONTINUED in str(caught.value)
        assert "api_path" in caught.value.hint

    @pytest.mark.parametrize(("reply", "kind"), [(401, AuthenticationError), (503, ServerError)])
    def test_a_refusal_or_outage_ends_the_search(
        self, drive: Drive, provider: IseProvider, xml: type[Xml], reply: Any, kind: type[Exception]
    ) -> None:
        with pytest.raises(kind):
            heartbeat(drive, provider, [xml.sample("jamf-v3/mdminfo.xml"), reply])

    def test_the_setting_decides_without_a_request(self, drive: Drive, make: Make, xml: type[Xml]) -> None:
        provider = make(
            instance="/networkIntegrationEndpoint/42", api_path="networkIntegrationEndpoint/42/x/"
        )
        info = heartbeat(drive, provider, [xml.sample("jamf-v3/mdminfo.xml")]).result
        assert info.extra["api_base"] == f"{ROOT}/networkIntegrationEndpoint/42/x"


def test_the_setting_stands_in_for_a_path_that_the_server_omits(
    drive: Drive, make: Make, xml: type[Xml]
) -> None:
    info = heartbeat(drive, make(api_path="/x"), [xml.info(api_path=None)]).result
    assert info.extra["api_base"] == f"{ROOT}/x"


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/api",
        "//evil.example/api",
        "http://mdm.example.com/api",
        "https://mdm.example.com:8443/a",
        "javascript:alert(1)",
        "https://mdm.example.com@evil.example/api",
        "HTTPS://EVIL.example/x",
    ],
)
def test_never_follows_the_path_to_another_server(
    drive: Drive, make: Make, xml: type[Xml], path: str
) -> None:
    with pytest.raises(RedirectError) as caught:
        heartbeat(drive, make(), [xml.info(api_path=path)])
    assert "base_url" in caught.value.hint


@pytest.mark.parametrize(
    "path",
    ["https://mdm.example.com/api", "https://MDM.example.com:443/api/", "https://u:pw@mdm.example.com/api"],
)
def test_an_absolute_path_on_the_same_server_is_taken(
    drive: Drive, make: Make, xml: type[Xml], path: str
) -> None:
    info = heartbeat(drive, make(), [xml.info(api_path=path)]).result
    assert info.extra["api_base"] == f"{ROOT}/api"
    assert "pw" not in info.model_dump_json()


def test_a_host_that_the_dialect_trusts_is_taken_over_https_only(
    drive: Drive, make: Make, xml: type[Xml]
) -> None:
    class Sharded(IseProvider):
        def trusts(self, host: str) -> bool:
            return host.endswith(".shard.example")

    provider = Sharded(make().settings)
    info = heartbeat(drive, provider, [xml.info(api_path="https://n1.shard.example/api")]).result
    assert info.extra["api_base"] == "https://n1.shard.example/api"
    with pytest.raises(RedirectError):
        heartbeat(drive, provider, [xml.info(api_path="http://n1.shard.example/api")])


@pytest.mark.parametrize(
    "path", ["/a/../../b", "/a?x=1", "/a#b", "https://[bad/x", "https://mdm.example.com:x/"]
)
def test_what_is_no_plain_path_is_malformed(drive: Drive, make: Make, xml: type[Xml], path: str) -> None:
    with pytest.raises(MalformedResponseError):
        heartbeat(drive, make(), [xml.info(api_path=path)])


@pytest.mark.parametrize("path", ["\\\\evil.example\\x", "/@evil.example", "/ä ö"])
def test_odd_characters_stay_in_the_path(drive: Drive, make: Make, xml: type[Xml], path: str) -> None:
    base = heartbeat(drive, make(), [xml.info(api_path=path)]).result.extra["api_base"]
    assert base.startswith(f"{ROOT}/")
    assert base.isascii()
    assert " " not in base


def test_a_credential_in_the_redirect_url_is_not_kept(drive: Drive, make: Make, xml: type[Xml]) -> None:
    url = "https://user:hunter2@enrol.example.com/x?token=kept"
    info = heartbeat(drive, make(), [xml.info(redirect_url=url)]).result
    assert info.extra["redirect_url"] == "https://enrol.example.com/x?token=kept"
    unreadable = heartbeat(drive, make(), [xml.info(redirect_url="https://[bad")]).result
    assert unreadable.extra["redirect_url"] is None
