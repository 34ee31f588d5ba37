"""What is answered as plain data: as JSON and back, and as the row of a table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from mdmsdk import (
    Answer,
    Compliance,
    ComplianceState,
    Decision,
    Device,
    Guid,
    Heartbeat,
    IncompleteListError,
    Key,
    LookupResult,
    Mac,
    MdmError,
    Outcome,
    Serial,
    ServerError,
    TokenError,
    UnsupportedOperationError,
    decide,
)
from mdmsdk import errors as all_errors
from mdmsdk.cli.output import csv_text
from mdmsdk.cli.rows import NONCOMPLIANT
from mdmsdk.errors import error_from_record, error_record
from mdmsdk.federation import Status
from mdmsdk.federation.rows import device_row
from mdmsdk.models import parse_macs

if TYPE_CHECKING:
    from collections.abc import Callable

MAC = Mac("00:1B:44:11:3A:B7")
DEVICE = Device(
    server="macs",
    provider="ise",
    name="=1+1",
    mac_addresses=parse_macs("001B44113AB7", "001B44113AB8"),
    registered=True,
    compliance=Compliance(state=ComplianceState.NONCOMPLIANT, reasons=("old", "open")),
    jailbroken=False,
    last_check_in=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    raw={"a": 1},
)


def answer(*outcomes: Outcome, device: Device | None = None, key: Key | str = MAC) -> Answer:
    return Answer(key=key, device=device, outcomes=outcomes)


def outcome(status: Status, **more: Any) -> Outcome:
    return Outcome(server="macs", provider="ise", status=status, **more)


FAILED = outcome(Status.ERROR, error=ServerError("failed", status=500, server="macs"))
COMPLIANT = DEVICE.judged(state=ComplianceState.COMPLIANT)


@pytest.mark.parametrize("dump", [lambda model: model.model_dump(), lambda model: model.model_dump_json()])
@pytest.mark.parametrize(
    ("given", "derived"),
    [
        (LookupResult(key=MAC, device=DEVICE), ("mac", True, True, "noncompliant")),
        (LookupResult(key=Guid("0"*9 + "g")), ("guid", False, True, "not_registered")),
        (LookupResult(key="nonsense", error=MdmError("no key")), (None, False, False, "no_answer")),
        (answer(outcome(Status.FOUND, device=COMPLIANT), device=COMPLIANT), ("mac", True, True, "compliant")),
        (
            answer(outcome(Status.FOUND, device=COMPLIANT), FAILED, device=COMPLIANT),
            ("mac", True, False, "no_answer"),
        ),
        (
            answer(outcome(Status.FOUND, device=COMPLIANT, judges=False), device=COMPLIANT),
            ("mac", True, False, "no_answer"),
        ),
        (
            answer(
                outcome(Status.FOUND, device=COMPLIANT, judges=False),
                outcome(Status.NOT_FOUND),
                device=COMPLIANT,
            ),
            ("mac", True, True, "unknown"),
        ),
    ],
)  # fmt: skip
def test_a_dump_says_what_it_amounts_to_and_reads_back(
    given: LookupResult | Answer, derived: tuple[str | None, bool, bool, str], dump: Callable[[Any], Any]
) -> None:
    dumped = dump(given)
    shown = dumped if isinstance(dumped, dict) else json.loads(dumped)
    assert (shown["kind"], shown["found"], shown["complete"], shown["decision"]) == derived
    kind = type(given)
    read = kind.model_validate(dumped) if isinstance(dumped, dict) else kind.model_validate_json(dumped)
    assert read.model_dump() == given.model_dump()
    assert decide(read) is given.decision is Decision(derived[3])
    assert type(read.key) is type(given.key)


def test_what_follows_from_the_rest_is_not_believed() -> None:
    forged = LookupResult(key=MAC, error=MdmError("down")).model_dump() | {
        "decision": "compliant",
        "complete": True,
        "found": True,
    }
    assert LookupResult.model_validate(forged).decision is Decision.NO_ANSWER
    with pytest.raises(ValidationError):
        LookupResult.model_validate({"key": MAC, "compliant": True})
    for lacking in ({}, {"type": "ServerError"}, {"message": "x"}, "down"):
        with pytest.raises(ValidationError):
            LookupResult.model_validate({"key": MAC, "error": lacking})


def test_no_dump_is_better_than_its_outcomes() -> None:
    given = answer(outcome(Status.FOUND, device=DEVICE), outcome(Status.NOT_FOUND), device=DEVICE)
    edited = given.model_dump(mode="json")
    edited["device"]["compliance"]["state"] = "compliant"
    with pytest.raises(ValidationError, match="better verdict than its outcomes"):
        Answer.model_validate(edited)
    passed = answer(outcome(Status.FOUND, device=COMPLIANT), device=COMPLIANT).model_dump(mode="json")
    for status in ("not_found", "not_asked", "unsupported", "error"):
        passed["outcomes"][0]["status"] = status
        with pytest.raises(ValidationError, match="does not go with"):
            Answer.model_validate(passed)


def test_keys_asked_for_before_read_back() -> None:
    before = (Guid("ID:MerakiSM:DeviceID:584342051651325000"), MAC, Serial("C02XK0AAJG5H"))
    given = Answer(key=MAC, device=None, outcomes=(outcome(Status.NOT_FOUND),), before=before)
    read = Answer.model_validate_json(given.model_dump_json())
    assert [*map(type, read.before)] == [Guid, Mac, Serial]
    assert read == given.model_copy(update={"key": read.key})


@pytest.mark.parametrize("name", all_errors.__all__)
def test_every_error_reads_back(name: str) -> None:
    kind: type[MdmError] = getattr(all_errors, name)
    error = kind("why", server="s", operation="find", request_id="r", hint="do", retryable=True)
    record = json.loads(json.dumps(error_record(error)))
    again = error_from_record(record)
    assert type(again) is kind
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_errors_keep_what_is_their_own() -> None:
    parts = (ServerError("one", status=503, retry_after=2.5, url="https://mdm.example"), MdmError("two"))
    error = IncompleteListError("broken off", collected=7, failures=parts)
    again = error_from_record(json.loads(json.dumps(error_record(error))))
    assert isinstance(again, IncompleteListError)
    assert again.collected == 7
    assert [type(one) for one in again.failures] == [ServerError, MdmError]
    assert error_record(again) == error_record(error)
    told = error_from_record(error_record(TokenError("no", step="token", vendor_code="AADSTS7000215")))
    assert vars(told)["vendor_code"] == "AADSTS7000215"


def test_an_error_of_a_plugin_becomes_a_plain_one() -> None:
    class TenantError(ServerError):
        """A vendor's own kind."""

    error = TenantError("gone", status=500)
    error.tenant = object()
    record = error_record(error)
    assert "tenant" not in record
    again = error_from_record({**record, "tenant": "t"})
    assert (type(again), again.message, again.retryable) == (MdmError, "gone", True)


