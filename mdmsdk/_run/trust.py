"""Whom to trust: one TLS context for each set of settings, in each process."""

from __future__ import annotations

import os
import ssl
import sys
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from mdmsdk.settings import TlsSettings


IN_OPENSSL = threading.RLock()
"""Held around each call into OpenSSL, none of which waits for the network, and by a fork.

OpenSSL has locks of its own, which a child would inherit locked for ever if a thread were in there.
"""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=IN_OPENSSL.acquire, after_in_parent=IN_OPENSSL.release, after_in_child=IN_OPENSSL.release
    )


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """The authorities of the operating system and of `ca_file`, and the client's certificate.

    Raises:
        ConfigurationError: a file could not be loaded.
    """
    with IN_OPENSSL:
        return _context(tls, os.getpid())  # truststore's have a lock, too


def seeing_context() -> ssl.SSLContext:
    """Trusts everybody: for a handshake that shows who the other side is, after which nothing is sent."""
    with IN_OPENSSL:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@lru_cache(maxsize=64)
def _context(tls: TlsSettings, _process: int) -> ssl.SSLContext:
    context = _of_the_system()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.ca_file:
            context.load_verify_locations(cafile=tls.ca_file)
        if tls.client_cert:
            password = tls.client_key_password
            context.load_cert_chain(
                tls.client_cert, tls.client_key, password.get_secret_value() if password else None
            )
    except OSError as error:
        files = ", ".join(str(path) for path in (tls.ca_file, tls.client_cert, tls.client_key) if path)
        raise ConfigurationError(
            f"the TLS files could not be loaded ({files}): {error.strerror or type(error).__name__}",
            hint="Give PEM files that exist, are readable and belong together; see tls in the settings.",
        ) from None
    return context


def _of_the_system() -> ssl.SSLContext:
    if sys.platform in {"darwin", "win32"}:
        # Their stores are behind interfaces of their own. Elsewhere truststore would only read the same
        # file of authorities again for each connection, which takes as long as a lookup.
        import truststore  # installed on these systems only

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context
