"""Plants a secret wherever one can stand, lets all go wrong, and looks for it in all that is printed."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from pydantic import BaseModel, SecretStr

from mdmsdk.cli import main
from mdmsdk.client.build import kinds_of
from mdmsdk.errors import MdmError
from mdmsdk.federation.rows import error_row
from mdmsdk.identifiers import KEY_KINDS, Guid, Mac
from mdmsdk.registry import SIMULATORS, installed, load_provider, load_simulator
from mdmsdk.settings import ProviderSettings, secret_values
from mdmsdk.simulator import Fault, Fleet, TlsFiles, serve
from mdmsdk.testing import open_client
from tests.canary.hostile import SCENARIOS, Hostile, certificate, spellings, variants
from tests.core.conftest import printed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mdmsdk.provider import MdmProvider, Token
    from mdmsdk.wire import Request

CLASSES = {plugin.name: load_provider(plugin.name) for plugin in installed()}
MODES = ("sync", "asyncio")
KEYS = {Mac: "00:1B:44:11:3A:B7", Guid: "guid:51431193-e6c3-4339-9a2b-8f1ff1fd42a2"}
HASTY = {"attempts": 1, "timeout": 5.0, "deadline": 5.0, "breaker_failures": 0, "refused_wait": 0.0}
HASTY["list_patience"] = 5.0
FAULTS = {
    "status": Fault("status", status=500),
    "refused": Fault("status", status=401),
    "login-page": Fault("login_page"),
    "truncated": Fault("truncated", share=0.5),
    "reset": Fault("reset"),
    "not-http": Fault("not_http"),
    "redirect": Fault("redirect", location="https://attacker.example/"),
    "empty": Fault("empty"),
    "hang": Fault("hang"),
}


class Everything(logging.Handler):
    """What all loggers of the process say, but those of the simulated servers."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("uvicorn", "asyncio", "faker")):
            self.lines.append(logging.Formatter().format(record))


class Canary:
    """Counts the probes, and what they found."""

    def __init__(self) -> None:
        self.log = Everything()
        self.probes = 0
        self.results = 0
        self.found: Counter[str] = Counter()

    def look(self, where: str, texts: dict[str, str], secrets: set[str]) -> None:
        texts = {**texts, "log": "\n".join(self.log.lines)}
        self.log.lines.clear()
        for secret in secrets:
            ways = spellings(secret)
            for name, text in texts.items():
                self.probes += 1
                if any(way in text for way in ways):
                    self.found[f"{where}: {name}"] += 1

    def call(self, where: str, function: Callable[[], Any], secrets: Callable[[], set[str]]) -> None:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                result = function()
            except MdmError as error:
                texts = {
                    "message": f"{error}{error!r}",
                    "attributes": f"{vars(error)}{error.hint}{error_row(error)}",
                    "frames and chain": printed(error, without=__file__),
                }
            else:
                self.results += 1
                texts = {"result": f"{result!r}{getattr(result, 'model_dump_json', lambda: '')()}"}
        texts["warnings"] = "".join(str(warning.message) for warning in warned)
        self.look(where, texts, secrets())

    def end(self, least: int) -> None:
        print(f"canary: {self.probes:,} probes, {sum(self.found.values())} found")  # noqa: T201 - the figure
        assert self.found == {}
        assert self.probes > least


@pytest.fixture
def canary() -> Iterator[Canary]:
    """All loggers at DEBUG for a test."""
    with everything_logged() as log:
        found = Canary()
        found.log = log
        yield found


@contextmanager
def everything_logged() -> Iterator[Everything]:
    log = Everything()
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(log)
    try:
        yield log
    finally:
        logging.getLogger().removeHandler(log)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def provider_of(name: str, settings: dict[str, Any]) -> MdmProvider:
    kind = CLASSES[name]
    return kind(kind.settings_type(**settings))


def key_for(provider: str) -> str:
    return next(text for kind, text in KEYS.items() if kind in CLASSES[provider].keys)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificate(tmp_path_factory.mktemp("certificate"), "planted-key-password")


