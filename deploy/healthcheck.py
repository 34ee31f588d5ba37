"""Ends with status 0 if the gateway of this container answers, with 1 if not."""

import http.client
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
    except (http.client.RemoteDisconnected, ConnectionResetError):
        # With TLS 1.3 that may be all that who brings no certificate learns, and after the handshake. And it
        # is what a gateway does with more connections than it can tell that it is full.
        return True
    except (OSError, urllib.error.URLError) as error:
        cut_off = isinstance(getattr(error, "reason", None), ConnectionResetError | ssl.SSLEOFError)
        return cut_off or _NO_CERTIFICATE in str(error)


if __name__ == "__main__":
    sys.exit(not answers(sys.argv[1]))
