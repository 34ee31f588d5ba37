"""Configuration files, secrets, and the federation over them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from mdmsdk.client.build import kinds_of
from mdmsdk.config import find_config, load_config, read_secret
from mdmsdk.errors import (
    ConfigurationError,
    ConnectError,
    IncompleteListError,
    InvalidIdentifierError,
    MdmError,
    SecretError,
    UnknownProviderError,
)
from mdmsdk.federation import AsyncMdmFederation, MdmFederation, Outcome, decide
from mdmsdk.federation.merge import Answer as Merged
from mdmsdk.federation.merge import Status, merged
from mdmsdk.identifiers import Mac
from mdmsdk.models import Compliance, ComplianceState, Device, LookupResult
from mdmsdk.settings import Policy
from mdmsdk.testing import Modal, open_client, open_federation
from tests.core.conftest import SECRET, Answer, Script, TinyProvider, TinySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

MAC = "00:1B:44:11:3A:B7"
ISE = """
[servers.{name}]
provider = "ise"
base_url = "https://{name}.example"
username = "nac"
password = {password}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.delenv("MDMSDK_CONFIG", raising=False)

    def write(text: str) -> Path:
        path = tmp_path / "mdm.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


class TestConfig:
    def test_servers_come_in_order_with_their_secrets(
        self, write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TABLETS_SECRET", "from-env")
        (tmp_path / "macs.secret").write_text("from-file\n")
        command = f'{{ command = ["{Path(sys.executable).as_posix()}", "-c", "print(\'from-command\')"] }}'
        text = (
            ISE.format(name="tablets", password='{ env = "TABLETS_SECRET" }')
            + ISE.format(name="macs", password='{ file = "macs.secret" }')
            + ISE.format(name="phones", password=command)
            + 'proxy = { env = "TABLETS_SECRET" }\n[servers.phones.tls]\nca_file = "ca.pem"\n'
            + '[federation]\norder = ["macs", "tablets", "phones"]\nmerge = "newest"\n'
        )
        config = load_config(write(text))
        assert config.names() == ["macs", "tablets", "phones"]
        assert config.names(["phones"]) == ["phones"]
        assert config.federation.merge == "newest"
        settings: list[Any] = [config.provider(name).settings for name in config.names()]
        passwords = [each.password.get_secret_value() for each in settings]
        assert passwords == ["from-file", "from-env", "from-command"]
        assert settings[2].tls.ca_file == tmp_path / "ca.pem"
        assert settings[2].proxy.get_secret_value() == "from-env"
        assert "from-" not in repr(config) + repr(settings)

    def test_the_file_is_found_in_its_places(
        self, write: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write("")
        other = tmp_path / "other.toml"
        monkeypatch.chdir(tmp_path)
        assert find_config().absolute() == path
        monkeypatch.setenv("MDMSDK_CONFIG", str(other))
        assert find_config() == other
        assert find_config(path) == path

    def test_no_file_is_an_error_that_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("MDMSDK_CONFIG", raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.setattr("platformdirs.user_config_path", lambda name: tmp_path / name)
        with pytest.raises(ConfigurationError, match="no configuration file") as caught:
            load_config()
        assert "mdm simulate" in (caught.value.hint or "")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("servers = [", "not valid TOML"),
            ("\x00", "not valid TOML"),
            ("", "servers is missing"),
            ("[servers]", "servers"),
            ("[server.a]\nprovider='ise'", "server is not known, is servers meant"),
            (ISE.format(name="a", password="'x'") + "[federation]\nmerge = 'best'", "federation.merge"),
            (ISE.format(name="a", password="'x'") + "[federation]\norder = ['b']", "no server b"),
        ],
    )
    def test_what_is_wrong_with_a_file_is_said(
        self, write: Callable[[str], Path], text: str, words: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=words) as caught:
            load_config(write(text))
        assert caught.value.hint

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"nowhere\.toml cannot be read"):
            load_config(tmp_path / "nowhere.toml")

    @pytest.mark.parametrize(
        ("settings", "kind", "words"),
        [
            ("base_url = 'https://h'", ConfigurationError, "provider is missing"),
            ("provider = 7", ConfigurationError, "provider is missing"),
            ("provider = 'isee'", UnknownProviderError, "no installed plugin provides 'isee'"),
            (
                "provider = 'ise'",
                ConfigurationError,
                "base_url is missing; username is missing; password is missing",
            ),
            (
                "provider = 'ise'\nbase_url = 'http://h'\nusername = 'u'\npassword = 'hunter2'",
                ConfigurationError,
                "https",
            ),
            (
                "provider = 'ise'\nbase_url = 'https://h'\nusername = 'u'\npasword = 'hunter2'",
                ConfigurationError,
                "is password meant",
            ),
            (
                "provider = 'ise'\nbase_url = 'https://h'\nusername = 'u'\npassword = { env = 'NO_VAR' }",
                SecretError,
                "password: the environment variable NO_VAR",
            ),
        ],
    )
    def test_what_is_wrong_with_a_server_is_said(
        self, write: Callable[[str], Path], settings: str, kind: type[MdmError], words: str
    ) -> None:
        config = load_config(write(f"[servers.lab]\n{settings}\n"))
        with pytest.raises(kind) as caught:
            config.provider("lab")
        assert words in caught.value.message
        assert caught.value.server == "lab"
        assert caught.value.hint
        assert "hunter2" not in str(caught.value) + str(caught.value.__cause__) + str(
            caught.value.__context__
        )


