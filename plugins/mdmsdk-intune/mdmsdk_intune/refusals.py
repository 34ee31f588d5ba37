"""What the refusals of Entra ID, Graph and Compliance Retrieval mean, and what to do about them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import EndpointNotFoundError, PermissionDeniedError, RateLimitedError, TokenError
from mdmsdk.refusals import Complaint, Refusal, error_row
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from mdmsdk.rows import Row

__all__ = ["LOGIN", "LOGIN_HINT", "REFUSALS", "RecordNotFoundError", "complaint", "login_complaint"]


class RecordNotFoundError(EndpointNotFoundError):
    """The address is right; the record that was asked for does not exist."""


# --- Entra ID ---

_RENEW = (
    "In the app registration, Certificates & secrets, create a client secret; copy its value (not its id)."
)
_APP = "Compare client_id and tenant_id with the overview of the app registration; it must be in this tenant."
_CLOUD = "Check tenant_id (directory id or domain) and cloud: the tenant may be in another one."
_CERTIFICATE = (
    "Upload this very certificate to the app registration, Certificates & secrets, compare the thumbprint, "
    "and check that it has not expired and that this machine's clock is right."
)
_GRANT = "with administrator's consent, granted again after every change; it takes 5 to 10 minutes to work."
_CONSENT = f"Give the app registration the application permissions of the how-to page, {_GRANT}"
_RESOURCE = "Check cloud and nac_audience, and that the tenant has an active Intune licence."
LOGIN_HINT: Final = "Something else than Entra ID may answer: check authority_url, cloud, tenant_id, proxy."
_REFUSED = tuple(status for status in range(400, 500) if status != 429)  # noqa: PLR2004 - HTTP's own number


def _login(means: str, hint: str, *numbers: int, word: str | None = None, retryable: bool = False) -> Refusal:
    codes = tuple(f"AADSTS{number}" for number in numbers) or None
    return Refusal(
        _REFUSED, code=codes, words=word, error=TokenError, means=means, hint=hint, retryable=retryable
    )


# Microsoft, "Microsoft Entra authentication and authorization error codes",
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes: programs go by the OAuth word;
# the number tells a person more, and may change.
LOGIN: Final = (
    _login("the client secret is wrong", _RENEW, 7000215),
    _login("the client secret has expired", f"{_RENEW} Or log in with a certificate.", 7000222),
    _login("neither a secret nor a certificate came along", _RENEW, 7000218),
    _login("the application is not known in this tenant, or is disabled", _APP, 700016, 700011, 70001),
    _login("the application is disabled", "Enable it under Enterprise applications, Properties.", 7000112),
    _login("the tenant does not exist", _CLOUD, 90002, 900023),
    _login("the tenant is in another cloud", _CLOUD, 90038, 900382, 900432),
    _login("the certificate does not fit the application", _CERTIFICATE, 700027, 50012, 700030),
    _login("the login's time does not fit: it came too early or too late", _CERTIFICATE, 700024),
    _login("nobody has consented to the application's permissions", _CONSENT, 65001, 650056, 650057),
    _login("the API does not exist in this tenant", _RESOURCE, 500011),
    _login("the scope is not valid", _RESOURCE, 70011, 700022),
    _login("Conditional Access blocks the application", "Ask who looks after it for workloads.", 53003),
    _login(
        "the service is busy", "Try again in a moment.", 90006, 90012, 90024, 90033, 90055, retryable=True
    ),
    _login("the secret or certificate is wrong", f"{_RENEW} {_CERTIFICATE}", word="invalid_client"),
    _login("the application may not log in", _APP, word="unauthorized_client"),
    _login("the application may not have a token", _CONSENT, word="invalid_grant"),
    _login("the API or its scope is not known", _RESOURCE, word="invalid_resource|invalid_scope"),
    _login("the service is busy", "Try again in a moment.", word="temporarily_unavailable", retryable=True),
    _login("it gave no token", f"{_APP} {_CLOUD}", word="."),
    Refusal(hint=LOGIN_HINT),
)
_NUMBER = re.compile(r'AADSTS([0-9]{4,8})|"error_codes":\s*\[([0-9]{4,8})\b')
_WORD = re.compile(r"[a-z_]{1,60}")


# RFC 6749, section 5.2: an object, the member `error` of which is one word.
def login_complaint(response: Response, row: Row) -> Complaint:
    """Entra ID's number and word; nothing of what else it says, since that quotes what was sent."""
    if (word := row.text("error")) is None:
        return Complaint()
    number = _NUMBER.search(response.text)
    return Complaint(
        code=f"AADSTS{number[1] or number[2]}" if number else "",
        words=word if _WORD.fullmatch(word) else "no code",
        request_id=row.text("correlation_id", "trace_id"),
    )


