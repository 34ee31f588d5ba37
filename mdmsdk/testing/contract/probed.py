"""What a provider reads from answers of which one thing is different (see `mdmsdk.testing.probes`)."""

from __future__ import annotations

from functools import cached_property

from mdmsdk.testing.contract.base import Stand
from mdmsdk.testing.probes import Probe

__all__ = ["Probed"]


class Probed(Stand):
    """Tests on recorded answers, without a server; each plays hundreds of lookups."""

    @cached_property
    def probe(self) -> Probe:
        """Plays lookups on the answers of the class's corpus."""
        return Probe(self.corpus())

    def test_no_missing_or_senseless_member_is_a_pass(self) -> None:
        assert self.probe.members(self.absent_is_fine) == []

    def test_no_status_is_not_found(self) -> None:
        assert self.probe.refusals() == []

    def test_a_mac_address_is_the_same_in_any_spelling(self) -> None:
        assert self.probe.spellings() == []

    def test_a_check_in_is_the_same_moment_in_any_zone(self) -> None:
        assert self.probe.zones() == []

    def test_records_of_other_devices_say_nothing_about_this_one(self) -> None:
        assert self.probe.strangers() == []

    def test_reasons_of_other_devices_say_nothing_about_this_one(self) -> None:
        assert self.probe.reasons() == []
