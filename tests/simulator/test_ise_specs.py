"""The simulator takes what Cisco's own descriptions have, no more, and answers as they say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from tests.simulator.descriptions import Asked, Description

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdmsdk.simulator import Fleet, SimDevice
    from tests.simulator.conftest import IseClient, Start

# In the filter table of the specification, but in none of its examples nor in any answer seen.
NEVER_SEEN = {"period"}
AS_GIVEN = httpx.USE_CLIENT_DEFAULT
XML = {"Accept": "application/xml"}
Pairs = list[tuple[str, str]]
# What a parameter may hold wrongly, beside being absent, empty, there twice or written in another case.
WRONG = {
    "ise_api_version": ["three", "-1", "3.0", "+3", " 3", "٣"],
    "paging": ["next", "-1", "1", "0.0", "00", "99999999999999999999", "'"],
    "querycriteria": ["colour", "MacAddress", "GUID", "serialnumber", "mac address", "macaddress,guid"],
    "value": ["\0", " "],
    "filter": ["nonsense", "all nonsense", "register_status+compliance_status", "ALL", "guid,udid", " "],
    "deviceidentifier": ["colour", "udid", "GUID", "macaddress,guid"],
}
WRONG_VALUES = {
    "macaddress": ["00:1B:44:11:3A:B7", "00-1B-44-11-3A-B7", "001B.4411.3AB7", "001B44113AB", "001B44113ABG"],
    "compliance": ["maybe", "False", "TRUE", "0", "false "],
    "imei": ["35 693803 564380 9", "123", "A5693803564380"],
    "meid": ["A10000 009296F2", "A1", "G10000009296F2"],
    "guid": ["x" * 129, "é" * 65],
}


@pytest.fixture(params=[2, 3])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def spec(version: int) -> Description:
    return Description(version)


def one_of_all(fleet: Fleet) -> SimDevice:
    return next(d for d in fleet if d.registered and d.imei and d.meid and d.phone_number and d.wifi_mac)


def values_of(device: SimDevice) -> dict[str, str]:
    return {
        "macaddress": device.wifi_mac or "",
        "username": device.username,
        "udid": device.udid,
        "imei": device.imei or "",
        "meid": device.meid or "",
        "guid": device.guid,
        "guidhn": device.hostname,
    }


def query_of(pairs: Pairs) -> str:
    """A query as a form has it; a blank is a plus, as in Cisco's examples."""
    return "&".join(f"{name}={quote(text, safe='').replace('%20', '+')}" for name, text in pairs)


def changed(pairs: Pairs, wrong: dict[str, list[str]]) -> Iterator[Pairs]:
    """The same request with each of some parameters absent, empty, twice, in another case and wrong."""
    for place, (name, text) in enumerate(pairs):
        if name not in wrong:
            continue
        before, after = pairs[:place], pairs[place + 1 :]
        yield before + after
        yield [*pairs, (name, text)]
        yield [*before, (name.upper(), text), *after]
        for value in ["", *wrong[name]]:
            yield [*before, (name, value), *after]
    yield [*pairs, ("colour", "red")]


def queries_of(spec: Description, values: Mapping[str, str]) -> Iterator[str]:
    """A query by each criterion, and the same with each of its parameters wrong."""
    for criterion in sorted(spec.criteria):
        pairs = [
            ("paging", "0"),
            ("querycriteria", criterion),
            ("value", values[criterion]),
            ("filter", "all"),
        ]
        wrong = {"value": WRONG["value"] + WRONG_VALUES.get(criterion, [])}
        # The others do not depend on the criterion.
        every = changed(pairs, WRONG | wrong if criterion == "udid" else wrong)
        yield from (f"/devices/?{query_of(one)}" for one in (pairs, *every))


def test_discovery(spec: Description, version: int, ise: IseClient) -> None:
    info = ise.xml("/ciscoise/mdminfo/", ise_api_version=version)
    assert set(ise.tags(info)) == set(spec.properties("mdm-server-info"))
    assert spec.faults(info, "mdm-server-info") == []


def test_devices(spec: Description, version: int, ise: IseClient, fleet: Fleet) -> None:
    definition = "mdm-device-attributes-response"
    page = ise.devices("macaddress", fleet.noncompliant()[0].mac_addresses[0], version=version)
    assert set(ise.tags(page)) == set(spec.properties(definition))
    device = "deviceList/device"
    assert set(ise.tags(page, device)) == set(spec.properties(definition, "deviceList", "device"))
    page = ise.devices("udid", one_of_all(fleet).udid, version=version)
    described = set(spec.properties(definition, "deviceList", "device", "attributes"))
    assert described <= set(ise.tags(page, f"{device}/attributes"))


