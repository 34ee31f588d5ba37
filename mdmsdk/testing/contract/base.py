"""What the tests of the contract suite stand on: what a plugin states, fixtures, and helpers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import (
    MdmError,
)
from mdmsdk.identifiers import Hostname, Key, Mac, Username
from mdmsdk.ise import IseDialect
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.simulator.fleet import Fleet, SimDevice
from mdmsdk.simulator.server import RunningSimulator, serve
from mdmsdk.testing.fuzz import Corpus
from mdmsdk.testing.modes import Modal, open_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mdmsdk.models import Device
    from mdmsdk.provider import MdmProvider
    from mdmsdk.simulator.base import Simulator

__all__ = ["HASTY", "QUICK", "SAMPLES", "Stand"]

SAMPLES = 8
QUICK: dict[str, float] = {
    "timeout": 5.0,
    "deadline": 10.0,
    "list_patience": 10.0,
    "attempts": 2,
    "max_wait": 0.2,
    "max_body": 4_000_000,
    "breaker_failures": 0,
    "max_pages": 300,
}
"""A policy for tests: no wait is long, and one test's failures do not open the breaker for the next step."""

HASTY: dict[str, float] = {"timeout": 0.4, "deadline": 1.5, "list_patience": 1.5, "attempts": 1}
"""For answers that will not come in time anyway."""


