"""The table of bad input: each has its own error and hint, in time, in every mode and on the command line.

None gives a verdict, none lets a credential out.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from mdmsdk import errors
from mdmsdk.cli import main
from mdmsdk.client.verdict import ruled, settle
from mdmsdk.ise.devices import read_device
from mdmsdk.models import ComplianceState
from mdmsdk.settings import Rules
from mdmsdk.simulator import Fault, Fleet, IseSimulator, RunningSimulator, TlsFiles, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mdmsdk.ise import Row
    from mdmsdk.testing import Modal

PASSWORD = "open-sesame-4711"
POLICY = {"timeout": 1.0, "deadline": 3.0, "attempts": 2, "max_wait": 0.1, "max_body": 2_000_000}


@dataclass(frozen=True)
class Case:
    """A server that misbehaves, or settings that do not fit it, and what must come of it."""

    error: type[errors.MdmError]
    says: str
    habits: dict[str, Any] = field(default_factory=dict)
    fault: Fault | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    call: str = "lookup"
    key: str = ""
    tls: bool = False


CASES = {
    "unreachable": Case(
        errors.ConnectError, "refused the connection", settings={"base_url": "http://127.0.0.1:9"}
    ),
    "untrusted-certificate": Case(errors.TlsError, "is not trusted", tls=True),
    "wrong-password": Case(errors.AuthenticationError, "401", settings={"password": "wrong-" + PASSWORD}),
    "account-without-login": Case(errors.AuthenticationError, "401", habits={"deny": 401}),
    "account-without-rights": Case(errors.PermissionDeniedError, "403", habits={"deny": 403}),
    "wrong-instance": Case(
        errors.EndpointNotFoundError, "mdminfo", settings={"instance": "/no/such/instance"}
    ),
    "login-page": Case(errors.MalformedResponseError, "page", fault=Fault("login_page")),
    "truncated-xml": Case(errors.MalformedResponseError, "", habits={"truncate": True}),
    "document-type": Case(errors.MalformedResponseError, "document type", habits={"document_type": "plain"}),
    "entity-bomb": Case(
        errors.MalformedResponseError, "document type", habits={"document_type": "entity_bomb"}
    ),
    "external-entity": Case(
        errors.MalformedResponseError, "document type", habits={"document_type": "external_entity"}
    ),
    "gzip-bomb": Case(
        errors.ResponseTooLargeError, "2,000,000 bytes", fault=Fault("gzip_bomb", size=1 << 28)
    ),
    "endless-body": Case(errors.ResponseTooLargeError, "2,000,000 bytes", fault=Fault("endless")),
    "slow-drip": Case(errors.MdmTimeoutError, "within 1 s", fault=Fault("drip", seconds=0.2)),
    "hanging": Case(errors.MdmTimeoutError, "within 1 s", fault=Fault("hang")),
    "connection-reset": Case(errors.ConnectError, "broke the connection off", fault=Fault("reset")),
    "redirect-elsewhere": Case(
        errors.RedirectError,
        "elsewhere.example",
        fault=Fault("redirect", location="https://elsewhere.example/"),
    ),
    "another-device": Case(
        errors.FilterIgnoredError, "other devices", habits={"wrong_filter": "other_device"}
    ),
    "filter-ignored": Case(
        errors.FilterIgnoredError,
        "other devices",
        habits={"wrong_filter": "everything"},
        key="guid:8b1f0c3e-0000-4000-8000-9b1d2c3e4f50",
    ),
    "repeated-page": Case(
        errors.IncompleteListError,
        "repeats a page",
        habits={"repeat_token": True, "query_max_size": 2},
        call="noncompliant",
    ),
    "throttled-list": Case(
        errors.RateLimitedError, "503", habits={"bulk_interval": 14400}, call="noncompliant"
    ),
}


@contextmanager
def server(case: Case, tmp_path: Path) -> Iterator[RunningSimulator[IseSimulator]]:
    tls = None
    if case.tls:
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / "server.pem")
        )
        tls = TlsFiles(tmp_path / "server.pem", tmp_path / "server.pem")
    simulator = IseSimulator(Fleet.generate(40), password=PASSWORD, **case.habits)
    with serve(simulator, tls=tls) as running:
        if case.habits.get("bulk_interval"):
            simulator._next_bulk = time.monotonic() + 14400
        if case.fault:
            simulator.faults.add(case.fault)
        yield running


def key(running: RunningSimulator[IseSimulator]) -> str:
    return f"guid:{running.simulator.fleet[0].guid}"


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_has_its_own_error(name: str, mdm_connect: Callable[..., Modal], tmp_path: Path) -> None:
    case = CASES[name]
    with server(case, tmp_path) as running:
        client = mdm_connect(**{**running.settings, **case.settings, "policy": POLICY, "server": "lab"})
        began = time.monotonic()
        with pytest.raises(errors.MdmError) as caught:
            client.lookup(case.key or key(running)) if case.call == "lookup" else list(client.noncompliant())
    error = caught.value
    assert type(error) is case.error
    assert case.says in str(error)
    assert error.server == "lab"
    assert error.provider == "ise"
    assert error.hint
    assert time.monotonic() - began < POLICY["deadline"] + 4
    shown = f"{error}{error!r}{error.hint}{vars(error)}"
    assert PASSWORD not in shown


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_command_line_says_it_and_ends_with_3(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    with server(case, tmp_path) as running:
        settings = {**running.settings, **case.settings}
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        policy = [f"{key} = {value}" for key, value in POLICY.items()]
        config = tmp_path / "mdm.toml"
        config.write_text(
            "\n".join(["[servers.lab]", *lines, "[servers.lab.policy]", *policy]), encoding="utf-8"
        )
        arguments = ["lookup", case.key or key(running)] if case.call == "lookup" else ["noncompliant"]
        code = main([*arguments, "--config", str(config), "--format", "ndjson"])
    out, err = capfd.readouterr()
    assert code == 3
    assert "lab: " in err
    assert "hint: " in err
    assert "Traceback" not in err
    assert PASSWORD not in out + err
    for line in out.splitlines():
        answer = json.loads(line)
        if case.call == "lookup":
            assert (answer["found"], answer["compliance"], answer["complete"]) == (False, None, False)
            assert answer["outcomes"][0]["error"]["type"] == case.error.__name__


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"provider": "isee"}, errors.UnknownProviderError, "installed are"),
        ({"base_url": None}, errors.ConfigurationError, "base_url is missing"),
        ({"base_url": "http://mdm.example"}, errors.ConfigurationError, "https is wanted"),
        ({"instence": "/x"}, errors.ConfigurationError, "is instance meant"),
        ({"api_version": 4}, errors.ConfigurationError, "api_version"),
        ({"username": "a:b"}, errors.ConfigurationError, "username"),
        ({"tls": {"ca_file": "no-such-file.pem"}}, errors.ConfigurationError, "no-such-file.pem"),
        ({"proxy": f"nonsense://u:{PASSWORD}@h"}, errors.ConfigurationError, "proxy"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    mdm_connect: Callable[..., Modal], settings: dict[str, Any], error: type[errors.MdmError], says: str
) -> None:
    good = {"provider": "ise", "base_url": "https://127.0.0.1:9", "username": "nac", "password": PASSWORD}
    with pytest.raises(error) as caught:
        mdm_connect(
            **{name: value for name, value in (good | settings).items() if value is not None}
        ).heartbeat()
    assert says in str(caught.value)
    assert caught.value.hint
    assert PASSWORD not in f"{caught.value}{caught.value!r}{caught.value.__cause__}{caught.value.__context__}"


@pytest.mark.parametrize(
    "verdict",
    [{"status": "maybe"}, {"status": {"a": "false"}}, {"a": {"status": "false"}}, "FALSE?", ["false"]],
)
def test_rules_are_no_pass_beside_a_verdict_that_nobody_can_read(verdict: Any) -> None:
    attributes = {"register_status": "true"}
    rows: list[Row] = [
        {"attributes": {**attributes, "compliance": verdict}},
        {"attributes": {**attributes, "compliance": {"status": "true"}}, "compliance": verdict},
        {"attributes": attributes, "compliance": verdict},
    ]
    for row in rows:
        judged = ruled(read_device(row), Rules(registered=True), datetime.now(UTC))
        assert settle(judged, "server", "ise").compliance.state is ComplianceState.UNKNOWN
    silent = ruled(read_device({"attributes": attributes}), Rules(registered=True), datetime.now(UTC))
    assert settle(silent, "server", "ise").compliance.state is ComplianceState.COMPLIANT