def test_attributes_are_those_of_the_filter_table(
    spec: Description, version: int, ise: IseClient, fleet: Fleet
) -> None:
    page = ise.devices("udid", one_of_all(fleet).udid, version=version)
    names = {tag.lower() for tag in ise.tags(page, "deviceList/device/attributes")}
    spelled = {"compliance": "compliance_status", "macaddresses": "mac_addresses"}
    tabled = {
        name.lower().replace(" ", "_") for name in re.findall(r"<tr><td>(.*?)</td>", spec.text_of("filter"))
    }
    assert {spelled.get(name, name) for name in names} == tabled - NEVER_SEEN


@pytest.mark.parametrize("habits", [{}, {"query_max_size": 7}, {"max_api_version": 2, "query_max_size": 7}])
def test_every_answer_has_the_described_elements_and_types(
    start: Start, fleet: Fleet, habits: dict[str, Any]
) -> None:
    version = habits.get("max_api_version", 3)
    spec, ise = Description(version), start(**habits)
    definition, seen = "mdm-device-attributes-response", 0
    lists: list[tuple[str, dict[str, str]]] = [("false", {}), ("true", {})]
    lists += [("false", {"deviceidentifier": name}) for name in sorted(spec.identifiers)]
    for value, more in lists:
        token = "0"
        while True:
            page = ise.devices("compliance", value, version=version, paging=token, **more)
            assert spec.faults(page, definition) == []
            seen += len(list(page.iter("device")))
            token = page.findtext("paging_info", "")
            if token == "0":
                break
    for device in fleet:
        page = ise.devices("udid", device.udid, version=version)
        assert spec.faults(page, definition) == []
    assert seen > len(fleet) / 2


@pytest.mark.parametrize("habits", [
    {"empty_elements": True}, {"boolean_words": ("yes", "no")}, {"tokens": "text", "query_max_size": 3},
    {"identifier": "query"},
])  # fmt: skip
def test_the_judge_of_answers_sees_habits(start: Start, fleet: Fleet, habits: dict[str, Any]) -> None:
    ise = start(**habits)
    hidden = next(device for device in fleet if device.registered and not device.imei)
    pages = [*ise.pages(), ise.devices("udid", hidden.udid)]
    assert any(Description(3).faults(page, "mdm-device-attributes-response") for page in pages)


def test_each_parameter_of_discovery(spec: Description, ise: IseClient) -> None:
    pairs = [("ise_api_version", "2")]
    targets = [
        "/ciscoise/mdminfo",
        "/ciscoise/mdminfo?ise_api_version=3",
        "/ciscoise//mdminfo/?ise_api_version=3",
    ]
    targets += [f"/ciscoise/mdminfo/?{query_of(one)}" for one in (pairs, *changed(pairs, WRONG))]
    judge(spec, ise, targets)


def test_each_parameter_of_each_query(spec: Description, version: int, ise: IseClient, fleet: Fleet) -> None:
    values = values_of(one_of_all(fleet)) | {"compliance": "false"}
    assert spec.criteria == values.keys() - ({"guid", "guidhn"} if version == 2 else set())
    targets = [f"/devices/?{url.partition('?')[2]}" for url in spec.examples if "?" in url]
    targets += queries_of(spec, values)
    listed = [("paging", "0"), ("querycriteria", "compliance"), ("value", "false"), ("filter", "all")]
    targets += [f"/devices/?{query_of([*listed[:3], ('filter', name)])}" for name in sorted(spec.attributes)]
    for pairs in (listed, *[[*listed, ("deviceidentifier", name)] for name in ("guid", "macaddress")]):
        wrong = {"value": WRONG_VALUES["compliance"], "deviceidentifier": WRONG["deviceidentifier"]}
        targets += [f"/devices/?{query_of(one)}" for one in (pairs, *changed(pairs, wrong))]
    good = query_of(listed)
    targets.append("/devices/")
    for path in ("/devices", "/devices//", "//devices/", "/Devices/", "/device/", "/devices/x", ""):
        targets.append(f"{path}?{good}")
    judge(spec, ise, [f"/ciscoise/mdmapi/v{version}{target}" for target in targets])


