"""What the rows of a device amount to: each fact that speaks against it absent, unreadable, contradictory."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mdmsdk.client.verdict import settle
from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Mac
from mdmsdk.models import ComplianceState, Device
from mdmsdk_configmgr import ConfigMgrSettings
from mdmsdk_configmgr.records import Baseline, Record, lasting, read_baselines

BASELINES = (Baseline(number=1, name="Security"), Baseline(number=2, name="Disk"))
GUID = "11111111-2222-4333-8444-555555555555"
GOOD: dict[str, Any] = {
    "System": {
        "ResourceId": 7,
        "Name": "PC-0007",
        "MACAddresses": ["02:AB:00:00:00:17"],
        "SMBIOSGUID": GUID,
        "SMSUniqueIdentifier": "GUID:AAAAAAAA-0000-4000-8000-000000000017",
        "Client": 1,
        "Obsolete": 0,
        "Decommissioned": 0,
        "LastLogonUserName": "demo",
        "OperatingSystemNameandVersion": "Microsoft Windows NT Workstation 10.0",
        "Build": "10.0.22631",
    },
    "Combined": {
        "ResourceID": 7,
        "IsBlocked": False,
        "IsObsolete": False,
        "ClientActiveStatus": 1,
        "ClientCheckPass": 1,
        "LastPolicyRequest": "2026-01-12T20:12:01Z",
        "LastDDR": "2026-01-13T01:00:00Z",
    },
    "Bios": {"ResourceID": 7, "SerialNumber": "C02XK0AAJG5H"},
    "Compliance": [
        {
            "ResourceID": 7,
            "CI_ID": number,
            "UserName": "",
            "ComplianceState": 1,
            "ComplianceStateName": "Compliant",
        }
        for number in (1, 2)
    ],
    "Adapters": [],
}
NOTHING = object()


def read(
    changes: dict[str, Any] | None = None, baselines: tuple[Baseline, ...] = BASELINES, **given: Any
) -> Device:
    """The device of the good rows with changes, by path, as a client would settle it."""
    document = copy.deepcopy(GOOD)
    for path, value in (changes or {}).items():
        *way, last = path.split(".")
        place: Any = document
        for step in way:
            place = place[int(step)] if step.isdecimal() else place[step]
        if value is NOTHING:
            del place[int(last) if last.isdecimal() else last]
        else:
            place[int(last) if last.isdecimal() else last] = value
    settings = ConfigMgrSettings(
        base_url="https://cm01.example.com", token_provider=lambda: "token-of-tests", **given
    )
    return settle(Record(document).device(settings, baselines), "site", "configmgr")


def test_the_good_rows_are_a_pass_and_say_what_they_hold() -> None:
    device = read()
    assert device.compliance.state is ComplianceState.COMPLIANT
    assert (device.id, device.name, device.serial_number, device.user) == (
        "7",
        "PC-0007",
        "C02XK0AAJG5H",
        "demo",
    )
    assert (device.os, device.os_version, device.registered) == ("Windows", "10.0.22631", True)
    assert device.last_check_in is not None
    assert device.last_check_in.isoformat() == "2026-01-13T01:00:00+00:00"
    assert device.matches(Mac("02:AB:00:00:00:17"))


@pytest.mark.parametrize("value", [NOTHING, None, "perhaps", 2, [], {}, "", -1])
@pytest.mark.parametrize(
    "path",
    ["System.Client", "System.Obsolete", "System.Decommissioned", "Combined.IsBlocked"]
    + ["Compliance.0.ComplianceState", "Compliance.1.ComplianceState"],
)
def test_a_fact_that_is_missing_or_makes_no_sense_is_no_pass(path: str, value: Any) -> None:
    assert read({path: value}).compliance.state is not ComplianceState.COMPLIANT


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"System.Obsolete": 1}, "unknown"),
        ({"System.Decommissioned": 1}, "unknown"),
        ({"System.Client": None}, "unknown"),
        ({"System.Client": 0}, "unknown"),
        ({"Combined.IsObsolete": True}, "unknown"),
        ({"Combined.IsObsolete": "perhaps"}, "unknown"),
        ({"Combined.IsBlocked": True}, "unknown"),
        ({"Combined": NOTHING}, "unknown"),
        ({"Compliance.0": NOTHING}, "unknown"),
        ({"Compliance": []}, "unknown"),
        ({"Compliance.0.ComplianceState": 0}, "unknown"),
        ({"Compliance.0.ComplianceState": 3}, "unknown"),
        ({"Compliance.0.ComplianceState": 4, "Compliance.0.ComplianceStateName": "Error"}, "unknown"),
        (
            {"Compliance.0.ComplianceState": 2, "Compliance.0.ComplianceStateName": "Non-Compliant"},
            "noncompliant",
        ),
        # Number and name contradict each other.
        ({"Compliance.0.ComplianceState": 2}, "noncompliant"),
        ({"Compliance.0.ComplianceStateName": "Non-Compliant"}, "noncompliant"),
        ({"Compliance.0.ComplianceStateName": 5.5}, "unknown"),
        ({"Compliance.0.ComplianceStateName": "Error"}, "unknown"),
        ({"Compliance.0.ComplianceStateName": "Unknown"}, "unknown"),
        ({"Compliance.0.ComplianceStateName": "Not compliant"}, "noncompliant"),
        # What fails stays so, whatever else is said.
        ({"Compliance.0.ComplianceState": 2, "Combined": NOTHING, "Compliance.1": NOTHING}, "noncompliant"),
        ({"Compliance.0.ComplianceState": 2, "Combined.IsBlocked": True}, "noncompliant"),
        ({"Compliance.0.UserName": 5.5}, "unknown"),
    ],
)
def test_what_speaks_against_a_device_counts(changes: dict[str, Any], state: str) -> None:
    device = read(changes)
    assert device.compliance.state == state
    assert device.compliance.reasons or not device.registered


def test_another_row_of_the_same_baseline_can_only_make_it_stricter() -> None:
    row = GOOD["Compliance"][0]
    for number, state in ((0, "unknown"), (2, "noncompliant"), (4, "unknown")):
        rows = [*GOOD["Compliance"], {**row, "ComplianceState": number, "ComplianceStateName": ""}]
        assert read({"Compliance": rows}).compliance.state == state
        assert read({"Compliance": rows[::-1]}).compliance.state == state


def test_results_of_single_users_count_by_the_setting() -> None:
    row = {
        **GOOD["Compliance"][0],
        "UserName": "EXAMPLE\\demo",
        "ComplianceState": 2,
        "ComplianceStateName": "",
    }
    rows = [*GOOD["Compliance"], row]
    assert read({"Compliance": rows}).compliance.state == "compliant"
    assert read({"Compliance": rows}, user_rows=True).compliance.state == "noncompliant"
    # A user's result stands for none of the computer.
    alone = [GOOD["Compliance"][1], {**row, "ComplianceState": 1}]
    assert read({"Compliance": alone}).compliance.state == "unknown"


@pytest.mark.parametrize("path", ["Combined.ClientActiveStatus", "Combined.ClientCheckPass"])
@pytest.mark.parametrize("value", [NOTHING, None, 0, 2, "perhaps"])
def test_the_health_of_a_client_counts_by_the_setting(path: str, value: Any) -> None:
    assert read({path: value}).compliance.state == "compliant"
    assert read({path: value}, require_active=True).compliance.state == "unknown"
    assert read(require_active=True).compliance.state == "compliant"


def test_without_a_baseline_nobody_vouches() -> None:
    assert read(baselines=()).compliance.state == "unknown"


def test_what_the_site_does_not_judge_is_left_to_rules() -> None:
    rules = {"source": "rules", "rules": {"registered": True}}
    assert read({"Compliance": []}, compliance=rules).compliance.reasons == ()
    assert read({"Compliance.0.ComplianceState": 2}, compliance=rules).compliance.state == "noncompliant"
    assert read({"Combined.IsBlocked": True}, compliance=rules).compliance.reasons


def test_a_guid_is_the_same_in_both_byte_orders() -> None:
    assert read().matches(Guid(GUID))
    assert read().matches(Guid("11111111-2222-3343-8444-555555555555"))
    assert read().matches(Guid("AAAAAAAA-0000-4000-8000-000000000017"))
    assert read().matches(Guid("99999999-2222-4333-8444-555555555555")) is False


@pytest.mark.parametrize(
    "text", ["FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "00000000-0000-0000-0000-000000000000"]
)
def test_what_many_boards_share_identifies_nobody(text: str) -> None:
    device = read({"System.SMBIOSGUID": text})
    assert device.guid is None
    assert [key.value for key in device.other_identifiers] == ["aaaaaaaa-0000-4000-8000-000000000017"]


def test_baselines_are_told_by_what_stays_of_their_ids() -> None:
    assert lasting("ScopeId_1/Baseline_2/17") == "ScopeId_1/Baseline_2"
    assert lasting("ScopeId_1/Baseline_2") == "ScopeId_1/Baseline_2"
    row = {
        "CI_ID": 5,
        "CI_UniqueID": "S/B/1",
        "LocalizedDisplayName": "One",
        "IsEnabled": True,
        "IsAssigned": True,
    }
    found = read_baselines([Record({**row, "CI_ID": 9, "CI_UniqueID": "S/B/2"}), Record(row)])
    assert found == {"S/B": Baseline(number=9, name="One")}
    assert read_baselines([Record({**row, "IsAssigned": False}), Record({**row, "IsEnabled": False})]) == {}
    for name in ("IsAssigned", "IsEnabled"):
        with pytest.raises(MalformedResponseError):
            read_baselines([Record({**row, name: "perhaps"})])
