"""The login by Kerberos, against a real key distribution centre where there is one."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import AuthenticationError, ConfigurationError, TokenError
from mdmsdk.identifiers import Hostname
from mdmsdk.simulator import Fleet, serve
from mdmsdk.simulator.faults import Fault
from mdmsdk.testing import open_client
from mdmsdk.testing.playing import play
from mdmsdk_configmgr import ConfigMgrProvider, ConfigMgrSettings, KerberosLogin
from mdmsdk_configmgr.simulator import ConfigMgrSimulator
from tests.vendors.configmgr.kdc import ACCOUNT, missing, realm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.simulator import RunningSimulator
    from tests.vendors.configmgr.kdc import Realm

FLEET = Fleet.generate(40, seed=3)
MODES = ("sync", "asyncio")
with_centre = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    with realm(tmp_path_factory.mktemp("realm")) as made:
        yield made


@pytest.fixture
def site(centre: Realm, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSimulator[ConfigMgrSimulator]]:
    for name, value in centre.environment.items():
        monkeypatch.setenv(name, value)
    with serve(ConfigMgrSimulator(FLEET, kerberos=str(centre.keytab))) as running:
        yield running


def look_up(name: str, client: Any) -> Any:
    return client.lookup(Hostname(name))


def provider(running: RunningSimulator[ConfigMgrSimulator], **changes: Any) -> ConfigMgrProvider:
    given = {**running.settings, **changes}
    given.pop("provider")
    return ConfigMgrProvider(ConfigMgrSettings(**given))


@with_centre
@pytest.mark.parametrize("mode", MODES)
def test_each_request_brings_a_ticket_that_the_server_takes(
    site: RunningSimulator[ConfigMgrSimulator], mode: str
) -> None:
    simulator = site.simulator
    with open_client(provider(site), mode) as client:
        client.heartbeat()
        found = client.side_by_side([partial(look_up, one.hostname) for one in FLEET])
        assert [device.compliance.state for device in found] == [simulator.verdict(one) for one in FLEET]
        assert {int(device.id) for device in client.noncompliant()} == {
            one.id for one in FLEET.noncompliant()
        }
    # The server refuses a ticket that comes twice, and the client would have had to try again.
    assert len(simulator.accounts) == len(simulator.requests)
    assert set(simulator.accounts) == {ACCOUNT}


@with_centre
@pytest.mark.parametrize("mode", MODES)
def test_an_attempt_after_a_failure_brings_another_ticket(
    site: RunningSimulator[ConfigMgrSimulator], mode: str
) -> None:
    with open_client(provider(site, policy={"max_wait": 0.1}), mode) as client:
        client.heartbeat()
        with site.simulator.faults.during(Fault("status", status=503, times=2)):
            assert client.lookup(Hostname(FLEET[0].hostname)) is not None
    # Two never came to the server; of the others, each was taken at once.
    assert len(site.simulator.accounts) == len(site.simulator.requests) - 2


@with_centre
def test_the_account_and_the_cache_can_be_named(
    site: RunningSimulator[ConfigMgrSimulator], centre: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = f"FILE:{centre.folder / 'others'}"
    centre.run("kinit", "-k", "-t", str(centre.client_keytab), "-c", cache, ACCOUNT)
    monkeypatch.delenv("KRB5_CLIENT_KTNAME")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{centre.folder / 'nothing'}")
    with open_client(provider(site, kerberos={"ccache": cache, "principal": ACCOUNT}), "sync") as client:
        client.heartbeat()
    with open_client(provider(site), "sync") as client, pytest.raises(TokenError) as caught:
        client.heartbeat()
    assert caught.value.step == "kerberos"
    assert "kinit" in str(caught.value.hint)


@with_centre
def test_a_ticket_of_another_service_is_refused(
    site: RunningSimulator[ConfigMgrSimulator], centre: Realm
) -> None:
    centre.run("kadmin.local", "-q", "addprinc -randkey HTTP/localhost")
    other = site.settings["base_url"].replace("127.0.0.1", "localhost")
    with open_client(provider(site, base_url=other), "sync") as client:
        with pytest.raises(AuthenticationError) as caught:
            client.heartbeat()
        assert "clocks" in str(caught.value.hint)
    assert site.simulator.accounts == []


@with_centre
def test_a_server_without_a_principal_is_told(
    site: RunningSimulator[ConfigMgrSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ConfigMgrProvider(
        ConfigMgrSettings(base_url="https://nobody.example.test", kerberos=KerberosLogin())
    )
    with pytest.raises(TokenError) as caught:
        play(made.login("api", None), [])
    assert not caught.value.retryable


@with_centre
def test_a_centre_that_is_down_is_worth_another_try(
    tmp_path_factory: pytest.TempPathFactory, centre: Realm, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("down")
    text = re.sub(r"kdc = 127.0.0.1:\d+", "kdc = 127.0.0.1:1", (centre.folder / "krb5.conf").read_text())
    (folder / "krb5.conf").write_text(text)
    for name, value in centre.environment.items():
        monkeypatch.setenv(name, value)
    cache = f"FILE:{folder / 'tickets'}"
    centre.run("kinit", "-k", "-t", str(centre.client_keytab), "-c", cache, ACCOUNT)
    monkeypatch.setenv("KRB5_CONFIG", str(folder / "krb5.conf"))
    monkeypatch.setenv("KRB5CCNAME", cache)
    monkeypatch.delenv("KRB5_CLIENT_KTNAME")
    made = ConfigMgrProvider(
        ConfigMgrSettings(base_url="https://cm01.example.test", kerberos=KerberosLogin())
    )
    with pytest.raises(TokenError) as caught:
        play(made.login("api", None), [])
    assert caught.value.retryable


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spnego", None)
    made = ConfigMgrProvider(ConfigMgrSettings(base_url="https://cm01.example.com", kerberos=KerberosLogin()))
    with pytest.raises(ConfigurationError) as caught:
        play(made.login("api", None), [])
    assert "mdmsdk-configmgr[kerberos]" in str(caught.value.hint)


def test_a_ticket_is_for_one_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([b"one", b"two"])

    class Context:
        def step(self) -> bytes:
            return next(made)

    class Library:
        """Stands for pyspnego: notes what it is asked for."""

        asked: list[dict[str, Any]]

        @staticmethod
        def client(account: Any, **given: Any) -> Any:
            Library.asked.append({"account": account, **given})
            return Context()

        class exceptions:  # noqa: N801 - a module's name
            SpnegoError = OSError

    Library.asked = []
    modules = __import__("sys").modules
    monkeypatch.setitem(modules, "spnego", Library)
    monkeypatch.setitem(modules, "spnego.exceptions", Library.exceptions)
    provider = ConfigMgrProvider(
        ConfigMgrSettings(base_url="https://cm01.example.com", kerberos=KerberosLogin(principal=ACCOUNT))
    )
    tokens = [play(provider.login("api", None), []) for _ in range(2)]
    assert Counter(token.value for token in tokens) == {"b25l": 1, "dHdv": 1}
    assert all(token.single_use and token.scheme == "Negotiate" for token in tokens)
    wanted = {"account": ACCOUNT, "hostname": "cm01.example.com", "service": "HTTP", "protocol": "kerberos"}
    assert Library.asked == [wanted, wanted]
