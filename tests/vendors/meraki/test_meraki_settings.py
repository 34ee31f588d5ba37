"""Settings: what is refused, and with which words; what configuration files may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import mdmsdk
from mdmsdk.client.build import make_provider
from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError
from mdmsdk.registry import load_provider
from mdmsdk_meraki import MerakiSettings

if TYPE_CHECKING:
    from pathlib import Path

KEY = "0123456789abcdef0123456789abcdef01234567"
OAUTH: dict[str, Any] = {"refresh_token": "r-1", "client_id": "app", "client_secret": "s3cret-of-the-app"}


def test_a_key_is_enough() -> None:
    settings = MerakiSettings.model_validate({"api_key": f"{KEY}\n"})
    assert settings.base_url == "https://api.meraki.com/api/v1"
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://api.meraki.ca", "https://api.meraki.ca/api/v1"),
        ("https://api.meraki.cn/api/v1/", "https://api.meraki.cn/api/v1"),
        ("https://proxy.example.com/meraki/api/v1", "https://proxy.example.com/meraki/api/v1"),
    ],
)
def test_regional_bases(given: str, base: str) -> None:
    assert MerakiSettings.model_validate({"api_key": KEY, "base_url": given}).base_url == base


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "api_key"),
        ({"access_token": "a-1"}, "access_token is no setting any more: give it as api_key"),
        ({"api_key": KEY, "refresh_token": "r-1"}, "one login is wanted"),
        ({"api_key": KEY, **OAUTH, "on_refresh": print}, "one login is wanted"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": "two words"}, "api_key"),
        ({"api_key": "line\r\nbreak"}, "api_key"),
        ({"api_key": "é"}, "api_key"),
        (OAUTH, "on_refresh"),
        ({**OAUTH, "on_refresh": "print"}, "on_refresh"),
        ({"refresh_token": "r-1", "on_refresh": print}, "client_id"),
        ({"api_key": KEY, "base_url": "http://api.meraki.com"}, "clear text"),
        ({"api_key": KEY, "organizations": ["My organization"]}, "organizations.0"),
        ({"api_key": KEY, "networks": ["../x"]}, "networks.0"),
        ({"api_key": KEY, "redirect_hosts": ["https://x.example"]}, "redirect_hosts.0"),
        ({"api_key": KEY, "redirect_hosts": ["*.example.com"]}, "redirect_hosts.0"),
        ({"api_key": KEY, "organisations": ["1"]}, "organizations"),
        ({"api_key": KEY, "compliance": {"source": "guess"}}, "compliance.source"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        make_provider("meraki", settings)
    shown = f"{caught.value!r} {caught.value} {caught.value.hint}"
    assert KEY not in shown
    assert OAUTH["client_secret"] not in shown
    assert caught.value.hint


def test_a_configuration_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERAKI_KEY", KEY)
    path = tmp_path / "mdm.toml"
    path.write_text(
        """
        [servers.phones]
        provider = "meraki"
        api_key = { env = "MERAKI_KEY" }
        organizations = ["2930418"]
        networks = ["N_24329156"]
        redirect_hosts = ["N7.example.com"]
        compliance = { source = "tags", violating = ["Base violating"], compliant = ["Base compliant"] }
        """,
        encoding="utf-8",
    )
    settings = load_config(path).provider("phones").settings
    assert isinstance(settings, MerakiSettings)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == KEY
    assert settings.redirect_hosts == ("n7.example.com",)
    assert settings.compliance is not None
    assert settings.compliance.violating == ("Base violating",)
    assert settings.compliance.compliant == ("Base compliant",)


def test_a_hook_never_comes_from_a_file_and_never_goes_into_one(tmp_path: Path) -> None:
    path = tmp_path / "mdm.toml"
    path.write_text(
        '[servers.x]\nprovider = "meraki"\nrefresh_token = "r"\nclient_id = "a"\nclient_secret = "b"\n'
        'on_refresh = "os.system"\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError, match="on_refresh"):
        load_config(path).provider("x")
    settings = MerakiSettings.model_validate({**OAUTH, "on_refresh": print})
    assert "on_refresh" not in settings.model_dump()
    assert "on_refresh" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("n123.meraki.com", True),
        ("api.meraki.com", True),
        ("meraki.com", True),
        ("n1.meraki.ca", True),
        ("n1.meraki.cn", True),
        ("n1.meraki.in", True),
        ("n1.gov-meraki.com", True),
        ("mine.example.com", True),
        ("evilmeraki.com", False),
        ("meraki.com.evil.example", False),
        ("meraki.com.", False),
        ("meraki.co", False),
        ("x.mine.example.com", False),
        ("", False),
    ],
)
def test_where_the_credential_may_go(host: str, trusted: bool) -> None:
    provider = make_provider("meraki", {"api_key": KEY, "redirect_hosts": ["mine.example.com"]})
    assert provider.trusts(host) is trusted


def test_the_ise_settings_are_those_of_ise() -> None:
    client = mdmsdk.connect("meraki-ise", base_url="https://n1.meraki.com", username="u", password="p")
    assert client.provider.trusts("n2.meraki.com")
    assert set(load_provider("meraki-ise").settings_type.model_fields) == set(
        load_provider("ise").settings_type.model_fields
    )
    client.close()


def test_bad_ise_settings() -> None:
    with pytest.raises(ConfigurationError, match="base_url is missing"):
        make_provider("meraki-ise", {"username": "u", "password": "p"})
