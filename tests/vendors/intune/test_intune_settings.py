"""What an administrator types, and what comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import ConfigurationError
from mdmsdk.identifiers import Guid, Mac
from mdmsdk_intune.login import scope_of

if TYPE_CHECKING:
    from tests.vendors.intune.conftest import Make


@pytest.mark.parametrize(
    ("cloud", "login", "graph", "scope", "service"),
    [
        (
            "global",
            "microsoftonline.com",
            "graph.microsoft.com",
            "manage.microsoft.com",
            "fef.manage.microsoft.com",
        ),
        ("usgov", "microsoftonline.us", "graph.microsoft.us", "manage.microsoft.us", "a.manage.microsoft.us"),
        (
            "usgov-dod",
            "microsoftonline.us",
            "dod-graph.microsoft.us",
            "manage.microsoft.us",
            "manage.microsoft.us",
        ),
    ],
)
def test_a_cloud_moves_all_hosts_together(
    make: Make, *, cloud: str, login: str, graph: str, scope: str, service: str
) -> None:
    provider = make(cloud=cloud)
    assert provider.settings.authority == f"https://login.{login}"
    assert provider.settings.base_url == f"https://{graph}"
    assert scope_of(provider.settings, "graph")[0] == f"https://{graph}/.default"
    assert scope_of(provider.settings, "nac")[0] == f"https://api.{scope}//.default"
    assert provider.trusts(service)
    assert not provider.trusts(f"{service}.evil.example")
    assert not provider.trusts(f"evil{scope}")


@pytest.mark.parametrize("name", ["instance", "api_version", "api_path", "filter", "max_user_devices"])
@pytest.mark.parametrize("provider", ["intune", "intune-ise"])
def test_settings_of_other_dialects_are_none(make: Make, provider: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        make(provider, **{name: 3})


def test_china_has_graph_alone_unless_the_audience_is_set(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="nac_audience"):
        make(cloud="china")
    with pytest.raises(ConfigurationError, match="nac_audience"):
        make("intune-ise", cloud="china")
    assert (
        make(cloud="china", backends=["graph"]).settings.base_url == "https://microsoftgraph.chinacloudapi.cn"
    )
    assert make(cloud="china", nac_audience="api://nac").settings.audience == "api://nac/"


@pytest.mark.parametrize(
    "written",
    [
        "https://api.manage.microsoft.com//.default",
        "https://api.manage.microsoft.com/.default",
        "https://api.manage.microsoft.com/",
        "https://api.manage.microsoft.com",
    ],
)
def test_every_spelling_of_the_audience_gives_the_double_slash(make: Make, written: str) -> None:
    provider = make("intune-ise", nac_audience=written)
    assert scope_of(provider.settings, "nac")[0] == "https://api.manage.microsoft.com//.default"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_secret": None}, "one login is wanted: client_secret, or certificate"),
        ({"certificate": {"file": "x.pem"}}, "one login is wanted: client_secret, or certificate"),
        ({"client_secret": "  "}, "one login is wanted: client_secret"),
        ({"tenant_id": "common"}, "logs in to one tenant"),
        ({"tenant_id": "a/b"}, "tenant_id"),
        ({"client_id": ""}, "client_id"),
        ({"cloud": "mars"}, "cloud"),
        ({"authority_url": "http://127.0.0.1:1"}, "https is wanted"),
        ({"graph_url": "https://a.example", "base_url": "https://b.example"}, "not the same"),
        ({"backends": []}, "backends"),
        ({"backends": ["nac"]}, "backends"),
        ({"nac_audience": "manage"}, "nac_audience"),
        ({"page_size": 2000}, "page_size"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        make(**changes)
    assert "a-secret" not in f"{caught.value} {caught.value.hint}"


def test_hosts_in_the_settings_are_trusted_too(make: Make) -> None:
    provider = make(authority_url="https://login.private.example", graph_url="https://graph.private.example/")
    assert provider.settings.base_url == "https://graph.private.example"
    assert provider.trusts("login.private.example")
    assert provider.trusts("graph.private.example")
    assert not make().trusts("graph.microsoft.com")


def test_settings_written_out_say_the_same(make: Make) -> None:
    settings = make(graph_url="https://graph.private.example").settings
    written = settings.model_dump(exclude_defaults=True)
    assert "graph_url" not in written
    assert type(settings).model_validate(written).base_url == settings.base_url


def test_a_back_end_that_is_off_is_not_offered(make: Make) -> None:
    both, graph, retrieval = make(), make(backends=["graph"]), make(backends=["compliance-retrieval"])
    assert graph.keys == both.keys - {Mac}
    assert retrieval.keys == {Mac, Guid}
    assert retrieval.capabilities == frozenset()
    assert graph.capabilities == both.capabilities == type(both).capabilities
    assert type(both).keys == both.keys
