"""What the services of deploy/ need: a folder that others may look into, certificates and secrets."""

from __future__ import annotations

import shutil
import socket
import ssl
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import trustme

from tests.gateway.conftest import LOGIN

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that a user without rights may look into."""
    found = Path(mkdtemp(prefix="mdm-deployed-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


def secrets(place: Path) -> trustme.CA:
    """Write all secrets of the compose file; gives the authority of their certificates."""
    authority, folder = trustme.CA(), place / "secrets"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name in ("gateway", "redis"):
        certificate = authority.issue_cert("localhost", "127.0.0.1", name)
        (folder / f"{name}.pem").write_bytes(b"".join(one.bytes() for one in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(folder / f"{name}-key.pem")
    (folder / "redis-users").write_text(
        "user default off\nuser mdmsdk on >a-password-of-redis ~mdmsdk:* +@all -@dangerous +info\n"
    )
    for name, text in (
        ("redis", "a-password-of-redis"),
        ("controller", LOGIN[1]),
        ("phones", "simulated-password"),
    ):
        (folder / f"{name}-password").write_text(text)
    (folder / "store-key").write_text("k" * 20)
    return authority


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ssl_of(authority: trustme.CA) -> ssl.SSLContext:
    """Trust in an authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
