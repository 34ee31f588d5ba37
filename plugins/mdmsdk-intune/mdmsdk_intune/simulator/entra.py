"""Entra ID's part: the authority's description, tokens for applications, and refusals with AADSTS numbers.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import base64
import itertools
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from mdmsdk_intune.simulator.habits import IntuneHabits

__all__ = ["GRAPH", "INTUNE", "Entra", "Refusal"]

GRAPH: Final = "https://graph.microsoft.com"
# With the slash: Intune registered it so.
INTUNE: Final = "https://api.manage.microsoft.com/"

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# ISE sends them with every request for a token.
_OF_USERS: Final = frozenset({"openid", "profile", "offline_access"})
_URL_SAFE: Final = str.maketrans("+/", "-_")
_MOMENT: Final = "2026-01-15 12:00:00Z"


class Refusal(Exception):  # noqa: N818 - Entra's word for it
    """A request for a token that is refused."""

    def __init__(self, number: int, word: str, status: int = 400) -> None:
        super().__init__(number)
        self.number = number
        self.word = word
        self.status = status


@dataclass(frozen=True, slots=True)
class _Issued:
    audience: str
    expires_at: float


class Entra:
    """The accounts of one tenant.

    Attributes:
        tokens: How many tokens were given, by audience.
        assertions: Header and claims of the certificate logins that were right.
        refusals: How many token requests were refused.
    """

    def __init__(self) -> None:
        """Start without any token."""
        self.tokens: Counter[str] = Counter()
        self.assertions: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.refusals = 0
        self._issued: dict[str, _Issued] = {}
        self._numbers = itertools.count(1)

    def describe(self, habits: IntuneHabits, tenant: str, origin: str) -> tuple[int, dict[str, Any]]:
        """Answer the request for the authority's description."""
        if tenant.lower() != habits.tenant_id:
            return self._error(Refusal(90002, "invalid_tenant"), "the tenant was not found")
        here = f"{origin}/{tenant}"
        tokens = f"{habits.token_host or origin}/{tenant}/oauth2/v2.0/token"
        return 200, {
            "issuer": f"{here}/v2.0",
            "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
            "token_endpoint": tokens,
            "device_authorization_endpoint": f"{here}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{here}/discovery/v2.0/keys",
        }

    def token(
        self, habits: IntuneHabits, tenant: str, form: Mapping[str, str], host: str, *, old: bool = False
    ) -> tuple[int, dict[str, Any]]:
        """Answer the request for a token.

        Args:
            habits: Of the server.
            tenant: As the path has it.
            form: What was sent.
            host: Scheme, host and port of the authority.
            old: It came to version 1, which has a resource instead of a scope and writes numbers as text.
        """
        try:
            audience = self._check(habits, tenant, form, host, old=old)
        except Refusal as refusal:
            self.refusals += 1
            return self._error(refusal, "the request for a token was refused")
        token = f"simulated-{next(self._numbers)}-{len(audience)}"
        self._issued[token] = _Issued(audience, time.monotonic() + habits.token_life)
        self.tokens[audience] += 1
        if old:
            now = int(time.time())
            return 200, {
                "token_type": "Bearer",
                "expires_in": str(habits.token_life),
                "ext_expires_in": str(habits.token_life),
                "expires_on": str(now + habits.token_life),
                "not_before": str(now),
                "resource": audience,
                "access_token": token,
            }
        return 200, {
            "token_type": "Bearer",
            "expires_in": habits.token_life,
            "ext_expires_in": habits.token_life,
            "access_token": token,
        }

    def audience_of(self, token: str) -> str | None:
        """Give the audience of a token that is still good."""
        issued = self._issued.get(token)
        return issued.audience if issued and time.monotonic() < issued.expires_at else None

    def expire_all(self) -> None:
        """Let every token that was given be worthless from now on."""
        self._issued.clear()

    def _check(
        self, habits: IntuneHabits, tenant: str, form: Mapping[str, str], host: str, *, old: bool
    ) -> str:
        if habits.refuse_login is not None:
            raise Refusal(habits.refuse_login, habits.refuse_word, habits.refuse_status)
        if tenant.lower() != habits.tenant_id:
            raise Refusal(90002, "invalid_request")
        if form.get("client_id") != habits.client_id:
            raise Refusal(700016, "unauthorized_client")
        if form.get("grant_type") != "client_credentials":
            raise Refusal(70003, "unsupported_grant_type")
        if form.get("client_assertion_type") == _ASSERTION_TYPE:
            # Either version takes an assertion that names the other's address.
            urls = [f"{host}/{tenant}/oauth2/{version}token" for version in ("v2.0/", "")]
            self._check_assertion(habits, form.get("client_assertion", ""), urls)
        elif "client_secret" not in form:
            raise Refusal(7000218, "invalid_client", 401)
        elif form["client_secret"] != habits.client_secret:
            raise Refusal(7000215, "invalid_client", 401)
        return _known(form.get("resource", "")) if old else _audience(form.get("scope", ""))

    def _check_assertion(self, habits: IntuneHabits, assertion: str, urls: list[str]) -> None:
        try:
            header = jwt.get_unverified_header(assertion)
            key = _registered(habits.certificates, header)
            claims = jwt.decode(assertion, key, algorithms=["RS256", "PS256"], audience=urls)
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError, jwt.InvalidAudienceError):
            raise Refusal(700024, "invalid_client", 401) from None
        except (jwt.InvalidTokenError, LookupError):
            raise Refusal(700027, "invalid_client", 401) from None
        if not claims.get("jti") or {claims.get("iss"), claims.get("sub")} != {habits.client_id}:
            raise Refusal(700021, "invalid_client", 401)
        self.assertions.append((dict(header), claims))

    def _error(self, refusal: Refusal, text: str) -> tuple[int, dict[str, Any]]:
        trace, correlation = (f"00000000-0000-4000-8000-{number:012}" for number in (1, next(self._numbers)))
        lines = [f"AADSTS{refusal.number}: {text}.", f"Trace ID: {trace}", f"Correlation ID: {correlation}"]
        return refusal.status, {
            "error": refusal.word,
            "error_description": " ".join([*lines, f"Timestamp: {_MOMENT}"]),
            "error_codes": [refusal.number],
            "timestamp": _MOMENT,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.example.com/error?code={refusal.number}",
        }


