"""The contract suite: what every provider must do, as tests that a plugin inherits.

A plugin's whole test file may be::

    from mdmsdk.testing import BaseProviderContract

    class TestAcme(BaseProviderContract):
        provider = "acme"

Each test runs in sync and in async, against the plugin's simulator, with faults injected, and against its
cassettes. A capability that the provider lacks is tested for a clean refusal.
"""

from __future__ import annotations

import logging
import zlib
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import pytest
from pydantic import BaseModel

from mdmsdk.client.build import kinds_of, make_provider
from mdmsdk.errors import (
    AuthenticationError,
    IncompleteListError,
    MdmError,
    PluginError,
    TokenError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import KEY_KINDS, Hostname, Key, Mac, Username
from mdmsdk.ise import IseDialect
from mdmsdk.models import ComplianceState, Device, ServerInfo
from mdmsdk.provider import Capability, Limits, MdmProvider
from mdmsdk.registry import load_provider, load_simulator
from mdmsdk.settings import ComplianceSettings, ProviderSettings
from mdmsdk.simulator.faults import Fault
from mdmsdk.simulator.fleet import Fleet, SimDevice
from mdmsdk.simulator.server import RunningSimulator, serve
from mdmsdk.testing.cassettes import UNKNOWN, load_operations, perform, replaying
from mdmsdk.testing.fuzz import Corpus, fuzz
from mdmsdk.testing.matrix import BREAKS
from mdmsdk.testing.matrix import run as run_matrix
from mdmsdk.testing.modes import Modal, open_client
from mdmsdk.testing.secrets import secret_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FAULTS", "BaseProviderContract"]

_SAMPLES = 8
_SHARE = 8
QUICK = {
    "timeout": 1.0,
    "deadline": 3.0,
    "list_patience": 3.0,
    "attempts": 2,
    "max_wait": 0.2,
    "max_body": 4_000_000,
    "breaker_failures": 0,
}
"""A policy for tests: faults show soon, and one test's failures do not open the breaker for the next step."""

HASTY = {"timeout": 0.4, "deadline": 1.5, "list_patience": 1.5, "attempts": 1}
"""For answers that will not come in time anyway."""

FAULTS: dict[str, Fault] = {
    "server-error": Fault("status", status=500),
    "gateway-html": Fault("status", status=502, body_format="html"),
    "busy": Fault("status", status=503, retry_after=3600),
    "throttled": Fault("status", status=429, retry_after=3600),
    "refused": Fault("status", status=401),
    "forbidden": Fault("status", status=403),
    "wrong-address": Fault("status", status=404, body_format="html"),
    "login-page": Fault("login_page"),
    "empty": Fault("empty"),
    "nonsense": Fault("body", body="<<{]", content_type="application/octet-stream"),
    "truncated": Fault("truncated", share=0.5),
    "reset": Fault("reset"),
    "hang": Fault("hang"),
    "drip": Fault("drip", seconds=0.3),
    "endless": Fault("endless"),
    "gzip-bomb": Fault("gzip_bomb", size=1 << 28),
    "redirect": Fault("redirect", location="https://elsewhere.example/"),
}
"""What may go wrong with any HTTP server; none of it is ever a verdict."""


_LIST_FAULTS = frozenset({"server-error", "login-page", "truncated", "reset", "empty", "forbidden"})
_DIALECT_FAULTS = frozenset({"server-error", "login-page", "refused", "forbidden", "wrong-address", "empty"})


class BaseProviderContract:
    """Subclass it as ``Test<Vendor>`` and set `provider`.

    Attributes:
        provider: the entry-point name.
        habits: switches of the simulator that all tests need.
        paging: switches that make the simulator's pages small, so that lists take several.
        wrong_login: settings that make the login fail.
        fleet_size: how many devices the simulator has.
        silent: kinds of keys that the server's answers do not show, so that such a lookup is never a pass;
            for dialects of the ISE protocol, host and user name need not be named.
        mutations: how many damaged answers to try (see `mdmsdk.testing.fuzz`).
        cassettes: the folder of the provider's cassettes; default: ``cassettes/<provider>`` in the
            working directory.
    """

    provider: ClassVar[str]
    habits: ClassVar[dict[str, Any]] = {}
    paging: ClassVar[dict[str, Any]] = {}
    wrong_login: ClassVar[dict[str, Any]] = {"password": "wrong-password"}
    fleet_size: ClassVar[int] = 60
    silent: ClassVar[frozenset[str]] = frozenset()
    mutations: ClassVar[int] = 200
    cassettes: ClassVar[Path | None] = None

    # --- what the tests stand on; a plugin may override these ---

    def extra_settings(self) -> dict[str, Any]:
        """Settings beside those that the simulator gives."""
        return {}

    def key(self, kind: type[Key], device: SimDevice, running: RunningSimulator[Any]) -> Key | None:
        """The key of a kind by which the server knows a record; None where it has none."""
        value = running.simulator.identifiers(device).get(kind.kind)
        return kind(value) if value else None

    def alone(self, device: SimDevice, key: Key, running: RunningSimulator[Any]) -> bool:
        """Whether no other record of the fleet has this key, so that the answer is about this one."""
        return sum(self.key(type(key), other, running) == key for other in running.simulator.fleet) == 1

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

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run the tests of faults once for each."""
        # What core does for every dialect of the ISE protocol is tested with `ise` itself.
        ise = issubclass(load_provider(self.provider), IseDialect) and self.provider != "ise"
        faults = {"fault": sorted(_DIALECT_FAULTS if ise else FAULTS)}
        faults["list_fault"] = sorted(_DIALECT_FAULTS & _LIST_FAULTS if ise else _LIST_FAULTS)
        for name in faults.keys() & set(metafunc.fixturenames):
            metafunc.parametrize(name, faults[name])

    # --- fixtures ---

    @pytest.fixture(params=["sync", "asyncio"])
    def mode(self, request: pytest.FixtureRequest) -> str:
        """Both clients."""
        return str(request.param)

    @pytest.fixture
    def fleet(self) -> Fleet:
        """The devices that there are."""
        return Fleet.generate(self.fleet_size, seed=7)

    @pytest.fixture
    def running(self, fleet: Fleet) -> Iterator[RunningSimulator[Any]]:
        """A server of the vendor's API."""
        with serve(load_simulator(self.provider)(fleet, **self.habits)) as running:
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

    def settings(self, running: RunningSimulator[Any]) -> dict[str, Any]:
        """All settings for a running simulator."""
        settings = {"policy": QUICK, **running.settings, **self.extra_settings()}
        settings.pop("provider", None)
        return settings

    # --- what it declares ---

    def test_declares_what_it_is(self) -> None:
        kind = load_provider(self.provider)
        assert kind.name == self.provider
        assert kind.vendor
        assert kind.keys
        assert kind.keys <= set(KEY_KINDS.values())
        assert kind.capabilities <= set(Capability)
        assert isinstance(kind.limits, Limits)
        assert issubclass(kind.settings_type, ProviderSettings)

    def test_constructor_keeps_values_and_does_nothing_else(self, running: RunningSimulator[Any]) -> None:
        provider = make_provider(self.provider, self.settings(running))
        assert len(running.simulator.requests) == 0
        assert isinstance(provider, MdmProvider)

    def test_keeps_nothing_between_calls(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        before = _state(client.provider)
        client.lookup(self.some_key(running, fleet))
        list(client.lookup_many([self.some_key(running, fleet), "not a key at all"]))
        list(client.noncompliant())
        if Capability.INVENTORY in client.provider.capabilities:
            list(client.devices())
        assert _state(client.provider) == before, "what a later call needs goes into Description or Token"

    def test_settings_do_not_show_their_secrets(self, running: RunningSimulator[Any]) -> None:
        settings = make_provider(self.provider, self.settings(running)).settings
        for secret in secret_values(settings):
            assert secret not in repr(settings)
            assert secret not in settings.model_dump_json()

    # --- what it answers ---

    def test_heartbeat_says_what_answers(self, connect: Callable[..., Modal]) -> None:
        info = connect().heartbeat()
        assert isinstance(info, ServerInfo)
        assert (info.server, info.provider) == ("contract", self.provider)
        assert info.vendor

    def test_finds_each_device_by_each_key(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        for kind in sorted(load_provider(self.provider).keys, key=lambda kind: kind.kind):
            tried = 0
            for device in fleet:
                key = self.key(kind, device, running)
                if key is None or tried == _SAMPLES or not self.alone(device, key, running):
                    continue
                tried += 1
                found = client.lookup(key)
                assert found is not None, f"{key!r} of record {device.id} was not found"
                assert self.is_record_of(found, device)
                assert found.registered == device.registered
                state = running.simulator.verdict(device)
                if self.is_silent(kind):
                    assert found.matches(key) is None
                    assert found.compliance.state == (state if state == "noncompliant" else "unknown")
                else:
                    assert found.compliance.state == state
            assert tried, f"the fleet has no device with a {kind.kind} of its own"

    def test_several_records_are_judged_by_the_strictest(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        severity = ["compliant", "grace", "unknown", "noncompliant"]
        for device in fleet:
            key = self.key(Mac, device, running) if Mac in load_provider(self.provider).keys else None
            if key is None or self.alone(device, key, running):
                continue
            records = [other for other in fleet if self.key(Mac, other, running) == key and other.registered]
            found = client.lookup(key)
            if records and found:
                worst = max((running.simulator.verdict(record) for record in records), key=severity.index)
                assert severity.index(found.compliance.state) >= severity.index(worst)

    def test_unknown_devices_are_none_and_no_error(self, connect: Callable[..., Modal]) -> None:
        client = connect()
        for kind in load_provider(self.provider).keys:
            key = kind(UNKNOWN[kind.kind])
            assert client.lookup(key) is None
            assert client.find(key) == []

    def test_other_keys_are_refused_before_any_request(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any]
    ) -> None:
        client = connect()
        for kind in set(KEY_KINDS.values()) - load_provider(self.provider).keys:
            with pytest.raises(UnsupportedOperationError) as caught:
                client.lookup(kind(UNKNOWN[kind.kind]))
            assert kind.kind in str(caught.value)
        assert len(running.simulator.requests) == 0

    def test_many_lookups_answer_in_order(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        kind = min(
            load_provider(self.provider).keys & {Mac, *KEY_KINDS.values()},
            key=lambda kind: kind.kind != "mac",
        )
        known = [key for device in fleet if (key := self.key(kind, device, running))][:20]
        keys: list[Key | str] = [*known, kind(UNKNOWN[kind.kind]), "not a key at all", known[0]]
        results = list(client.lookup_many(keys))
        assert [result.key for result in results] == keys
        assert all(result.device and not result.error for result in (*results[: len(known)], results[-1]))
        assert (results[-3].device, results[-3].error) == (None, None)
        assert isinstance(results[-2].error, MdmError)

    def test_noncompliant_list_is_the_truth(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        expected = {
            device.id
            for device in fleet
            if device.registered and running.simulator.verdict(device) == "noncompliant"
        }
        for habits in ({}, self.paging):
            running.simulator.behave(**habits)
            listed = list(connect().noncompliant())
            assert {self.truth_of(found, fleet) for found in listed} == expected
            assert len(listed) == len(expected)
            assert all(found.compliance.state is ComplianceState.NONCOMPLIANT for found in listed)
            assert all(found.provider == self.provider and found.server == "contract" for found in listed)

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

    def test_inventory_is_the_whole_fleet_or_refused(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        if Capability.INVENTORY in client.provider.capabilities:
            assert {self.truth_of(found, fleet) for found in client.devices()} == {
                device.id for device in fleet
            }
        else:
            with pytest.raises(UnsupportedOperationError):
                list(client.devices())
            assert len(running.simulator.requests) == 0

    def test_reasons_are_given_or_refused(self, connect: Callable[..., Modal]) -> None:
        client = connect()
        device = next(iter(client.noncompliant()))
        if Capability.REASONS in client.provider.capabilities:
            assert client.reasons(device).compliance.reasons
        else:
            with pytest.raises(UnsupportedOperationError):
                client.reasons(device)

    # --- what it must never do ---

    def test_wrong_login_is_told_and_not_repeated(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect(**self.wrong_login)
        key = self.some_key(running, fleet)
        for _ in range(3):
            with pytest.raises((AuthenticationError, TokenError)) as caught:
                client.lookup(key)
            assert caught.value.hint
            assert caught.value.server == "contract"
        assert sum(request.has_credentials for request in running.simulator.requests) <= 2

    def some_key(self, running: RunningSimulator[Any], fleet: Fleet) -> Key:
        """A key that the server knows."""
        for kind in sorted(load_provider(self.provider).keys, key=lambda kind: kind.kind != "mac"):
            for device in fleet:
                if (key := self.key(kind, device, running)) and device.registered:
                    return key
        raise AssertionError("the fleet has no device that the provider can look up")

    def test_a_fault_is_never_a_verdict(
        self,
        fault: str,
        connect: Callable[..., Modal],
        running: RunningSimulator[Any],
        fleet: Fleet,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG, logger="mdmsdk")
        key = self.some_key(running, fleet)
        secrets = secret_values(connect().provider.settings)
        cold, warm = connect(), connect()
        assert warm.lookup(key) is not None
        with running.simulator.faults.during(FAULTS[fault]):
            for client in (cold.with_policy(**HASTY), warm.with_policy(**HASTY)):
                for call in (client.heartbeat, lambda client=client: client.lookup(key)):
                    with pytest.raises(MdmError) as caught:
                        call()
                    shown = "".join(
                        map(str, (caught.value, repr(caught.value), caught.value.hint, caplog.text))
                    )
                    assert not any(secret in shown for secret in secrets)
                    assert caught.value.server == "contract"
                    assert caught.value.hint
                    assert not isinstance(caught.value, PluginError)

    def test_a_damaged_answer_is_never_a_pass(self) -> None:
        corpus = Corpus(self.provider, habits=self.habits, **self.extra_settings())
        figures = fuzz(corpus, self.mutations, clients=self.mutations // 10)
        assert corpus.asked
        assert figures.clean, [*figures.passes, *figures.escaped, *figures.hangs]

    def test_no_fault_of_the_matrix_is_a_verdict(self) -> None:
        corpus = Corpus(self.provider, habits=self.habits, **self.extra_settings())
        # What a plugin's own reading has to notice, and of the others a part, another one for each provider;
        # `python -m mdmsdk.testing.matrix` runs all.
        first = zlib.crc32(self.provider.encode()) % _SHARE
        names = {name for name, fault in BREAKS.items() if fault.group == "semantics"}
        assert run_matrix(corpus, sorted(names.union(sorted(BREAKS)[first::_SHARE]))).wrong == []

    def test_an_answer_about_another_device_is_never_a_pass(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        client.heartbeat()
        for kind in sorted(load_provider(self.provider).keys, key=lambda kind: kind.kind):
            known = {
                key: running.simulator.verdict(device)
                for device in fleet
                if device.registered
                and (key := self.key(kind, device, running))
                and self.alone(device, key, running)
            }
            first = next(key for key, state in known.items() if state == "compliant")
            for other in (key for key, state in list(known.items())[:_SAMPLES] if state == "noncompliant"):
                # What the server said last, to every question: a cache or a mixed-up connection does that.
                with running.simulator.faults.during(Fault("replay")):
                    seen = self.attempt(client.lookup, first), self.attempt(client.lookup, other)
                found = seen[1]
                assert found is None or found.compliance.state != "compliant", f"{other!r} after {first!r}"

    def test_rules_excuse_nothing_and_prove_nothing(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        field = load_provider(self.provider).settings_type.model_fields["compliance"]
        kinds = [kind for kind in kinds_of(field.annotation) if issubclass(kind, ComplianceSettings)]
        if not kinds:
            return  # a provider whose settings have no rules of core
        client = connect(compliance={"source": "rules", "rules": {"registered": True}})
        kind = min(client.provider.keys, key=lambda kind: kind.kind)
        # A vendor without a verdict of its own has none to excuse.
        judges = "vendor" in get_args(kinds[0].model_fields["source"].annotation)
        bad = [device for device in fleet if judges and running.simulator.verdict(device) == "noncompliant"]
        left = [device for device in fleet if not device.registered]
        for device in (*bad[: _SAMPLES // 2], *left[: _SAMPLES // 2]):
            key = self.key(kind, device, running)
            if key and self.alone(device, key, running) and (found := client.lookup(key)):
                assert found.compliance.state is not ComplianceState.COMPLIANT
                assert found.compliance.state is ComplianceState.NONCOMPLIANT or device not in bad
        if Capability.INVENTORY in client.provider.capabilities:
            assert {self.truth_of(found, fleet) for found in client.noncompliant()} == {
                device.id for device in bad if device.registered
            }
        else:
            with pytest.raises(UnsupportedOperationError):
                list(client.noncompliant())

    @staticmethod
    def attempt(call: Callable[..., Device | None], *args: Any) -> Device | None:
        """What a call gives; None where it fails with an error of ours."""
        try:
            return call(*args)
        except MdmError:
            return None

    def test_a_list_is_complete_or_fails(
        self, list_fault: str, connect: Callable[..., Modal], running: RunningSimulator[Any]
    ) -> None:
        running.simulator.behave(**self.paging)
        complete = len(list(connect().noncompliant()))
        for good_answers in range(1, 6):
            client = connect()
            client.heartbeat()
            fault = FAULTS[list_fault]
            late = Fault(**{**_fields(fault), "after": good_answers})
            listed = []
            with running.simulator.faults.during(late):
                failure = None
                try:
                    for device in client.noncompliant():
                        listed.append(device)  # noqa: PERF402 - what came before a failure counts
                except MdmError as error:
                    failure = error
            if failure is None:
                assert len(listed) == complete
            elif listed:
                assert isinstance(failure, IncompleteListError)
                assert failure.collected == len(listed)

    # --- what was recorded ---

    def test_cassettes_replay(self, mode: str) -> None:
        folder = self.cassettes or Path("cassettes") / self.provider
        settings, operations = load_operations(folder)
        assert {operation.call for operation in operations} >= {"heartbeat", "find", "noncompliant"}
        for operation in operations:
            provider = make_provider(self.provider, settings | self.extra_settings())
            with (
                replaying(folder / f"{operation.name}.yaml"),
                open_client(provider, mode, server="cassette") as client,
            ):
                assert perform(client, operation.call, operation.key) == operation.expected


def _state(value: Any) -> Any:
    """What an object keeps, in a form that does not change with it; settings are frozen."""
    if isinstance(value, str | int | float | bytes | type | None):
        return value
    if isinstance(value, Mapping):
        return {repr(name): _state(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [_state(inner) for inner in value]
    inside = {} if isinstance(value, BaseModel) else getattr(value, "__dict__", {})
    return id(value), {name: _state(inner) for name, inner in inside.items() if inner is not value}


def _fields(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in fault.__dataclass_fields__ if name != "_"}