@pytest.fixture(scope="module")
def tls() -> TlsFiles:
    return TlsFiles(*load_simulator("intune")(Fleet.generate(size=1)).tls())


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_repeats_everything_gets_no_secret_printed(
    canary: Canary, mode: str, files: dict[str, str], tls: TlsFiles
) -> None:
    hostile = Hostile()
    with serve(hostile) as plain, serve(hostile, tls=tls) as secure:
        for name in CLASSES:
            origin = (secure if name.startswith("intune") else plain).origin.replace("127.0.0.1", "localhost")
            trust = {"tls": {"ca_file": str(tls.ca_file)}} if name.startswith("intune") else {}
            for settings in variants(name, origin, files):
                slow = "certificate" in settings  # to open an encrypted key takes long
                for scenario in SCENARIOS[:: 6 if slow else 4 if mode == "sync" else 1]:
                    provider = provider_of(name, {**settings, **trust, "policy": HASTY})
                    planted = set(secret_values(provider.settings))
                    hostile.scenario, hostile.seen = scenario, set()
                    secrets: Callable[[], set[str]] = lambda: planted | hostile.seen  # noqa: B023, E731
                    with open_client(provider, mode, server="hostile") as client:
                        where = f"{name} {scenario}"
                        if scenario.status == 200:
                            canary.call(f"{where} heartbeat", client.heartbeat, secrets)
                        canary.call(f"{where} lookup", lambda: client.lookup(key_for(name)), secrets)  # noqa: B023
                        shown = f"{client.wrapped!r}{client.provider!r}{client.provider.settings!r}"
                        dumped = client.provider.settings.model_dump_json()
                    canary.look(where, {"reprs": shown, "dump": dumped}, secrets())
    canary.end(2_500 if mode == "sync" else 10_000)


@pytest.mark.parametrize("mode", MODES)
def test_a_good_server_and_a_broken_one_get_no_secret_printed(canary: Canary, mode: str) -> None:
    fleet = Fleet.generate(size=20)
    for plugin in installed(SIMULATORS):
        simulator = load_simulator(plugin.name)(fleet)
        with serve(simulator) as running:
            settings = dict(running.settings)
            provider = provider_of(settings.pop("provider"), {**settings, "policy": HASTY})
            planted = set(secret_values(provider.settings))
            authorize = provider.authorize

            def note(request: Request, token: Token) -> Request:
                planted.add(token.value)  # noqa: B023 - called while the client is open
                return authorize(request, token)  # noqa: B023

            vars(provider)["authorize"] = note
            with open_client(provider, mode, server="good") as client:
                key = key_for(plugin.name)
                calls: list[Callable[[], Any]] = [
                    client.heartbeat,
                    lambda: client.lookup(key),  # noqa: B023 - called in the loop, as all here
                    lambda: list(client.noncompliant()),
                ]
                for call in calls:
                    canary.call(f"{plugin.name} good", call, lambda: planted)  # noqa: B023
                for kind, fault in FAULTS.items():
                    with simulator.faults.during(fault):
                        hasty = client.with_policy(timeout=0.2 if kind == "hang" else 5.0)
                        canary.call(f"{plugin.name} {kind}", lambda: hasty.lookup(key), lambda: planted)  # noqa: B023
    assert canary.results >= 3 * len(CLASSES)
    canary.end(1_000)


@pytest.mark.parametrize("mode", MODES)
def test_no_key_stands_in_a_log(canary: Canary, mode: str) -> None:
    fleet = Fleet.generate(size=12)
    for plugin in installed(SIMULATORS):
        with serve(simulator := load_simulator(plugin.name)(fleet)) as running:
            settings = dict(running.settings)
            provider = provider_of(settings.pop("provider"), {**settings, "policy": HASTY})
            with open_client(provider, mode, server="good") as client:
                known = [
                    KEY_KINDS[kind](value)
                    for device in fleet
                    if device.registered
                    for kind, value in simulator.identifiers(device).items()
                    if KEY_KINDS[kind] in provider.keys and len(value) > 5  # a shorter one is in many numbers
                ]
                for key in {type(key): key for key in known}.values():
                    with suppress(MdmError):
                        client.lookup(key)
                    with simulator.faults.during(Fault("status", status=500)), suppress(MdmError):
                        client.lookup(key)
                # All that stand in an answer count: a lookup may ask for details by another key.
                texts = ({key.value, key.value.lower(), quote(key.value, safe="")} for key in known)
                canary.look(plugin.name, {}, set().union(*texts))
    canary.end(500)


