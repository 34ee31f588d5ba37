"""What the tests of this vendor share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from mdmsdk.models import ServerInfo
from mdmsdk.simulator import Fleet, RunningSimulator, serve
from mdmsdk.wire import Response
from mdmsdk_workspaceone import WorkspaceOneProvider, WorkspaceOneSettings
from mdmsdk_workspaceone.provider import UemDescription
from mdmsdk_workspaceone.simulator import WorkspaceOneSimulator

if TYPE_CHECKING:
    from mdmsdk.identifiers import Key

BASE = "https://as1.example.com"
SAMPLES = Path(__file__).parents[2] / "samples" / "workspaceone"
BASIC = {"base_url": BASE, "tenant_code": "key-of-tests", "username": "reader", "password": "pass-of-tests"}

Start = Callable[..., RunningSimulator[WorkspaceOneSimulator]]


def make(**changes: Any) -> WorkspaceOneProvider:
    return WorkspaceOneProvider(WorkspaceOneSettings(**{**BASIC, **changes}))


def info(version: int = 2, *known: Key) -> ServerInfo:
    return ServerInfo(description=UemDescription(version=version, known=known))


def reply(content: Any = None, status: int = 200, **headers: str) -> Response:
    """An answer as the wire layer has it; without content, no body."""
    body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    # 204 is what searches answer without a row, and nothing else does.
    path = "/devices/search" if status == 204 else "/devices"
    return Response(status, named, body, f"{BASE}/api/mdm{path}")


def refusal(status: int, code: int, **headers: str) -> Response:
    return reply({"errorCode": code, "message": "secret-words", "activityId": "a-1"}, status, **headers)


def sample(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(name="make")
def _make() -> Callable[..., WorkspaceOneProvider]:
    return make


@pytest.fixture(name="info")
def _info() -> Callable[..., ServerInfo]:
    return info


@pytest.fixture(name="reply")
def _reply() -> Callable[..., Response]:
    return reply


@pytest.fixture(name="refusal")
def _refusal() -> Callable[..., Response]:
    return refusal


@pytest.fixture(name="sample")
def _sample() -> Callable[[str], dict[str, Any]]:
    return sample


@pytest.fixture(scope="session")
def small_fleet() -> Fleet:
    return Fleet.generate(60, seed=3)


@pytest.fixture(scope="session")
def large_fleet() -> Fleet:
    return Fleet.generate(5000, seed=11)


@pytest.fixture
def start(small_fleet: Fleet) -> Iterator[Start]:
    """Starts servers."""
    with ExitStack() as stack:

        def start_one(fleet: Fleet = small_fleet, **habits: Any) -> RunningSimulator[WorkspaceOneSimulator]:
            return stack.enter_context(serve(WorkspaceOneSimulator(fleet, **habits)))

        yield start_one


class Certificates:
    """A self-signed certificate and its key in every form."""

    def __init__(self, folder: Path, *, elliptic: bool = False) -> None:
        self.key: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "reader")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(7)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        folder.mkdir(exist_ok=True)
        self.pem, self.key_pem, self.p12 = folder / "c.pem", folder / "k.pem", folder / "c.p12"
        self.pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        self.key_pem.write_bytes(self.key.private_bytes(*form, serialization.NoEncryption()))
        locked = serialization.BestAvailableEncryption(b"pass-of-file")
        self.p12.write_bytes(
            pkcs12.serialize_key_and_certificates(b"c", self.key, self.certificate, None, locked)
        )

    @property
    def habits(self) -> dict[str, str]:
        """What a simulator has to know of them."""
        return {"certificate": str(self.pem), "certificate_key": str(self.key_pem)}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("rsa"))


@pytest.fixture(scope="session")
def elliptic(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ec"), elliptic=True)
