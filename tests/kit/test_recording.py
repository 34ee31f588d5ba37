"""What the recorder keeps out of cassettes, and what it says and does where it cannot."""

from __future__ import annotations

import base64
import html
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest

from mdmsdk.ise import IseProvider
from mdmsdk.testing import Pseudonyms, find_secrets, load_operations, record
from mdmsdk.testing.record import main
from mdmsdk.testing.secrets import leaks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = 'it\'s 100% "s3cret\\w0rd"'
VALUES = ["o'brien", "ACME\\Berlin", "\\\\ACME\\Berlin\\share", "Jane & Joe <Doe>", "müller-40%", SECRET]
WRITTEN: dict[str, Callable[[str], str]] = {
    "plainly": str,
    "in a path": lambda value: quote(value, safe=""),
    "twice in a path": lambda value: quote(quote(value, safe=""), safe=""),
    "thrice": lambda value: quote(quote(quote(value, safe=""), safe=""), safe=""),
    "in lower hex": lambda value: quote(value, safe="").replace("%5C", "%5c").replace("%C3", "%c3"),
    "in a form": quote_plus,
    "in JSON": json.dumps,
    "in JSON of UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "in JSON in JSON": lambda value: json.dumps(json.dumps(value)),
    "in JSON in a query": lambda value: quote(json.dumps(value), safe=""),
    "in XML": html.escape,
    "in OData": lambda value: quote("'" + value.replace("'", "''") + "'", safe=""),
    "in upper case": str.upper,
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("way", WRITTEN)
def test_a_value_is_found_however_it_is_written(value: str, way: str) -> None:
    pseudonyms = Pseudonyms(b"key")
    if value == SECRET:
        pseudonyms.learn_secret(value)
    else:
        pseudonyms.learn(value)
    if (value, way) == (SECRET, "in upper case"):
        return  # another secret
    text = f'{{"q": "{WRITTEN[way](value)}"}}'
    cassette = json.dumps([text])
    assert leaks(cassette, [("name", value)]) or value == SECRET  # what is to be found is there
    scrubbed = pseudonyms.apply(text)
    for word in ("brien", "ACME", "Berlin", "share", "Jane", "Doe", "ller", "s3cret", "w0rd"):
        assert word.lower() not in scrubbed.lower()
    assert leaks(json.dumps([scrubbed]), [("name", value)]) == []
    assert pseudonyms.apply(scrubbed) == scrubbed


@pytest.mark.parametrize("way", [way for way in WRITTEN if way != "in upper case"])
def test_what_stands_for_a_value_is_written_as_the_value_was(way: str) -> None:
    pseudonyms = Pseudonyms(b"key")
    for value in VALUES[:4]:
        pseudonyms.learn(value)
        made_up = pseudonyms.apply(value)
        assert pseudonyms.apply(WRITTEN[way](value)) == WRITTEN[way](made_up)


def test_the_parts_of_a_network_path_are_private_too() -> None:
    pseudonyms = Pseudonyms(b"key")
    pseudonyms.learn_body(
        json.dumps({"home": "\\\\BERLIN01\\jane$", "owner_account": "ACME\\jdoe", "a": "b\\n"})
    )
    assert pseudonyms.apply("BERLIN01 jdoe b\\n").endswith(" b\\n")
    for word in ("BERLIN01", "berlin01", "ACME", "jdoe"):
        assert word not in pseudonyms.apply(f"path {word}, x")


def test_a_server_is_not_named_without_its_scheme_either() -> None:
    pseudonyms = Pseudonyms(b"key")
    pseudonyms.learn_origin("https://acmecorp.mdm.example.net:8443", "https://mdm.example")
    body = json.dumps(
        {"a": "https://acmecorp.mdm.example.net:8443/x", "b": "acmecorp.mdm.example.net", "c": "ACMECORP"}
    )
    scrubbed = pseudonyms.apply(body)
    assert json.loads(scrubbed)["a"] == "https://mdm.example/x"
    assert json.loads(scrubbed)["b"] == "mdm.example"
    assert "acmecorp" not in scrubbed.lower()
    assert "https%3A%2F%2Fmdm" not in pseudonyms.apply("u=https%3A%2F%2Facmecorp.mdm.example.net%3A8443")
    assert "acme" not in pseudonyms.apply("u=https%3A%2F%2Facmecorp.mdm.example.net%3A8443")


def test_a_secret_in_base64_becomes_the_word_in_base64() -> None:
    pseudonyms = Pseudonyms(b"key")
    pseudonyms.learn_secret(SECRET)
    encoded = base64.b64encode(SECRET.encode()).decode()
    assert pseudonyms.apply(f'{{"password": "{encoded}"}}') == '{"password": "cmVkYWN0ZWQ="}'
    assert find_secrets('{"password": "cmVkYWN0ZWQ="}') == []


@pytest.mark.parametrize("written", ["{}", "{}\r\n", '"{}"'])
def test_a_login_that_answers_with_a_credential_line_shows_nothing(written: str) -> None:
    line = written.format("besng-basic " + base64.b64encode(b'provider="LOCAL",credentials="cw=="').decode())
    assert find_secrets(line)
    pseudonyms = Pseudonyms(b"key")
    pseudonyms.learn_body(line)
    assert pseudonyms.apply(line) == written.format("besng-basic redacted")


def test_an_access_key_is_a_secret_in_a_login_of_another() -> None:
    pseudonyms = Pseudonyms(b"key")
    body = '{"authRequest":{"appAccessKey":"KeyOfAnother1"}}'
    pseudonyms.learn_body(body)
    assert "KeyOfAnother1" not in pseudonyms.apply(body)


# The simulator refuses what is not in the description, unless it is told to take it.
_LENIENT = ("--habit", 'accepts=["unknown_parameters"]')


class TestRecorder:
    def test_a_leak_is_named_and_not_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        learn = Pseudonyms.learn

        def forgetful(self: Pseudonyms, *values: str | None) -> None:
            learn(self, *(value for value in values if not (value or "").startswith("SIM")))

        monkeypatch.setattr(Pseudonyms, "learn", forgetful)
        assert main(["ise", "--folder", str(tmp_path)]) == 1
        told = capsys.readouterr().err
        assert "would show the serial_number of a device; it was not kept" in told
        assert "SIM" not in told
        assert "vcr" not in told
        kept = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "ise").iterdir())
        assert "SIM" not in kept

    def test_a_secret_is_named_by_its_setting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(Pseudonyms, "learn_secret", lambda *_: None)
        monkeypatch.setattr(IseProvider, "authorize", _in_the_query)
        assert main(["ise", "--folder", str(tmp_path), *_LENIENT]) == 1
        told = capsys.readouterr().err
        assert "the setting password" in told
        assert "simulated" not in told
        assert list((tmp_path / "ise").iterdir()) == []

    def test_what_asks_otherwise_each_time_is_told_without_a_trace(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        numbers = iter(range(10**6))
        monkeypatch.setattr(
            IseProvider, "authorize", lambda _self, request, token: _asking(token.on(request), next(numbers))
        )
        assert main(["ise", "--folder", str(tmp_path), *_LENIENT]) == 1
        told = capsys.readouterr().err
        assert "so that it was not kept" in told
        assert len(told.splitlines()) == 1
        assert list((tmp_path / "ise").iterdir()) == []

    def test_a_folder_without_cassettes_names_the_command(self, tmp_path: Path) -> None:
        with pytest.raises(
            FileNotFoundError, match=r"python -m mdmsdk.testing.record acme --folder .*"
        ) as caught:
            load_operations(tmp_path / "acme")
        assert str(tmp_path) in str(caught.value)


def _asking(request: Any, number: int) -> Any:
    from dataclasses import replace

    return replace(request, params={**request.params, "nonce": str(number)})


def _in_the_query(self: Any, request: Any, token: Any) -> Any:
    return _asking(token.on(request), self.settings.password.get_secret_value())


def test_a_simulator_is_recorded_in_the_same_bytes_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "FLEET_SIZE", 3)
    told = []
    for name in ("one", "other"):
        record.from_simulator("maas360", tmp_path / name)
        told.append({file.name: file.read_bytes() for file in sorted((tmp_path / name).iterdir())})
    assert told[0] == told[1]
