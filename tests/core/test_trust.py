"""A configuration that was only found reads no secret; and what reading one leaves behind."""

from __future__ import annotations

import logging
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from mdmsdk.config import Config, load_config, read_secret
from mdmsdk.errors import ConfigurationError, SecretError
from mdmsdk.federation import AsyncMdmFederation, MdmFederation
from mdmsdk.settings import TlsSettings
from mdmsdk.trust import trust
from tests.core.conftest import printed

if TYPE_CHECKING:
    from collections.abc import Callable

    Write = Callable[..., Path]

SERVER = """
[servers.lab]
provider = "ise"
base_url = "https://mdm.example"
username = "nac"
"""
PLACES = {
    "env": '{ env = "PLANTED" }',
    "file": '{ file = "planted" }',
    "keyring": '{ keyring = "mdm/nac" }',
    "command": '{ command = ["touch", "ran"] }',
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `mdm.toml` into the working directory; the user's own folders are empty ones."""
    monkeypatch.delenv("MDMSDK_CONFIG", raising=False)
    monkeypatch.setenv("PLANTED", "from-env")
    here = tmp_path / "here"
    here.mkdir()
    (here / "planted").write_text("from-file")
    monkeypatch.chdir(here)
    for kind in ("config", "data"):
        folder = tmp_path / kind
        monkeypatch.setattr(platformdirs, f"user_{kind}_path", lambda name, folder=folder: folder / name)

    def write(more: str, folder: Path = here) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "mdm.toml"
        path.write_text(SERVER + more)
        path.chmod(0o600)
        return path

    return write


@pytest.mark.parametrize("kind", PLACES)
def test_a_file_that_was_only_found_reads_no_secret(write: Write, kind: str) -> None:
    write(f"password = {PLACES[kind]}\n")
    reads: list[Callable[[], object]] = [
        lambda: load_config().provider("lab"),
        MdmFederation.from_config,
        AsyncMdmFederation.from_config,
    ]
    for read in reads:
        with pytest.raises(SecretError, match="password is not read") as caught:
            read()
        assert "mdm config trust" in (caught.value.hint or "")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "more",
    [
        '[servers.lab.tls]\nclient_cert = "c.pem"\nclient_key_password = { env = "PLANTED" }\n',
        '[servers.lab.tls]\nclient_cert = "c.pem"\n',
        'proxy = { env = "PLANTED" }\n',
    ],
)
def test_no_other_setting_reads_one_either(write: Write, more: str) -> None:
    write(f'password = "inline"\n{more}')
    with pytest.raises(SecretError, match="is not read"):
        load_config().provider("lab")


def test_a_file_that_was_only_found_works_with_what_stands_in_it(write: Write) -> None:
    path = write('password = "inline"\n[servers.lab.tls]\nca_file = "ca.pem"\n')
    settings = load_config().provider("lab").settings
    assert settings.tls.ca_file == path.parent / "ca.pem"


def test_a_named_file_reads_its_secrets(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(f"password = {PLACES['env']}\n")
    load_config(path).provider("lab")
    load_config("mdm.toml").provider("lab")
    monkeypatch.setenv("MDMSDK_CONFIG", "mdm.toml")
    load_config().provider("lab")


def test_trust_is_for_this_path_and_content(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(f"password = {PLACES['env']}\n")
    assert trust(Path("mdm.toml")) == path
    load_config().provider("lab")
    other = write(f"password = {PLACES['env']}\n", tmp_path / "other")
    monkeypatch.chdir(other.parent)
    with pytest.raises(SecretError):
        load_config().provider("lab")
    monkeypatch.chdir(path.parent)
    assert load_config().trusted
    write(f"password = {PLACES['command']}\n")
    with pytest.raises(SecretError):
        load_config().provider("lab")
    assert not Path("ran").exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_mark_that_others_could_have_written_is_none(write: Write, tmp_path: Path) -> None:
    write(f"password = {PLACES['env']}\n")
    trust(Path("mdm.toml"))
    folder = tmp_path / "data" / "mdmsdk" / "trusted"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert not load_config().trusted


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "trusted"),
    [(0o700, 0o600, True), (0o770, 0o600, False), (0o700, 0o662, False)],
)
def test_the_own_folder_is_trusted_if_nobody_else_can_write_there(
    write: Write, tmp_path: Path, folder_mode: int, file_mode: int, *, trusted: bool
) -> None:
    path = write("password = { env = 'PLANTED' }\n", tmp_path / "config" / "mdmsdk")
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)
    assert load_config().trusted is trusted


def test_what_cannot_be_trusted_is_said(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be trusted"):
        trust(tmp_path / "nowhere.toml")
    path = write("password = 'x'\n")
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(ConfigurationError, match="cannot be trusted"):
        trust(path)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o600, False)])
def test_a_secret_that_everybody_can_read_is_warned_about(
    write: Write, caplog: pytest.LogCaptureFixture, mode: int, *, warned: bool
) -> None:
    path = write("password = 'inline-secret'\n")
    path.chmod(mode)
    load_config(path).provider("lab")
    assert ("password in clear text" in caplog.text) is warned
    assert "inline-secret" not in caplog.text
    assert all(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize("text", ["x = " + "[" * 50_000, "x = " + "{a=" * 50_000])
def test_toml_that_is_nested_too_deeply_is_an_error_of_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mdm.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load_config(path)


# --- what is left behind


@pytest.mark.parametrize(
    "more",
    [
        "password = 'planted-secret'\nusernam = 'x'\n",
        "password = 'planted-secret'\nproxy = { env = 'NO_SUCH_VARIABLE' }\n",
        "password = 'planted-secret'\nbase_url = 7\n",
        "password = 'planted-secret'\n[federation]\nmerge = 'best'\n",
        "password = 'planted-secret'\n[federation]\norder = ['nobody']\n",
        "password = 'planted-secret'\noops",
    ],
)
def test_an_error_of_the_file_keeps_none_of_it(write: Write, more: str) -> None:
    path = write(more)
    with pytest.raises(ConfigurationError) as caught:
        load_config(path).provider("lab")
    assert "planted-secret" not in printed(caught.value, without=__file__)


@pytest.mark.parametrize("kind", ["file", "command"])
def test_an_unreadable_secret_is_not_kept(tmp_path: Path, kind: str) -> None:
    (tmp_path / "planted").write_bytes(b"planted-secret\xff")
    program = "import sys; sys.stdout.buffer.write(b'planted-' + b'secret\\xff'); sys.exit({})"
    sources: list[dict[str, object]] = [{"file": "planted"}]
    if kind == "command":
        sources = [{"command": [sys.executable, "-c", program.format(status)]} for status in (0, 1)]
    for source in sources:
        with pytest.raises(SecretError) as caught:
            read_secret(source, tmp_path)
        assert "planted-secret" not in printed(caught.value, without=__file__)


def test_settings_and_configurations_are_not_pickled(write: Write) -> None:
    config: Config = load_config(write("password = 'planted-secret'\n"))
    for value in (config, config.provider("lab").settings, TlsSettings()):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(value)
