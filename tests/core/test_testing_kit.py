"""The kit that plugin authors use: play, pseudonyms, the secret scanner, cassettes."""

from __future__ import annotations

import base64
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import SecretStr

from mdmsdk.errors import MalformedResponseError, MdmError, PluginError, ServerError
from mdmsdk.flow import Flow, call, pause, send, together
from mdmsdk.identifiers import Imei, Mac
from mdmsdk.models import ServerInfo
from mdmsdk.testing import (
    Played,
    Pseudonyms,
    find_secrets,
    open_client,
    play,
    recording,
    replaying,
    secret_values,
)
from mdmsdk.testing.cassettes import publishable
from mdmsdk.testing.record import main as record
from mdmsdk.wire import Request, Response
from tests.core.conftest import SECRET, Answer, Script, TinyProvider, TinySettings

if TYPE_CHECKING:
    from pathlib import Path

MAC = "00:1B:44:11:3A:B7"
PROVIDER = TinyProvider(TinySettings(base_url="https://mdm.example"))


class TestPlay:
    def test_a_flow_is_played_on_bytes(self) -> None:
        record = Played()
        info = play(PROVIDER.heartbeat(), ["7.1"], provider=PROVIDER, record=record)
        assert info.version == "7.1"
        assert [request.full_url for request in record.requests] == ["https://mdm.example/info"]

    def test_statuses_are_checked_and_errors_raised_in_the_flow(self) -> None:
        def flow() -> Flow[str]:
            try:
                yield from send(Request("GET", "https://h/a"))
            except MdmError as error:
                yield from pause(3, server_wide=True)
                return type(error).__name__
            return "no error"

        record = Played()
        assert play(flow(), [Response(500)], provider=PROVIDER, record=record) == "ServerError"
        assert [step.seconds for step in record.pauses] == [3]
        assert play(flow(), [ServerError("x")]) == "ServerError"
        assert play(flow(), [Response(500)]) == "no error"  # nobody checked it

    def test_what_is_no_step_is_told_as_the_clients_tell_it(self) -> None:
        def flow() -> Any:
            yield send(Request("GET", "https://h/a"))

        with pytest.raises(PluginError, match=r"yield from send\(\.\.\.\)"):
            play(flow(), [])

    def test_every_step_is_played(self) -> None:
        def flow() -> Flow[list[Any]]:
            answers = yield from together(*(send(Request("GET", f"https://h/{name}")) for name in "ab"))
            return [answer.text for answer in answers] + [(yield from call(lambda: "called"))]

        assert play(flow(), lambda request: request.url[-1]) == ["a", "b", "called"]

    def test_a_flow_that_asks_too_much_fails_the_test(self) -> None:
        with pytest.raises(
            AssertionError, match=r"no answer is left for <Request GET https://mdm\.example/find"
        ):
            play(PROVIDER.find(ServerInfo(), Mac(MAC)), [])