@pytest.mark.parametrize("mode", MODES)
def test_what_cannot_even_begin_prints_no_secret(canary: Canary, mode: str, files: dict[str, str]) -> None:
    good = {"base_url": "https://mdm.example", "username": "nac", "password": "planted-password"}
    secret = "planted-proxy-password"
    proxy = f"http://proxy-user:{secret}@{{}}"
    client_cert = {"client_cert": files["file"], "client_key": files["key_file"]}
    hostile = Hostile()
    with serve(hostile) as running:
        broken: dict[str, dict[str, Any]] = {
            "proxy that refuses": {**good, "proxy": proxy.format(running.origin.partition("//")[2])},
            "proxy that is not there": {**good, "proxy": proxy.format("127.0.0.1:9")},
            "proxy of no kind": {**good, "proxy": f"nonsense://u:{secret}@h"},
            "wrong password of a key": {**good, "tls": {**client_cert, "client_key_password": secret}},
            "no such file": {**good, "tls": {"client_cert": "nowhere", "client_key_password": secret}},
        }
        for what, settings in broken.items():
            provider = provider_of("ise", {**settings, "policy": HASTY})
            with open_client(provider, mode, server="broken") as client:
                secrets = {*secret_values(provider.settings), secret}
                canary.call(what, client.heartbeat, lambda: secrets | hostile.seen)  # noqa: B023
    canary.end(50)


@pytest.mark.parametrize("debug", [True, False])
def test_the_command_line_prints_no_secret(
    canary: Canary, capfd: pytest.CaptureFixture[str], tmp_path: Path, *, debug: bool
) -> None:
    hostile = Hostile()
    config = tmp_path / "mdm.toml"
    with serve(hostile) as running:
        text = ["[servers.lab]", 'provider = "ise"', f'base_url = "{running.origin}"', 'username = "nac"']
        config.write_text(
            "\n".join(
                [
                    *text,
                    'password = "planted-password"',
                    "policy = { attempts = 1, list_patience = 1.0, timeout = 1.0 }",
                ]
            )
        )
        for scenario in SCENARIOS[::5]:
            hostile.scenario, hostile.seen = scenario, set()
            for words, chosen in (
                (["heartbeat"], "table"),
                (["lookup", KEYS[Mac]], "ndjson"),
                (["noncompliant"], "csv"),
            ):
                more = ["--debug"] if debug else []
                main([*words, "--config", str(config), "--format", chosen, *more])
                out, err = capfd.readouterr()
                secrets = {"planted-password", *hostile.seen}
                canary.look(f"{words} {scenario}", {"out": out, "err": err}, secrets)
    canary.end(300)


def test_every_secret_setting_is_planted(files: dict[str, str]) -> None:
    planted = {"proxy", "tls.client_key_password"}
    wanted: set[str] = set()
    for name, kind in CLASSES.items():
        wanted |= set(secret_fields(kind.settings_type))
        for settings in variants(name, "https://mdm.example", files):
            provider = provider_of(name, settings)
            planted |= {
                field for field in secret_fields(type(provider.settings)) if has(provider.settings, field)
            }
    assert wanted - planted == set()


def secret_fields(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        for kind in kinds_of(field.annotation):
            if kind is SecretStr:
                yield name
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from (f"{name}.{inner}" for inner in secret_fields(kind))


def has(settings: ProviderSettings, path: str) -> bool:
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name, None)
    return value is not None