# --- Graph, and the Compliance Retrieval service ---

_GRAPH = r"/v1\.0/"
_NO_INTUNE = "This tenant has no active Intune subscription: check tenant_id and the licence."
_NOT_SET_UP = f"Check tenant_id, and give the application its permissions in this tenant, {_GRANT}"
_WRONG_CLOUD = "Graph refuses the token: check cloud and graph_url, which have to be those of the tenant."
_RETRIEVAL = f"Give the app registration the permission get_device_compliance of the API 'Intune', {_GRANT}"
_WRONG_AUDIENCE = (
    f"The Compliance Retrieval service refuses the token: check cloud and nac_audience. {_RETRIEVAL}"
)
_MOVED = "Intune has moved the service, which is looked up again after this; Graph alone can do without it."
_OFTEN = (
    "Intune gives the list of all noncompliant devices at most once in 4 hours: poll every 240 minutes or "
    "less often. Single devices can be looked up all the time, and Graph lists without this limit."
)


def _lacks(path: str, permission: str, otherwise: str = "") -> tuple[Refusal, Refusal]:
    hint = (
        f"Give the app registration Microsoft Graph's application permission {permission}, {_GRANT} "
        f"It also takes an Intune licence in the tenant.{otherwise}"
    )
    # With 401, a good token lacks a role or a licence; a new one would lack it too.
    return (
        Refusal(401, code="Forbidden", path=path, error=PermissionDeniedError, hint=hint),
        Refusal(403, path=path, hint=hint),
    )


# What each address needs; that the policy states need both is inferred, Microsoft documents neither.
_READ = "DeviceManagementManagedDevices.Read.All"
REFUSALS: Final = (
    Refusal(path=_GRAPH, words="not applicable to target tenant", hint=_NO_INTUNE),
    *_lacks("/servicePrincipals/", "Application.Read.All"),
    *_lacks("/deviceCompliancePolicyStates", f"DeviceManagementConfiguration.Read.All and {_READ}"),
    *_lacks("/managedDevices", _READ, ' Or leave "graph" out of backends.'),
    Refusal(401, path=_GRAPH, code="Authorization_IdentityNotFound", hint=_NOT_SET_UP),
    Refusal(401, path=_GRAPH, hint=_WRONG_CLOUD),
    Refusal(404, path=_GRAPH, code=("ResourceNotFound", "NotFound"), error=RecordNotFoundError),
    Refusal(path=_GRAPH),
    Refusal(401, hint=_WRONG_AUDIENCE),
    Refusal(403, hint=_RETRIEVAL),
    # What an unknown device gives is not documented.
    Refusal(404, code="ise_api", error=RecordNotFoundError, means="Intune does not know this device"),
    # 421: this host serves the tenant no more.
    Refusal((404, 421), error=EndpointNotFoundError, hint=_MOVED),
    # Microsoft on network access control with Intune,
    # https://learn.microsoft.com/mem/intune/protect/network-access-control-integrate: the list of all
    # noncompliant devices may be asked for once in 4 hours; sooner gives 503.
    Refusal(503, path="querycriteria=compliance", error=RateLimitedError, hint=_OFTEN, wait=4 * 3600),
)


# https://learn.microsoft.com/graph/errors; Intune's own services put a document of JSON into the message, and
# often another one into that.
def complaint(response: Response, row: Row) -> Complaint:
    """What Graph says in an error, or whether it is the Compliance Retrieval service that speaks."""
    if b"<ise_api" in response.body:
        return Complaint("ise_api")
    error = row.row("error")
    message = outer = error.text("message") or ""
    wait = None
    for _ in range(2):
        if message.lstrip().startswith("{"):
            document = error_row(Response(response.status, body=message.encode()))
            message, wait = document.text("Message") or "", document.number("RetryAfter") or wait
    return Complaint(
        code="Forbidden" if "Forbidden" in outer else error.text("code") or "",
        # Intune goes on with the numbers and addresses of its own services.
        words=message.partition(" - ")[0],
        request_id=error.row("innerError").text("request-id"),
        wait=wait,
    )
