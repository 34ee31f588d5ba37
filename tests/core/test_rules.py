"""Compliance by the administrator's own rules: the engine and its settings."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mdmsdk.client import verdict
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.rules import judge, system_of
from mdmsdk.settings import ComplianceSettings, ProviderSettings, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMPLIANT, UNKNOWN = ComplianceState.COMPLIANT, ComplianceState.UNKNOWN
NONCOMPLIANT = ComplianceState.NONCOMPLIANT


def device(**facts: Any) -> Device:
    """A managed device that keeps all rules of `EVERY`, but for these facts."""
    good: dict[str, Any] = {
        "registered": True,
        "os": "macOS",
        "os_version": "14.7",
        "disk_encrypted": True,
        "passcode_set": True,
        "jailbroken": False,
        "last_check_in": NOW - timedelta(days=1),
        "compliance": Compliance(vendor_state="healthy"),
    }
    return Device(**(good | facts))


EVERY = Rules(
    minimum_os={"macOS": "14.7"},
    disk_encrypted=True,
    passcode_set=True,
    not_jailbroken=True,
    registered=True,
    max_days_since_check_in=30,
    required_words=("healthy",),
    forbidden_words=("blocked",),
)
# What breaks a rule, and what leaves it open.
BROKEN: dict[str, Any] = {
    "os_version": "14.6.9",
    "disk_encrypted": False,
    "passcode_set": False,
    "jailbroken": True,
    "registered": False,
    "last_check_in": NOW - timedelta(days=31),
    "compliance": Compliance(vendor_state="blocked"),
}
OPEN: dict[str, Any] = {
    "os": None,
    "os_version": None,
    "disk_encrypted": None,
    "passcode_set": None,
    "jailbroken": None,
    "last_check_in": None,
    "compliance": Compliance(),
}


class TestJudge:
    def test_who_keeps_every_rule_is_compliant(self) -> None:
        assert judge(EVERY, device(), NOW) == Compliance(state=COMPLIANT, source="rules")

    @pytest.mark.parametrize("fact", BROKEN)
    def test_each_broken_rule_is_a_reason(self, fact: str) -> None:
        found = judge(EVERY, device(**{fact: BROKEN[fact]}), NOW)
        assert found.state is NONCOMPLIANT
        assert found.source == "rules"
        assert len(found.reasons) == (2 if fact == "compliance" else 1)

    @pytest.mark.parametrize("fact", OPEN)
    def test_a_fact_that_is_not_known_leaves_the_verdict_open(self, fact: str) -> None:
        found = judge(EVERY, device(**{fact: OPEN[fact]}), NOW)
        assert found.state is UNKNOWN
        assert [reason.startswith("Not known: ") for reason in found.reasons] == [True]

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=7, max_size=7))
    def test_no_further_bad_fact_makes_it_milder(self, levels: list[tuple[int, int]]) -> None:
        names = sorted({*BROKEN, *OPEN} - {"os"})  # without which a version says nothing: they are one fact

        def state(chosen: Iterable[int]) -> ComplianceState:
            facts = {}
            for name, level in zip(names, chosen, strict=True):
                # Good, not known, broken; there is no unknown `registered`.
                if level and name in (worst := [{}, OPEN, BROKEN])[level]:
                    facts[name] = worst[level][name]
            assert judge(EVERY, device(**facts), NOW).state is not COMPLIANT or not facts
            return judge(EVERY, device(**facts), NOW).state

        before, after = state(min(pair) for pair in levels), state(max(pair) for pair in levels)
        assert before.severity <= after.severity

    @pytest.mark.parametrize(
        ("rules", "needs"),
        [
            ({"minimum_os": {"macOS": "14"}}, {"os", "os_version"}),
            ({"disk_encrypted": True}, {"disk_encrypted"}),
            ({"disk_encrypted": ["macOS"]}, {"disk_encrypted", "os"}),
            ({"passcode_set": True}, {"passcode_set"}),
            ({"not_jailbroken": True}, {"jailbroken"}),
            ({"max_days_since_check_in": 0.5}, {"last_check_in"}),
            ({"required_words": ["healthy"]}, {"compliance"}),
            ({"forbidden_words": ["blocked"]}, {"compliance"}),
        ],
    )
    def test_never_compliant_without_a_fact_that_a_rule_needs(
        self, rules: dict[str, Any], needs: set[str]
    ) -> None:
        own = Rules.model_validate(rules)
        fresh = {"last_check_in": NOW}
        assert judge(own, device(**fresh), NOW).state is COMPLIANT
        for fact, nothing in OPEN.items():
            found = judge(own, device(**(fresh | {fact: nothing})), NOW)
            assert found.state is (UNKNOWN if fact in needs else COMPLIANT), fact

    def test_a_device_for_which_there_is_no_rule_is_unknown(self) -> None:
        rules = Rules(minimum_os={"iOS": "17"}, disk_encrypted=("Windows",))
        found = judge(rules, device(), NOW)
        assert (found.state, found.reasons) == (UNKNOWN, ("No rule applies to this kind of device.",))

    @pytest.mark.parametrize("unreadable", [frozenset(), frozenset({"managed"})])
    def test_a_device_that_is_not_managed_is_never_compliant(self, unreadable: frozenset[str]) -> None:
        left = device(registered=False, unreadable=unreadable)
        assert judge(Rules(passcode_set=True), left, NOW).state is UNKNOWN
        state = UNKNOWN if unreadable else NONCOMPLIANT
        assert judge(Rules(registered=True), left, NOW).state is state

    def test_being_managed_may_be_enough(self) -> None:
        assert judge(Rules(registered=True), Device(registered=True), NOW).state is COMPLIANT

    @pytest.mark.parametrize(
        ("system", "model", "name"),
        [
            ("Mac OS X", None, "macOS"),
            ("OS X", None, "macOS"),
            ("macOS Sequoia", None, "macOS"),
            ("OSX", None, "macOS"),
            ("Mac", None, "macOS"),
            ("iOS", "iPhone 15", "iOS"),
            ("iPhone OS", "iPhone", "iOS"),
            ("IOS", "iPad13,1", "iPadOS"),
            ("ipados", None, "iPadOS"),
            ("Windows 11", None, "Windows"),
            ("Microsoft Windows 10 Pro", None, "Windows"),
            ("Android Enterprise", None, "Android"),
            ("AndroidForWork", None, "Android"),
            ("Chrome OS", None, "ChromeOS"),
            ("tvOS", None, "tvOS"),
            ("Apple Watch", None, "watchOS"),
            ("visionOS", None, "visionOS"),
            ("Linux 6.1", None, "Linux"),
        ],
    )
    def test_a_system_has_many_spellings(self, system: str, model: str | None, name: str) -> None:
        mac = device(os=system, model=model)
        assert judge(Rules(disk_encrypted=(name,)), mac, NOW).state is COMPLIANT
        others = {"macOS", "Android", "Windows", "Linux"} - {name}
        assert judge(Rules(disk_encrypted=tuple(others)), mac, NOW).state is UNKNOWN
        assert "No rule applies" in judge(Rules(disk_encrypted=tuple(others)), mac, NOW).reasons[0]

    @pytest.mark.parametrize(
        "system", ["Darwin", "Windows Phone", "WINDOWS_PHONE", "Ubuntu", "machine", "iosxe", "", "-"]
    )
    def test_of_another_system_nothing_is_known(self, system: str) -> None:
        for rules in (Rules(disk_encrypted=("Linux",)), Rules(minimum_os={"Windows": "10.0.1"})):
            assert judge(rules, device(os=system), NOW).reasons == ("Not known: the operating system.",)

    def test_an_ipad_counts_as_ios_where_ipados_is_not_named(self) -> None:
        pad = device(os="iOS", model="iPad Pro", os_version="17.5")
        assert judge(Rules(minimum_os={"iOS": "17.6"}), pad, NOW).state is NONCOMPLIANT
        assert judge(Rules(minimum_os={"iOS": "17.6", "iPadOS": "17"}), pad, NOW).state is COMPLIANT
        assert judge(Rules(disk_encrypted=("iOS",)), pad, NOW).state is COMPLIANT
        phone = pad.model_copy(update={"model": "iPhone 15"})
        assert judge(Rules(minimum_os={"iOS": "17.6", "iPadOS": "17"}), phone, NOW).state is NONCOMPLIANT
        hidden = pad.model_copy(update={"model": None})
        assert judge(Rules(minimum_os={"iOS": "17", "iPadOS": "17.6"}), hidden, NOW).state is NONCOMPLIANT

    @pytest.mark.parametrize("model", [None, "MK2K3LL/A", "A2377"])
    def test_what_may_be_an_ipad_keeps_the_rules_of_both(self, model: str | None) -> None:
        own = device(os="iOS", model=model, os_version="16.7")
        found = judge(Rules(minimum_os={"iOS": "17.6", "iPadOS": "15"}), own, NOW)
        assert (found.state, found.reasons) == (UNKNOWN, ("Not known: whether the device is an iPad.",))
        assert judge(Rules(minimum_os={"iPadOS": "17"}), own, NOW).state is NONCOMPLIANT
        assert judge(Rules(minimum_os={"iOS": "16.7", "iPadOS": "15"}), own, NOW).state is COMPLIANT
        named = own.model_copy(update={"model": "Apple iPad Pro", "disk_encrypted": False})
        assert judge(Rules(minimum_os={"iOS": "17.6", "iPadOS": "15"}), named, NOW).state is COMPLIANT
        assert judge(Rules(disk_encrypted=("iPadOS",)), named, NOW).state is NONCOMPLIANT

    @pytest.mark.parametrize(
        ("system", "text", "minimum", "state"),
        [
            ("macOS", "14.7 (23H124)", "14.7", COMPLIANT),
            ("macOS", "14.10", "14.9", COMPLIANT),
            ("macOS", "14", "14.0.0", COMPLIANT),
            ("macOS", "14", "14.1", NONCOMPLIANT),
            ("macOS", "9.9", "10.0", NONCOMPLIANT),
            ("iOS", "iOS 17.5.1 (a)", "17.5", COMPLIANT),
            ("iOS", "iPadOS 17.5", "17.5", COMPLIANT),
            ("iOS", "Android 14", "13", UNKNOWN),
            ("macOS", "Darwin 22.1.0", "14.7", UNKNOWN),
            ("Android", "Android 14", "13", COMPLIANT),
            ("Android", "Version 14.2", "14.3", NONCOMPLIANT),
            ("Android", "Build 19045", "13", UNKNOWN),
            ("Android", "20H2", "13", UNKNOWN),
            ("Android", "14b2", "13", UNKNOWN),
            ("Android", "14.", "13", UNKNOWN),
            ("Android", "٤٤", "13", UNKNOWN),
            ("Android", "9" * 5000, "13", UNKNOWN),
            ("Android", " " * 100_000 + "14", "13", COMPLIANT),
            ("Android", "", "13", UNKNOWN),
            ("Windows", "10.0.19045.4780", "10.0.19045", COMPLIANT),
            ("Windows", "10.0.19044.9999", "10.0.19045", NONCOMPLIANT),
            ("Windows", "10 22H2", "10.0.19045", UNKNOWN),
            ("Windows", "11", "10.0.19045", UNKNOWN),
            ("Windows", "Windows 11", "10.0.19045", UNKNOWN),
            ("Windows", "6.1", "10.0.19045", NONCOMPLIANT),
        ],
    )
    def test_versions_are_read_by_their_numbers(
        self, system: str, text: str, minimum: str, state: ComplianceState
    ) -> None:
        own = device(os=system, model="X", os_version=text)
        found = judge(Rules(minimum_os={system: minimum}), own, NOW)
        assert found.state is state
        assert "9" * 100 not in str(found.reasons)

    @given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=10))
    def test_no_text_of_a_vendor_breaks_it(self, system: str, version: str, model: str) -> None:
        own = device(os=system, os_version=version, model=model)
        judge(Rules(minimum_os={"macOS": "14"}, passcode_set=("iOS",)), own, NOW)

    @pytest.mark.parametrize(
        ("days", "state"),
        [(-2, UNKNOWN), (-0.5, COMPLIANT), (0, COMPLIANT), (29.9, COMPLIANT), (30.1, NONCOMPLIANT)],
    )
    def test_a_check_in_counts_by_the_clock_that_is_given(self, days: float, state: ComplianceState) -> None:
        own = device(last_check_in=NOW - timedelta(days=days))
        assert judge(Rules(max_days_since_check_in=30), own, NOW).state is state
        assert judge(Rules(max_days_since_check_in=30), own, None).state is UNKNOWN

    @pytest.mark.parametrize(
        ("said", "required", "forbidden"),
        [
            ("compliant", True, True),
            ("Compliant, quarantined", True, True),
            ("not compliant", False, True),
            ("noncompliant", False, True),
            ("compliant (Blocked by admin)", False, False),
            ("compliant, BLOCKED_BY_POLICY", True, False),
            ("compliant, unblocked", True, True),
        ],
    )
    def test_words_count_on_the_safe_side(self, said: str, required: bool, forbidden: bool) -> None:
        own = device(compliance=Compliance(vendor_state=said))
        assert (judge(Rules(required_words=("compliant",)), own, NOW).state is COMPLIANT) == required
        assert (judge(Rules(forbidden_words=("Blocked",)), own, NOW).state is COMPLIANT) == forbidden

    @pytest.mark.parametrize(
        "said", ["ger\u00e4t  gesperrt", "Gera\u0308t\u00a0gesperrt", "GER\u00c4T GESPERRT!"]
    )
    def test_a_forbidden_word_counts_in_any_spelling(self, said: str) -> None:
        own = device(compliance=Compliance(vendor_state=said))
        assert judge(Rules(forbidden_words=("GER\u00c4T gesperrt",)), own, NOW).state is NONCOMPLIANT

    def test_it_is_cheap(self) -> None:
        own = device()
        judge(EVERY, own, NOW)
        best = 1.0
        for _ in range(20):
            began = time.process_time()
            for _ in range(100):
                judge(EVERY, own, NOW)
            best = min(best, time.process_time() - began)
        assert best / 100 < 100e-6, "20 us on an idle machine"


class TestSettings:
    @pytest.mark.parametrize(
        ("rules", "word"),
        [
            ({}, "at least one rule"),
            ({"disk_encrypted": False}, "at least one rule"),
            ({"minimum_os": {}}, "at least one rule"),
            ({"minimum_os": {"macOS": 14.7}}, "string"),
            ({"minimum_os": {"macOS": "14.x"}}, "pattern"),
            ({"minimum_os": {"Mac": "14"}}, "the systems are"),
            ({"minimum_os": {"macOS": "14", "MACOS": "13"}}, "twice"),
            ({"minimum_os": {"Windows": "11"}}, "builds"),
            ({"minimum_os": {"Windows": "10.0"}}, "builds"),
            ({"disk_encrypted": "macOS"}, "a list of systems"),
            ({"disk_encrypted": []}, "a list of systems"),
            ({"disk_encrypted": ["Mac"]}, "the systems are"),
            ({"passcode_set": [True]}, "the systems are"),
            ({"max_days_since_check_in": 0}, "greater than 0"),
            ({"max_days_since_check_in": float("nan")}, "less than"),
            ({"max_days_since_check_in": float("inf")}, "less than"),
            ({"required_words": [" "]}, "at least 1"),
            ({"passcode": True}, "not permitted"),
        ],
    )
    def test_wrong_rules_are_refused(self, rules: dict[str, Any], word: str) -> None:
        with pytest.raises(ValidationError, match=word):
            Rules.model_validate(rules)

    def test_systems_are_taken_in_any_case(self) -> None:
        rules = Rules.model_validate({"minimum_os": {"macos": "14"}, "disk_encrypted": ["WINDOWS"]})
        assert rules.minimum_os == {"macOS": "14"}
        assert rules.disk_encrypted == ("Windows",)
        assert Rules.model_validate(rules.model_dump(mode="json")) == rules

    @pytest.mark.parametrize(
        "compliance", [{"source": "rules"}, {"rules": {"passcode_set": True}}, {"source": "smart-group"}]
    )
    def test_source_and_rules_belong_together(self, compliance: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            ComplianceSettings.model_validate(compliance)

    def test_a_plugin_adds_its_own_sources(self) -> None:
        class More(ComplianceSettings):
            source: Literal["group", "rules"]
            group: str | None = None

        with pytest.raises(ValidationError):
            More.model_validate({"source": "vendor"})
        with pytest.raises(ValidationError):
            More.model_validate({})
        with pytest.raises(ValidationError, match="belong together"):
            More.model_validate({"source": "rules"})
        rules = {"source": "rules", "rules": {"registered": True}}

        class Own(ProviderSettings):
            compliance: More | None = None

        settings = Own.model_validate({"base_url": "https://a.example", "compliance": rules})
        assert verdict.rules_of(settings) == Rules(registered=True)
        assert verdict.rules_of(Own(base_url="https://a.example", compliance=More(source="group"))) is None
        assert verdict.rules_of(ProviderSettings(base_url="https://a.example")) is None


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("iOS 17.5", "iOS"),
        ("Mac OS X 10.15.7", "macOS"),
        (" windows 11 Pro", "Windows"),
        ("Windows Phone 8", None),
        ("iOSish", None),
        ("", None),
        (None, None),
    ],
)
def test_the_system_that_a_text_names(text: str | None, system: str | None) -> None:
    assert system_of(text) == system