def test_the_types_in_an_annotation_are_found() -> None:
    assert kinds_of(SecretStr | None) == {SecretStr, type(None)}
    assert kinds_of(dict[str, list[int]]) == {str, int}
    assert {Path, int} <= kinds_of(Callable[[Path], int] | None)
    assert kinds_of(Callable[[], int]) == {int}


class TestSecrets:
    @pytest.mark.parametrize(
        "source",
        [
            {},
            {"env": "A", "file": "b"},
            {"vault": "x"},
            {"env": "NO_SUCH_VARIABLE"},
            {"file": "no-such-file"},
            {"file": "."},
            {"keyring": "no-slash"},
            {"command": "echo hunter2"},
            {"command": []},
            {"command": ["no-such-program-anywhere"]},
            {"command": [sys.executable, "-c", "print('hunter2'); raise SystemExit(3)"]},
            {"command": [sys.executable, "-c", "pass"]},
        ],
    )
    def test_an_unreadable_secret_says_where_and_not_what(self, source: dict[str, Any]) -> None:
        with pytest.raises(SecretError) as caught:
            read_secret(source)
        assert caught.value.hint
        assert "hunter2" not in str(caught.value)

    def test_the_keyring_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import keyring

        monkeypatch.setattr(
            keyring, "get_password", lambda service, user: {("mdm/lab", "nac"): "kept"}.get((service, user))
        )
        assert read_secret({"keyring": "mdm/lab/nac"}) == "kept"
        with pytest.raises(SecretError, match="no entry"):
            read_secret({"keyring": "mdm/lab/other"})

        def locked(service: str, user: str) -> None:
            raise RuntimeError("hunter2")

        monkeypatch.setattr(keyring, "get_password", locked)
        with pytest.raises(SecretError, match="did not answer"):
            read_secret({"keyring": "mdm/lab/nac"})


def found(server: str, state: str, *, seen: int = 1, registered: bool = True) -> Outcome:
    device = Device(
        server=server,
        id=f"{server}-1",
        compliance=Compliance(state=ComplianceState(state)),
        last_check_in=datetime.fromtimestamp(1_760_000_000 + seen, UTC),
        registered=registered,
    )
    return Outcome(server=server, provider="tiny", status=Status.FOUND, device=device)


class TestMerge:
    def test_the_strictest_verdict_on_the_newest_record(self) -> None:
        device = merged([found("a", "noncompliant"), found("b", "compliant", seen=9)], "strictest")
        assert device is not None
        assert (device.server, device.compliance.state) == ("b", "noncompliant")
        assert "disagree" in device.compliance.reasons[-1]

    def test_first_and_newest_choose_the_record_and_never_a_milder_verdict(self) -> None:
        outcomes = [found("a", "compliant"), found("b", "noncompliant", seen=9)]
        first, newest = merged(outcomes, "first"), merged(outcomes, "newest")
        assert first is not None
        assert newest is not None
        assert (first.server, first.compliance.state) == ("a", "noncompliant")
        assert (newest.server, newest.compliance.state) == ("b", "noncompliant")

    @pytest.mark.parametrize("how", ["strictest", "first", "newest"])
    def test_a_record_that_does_not_say_readably_that_it_left_counts(self, how: Any) -> None:
        odd = found("a", "noncompliant", registered=False)
        assert odd.device is not None
        odd = odd.model_copy(
            update={"device": odd.device.model_copy(update={"unreadable": frozenset({"register_status"})})}
        )
        device = merged([found("b", "compliant"), odd], how)
        assert device is not None
        assert (device.server, device.compliance.state) == ("b", "noncompliant")

    @pytest.mark.parametrize("how", ["strictest", "first", "newest"])
    def test_a_record_that_left_speaks_only_where_there_is_no_other(self, how: Any) -> None:
        left = found("a", "noncompliant", seen=99, registered=False)
        device = merged([left, found("b", "compliant")], how)
        assert device is not None
        assert (device.server, device.compliance.state) == ("b", "compliant")
        assert merged([left], how) == left.device
        assert merged([], how) is None


