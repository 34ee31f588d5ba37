"""Servers from environment variables, as containers have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.config import load_config
from mdmsdk.environment import from_environment
from mdmsdk.errors import ConfigurationError
from mdmsdk.federation import MdmFederation

if TYPE_CHECKING:
    from pathlib import Path

MACS = {
    "MDMSDK_SERVERS__MACS__PROVIDER": "ise",
    "MDMSDK_SERVERS__MACS__BASE_URL": "https://macs.example",
    "MDMSDK_SERVERS__MACS__USERNAME": "nac",
    "MDMSDK_SERVERS__MACS__PASSWORD": "from-env",
}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MDMSDK_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def set_all(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in {**MACS, **variables}.items():
        monkeypatch.setenv(name, value)


def test_servers_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-file\n")
    set_all(
        monkeypatch,
        MDMSDK_SERVERS__TABLETS__PROVIDER="ise",
        MDMSDK_SERVERS__TABLETS__BASE_URL="https://tablets.example",
        MDMSDK_SERVERS__TABLETS__USERNAME="nac",
        MDMSDK_SERVERS__TABLETS__PASSWORD__FILE=str(tmp_path / "secret"),
        MDMSDK_SERVERS__TABLETS__POLICY__TIMEOUT="2.5",
        MDMSDK_SERVERS__TABLETS__JUDGES="false",
        MDMSDK_FEDERATION__ORDER='["tablets", "macs"]',
        MDMSDK_FEDERATION__PATIENCE="0.5",
    )
    config = load_config()
    assert (config.names(), config.federation.patience) == (["tablets", "macs"], 0.5)
    tablets: Any = config.provider("tablets").settings
    macs: Any = config.provider("macs").settings
    assert (tablets.policy.timeout, tablets.judges) == (2.5, False)
    assert tablets.password.get_secret_value() == "from-file"
    assert macs.password.get_secret_value() == "from-env"
    assert "from-" not in repr(config)
    assert list(MdmFederation.from_config().clients) == ["tablets", "macs"]


def test_a_file_that_is_only_found_says_nothing_beside_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mdm.toml").write_text('[servers.other]\nprovider = "ise"\n')
    set_all(monkeypatch)
    assert load_config().names() == ["macs"]


def test_a_named_file_is_completed_by_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        '[servers.macs]\nprovider = "ise"\nbase_url = "https://old.example"\nfilter = "all"\n'
        '[servers.other]\nprovider = "ise"\n'
    )
    set_all(monkeypatch)
    config = load_config(path)
    assert config.names() == ["macs", "other"]
    assert config.provider("macs").settings.base_url == "https://macs.example"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"MDMSDK_FEDERATION__ORDER": "[1,"}, "federation.order"),
        ({"MDMSDK_SERVERS__A____B": "x"}, "MDMSDK_SERVERS__A____B lacks a name"),
        ({"MDMSDK_SERVERS__A__B": "x", "MDMSDK_SERVERS__A__B__C": "y"}, "contradicts a shorter"),
        ({"MDMSDK_SERVERS__A": "hunter2"}, "servers.a"),
        ({"MDMSDK_FEDERATION__PATIENCE": "hunter2"}, "federation.patience"),
    ],
)
def test_what_is_wrong_is_told_without_a_value(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: str
) -> None:
    set_all(monkeypatch, **variables)
    with pytest.raises(ConfigurationError) as caught:
        load_config()
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_password_may_look_like_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, MDMSDK_SERVERS__MACS__PASSWORD="[s3cret{")
    settings: Any = load_config().provider("macs").settings
    assert settings.password.get_secret_value() == "[s3cret{"


def test_other_variables_are_not_ours() -> None:
    assert from_environment({"MDMSDK_HTTP": "httpx", "MDMSDK_CONFIG": "x", "SERVERS__A__B": "y"}) == {}
