"""EPMM from bytes: discovery, queries, lookups, lists, errors."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.client.build import make_provider
from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ResponseError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import Device, ServerInfo
from mdmsdk.proof import proven
from mdmsdk.testing import Played, play
from mdmsdk.wire import Request, Response
from mdmsdk_ivanti import IvantiCoreProvider
from mdmsdk_ivanti.core.query import BATCH, MAX_QUERY, noncompliant, terms
from mdmsdk_ivanti.core.records import FIELDS
from mdmsdk_ivanti.provider import IvantiServer

Make = Callable[..., IvantiCoreProvider]
Answer = Callable[..., Response]
Sample = Callable[[str], Any]
PING = {"results": {"apiVersion": 2.0, "vspVersion": "VSP 12.5.0.0"}}
SPACES = {"results": [{"id": 1, "name": "Global"}, {"id": 7, "name": "Field staff"}]}
SEARCHABLE = {"results": [{"name": name} for name in FIELDS]}


def make_core() -> IvantiCoreProvider:
    settings = {"base_url": "https://epmm.example.com", "username": "nac", "password": "p"}
    provider = make_provider("ivanti-core", settings)
    assert isinstance(provider, IvantiCoreProvider)
    return provider


def rows(*found: Any, total: int | None = None, more: bool = False) -> dict[str, Any]:
    count = len(found) if total is None else total
    return {"results": list(found), "totalCount": count, "resultCount": len(found), "hasMore": more}


BASE = "https://epmm.example.com"


def info(*spaces: str, **more: Any) -> ServerInfo:
    known: dict[str, Any] = {"api_base": BASE, "spaces": spaces or ("1",), "fields": FIELDS}
    return ServerInfo(api_version="2", description=IvantiServer(**known | more))


def discovery(answer: Answer, spaces: Any = None, **changes: Any) -> list[Response]:
    given = {"ping": PING, "spaces": spaces or SPACES, "fields": SEARCHABLE, "sample": rows()} | changes
    return [answer(body) for body in given.values()]


# --- discovery ---


def test_heartbeat(core: Make, answer: Answer) -> None:
    played = Played()
    provider = core()
    answers = [*discovery(answer), answer(rows())]
    found = play(provider.heartbeat(), answers, provider=provider, record=played)
    assert (found.product, found.version, found.api_version) == ("Ivanti EPMM", "VSP 12.5.0.0", "2")
    assert IvantiServer.of(found).spaces == ("1", "7")
    assert (found.extra["spaces"], found.extra["masked"]) == (["1", "7"], [])
    paths = [request.url.removeprefix("https://epmm.example.com") for request in played.requests]
    assert paths[:3] == ["/api/v2/ping", "/api/v2/device_spaces/mine", "/api/v2/devices/search_fields"]
    assert not [path for path in paths if "/mifs/aad/" in path]


@pytest.mark.parametrize(
    ("wanted", "chosen"), [("7", ["7"]), (["field STAFF", 1], ["7", "1"]), (1, ["1"]), ([7, "7"], ["7"])]
)
def test_spaces_by_number_or_name(core: Make, answer: Answer, wanted: Any, chosen: list[str]) -> None:
    provider = core(spaces=wanted)
    answers = [*discovery(answer), answer(rows())]
    found = play(provider.heartbeat(), answers, provider=provider)
    assert [*IvantiServer.of(found).spaces] == chosen


@pytest.mark.parametrize("wanted", ["8", "Schools", ""])
def test_an_unknown_space_is_a_configuration_error(core: Make, answer: Answer, wanted: str) -> None:
    if not wanted:
        with pytest.raises(ConfigurationError):
            core(spaces=[""])
        return
    provider = core(spaces=[wanted])
    with pytest.raises(ConfigurationError, match=r"it sees: Global \(1\), Field staff \(7\)") as caught:
        play(provider.heartbeat(), discovery(answer), provider=provider)
    assert "spaces" in str(caught.value.hint)


def test_two_spaces_of_one_name_have_to_be_told_apart(core: Make, answer: Answer) -> None:
    provider = core(spaces="Twin")
    twins = {"results": [{"id": 2, "name": "Twin"}, {"id": 3, "name": "Twin"}]}
    with pytest.raises(ConfigurationError):
        play(provider.heartbeat(), discovery(answer, twins), provider=provider)


def test_an_account_without_spaces_is_told(core: Make, answer: Answer) -> None:
    provider = core()
    with pytest.raises(ConfigurationError, match="no single device space at all"):
        play(provider.heartbeat(), discovery(answer, {"results": []}), provider=provider)


@pytest.mark.parametrize(
    ("base", "tried"),
    [
        ("https://m.example.net/acme", ["/acme/rest/api/v2/ping"]),
        ("https://m.example.net/acme/rest", ["/acme/rest/api/v2/ping"]),
        ("https://epmm.example.net", ["/api/v2/ping"]),
    ],
)
def test_connected_cloud_has_one_segment_more(
    core: Make, answer: Answer, base: str, tried: list[str]
) -> None:
    provider = core(base_url=base)
    played = Played()
    play(provider.heartbeat(), [*discovery(answer), answer(rows())], provider=provider, record=played)
    host = "/".join(base.split("/")[:3])
    assert [request.url.removeprefix(host) for request in played.requests][: len(tried)] == tried


def test_another_server_is_not_taken_for_epmm(core: Make, answer: Answer) -> None:
    provider = core()
    bodies: list[Any] = [b"<html></html>", {"results": "pong"}, [], {"results": {"apiVersion": 2}}]
    for body in bodies:
        with pytest.raises(MalformedResponseError):
            play(provider.heartbeat(), [answer(body)], provider=provider)


def test_fields_that_the_server_lacks_are_not_asked_for(core: Make, answer: Answer) -> None:
    provider = core()
    known = {"results": [{"name": name} for name in FIELDS if "ethernet" not in name]}
    found = play(provider.heartbeat(), [*discovery(answer, fields=known), answer(rows())], provider=provider)
    fields = IvantiServer.of(found).fields
    assert "common.ethernet_mac" not in fields
    assert "ethernet" not in terms(Mac("00005E001122"), fields)
    with pytest.raises(UnsupportedOperationError):
        play(provider.find(info(fields=("common.uuid",)), Serial("SIM1")), [])


@pytest.mark.parametrize("status", [403, 404])
def test_without_a_list_of_fields_all_are_asked_for(core: Make, answer: Answer, status: int) -> None:
    provider = core()
    answers = [answer(PING), answer(SPACES), Response(status), answer(rows()), answer(rows())]
    found = play(provider.heartbeat(), answers, provider=provider)
    assert IvantiServer.of(found).fields == FIELDS


# --- queries ---


def test_both_spellings_of_a_mac_address_are_asked_for() -> None:
    assert terms(Mac("00-00-5e-00-11-22"), FIELDS) == (
        'common.wifi_mac_address="00005E001122" OR common.wifi_mac_address="00:00:5E:00:11:22"'
        ' OR common.ethernet_mac="00005E001122" OR common.ethernet_mac="00:00:5E:00:11:22"'
    )


def test_queries_of_the_other_kinds() -> None:
    assert terms(Udid("00008120-000A11223344001E"), FIELDS) == (
        '"ios.iPhone UDID"="00008120-000A11223344001E" OR "ios.iPhone UDID"="00008120000A11223344001E"'
    )
    assert terms(Serial("SIM 1"), FIELDS) == 'common.SerialNumber="SIM 1"'
    # Fourteen digits name a device; what follows them, and the blanks of iOS, are left open.
    assert terms(Imei("0010010000000107"), FIELDS) == (
        'common.imei "starts with" "00100100000001" OR common.imei "starts with" "00 100100 000001"'
    )
    assert len(noncompliant(FIELDS)) <= MAX_QUERY
    assert "security_state" not in noncompliant(["common.quarantined"])


@pytest.mark.parametrize(
    "value", ['SIM"1', 'x" OR common.compliant=true OR "a', "SIM\\", "SIM\u200b1", "S\x851"]
)
def test_what_cannot_be_quoted_is_refused(core: Make, value: str) -> None:
    with pytest.raises(InvalidIdentifierError) as caught:
        play(core().find(info(), Serial(value)), [])
    assert value not in str(caught.value)
    assert caught.value.hint


def test_a_value_longer_than_a_query_is_refused(core: Make) -> None:
    with pytest.raises(InvalidIdentifierError, match="too long"):
        play(core().find(info(), Serial("S1" * 125)), [])


KEYS = (
    st.from_regex(r"[0-9]{15}", fullmatch=True).filter(lambda text: bool(text.strip("0"))).map(Imei)
    | st.uuids().map(str).map(Guid)
    | st.from_regex(r"[0-9A-Z ]{1,60}", fullmatch=True).map(Serial.parse).filter(bool)
    | st.from_regex(r"02[0-9A-F]{10}", fullmatch=True).map(Mac)
)


def asked(provider: IvantiCoreProvider, keys: Sequence[Key]) -> list[str]:
    """The queries of a batch of which the server knows nothing."""
    played = Played()
    answer = Response(200, {}, json.dumps(rows()).encode())
    found = play(provider.find_batch(info(), keys), lambda _request: answer, record=played)
    assert not any(found.values())
    return [str(request.params["query"]) for request in played.requests]


PROVIDER = make_core()


@given(st.lists(KEYS, min_size=1, max_size=25, unique=True))
def test_queries_stay_within_the_limit_and_hold_every_key(keys: list[Key]) -> None:
    for kind in {type(key) for key in keys}:
        alike = [key for key in keys if type(key) is kind]
        queries = asked(PROVIDER, alike)
        assert all(len(query) <= MAX_QUERY for query in queries)
        assert " OR ".join(queries).split(" OR ") == " OR ".join(terms(key, FIELDS) for key in alike).split(
            " OR "
        )


def test_batches_are_as_wide_as_the_limit_allows(core: Make) -> None:
    def widest(keys: Sequence[Key]) -> int:
        return next(count for count in range(1, 20) if len(asked(core(), keys[: count + 1])) > 1)

    assert widest([Serial(f"S{number:07}") for number in range(1, 20)]) == BATCH // 4
    assert widest([Imei(f"{number:015}") for number in range(10**14, 10**14 + 200, 10)]) == 2
    assert widest([Guid(f"{number:08}-0000-4000-8000-000000000000") for number in range(1, 20)]) == 4
    assert widest([Serial(f"SIM{number:09}") for number in range(1, 20)]) == 6


# --- lookups ---


def answers(found: list[Device] | MdmError) -> list[Device]:
    assert isinstance(found, list)
    return found


def test_lookup_asks_every_space_for_named_fields(core: Make, answer: Answer, sample: Sample) -> None:
    provider, played = core(), Played()
    device = sample("core-device.json")
    answers = [answer(rows()), answer(rows(device))]
    found = play(
        provider.find(info("1", "7"), Serial("simaaaa0001")), answers, provider=provider, record=played
    )
    assert [device.id for device in found] == ["4711"]
    assert [request.params["adminDeviceSpaceId"] for request in played.requests] == ["1", "7"]
    params = played.requests[0].params
    assert params["query"] == 'common.SerialNumber="simaaaa0001"'
    assert params["fields"] == ",".join(FIELDS)
    assert (params["limit"], params["offset"]) == (200, 0)
    assert (params["sortField"], params["sortOrder"]) == ("common.id", "ASC")


def test_a_device_in_two_answers_is_one(core: Make, answer: Answer, sample: Sample) -> None:
    device = sample("core-device.json")
    answers = [answer(rows(device)), answer(rows(device))]
    found = play(core().find(info("1", "7"), Mac("00005E001122")), answers)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"common.SerialNumber": "SIMOTHER9"}, False),
        ({"common.SerialNumber": ["SIMAAAA0001"]}, True),
        ({"common.SerialNumber": {"value": "SIMAAAA0001"}}, False),
    ],
)
def test_rows_are_given_as_they_are(
    core: Make, answer: Answer, sample: Sample, change: Any, shown: bool
) -> None:
    # Whether they prove anything is for the client to say.
    row = {**sample("core-device.json"), **change}
    key = Serial("SIMAAAA0001")
    found = play(core().find(info(), key), [answer(rows(row))])
    assert [device.matches(key) for device in found] == [shown]


@pytest.mark.parametrize("serial", ["", None, "null", "N/A"])
def test_rows_without_what_was_searched_for_are_refused(
    core: Make, answer: Answer, sample: Sample, serial: str | None
) -> None:
    row = {**sample("core-device.json"), "common.SerialNumber": serial}
    with pytest.raises(FilterIgnoredError):
        play(core().find(info(), Serial("SIMAAAA0001")), [answer(rows(row))])


def test_masked_rows_prove_nothing(core: Make, answer: Answer, sample: Sample) -> None:
    row = {**sample("core-device.json"), "common.SerialNumber": "*********01"}
    (found,) = play(core().find(info(), Serial("SIMAAAA0001")), [answer(rows(row))])
    assert found.serial_number is None
    assert found.matches(Serial("SIMAAAA0001")) is False
    with pytest.raises(FilterIgnoredError):
        proven(core(), Serial("SIMAAAA0001"), [found])


def test_more_records_than_an_answer_holds(core: Make, answer: Answer, sample: Sample) -> None:
    row = sample("core-device.json")
    with pytest.raises(IncompleteListError):
        play(core().find(info(), Serial("SIMAAAA0001")), [answer(rows(row, total=300, more=True))])


def test_batches_sort_rows_to_their_keys(core: Make, answer: Answer, sample: Sample) -> None:
    first = sample("core-device.json")
    second = {**first, "common.id": 4712, "common.SerialNumber": "SIMAAAA0002"}
    keys = [Serial(f"SIMAAAA000{number}") for number in range(1, 4)]
    played = Played()
    found = play(core().find_batch(info(), keys), [answer(rows(second, first))], record=played)
    ids = {key.value: [device.id for device in answers(found[key])] for key in keys}
    assert ids == {
        "SIMAAAA0001": ["4711"],
        "SIMAAAA0002": ["4712"],
        "SIMAAAA0003": [],
    }
    assert len(played.requests) == 1


@pytest.mark.parametrize(
    "damage", [{"Common.Compliant": True}, {"common": {"compliant": True}}, {"COMMON_QUARANTINED": False}]
)
def test_a_record_with_a_member_twice_spoils_its_own_answer(
    core: Make, answer: Answer, sample: Sample, damage: Any
) -> None:
    good = sample("core-device.json")
    records = [
        {**good, "common.id": number, "common.SerialNumber": f"SIMAAAA000{number}"} for number in range(1, 7)
    ]
    records[2] |= damage

    def search(request: Request) -> Response:
        query = str(request.params["query"])
        return answer(rows(*(row for row in records if row["common.SerialNumber"] in query)))

    keys = [Serial(row["common.SerialNumber"]) for row in records]
    found = play(core().find_batch(info(), keys), search)
    assert isinstance(found[keys[2]], MalformedResponseError)
    assert [device.id for key in keys if key != keys[2] for device in answers(found[key])] == [
        "1",
        "2",
        "4",
        "5",
        "6",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"results": None, "totalCount": 0},
        {"results": [], "totalCount": None},
        {"results": [], "totalCount": -1},
        {"results": [], "totalCount": True},
        {"results": ["x"], "totalCount": 1},
        b"<html>login</html>",
        b"",
    ],
)
def test_answers_that_are_none(core: Make, answer: Answer, body: Any) -> None:
    with pytest.raises(MalformedResponseError):
        play(core().find(info(), Guid("0b6f1b0e-6a3c-4d0f-9a57-2f1d4c8e7a10")), [answer(body)])


# --- lists ---


def listed(provider: IvantiCoreProvider, answer: Answer, *found: Any) -> list[str | None]:
    page = play(provider.noncompliant_page(info(), None), [answer(rows(*found))])
    return [device.id for device in page.items]


def test_a_compliant_row_in_the_list_is_refused(core: Make, answer: Answer, sample: Sample) -> None:
    bad = sample("core-device.json")
    good = {**bad, "common.id": 4712, "common.compliant": True, "common.quarantined": False}
    assert listed(core(), answer, bad) == ["4711"]
    with pytest.raises(FilterIgnoredError):
        listed(core(), answer, bad, good)
    with pytest.raises(FilterIgnoredError):
        listed(core(), answer, {**bad, "common.status": "RETIRED"})


def test_a_row_without_security_state_is_not_asked_for(core: Make, answer: Answer, sample: Sample) -> None:
    # It is not equal to "Ok", and nothing else is wrong with it.
    assert '(common.security_state!="Ok" AND common.security_state "is not empty")' in noncompliant(FIELDS)
    bad = sample("core-device.json")
    calm = {**bad, "common.id": 4712, "common.compliant": True, "common.quarantined": False}
    for row in ({**calm, "common.security_state": None}, {**calm, "common.compliant": None}):
        with pytest.raises(FilterIgnoredError):
            listed(core(), answer, bad, row)


def test_a_list_continues_at_the_last_row(core: Make, answer: Answer, sample: Sample) -> None:
    row = sample("core-device.json")
    numbered = [{**row, "common.id": number} for number in range(5)]
    provider, played = core(page_size=3), Played()
    first = play(
        provider.noncompliant_page(info(), None),
        [answer(rows(*numbered[:3], total=5, more=True))],
        record=played,
    )
    assert first.next_cursor
    second = play(
        provider.noncompliant_page(info(), first.next_cursor),
        [answer(rows(*numbered[2:], total=5))],
        record=played,
    )
    assert [device.id for device in [*first.items, *second.items]] == ["0", "1", "2", "3", "4"]
    assert [request.params["offset"] for request in played.requests] == [0, 2]
    assert second.next_cursor is None


def test_raw_records_are_kept_on_request(core: Make, answer: Answer, sample: Sample) -> None:
    row = sample("core-device.json")
    for keep in (True, False):
        found = play(core(keep_raw=keep).find(info(), Serial("SIMAAAA0001")), [answer(rows(row))])
        assert found[0].raw == (row if keep else None)


# --- habits ---


def test_a_server_without_version_2_is_told_what_to_do(core: Make) -> None:
    provider = core()
    with pytest.raises(EndpointNotFoundError) as caught:
        play(provider.heartbeat(), [Response(404)], provider=provider)
    assert "base_url" in str(caught.value.hint)
    assert "without version 2" in str(caught.value.hint)
    with pytest.raises(PermissionDeniedError):
        play(provider.heartbeat(), [Response(403)], provider=provider)


# --- errors ---


@pytest.mark.parametrize(
    ("status", "body", "kind", "says", "hint"),
    [
        (401, b"", AuthenticationError, "refused", "local user"),
        (403, b"<html>Access is denied</html>", PermissionDeniedError, "denies", "API role"),
        (404, b"", EndpointNotFoundError, "no such address", "base_url"),
        (
            400,
            b'{"messages": [{"localizedMessage": "limit: too big"}]}',
            ResponseError,
            "too big",
            "page_size",
        ),
        (400, b'{"messages": ["adminDeviceSpaceId: unknown"]}', ResponseError, "unknown", "spaces"),
        (400, b'{"messages": {"message": "fields: unknown field x.y"}}', ResponseError, "x.y", "report"),
    ],
)
def test_errors_quote_the_server_and_say_what_to_do(  # noqa: PLR0917 - the columns of the table
    core: Make, answer: Answer, status: int, body: bytes, kind: type[MdmError], says: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        core().check(answer(body, status, "https://epmm.example.com/api/v2/devices?query=secret-serial"))
    assert says in str(caught.value)
    assert hint in str(caught.value.hint)
    assert "secret-serial" not in str(caught.value)


@given(st.integers(400, 599), st.binary(max_size=60) | st.text(max_size=60).map(json.dumps).map(str.encode))
def test_any_error_body_is_an_error(status: int, body: bytes) -> None:
    provider = IvantiCoreProvider(
        IvantiCoreProvider.settings_type(base_url="https://e.example", username="u", password="p")  # type: ignore[arg-type] # as text
    )
    with pytest.raises(ResponseError) as caught:
        provider.check(Response(status, {}, body, "https://e.example/api/v2/ping"))
    assert caught.value.status == status


@pytest.mark.parametrize(
    "change",
    [
        {"page_size": 501},
        {"page_size": 1},
        {"username": "a:b"},
        {"username": " "},
        {"base_url": "http://epmm.example.com"},
    ],
)
def test_settings_that_cannot_work(core: Make, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        core(**change)
    assert next(iter(change)) in str(caught.value)
    assert "s3cret-word" not in str(caught.value)
