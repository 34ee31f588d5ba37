"""Wire, models, errors, settings: the values that everything else passes around."""

import copy
import pickle
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mdmsdk import errors
from mdmsdk.client.build import checked
from mdmsdk.errors import (
    ConfigurationError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    RateLimitedError,
    ServerError,
    TokenError,
)
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Mac, Serial, Udid
from mdmsdk.models import Compliance, Device, LookupResult, clean_time, parse_macs, seen_within
from mdmsdk.paging import Slice
from mdmsdk.provider import Page, Token, basic_token, check_status, retry_after_seconds
from mdmsdk.settings import Policy, ProviderSettings, TlsSettings, Url, below, is_loopback
from mdmsdk.wire import Request, Response, http_date, origin_of, redact_url
from mdmsdk.words import listed
from tests.core.conftest import TinyProvider


class TestRequests:
    @given(st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4))
    def test_parameters_survive_any_text(self, params: dict[str, str]) -> None:
        from urllib.parse import parse_qsl, urlsplit

        url = Request("GET", "https://mdm.example/a", params).full_url
        assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) == params

    def test_parameters_are_percent_encoded_and_repeated(self) -> None:
        request = Request("GET", "https://mdm.example/a?b=1", {"wifiMacs[]": ["x y", "z+"], "n": 5})
        assert request.full_url == "https://mdm.example/a?b=1&wifiMacs%5B%5D=x%20y&wifiMacs%5B%5D=z%2B&n=5"

    def test_content_comes_with_its_type(self) -> None:
        assert Request("POST", "u", form={"a": "1 2"}).content() == (
            b"a=1+2",
            "application/x-www-form-urlencoded",
        )
        assert Request("POST", "u", json={"a": [1]}).content() == (b'{"a":[1]}', "application/json")
        assert Request("POST", "u", body=b"<x/>").content() == (b"<x/>", None)

    def test_neither_request_nor_response_nor_token_shows_a_secret(self) -> None:
        request = Request(
            "POST",
            "https://user:hunter2@mdm.example/p?token=hunter2&page=3#hunter2",
            {"value": "hunter2"},
            headers={"Authorization": "Bearer hunter2"},
            form={"password": "hunter2"},
            json={"password": "hunter2"},
        )
        response = Response(200, {"set-cookie": "hunter2"}, b"hunter2", "https://mdm.example/?token=hunter2")
        shown = [
            repr(request),
            repr(response),
            repr(Token("hunter2", extra="hunter2")),
            repr(basic_token("u", "hunter2")),
        ]
        assert "hunter2" not in "".join(shown)
        assert repr(request) == "<Request POST https://mdm.example/p?token=...&page=3&value=...>"

    @pytest.mark.parametrize(
        "address", ["00:1B:44:11:3A:B7", "00%3A1b%3a44%3A11%3A3A%3AB7", "00-1B-44-11-3A-B7", "001B44113AB7"]
    )
    def test_an_address_in_a_path_is_not_shown(self, address: str) -> None:
        url = f"https://mdm.example/match/{address}/x?page=1"
        assert redact_url(url) == "https://mdm.example/match/.../x?page=1"

    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            ("/ciscoise/devices/0/username/alice/all", "/ciscoise/devices/0/username/.../all"),
            ("/ciscoise/devices/0/MacAddress/whatever/all", "/ciscoise/devices/0/MacAddress/.../all"),
            ("/v1.0/users/alice%40corp.example/devices", "/v1.0/users/.../devices"),
            ("/v1/people/alice@corp.example", "/v1/people/..."),
            ("/v1/users", "/v1/users"),
            ("/v1/userservice/7", "/v1/userservice/7"),
            ("/v1/device/51431193-e6c3-4339-9a2b-8f1ff1fd42a2/apps", "/v1/device/.../apps"),
            ("/a/0123456789ABC/v4", "/a/.../v4"),
            ("/devices/C02%2D1X/00008030-000A1B2C3D4E5F6A", "/devices/.../..."),
            ("/v1.0/devices/R58N\u0661", "/v1.0/devices/..."),
        ],
    )
    def test_a_name_in_a_path_is_not_shown(self, path: str, shown: str) -> None:
        assert redact_url(f"https://mdm.example{path}") == f"https://mdm.example{shown}"

    @pytest.mark.parametrize(
        "path",
        ["/JSSResource/computers", "/oauth2/v2.0/token", "/api/v1/sm/devices", "/mdm/devices/search", "/"],
    )
    def test_other_parts_of_a_path_are_shown(self, path: str) -> None:
        assert redact_url(f"https://mdm1234.example{path}") == f"https://mdm1234.example{path}"

    @given(st.text(max_size=80))
    def test_any_text_can_be_redacted(self, text: str) -> None:
        redact_url(text)
        redact_url("https://" + text)

    def test_origins_count_the_default_port(self) -> None:
        assert (
            origin_of("https://A.example/x")
            == origin_of("https://a.example:443")
            == ("https", "a.example", 443)
        )


