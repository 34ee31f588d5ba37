"""Servers of one configuration that a vendor counts together, and those at one address that it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import SecretStr

from mdmsdk._run import quotas
from mdmsdk._run.quotas import Asked, Counts, LocalLimits, quota_of
from mdmsdk._run.waits_sync import drive
from mdmsdk.batch import Batch, send_batch
from mdmsdk.errors import DeadlineExceededError, MdmError, RateLimitedError
from mdmsdk.flow import Flow, send
from mdmsdk.identifiers import Mac
from mdmsdk.ise import IseSettings
from mdmsdk.models import Device
from mdmsdk.provider import Capability, Limits
from mdmsdk.settings import Policy, ProviderSettings
from mdmsdk.simulator.server import serve
from mdmsdk.testing import open_client, open_federation
from mdmsdk.wire import Request, Response
from tests.core.conftest import Answer, Script, TinyProvider, TinySettings
from tests.forks import in_child

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from mdmsdk.testing import Modal

MAC = "00:1B:44:11:3A:B7"


def settings_of(plugin: str, name: str, **values: Any) -> ProviderSettings:
    module = pytest.importorskip(plugin)
    made: ProviderSettings = getattr(module, name)(**values)
    return made


INTUNE = {"tenant_id": "one.example", "client_id": "app", "client_secret": "s"}
MERAKI = {"api_key": "k" * 40}
MAAS = {"billing_id": "30001", "username": "a", "password": "s", "app_id": "i", "app_access_key": "k"}
CLOUD = {"base_url": "https://eu1.mobileiron.com"}
UEM = {"base_url": "https://as1.awmdm.com", "username": "a", "password": "s"}
BLACKBERRY = {"base_url": "https://bb.example", "username": "a", "password": "s"}
ISE = {"base_url": "https://mdm.example", "password": "s"}
JAMF = {"base_url": "https://one.jamfcloud.com"}


@pytest.mark.parametrize(
    ("plugin", "name", "one", "other"),
    [
        ("mdmsdk_intune", "IntuneSettings", INTUNE, INTUNE | {"tenant_id": "two.example"}),
        ("mdmsdk_intune", "IntuneIseSettings", INTUNE, INTUNE | {"client_id": "other"}),
        ("mdmsdk_maas360", "Maas360Settings", MAAS, MAAS | {"billing_id": "30002"}),
        (
            "mdmsdk_ivanti",
            "IvantiCloudSettings",
            CLOUD | {"username": "a", "password": "s"},
            CLOUD | {"username": "b", "password": "s"},
        ),
        ("mdmsdk_ivanti", "IvantiCloudSettings", CLOUD | {"token": "a"}, CLOUD | {"token": "b"}),
        (
            "mdmsdk_workspaceone",
            "WorkspaceOneSettings",
            UEM | {"tenant_code": "a"},
            UEM | {"tenant_code": "b"},
        ),
        (
            "mdmsdk_blackberry",
            "BlackBerrySettings",
            BLACKBERRY | {"tenant": "S1"},
            BLACKBERRY | {"tenant": "S2"},
        ),
        ("mdmsdk.ise", "IseSettings", ISE | {"username": "a"}, ISE | {"username": "b"}),
        ("tests.core.conftest", "TinySettings", ISE | {"password": "a"}, ISE | {"password": "b"}),
    ],
)
def test_customers_at_one_address_are_counted_apart(
    plugin: str, name: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    ours, theirs = settings_of(plugin, name, **one), settings_of(plugin, name, **other)
    assert ours.base_url == theirs.base_url
    assert quota_of(ours) != quota_of(theirs)
    assert quota_of(ours) == quota_of(settings_of(plugin, name, **one, limits={"rate": 1.0}, judges=False))


@pytest.mark.parametrize(
    ("plugin", "name", "one", "other"),
    [
        # Each organisation has a lane of its own, whoever asks.
        ("mdmsdk_meraki", "MerakiSettings", MERAKI, {"api_key": "l" * 40, "organizations": ["1"]}),
        (
            "mdmsdk_intune",
            "IntuneSettings",
            INTUNE,
            INTUNE | {"tenant_id": "ONE.example", "client_secret": "t"},
        ),
        (
            "mdmsdk_jamf",
            "JamfSettings",
            JAMF | {"username": "a", "password": "s"},
            JAMF | {"client_id": "b", "client_secret": "t"},
        ),
        (
            "mdmsdk_workspaceone",
            "WorkspaceOneSettings",
            UEM | {"tenant_code": "a"},
            UEM | {"tenant_code": "a", "username": "b"},
        ),
        (
            "mdmsdk.ise",
            "IseSettings",
            ISE | {"username": "a"},
            ISE | {"username": "A", "base_url": "https://MDM.example:443"},
        ),
    ],
)
def test_those_that_spend_one_quota_are_counted_together(
    plugin: str, name: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert quota_of(settings_of(plugin, name, **one)) == quota_of(settings_of(plugin, name, **other))


def test_plugins_name_settings_that_there_are() -> None:
    kinds: list[Any] = [ProviderSettings, IseSettings]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        assert {*(kind.account or ())} <= kind.model_fields.keys()


class TestAmongClientsOfAProcess:
    def test_rates_lists_and_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(quotas, "time", SimpleNamespace(monotonic=lambda: now[0]))
        asked: list[Asked | None] = []
        limits, many = LocalLimits(Counts()), Limits(rate=0.1, burst=2, total_rate=2.0, concurrency=100)

        def admit(lane: str, *, gives_way: bool = False) -> float | None:
            wait = drive(partial(limits.admit, limits.place(), lane, many, 1.0, gives_way=gives_way))
            asked.append(wait.asked if wait else None)
            return wait.seconds if wait else None

        assert admit("a") is None
        assert admit("b") == 0.5  # of all lanes
        now[0] += 0.5
        assert admit("a", gives_way=True) == 9.5
        assert admit("a") is None
        now[0] += 0.5
        assert admit("a") == 9.0
        drive(partial(limits.hold, "b", 20.0))
        drive(partial(limits.hold, "b", 1.0))
        assert admit("b") == 20.0
        assert admit("c") is None
        drive(partial(limits.hold, None, 30.0))
        assert admit("c") == 30.0
        assert asked[-4:] == [None, Asked(20.0), None, Asked(30.0)]

    def test_places_are_free_when_they_are_given_back_or_their_holder_died(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [100.0]
        monkeypatch.setattr(quotas, "time", SimpleNamespace(monotonic=lambda: now[0]))
        limits, few = LocalLimits(Counts()), Limits(concurrency=2)

        def admit(place: str, lane: str = "") -> float | None:
            wait = drive(partial(limits.admit, place, lane, few, 10.0))
            return wait.seconds if wait else None

        assert [admit("1"), admit("2"), admit("3")] == [None, None, quotas.AGAIN]
        limits.forget("1", "")
        assert admit("3") is None
        assert admit("4", "another") is None
        now[0] += 10.0 + quotas.GRACE
        assert [admit("4"), admit("5"), admit("6")] == [None, None, quotas.AGAIN]

    def test_who_waits_for_a_place_has_the_next_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(quotas, "time", SimpleNamespace(monotonic=lambda: now[0]))
        counts = Counts()
        busy, other = LocalLimits(counts), LocalLimits(counts)

        def admit(limits: LocalLimits, place: str, places: int = 1) -> bool:
            few = Limits(concurrency=places)
            return drive(partial(limits.admit, place, "", few, 10.0)) is None

        assert [admit(busy, "1"), admit(other, "2")] == [True, False]
        busy.forget("1", "")
        assert [admit(busy, "3"), admit(other, "2")] == [False, True]
        other.forget("2", "")
        assert [admit(other, "4"), admit(busy, "3")] == [False, True]
        busy.forget("3", "")
        assert admit(busy, "5", 2)  # there is one for each
        busy.forget("5", "")
        now[0] += quotas.WAITS
        assert admit(busy, "6")  # the other one has given up

    def test_who_waits_for_a_turn_has_the_next_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [100.0]
        monkeypatch.setattr(quotas, "time", SimpleNamespace(monotonic=lambda: now[0]))
        counts, often = Counts(), Limits(rate=2.0, total_rate=4.0, concurrency=9)
        busy, other = LocalLimits(counts), LocalLimits(counts)

        def admit(limits: LocalLimits) -> float | None:
            wait = drive(partial(limits.admit, limits.place(), "", often, 10.0))
            return wait.seconds if wait else None

        assert [admit(busy), admit(other)] == [None, 0.5]
        now[0] += 0.5
        assert [admit(busy), admit(other)] == [0.5, None]
        now[0] += 0.5
        assert [admit(other), admit(busy)] == [0.5, None]
        now[0] += 0.5 + quotas.WAITS
        assert admit(busy) is None  # the other one has given up

    def test_a_child_has_nothing_under_way(self) -> None:
        limits, one = LocalLimits(Counts()), Limits(rate=1 / 600, burst=2, concurrency=1)

        def admit() -> float | None:
            wait = drive(partial(limits.admit, limits.place(), "", one, 600.0))
            return wait.seconds if wait else None

        assert admit() is None
        with limits._counts.lock:  # as another thread may have it
            assert in_child(lambda: f"{admit()} {(admit() or 0) > 500}") == "None True"


class Pair:
    """Two servers of one federation at one address."""

    def __init__(self, origin: str, script: Script, mode: str) -> None:
        self.script = script
        self._origin, self._mode = origin, mode
        self._opened: list[Modal] = []

    def open(self, *passwords: str, kind: type[TinyProvider] = TinyProvider, **limits: Any) -> Modal:
        if limits:
            kind = type("Limited", (kind,), {"limits": Limits(**limits)})
        policy = Policy(attempts=1, deadline=5.0)
        for number, password in enumerate(passwords):
            settings = TinySettings(base_url=self._origin, password=SecretStr(password), policy=policy)
            self._opened.append(open_client(kind(settings), self._mode, server=f"s{number}"))
        self._opened.append(open_federation(self._opened, self._mode))
        return self._opened[-1]

    def close(self) -> None:
        for one in reversed(self._opened):
            one.close()


@pytest.fixture
def pair(mdm_mode: str) -> Iterator[Pair]:
    script = Script()
    with serve(script) as running:
        pair = Pair(running.origin, script, mdm_mode)
        yield pair
        pair.close()


def test_two_servers_of_one_account_keep_a_rate_together(pair: Pair) -> None:
    federation = pair.open("same", "same", rate=1 / 60, burst=4, concurrency=20)
    outcomes = [federation.lookup(MAC, deadline=5.0) for _ in range(3)]
    assert len(pair.script.requests) == 4
    assert isinstance(outcomes[-1].outcomes[0].error, DeadlineExceededError)


def test_who_is_asked_to_wait_holds_back_the_same_account_alone(pair: Pair) -> None:
    federation = pair.open("same", "same", "another")
    federation.lookup(MAC)
    pair.script.routes["/find"] = Answer("", 429, {"Retry-After": "50"})
    (refused,) = federation.lookup(MAC, servers=["s0"]).outcomes
    assert isinstance(refused.error, RateLimitedError)
    pair.script.routes["/find"] = Answer("S1")
    errors = {one.server: one.error for one in federation.lookup(MAC).outcomes}
    assert isinstance(errors["s0"], DeadlineExceededError)
    assert isinstance(errors["s1"], DeadlineExceededError)
    for name in ("s0", "s1"):
        assert str(errors[name]).startswith(
            f"{name}: the server asked for a wait of 50 s (429), which is longer"
        )
        assert "raise policy.deadline" in (errors[name].hint or "")
    refused_hint = refused.error.hint
    assert refused_hint
    assert errors["s0"].hint.startswith(refused_hint)
    assert errors["s2"] is None


class Enveloped(TinyProvider):
    """``POST /batch`` with the names of keys answers with a status and a wait for each."""

    capabilities: ClassVar = frozenset({Capability.BATCH})
    limits = Limits(batch_size=20)

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[dict[Key, Any]]:
        del info
        how = Batch(most=20, pack=self._pack, unpack=self._unpack)
        parts = [replace(self.get("/find", mac=key.value), lane="parts") for key in keys]
        outcomes = yield from send_batch(self, how, parts)
        return {
            key: one
            if isinstance(one, MdmError)
            else [Device(id="1", registered=True, mac_addresses=(Mac(key.value),))]
            for key, one in zip(keys, outcomes, strict=True)
        }

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        del info
        yield from send(replace(self.get("/find", mac=key.value), lane="parts"))
        return []

    def _pack(self, parts: Sequence[Request]) -> Request:
        keys = ",".join(str(part.params["mac"]) for part in parts)
        return replace(self.get("/batch", keys=keys), lane="parts")

    def _unpack(self, answer: Response, parts: Sequence[Request]) -> list[Response]:
        rows = zip(answer.json(), parts, strict=True)
        return [Response(status, {"retry-after": wait}, b"", part.url) for (status, wait), part in rows]


MACS = [f"00:1B:44:11:3A:{number:02X}" for number in range(3)]


@pytest.mark.parametrize(("wait", "held"), [("50", True), ("3600", False)])
def test_a_part_of_an_envelope_that_is_asked_to_wait_holds_its_lane(
    pair: Pair, wait: str, held: bool
) -> None:
    federation = pair.open("same", "same", "another", kind=Enveloped)
    pair.script.routes["/batch"] = json.dumps([[200, "0"], [429, wait], [200, "0"]])
    answers = list(federation.lookup_many(MACS, servers=["s0"]))
    errors = [answer.outcomes[0].error for answer in answers]
    assert [type(error) for error in errors] == [type(None), RateLimitedError, type(None)]
    assert pair.script.counts["/batch"] == 1
    late = {
        one.server: isinstance(one.error, DeadlineExceededError) for one in federation.lookup(MAC).outcomes
    }
    assert late == {"s0": held, "s1": held, "s2": False}


def test_a_part_for_whose_wait_there_is_no_time_spoils_no_other(pair: Pair) -> None:
    federation = pair.open("same", kind=Enveloped)
    pair.script.routes["/batch"] = json.dumps([[200, "0"], [429, "9"], [200, "0"]])
    answers = list(federation.lookup_many(MACS))
    errors = [answer.outcomes[0].error for answer in answers]
    assert [type(error) for error in errors] == [type(None), RateLimitedError, type(None)]
