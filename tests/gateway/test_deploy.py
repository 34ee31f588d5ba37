"""The files in deploy/: hardened, pinned, without secrets, and of one mind with each other."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import socket
import subprocess
import tomllib
from contextlib import ExitStack
from http.client import RemoteDisconnected
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import OpenerDirector

import httpx
import pytest
import yaml

from mdmsdk.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from tests.gateway.conftest import Open

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
CONTAINER = [
    line.split(maxsplit=1)
    for line in (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", "").splitlines()
    if line and not line.startswith("#")
]
UNIT = (DEPLOY / "mdmsdk-gateway.service").read_text(encoding="utf-8")


def test_the_container_has_what_it_needs_and_is_nobodys() -> None:
    last = max(number for number, (word, _) in enumerate(CONTAINER) if word == "FROM")
    steps = dict(CONTAINER[last:])
    assert steps["USER"] == "10001:10001"
    assert steps["ENTRYPOINT"] == '["mdm"]'
    assert "healthcheck.py" in steps["HEALTHCHECK"]
    # Only what is named gets in, and nothing of it but the environment into the last stage.
    copied = [text.split() for word, text in CONTAINER[:last] if word == "COPY"]
    assert {name for *names, _ in copied for name in names} <= {
        *("constraints.txt", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "mdmsdk", "plugins")
    }
    assert [text for word, text in CONTAINER[last:] if word == "RUN"] == []
    assert all("-c constraints.txt" in text for _, text in CONTAINER if "pip install" in text)
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim", dict(CONTAINER)["ARG"])
    assert not [text for word, text in CONTAINER if word == "ADD" or "curl" in text]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_service_may_do_no_more_than_it_has_to(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert "environment" not in service
    assert {*service["secrets"]} <= COMPOSE["secrets"].keys()


def test_the_services_are_healthy_by_the_check_of_the_container() -> None:
    check = re.search(r"CMD (\[.*\])", dict(CONTAINER)["HEALTHCHECK"])
    assert check
    for name in ("one", "two"):
        assert COMPOSE["services"][name]["healthcheck"]["test"] == ["CMD", *json.loads(check[1])]


def test_who_builds_is_sent_what_is_copied_and_nothing_else() -> None:
    lines = (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [text.split()[:-1] for word, text in CONTAINER if word == "COPY" and "--from" not in text]
    assert lines[1] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {name for some in copied for name in some}


def test_every_secret_is_a_file_that_the_services_have() -> None:
    assert all(one == {"file": f"secrets/{name}"} for name, one in COMPOSE["secrets"].items())
    gateway, redis = COMPOSE["services"]["one"], COMPOSE["services"]["redis"]
    named = re.findall(r"/run/secrets/([\w.-]+)", (DEPLOY / "mdm.toml").read_text(encoding="utf-8"))
    assert {*named} == {*gateway["secrets"]}
    assert {*re.findall(r"/run/secrets/([\w.-]+)", " ".join(redis["command"]))} == {*redis["secrets"]}
    tables = tomllib.loads((DEPLOY / "mdm.toml").read_text(encoding="utf-8"))
    secrets = [tables["store"]["key"], tables["store"]["password"], tables["gateway"]["ise"]["password"]]
    secrets += [server["password"] for server in tables["servers"].values()]
    assert all(isinstance(one, dict) and one.keys() == {"file"} for one in secrets)


def test_the_drain_is_shorter_than_what_ends_it() -> None:
    drain = GatewaySettings.model_fields["drain"].default
    seconds = int(COMPOSE["services"]["one"]["stop_grace_period"].rstrip("s"))
    assert min(seconds, int(re.findall(r"TimeoutStopSec=(\d+)", UNIT)[0])) >= drain + 5


@pytest.mark.parametrize(
    "line",
    [
        *(
            "DynamicUser=yes",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "ProtectHome=yes",
            "PrivateTmp=yes",
        ),
        *("CapabilityBoundingSet=", "SystemCallFilter=@system-service", "MemoryDenyWriteExecute=yes"),
        *("Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "KillMode=mixed"),
    ],
)
def test_the_unit_is_hardened(line: str) -> None:
    assert line in UNIT.splitlines()


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / "mdmsdk-gateway.service"
    copy.write_text(UNIT.replace("/opt/mdmsdk/bin/mdm ", f"{shutil.which('true')} "))
    for command in (["verify"], ["security", "--offline=true", "--threshold=15", "--no-pager"]):
        done = subprocess.run([analyze, *command, str(copy)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_health_check_tells_who_answers_from_who_does_not(gateway: Open) -> None:
    answers = runpy.run_path(str(DEPLOY / "healthcheck.py"))["answers"]
    # A network of which this machine is none, and nobody may ask any more.
    faces = gateway({"one": []}, networks=["192.0.2.0/24"], rate=0.01)
    assert [faces.rest.get("/v1/servers").status_code for _ in range(2)] == [403, 403]
    assert answers(f"{faces.origin}/healthz")
    origin = gateway({"one": []}, rate=0.01).origin
    assert [answers(f"{origin}/healthz") for _ in range(3)] == [True] * 3
    assert not answers(f"{origin}/nothing")
    assert not answers("http://127.0.0.1:9/healthz")


def test_the_health_check_tells_full_from_dead(gateway: Open) -> None:
    answers = runpy.run_path(str(DEPLOY / "healthcheck.py"))["answers"]
    origin = gateway({"one": []}, connections=1).origin
    place = urlsplit(origin)
    address = (str(place.hostname), int(place.port or 0))
    with socket.create_connection(address, timeout=20):
        assert httpx.get(f"{origin}/v1/servers").status_code == 503
        assert answers(f"{origin}/healthz")
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(address, timeout=20))
        assert answers(f"{origin}/healthz")


@pytest.mark.parametrize(
    ("cause", "lives"),
    [
        (BrokenPipeError(), True),
        (ConnectionResetError(), True),
        (RemoteDisconnected("closed"), True),
        (ConnectionRefusedError(), False),
        (TimeoutError(), False),
        (OSError("no route"), False),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("sending", [True, False])
def test_who_is_cut_off_has_met_somebody(
    monkeypatch: pytest.MonkeyPatch, cause: OSError, lives: bool, sending: bool
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise URLError(cause) if sending else cause

    monkeypatch.setattr(OpenerDirector, "open", fail)
    assert runpy.run_path(str(DEPLOY / "healthcheck.py"))["answers"]("http://127.0.0.1:1/") is lives
