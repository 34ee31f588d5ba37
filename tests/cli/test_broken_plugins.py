"""A plugin that declares nonsense is named, with what is wrong, and takes nobody down."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk import registry
from mdmsdk.errors import ProviderLoadError, UnknownProviderError
from mdmsdk.registry import load_provider, load_simulator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

Install = Any

PROVIDER = """
from mdmsdk.flow import done
from mdmsdk.identifiers import Mac
from mdmsdk.provider import Capability, Limits, MdmProvider, Page, ProviderSettings, Token
from mdmsdk.models import ServerInfo

class Provider(MdmProvider):
    name, vendor, keys = "broken", "Broken", frozenset({Mac})
    def login(self, audience, previous=None):
        return done(Token("t", static=True))
    def heartbeat(self):
        return done(ServerInfo(vendor="Broken"))
    def find(self, info, key):
        return done([])
    def noncompliant_page(self, info, cursor):
        return done(Page([]))
"""
SIMULATOR = """
from dataclasses import dataclass
from mdmsdk.simulator import Simulator

@dataclass(frozen=True)
class Habits:
    pass

class Broken(Simulator):
    name, habits_type = "broken", Habits
    def routes(self):
        return []
    def settings(self, origin):
        return {"provider": "broken", "base_url": origin}
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a plugin with these two modules; lines below its class change it."""

    def install(provider: str = "", simulator: str = "") -> None:
        (tmp_path / "broken_provider.py").write_text(PROVIDER + provider, encoding="utf-8")
        (tmp_path / "broken_simulator.py").write_text(SIMULATOR + simulator, encoding="utf-8")
        info = tmp_path / "mdmsdk_broken-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mdmsdk-broken\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[mdmsdk.providers]\nbroken = broken_provider:Provider\n"
            "[mdmsdk.simulators]\nbroken = broken_simulator:Broken\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in ("broken_provider", "broken_simulator"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    return install


BROKEN = [
    ("del Provider.vendor", "vendor"),
    ("Provider.vendor = ''", "vendor"),
    ("Provider.name = 'other'", "name is 'other'"),
    ("del Provider.keys", "keys"),
    ("Provider.keys = 'mac'", "keys"),
    ("Provider.keys = frozenset({'mac'})", "keys"),
    ("Provider.capabilities = 'batch'", "capabilities"),
    ("Provider.capabilities = frozenset({'teleport'})", "capabilities"),
    ("Provider.limits = {'rate': 1}", "limits"),
    ("Provider.settings_type = dict", "settings_type"),
    ("Provider.settings_type = ProviderSettings(base_url='https://a.example')", "settings_type"),
    ("Provider.partial = {'mac': 1}", "partial"),
    ("Provider.loose = 'mac'", "loose"),
    ("Provider.refusals = ('404',)", "refusals"),
    ("Provider.may_be_empty = '(('", "may_be_empty"),
    ("Provider.contract_version = '2'", "contract_version"),
    ("Provider.login = None", "login"),
    ("Provider.reasons = 7", "reasons"),
    ("class Provider(MdmProvider):\n    name, vendor, keys = 'broken', 'B', frozenset({Mac})", "heartbeat"),
    ("Provider = Provider(ProviderSettings(base_url='https://a.example'))", "no MdmProvider class"),
    ("Provider = None", "no MdmProvider class"),
    ("raise SystemExit(3)", "SystemExit"),
    ("assert False, 'no'", "AssertionError"),
    ("import no_such_module", "no_such_module"),
]


@pytest.mark.parametrize(("change", "told"), BROKEN, ids=[change[:40] for change, _ in BROKEN])
def test_a_provider_that_is_none_is_named_with_its_fault(
    plugin: Install, mdm: Run, change: str, told: str
) -> None:
    plugin(change)
    with pytest.raises(ProviderLoadError) as caught:
        load_provider("broken")
    assert told in str(caught.value)
    assert "'broken'" in str(caught.value)
    assert caught.value.hint
    result = mdm("providers", "--details")
    assert result.code == 0
    assert "mdmsdk-broken" in result.err
    assert told in result.err
    assert "developers of mdmsdk" not in result.err
    assert {row["name"]: row["vendor"] for row in result.lines}["ise"]
    assert {row["name"]: row["vendor"] for row in result.lines}["broken"] is None


def test_every_fault_is_told_at_once(plugin: Install) -> None:
    plugin("class Provider(MdmProvider):\n    name = 'broken'")
    with pytest.raises(ProviderLoadError, match=r"vendor.*keys.*heartbeat.*login"):
        load_provider("broken")


def test_one_without_a_fault_is_loaded(plugin: Install) -> None:
    plugin("Provider.capabilities = frozenset({Capability.INVENTORY})")
    assert load_provider("broken").vendor == "Broken"
    assert load_simulator("broken").name == "broken"


def test_what_is_installed_later_is_found_and_then_kept(
    plugin: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownProviderError):
        load_provider("broken")
    plugin()
    loaded = load_provider("broken")
    # Reading what is installed took longer than all else that a new client does.
    monkeypatch.setattr(registry, "entry_points", lambda **_: pytest.fail("searched again"))
    assert load_provider("broken") is loaded


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("Broken = None", "no simulator class"),
        ("del Broken.name", "name"),
        ("Broken.name = 'other'", "name is 'other'"),
        ("Broken.habits_type = 'x'", "habits_type"),
        ("class Broken(Simulator):\n    name, habits_type = 'broken', Habits", "routes"),
        ("Broken.__init__ = lambda self: None", "TypeError"),
        ("Broken.routes = lambda self: 1 / 0", "ZeroDivisionError"),
        ("Broken.settings = lambda self, origin: None", "settings"),
        ("Broken.settings = lambda self, origin: {}", "settings"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_simulator_that_is_none_takes_nobody_down(
    plugin: Install, mdm: Run, change: str, told: str
) -> None:
    plugin(simulator=change)
    alone = mdm("simulate", "broken", "--duration", "0.1")
    assert (alone.code, alone.out) == (2, "")
    assert told in alone.err
    assert "'broken'" in alone.err
    among = mdm("simulate", "--duration", "0.1", "--size", "5")
    assert among.code == 0
    assert told in among.err
    assert "[servers.ise]" in among.out
    assert "broken" not in among.out


def test_the_doctor_and_a_federation_name_it_too(plugin: Install, mdm: Run, tmp_path: Path) -> None:
    plugin("del Provider.vendor")
    config = tmp_path / "mdm.toml"
    config.write_text('[servers.one]\nprovider = "broken"\nbase_url = "https://a.invalid"\n')
    doctor = mdm("doctor", "--config", config)
    assert doctor.code == 2
    assert "vendor" in doctor.lines[0]["detail"]
    heartbeat = mdm("heartbeat", "--config", config)
    assert heartbeat.code in {2, 3}
    assert "vendor" in heartbeat.err + heartbeat.out


def test_keys_to_try_are_of_kinds_that_the_provider_has(plugin: Install, mdm: Run) -> None:
    plugin("from mdmsdk.identifiers import Serial\nProvider.keys = frozenset({Serial})")
    shown = mdm("simulate", "broken", "--duration", "0.1").out
    tried = [line.split()[1] for line in shown.splitlines() if line.startswith("#   ")]
    assert len(tried) >= 3
    assert all(key.startswith("serial:") for key in tried)
    ise = mdm("simulate", "ise", "--duration", "0.1").out
    assert "guid:" in ise
    assert "serial:" not in ise.partition("[servers")[0]
