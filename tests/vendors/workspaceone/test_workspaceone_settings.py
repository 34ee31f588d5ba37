"""What an administrator types, and what is said about mistakes in it."""

from typing import Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import ConfigurationError
from mdmsdk_workspaceone import WorkspaceOneSettings

BASE = {"base_url": "https://as1.example.com"}
BASIC = {**BASE, "tenant_code": "key", "username": "reader", "password": "hush-word"}
OAUTH = {**BASE, "client_id": "client", "client_secret": "hush-word"}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"region": "na"}, "https://na.uemauth.workspaceone.com/connect/token"),
        ({"region": "uat"}, "https://uat.uemauth.workspaceone.com/connect/token"),
        ({"region": "emea"}, "https://emea.uemauth.workspaceone.com/connect/token"),
        ({"region": "apac"}, "https://apac.uemauth.workspaceone.com/connect/token"),
        ({"token_url": "https://login.example.com/t"}, "https://login.example.com/t"),
    ],
)
def test_the_region_names_the_token_service(given: dict[str, Any], url: str) -> None:
    settings = WorkspaceOneSettings.model_validate({**OAUTH, **given})
    assert settings.login_url == url


def test_without_oauth_there_is_no_token_service() -> None:
    assert WorkspaceOneSettings.model_validate(BASIC).login_url is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (BASE, "one login is wanted"),
        ({**BASIC, **OAUTH, "region": "na"}, "one login is wanted"),
        ({**BASIC, "certificate": {"file": "c.p12"}}, "one login is wanted"),
        ({**BASE, "tenant_code": "key", "username": "reader"}, "one login is wanted"),
        ({**BASE, "client_id": "client", "region": "na"}, "one login is wanted"),
        ({**OAUTH}, "client_secret and region, or client_id and client_secret and token_url"),
        ({**OAUTH, "region": "na", "token_url": "https://login.example.com"}, "one login is wanted"),
        ({**OAUTH, "region": "mars"}, "region"),
        ({**OAUTH, "token_url": "http://login.example.com"}, "clear text"),
        ({**BASIC, "region": "na"}, "one login is wanted"),
        ({**BASE, "username": "reader", "password": "hush-word"}, "tenant_code is missing"),
        ({**BASE, "certificate": {"file": "c.p12"}}, "tenant_code is missing"),
        ({**BASIC, "username": "a:b"}, "no colon"),
        ({**BASIC, "time_zone": "Mars/Olympus"}, "time_zone"),
        ({**BASIC, "time_zone": "../etc/passwd"}, "time_zone"),
        ({**BASIC, "time_zone": "Europe"}, "time_zone"),
        ({**BASIC, "time_zone": 1}, "time_zone"),
        ({**BASIC, "page_size": 501}, "500"),
        ({**BASIC, "api_version": 2}, "api_version is no setting any more: the newest"),
        ({**BASIC, "organization_group": "somewhere"}, "organization_group"),
        ({**BASIC, "organization_group": "6b1f2a0c-5d3e-4f70-9a81-0b2c3d4e5f60"}, "organization_group"),
        ({**BASIC, "tenant_key": "x"}, "tenant_key is not known"),
    ],
)
def test_mistakes_are_told_without_values(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_provider("workspaceone", given)
    assert words in str(caught.value)
    assert "hush-word" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "given",
    [
        {"organization_group": 570},
        {"organization_group": "570"},
        {"time_zone": "Europe/Berlin"},
        {"username": "CORP\\reader"},
    ],
)
def test_these_are_taken(given: dict[str, Any]) -> None:
    assert make_provider("workspaceone", {**BASIC, **given}).name == "workspaceone"


@pytest.mark.parametrize("name", ["tenant_code", "password", "client_secret"])
def test_secrets_do_not_show(name: str) -> None:
    given = {**(OAUTH | {"region": "na"} if name == "client_secret" else BASIC), name: "hush-word"}
    settings = make_provider("workspaceone", given).settings
    assert "hush-word" not in repr(settings)
    assert "hush-word" not in settings.model_dump_json()