class TestResponses:
    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            ("é".encode(), "text/plain"),
            ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1"),
            ("\ufeffé".encode(), "text/xml; charset=utf-8"),
            ("é".encode("utf-16"), 'text/xml; charset="utf-16"'),
            ("é".encode(), "text/plain; charset=no-such-charset"),
        ],
    )
    def test_text_is_decoded_as_it_says(self, body: bytes, content_type: str) -> None:
        assert Response(200, {"content-type": content_type}, body).text == "é"

    def test_undecodable_text_is_no_error(self) -> None:
        assert Response(200, {}, b"\xff").text == "\ufffd"

    def test_json_ignores_the_content_type_and_refuses_the_rest(self) -> None:
        assert Response(200, {"content-type": "text/html"}, b'\xef\xbb\xbf{"a": 1}').json() == {"a": 1}
        for body in (b"", b"<html>", b"\xff\xfe", b'{"a":', b"[" * 200_000):
            with pytest.raises(MalformedResponseError, match="did not answer with JSON"):
                Response(200, {}, body, "https://mdm.example/x").json()


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "kind", "retryable"),
        [
            (400, errors.ResponseError, False),
            (401, errors.AuthenticationError, False),
            (403, errors.PermissionDeniedError, False),
            (404, errors.EndpointNotFoundError, False),
            (409, errors.ResponseError, False),
            (429, errors.RateLimitedError, True),
            (500, errors.ServerError, True),
            (501, errors.ServerError, False),
            (503, errors.ServerError, True),
            (505, errors.ServerError, False),
        ],
    )
    def test_each_status_has_its_error(
        self, status: int, kind: type[errors.ResponseError], retryable: bool
    ) -> None:
        response = Response(status, {"x-request-id": "r-7"}, b"secret body", "https://mdm.example/x?value=1")
        with pytest.raises(errors.ResponseError) as caught:
            check_status(response)
        error = caught.value
        assert type(error) is kind
        assert (error.status, error.retryable, error.request_id) == (status, retryable, "r-7")
        assert error.url == "https://mdm.example/x?value=..."
        assert "secret" not in str(error)

    def test_only_a_whole_answer_passes(self) -> None:
        assert check_status(Response(200)).status == 200
        assert check_status(Response(204), may_be_empty=True).status == 204
        for status in (100, 203, 204, 206, 299, 304):
            with pytest.raises(errors.ProtocolError):
                check_status(Response(status))

    def test_503_with_a_wait_is_a_rate_limit(self) -> None:
        with pytest.raises(RateLimitedError) as caught:
            check_status(Response(503, {"retry-after": "14400"}))
        assert caught.value.retry_after == 14400

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"retry-after": "7"}, 7),
            ({"retry-after": "-7"}, None),
            ({"retry-after": "soon"}, None),
            ({"retry-after": "1e9999"}, None),
            ({"retry-after": "Fri, 20 Nov 99999999999999999999 10:00:00 GMT"}, None),
            ({"retry-after": "Fri, 20 Nov 2026 10:01:00 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 60),
            ({"retry-after": "Fri, 20 Nov 2026 09:00:00 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 0),
        ],
    )
    def test_the_wait_is_read_in_both_forms(self, headers: dict[str, str], seconds: float | None) -> None:
        assert retry_after_seconds(Response(503, headers)) == seconds


class TestModels:
    @pytest.mark.parametrize(
        "never",
        [
            None,
            "",
            "never",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1900-01-01",
            "1970-01-01T00:00:00Z",
            "1970-01-01T01:00:00+00:00",
            "1969-12-31T16:00:00",
            "1753-01-01T00:00:00",
            "1753-01-01T00:00:00-08:00",
            "1970-01-01T01:00:00+01:00",
            "1969-12-31T19:00:00-05:00",
            "1970-01-01T09:00:00",
            "1752-12-31T23:00:00Z",
            "1899-12-31T23:00:00Z",
            0,
            1e20,
        ]
        + [-1e20, float("nan"), float("inf")],
    )
    def test_sentinels_are_no_time(self, never: Any) -> None:
        assert clean_time(never) is None

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("35 693803 564380 9", "356938035643809"),
            ("35-693803-564380-9", "356938035643809"),
            ("356938035643809", "356938035643809"),
            ("a number", "a number"),
            ("00 000000 000000 0", None),
        ],
    )
    def test_an_imei_is_shown_without_blanks(self, written: str, shown: str | None) -> None:
        device = Device(registered=True, imei=written)
        assert device.imei == shown
        assert device.model_dump()["imei"] == shown

    def test_times_are_aware_and_utc(self) -> None:
        moment = datetime(2026, 11, 20, 10, tzinfo=UTC)
        assert clean_time("2026-11-20T10:00:00") == moment
        assert clean_time("2026-11-20T12:00:00+02:00") == moment
        assert clean_time(moment.timestamp()) == moment
        assert clean_time(datetime(2026, 11, 20, 5, tzinfo=timezone(-timedelta(hours=5)))) == moment
        device = Device(registered=True, last_check_in="2026-11-20T12:00:00+02:00")  # type: ignore[arg-type]
        assert device.last_check_in is not None
        assert device.last_check_in.tzinfo is UTC

    def test_a_device_matches_by_what_it_reports_only(self) -> None:
        device = Device(
            registered=True,
            id="7",
            name="Laptop-7",
            guid="AB",
            udid="U",
            imei="356938035643809",
            mac_addresses=parse_macs("001B44113AB7"),
        )
        assert device.matches(Mac("00:1b:44:11:3a:b7")) is True
        assert device.matches(Mac("00:1b:44:11:3a:b8")) is False
        assert device.matches(Guid("ab")) is True
        assert device.matches(Udid("V")) is False
        assert device.matches(Imei("356938035643808")) is True
        assert device.matches(Serial("S")) is None
        assert device.matches(Hostname("laptop-7")) is True
        assert device.matches(DeviceId("8")) is False
        assert Device(registered=True).matches(Mac("001B44113AB7")) is None

    def test_invalid_macs_of_a_vendor_are_left_out(self) -> None:
        macs = parse_macs(
            "00:1B:44:11:3A:B7", None, "", "000000000000", "n/a", "001B44113AB7", "02-00-00-00-00-01"
        )
        assert [mac.value for mac in macs] == ["00:1B:44:11:3A:B7", "02:00:00:00:00:01"]

    def test_answers_cannot_be_changed_and_have_no_other_fields(self) -> None:
        device = Device(registered=True, id="1")
        with pytest.raises(ValidationError):
            device.registered = False  # type: ignore[misc] # that is the point
        with pytest.raises(ValidationError):
            Device(compliant=True)  # type: ignore[call-arg]

    def test_unreported_is_none_and_raw_is_shown_only_on_request(self) -> None:
        device = Device(registered=True, id="1", raw={"secret": "x"})
        assert (device.jailbroken, device.disk_encrypted, device.passcode_set) == (None, None, None)
        assert device.compliance == Compliance()
        assert device.compliance.state == "unknown"
        assert "secret" not in repr(device)
        assert "raw" not in Device(registered=True, id="1").model_dump(mode="json")

    def test_a_result_is_json_with_its_error(self) -> None:
        result = LookupResult(key=Mac("001B44113AB7"), error=ServerError("failed", status=500, hint="wait"))
        assert result.model_dump(mode="json") == {
            "key": "00:1B:44:11:3A:B7",
            "kind": "mac",
            "device": None,
            "found": False,
            "complete": False,
            "decision": "no_answer",
            "error": {
                "type": "ServerError",
                "message": "failed",
                "hint": "wait",
                "retryable": True,
                "status": 500,
            },
            "elapsed_ms": 0.0,
        }