class TestPseudonyms:
    @given(st.text("abcdefghijXYZ0123456789-. é", min_size=4, max_size=30))
    def test_a_pseudonym_has_the_form_of_what_it_replaces(self, value: str) -> None:
        assume(
            not re.fullmatch(r"[0-9a-fA-F]{2}(-?[0-9a-fA-F]{2}){5}", value)
        )  # addresses have a form of their own
        pseudonyms = Pseudonyms(b"key")
        pseudonyms.learn(value)
        made_up = pseudonyms.apply(value)
        assert [char.isdigit() for char in made_up] == [char.isdigit() for char in value]
        assert [char.isupper() for char in made_up] == [char.isupper() for char in value]
        assert Pseudonyms(b"key").apply(value) == value
        assert pseudonyms.apply(value) == made_up

    @given(st.integers(10**3, 10**18))
    def test_a_number_in_json_stays_one(self, number: int) -> None:
        pseudonyms = Pseudonyms(b"key")
        body = json.dumps({"phoneNumber": number})
        pseudonyms.learn_body(body)
        made_up = json.loads(pseudonyms.apply(body))["phoneNumber"]
        assert len(str(made_up)) == len(str(number))

    def test_a_mac_keeps_its_kind_and_is_found_in_every_spelling(self) -> None:
        pseudonyms = Pseudonyms(b"key")
        pseudonyms.learn(MAC)
        spellings = [
            "00:1B:44:11:3A:B7",
            "00-1b-44-11-3a-b7",
            "001B.4411.3AB7",
            "001b44113ab7",
            "00%3A1B%3A44%3A11%3A3A%3AB7",
        ]
        made_up = {Mac(pseudonyms.apply(text).replace("%3A", ":")) for text in spellings}
        assert len(made_up) == 1
        (mac,) = made_up
        assert mac != Mac(MAC)
        assert mac.hex[:2] == "00"

    @pytest.mark.parametrize(
        "spellings",
        [
            ["C02xk0aajg5h", "C02XK0AAJG5H", "c02xk0aajg5h"],
            ["00008101-001A2B3C4D5E6F70", "00008101001a2b3c4d5e6f70", "00008101-001a2b3c4d5e6f70"],
            ["00008101001A2B3C4D5E6F70", "00008101-001a2b3c4d5e6f70", "00008101001a2b3c4d5e6f70"],
        ],
    )
    def test_an_identifier_is_found_in_every_spelling(self, spellings: list[str]) -> None:
        pseudonyms = Pseudonyms(b"key")
        pseudonyms.learn(spellings[0])
        made_up = [pseudonyms.apply(text) for text in spellings]
        assert len({text.lower().replace("-", "") for text in made_up}) == 1
        assert not {text.lower() for text in made_up} & {text.lower() for text in spellings}

    def test_an_imei_is_found_in_every_spelling(self) -> None:
        key, pseudonyms = Imei("490154203237518"), Pseudonyms(b"key")
        pseudonyms.learn(key.value)
        (made_up,) = {Imei(pseudonyms.apply(text)) for text in (*key.spellings, "49 015420 323751 8")}
        assert made_up != key
        # A replay asks for the same texts again.
        assert [pseudonyms.apply(text) for text in key.spellings] == list(made_up.spellings)

    def test_another_key_gives_other_pseudonyms(self) -> None:
        one, other = Pseudonyms(b"one"), Pseudonyms(b"other")
        for pseudonyms in (one, other):
            pseudonyms.learn("jane.doe")
        assert one.apply("jane.doe") != other.apply("jane.doe")

    @pytest.mark.parametrize(
        "body",
        [
            json.dumps(
                {
                    "a": [
                        {
                            "userName": "jane.doe",
                            "serialNumber": "C02XK0AAJG5H",
                            "access_token": "hunter2",
                            "model": "Mac",
                        }
                    ]
                }
            ),
            "<a xmlns='x'><user>jane.doe</user><Serial>C02XK0AAJG5H</Serial><token>hunter2</token>Mac</a>",
            "username=jane.doe&serial=C02XK0AAJG5H&client_secret=hunter2&model=Mac",
        ],
    )
    def test_fields_that_name_a_person_or_device_are_recognised(self, body: str) -> None:
        pseudonyms = Pseudonyms(b"key")
        pseudonyms.learn_body(body)
        scrubbed = pseudonyms.apply(body)
        for value in ("jane.doe", "C02XK0AAJG5H", "hunter2"):
            assert value not in scrubbed
        assert "Mac" in scrubbed
        assert "redacted" in scrubbed

    def test_a_part_of_another_word_is_left_alone(self) -> None:
        pseudonyms = Pseudonyms(b"key")
        pseudonyms.learn("1234")
        assert pseudonyms.apply("812345 x1234y") == "812345 x1234y"
        for text in ("a=1234&b", "q=%221234%22", "fq=guid%3D1234"):
            assert "1234" not in pseudonyms.apply(text)


class TestScanner:
    @pytest.mark.parametrize(
        "text",
        [
            "Authorization: Basic dXNlcjpwYXNzd29yZA==",
            "headers:\n  Cookie: session=abcdef",
            '"access_token": "abcdefgh"',
            "client_secret=s3cr3tvalue&x=1",
            "password: hunter2hunter2",
            "https://user:hunter2@mdm.example/",
            "-----BEGIN PRIVATE KEY-----",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fw",
            base64.b64encode(bytes(range(3, 250, 5))).decode(),
        ],
    )
    def test_what_looks_like_a_secret_is_found_and_not_repeated(self, text: str) -> None:
        found = find_secrets("first line\n" + text)
        assert found
        assert all(re.match(r"line \d+: [a-zA-Z ]+$", line) for line in found)

    @pytest.mark.parametrize(
        "text",
        [
            "password: redacted",
            '"access_token": null',
            'password = { env = "JAMF_SECRET" }',
            "",
            "a sentence about a password.",
        ]
        + [
            "guid: 1759c0fd-c8da-49e8-b14f-19d85acfacea",
            "sha: " + "0123456789abcdef" * 4,
            "/ciscoise/mdmapi/v3/devices/",
        ],
    )
    def test_other_text_is_left_alone(self, text: str) -> None:
        assert find_secrets(text) == []

    def test_secrets_of_settings_are_found_wherever_they_stand(self) -> None:
        settings = TinySettings(base_url="https://h", password=SecretStr("one"), proxy=SecretStr("two"))
        assert sorted(secret_values(settings)) == ["one", "two"]