class Stand:
    """What `BaseProviderContract` has beside its tests; its attributes are told there."""

    provider: ClassVar[str]
    habits: ClassVar[Mapping[str, Mapping[str, Any]]] = {"usual": {}}
    paging: ClassVar[Mapping[str, Any]] = {}
    wrong_login: ClassVar[Mapping[str, Any]] = {"password": "wrong-password"}
    excused: ClassVar[Mapping[str, str]] = {}
    absent_is_fine: ClassVar[Mapping[str, str]] = {}
    fleet_size: ClassVar[int] = 60
    silent: ClassVar[frozenset[str]] = frozenset()
    mutations: ClassVar[int] = 200
    cassettes: ClassVar[Path | None] = None

    # --- what the tests stand on; a plugin may override these ---

    def extra_settings(self) -> dict[str, Any]:
        """Settings beside those that the simulator gives."""
        return {}

    def simulator(self, fleet: Fleet, **habits: Any) -> Simulator[Any]:
        """What answers the provider; by default the simulator of the same name."""
        made: Simulator[Any] = load_simulator(self.provider)(fleet, **habits)
        return made

    @property
    def kinds(self) -> frozenset[type[Key]]:
        """The kinds of keys that this server can be asked for."""
        return load_provider(self.provider).keys

    @property
    def as_ise(self) -> bool:
        """Whether `ise` itself shows what core does about this provider's protocol."""
        return self.provider != "ise" and issubclass(load_provider(self.provider), IseDialect)

    @property
    def keeps_place(self) -> bool:
        """Whether it is known what the next page begins with when devices of earlier ones left."""
        return not issubclass(load_provider(self.provider), IseDialect)

    def state(self, kind: type[Key], device: SimDevice, running: RunningSimulator[Any]) -> str:
        """The compliance state that a lookup by a kind of key has to give."""
        state: str = running.simulator.verdict(device)
        return "unknown" if self.is_silent(kind) and state != "noncompliant" else state

    def is_listed(self, device: SimDevice, running: RunningSimulator[Any]) -> bool:
        """Whether a record stands in the noncompliant list."""
        return device.registered and bool(running.simulator.verdict(device) == "noncompliant")

    def key(self, kind: type[Key], device: SimDevice, running: RunningSimulator[Any]) -> Key | None:
        """The key of a kind by which the server knows a record; None where it has none."""
        value = running.simulator.identifiers(device).get(kind.kind)
        return kind(value) if value else None

    def alone(self, device: SimDevice, key: Key, running: RunningSimulator[Any]) -> bool:
        """Whether no other record of the fleet has this key, so that the answer is about this one."""
        kept: dict[Any, Counter[Key | None]] = vars(self).setdefault("_shared", {})
        place = running, type(key)
        if place not in kept:
            kept[place] = Counter(self.key(type(key), other, running) for other in running.simulator.fleet)
        return kept[place][key] == 1

    def is_record_of(self, found: Device, device: SimDevice) -> bool:
        """Whether an answer is about a record of the fleet; by default anything that only one device has."""
        macs = {Mac(mac) for mac in device.mac_addresses}
        return (
            found.serial_number == device.serial_number
            or found.guid == device.guid
            or found.id == str(device.id)
            or bool(macs & set(found.mac_addresses))
        )

    def is_silent(self, kind: type[Key]) -> bool:
        """Whether answers to this kind of key do not show it."""
        ise = issubclass(load_provider(self.provider), IseDialect)
        return kind.kind in self.silent or (ise and kind in {Hostname, Username})

    _corpus: Corpus

    def corpus(self) -> Corpus:
        """Good answers of the simulator, recorded once for the class; tests play lookups on them."""
        if "_corpus" not in vars(type(self)):
            corpus = Corpus(
                self.provider, habits=self.usual, simulator=self.simulator, **self.extra_settings()
            )
            setattr(type(self), "_corpus", corpus)  # noqa: B010 - kept for all tests of the class
        return self._corpus

    @property
    def usual(self) -> dict[str, Any]:
        """The first of the sets of habits."""
        return dict(next(iter(self.habits.values()), {}))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test once for each fault or set of habits that it meets; subclasses say which."""

    # --- fixtures ---

    @pytest.fixture(autouse=True)
    def _expectation(self, request: pytest.FixtureRequest) -> None:
        if reason := self.excused.get(request.node.originalname):
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    @pytest.fixture
    def habit(self) -> str:
        """The name of a set of habits: the first, but for the tests that run with each."""
        return next(iter(self.habits), "")

    @pytest.fixture(params=["sync", "asyncio"])
    def mode(self, request: pytest.FixtureRequest) -> str:
        """Both clients."""
        return str(request.param)

    @pytest.fixture
    def fleet(self) -> Fleet:
        """The devices that there are."""
        return Fleet.generate(self.fleet_size, seed=7)

    @pytest.fixture
    def running(self, fleet: Fleet, habit: str) -> Iterator[RunningSimulator[Any]]:
        """A server of the vendor's API."""
        with serve(self.simulator(fleet, **self.habits.get(habit, {}))) as running:
            yield running

    @pytest.fixture
    def connect(self, running: RunningSimulator[Any], mode: str) -> Iterator[Callable[..., Modal]]:
        """Opens clients of the running simulator."""
        opened: list[Modal] = []

        def connect(**changes: Any) -> Modal:
            settings = {**self.settings(running), **changes}
            opened.append(open_client(make_provider(self.provider, settings), mode, server="contract"))
            return opened[-1]

        yield connect
        for client in opened:
            client.close()

    def made(self, running: RunningSimulator[Any]) -> MdmProvider:
        """A provider for a running simulator."""
        return make_provider(self.provider, self.settings(running))

    def settings(self, running: RunningSimulator[Any]) -> dict[str, Any]:
        """All settings for a running simulator."""
        settings = {"policy": QUICK, **running.settings, **self.extra_settings()}
        settings.pop("provider", None)
        return settings

    def truth_of(self, found: Device, fleet: Fleet) -> int:
        """The record of the fleet that an answer is about; the most telling identifier decides."""
        for tell in (
            lambda device: found.guid is not None and found.guid == device.guid,
            lambda device: found.id is not None and found.id == str(device.id),
            lambda device: self.is_record_of(found, device),
        ):
            records = [device for device in fleet if tell(device)]
            if len(records) == 1:
                return records[0].id
        raise AssertionError(f"no single record of the fleet is {found!r}")

    def some_key(self, running: RunningSimulator[Any], fleet: Fleet) -> Key:
        """A key that the server knows."""
        for kind in sorted(self.kinds, key=lambda kind: kind.kind != "mac"):
            for device in fleet:
                if (key := self.key(kind, device, running)) and device.registered:
                    return key
        raise AssertionError("the fleet has no device that the provider can look up")

    @staticmethod
    def attempt(call: Callable[..., Device | None], *args: Any) -> Device | None:
        """What a call gives; None where it fails with an error of ours."""
        try:
            return call(*args)
        except MdmError:
            return None
