"""What UEM's error answers mean, and the reading of its error bodies and of its quota. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import EndpointNotFoundError, RateLimitedError
from mdmsdk.models import clean_time
from mdmsdk.refusals import Complaint, Refusal, oauth_check
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from mdmsdk.wire import Response

__all__ = ["REFUSALS", "UnknownRecordError", "check_login", "read_complaint", "read_quota"]


class UnknownRecordError(EndpointNotFoundError):
    """The server has no such record, and said so in its own words; to flows, an empty answer."""


_ADDRESS: Final = (
    "Set base_url to the API's address, for SaaS https://asNNNN.awmdm.com (the console is at cnNNNN) as it "
    "stands in the console under Groups & Settings > All Settings > System > Advanced > Site URLs."
)
_LOGIN: Final = (
    "Check user name and password, client or certificate: an active, unlocked administrator with API access."
)
_ROLE: Final = (
    "Give the account a role that may read devices through the REST API (REST > Devices > Read), in the "
    "organisation group of the devices or above."
)
_TENANT: Final = (
    "Check tenant_code: the API key under Groups & Settings > All Settings > System > Advanced > API > "
    "REST API, in the organisation group of the account."
)
_GROUP: Final = "Check organization_group: the number of a group that the account may see."
_QUOTA: Final = "Ask less often; heartbeat() shows in extra['quota'] what is left, and Omnissa can raise it."
_REGION: Final = (
    "Check client_id and client_secret (Groups & Settings > Configurations > OAuth Client Management), and "
    "that region is the data centre of this tenant: na, emea, apac, or uat for all UAT."
)
_REPORT: Final = "Try without organization_group, or report this with the request's number to the plugin."
_SPENT: Final = (403, 429, 503)
# Workspace ONE API help, mdm v1-v3, the errors of each operation: errorCode and what it means. Not found by
# alternate id, uuid or number; 1002 is from the older body.
_NO_RECORD: Final = ("8", "33", "400", "404", "1002", "5002", "5061")
REFUSALS: Final = (
    Refusal(_SPENT, words=r"quota .* is spent$", error=RateLimitedError, hint=_QUOTA, retryable=False),
    Refusal(_SPENT, words=r"quota .* is spent", error=RateLimitedError, hint=_QUOTA),
    Refusal(404, code=_NO_RECORD, error=UnknownRecordError, means="it has no such device"),
    Refusal(code=("6", "5177"), means="the organisation group is unknown or not visible", hint=_GROUP),
    Refusal(code="1013", means="the tenant code is missing or belongs to no group", hint=_TENANT),
    Refusal((400, 406, 415, 422), hint=_REPORT),
    Refusal(401, hint=_LOGIN),
    Refusal(403, hint=_ROLE),
    Refusal(404, hint=_ADDRESS),
)
check_login: Final = oauth_check(hint=_REGION)


# Workspace ONE API help: {"errorCode", "message", "activityId"}; VMware's own connector also knows the older
# {"Message", "Error"}. The message is left out of ours: it may quote what was sent.
def read_complaint(response: Response, row: Row) -> Complaint:
    """What an error answer says: its code, and in place of its words whether the daily quota is spent."""
    code, quota = row.number("errorCode", "Error"), read_quota(response)
    words, wait = "", None
    if quota.get("remaining") == 0:
        words = f"the quota of {quota.get('limit', 'all')} requests is spent"
        if reset := quota.get("resets_at"):
            words += f"; it begins anew at {reset}"
            now = response.date or datetime.now(UTC)
            wait = max(0.0, (datetime.fromisoformat(reset) - now).total_seconds())
        elif response.header("retry-after"):
            words += " for now"
    request = response.header("x-correlation-id") or row.text("activityId")
    # Codes are whole numbers: one that comes as a text reads 5002.0, and so stands for nothing.
    return Complaint(str(code or ""), words, request, wait)


# JupiterOne's recording: x-ratelimit-limit, -remaining, and -reset in Unix seconds, about a day ahead.
def read_quota(response: Response) -> dict[str, Any]:
    """What is left of the daily quota: limit, remaining, resets_at (ISO 8601); empty if nothing is said."""
    headers = Row(response.headers, "headers")
    numbers = {name: headers.number(f"x-ratelimit-{name}") for name in ("limit", "remaining")}
    quota: dict[str, Any] = {name: int(number) for name, number in numbers.items() if number is not None}
    if reset := clean_time(headers.number("x-ratelimit-reset")):
        quota["resets_at"] = reset.isoformat()
    return quota
