"""The contract of our own `ise` provider, over a gateway in front of each other provider."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import MdmError, RateLimitedError, UnsupportedOperationError
from mdmsdk.gateway import ise
from mdmsdk.identifiers import Guid, Hostname, Key, Username
from mdmsdk.ise import CRITERIA, IseProvider
from mdmsdk.provider import Capability
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.testing import BaseProviderContract, open_client
from mdmsdk.testing.cassettes import UNKNOWN
from mdmsdk.testing.contract import FAULTS
from mdmsdk.testing.contract.base import QUICK
from tests.gateway.behind import GatewaySimulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.models import Device
    from mdmsdk.simulator import Fleet, RunningSimulator, SimDevice
    from mdmsdk.testing import Modal

_PATIENT = {**QUICK, "timeout": 20.0, "deadline": 30.0, "list_patience": 30.0}
_ONCE = {**_PATIENT, "attempts": 1, "list_patience": 9.0}
"""For what fails behind the gateway, which says that one should come again ten seconds later: not in time."""


class OverGateway(BaseProviderContract):
    """Mixed into the contract class of a vendor's provider, which knows the fleet and the simulator's habits.

    Attributes:
        behind: the provider behind the gateway.
        own: its contract class.
    """

    behind: ClassVar[str]
    own: ClassVar[type[BaseProviderContract]]
    provider = "ise"
    paging: ClassVar = {"small_pages": True}
    wrong_login: ClassVar = {"password": "wrong-password"}
    absent_is_fine: ClassVar = {}
    excused: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # On a slow machine lists would be busy, for whole seconds; test_lists.py is about that.
        monkeypatch.setattr(ise, "_IN_A_MOMENT", 60.0)
        if Capability.INVENTORY not in load_provider(self.behind).capabilities:
            monkeypatch.setattr(IseProvider, "capabilities", frozenset())

    @pytest.fixture
    def in_no_hurry(self) -> None:
        """Nothing to do: the servers behind have no limits here."""

    def simulator(self, fleet: Fleet, **habits: Any) -> GatewaySimulator:
        return GatewaySimulator(load_simulator(self.behind)(fleet, **habits))

    @property
    def kinds(self) -> frozenset[type[Key]]:
        """What can be asked of the gateway, and of the server behind it."""
        return frozenset(CRITERIA) & load_provider(self.behind).keys

    def is_silent(self, kind: type[Key]) -> bool:
        """What the protocol has no element for."""
        return kind in {Hostname, Username}

    def state(self, kind: type[Key], device: SimDevice, running: RunningSimulator[Any]) -> str:
        """What is not proven behind the gateway is no pass, and a controller knows no third."""
        return "noncompliant" if self.own().is_silent(kind) else super().state(kind, device, running)

    @property
    def as_ise(self) -> bool:
        return self.behind != "ise"

    @property
    def keeps_place(self) -> bool:
        """The gateway has the whole list before it gives the first page."""
        return True

    def is_record_of(self, found: Device, device: SimDevice) -> bool:
        """As the vendor tells records apart; by what the protocol shows where it has no GUID."""
        if found.guid:
            return self.own().is_record_of(found, device)
        seen, said = device.last_check_in, found.last_check_in
        return BaseProviderContract.is_record_of(self, found, device) and (
            not (seen and said) or abs((seen - said).total_seconds()) < 1
        )

    def truth_of(self, found: Device, fleet: Fleet) -> int:
        """The vendor's own ids do not come through, its GUIDs do."""
        known = load_simulator(self.behind)(fleet)
        guid = Guid.parse(found.guid)
        named = [one.id for one in fleet if guid and guid == Guid.parse(known.identifiers(one).get("guid"))]
        return named[0] if len(named) == 1 else BaseProviderContract.truth_of(self, found, fleet)

    def extra_settings(self) -> dict[str, Any]:
        """A gateway's answer takes as long as all that it asks behind; faults are met in a hurry anyway."""
        return {"policy": _PATIENT}

    def is_listed(self, device: SimDevice, running: RunningSimulator[Any]) -> bool:
        return device.registered and bool(running.simulator.behind.verdict(device) == "noncompliant")

    # --- what goes wrong behind the gateway ---

    @pytest.mark.parametrize("fault_behind", ["forbidden", "login-page", "refused", "reset", "server-error"])
    def test_a_fault_behind_is_never_a_verdict(
        self, fault_behind: str, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        key = self.some_key(running, fleet)
        assert connect().lookup(key) is not None
        with running.simulator.behind.faults.during(FAULTS[fault_behind]):
            for asked in [key, *(kind(UNKNOWN[kind.kind]) for kind in self.kinds)]:
                # Each time another client: one that is told to come later asks nothing until then.
                with pytest.raises(MdmError):
                    connect(policy=_ONCE).lookup(asked)
            with pytest.raises(MdmError):
                list(connect(policy=_ONCE).noncompliant())

    @pytest.mark.parametrize("good_answers", range(4))
    def test_a_list_behind_is_complete_or_fails(
        self, good_answers: int, running: RunningSimulator[Any]
    ) -> None:
        provider = make_provider("ise", {**self.settings(running), "policy": _ONCE})
        with open_client(provider, "sync", server="contract") as client:
            complete = len(list(client.noncompliant()))
            fault = replace(FAULTS["server-error"], after=good_answers)
            with running.simulator.behind.faults.during(fault), suppress(MdmError):
                assert len(list(client.noncompliant())) == complete

    def test_what_the_server_behind_cannot_tell_is_no_answer(self, connect: Callable[..., Modal]) -> None:
        for kind in set(CRITERIA) - self.kinds:
            with pytest.raises(RateLimitedError) as caught:
                connect().lookup(kind(UNKNOWN[kind.kind]))  # one that is told to come later would wait
            assert caught.value.status == 503
        if Capability.INVENTORY not in load_provider(self.behind).capabilities:
            with pytest.raises(UnsupportedOperationError):
                list(connect().devices())


def over(own: type[BaseProviderContract], **members: Any) -> type[OverGateway]:
    """The contract of `ise` over a gateway in front of a provider, from the provider's own contract class."""
    members |= {"behind": own.provider, "own": own, "__module__": __name__}
    return type(f"TestOver{own.__name__[4:]}", (OverGateway, own), members)
