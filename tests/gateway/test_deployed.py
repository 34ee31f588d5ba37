"""What deploy/ says, done: the container file in an environment of its own, the services as processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk.simulator import Fleet, IseSimulator, serve
from tests.gateway.conftest import LOGIN, MDMINFO
from tests.gateway.deployed import free_port, open_folder, secrets, ssl_of
from tests.gateway.test_deploy import COMPOSE, CONTAINER, DEPLOY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif("MDM_DEPLOYED" not in os.environ, reason="takes minutes: nox -s deployed"),
    pytest.mark.timeout(900),
]
ROOT = DEPLOY.parent


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as found:
        yield found


def moved(text: str, place: Path) -> str:
    """A text of deploy/ with the paths of a container moved into a folder."""
    for before, after in (("/opt/mdmsdk", "opt"), ("/run/secrets", "secrets"), ("/etc/mdmsdk", "etc")):
        text = text.replace(before, str(place / after))
    return text.replace("python3 -m venv", f"{sys.executable} -m venv")


def build(place: Path) -> None:
    """Do what the container file says."""
    source = place / "build"
    for word, text in CONTAINER:
        if word == "COPY" and not text.startswith("--from"):
            *names, target = moved(text, place).split()
            into = source / target
            into.mkdir(parents=True, exist_ok=True) if target == "./" else None
            for name in names:
                copied = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copied(ROOT / name, into)
        if word == "RUN":
            subprocess.run(["/bin/sh", "-ec", moved(text, place)], cwd=source, check=True)


def nobody(command: list[str]) -> list[str]:
    """The command as a user who owns nothing, where we may become that.

    Who may not look into the folder of our interpreter would run another one; this user may read everything
    there, and still write nothing.
    """
    if os.geteuid() or not shutil.which("setpriv"):
        return command
    user = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--no-new-privs"]
    interpreter = Path(sys.executable).resolve()
    if not all(one.stat().st_mode & 0o001 for one in (interpreter, *interpreter.parents)):
        user += [f"--{which}-caps=-all,+dac_read_search" for which in ("inh", "ambient")]
    return [*user, *command]


def test_the_container_and_the_services_work(place: Path) -> None:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    build(place)
    authority = secrets(place)
    ports = {name: free_port() for name in COMPOSE["services"]}
    words = [
        moved(word, place).replace("6379", str(ports["redis"]))
        for word in COMPOSE["services"]["redis"]["command"]
    ]
    flags = [part for word in words for part in (word.split(" ", 1) if word.startswith("--") else [word])]
    started = [subprocess.Popen([flag.strip('"') for flag in flags], cwd=place, stdout=subprocess.DEVNULL)]
    fleet = Fleet.generate(5)
    try:
        with serve(IseSimulator(fleet)) as running:
            started.extend(gateway(place, name, ports, running.settings) for name in ("one", "two"))
            health(place, ports)
            context = ssl_of(authority)
            for name in ("one", "two"):
                origin = f"https://127.0.0.1:{ports[name]}"
                assert httpx.get(origin + MDMINFO, auth=LOGIN, verify=context).status_code == 200
                ready = httpx.get(origin + "/readyz", verify=context).json()
                assert (ready["ready"], ready["store"]) == (True, True)
            for process in started[1:]:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
    finally:
        list(map(subprocess.Popen.kill, started))
        list(map(subprocess.Popen.communicate, started))


def gateway(place: Path, name: str, ports: dict[str, int], server: dict[str, Any]) -> subprocess.Popen[bytes]:
    """One of the gateways of the compose file, by the last words of the container file."""
    text = moved((DEPLOY / "mdm.toml").read_text(encoding="utf-8"), place)
    text = text.replace("redis:6379", f"localhost:{ports['redis']}").replace(":8443", f":{ports[name]}")
    text = text.replace("https://mdm.example", server["base_url"]).replace(
        '"nac"', json.dumps(server["username"])
    )
    (place / name).mkdir()
    (place / name / "mdm.toml").write_text(text)
    last = dict(CONTAINER)
    command = json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"])
    command = [word.replace("/etc/mdmsdk", str(place / name)) for word in command]
    environment = {"PATH": f"{place}/opt/bin:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(nobody(command), env=environment, cwd=place / name, stderr=subprocess.PIPE)
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if b"serving on" in line:
            return process
    raise AssertionError(b"".join(said).decode())


def health(place: Path, ports: dict[str, int]) -> None:
    """The health checks of all three."""
    check = re.search(r"CMD (\[.*\])", dict(CONTAINER)["HEALTHCHECK"])
    assert check
    for name in ("one", "two"):
        words = [moved(word, place).replace("8443", str(ports[name])) for word in json.loads(check[1])]
        assert subprocess.run(words, check=False).returncode == 0
    words = [word.replace("8443", "9") for word in json.loads(moved(check[1], place))]
    assert subprocess.run(words, check=False).returncode == 1
    (_, text) = COMPOSE["services"]["redis"]["healthcheck"]["test"]
    of_redis = moved(text, place).replace("redis-cli", f"redis-cli -p {ports['redis']}")
    assert subprocess.run(["/bin/sh", "-c", of_redis], check=False).returncode == 0
