"""What Entra ID says when it gives no token, and what to do about it. Pure.

Microsoft, "Microsoft Entra authentication and authorization error codes",
https://learn.microsoft.com/entra/identity-platform/reference-error-codes: programs go by the OAuth word;
the number tells a person more, and may change.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError, TokenError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["token_error"]

_RENEW = (
    "In the app registration, Certificates & secrets, create a client secret and copy its value into "
    "client_secret"
)
_APP = (
    "Compare client_id and tenant_id with the overview of the app registration; it must be in this "
    "very tenant"
)
_CLOUD = (
    "Check tenant_id (directory id or domain) and cloud: the tenant may be in another of Microsoft's clouds"
)
_CERT = (
    "Upload this very certificate to the app registration, Certificates & secrets, and compare the "
    "thumbprint; "
    "check that it has not expired and that this machine's clock is right"
)
_CONSENT = (
    "In the app registration, API permissions, add the application permissions of the how-to page and press "
    "Grant admin consent, again after every change; it takes 5 to 10 minutes to work"
)
_RESOURCE = (
    "Check that the tenant has an active Intune licence, and cloud and nac_audience: in another cloud "
    "the API has "
    "another audience"
)
_LATER = "Entra ID is busy; try again in a moment"

# What the number means, and the remedy.
_BY_CODE: Final[Mapping[int, tuple[str, str]]] = {
    7000215: (
        "the client secret is wrong",
        _RENEW + "; the secret's id in the list beside it is another thing",
    ),
    7000222: ("the client secret has expired", _RENEW + ", or log in with a certificate"),
    7000218: ("neither a secret nor a certificate came along", _RENEW),
    700016: ("the application is not known in this tenant", _APP),
    700011: ("the application is not known in this tenant", _APP),
    70001: ("the application is not known in this tenant, or is disabled", _APP),
    7000112: ("the application is disabled", "Enable it under Enterprise applications, Properties"),
    90002: ("the tenant does not exist", _CLOUD),
    900023: ("the tenant's name is not a valid one", _CLOUD),
    90038: ("the tenant is in another cloud", _CLOUD),
    900382: ("the tenant is in another cloud", _CLOUD),
    900432: ("the tenant is in another cloud", _CLOUD),
    700027: ("the certificate is not registered for the application", _CERT),
    50012: ("the certificate does not fit the application", _CERT),
    700030: ("the certificate does not fit the application", _CERT),
    700024: ("the login's time does not fit: it came too early or too late", _CERT),
    65001: ("nobody has consented to the application's permissions", _CONSENT),
    650056: ("the application lists no such permission, or nobody has consented to it", _CONSENT),
    650057: ("the application lists no permission for this API", _CONSENT),
    500011: ("the API does not exist in this tenant", _RESOURCE),
    70011: ("the scope is not valid", _RESOURCE),
    700022: ("the scope names two APIs", _RESOURCE),
    53003: (
        "Conditional Access blocks the application",
        "Ask who looks after Conditional Access for workloads",
    ),
    **dict.fromkeys((90006, 90012, 90024, 90033, 90055), ("the service is busy", _LATER)),
}
_BY_WORD: Final[Mapping[str, tuple[str, str]]] = {
    "invalid_client": ("the secret or certificate is wrong", f"{_RENEW}. {_CERT}"),
    "unauthorized_client": ("the application may not log in", _APP),
    "invalid_grant": ("the application may not have a token", _CONSENT),
    "invalid_resource": _BY_CODE[500011],
    "invalid_scope": _BY_CODE[70011],
    "temporarily_unavailable": _BY_CODE[90033],
}
_OTHERWISE = ("it refused", f"{_APP}. {_CLOUD}")
_NUMBER = re.compile(r"AADSTS([0-9]{4,8})")
_ABOUT_CERTIFICATES = frozenset({700027, 50012, 700030, 700024})
_WORD = re.compile(r"[a-z_]{1,60}")


def token_error(
    answer: Mapping[str, Any], step: str, thumbprint: str | None
) -> TokenError | MalformedResponseError:
    """The error for an answer that holds no token.

    Args:
        answer: what the login authority, or msal in its name, said.
        step: which token was wanted.
        thumbprint: SHA-1 of the certificate that was used, in hex digits.
    """
    number, word = _number(answer), str(answer.get("error") or "")
    if number is None and not word:
        return MalformedResponseError(f"the login authority gave neither a token for {step} nor an error")
    meaning, hint = _BY_CODE.get(number or 0) or _BY_WORD.get(word, _OTHERWISE)
    names = ", ".join(filter(None, (f"AADSTS{number}" if number else None, _WORD.fullmatch(word) and word)))
    used = (
        f"; the certificate's thumbprint is {thumbprint}"
        if thumbprint and number in _ABOUT_CERTIFICATES
        else ""
    )
    return TokenError(
        f"Entra ID gave no token for {step}: {meaning} ({names or 'no code'}){used}",
        step=step,
        vendor_code=f"AADSTS{number}" if number else None,
        request_id=_text(answer.get("correlation_id")) or _text(answer.get("trace_id")),
        retryable=hint == _LATER,
        hint=f"{hint}.",
    )


def _number(answer: Mapping[str, Any]) -> int | None:
    codes = answer.get("error_codes")
    listed = [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
    if listed:
        return listed[0]
    found = _NUMBER.search(str(answer.get("error_description") or ""))
    return int(found[1]) if found else None


def _text(value: object) -> str | None:
    return value[:64] if isinstance(value, str) else None