def test_a_heartbeat_reads_back() -> None:
    beat = Heartbeat(server="macs", provider="ise", error=UnsupportedOperationError("no"))
    assert Heartbeat.model_validate_json(beat.model_dump_json()).model_dump() == beat.model_dump()


def test_a_device_is_a_row_of_plain_values() -> None:
    row = DEVICE.flat()
    assert tuple(row) == Device.columns()
    assert row["mac_addresses"] == "00:1B:44:11:3A:B7; 00:1B:44:11:3A:B8"
    assert row["compliance.state"] == "noncompliant"
    assert row["compliance.reasons"] == "old; open"
    assert row["last_check_in"] == DEVICE.last_check_in
    assert (row["registered"], row["jailbroken"], row["passcode_set"]) == (True, False, None)
    assert {type(value) for value in row.values()} == {str, bool, datetime, type(None)}
    assert not {"raw", "unreadable", "other_identifiers"} & row.keys()


def test_the_columns_of_the_command_line_are_the_same() -> None:
    shown = {column.title: csv_text(column.value(device_row(DEVICE))) for column in NONCOMPLIANT.csv}
    row = DEVICE.flat() | {"last_check_in": "2026-01-02T03:04:00Z"}
    assert shown == {name: csv_text(value) for name, value in row.items()}
    assert list(shown) == list(row)
