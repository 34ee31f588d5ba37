"""What the refusals of both products mean, and what they say in them."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import EndpointNotFoundError, MalformedResponseError
from mdmsdk.refusals import Complaint, Refusal
from mdmsdk_ivanti.advice import CLOUD_ADDRESS, CLOUD_LOGIN, CORE_ADDRESS, CORE_LOGIN

if TYPE_CHECKING:
    from mdmsdk.rows import Row
    from mdmsdk.wire import Response

__all__ = ["CLOUD", "CLOUD_ROLE", "CORE", "TOKEN", "UnknownDeviceError", "complaint", "sentences"]

_CORE_ROLE: Final = (
    "Give the local user, under Admin > Admins > Assign to Space, the API role and from Device Management "
    "the roles to view the dashboard, the device page and device details, in each device space it is to see."
)
CLOUD_ROLE: Final = (
    "Give the API user, under Users > (user) > Assign Roles, a role that may read devices, for each device "
    "space it is to see; the role 'Cisco ISE Operations' alone is for the provider ivanti-cloud-ise."
)
_SMALLER: Final = "Lower page_size: this server takes smaller pages."


class UnknownDeviceError(EndpointNotFoundError):
    """The address is that of a record, and the server has none there: an answer, not a failure."""


# EPMM API v1 guide: for an unknown device, and for a list without any, the answer has status 404 and a body
# that counts no devices; a 404 without such a body comes from a wrong address.
CORE: Final = (
    Refusal(404, path=r"/api/v1/dm/devices", code="0", error=UnknownDeviceError),
    Refusal(401, hint=CORE_LOGIN),
    Refusal(403, hint=_CORE_ROLE),
    Refusal(404, hint=CORE_ADDRESS),
    Refusal(400, words=r"limit", hint=_SMALLER),
    Refusal(400, words=r"space", hint=f"Check the setting spaces. {_CORE_ROLE}"),
    Refusal(400, words=r"quer|field", hint="It does not know a field: report its version to the plugin."),
)
# That an unknown record is told by status 404 and the usual envelope is inferred; a wrong address has no
# envelope.
CLOUD: Final = (
    Refusal(404, path=r"/api/v1/device/", code="errors", error=UnknownDeviceError),
    Refusal(401, hint=CLOUD_LOGIN),
    Refusal(403, hint=CLOUD_ROLE),
    Refusal(404, hint=CLOUD_ADDRESS),
    Refusal(400, words=r"\brows\b|between 1 and", hint=_SMALLER),
    Refusal(400, words=r"partition", hint=f"Check the setting partitions. {CLOUD_ROLE}"),
    Refusal(400, words=r"\bfq\b|filter|propert", hint="Ask by another identifier: it cannot search by this."),
)
TOKEN: Final = Refusal(401, hint="It is wrong, revoked or has run out: create a new token for the API user.")


def complaint(response: Response, row: Row) -> Complaint:
    """What either product says; the code tells its own answers from those of something in between."""
    code = row.text("totalCount") or ("errors" if row.has("errors") else "")
    with suppress(MalformedResponseError):
        return Complaint(code, sentences(response.json()))
    return Complaint()


_SPEAKING: Final = re.compile(r"\w*errors?|\w*messages?", re.IGNORECASE)


# EPMM: `messages`; a V1 answer has it one level down as `message`. Neurons: `errors.globalErrors` and
# `errors.fieldErrors` with code, message and field. A body may as well be a web page.
def sentences(body: object) -> str:
    """What the server finds wrong with a request, in its own words; "" where it does not say."""
    return "; ".join(dict.fromkeys(_sentences(body, 8)))


def _sentences(value: Any, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if isinstance(value, list) and depth:
        return [sentence for one in value for sentence in _sentences(one, depth - 1)]
    if not isinstance(value, dict):
        return []
    said = [part for name, part in value.items() if _SPEAKING.fullmatch(name)]
    field = value.get("field")
    before = f"{field}: " if field and isinstance(field, str) else ""
    return [before + sentence for sentence in _sentences(said, depth)]