class TestTokens:
    @pytest.mark.parametrize("value", ["tok\u00e9n", "a\nb", "\x7f", "a\u2028"])
    def test_what_no_header_can_carry_is_no_token(self, value: str) -> None:
        with pytest.raises(TokenError) as caught:
            Token(value)
        assert value not in f"{caught.value} {caught.value.hint}"


class TestPages:
    def test_what_they_hold_may_be_named_where_they_are_made(self) -> None:
        assert Page[int]([1]) == Page([1])
        assert Slice[int]([(1, 1)], 1) == Slice([(1, 1)], 1)


class TestTimes:
    @pytest.mark.parametrize(
        "text",
        [None, "", "yesterday", "Tue, 99 Foo 2026", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"]
        + ["Mon, 01 Jan 2020 00:00:00 +9999", "Mon, 01 Jan 2020 00:00:00 +99999999999999999999"],
    )
    def test_a_date_that_is_none(self, text: str | None) -> None:
        assert http_date(text) is None
        assert Response(200, {"date": text or ""}).date is None

    @given(st.text(max_size=40))
    def test_any_text_is_a_date_or_none(self, text: str) -> None:
        moment = http_date(text)
        assert moment is None or moment.tzinfo

    @pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
    def test_the_servers_clock(self, zone: str) -> None:
        answer = Response(200, {"date": f"Thu, 15 Jan 2026 12:00:00 {zone}"})
        assert answer.date == datetime(2026, 1, 15, 12, tzinfo=UTC)
        assert Response(200).date is None

    @pytest.mark.parametrize(
        ("seen", "fresh"),
        [
            (datetime(2026, 1, 15, 11, tzinfo=UTC), True),
            (datetime(2026, 1, 8, 12, tzinfo=UTC), True),
            (datetime(2026, 1, 8, 11, tzinfo=UTC), False),
            (datetime(2026, 1, 16, 11, tzinfo=UTC), True),  # clocks differ a little
            (datetime(2026, 1, 17, tzinfo=UTC), None),
            (datetime(2099, 1, 1, tzinfo=UTC), None),
            (None, None),
        ],
    )
    def test_a_contact_counts_by_the_servers_clock(self, seen: datetime | None, fresh: bool | None) -> None:
        assert seen_within(7, seen, datetime(2026, 1, 15, 12, tzinfo=UTC)) is fresh
        assert seen_within(7, seen, None) is None


ALL_ERRORS = [getattr(errors, name) for name in errors.__all__]


class TestErrors:
    def test_the_drawing_is_the_tree(self) -> None:
        drawn = re.findall(r"^([ │├└─]*)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
        path: list[str] = []
        seen = {}
        for indent, name in drawn:
            del path[len(indent) // 4 - 1 :]
            seen[name] = path[-1] if path else None
            path.append(name)
        real = {
            kind.__name__: None if kind is MdmError else kind.__bases__[0].__name__ for kind in ALL_ERRORS
        }
        assert seen == {name: base if base != "Exception" else None for name, base in real.items()}

    @pytest.mark.parametrize("kind", ALL_ERRORS)
    def test_every_error_can_be_copied_and_sent_to_another_process(self, kind: type[MdmError]) -> None:
        error = kind("what happened", server="s", hint="what to do", request_id="r")
        for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
            assert type(twin) is kind
            assert (str(twin), twin.hint, twin.request_id) == ("s: what happened", "what to do", "r")

    def test_callers_catch_what_they_expect(self) -> None:
        for kind, builtin in [
            (errors.ConnectError, ConnectionError),
            (errors.MdmTimeoutError, TimeoutError),
            (errors.UnknownProviderError, LookupError),
            (errors.ProviderLoadError, ImportError),
            (errors.InvalidIdentifierError, ValueError),
        ]:
            assert issubclass(kind, builtin)
        assert IncompleteListError("x", collected=7).collected == 7

    def test_where_it_happened_is_filled_in_once(self) -> None:
        error = MdmError("x", server="a")
        error.locate(server="b", provider="p", operation="o")
        assert (error.server, error.provider, error.operation) == ("a", "p", "o")


def test_a_list_of_names_is_in_order_harmless_and_short() -> None:
    assert listed([]) == "none"
    assert listed(["b", "a\x1b"]) == "a\\x1b, b"
    assert listed(map(str, range(10, 40)), most=2) == "10, 11 and 28 more"


class TestSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "http://mdm.example",
            "ftp://mdm.example",
            "mdm.example",
            "https://",
            "https://u:p@mdm.example",
            "https://h:99999",
        ]
        + ["https://mdm.example/?a=1", "https://mdm.example/#x", "http://127.0.0.1.example", "https://[::1"],
    )
    def test_unsafe_addresses_are_refused(self, url: str) -> None:
        with pytest.raises(ValidationError) as caught:
            ProviderSettings(base_url=url)
        assert "u:p" not in str(caught.value)

    @pytest.mark.parametrize(
        "url", ["https://mdm.example", "https://mdm.example:8443/x", "http://127.0.0.1:80", "http://[::1]"]
    )
    def test_safe_addresses_lose_only_their_slash(self, url: str) -> None:
        assert ProviderSettings(base_url=url + "/").base_url == url

    @pytest.mark.parametrize(
        ("given", "url"),
        [
            ("https://mdm.example", "https://mdm.example/api/v1"),
            ("https://mdm.example/API/v1/", "https://mdm.example/API/v1"),
            ("https://proxy.example/mdm", "https://proxy.example/mdm/api/v1"),
        ],
    )
    def test_a_path_that_all_addresses_have_may_be_left_out(self, given: str, url: str) -> None:
        class Below(ProviderSettings):
            base_url: Annotated[Url, below("/api/v1")]

        assert Below(base_url=given).base_url == url

    def test_hosts_that_may_see_the_credential(self) -> None:
        settings = ProviderSettings(base_url="https://mdm.example", redirect_hosts=(" N7.example:8443 ",))
        provider = type("Wide", (TinyProvider,), {"domains": ("tiny.example",)})(settings)
        hosts = ("tiny.example", "a.tiny.example", "n7.example:8443")
        assert all(map(provider.trusts, hosts))
        others = ("n7.example", "evil-tiny.example", "tiny.example.evil.example", "tiny.example:8443", "")
        assert not any(map(provider.trusts, others))
        for bad in ("https://x.example", "*.example", "a b", "x.example/"):
            with pytest.raises(ValidationError, match="redirect_hosts"):
                ProviderSettings(base_url="https://mdm.example", redirect_hosts=(bad,))

    def test_a_setting_that_is_gone_is_told_with_what_to_do(self) -> None:
        class Newer(ProviderSettings):
            gone: ClassVar = {"old": "write new instead"}

        with pytest.raises(ConfigurationError, match="old is no setting any more: write new instead"):
            checked(Newer, {"base_url": "https://mdm.example", "old": 1}, "'x'")

    def test_loopback_is_this_machine_only(self) -> None:
        assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost", "mdm.localhost")))
        assert not any(map(is_loopback, ("10.0.0.1", "localhost.example", "128.0.0.1", "")))

    @pytest.mark.parametrize(
        "values",
        [
            {"timeout": 0},
            {"deadline": -1},
            {"attempts": 0},
            {"attempts": 11},
            {"max_body": 0},
            {"no_such": 1},
        ],
    )
    def test_a_policy_without_sense_is_refused(self, values: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Policy(**values)

    def test_a_key_needs_its_certificate(self) -> None:
        with pytest.raises(ValidationError, match="client_cert"):
            TlsSettings(client_key="key.pem")  # type: ignore[arg-type]

    def test_a_proxy_does_not_show_its_password(self) -> None:
        settings = ProviderSettings(base_url="https://h", proxy="http://u:hunter2@proxy:3128")  # type: ignore[arg-type]
        assert "hunter2" not in repr(settings) + settings.model_dump_json()
