"""A server that repeats whatever it is told, and settings with a secret wherever one can stand."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

# What login services of all vendors are asked at.
_LOGIN = ("token", "openid-configuration", "util/authorization")
_SECRET = re.compile("secret|password|token|assertion$")
_CREDENTIALS = ("authorization", "cookie", "aw-tenant-code", "x-cisco-meraki-api-key", "proxy-authorization")


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the server answers.

    Attributes:
        status: of the answer.
        form: "json", "list", "broken", "html", "redirect" or "encoding".
        lets_in: whether its login service gives tokens, or repeats what it is told as well.
    """

    status: int
    form: str
    lets_in: bool = True

    def __str__(self) -> str:
        return f"{self.status}-{self.form}-{'in' if self.lets_in else 'out'}"


SCENARIOS = [
    *(Scenario(status, "json") for status in (400, 401, 403, 404, 429, 500, 503)),
    *(Scenario(200, form) for form in ("json", "list", "broken", "html", "encoding")),
    Scenario(302, "redirect"),
    *(Scenario(status, "json", lets_in=False) for status in (200, 400, 401, 500)),
    Scenario(200, "broken", lets_in=False),
    Scenario(302, "redirect", lets_in=False),
]


class Hostile:
    """An ASGI application that quotes every request in every part of its answers.

    Attributes:
        scenario: how it answers; a test changes it.
        seen: the credentials that came, and those that it gave.
    """

    def __init__(self) -> None:
        self.scenario = SCENARIOS[0]
        self.seen: set[str] = set()
        self._given = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        status, answered, text = self._answer(scope["path"], headers, body.decode("utf-8", "replace"))
        start = {"type": "http.response.start", "status": status, "headers": _raw(answered)}
        await send({**start, "type": "http.response.start"})
        await send({"type": "http.response.body", "body": text})

    def _answer(self, path: str, headers: dict[str, str], body: str) -> tuple[int, dict[str, str], bytes]:
        told = [headers[name] for name in _CREDENTIALS if name in headers]
        told += [value for name, value in parse_qsl(body) if _SECRET.search(name)]
        self.seen |= {secret for text in told if len(secret := text.rpartition(" ")[2]) > 12}
        self._given += 1
        cookie = f"planted-cookie-{self._given:04}"
        self.seen.add(cookie)
        quoted = " ".join([*told, *(text.rpartition(" ")[2] for text in told), body, quote(body), cookie])
        answered = {
            "content-type": "application/json",
            "set-cookie": f"session={cookie}; Path=/",
            "retry-after": "0",
            **dict.fromkeys(("x-request-id", "request-id", "x-correlation-id", "www-authenticate"), quoted),
        }
        scenario = self.scenario
        if scenario.lets_in and (path.endswith(_LOGIN) or path.startswith("/auth-apis/")):
            return 200, answered, self._let_in(path, headers, body)
        match scenario.form:
            case "broken":
                return scenario.status, answered, f'{{"access_token": "{quoted}", oops'.encode()
            case "html":
                return scenario.status, {**answered, "content-type": "text/html"}, f"<p>{quoted}</p>".encode()
            case "encoding":
                return scenario.status, {**answered, "content-encoding": quoted}, b"{}"
            case "redirect":
                secret = quote(told[-1].rpartition(" ")[2] if told else cookie, safe="").replace("%", "-")
                return (
                    scenario.status,
                    {**answered, "location": f"https://{secret}.attacker.example/{secret}"},
                    b"",
                )
            case "list":
                return scenario.status, answered, json.dumps([quoted, {"id": quoted}]).encode()
        return scenario.status, answered, json.dumps(_everywhere(quoted)).encode()

    def _let_in(self, path: str, headers: dict[str, str], body: str) -> bytes:
        if path.endswith("util/authorization"):  # a line that holds what was sent
            line = base64.b64encode(body.encode()).decode()
            self.seen.add(line)
            return f"besng-basic {line}".encode()
        if path.endswith("openid-configuration"):
            origin = f"https://{headers['host']}"
            names = ("token_endpoint", "authorization_endpoint", "issuer", "device_authorization_endpoint")
            tenant = path.split("/")[1]
            return json.dumps(dict.fromkeys(names, f"{origin}/{tenant}/oauth2/v2.0/token")).encode()
        token = f"planted-token-{self._given:04}"
        self.seen |= {token, f"refresh-{token}"}
        end = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
        answer: dict[str, Any] = {"access_token": token, "token": token, "token_type": "Bearer"}
        answer["expires_in"] = 3600
        if path.startswith("/auth-apis/"):
            answer = {"authResponse": {"authToken": token, "errorCode": 0}}
        return json.dumps({**answer, "refresh_token": f"refresh-{token}", "expires": end}).encode()


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [
        (name.encode(), value.encode("latin-1", "replace").replace(b"\r", b"").replace(b"\n", b""))
        for name, value in headers.items()
    ]


