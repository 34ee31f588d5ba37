"""Ends with status 0 if the gateway of this container answers, with 1 if not."""

import http
import ssl
import sys
import urllib.error
import urllib.request

_NO_CERTIFICATE = "CERTIFICATE_REQUIRED"


def answers(url: str) -> bool:
    """Whether somebody serves there.

    The certificate is for the name by which clients know the gateway, and not for this address. A gateway
    that asks for a certificate of the client has answered with that.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=4) as answer:
            return bool(answer.status == http.HTTPStatus.OK)
    except (OSError, urllib.error.URLError) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, ConnectionRefusedError):
            return False
        # With TLS 1.3, to be cut off may be all that who brings no certificate learns, and after the
        # handshake. And it is what a gateway does with more connections than it can tell that it is full.
        return isinstance(cause, ConnectionError | ssl.SSLEOFError) or _NO_CERTIFICATE in str(error)


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