def test_each_part_of_the_paths_of_version_1(ise: IseClient, fleet: Fleet) -> None:
    spec = Description(1)
    values = values_of(one_of_all(fleet)) | {"compliance": "false"}
    targets = [url for url in spec.examples if "?" not in url]
    assert len(targets) == 4
    for criterion in sorted(spec.criteria):
        parts = ["0", criterion, values[criterion], "all"]
        names = ["paging", "querycriteria", "value", "filter"]
        wrong = WRONG | {"value": WRONG["value"] + WRONG_VALUES.get(criterion, [])}
        targets += ["/".join(["/devices", *map(quote, parts)]), "/".join(["/devices", *parts, ""])]
        targets += ["/".join(["/devices", *parts]) + "?paging=0", "/devices/" + "/".join(parts[:-1])]
        for place, name in enumerate(names):
            for value in ["", *wrong[name]]:
                changed_parts = [
                    quote(part, safe="+") for part in [*parts[:place], value, *parts[place + 1 :]]
                ]
                targets.append("/".join(["/devices", *changed_parts]))
    judge(spec, ise, [f"/ciscoise/mdmapi/v1{target}" for target in targets])


def judge(spec: Description, ise: IseClient, targets: list[str]) -> None:
    """See that the simulator refuses exactly the requests that are not as described."""
    right, wrong, differing = 0, 0, []
    for target in targets:
        response = ise.http.get(ise.origin + target, headers=XML)
        headers = dict(response.request.headers)
        found = spec.violations(Asked("GET", target, headers), f"/ciscoise/mdmapi/v{spec.version}")
        if (response.status_code == 200) is bool(found) or response.status_code not in {200, 400, 404}:
            differing.append((target, response.status_code, found))
        right, wrong = right + (not found), wrong + bool(found)
    print(f"version {spec.version}: {right} requests as described, {wrong} otherwise")  # noqa: T201 - for -s
    assert differing == []
    assert right
    assert wrong


def test_methods_and_headers(spec: Description, version: int, ise: IseClient) -> None:
    good = "paging=0&querycriteria=username&value=x&filter=all"
    implemented = {"/devices/": good, "/batchdevices/": good, "/ciscoise/mdminfo/": "ise_api_version=3"}
    body = "<ise_api><value>y</value></ise_api>"
    for path, method, operation in spec.operations():
        end = path.removeprefix("/{api_path}")
        url = ise.origin + (end if end.startswith("/ciscoise") else f"/ciscoise/mdmapi/v{version}{end}")
        kind = {"Content-Type": operation["consumes"][0]} if method != "GET" else {}
        if end not in implemented:
            answer = ise.http.request(
                method, url.replace("<action type>", "pin_lock"), headers=kind, content=body
            )
            assert answer.status_code == 404, "what is not served is refused"
            continue
        url = f"{url}?{implemented[end]}"
        content = body if kind else None
        statuses = {
            name: ise.http.request(
                verb,
                url,
                headers=kind | changes,
                content=content,
                auth=None if name == "anybody" else AS_GIVEN,
            ).status_code
            for name, verb, changes in (
                ("good", method, {"Accept": operation["produces"][0]}),
                ("any", method, {"Accept": "text/html, */*;q=0.1"}),
                ("json", method, {"Accept": "application/json"}),
                ("other", "PUT", {}),
                ("remove", "DELETE", {}),
                ("form", method, {"Content-Type": "application/x-www-form-urlencoded"}),
                ("anybody", method, {}),
            )
        }
        form = 415 if kind else 200
        assert statuses == {
            "good": 200, "any": 200, "json": 406, "other": 405, "remove": 405, "form": form, "anybody": 401,
        }  # fmt: skip


def test_each_parameter_of_a_batch(ise: IseClient) -> None:
    spec = Description(2)
    pairs = [("paging", "0"), ("querycriteria", "macaddress"), ("value", "001B44113AB7"), ("filter", "all")]
    assert [name for name, _ in pairs] == list(spec.parameters(spec.operation("/batchdevices/", "post")))
    body = "<ise_api><value>001B44113AB8</value></ise_api>"

    def status(asked: Pairs, body: str = body) -> int:
        url = f"/ciscoise/mdmapi/v2/batchdevices/?{query_of(asked)}"
        return ise.http.post(url, headers={"Content-Type": "application/xml"}, content=body).status_code

    assert status(pairs) == 200
    assert status(pairs, body.replace("001B44113AB8", "00:1B:44:11:3A:B8")) == 400
    wrong = WRONG | {"value": WRONG_VALUES["macaddress"]}
    assert [one for one in changed(pairs, wrong) if status(one) != 400] == []
