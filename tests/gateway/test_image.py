"""The image of deploy/, built and run: by Podman or Docker, over a base image that MDM_BASE_IMAGE names.

MDM_REDIS_IMAGE names one for the Redis of the compose file, where that of the file itself is not to be had.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from packaging.utils import canonicalize_name

from mdmsdk.simulator import IseSimulator
from tests.gateway.conftest import FLEET, KEY, LOGIN, MDMINFO, SETTINGS
from tests.gateway.deployed import free_port, open_folder, secrets, ssl_of
from tests.gateway.test_decisions import rows
from tests.gateway.test_deploy import COMPOSE, DEPLOY

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

BASE = os.environ.get("MDM_BASE_IMAGE", "")
ENGINE = shutil.which("podman") or shutil.which("docker") or ""
BY_PODMAN = Path(ENGINE).name == "podman"
ROOT = DEPLOY.parent
SIMULATED = ["simulate", "ise", "--port", "9000", "--size", str(len(FLEET))]
"""The commands of a container whose network a gateway shares: simulators listen on loopback alone."""
REST = f"""
[[gateway.rest.keys]]
name = "somebody"
sha256 = "{SETTINGS["rest"]["keys"][0]["sha256"]}"
"""
MODULE = f"TS{os.getpid()}".lower()

pytestmark = [
    pytest.mark.skipif(not BASE, reason="MDM_BASE_IMAGE names no base image: nox -s image"),
    pytest.mark.skipif(not ENGINE, reason="neither podman nor docker is installed"),
    pytest.mark.timeout(900),
]

LOOK = """
import glob, importlib.metadata, json, os, shutil, ssl, stat, zoneinfo
zoneinfo.ZoneInfo("Europe/Berlin")
paths, cache = ssl.get_default_verify_paths(), os.path.expanduser("~/.cache")
modules = [path for path in glob.glob("/opt/mdmsdk/lib/**/*.py", recursive=True)]
tag = __import__("sys").implementation.cache_tag
def compiled(path):
    folder, name = os.path.split(path)
    with open(f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc", "rb") as file:
        return file.read(8)[4:] == b"\\1\\0\\0\\0"
loose = []
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders[:] = [one for one in folders if one not in ("proc", "sys", "dev")]
    for one in (*folders, *files):
        found = os.lstat(os.path.join(folder, one))
        everybodys = found.st_mode & 0o002 and not found.st_mode & stat.S_ISVTX
        if found.st_uid == 10001 or (everybodys and not stat.S_ISLNK(found.st_mode)):
            loose.append(os.path.join(folder, one))
print(json.dumps({
    "compilers": [one for one in ("cc", "gcc", "g++", "clang", "rustc", "make") if shutil.which(one)],
    "left": [one for one in ("/build", cache, "/run/secrets", "/etc/mdmsdk") if os.path.exists(one)]
        + glob.glob("/opt/**/constraints.txt", recursive=True) + glob.glob("/opt/**/*-key*", recursive=True),
    "loose": loose,
    "distributions": {one.name: one.version for one in importlib.metadata.distributions()},
    "compiled": [all(map(compiled, modules)), len(modules)],
    "bytes": sum(os.lstat(one).st_size for one in glob.glob("/opt/mdmsdk/lib/**", recursive=True)),
    "authorities": len(os.listdir(paths.capath or paths.openssl_capath)),
}))
"""


def run(*command: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a command, which ends with a status, or with any."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    said = done.stdout[-2000:] + done.stderr[-2000:]
    assert status is None or done.returncode == status, f"{command}: {said}"
    return done


def engine(*words: str, status: int | None = 0) -> str:
    """What Podman or Docker answers."""
    return run(ENGINE, *words, status=status).stdout.strip()


def log_of(container: str) -> str:
    """What a container said on both of its outputs."""
    done = run(ENGINE, "logs", container)
    return done.stdout + done.stderr


def until(happened: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What comes first that counts as true."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, happened
        time.sleep(0.05)
    return found


def answered(ask: Callable[[], httpx.Response]) -> httpx.Response | None:
    """The answer, or None where nobody is there."""
    try:
        return ask()
    except httpx.TransportError:
        return None


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    name = f"mdmsdk-gateway-{MODULE}"
    options = ["--format=docker", "--layers=false"] if BY_PODMAN else []
    engine("build", *options, f"--build-arg=PYTHON={BASE}", "-f", "deploy/Containerfile", "-t", name, ".")
    yield name
    engine("rmi", "--force", name)


@pytest.fixture
def place() -> Iterator[Path]:
    with open_folder() as found:
        yield found


def configure(place: Path, *changes: tuple[str, str]) -> ssl.SSLContext:
    """Write the configuration of deploy/ and its secrets, over simulators; gives trust in the gateway."""
    text = (DEPLOY / "mdm.toml").read_text(encoding="utf-8") + REST
    for before, after in (("https://mdm.example", "http://127.0.0.1:9000"), ('"nac"', '"ise"'), *changes):
        assert before in text
        text = text.replace(before, after)
    (place / "mdm.toml").write_text(text)
    authority = secrets(place)
    if os.geteuid() == 0:  # else only the user who made them could read them, and that is nobody in there
        for one in (place / "secrets").iterdir():
            os.chown(one, *(2 * [10002 if one.name in COMPOSE["services"]["redis"]["secrets"] else 10001]))
            one.chmod(0o400)
        (place / "secrets/ca.pem").chmod(0o444)
    return ssl_of(authority)


def confined(place: Path) -> list[str]:
    """What the compose file says of the gateways, as options."""
    service = COMPOSE["services"]["one"]
    return [
        *(["--init"] if service["init"] else []),
        *("--read-only", f"--pids-limit={service['pids_limit']}", f"--memory={service['mem_limit']}"),
        *(f"--cap-drop={one}" for one in service["cap_drop"]),
        *(f"--security-opt={one}" for one in service["security_opt"]),
        *(f"--tmpfs={one}" for one in service["tmpfs"]),
        *(f"--volume={place}/mdm.toml:/etc/mdmsdk/mdm.toml:ro", "--publish=127.0.0.1::8443"),
        f"--volume={place}/secrets:/run/secrets:ro",
    ]


def removed(container: str) -> None:
    """Leave nothing of a container, whether or not it is there."""
    engine("kill", container, status=None)
    engine("rm", "--force", container, status=None)


class Container:
    """A gateway in a container of its own, over a simulator that shares its network.

    Attributes:
        name: of the container.
        trust: in its certificate.
    """

    def __init__(self, image: str, place: Path, *changes: tuple[str, str]) -> None:
        self.name = f"{MODULE}-gateway"
        store = re.search(r"\[store\].*?\n\n", (DEPLOY / "mdm.toml").read_text(encoding="utf-8"), re.DOTALL)
        assert store
        self.trust = configure(place, (store[0], ""), *changes)
        self.began = time.monotonic()
        engine("run", "--detach", "--name", self.name, *confined(place), image)
        self.port = int(engine("port", self.name, "8443").rpartition(":")[2])
        self.origin = f"https://127.0.0.1:{self.port}"
        self.ise = httpx.Client(base_url=self.origin, auth=LOGIN, verify=self.trust, timeout=20)
        key = {"Authorization": f"Bearer {KEY}"}
        self.rest = httpx.Client(base_url=self.origin, headers=key, verify=self.trust, timeout=20)
        network = f"--network=container:{self.name}"
        engine("run", "--detach", "--name", f"{self.name}-mdm", "--read-only", network, image, *SIMULATED)

    def ready(self) -> float:
        """Wait until servers answer; gives the seconds to the first answer of the gateway itself."""
        until(lambda: answered(lambda: self.rest.get("/healthz")))
        first = time.monotonic() - self.began
        until(lambda: self.rest.get("/readyz").status_code == 200)
        return first

    def run(self, *words: str, status: int | None = 0) -> str:
        """Run a command in there."""
        return engine("exec", self.name, *words, status=status)

    def signal(self, name: str) -> None:
        """Send a signal to the gateway itself: the first process passes on only those that it can hear."""
        child = "open('/proc/1/task/1/children').read().split()[0]"
        self.run("python3", "-c", f"import os, signal; os.kill(int({child}), signal.SIG{name})")

    def said(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in log_of(self.name).splitlines()]

    def close(self) -> None:
        self.ise.close()
        self.rest.close()
        for one in (f"{self.name}-mdm", self.name):
            removed(one)


Start = Any
"""Starts a gateway in a container, with changes of its configuration; gives the `Container`."""


@pytest.fixture
def start(image: str, place: Path) -> Iterator[Start]:
    began: list[Container] = []

    def start_(*changes: tuple[str, str]) -> Container:
        began.append(Container(image, place, *changes))
        return began[-1]

    yield start_
    for one in began:
        one.close()


def check_of(image: str) -> list[str]:
    """The words of the image's health check."""
    (found,) = json.loads(engine("image", "inspect", image))
    _, *words = (found["Config"].get("Healthcheck") or found["Healthcheck"])["Test"]
    return list(words)


def test_the_image_has_what_is_pinned_and_nothing_to_build_with(image: str) -> None:
    found = json.loads(
        engine("run", "--rm", "--network=none", "--user=0", "--entrypoint=python3", image, "-c", LOOK)
    )
    assert (found["compilers"], found["left"], found["loose"]) == ([], [], [])
    assert found["authorities"] > 100
    right, modules = found["compiled"]
    assert right
    assert modules > 1000
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    others = {
        canonicalize_name(name): version
        for name, version in found["distributions"].items()
        if not name.startswith("mdmsdk")
    }
    assert "pip" not in others
    assert others.items() <= {canonicalize_name(name): one for name, one in pinned.items()}.items()
    ours = {name for name in found["distributions"] if name.startswith("mdmsdk")}
    assert ours == {"mdmsdk", *(path.name for path in ROOT.glob("plugins/*"))}
    assert found["bytes"] < 110_000_000
    print(f"\n{found['bytes'] / 1e6:.0f} MB in /opt/mdmsdk")  # noqa: T201 - what people ask for


def test_both_faces_answer_from_a_container_that_may_do_nothing(start: Start, image: str) -> None:
    container = start(("0.0.0.0:", "[::]:"))
    print(f"\n{container.ready():.1f} s to the first answer")  # noqa: T201 - the same
    simulator = IseSimulator(FLEET)
    alone = {
        device.mac_addresses[0]: simulator.verdict(device) if device.registered else "not_registered"
        for device in FLEET
        if len([one for one in FLEET if {*one.mac_addresses} & {*device.mac_addresses}]) == 1
    }
    assert {"compliant", "noncompliant", "not_registered"} <= {*alone.values()}
    for mac, decision in alone.items():
        told = container.rest.get(f"/v1/devices/mac/{mac}").json()
        params = {"paging": "0", "querycriteria": "macaddress", "value": mac, "filter": "all"}
        found = rows(container.ise.get("/ciscoise/mdmapi/v3/devices/", params=params))
        assert told["decision"] == decision
        assert [row["attributes"]["compliance"]["status"] == "true" for row in found] == {
            "compliant": [True],
            "not_registered": [],
        }.get(decision, [False])
    status = container.run("cat", "/proc/1/status")
    for line in ("Uid:\t10001\t10001", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in status
    for file in ("/opt/mdmsdk/one", "/etc/mdmsdk/mdm.toml", "/run/secrets/one"):
        container.run("python3", "-c", f"open({file!r}, 'a')", status=1)
    said = container.said()
    assert {"serving on https://[::]:8443"} <= {line["message"] for line in said}
    assert {"ise", "rest"} <= {line.get("face") for line in said}
    if container.run("cat", "/proc/sys/net/ipv6/conf/lo/disable_ipv6", status=None) == "0":
        container.run(*(word.replace("127.0.0.1", "[::1]") for word in check_of(image)))


def test_the_health_check_is_red_while_nobody_answers(start: Start, image: str) -> None:
    container, check = start(("workers = 2", "workers = 1")), check_of(image)
    container.ready()
    container.run(*check)
    container.signal("STOP")
    container.run(*check, status=1)
    container.signal("CONT")
    container.run(*check)


def test_it_reads_anew_and_answers_what_was_sent_before_it_ends(start: Start, place: Path) -> None:
    container = start(("workers = 2", "workers = 2\ndrain = 60\ndeadline = 60"))
    container.ready()
    text = (place / "mdm.toml").read_text()
    # Written, not replaced: what is mounted is this file.
    (place / "mdm.toml").write_text(text.replace('username = "controller"', 'username = "another"'))
    engine("kill", "--signal=HUP", container.name)
    until(lambda: container.ise.get(MDMINFO).status_code == 401)

    body = json.dumps({"chain": [f"mac:{FLEET[0].mac_addresses[0]}"]}).encode()
    head = (
        f"POST /v1/lookup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", container.port), timeout=60) as raw,
        container.trust.wrap_socket(raw, server_hostname="localhost") as line,
    ):
        line.sendall(head.encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 100")  # somebody waits for the body
        container.rest.close()
        container.ise.close()
        engine("kill", "--signal=TERM", container.name)

        def is_shut() -> bool:
            with httpx.Client(verify=container.trust) as client:
                return not answered(lambda: client.get(container.origin + "/healthz"))

        until(is_shut)
        line.sendall(body)
        told = b"".join(iter(lambda: line.recv(4096), b""))
    assert told.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in told.lower()
    assert json.loads(told.partition(b"\r\n\r\n")[2])["decision"] == "compliant"
    assert engine("wait", container.name) == "0"
    assert container.said()[-1]["message"] == "every request has come to its end"


def test_it_may_be_ended_while_it_starts(image: str, place: Path) -> None:
    configure(place)
    name = f"{MODULE}-early"
    try:
        engine("run", "--detach", "--name", name, *confined(place), image)
        engine("kill", "--signal=TERM", name)
        assert int(engine("wait", name)) in {0, 128 + signal.SIGTERM}
    finally:
        removed(name)


def test_a_container_without_any_place_to_write_says_so(image: str, place: Path) -> None:
    configure(place)
    name, options = f"{MODULE}-nowhere", ["--read-only-tmpfs=false"] if BY_PODMAN else []
    mounts = [
        f"--volume={place}/{one}:ro" for one in ("mdm.toml:/etc/mdmsdk/mdm.toml", "secrets:/run/secrets")
    ]
    try:
        engine("run", "--name", name, "--read-only", *options, *mounts, image, status=2)
        assert "several workers need a folder" in log_of(name)
    finally:
        removed(name)


class Services:
    """The services of the compose file, and a simulator for each gateway."""

    def __init__(self, image: str, place: Path) -> None:
        self.project = f"{MODULE}services"
        self.trust = configure(place)
        self.ports = {name: free_port() for name in ("one", "two")}
        text: dict[str, Any] = deepcopy(COMPOSE)
        for name, port in self.ports.items():
            service = text["services"][name]
            del service["build"]
            service |= {"image": image, "ports": [f"127.0.0.1:{port}:8443"]}
            text["services"][f"mdm-{name}"] = {
                "image": image,
                "command": SIMULATED,
                "network_mode": f"service:{name}",
                "depends_on": [name],
                "read_only": True,
            }
        if redis := os.environ.get("MDM_REDIS_IMAGE"):
            text["services"]["redis"]["image"] = redis
        self.file = place / "compose.yaml"
        self.file.write_text(yaml.safe_dump(text))
        own = shutil.which("podman-compose") if BY_PODMAN else None
        self.command = [own] if own else [ENGINE, "compose"]

    def compose(self, *words: str, status: int | None = 0) -> None:
        run(*self.command, "-p", self.project, "-f", str(self.file), *words, status=status)

    def container(self, name: str) -> str:
        """The container of a service."""
        labels = {"project": self.project, "service": name}
        words = [f"--filter=label=com.docker.compose.{label}={one}" for label, one in labels.items()]
        return engine("ps", "--quiet", *words)

    def check(self, name: str) -> None:
        """The health check of a service."""
        kind, *words = COMPOSE["services"][name]["healthcheck"]["test"]
        container = self.container(name)
        (found,) = json.loads(engine("container", "inspect", container))
        assert found["Config"]["Healthcheck"]["Test"] == [kind, *words]
        engine("exec", container, *(["/bin/sh", "-c"] if kind == "CMD-SHELL" else []), *words)

    def ready(self, name: str) -> dict[str, Any] | None:
        """What a gateway says of itself, once servers answer it."""
        found = answered(lambda: self.get(name, "/readyz"))
        return found.json() if found and found.status_code == 200 else None

    def get(self, name: str, path: str) -> httpx.Response:
        with httpx.Client(auth=LOGIN, verify=self.trust, timeout=20) as client:
            return client.get(f"https://127.0.0.1:{self.ports[name]}{path}")


@pytest.fixture
def services(image: str, place: Path) -> Iterator[Services]:
    made = Services(image, place)
    if not shutil.which(made.command[0]):
        pytest.skip("no compose is installed")
    yield made
    made.compose("down", "--volumes", "--timeout", "5", status=None)


def test_two_replicas_share_redis_and_go_on_without_it(services: Services) -> None:
    services.compose("up", "--detach")
    for name in ("one", "two"):
        assert until(partial(services.ready, name))["store"] is True
    for name in ("one", "two", "redis"):
        services.check(name)
    for name in ("one", "two"):
        assert services.get(name, MDMINFO).status_code == 200
    engine("stop", services.container("redis"))
    until(lambda: services.get("one", "/readyz").json()["store"] is False)
    mac = FLEET[0].mac_addresses[0]
    asked = f"/ciscoise/mdmapi/v3/devices/?paging=0&querycriteria=macaddress&value={mac}&filter=all"
    (row,) = rows(services.get("one", asked))
    assert row["attributes"]["compliance"]["status"] == "true"
    engine("stop", services.container("one"))
    (row,) = rows(services.get("two", asked))
    assert row["attributes"]["compliance"]["status"] == "true"
