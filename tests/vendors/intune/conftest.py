"""A tenant to talk to, certificates to log in with, and providers to play flows on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from mdmsdk.client.build import make_provider
from mdmsdk.simulator import Fleet, RunningSimulator, serve
from mdmsdk.testing import Modal
from mdmsdk_intune.simulator import IntuneSimulator

SAMPLES = Path(__file__).parents[2] / "samples/intune"
QUICK = {"timeout": 5.0, "deadline": 20.0, "attempts": 3, "max_wait": 2.0, "breaker_failures": 0}

Tenant = RunningSimulator[IntuneSimulator]
Serve = Callable[..., Tenant]
Open = Callable[..., Modal]
Make = Callable[..., Any]


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return Fleet.generate(60, seed=7)


@pytest.fixture(scope="session")
def large_fleet() -> Fleet:
    return Fleet.generate(5000, seed=3)


@pytest.fixture(name="tenant_of")
def _tenant_of(fleet: Fleet) -> Iterator[Serve]:
    """Starts simulators, which end with the test."""
    with ExitStack() as stack:

        def start(devices: Fleet | None = None, **habits: Any) -> Tenant:
            return stack.enter_context(
                serve(IntuneSimulator(fleet if devices is None else devices, **habits))
            )

        yield start


@pytest.fixture(name="client_of")
def _client_of(mdm_connect: Callable[..., Modal]) -> Open:
    """Opens clients of a simulator in the test's mode."""

    def connect(tenant: Tenant, provider: str = "intune", **changes: Any) -> Modal:
        settings = {"policy": QUICK, **tenant.settings, **changes}
        settings.pop("provider")
        return mdm_connect(provider, server="tenant", **settings)

    return connect


@pytest.fixture(scope="session", name="make")
def _make() -> Make:
    """Makes providers without a server."""

    def make(name: str = "intune", **changes: Any) -> Any:
        given = {"tenant_id": "example.com", "client_id": "app-1", "client_secret": "a-secret", **changes}
        return make_provider(name, {key: value for key, value in given.items() if value is not None})

    return make


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, in files."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    folder: Path

    @property
    def text(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def pem(self, password: bytes | None = None) -> bytes:
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)

    @staticmethod
    def elliptic() -> tuple[bytes, bytes]:
        """Another certificate and its key, of a kind that Entra ID does not take."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate_for(key).public_bytes(serialization.Encoding.PEM), text

    def write(self, name: str, *contents: bytes) -> str:
        path = self.folder / name
        path.write_bytes(b"".join(contents))
        return str(path)


def certificate_for(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ise.example.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    return builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Identity(certificate_for(key), key, tmp_path_factory.mktemp("identity"))
