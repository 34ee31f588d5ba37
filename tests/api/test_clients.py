"""Ways to a client, and what a call may be told: deadlines, new secrets, the last answer."""

from __future__ import annotations

import base64
import inspect
import logging
import os
import re
from typing import TYPE_CHECKING, Any, get_type_hints

import anyio
import pytest
from pydantic import SecretStr

import mdmsdk
from mdmsdk import (
    AsyncMdmClient,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    MdmClient,
    MdmFederation,
    Policy,
    PolicyChanges,
    SecretError,
    ServerError,
)
from mdmsdk.ise import IseSettings
from mdmsdk.settings import ProviderSettings
from mdmsdk.simulator import Fleet, IseSimulator, serve
from mdmsdk.testing import Modal, open_federation
from mdmsdk_jamf import JamfSettings
from tests.core.conftest import SECRET, Answer, Script, TinyProvider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tiny = Callable[..., Modal]

ISE = IseSettings(base_url="https://mdm.example:8443/x", username="nac", password=SecretStr("hush-word"))
JAMF = JamfSettings(base_url="https://j.example", client_id="i", client_secret=SecretStr("hush-word"))


class OtherSettings(ProviderSettings):
    """Of no provider."""


class TestWaysToAClient:
    @pytest.mark.parametrize("connect", [mdmsdk.connect, mdmsdk.connect_async])
    def test_a_settings_object_says_whose_it_is(self, connect: Any) -> None:
        for given, name in (((ISE,), "ise"), ((JAMF,), "jamf"), (("jamf-ise", ISE), "jamf-ise")):
            client = connect(*given)
            assert isinstance(client, MdmClient | AsyncMdmClient)
            assert client.provider.name == name
            assert client.provider.settings is given[-1]
            assert connect(*given, server="macs").server == "macs"
        assert connect(ISE).server == "mdm.example"

    @pytest.mark.parametrize(
        ("given", "more", "words"),
        [
            (("jamf", ISE), {}, "not the settings of 'jamf'"),
            ((OtherSettings(base_url="https://a.example"),), {}, "OtherSettings is not plain"),
            ((ISE,), {"password": "hush-word"}, "no room for password"),
            (("ise", ISE), {"username": "a"}, "no room for username"),
            ((ISE, ISE), {}, "a name or settings|name or settings are wanted"),
            ((3,), {}, "name or settings are wanted"),
            ((None,), {}, "name or settings are wanted"),
        ],
    )
    def test_what_does_not_fit_is_told(self, given: Any, more: dict[str, Any], words: str) -> None:
        with pytest.raises(ConfigurationError, match=words) as caught:
            mdmsdk.connect(*given, **more)
        assert "hush-word" not in f"{caught.value!r}{caught.value.hint}"

    @pytest.mark.parametrize("connect", [mdmsdk.connect_server, mdmsdk.connect_server_async])
    def test_a_server_of_the_configuration_by_its_name(self, connect: Any, configured: Path) -> None:
        client = connect("macs", configured)
        assert (client.server, client.provider.name) == ("macs", "ise")
        with pytest.raises(ConfigurationError, match="has no server tablets"):
            connect("tablets", configured)

    def test_the_changes_of_a_policy_are_its_fields(self) -> None:
        hints = get_type_hints(PolicyChanges)
        assert hints == {name: field.annotation for name, field in Policy.model_fields.items()}


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose only secret stands in the environment."""
    monkeypatch.setenv("MACS_SECRET", "first-secret")
    path = tmp_path / "mdm.toml"
    path.write_text(
        '[servers.macs]\nprovider = "ise"\nbase_url = "https://m.example"\nusername = "nac"\n'
        'password = { env = "MACS_SECRET" }\n'
    )
    return path


OTHERS = {"base_url": "https://m.example", "username": "nac"}


def password_of(client: Any) -> str:
    return str(client.provider.settings.password.get_secret_value())


class TestNewSecrets:
    def test_one_that_fails_names_the_setting_and_nothing_else(self) -> None:
        def vault() -> str:
            raise OSError("hunter2 is no good")

        with pytest.raises(SecretError, match="password failed") as caught:
            mdmsdk.connect("ise", base_url="https://m.example", username="nac", password=vault)
        assert "hunter2" not in f"{caught.value} {caught.value.hint}"

    def test_a_function_gives_them_and_is_called_again(self) -> None:
        given = iter(["first", "second"])
        settings: dict[str, Any] = {**OTHERS, "password": lambda: next(given)}
        with mdmsdk.connect("ise", **settings) as client:
            assert password_of(client) == "first"
            client.refresh_secrets()
            assert password_of(client) == "second"
            with pytest.raises(SecretError, match="password failed"):
                client.refresh_secrets()
            assert password_of(client) == "second"

    def test_a_function_gives_them_in_async(self) -> None:
        given = iter(["first", "second"])

        async def use() -> list[str]:
            settings: dict[str, Any] = {**OTHERS, "password": lambda: next(given)}
            async with mdmsdk.connect_async("ise", **settings) as client:
                before = password_of(client)
                await client.refresh_secrets()
                return [before, password_of(client)]

        assert anyio.run(use) == ["first", "second"]

    def test_a_client_goes_on_with_them(self, tiny: Tiny, script: Script) -> None:
        client = tiny()
        twin = client.with_policy(attempts=1)
        client.lookup("serial:S1")
        client.refresh_secrets(password="second-secret")
        client.lookup("serial:S1")
        twin.lookup("serial:S1")
        sent = [base64.b64decode(one.partition(" ")[2]).decode() for one in script.credentials()]
        assert list(dict.fromkeys(sent)) == [f"tiny:{SECRET}", "tiny:second-secret"]
        assert sent.index("tiny:second-secret") == len(sent) - 2
        assert isinstance(client.provider, TinyProvider)

    def test_tokens_of_old_ones_are_forgotten(self, tiny: Tiny, script: Script) -> None:
        script.routes["/token"] = '{"token": "t"}'
        client = tiny(login="token")
        client.lookup("serial:S1")
        client.refresh_secrets(password=SecretStr("second-secret"))
        client.lookup("serial:S1")
        assert [form["password"] for form in script.forms if form] == [SECRET, "second-secret"]

    def test_a_refused_one_does_not_stand_in_the_way(self, tiny: Tiny, script: Script) -> None:
        good = base64.b64encode(b"tiny:second-secret").decode()

        def find(request: Any) -> Any:
            fine = request.headers["authorization"].endswith(good)
            return "S1" if fine else Answer("", 401)

        script.routes["/find"] = find
        client = tiny()
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                client.lookup("serial:S1")
        assert script.counts["/find"] == 1
        client.refresh_secrets(password="second-secret")
        assert client.lookup("serial:S1") is not None

    def test_none_is_written_down(self, tiny: Tiny, script: Script, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        script.routes["/find"] = Answer(f"second-secret {SECRET}", 500)
        client = tiny(policy={"attempts": 1}, keep_raw=True)
        client.refresh_secrets(password="second-secret")
        with pytest.raises(ServerError) as caught:
            client.lookup("serial:S1")
        shown = f"{caught.value!r}{client.last_response.text}{caplog.text}{client!r}"
        assert not re.search(f"second-secret|{SECRET}", shown)

    def test_what_is_no_secret_stays(self, tiny: Tiny) -> None:
        client = tiny()
        with pytest.raises(ConfigurationError, match="no secrets of these settings are base_url"):
            client.refresh_secrets(base_url="https://elsewhere.example")
        with pytest.raises(ConfigurationError, match="in no configuration"):
            client.refresh_secrets()
        with pytest.raises(ConfigurationError) as caught:
            client.refresh_secrets(password=7)
        assert "password" in str(caught.value)
        assert client.provider.settings.password.get_secret_value() == SECRET

    def test_they_are_read_from_where_they_are_kept(
        self, configured: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        federation = MdmFederation.from_config(configured)
        clients = [mdmsdk.connect_server("macs", configured), federation.clients["macs"]]

        def read() -> list[str]:
            return [vars(client.provider.settings)["password"].get_secret_value() for client in clients]

        assert read() == ["first-secret"] * 2
        monkeypatch.setenv("MACS_SECRET", "second-secret")
        clients[0].refresh_secrets()
        federation.refresh_secrets()
        assert read() == ["second-secret"] * 2
        monkeypatch.delenv("MACS_SECRET")
        for holder in (clients[0], federation):
            with pytest.raises(SecretError, match="MACS_SECRET is not set") as caught:
                holder.refresh_secrets()
            assert caught.value.server == "macs"
        assert read() == ["second-secret"] * 2

    def test_connections_are_made_anew_for_another_proxy(self, tiny: Tiny) -> None:
        client = tiny()
        assert client.lookup("serial:S1") is not None
        client.refresh_secrets(proxy="http://user:third-secret@127.0.0.1:9")
        with pytest.raises(mdmsdk.TransportError) as caught:
            client.with_policy(attempts=1).lookup("serial:S1")
        assert "third-secret" not in f"{caught.value!r}{caught.value.hint}"


class TestDeadlines:
    def test_each_call_may_have_its_own(self, tiny: Tiny, script: Script) -> None:
        client = tiny()
        client.heartbeat()
        script.routes["/find"] = Answer("S1", wait=0.5)
        calls: list[Callable[[], Any]] = [
            lambda: client.lookup("serial:S1", deadline=0.1),
            lambda: client.find("serial:S1", deadline=0.1),
        ]
        for call in calls:
            with pytest.raises(DeadlineExceededError, match=r"0\.1 s"):
                call()
        script.routes["/info"] = Answer("", wait=0.5)
        with pytest.raises(DeadlineExceededError):
            client.heartbeat(deadline=0.1)

    def test_one_for_many_keys_is_for_all_of_them(self, tiny: Tiny, script: Script) -> None:
        client = tiny(limits={"concurrency": 1})
        client.heartbeat()
        script.routes["/find"] = lambda request: Answer(request.query_params["serial"], wait=0.15)
        results = list(client.lookup_many([f"serial:S{n}" for n in range(6)], deadline=0.4))
        kinds = [type(result.error) for result in results]
        assert kinds[0] is type(None)
        assert kinds[-1] is DeadlineExceededError
        assert kinds == sorted(kinds, key=[type(None), DeadlineExceededError].index)
        assert 1 <= script.counts["/find"] <= 3

    @pytest.mark.parametrize("deadline", [0, -1, float("nan"), float("inf")])
    def test_one_that_is_no_time_is_refused(self, tiny: Tiny, deadline: float) -> None:
        client = tiny()
        federation = open_federation([client], client.mode)
        for asked in (client, federation):
            with pytest.raises(ConfigurationError, match="deadline"):
                asked.lookup("serial:S1", deadline=deadline)
            with pytest.raises(ConfigurationError, match="deadline"):
                list(asked.lookup_many(["serial:S1"], deadline=deadline))
        federation.close()

    def test_a_federation_passes_it_on(self, tiny: Tiny, script: Script) -> None:
        client = tiny()
        client.heartbeat()
        script.routes["/find"] = Answer("S1", wait=0.5)
        federation = open_federation([client], client.mode)
        answer = federation.lookup("serial:S1", deadline=0.1)
        (late, later) = federation.lookup_many(["serial:S1", "serial:S2"], deadline=0.1)
        for one in (answer, late, later):
            assert isinstance(one.outcomes[0].error, DeadlineExceededError)
            assert one.decision == "no_answer"
        federation.close()


class TestLastResponse:
    def test_it_is_kept_on_request_alone(self, tiny: Tiny, script: Script) -> None:
        quiet: Any = tiny()
        quiet.lookup("serial:S1")
        assert quiet.last_response is None
        client: Any = tiny(keep_raw=True)
        client.lookup("serial:S1")
        assert (client.last_response.status, client.last_response.text) == (200, "S1")
        script.routes["/find"] = Answer(
            "broken", 500, {"x-request-id": "r-1", "set-cookie": "s=c00kie-value"}
        )
        with pytest.raises(ServerError):
            client.with_policy(attempts=1).lookup("serial:S1")
        last = client.last_response
        assert (last.status, last.text, last.header("x-request-id")) == (500, "broken", "r-1")
        assert "c00kie" not in f"{last.headers}"

    def test_it_is_never_a_logins_and_holds_no_secrets(self, tiny: Tiny, script: Script) -> None:
        script.routes["/token"] = '{"token": "t0ken-value"}'
        client = tiny(login="token", keep_raw=True)
        script.routes["/info"] = f'{{"said": "t0ken-value {SECRET}", "unlockPin": "123456", "id": 7}}'
        client.heartbeat()
        shown = client.last_response.text
        assert "123456" not in shown
        assert "t0ken-value" not in shown
        assert SECRET not in shown
        assert client.last_response.json()["id"] == 7

    def test_nor_does_its_address(self, tiny: Tiny, script: Script) -> None:
        script.routes["/find"] = Answer("", 302, {"location": f"/moved?a={SECRET}"})
        script.routes["/moved"] = "S1"
        client = tiny(keep_raw=True)
        client.lookup("serial:S1")
        assert client.last_response.url.partition("?")[0].endswith("/moved")
        assert SECRET not in client.last_response.url


def test_signatures_are_the_same_in_both_modes() -> None:
    for name in ("connect", "connect_server"):
        one = inspect.signature(getattr(mdmsdk, name)).parameters
        other = inspect.signature(getattr(mdmsdk, f"{name}_async")).parameters
        assert list(one.values()) == list(other.values())


def test_they_work_against_a_server(tmp_path: Path) -> None:
    with serve(IseSimulator(Fleet.generate(12))) as running:
        settings = {name: value for name, value in running.settings.items() if name != "provider"}
        with mdmsdk.connect(IseSettings(**settings)) as client:
            assert client.heartbeat().server == "127.0.0.1"
        (tmp_path / "secret").write_text(settings["password"] + os.linesep)
        (tmp_path / "mdm.toml").write_text(
            f'[servers.macs]\nprovider = "ise"\nbase_url = "{settings["base_url"]}"\n'
            f'username = "{settings["username"]}"\npassword = {{ file = "secret" }}\n'
            + (f'instance = "{settings["instance"]}"\n' if "instance" in settings else "")
        )
        with mdmsdk.connect_server("macs", tmp_path / "mdm.toml") as client:
            assert client.heartbeat().server == "macs"
            client.refresh_secrets()
            assert client.lookup("mac:00:00:5E:00:53:FE", deadline=5) is None