def _audience(scope: str) -> str:
    """Give the audience of a scope: all before the last slash. Words about users are passed over."""
    scopes = [word for word in scope.split() if word not in _OF_USERS]
    audience, _, last = scopes[0].rpartition("/") if len(scopes) == 1 else ("", "", "")
    if last != ".default":
        raise Refusal(70011, "invalid_scope")
    return _known(audience)


def _known(audience: str) -> str:
    if audience.rstrip("/") not in {GRAPH, INTUNE.rstrip("/")}:
        raise Refusal(500011, "invalid_resource")
    return audience


def _registered(certificates: tuple[str, ...], header: Mapping[str, Any]) -> RSAPublicKey:
    """Give the key of the registered certificate that an assertion names."""
    for text in certificates:
        certificate = x509.load_pem_x509_certificate(text.encode())
        names = {
            "x5t": certificate.fingerprint(hashes.SHA1()),  # noqa: S303 - it only names the certificate
            "x5t#S256": certificate.fingerprint(hashes.SHA256()),
        }
        for name, digest in names.items():
            # With or without the padding, which RFC 7515 leaves out and msal writes, and in ordinary Base64.
            given = str(header.get(name)).rstrip("=").translate(_URL_SAFE)
            if given == base64.urlsafe_b64encode(digest).decode().rstrip("="):
                key = certificate.public_key()
                if isinstance(key, RSAPublicKey):
                    return key
    raise LookupError
