"""What decides about compliance: tags, patterns, rules; never compliant because something is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mdmsdk.client.build import checked
from mdmsdk.client.verdict import ruled, settle
from mdmsdk.errors import ConfigurationError
from mdmsdk.models import Compliance
from mdmsdk_meraki import ComplianceSettings, MerakiSettings
from mdmsdk_meraki.records import Record
from mdmsdk_meraki.tags import Tags, judge, tag_matches

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def verdict(source: dict[str, Any], fleet: tuple[str, ...] | None = None, **fields: Any) -> Any:
    """The verdict on a device of a fleet with these tags; without them, it is the only device."""
    settings, row = ComplianceSettings(**source), Record({"id": "1", "isManaged": True, **fields})
    if settings.rules:
        found = row.device(judge(settings, row))
        return settle(ruled(found, settings.rules, NOW), "s", "meraki").compliance
    tags = row.texts("autoTags") or () if fleet is None else fleet
    return judge(settings, row, Tags(settings, tags).policies)


POLICY: dict[str, Any] = {"source": "policy-tags"}
EVERY_RULE: dict[str, Any] = {
    "source": "rules",
    "rules": {
        "not_jailbroken": True,
        "passcode_set": True,
        "disk_encrypted": True,
        "max_days_since_check_in": 30,
        "forbidden_words": ["apps missing", "quarantined"],
    },
}
PASSCODE: dict[str, Any] = {"source": "rules", "rules": {"passcode_set": True}}
HEALTHY: dict[str, Any] = {
    "osName": "Android 15",
    "isRooted": False,
    "passCodeLock": True,
    "diskEncryptionEnabled": True,
    "missingAppsCount": 0,
    "quarantined": False,
    "lastConnected": int(NOW.timestamp()) - 3600,
}


def test_without_a_source_the_state_is_unknown_with_a_hint() -> None:
    found = judge(None, Record({"autoTags": ["A compliant"]}))
    assert found.state == "unknown"
    assert "setting compliance" in found.reasons[0]


@pytest.mark.parametrize(
    ("tags", "state", "source"),
    [
        (["Base violating"], "noncompliant", "Base"),
        (["base VIOLATING"], "noncompliant", "base"),
        (["Base-violating", "Other compliant"], "noncompliant", "Base"),
        (["Base violating", "Base compliant"], "noncompliant", "Base"),
        (["A violating", "B_violating"], "noncompliant", "A, B"),
        (["violating"], "noncompliant", "violating"),
        (["Base violating."], "noncompliant", "Base"),
        ([" (Base violating)\n", "Base compliant"], "noncompliant", "Base"),
        (["Base compliant."], "unknown", "policy-tags"),
        (["Base not yet compliant"], "unknown", "policy-tags"),
        (["Base no longer compliant"], "unknown", "policy-tags"),
        (["No jailbreak compliant"], "compliant", "No jailbreak"),
        (["Base compliant"], "compliant", "Base"),
        (["Base: Compliant", "iOS"], "compliant", "Base"),
        (["A.b compliant", "C compliant"], "compliant", "A.b, C"),
        (["Admin compliant"], "compliant", "Admin"),
        ([], "unknown", "policy-tags"),
        (["compliant"], "unknown", "policy-tags"),
        (["Base noncompliant"], "unknown", "policy-tags"),
        (["Base non-compliant"], "unknown", "policy-tags"),
        (["Base not compliant"], "unknown", "policy-tags"),
        (["Basenoncompliant"], "unknown", "policy-tags"),
        (["Base compliant since yesterday"], "unknown", "policy-tags"),
        (["x" * 300, "Base compliant"], "unknown", "policy-tags"),
        (["Base compliant", 7], "unknown", "policy-tags"),
        ("Base compliant", "unknown", "policy-tags"),
        (None, "unknown", "policy-tags"),
    ],
)
def test_policy_tags(tags: Any, state: str, source: str) -> None:
    found = verdict(POLICY, autoTags=tags)
    assert (found.state, found.source) == (state, source)
    assert bool(found.reasons) == (state != "compliant")


FLEET = ("iOS", "A compliant", "A violating", "B compliant", "C violating", "violating", "D not compliant")


@pytest.mark.parametrize(
    ("tags", "state"),
    [
        (["A compliant", "B compliant", "C compliant"], "compliant"),
        (["A compliant", "B compliant", "C compliant", "New compliant"], "compliant"),
        (["A compliant", "B compliant"], "unknown"),  # "C violating" was lost on the way
        (["A compliant"], "unknown"),
        (["A compliant", "B compliant", "c compliant"], "unknown"),
        (["A compliant", "B compliant", "C Compliant"], "compliant"),
        (["A compliant", "B compliant", "C compliant", "D not compliant"], "unknown"),
        (["A compliant", "B compliant", "C violating"], "noncompliant"),
        (["A compliant", "B compliant", "C compliant", "iOS", "A", "Antiques"], "compliant"),
        (["A compliant", "B compliant", "C compliant", "c violatin"], "unknown"),
        (["A compliant", "B compliant", "C compliant", " B - failed"], "unknown"),
    ],
)
def test_every_policy_that_the_fleet_knows_has_to_be_kept(tags: list[str], state: str) -> None:
    found = verdict(POLICY, FLEET, autoTags=tags)
    assert found.state == state
    assert bool(found.reasons) == (state != "compliant")


def test_the_policy_that_lacks_its_tag_is_named() -> None:
    found = verdict(POLICY, FLEET, autoTags=["A compliant"])
    assert found.reasons == ("no tag in autoTags says that B, C is kept",)


def test_where_no_policy_is_known_none_is_kept() -> None:
    assert verdict(POLICY, (), autoTags=["A compliant"]).state == "unknown"


def test_policies_that_the_settings_name_are_all_that_count() -> None:
    source = {**POLICY, "compliant": ["A compliant"]}
    assert verdict(source, FLEET, autoTags=["A compliant", "Office not compliant"]).state == "compliant"


def test_tags_of_your_own_are_no_policies() -> None:
    source = {"source": "tags", "violating": ["bad *"], "compliant": ["ok *"]}
    assert verdict(source, ("ok 1", "ok 2", "bad 3"), tags=["ok 1"]).state == "compliant"


@pytest.mark.parametrize("source", [POLICY, PASSCODE])
@pytest.mark.parametrize("value", [True, "YES", 1, "maybe", [True], {"a": 1}, 7])
def test_quarantine_speaks_against_a_device(source: dict[str, Any], value: Any) -> None:
    row = Record({**HEALTHY, "id": "1", "isManaged": True, "autoTags": ["A compliant"], "quarantined": value})
    settings = ComplianceSettings(**source)
    device = row.device(judge(settings, row, {"A"}))
    device = settle(ruled(device, settings.rules, NOW) if settings.rules else device, "s", "meraki")
    assert device.compliance.state == "unknown"
    assert any("quarantined" in reason for reason in device.compliance.reasons)


@pytest.mark.parametrize("field", ["isManaged", "hasMdm", "quarantined", "isRooted"])
@pytest.mark.parametrize("value", ["maybe", [True], {"a": 1}, 7, 1.5, [], {}])
def test_a_fact_that_cannot_be_read_leaves_no_verdict(field: str, value: Any) -> None:
    row = Record({"id": "1", "isManaged": True, "hasMdm": True, "autoTags": ["A compliant"], field: value})
    found = judge(ComplianceSettings(**POLICY), row, {"A"})
    assert found.state == "compliant"
    device = settle(row.device(found), "s", "meraki")
    assert device.compliance.state == "unknown"
    assert field in str(device.compliance.reasons)


@pytest.mark.parametrize(
    "change",
    [
        {"passCodeLock": "maybe", "loginRequired": True},
        {"passCodeLock": True, "screenLockEnabled": [True]},
        {"diskEncryptionEnabled": "maybe", "osName": "iOS 18", "hardwareEncryptionCaps": "Block level"},
        {"missingAppsCount": "0 or so"},
        {"missingAppsCount": "9" * 5000},
    ],
)
def test_what_cannot_be_read_is_not_read_elsewhere(change: dict[str, Any]) -> None:
    assert verdict(EVERY_RULE, **HEALTHY | change).state == "unknown"


def test_reasons_name_policy_and_tag() -> None:
    found = verdict(POLICY, autoTags=["Base violating"])
    assert found.reasons == ("Base is violated (tag 'Base violating')",)
    assert found.vendor_state == "Base violating"


@pytest.mark.parametrize(
    ("tags", "state"),
    [
        (["A compliant", "B compliant"], "compliant"),
        (["A compliant"], "unknown"),
        (["A compliant", "Geofence compliant"], "unknown"),
        (["A compliant", "B violating"], "noncompliant"),
        (["A compliant", "B compliant", "C violating"], "compliant"),
    ],
)
def test_patterns_for_each_policy_must_all_be_met(tags: list[str], state: str) -> None:
    source = {
        "source": "policy-tags",
        "violating": ["A violating", "B violating"],
        "compliant": ["A compliant", "B compliant"],
    }
    assert verdict(source, autoTags=tags).state == state


@pytest.mark.parametrize(
    ("tags", "state"),
    [
        (["nac-ok"], "compliant"),
        (["nac-bad", "nac-ok"], "noncompliant"),
        (["other"], "unknown"),
        ([], "unknown"),
    ],
)
def test_tags_of_your_own(tags: list[str], state: str) -> None:
    source = {"source": "tags", "violating": ["nac-bad"], "compliant": ["nac-ok"]}
    assert verdict(source, tags=tags, autoTags=["A compliant"]).state == state


def test_without_patterns_of_compliance_nothing_is_compliant() -> None:
    assert verdict({"source": "tags", "violating": ["nac-bad"]}, tags=["fine"]).state == "unknown"


@pytest.mark.parametrize(
    ("pattern", "tag", "name"),
    [
        ("* violating", "Base  -  violating", "Base"),
        ("* violating", "Baseviolating", None),
        ("policy * bad", "Policy A bad", "A"),
        ("exact", "EXACT", "EXACT"),
        ("exact", "exactly", None),
        ("a.b", "axb", None),
        ("*x", "x", "x"),
        ("*k", "Mac\u212a", None),
        ("* compliant", "A compl\u0131ant", None),
    ],
)
def test_patterns(pattern: str, tag: str, name: str | None) -> None:
    assert tag_matches(pattern, tag) == name


@pytest.mark.parametrize(
    "pattern", ["", " ", "*", "* *", "--", "^x$", "(a|b)", "[ab]", "a?", "a\\d", "*a*b*c*", "a\x00b"]
)
def test_a_malformed_pattern_is_told(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="tag pattern") as caught:
        checked(
            MerakiSettings,
            {"api_key": "x" * 40, "compliance": {"source": "tags", "violating": [pattern]}},
            "'meraki'",
        )
    assert "compliance.violating.0" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"source": "vendor"},
        {"source": "rules"},
        {**PASSCODE, "violating": ["x"]},
        {**PASSCODE, "compliant": ["x"]},
        {"source": "tags"},
        {"source": "tags", "violating": ["x"], "rules": {"passcode_set": True}},
        {"source": "policy-tags", "rules": {"max_days_since_check_in": 3}},
        {"source": "rules", "rules": {"max_days_since_check_in": 0}},
        {"source": "rules", "rules": ["not-rooted"]},
        {"source": "rules", "rules": {"passcode_set": True}, "max_contact_age": 3},
        {"source": "stars"},
    ],
)
def test_settings_that_contradict_each_other(source: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ComplianceSettings(**source)


def test_a_healthy_device_keeps_every_rule() -> None:
    found = verdict(EVERY_RULE, **HEALTHY)
    assert (found.state, found.source, found.vendor_state) == ("compliant", "rules", "in order")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"isRooted": True}, "jailbroken or rooted"),
        ({"isRooted": "true"}, "jailbroken or rooted"),
        ({"passCodeLock": False}, "passcode"),
        (
            {"osName": "macOS 15.5", "passCodeLock": None, "loginRequired": True, "screenLockEnabled": False},
            "passcode",
        ),
        ({"diskEncryptionEnabled": "0"}, "not encrypted"),
        ({"missingAppsCount": 2}, "'apps missing'"),
        ({"missingAppsCount": "1"}, "'apps missing'"),
        ({"quarantined": True}, "quarantined"),
        ({"lastConnected": NOW.timestamp() - 31 * 86400}, "30 days"),
        ({"lastConnected": (NOW.timestamp() - 31 * 86400) * 1000}, "30 days"),
    ],
)
def test_a_broken_rule_is_named(change: dict[str, Any], words: str) -> None:
    found = verdict(EVERY_RULE, **HEALTHY | change)
    assert (found.state, found.source) == ("noncompliant", "rules")
    assert all(words in reason for reason in found.reasons)


@pytest.mark.parametrize(
    "field",
    ["isRooted", "passCodeLock", "diskEncryptionEnabled", "missingAppsCount", "quarantined", "lastConnected"],
)
@pytest.mark.parametrize("value", [None, "", "perhaps", [], {}, -1])
def test_a_rule_that_cannot_be_judged_leaves_it_unknown(field: str, value: Any) -> None:
    found = verdict(EVERY_RULE, **HEALTHY | {field: value})
    assert found.state == "unknown"
    assert found.reasons


def test_encryption_of_an_iphone_is_its_hardwares() -> None:
    phone = HEALTHY | {"osName": "iOS 18.5", "diskEncryptionEnabled": None}
    assert verdict(EVERY_RULE, **phone, hardwareEncryptionCaps="Block level").state == "compliant"
    assert verdict(EVERY_RULE, **phone, hardwareEncryptionCaps="none").state == "unknown"
    assert verdict(EVERY_RULE, **phone).state == "unknown"


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()), st.just({})
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(HEALTHY, VALUES)))
def test_no_row_breaks_the_rules_engine(row: dict[str, Any]) -> None:
    found = verdict(EVERY_RULE, **row)
    assert isinstance(found, Compliance)
    if found.state == "compliant":
        assert row["isRooted"] in (False, "false", "False", "0", "no", 0) or not row["isRooted"]
        assert row["quarantined"] is not True


@given(st.lists(st.text(alphabet="ABcnoimplatvg -_", max_size=40)))
def test_a_tag_that_says_violating_is_never_overruled(tags: list[str]) -> None:
    found = verdict(POLICY, autoTags=[*tags, "Base violating", "Base compliant"])
    assert found.state == "noncompliant"


@given(st.lists(st.text()))
def test_only_a_good_word_makes_compliant(tags: list[str]) -> None:
    if verdict(POLICY, autoTags=tags).state == "compliant":
        assert any(tag.lower().endswith("compliant") for tag in tags)
