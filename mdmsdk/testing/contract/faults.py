"""What a provider must never do, whatever a server answers."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any, get_args

import pytest

from mdmsdk.client.build import kinds_of
from mdmsdk.errors import (
    AuthenticationError,
    IncompleteListError,
    MdmError,
    PluginError,
    TokenError,
    UnsupportedOperationError,
)
from mdmsdk.models import ComplianceState
from mdmsdk.provider import Capability
from mdmsdk.registry import load_provider
from mdmsdk.settings import ComplianceSettings
from mdmsdk.simulator.faults import Fault
from mdmsdk.testing.contract.base import HASTY, SAMPLES, Stand
from mdmsdk.testing.fuzz import fuzz
from mdmsdk.testing.matrix import BREAKS
from mdmsdk.testing.matrix import run as run_matrix
from mdmsdk.testing.secrets import secret_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator.fleet import Fleet
    from mdmsdk.simulator.server import RunningSimulator
    from mdmsdk.testing.modes import Modal

__all__ = ["FAULTS", "Faults"]

_SHARE = 8
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
_MODES = ("sync", "asyncio")


class Faults(Stand):
    """Tests with answers that are broken, damaged or another device's."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run the tests of faults once for each, and in async for those that a plugin reads itself."""
        # What core does for every dialect of the ISE protocol is tested with `ise` itself.
        faults = {"fault": _DIALECT_FAULTS if self.as_ise else frozenset(FAULTS)}
        faults["list_fault"] = _LIST_FAULTS & faults["fault"]
        again = {"login-page", "forbidden", "wrong-address", "empty"} if self.as_ise else set[str]()
        both = _DIALECT_FAULTS - again
        for name in faults.keys() & set(metafunc.fixturenames):
            pairs = [
                (fault, mode)
                for fault in sorted(faults[name])
                for mode in _MODES
                if mode == "sync" or fault in both
            ]
            metafunc.parametrize((name, "mode"), pairs)
        super().pytest_generate_tests(metafunc)

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
        corpus = self.corpus()
        figures = fuzz(corpus, self.mutations, clients=self.mutations // 10)
        assert corpus.asked
        assert figures.clean, [*figures.passes, *figures.escaped, *figures.hangs]

    def test_no_fault_of_the_matrix_is_a_verdict(self) -> None:
        corpus = self.corpus()
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
        for kind in sorted(self.kinds, key=lambda kind: kind.kind):
            known = {
                key: running.simulator.verdict(device)
                for device in fleet
                if device.registered
                and (key := self.key(kind, device, running))
                and self.alone(device, key, running)
            }
            first = next(key for key, state in known.items() if state == "compliant")
            for other in (key for key, state in list(known.items())[:SAMPLES] if state == "noncompliant"):
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
        for device in (*bad[: SAMPLES // 2], *left[: SAMPLES // 2]):
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

    def test_a_list_is_complete_or_fails(
        self, list_fault: str, connect: Callable[..., Modal], running: RunningSimulator[Any]
    ) -> None:
        running.simulator.behave(**self.paging)
        complete = len(list(connect().noncompliant()))
        for good_answers in (1, 2, 4):  # the first page, the second, and one in the middle
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


def _fields(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in fault.__dataclass_fields__ if name != "_"}