class TestCassettes:
    def test_what_is_recorded_is_scrubbed_and_replays_in_every_mode(
        self, origin: str, script: Script, tmp_path: Path, mdm_mode: str
    ) -> None:
        serial = "C02XK0AAJG5H"
        script.routes |= {"/token": json.dumps({"token": "t0k3n-" + SECRET}), "/find": serial, "/logout": ""}
        script.routes["/info"] = Answer("", headers={"set-cookie": "session=" + SECRET})
        settings = TinySettings(base_url=origin, login="token")
        pseudonyms = Pseudonyms(os.urandom(16))
        pseudonyms.learn(serial)
        pseudonyms.learn_secret(SECRET)
        path = tmp_path / "find.yaml"
        options: dict[str, Any] = {
            "source": "a test",
            "pseudonyms": pseudonyms,
            "origins": {origin: "https://mdm.example"},
        }
        with recording(path, **options), open_client(TinyProvider(settings), "sync") as client:
            assert client.lookup(MAC).serial_number == serial
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# Recorded from: a test\n")
        for value in (SECRET, serial, "127.0.0.1", "session"):
            assert value not in text
        replayed = TinyProvider(TinySettings(base_url="https://mdm.example", login="token"))
        with replaying(path), open_client(replayed, mdm_mode) as client:
            assert client.lookup(MAC).serial_number == pseudonyms.apply(serial)
            with pytest.raises(Exception, match="find"):
                client.lookup("serial:NOT-RECORDED")

    def test_a_missing_cassette_says_how_to_record_it(self, tmp_path: Path) -> None:
        with (
            pytest.raises(FileNotFoundError, match=r"python -m mdmsdk\.testing\.record acme"),
            replaying(tmp_path / "acme" / "none.yaml"),
        ):
            pass

    def test_settings_are_published_without_account_secret_and_address(self) -> None:
        pseudonyms = Pseudonyms(b"key")
        settings = {
            "base_url": "https://real.example:8443/x",
            "username": "real-account",
            "password": "**********",
            "tls": {"ca_file": "/home/me/ca.pem"},
            "instance": "/x",
        }
        from mdmsdk.ise import IseSettings

        published, origins = publishable(settings, pseudonyms, IseSettings)
        assert origins == {"https://real.example:8443": "https://mdm.example"}
        assert published["base_url"] == "https://mdm.example/x"
        assert published["password"] == "redacted"
        assert published["username"] != "real-account"
        assert "tls" not in published

    def test_the_recorder_writes_what_the_contract_replays(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert record(["ise", "--folder", str(tmp_path)]) == 0
        assert "10 cassettes" in capsys.readouterr().out
        assert (tmp_path / "ise" / "operations.json").is_file()
        assert record(["no-such-provider", "--folder", str(tmp_path)]) == 1
        assert "no-such-provider" in capsys.readouterr().err

    def test_the_recorder_takes_habits(self, tmp_path: Path) -> None:
        asked = ["--habit", "page_size=2", "--habit", "vendor=Somebody"]
        assert record(["ise", "--folder", str(tmp_path), *asked]) == 0
        text = (tmp_path / "ise" / "noncompliant.yaml").read_text(encoding="utf-8")
        assert text.startswith(
            "# Recorded from: the ise simulator, 24 devices, seed 7, page_size 2, vendor Somebody\n"
        )
        assert text.count("querycriteria=compliance") > 1
        assert "Somebody" in (tmp_path / "ise" / "heartbeat.yaml").read_text(encoding="utf-8")


def test_an_undecodable_answer_is_no_json() -> None:
    with pytest.raises(MalformedResponseError):
        Response(200, {}, b"\xff\xfe\x00").json()