def answer(*outcomes: Outcome) -> Merged:
    return Merged(key=Mac(MAC), device=merged(outcomes, "strictest"), outcomes=outcomes)


def silent(status: Status, *, judges: bool = True) -> Outcome:
    return Outcome(server="z", provider="tiny", status=status, judges=judges)


class TestDecision:
    @pytest.mark.parametrize("state", ["compliant", "noncompliant", "grace", "unknown"])
    def test_a_complete_answer_is_its_state(self, state: str) -> None:
        assert decide(answer(found("a", state), silent(Status.NOT_FOUND))) == state
        assert decide(LookupResult(key=Mac(MAC), device=found("a", state).device)) == state

    @pytest.mark.parametrize("status", [Status.ERROR, Status.UNSUPPORTED])
    @pytest.mark.parametrize(
        ("state", "decision"),
        [("compliant", "no_answer"), ("grace", "no_answer")]
        + [("noncompliant", "noncompliant"), ("unknown", "unknown")],
    )
    def test_a_pass_needs_every_server_that_could_judge(
        self, status: Status, state: str, decision: str
    ) -> None:
        assert decide(answer(found("a", state), silent(status))) == decision
        assert decide(answer(found("a", state), silent(status, judges=False))) == state

    def test_an_inventory_vouches_for_nobody(self) -> None:
        beside = found("a", "compliant").model_copy(update={"judges": False})
        assert decide(answer(beside, silent(Status.NOT_FOUND))) == "unknown"
        assert decide(answer(beside, found("b", "compliant", registered=False))) == "unknown"
        assert decide(answer(beside, found("b", "compliant"))) == "compliant"

    def test_not_registered_needs_every_server_that_could_know(self) -> None:
        gone, nothing = found("a", "compliant", registered=False), silent(Status.NOT_FOUND)
        for known in (gone, nothing):
            assert decide(answer(known, nothing)) == "not_registered"
            assert decide(answer(known, silent(Status.ERROR))) == "no_answer"
            assert decide(answer(known, silent(Status.UNSUPPORTED))) == "no_answer"
        assert decide(answer(silent(Status.UNSUPPORTED))) == "no_answer"
        assert decide(answer(silent(Status.NOT_FOUND, judges=False))) == "no_answer"
        assert decide(LookupResult(key=Mac(MAC))) == "not_registered"
        assert decide(LookupResult(key=Mac(MAC), error=ConnectError("down"))) == "no_answer"


class Fleet:
    """Three servers: one that knows the device, one that does not, and one that a test can break."""

    def __init__(self, mode: str, origin: str, script: Script) -> None:
        self.script = script
        self.clients = [
            open_client(
                TinyProvider(TinySettings(base_url=origin + path, policy=Policy(attempts=1))),
                mode,
                server=name,
            )
            for name, path in (("a", ""), ("b", "/b"), ("c", "/c"))
        ]
        script.routes |= {"/b/info": "", "/b/find": "", "/c/info": "", "/c/find": "S1"}
        self.federation = open_federation(self.clients, mode)


@pytest.fixture
def fleet(mdm_mode: str, origin: str, script: Script) -> Iterator[Fleet]:
    fleet = Fleet(mdm_mode, origin, script)
    yield fleet
    for client in fleet.clients:
        client.close()
    fleet.federation.close()


