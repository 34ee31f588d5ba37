"""heartbeat, lookup and noncompliant against a real server: shapes, formats and exit codes."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import ServerError
from mdmsdk.ise import IseProvider
from mdmsdk.provider import Capability
from mdmsdk.simulator import Fault, Fleet, IseSimulator, RunningSimulator, SimDevice
from mdmsdk.simulator.ise import truth_compliant

if TYPE_CHECKING:
    from pathlib import Path

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device, ServerInfo
    from tests.cli.conftest import Configure, Run, Start

    Ise = RunningSimulator[IseSimulator]

HEARTBEAT = ["server", "provider", "ok", "vendor", "product", "version", "api_version", "elapsed_ms", "error"]
LOOKUP = ["key", "kind", "found", "compliance", "complete", "decision", "device", "outcomes"]
OUTCOME = ["server", "provider", "status", "elapsed_ms", "error"]
ERROR = ["type", "message", "hint"]
UNKNOWN = "00:00:5E:00:53:FE"


def only(fleet: Fleet, state: str) -> SimDevice:
    """A device of that state whose first MAC address is its own."""
    return next(
        device
        for device in fleet
        if device.registered
        and device.compliance == state
        and device.wifi_mac
        and len(fleet.by_mac(device.wifi_mac)) == 1
        and len(fleet.by_udid(device.udid)) == 1
    )


def spellings(mac: str) -> list[str]:
    """Four ways to write an address given as twelve digits."""
    pairs = [mac[at : at + 2] for at in range(0, 12, 2)]
    return [":".join(pairs).lower(), "-".join(pairs), f"{mac[:4]}.{mac[4:8]}.{mac[8:]}".lower(), mac]


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- heartbeat


def test_heartbeat_has_the_documented_shape(mdm: Run, config: Path) -> None:
    result = mdm("heartbeat", "--config", config)
    assert (result.code, result.err) == (0, "")
    (row,) = result.lines
    assert list(row) == HEARTBEAT
    assert row | {"elapsed_ms": 0} == {
        "server": "main",
        "provider": "ise",
        "ok": True,
        "vendor": "mdmsdk",
        "product": "Simulated MDM",
        "version": "1.0",
        "api_version": "3",
        "elapsed_ms": 0,
        "error": None,
    }
    assert row["elapsed_ms"] == round(row["elapsed_ms"], 1) > 0


def test_heartbeat_in_every_format(mdm: Run, config: Path) -> None:
    (ndjson,) = mdm("heartbeat", "--config", config, "--format", "ndjson").lines
    (document,) = json.loads(mdm("heartbeat", "--config", config, "--format", "json").out)
    assert list(document) == list(ndjson) == HEARTBEAT
    (line,) = read_csv(mdm("heartbeat", "--config", config, "--format", "csv").out)
    assert line["ok"] == "true"
    assert line["error.type"] == ""
    shown = mdm("heartbeat", "--config", config, "--format", "table").out.splitlines()
    assert shown[0].split() == ["SERVER", "OK", "PROVIDER", "PRODUCT", "API", "MS", "ERROR"]
    assert shown[1].split()[:3] == ["main", "yes", "ise"]


def test_a_server_that_is_down_does_not_hide_the_other(
    mdm: Run, configure: Configure, ise: Ise, dead: dict[str, Any]
) -> None:
    result = mdm("heartbeat", "--config", configure(main=ise, gone=dead))
    assert result.code == 3
    main, gone = result.lines
    assert main["ok"]
    assert not gone["ok"]
    assert list(gone["error"]) == ERROR
    assert gone["error"]["type"] == "ConnectError"
    assert result.err.startswith("error: gone: ")
    assert "\nhint: " in result.err


def test_heartbeat_of_named_servers_only(
    mdm: Run, configure: Configure, ise: Ise, dead: dict[str, Any]
) -> None:
    config = configure(main=ise, gone=dead)
    assert mdm("heartbeat", "main", "--config", config).code == 0
    assert mdm("heartbeat", "main", "gone", "--config", config).code == 3


def test_a_wrong_password_is_a_failure(mdm: Run, configure: Configure, ise: Ise) -> None:
    config = configure(main=ise.settings | {"password": "not-the-one"})
    for command in (["heartbeat"], ["lookup", UNKNOWN], ["noncompliant"]):
        result = mdm(*command, "--config", config)
        assert result.code == 3
        assert "error: main: " in result.err
        assert "hint: " in result.err
        assert "not-the-one" not in result.out + result.err


# --- lookup


def test_lookup_has_the_documented_shape(mdm: Run, config: Path, fleet: Fleet) -> None:
    device = only(fleet, "noncompliant")
    result = mdm("lookup", device.wifi_mac, "--config", config)
    assert (result.code, result.err) == (0, "")
    (row,) = result.lines
    assert list(row) == LOOKUP
    assert row["key"] == ":".join(spellings(device.wifi_mac or "")[0].upper().split(":"))
    assert (row["kind"], row["found"], row["complete"]) == ("mac", True, True)
    assert row["compliance"] == row["device"]["compliance"]["state"] == "noncompliant"
    assert row["device"]["udid"] == device.udid
    assert row["device"]["server"] == "main"
    (outcome,) = row["outcomes"]
    assert list(outcome) == OUTCOME
    assert (outcome["server"], outcome["status"], outcome["error"]) == ("main", "found", None)


def test_one_mac_in_four_spellings_is_one_device(mdm: Run, config: Path, fleet: Fleet) -> None:
    device = only(fleet, "compliant")
    rows = mdm("lookup", *spellings(device.wifi_mac or ""), "--config", config).lines
    assert len(rows) == 4
    assert {row["key"] for row in rows} == {rows[0]["key"]}
    assert {row["device"]["guid"] for row in rows} == {device.guid}
    assert {row["compliance"] for row in rows} == {"compliant"}


@pytest.mark.parametrize("kind", ["udid", "guid"])
def test_by_kind_and_by_prefix(mdm: Run, config: Path, fleet: Fleet, kind: str) -> None:
    value = getattr(only(fleet, "compliant"), kind)
    for words in (["--by", kind, value], [f"{kind}:{value}"]):
        (row,) = mdm("lookup", *words, "--config", config).lines
        assert (row["key"].lower(), row["kind"], row["found"]) == (value.lower(), kind, True)


def test_an_unknown_device(mdm: Run, config: Path, fleet: Fleet) -> None:
    known = only(fleet, "compliant").wifi_mac
    result = mdm("lookup", UNKNOWN, known, "--config", config)
    assert (result.code, result.err) == (1, "")
    unknown, found = result.lines
    assert (unknown["found"], unknown["compliance"], unknown["device"]) == (False, None, None)
    assert unknown["complete"]
    assert unknown["outcomes"][0]["status"] == "not_found"
    assert found["found"]


def test_a_failed_server_counts_more_than_an_unknown_device(
    mdm: Run, configure: Configure, ise: Ise, dead: dict[str, Any], fleet: Fleet
) -> None:
    config = configure(main=ise, gone=dead)
    result = mdm("lookup", UNKNOWN, only(fleet, "compliant").wifi_mac, "--config", config)
    assert result.code == 3
    unknown, found = result.lines
    assert not unknown["complete"]
    assert not found["complete"]
    assert found["compliance"] == "compliant"
    assert [outcome["status"] for outcome in found["outcomes"]] == ["found", "error"]
    assert result.err.count("error: gone: ") == 1, "the same failure is told once"
    assert mdm("lookup", UNKNOWN, "--server", "main", "--config", config).code == 1


def test_a_malformed_key_does_not_lose_the_others(mdm: Run, config: Path, fleet: Fleet) -> None:
    known = only(fleet, "compliant").wifi_mac
    result = mdm("lookup", "01:00:5E:00:00:01", known, UNKNOWN, "--config", config)
    assert result.code == 2
    bad, found, unknown = result.lines
    assert (bad["key"], bad["kind"], bad["found"], bad["complete"]) == (
        "01:00:5E:00:00:01",
        None,
        False,
        False,
    )
    assert bad["outcomes"][0]["error"]["type"] == "InvalidIdentifierError"
    assert found["found"]
    assert not unknown["found"]
    assert "multicast" in result.err


def test_a_malformed_key_of_a_given_kind_keeps_its_text(mdm: Run, config: Path) -> None:
    result = mdm("lookup", "--by", "mac", "nonsense", "--config", config)
    assert result.code == 2
    assert result.lines[0]["key"] == "nonsense"
    assert "'nonsense' is not a mac" in result.err


def test_an_ambiguous_key_asks_for_its_kind(mdm: Run, config: Path) -> None:
    result = mdm("lookup", "C02XK0AAJG5H", "--config", config)
    assert result.code == 2
    assert "serial:C02XK0AAJG5H" in result.err


def test_a_kind_that_no_server_can_search_by_is_no_unknown_device(mdm: Run, config: Path) -> None:
    result = mdm("lookup", "serial:C02XK0AAJG5H", "--config", config)
    assert result.code == 3
    assert result.lines[0]["outcomes"][0]["status"] == "unsupported"
    assert "cannot search by serial" in result.err


def test_lookup_in_every_format(mdm: Run, config: Path, fleet: Fleet) -> None:
    keys = [only(fleet, "noncompliant").wifi_mac, UNKNOWN]
    document = json.loads(mdm("lookup", *keys, "--config", config, "--format", "json").out)
    assert [list(row) for row in document] == [LOOKUP, LOOKUP]
    found, unknown = read_csv(mdm("lookup", *keys, "--config", config, "--format", "csv").out)
    assert found["found"] == "true"
    assert found["device.compliance.state"] == found["compliance"] == "noncompliant"
    assert found["device.mac_addresses"].split("; ")[0] == found["key"]
    assert found["outcomes"] == "main=found"
    assert (unknown["found"], unknown["compliance"], unknown["device.guid"]) == ("false", "", "")
    shown = mdm("lookup", *keys, "--config", config, "--format", "table").out.splitlines()
    assert shown[0].split() == ["KEY", "COMPLIANCE", "SERVER", "DEVICE", "OS", "REASONS"]
    assert "noncompliant" in shown[1]
    assert shown[2].split() == [UNKNOWN, "not", "found"]


@pytest.mark.parametrize("text", ["{0}\n\n# a comment\n  {1}\n", '\ufeff{0},Ada,3\n"{1}","Bo, jr"\n'])
def test_keys_from_a_file_and_from_stdin(
    mdm: Run, config: Path, fleet: Fleet, tmp_path: Path, text: str
) -> None:
    keys = [only(fleet, state).wifi_mac or "" for state in ("compliant", "noncompliant")]
    content = text.format(*keys).encode()
    (tmp_path / "keys.txt").write_bytes(content)
    from_file = mdm("lookup", "--input", tmp_path / "keys.txt", "--config", config)
    from_stdin = mdm("lookup", "--input", "-", "--config", config, stdin=content)
    assert from_file.code == from_stdin.code == 0
    for result in (from_file, from_stdin):
        assert [row["compliance"] for row in result.lines] == ["compliant", "noncompliant"]


def test_a_malformed_line_of_a_file_is_reported_in_its_place(mdm: Run, config: Path, fleet: Fleet) -> None:
    known = only(fleet, "compliant").wifi_mac
    content = f"{known}\nnot a mac\n\udcff{known}\n{known}\n".encode(errors="surrogateescape")
    result = mdm("lookup", "--by", "mac", "--input", "-", "--config", config, stdin=content)
    assert result.code == 2
    assert [row["found"] for row in result.lines] == [True, False, False, True]
    assert result.err.count("error: ") == 2


def test_many_different_failures_are_summed_up(mdm: Run, config: Path) -> None:
    content = "".join(f"no key {number}\n" for number in range(100)).encode()
    result = mdm("lookup", "--input", "-", "--config", config, stdin=content)
    assert result.code == 2
    assert len(result.lines) == 100
    assert len(result.err.splitlines()) < 50
    assert "error: 80 more" in result.err


def test_an_empty_file_has_an_empty_answer(mdm: Run, config: Path) -> None:
    result = mdm("lookup", "--input", "-", "--config", config, "--format", "json")
    assert (result.code, json.loads(result.out)) == (0, [])


# --- noncompliant


def expected_guids(fleet: Fleet) -> set[str]:
    return {device.guid for device in fleet if device.registered and not truth_compliant(device)}


def test_noncompliant_gives_every_device_once(
    mdm: Run, configure: Configure, start: Start, fleet: Fleet
) -> None:
    running = start(fleet, page_size=4, page_overlap=1)
    result = mdm("noncompliant", "--config", configure(main=running))
    assert (result.code, result.err) == (0, "")
    rows = result.lines
    assert len(rows) == len(expected_guids(fleet))
    assert {row["guid"] for row in rows} == expected_guids(fleet)
    assert {"server", "provider", "mac_addresses", "compliance", "registered"} <= rows[0].keys()
    assert "raw" not in rows[0]
    assert {row["compliance"]["state"] for row in rows} == {"noncompliant"}


def test_noncompliant_in_every_format(mdm: Run, config: Path, fleet: Fleet) -> None:
    expected = expected_guids(fleet)
    document = json.loads(mdm("noncompliant", "--config", config, "--format", "json").out)
    assert {row["guid"] for row in document} == expected
    lines = read_csv(mdm("noncompliant", "--config", config, "--format", "csv").out)
    assert {line["guid"] for line in lines} == expected
    assert {line["compliance.state"] for line in lines} == {"noncompliant"}
    shown = mdm("noncompliant", "--config", config, "--format", "table").out.splitlines()
    assert shown[0].split()[:5] == ["DEVICE", "SERVER", "NAME", "OS", "STATE"]
    assert len(shown) == 1 + len(expected)


def test_an_incomplete_list_says_so(mdm: Run, configure: Configure, start: Start, fleet: Fleet) -> None:
    running = start(fleet, page_size=5)
    later = Fault("status", match=is_later_page, status=500)
    running.simulator.faults.add(later)
    config = configure(main=running)
    for chosen in ("ndjson", "json", "csv", "table"):
        result = mdm("noncompliant", "--config", config, "--format", chosen)
        assert result.code == 3
        assert "error: main: the list broke off after 5 devices" in result.err
        assert "hint: " in result.err
    assert len(json.loads(mdm("noncompliant", "--config", config, "--format", "json").out)) == 5


def is_later_page(request: Any) -> bool:
    return "querycriteria=compliance" in request.target and "paging=0" not in request.target


def test_one_failed_server_leaves_the_list_of_the_other(
    mdm: Run, configure: Configure, ise: Ise, dead: dict[str, Any], fleet: Fleet
) -> None:
    result = mdm("noncompliant", "--config", configure(gone=dead, main=ise))
    assert result.code == 3
    assert {row["guid"] for row in result.lines} == expected_guids(fleet)
    assert "error: gone: " in result.err


def test_reasons_come_from_the_providers_that_have_more(
    mdm: Run, configure: Configure, start: Start, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str | None] = []

    def reasons(_self: IseProvider, _info: ServerInfo, device: Device) -> Flow[Device]:
        if not refused:
            refused.append(device.guid)
            raise ServerError("the details are not there now")
        yield from ()
        detailed = device.compliance.model_copy(update={"reasons": ("in detail",)})
        return device.model_copy(update={"compliance": detailed})

    config = configure(main=start(fleet, page_size=7))
    plain = [row["guid"] for row in mdm("noncompliant", "--config", config).lines]
    assert mdm("noncompliant", "--reasons", "--config", config).code == 0

    monkeypatch.setattr(IseProvider, "capabilities", frozenset({Capability.REASONS}))
    monkeypatch.setattr(IseProvider, "reasons", reasons)
    result = mdm("noncompliant", "--reasons", "--config", config)
    assert result.code == 3
    assert "the details are not there now" in result.err
    assert [row["guid"] for row in result.lines] == plain, "the order stays"
    detailed = [row["guid"] for row in result.lines if row["compliance"]["reasons"] == ["in detail"]]
    assert detailed == [guid for guid in plain if guid not in refused]


def test_reasons_of_a_list_that_breaks_off(
    mdm: Run, configure: Configure, start: Start, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reasons(_self: IseProvider, _info: ServerInfo, device: Device) -> Flow[Device]:
        yield from ()
        return device

    monkeypatch.setattr(IseProvider, "capabilities", frozenset({Capability.REASONS}))
    monkeypatch.setattr(IseProvider, "reasons", reasons)
    running = start(fleet, page_size=5)
    running.simulator.faults.add(Fault("status", match=is_later_page, status=500))
    result = mdm("noncompliant", "--reasons", "--config", configure(main=running))
    assert result.code == 3
    assert len(result.lines) == 5


def test_rules_of_all_servers_stand_beside_the_verdict(
    mdm: Run, config: Path, ise: RunningSimulator[IseSimulator], fleet: Fleet
) -> None:
    device = only(fleet, "compliant")
    ise.simulator.behave(accepts=frozenset({"inventory"}))
    with config.open("a", encoding="utf-8") as file:
        file.write('\n[federation.rules]\nminimum_os = { macOS = "99", iOS = "99", iPadOS = "99" }\n')
        file.write('forbidden_words = ["true"]\n')  # the protocol's word for "compliant"
    (row,) = mdm("lookup", device.wifi_mac, "--config", config).lines
    assert (row["decision"], row["outcomes"][0]["status"]) == ("noncompliant", "found")
    assert "The server says 'true' of the device." in row["device"]["compliance"]["reasons"]
    shown = mdm("lookup", device.wifi_mac, "--config", config, "--format", "table").out
    assert "The server says" in shown
    listed = mdm("noncompliant", "--config", config).lines
    assert {entry["serial_number"] for entry in listed} >= {device.serial_number}
    assert all(entry["compliance"]["state"] == "noncompliant" for entry in listed)
