"""A key distribution centre of MIT Kerberos on a port of this machine, for the time of some tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ACCOUNT", "Realm", "missing", "realm"]

ACCOUNT = "reader@EXAMPLE.TEST"
_REALM = "EXAMPLE.TEST"
_SERVICE = "HTTP/127.0.0.1"
_PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
_UP = 10.0


def missing() -> str | None:
    """What is not at hand for such tests; None where all is."""
    try:
        import gssapi  # noqa: F401
        import spnego  # noqa: F401
    except ImportError as error:
        return f"{error.name} is not installed (the extra kerberos)"
    programs = ("krb5kdc", "kdb5_util", "kadmin.local")
    lacking = [name for name in programs if not shutil.which(name, path=_PATH)]
    return f"MIT Kerberos' programs are not installed: {', '.join(lacking)}" if lacking else None


class Realm:
    """A realm with an account and the service on this machine.

    Attributes:
        folder: where its files are.
        keytab: of the service.
        environment: what a client needs, the account's keytab included.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.keytab = folder / "service.keytab"
        self.client_keytab = folder / "reader.keytab"
        self.environment = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5_CLIENT_KTNAME": str(self.client_keytab),
            "KRB5CCNAME": f"FILE:{folder / 'tickets'}",
            "KRB5RCACHEDIR": str(folder),
        }
        (folder / "krb5.conf").write_text(
            f"[libdefaults]\ndefault_realm = {_REALM}\ndns_lookup_kdc = false\ndns_lookup_realm = false\n"
            "dns_canonicalize_hostname = false\nrdns = false\nudp_preference_limit = 1\n"
            f"[realms]\n{_REALM} = {{\n kdc = 127.0.0.1:{port}\n}}\n"
        )
        (folder / "kdc.conf").write_text(
            f"[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\n"
            f"[realms]\n{_REALM} = {{\n database_name = {folder / 'principal'}\n"
            f" key_stash_file = {folder / 'stash'}\n acl_file = {folder / 'acl'}\n}}\n"
            f"[logging]\nkdc = FILE:{folder / 'kdc.log'}\n"
        )

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the programs to its end."""
        subprocess.run(
            [program, *arguments],
            env={**os.environ, **self.environment, "PATH": _PATH},
            check=True,
            capture_output=True,
            timeout=30,
        )

    def fill(self) -> None:
        """Make the database, with the account and the service."""
        self.run("kdb5_util", "create", "-s", "-r", _REALM, "-P", "master-of-tests")
        for principal, keytab in ((ACCOUNT, self.client_keytab), (_SERVICE, self.keytab)):
            self.run("kadmin.local", "-q", f"addprinc -randkey {principal}")
            self.run("kadmin.local", "-q", f"ktadd -k {keytab} {principal}")


@contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """A realm whose centre runs for the time of a `with` block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Realm(folder, port)
    made.fill()
    environment = {**os.environ, **made.environment, "PATH": _PATH}
    centre = subprocess.Popen(["krb5kdc", "-n", "-r", _REALM], env=environment)
    try:
        _wait_for(port)
        yield made
    finally:
        centre.terminate()
        centre.wait(60)


def _wait_for(port: int) -> None:
    until = time.monotonic() + _UP
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > until:
            raise TimeoutError("the centre does not listen")
        time.sleep(0.05)
