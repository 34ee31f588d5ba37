"""Plugins of other versions of the contract work on, or are refused with words that say what to do."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse

from mdmsdk import registry
from mdmsdk.errors import ProviderLoadError
from mdmsdk.identifiers import Mac
from mdmsdk.provider import Limits, MdmProvider, contract_of
from mdmsdk.simulator.server import serve
from mdmsdk.testing import open_client
from tests.core.conftest import TinyProvider

if TYPE_CHECKING:
    from types import ModuleType

ACME = Path(__file__).parents[1] / "plugins" / "acme_v1.py"


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The guide's example as it stood in version 1."""
    spec = importlib.util.spec_from_file_location("acme_v1", ACME)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "acme_v1", module)
    spec.loader.exec_module(module)
    return module


def load(monkeypatch: pytest.MonkeyPatch, provider: type[MdmProvider]) -> type[MdmProvider]:
    monkeypatch.setattr(registry, "_load", lambda *_: provider)
    return registry.load_provider(provider.name)


def test_one_for_version_1_is_loaded_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, acme: ModuleType
) -> None:
    assert contract_of(acme.AcmeProvider) == 1
    with pytest.warns(DeprecationWarning, match=r"'acme' is written for contract version 1.*previous"):
        assert load(monkeypatch, acme.AcmeProvider) is acme.AcmeProvider


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Acme's API, with one device."""
    row = {"id": 7, "serial": "S77777", "macs": ["001b44113ab7"], "enrolled": True, "state": "ok", "why": []}
    bodies: dict[str, Any] = {
        "/oauth/token": {"access_token": "t", "expires_in": 3600},
        "/v1/about": {"version": "7.2"},
        "/v1/devices": {"devices": [row], "next": None},
    }
    await JSONResponse(bodies[scope["path"]])(scope, receive, send)


def test_and_works(acme: ModuleType, mdm_mode: str) -> None:
    with serve(answer) as running:
        settings = acme.AcmeSettings(base_url=running.origin, client_id="reader", client_secret="x")
        client = open_client(acme.AcmeProvider(settings), mdm_mode)
        try:
            device = client.lookup(Mac("001b44113ab7"))
        finally:
            client.close()
    assert device is not None
    assert device.compliance.state == "compliant"


def test_one_for_this_version_is_loaded_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(monkeypatch, TinyProvider) is TinyProvider


@pytest.mark.parametrize(("version", "remedy"), [(3, "Update mdmsdk"), (0, "Update the plugin")])
def test_any_other_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, version: int, remedy: str
) -> None:
    other = type("Other", (TinyProvider,), {"contract_version": version})
    with pytest.raises(ProviderLoadError, match=f"written for contract version {version}") as caught:
        load(monkeypatch, other)
    assert remedy in str(caught.value.hint)


def test_limits_that_are_none_any_more_are_told() -> None:
    with pytest.warns(DeprecationWarning, match="page_size and shortest_poll"):
        assert Limits(page_size=100, shortest_poll=3.0) == Limits()