class TestFederation:
    def test_every_server_has_its_outcome(self, fleet: Fleet) -> None:
        answer = fleet.federation.lookup(MAC)
        assert [(each.server, each.status) for each in answer.outcomes] == [
            ("a", "found"),
            ("b", "not_found"),
            ("c", "found"),
        ]
        assert (answer.found, answer.complete) == (True, True)
        assert answer.key == Mac(MAC)
        assert all(outcome.elapsed_ms > 0 for outcome in answer.outcomes)

    def test_servers_are_asked_at_once(self, fleet: Fleet) -> None:
        fleet.script.routes |= {path: Answer("S1", wait=0.3) for path in ("/find", "/b/find", "/c/find")}
        fleet.federation.lookup(MAC)
        assert fleet.script.most_at_once == 3

    def test_a_failure_never_hides_an_answer(self, fleet: Fleet) -> None:
        fleet.script.routes["/c/find"] = Answer("", 500)
        answer = fleet.federation.lookup(MAC)
        assert answer.found
        assert not answer.complete
        outcome = answer.outcomes[2]
        assert outcome.status == "error"
        assert outcome.error is not None
        assert outcome.error.server == "c"
        assert outcome.model_dump(mode="json")["error"]["type"] == "ServerError"

    def test_unknown_everywhere_and_unknown_where_it_could_be_asked_differ(self, fleet: Fleet) -> None:
        fleet.script.routes |= {"/find": "", "/c/find": ""}
        answer = fleet.federation.lookup(MAC)
        assert (answer.found, answer.complete) == (False, True)
        fleet.script.routes["/c/find"] = Answer("", 403)
        answer = fleet.federation.lookup(MAC)
        assert (answer.found, answer.complete) == (False, False)
        answer = fleet.federation.lookup("udid:U")
        assert {outcome.status for outcome in answer.outcomes} == {"unsupported"}
        assert (answer.found, answer.complete) == (False, False)

    def test_many_keys_are_answered_in_order(self, fleet: Fleet) -> None:
        fleet.script.routes |= {
            path: lambda request: request.query_params.get("serial", "")
            for path in ("/find", "/b/find", "/c/find")
        }
        keys = [f"serial:S{number}" for number in range(20)] + ["nonsense"]
        answers = list(fleet.federation.lookup_many(keys))
        assert [answer.device and answer.device.serial_number for answer in answers[:-1]] == [
            f"S{n}" for n in range(20)
        ]
        assert {type(outcome.error) for outcome in answers[-1].outcomes} == {InvalidIdentifierError}
        with pytest.raises(InvalidIdentifierError):
            fleet.federation.lookup("nonsense")

    def test_heartbeats_never_raise(self, fleet: Fleet) -> None:
        fleet.script.routes["/b/info"] = Answer("", 401)
        beats = fleet.federation.heartbeat()
        assert [(beat.server, beat.ok) for beat in beats] == [("a", True), ("b", False), ("c", True)]
        assert type(beats[1].error).__name__ == "AuthenticationError"

    def test_all_lists_are_given_before_a_failure_is_told(self, fleet: Fleet) -> None:
        fleet.script.routes |= {
            "/page": '{"rows": [1]}',
            "/b/page": Answer("", 500),
            "/c/page": '{"rows": [2]}',
        }
        listed: list[Device] = []
        with pytest.raises(IncompleteListError) as caught:
            listed.extend(fleet.federation.noncompliant())
        assert [(device.server, device.id) for device in listed] == [("a", "1"), ("c", "2")]
        assert [error.server for error in caught.value.failures] == ["b"]
        fleet.script.routes["/b/page"] = '{"rows": []}'
        assert len(list(fleet.federation.noncompliant())) == 2

    def test_two_servers_of_one_name_are_refused(self, fleet: Fleet) -> None:
        twice = [fleet.clients[0].wrapped, fleet.clients[0].wrapped]
        kind: Any = type(fleet.federation.wrapped)
        with pytest.raises(ConfigurationError, match="two servers are named 'a'"):
            kind(twice)

    def test_it_is_made_from_a_file(self, write: Callable[[str], Path]) -> None:
        path = write(ISE.format(name="one", password="'x'") + ISE.format(name="two", password=f"'{SECRET}'"))
        for kind in (MdmFederation, AsyncMdmFederation):
            federation: Any = kind.from_config(path)
            assert list(federation.clients) == ["one", "two"]
            assert list(kind.from_config(path, servers=["two"]).clients) == ["two"]
            assert SECRET not in repr(federation)

    @pytest.mark.parametrize("kind", [MdmFederation, AsyncMdmFederation])
    def test_one_without_servers_is_refused(self, kind: Any, write: Callable[[str], Path]) -> None:
        path = write(ISE.format(name="one", password="'x'"))
        for nobody in ((), iter(())):
            with pytest.raises(ConfigurationError, match="no server is named") as caught:
                kind.from_config(path, servers=nobody)
            assert "one" in str(caught.value.hint)
        with pytest.raises(ConfigurationError, match="no server to ask"):
            kind([])


def test_a_modal_twin_is_a_client_too(mdm_mode: str, origin: str) -> None:
    with open_client(TinyProvider(TinySettings(base_url=origin)), mdm_mode) as client:
        assert isinstance(client, Modal)
        assert client.with_policy(timeout=1).lookup(MAC) is not None
