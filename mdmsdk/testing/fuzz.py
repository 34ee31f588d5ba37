"""Mutation fuzzing: good answers of a server are damaged in many ways, and none of it may become a pass.

The answers come from the provider's simulator, recorded once; each mutation plays one lookup on damaged
copies of them. The devices asked for are ones that their server does not call compliant, so that every pass
is wrong: a mutation never writes a pass into the record of the device itself, only around it and into others.

``python -m mdmsdk.testing.fuzz [PROVIDER …] [--count N] [--clients N] [--seed N]`` prints the figures.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mdmsdk._run.library import lib
from mdmsdk.client import verdict
from mdmsdk.client.build import make_provider
from mdmsdk.errors import MdmError
from mdmsdk.identifiers import KEY_KINDS, Key
from mdmsdk.models import ComplianceState, Device
from mdmsdk.proof import proven
from mdmsdk.provider import Capability
from mdmsdk.registry import SIMULATORS, installed, load_provider, load_simulator
from mdmsdk.simulator.fleet import Fleet
from mdmsdk.simulator.server import serve
from mdmsdk.testing.modes import open_client
from mdmsdk.testing.mutations import mutate
from mdmsdk.testing.playing import play
from mdmsdk.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mdmsdk.provider import MdmProvider
    from mdmsdk.simulator.base import Simulator

__all__ = ["Asked", "Circle", "Corpus", "Explained", "Figures", "fuzz", "main", "records_for", "settled"]

_MOST_REQUESTS = 300
"""Of one lookup; a flow that sends more is going in circles."""
_POLICY = {
    "attempts": 1,
    "breaker_failures": 0,
    "max_wait": 0.0,
    "timeout": 1.0,
    "deadline": 10.0,
    "list_patience": 2.0,
}
_PATIENT = {"timeout": 30.0, "deadline": 60.0, "list_patience": 60.0}


class Circle(BaseException):
    """A flow does not come to an end."""


@dataclass
class Figures:
    """What a run has shown.

    Attributes:
        provider: its name.
        mutations: lookups on damaged answers.
        outcomes: how they ended: a compliance state, ``none``, or the name of an error of ours.
        passes: mutations that made a pass, each told; must be empty.
        escaped: exceptions that are not ours and left a client; must be empty.
        hangs: lookups that did not come to an end; must be empty.
    """

    provider: str
    mutations: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    passes: list[str] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.passes or self.escaped or self.hangs)

    def __str__(self) -> str:
        return (
            f"{self.provider:18} mutations {self.mutations:6}  false compliant {len(self.passes)}  "
            f"escaped {len(self.escaped)}  hangs {len(self.hangs)}  "
            + ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common(4))
        )


_Place = tuple[str, str, bytes]  # method, address and content of a request


@dataclass(frozen=True)
class Asked:
    """A key, all names of the device, what is said of it, and the answers that a lookup takes."""

    key: Key
    names: frozenset[str]
    state: str
    exchanges: tuple[_Place, ...]


@dataclass(frozen=True)
class Explained:
    """A noncompliant device, before and after its reasons were asked for, and the answers that this takes."""

    before: Device
    after: Device
    exchanges: tuple[_Place, ...]


class Corpus:
    """The answers of one provider's simulator to lookups of many devices.

    Args:
        name: the provider.
        fleet_size: how many devices the simulator has.
        habits: switches of the simulator.
        simulator: makes the simulator of a fleet and habits; default: the one of the same name.
        settings: settings beside those that the simulator gives.
    """

    def __init__(
        self,
        name: str,
        *,
        fleet_size: int = 40,
        habits: dict[str, Any] | None = None,
        simulator: Callable[..., Simulator[Any]] | None = None,
        **settings: Any,
    ) -> None:
        self.name = name
        fleet = Fleet.generate(fleet_size, seed=7)
        # One that only its enrolment keeps from passing: few fleets have such a device by chance.
        retired = next(device for device in reversed(fleet) if device.compliance == "compliant")
        self.fleet: Fleet = fleet.replace(retired, registered=False)
        self._answers: dict[_Place, Response] = {}
        self._by_url: dict[tuple[str, str], Response] = {}
        self._log: list[_Place] = []
        make = simulator or load_simulator(name)
        with serve(make(self.fleet, **(habits or {}))) as running:
            given = {**running.settings, **settings, "policy": _POLICY}
            given.pop("provider", None)
            self.provider: MdmProvider = make_provider(name, given)
            vars(self.provider).update(limits=replace(self.provider.limits, rate=None, total_rate=None))
            with (
                lib.HTTPTransport(verify=_trust(self.provider)) as transport,
                lib.Client(transport=lib.MockTransport(lambda asked: self._record(transport, asked))) as http,
                open_client(self.provider, "sync", http=http) as opened,
            ):
                # What is recorded may come slowly; what is played later comes at once.
                client = opened.with_policy(**_PATIENT)
                client.heartbeat()
                self.heartbeat: tuple[_Place, ...] = tuple(self._log)
                self.asked: list[Asked] = list(self._lookups(client, running.simulator))
                self._log.clear()
                listed = list(client.noncompliant())
                self.listed: int = len(listed)
                self.listing: tuple[_Place, ...] = tuple(self._log)
                self.explained: list[Explained] = list(self._reasons(client, listed))

    def _record(self, transport: Any, asked: Any) -> Any:
        answer = transport.handle_request(asked)
        answer.read()
        place = asked.method, str(asked.url), asked.content
        headers = {name.lower(): value for name, value in answer.headers.items()}
        headers.pop("content-encoding", None)
        response = Response(answer.status_code, headers, answer.content, str(asked.url))
        self._answers[place] = self._by_url[place[:2]] = response
        self._log.append(place)
        return lib.Response(answer.status_code, headers=headers, content=answer.content)

    def _lookups(self, client: Any, simulator: Any) -> Iterable[Asked]:
        shared = Counter(pair for device in self.fleet for pair in simulator.identifiers(device).items())
        for device in self.fleet:
            # Of several records for one key, the loss of one shows in no answer: the others speak.
            known = {
                kind: value
                for kind, value in simulator.identifiers(device).items()
                if shared[kind, value] == 1
            }
            names = frozenset([*known.values(), *device.mac_addresses])
            for kind, value in known.items():
                key = KEY_KINDS[kind].parse(value)
                if key is None or type(key) not in self.provider.keys:
                    continue
                self._log.clear()
                try:
                    found = client.lookup(key)
                except MdmError:
                    continue
                if found is not None:
                    shown = {own.value for kind in KEY_KINDS.values() for own in found.shown(kind)}
                    yield Asked(key, names | shown, found.compliance.state.value, tuple(self._log))

    def _reasons(self, client: Any, listed: Iterable[Device]) -> Iterable[Explained]:
        if Capability.REASONS not in self.provider.capabilities:
            return
        for device in listed:
            self._log.clear()
            yield Explained(device, client.reasons(device), tuple(self._log))

    def answer(self, request: Request) -> Response:
        """What the simulator said to a request; 404 where it was never asked."""
        content = request.content()[0]
        return self.find(request.method, request.full_url, content)

    def find(self, method: str, url: str, content: bytes) -> Response:
        """The same by the parts of a request; its content counts where several were recorded."""
        found = self._answers.get((method, url, content)) or self._by_url.get((method, url))
        return found or Response(404, {}, b"", url)

    def response(self, place: _Place) -> Response:
        """A recorded answer."""
        return self._answers[place]


def _trust(provider: MdmProvider) -> Any:
    import ssl

    tls = provider.settings.tls
    return ssl.create_default_context(cafile=tls.ca_file) if tls.ca_file else True


class _Damage:
    """One mutation of one lookup: which answers come damaged, and how."""

    def __init__(self, corpus: Corpus, chance: random.Random) -> None:
        self._corpus = corpus
        guilty = [asked for asked in corpus.asked if asked.state != ComplianceState.COMPLIANT]
        others = [asked for asked in corpus.asked if asked.state == ComplianceState.COMPLIANT]
        self.asked = chance.choice(guilty)
        kind = type(self.asked.key)
        alike = [other for other in others if type(other.key) is kind] or others
        self._other = chance.choice(alike)
        self._damaged: dict[_Place, Response] = {}
        self.how: list[str] = []
        for place in chance.sample(
            self.asked.exchanges, k=min(len(self.asked.exchanges), chance.choice((1, 1, 2)))
        ):
            index = self.asked.exchanges.index(place)
            twin = self._other.exchanges[min(index, len(self._other.exchanges) - 1)]
            mine, theirs = corpus.response(place), corpus.response(twin)
            body, how = mutate(mine.body, theirs.body, self.asked.names, chance)
            self._damaged[place] = replace(mine, body=body)
            self.how.append(how)

    def answer(self, request: Request) -> Response:
        """The damaged answer to a request, or the good one."""
        return self.find(request.method, request.full_url, request.content()[0])

    def find(self, method: str, url: str, content: bytes) -> Response:
        """The same by the parts of a request."""
        damaged = self._damaged.get((method, url, content))
        return damaged or self._corpus.find(method, url, content)

    def __str__(self) -> str:
        return f"{self.asked.key!r} ({self.asked.state}): {' + '.join(self.how)}"


def records_for(
    provider: MdmProvider, info: Any, key: Key, answer: Callable[[Request], Response]
) -> Sequence[Device]:
    """The records that a provider makes of some answers, as it gives them."""
    left = _MOST_REQUESTS

    def counted(request: Request) -> Response:
        nonlocal left
        left -= 1
        if left < 0:
            raise Circle
        return answer(request)

    return play(provider.find(info, key), counted, provider=provider)


def settled(provider: MdmProvider, key: Key, rows: Sequence[Device]) -> Device | None:
    """What a client would make of the records that a provider gave."""
    devices = [verdict.settle(row, "fuzz", provider.name) for row in proven(provider, key, rows)]
    return verdict.pick(devices)


def _lookup(provider: MdmProvider, info: Any, damage: _Damage) -> Device | None:
    """What a client would make of the damaged answers, without one."""
    key = damage.asked.key
    return settled(provider, key, records_for(provider, info, key, damage.answer))


def fuzz(corpus: Corpus, count: int, *, clients: int = 0, seed: int = 1) -> Figures:
    """Look devices up on damaged answers.

    Args:
        corpus: the good answers.
        count: lookups that are played, without a client.
        clients: lookups through a client of each mode.
        seed: of the choices; the same seed makes the same mutations.
    """
    figures = Figures(corpus.name)
    chance = random.Random(seed)  # noqa: S311 - no secret depends on it
    provider = corpus.provider
    info = play(provider.heartbeat(), corpus.answer, provider=provider)
    for _ in range(count):
        damage = _Damage(corpus, chance)
        _take(figures, damage, lambda damage=damage: _lookup(provider, info, damage), escapes=False)
    for mode in ("sync", "asyncio"):
        _through_client(corpus, figures, mode, [_Damage(corpus, chance) for _ in range(clients)])
    return figures


def _take(figures: Figures, damage: _Damage, lookup: Any, *, escapes: bool) -> None:
    figures.mutations += 1
    try:
        found = lookup()
    except MdmError as error:
        figures.outcomes[type(error).__name__] += 1
    except Circle:
        figures.hangs.append(str(damage))
    except Exception as error:  # noqa: BLE001 - without a client, nobody has turned it into ours
        figures.outcomes[f"({type(error).__name__})"] += 1
        if escapes:
            figures.escaped.append(f"{damage}: {error!r}")
    else:
        figures.outcomes[found.compliance.state if found else "none"] += 1
        if found is not None and found.compliance.state is ComplianceState.COMPLIANT:
            figures.passes.append(str(damage))


def _through_client(corpus: Corpus, figures: Figures, mode: str, damages: Sequence[_Damage]) -> None:
    current: list[_Damage] = []

    def answer(asked: Any) -> Any:
        find = current[0].find if current else corpus.find
        found = find(asked.method, str(asked.url), asked.content)
        return lib.Response(found.status, headers=dict(found.headers), content=found.body)

    kind = lib.Client if mode == "sync" else lib.AsyncClient
    http = kind(transport=lib.MockTransport(answer))
    with open_client(corpus.provider, mode, server="fuzz", http=http) as client:
        for damage in damages:
            current.clear()
            client.heartbeat()
            current.append(damage)
            _take(figures, damage, lambda damage=damage: client.lookup(damage.asked.key), escapes=True)
        client.run(http.close if mode == "sync" else http.aclose)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz the installed providers that have a simulator, with a line for each; 1 if one is not clean."""
    parser = argparse.ArgumentParser(prog="python -m mdmsdk.testing.fuzz", description=main.__doc__)
    parser.add_argument("providers", nargs="*", metavar="PROVIDER")
    parser.add_argument("--count", type=int, default=3000, metavar="N", help="mutations that are played")
    parser.add_argument("--clients", type=int, default=100, metavar="N", help="more through each client")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    given = parser.parse_args(arguments)
    names = given.providers or [plugin.name for plugin in installed(SIMULATORS)]
    clean = True
    for name in names:
        load_provider(name)
        began = time.monotonic()
        figures = fuzz(Corpus(name), given.count, clients=given.clients, seed=given.seed)
        clean = clean and figures.clean
        print(figures, f"in {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201 - this is its result
        for line in (*figures.passes, *figures.escaped, *figures.hangs)[:20]:
            print("   ", line[:300])  # noqa: T201
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