def _everywhere(text: str) -> dict[str, Any]:
    """An object with the text under every name that one of the vendors gives to an error or to data."""
    names = "error error_description message messages errorCode activityId errors code field title detail"
    names += " errorDesc correlation_id trace_id error_uri suberror version apiVersion id name status reason"
    found: dict[str, Any] = dict.fromkeys(names.split(), text)
    found["errors"] = [text, {"code": text, "field": text, "description": text, "message": text}]
    found["error_codes"] = [7000215]
    found["globalErrors"] = {"fieldErrors": [{"field": text, "message": text}]}
    found["ise_api"] = {"name": text, "path": text, "ise_api_version": text}
    found["results"] = found["value"] = found["devices"] = [{"id": text, "message": text}]
    return found


def spellings(secret: str) -> set[str]:
    """How a secret may look in a text; independent of how the library hides it."""
    inner = base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    return {secret, secret.lower(), quote(secret, safe=""), json.dumps(secret)[1:-1], inner}


def certificate(folder: Path, password: str) -> dict[str, str]:
    """Files of a certificate and its encrypted key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nac")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    (folder / "nac.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    encryption = serialization.BestAvailableEncryption(password.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    (folder / "nac.key").write_bytes(pem)
    return {"file": str(folder / "nac.pem"), "key_file": str(folder / "nac.key"), "password": password}


def variants(provider: str, base_url: str, files: dict[str, str]) -> list[dict[str, Any]]:
    """The settings for each login of a provider."""
    user = {"username": "nac", "password": 'planted-pässword+"&/ x'}
    client = {"client_id": "planted-client", "client_secret": "planted-client-secret+/="}
    tenant = {"tenant_id": "planted.example", "client_id": "planted-client", "authority_url": base_url}
    token_url = {"token_url": f"{base_url}/token"}
    refresh = {**client, **token_url, "refresh_token": "planted-refresh-0", "on_refresh": lambda _: None}
    entra: list[dict[str, Any]] = [
        {**tenant, "client_secret": client["client_secret"]},
        {**tenant, "certificate": files},
    ]
    known: dict[str, list[dict[str, Any]]] = {
        "jamf": [client, user],
        "meraki": [{"api_key": "planted-api-key"}, refresh],
        "ivanti-cloud": [user, {"token": "planted-api-token"}],
        "workspaceone": [
            {**user, "tenant_code": "planted-tenant-code"},
            {**client, **token_url},
            {"tenant_code": "planted-tenant-code", "certificate": files},
        ],
        "blackberry": [
            {**user, "tenant": "S1", "ise_username": "nac", "ise_password": "planted-ise-password"},
            {**client, **token_url, "tenant": "S1"},
        ],
        "intune": entra,
        "intune-ise": entra,
        "soti": [{**client, **user}],
        "configmgr": [
            {**tenant, **user, "resource": "api://planted"},
            {**tenant, "resource": "api://planted", "refresh_token": "planted-refresh-0"},
        ],
        "maas360": [
            {
                **user,
                "billing_id": "30000001",
                "app_id": "com.30000001.api",
                "app_access_key": "planted-access-key",
            }
        ],
        "jamf-ise": [{**user, "instance": "/networkIntegrationEndpoint/7"}],
    }
    return [{"base_url": base_url, **login} for login in known.get(provider, [user])]
