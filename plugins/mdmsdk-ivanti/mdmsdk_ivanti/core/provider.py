"""Ivanti EPMM (MobileIron Core) by its own REST API, version 2.

Source: Ivanti EPMM API v2 guide, https://help.ivanti.com/mi/help/en_us/core/12.x/api2/APIv2/APIv2Devices.htm.
The address ``/mifs/aad/api/v2``, through which login could once be evaded, is never used.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from mdmsdk.errors import (
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    ResponseError,
)
from mdmsdk.flow import attempt, send
from mdmsdk.models import ComplianceState, ServerInfo
from mdmsdk.paging import Slice
from mdmsdk.provider import Limits
from mdmsdk.search import one_by_one
from mdmsdk_ivanti.advice import CORE_ADDRESS, CORE_LOGIN
from mdmsdk_ivanti.answers import integer, numbered, objects
from mdmsdk_ivanti.base import IvantiProvider
from mdmsdk_ivanti.core import v1
from mdmsdk_ivanti.core.query import BATCH, MAX_QUERY, OR, noncompliant, terms
from mdmsdk_ivanti.core.records import (
    FIELDS,
    MANAGED,
    MASKED,
    NEEDED,
    OTHERS,
    read_v1,
    read_v2,
)
from mdmsdk_ivanti.records import IvantiRow
from mdmsdk_ivanti.settings import IvantiCoreSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.search import Found
    from mdmsdk.wire import Response
    from mdmsdk_ivanti.records import JsonObject, Masked

__all__ = ["IvantiCoreProvider"]

_CONNECTED_CLOUD = "/rest"
_BY_NUMBER = {"sortField": "common.id", "sortOrder": "ASC"}

_ROLE_HINT = (
    "Give the local user, under Admin > Admins > Assign to Space, the API role and from Device Management "
    "the roles to view the dashboard, the device page and device details, in each device space it is to see."
)


class IvantiCoreProvider(IvantiProvider):
    """Ivanti EPMM: search by query, one device space at a time."""

    name = "ivanti-core"
    settings_type: ClassVar[type[IvantiCoreSettings]] = IvantiCoreSettings
    limits: ClassVar[Limits] = Limits(concurrency=5, batch_size=BATCH)
    hints: ClassVar[Mapping[int, str]] = {
        401: CORE_LOGIN,
        403: _ROLE_HINT,
        404: CORE_ADDRESS,
    }
    complaint_hints: ClassVar[Sequence[tuple[str, str]]] = (
        (r"limit", "Lower page_size: this server takes smaller pages."),
        (r"space", f"Check the setting spaces. {_ROLE_HINT}"),
        (r"quer|field", "This server does not know a field or operator: report its version to the plugin."),
    )

    masked: ClassVar[Masked] = MASKED
    longest_query: ClassVar[int] = MAX_QUERY
    disjunction: ClassVar[str] = OR

    settings: IvantiCoreSettings

    def check(self, response: Response) -> Response:
        """As for both products, but the 404 of a device that version 1 does not know is an answer."""
        if response.status == 404 and v1.is_unknown_device(response):  # noqa: PLR2004 - Not Found
            return response
        return super().check(response)

    # --- what the server is ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the version, the account's device spaces, and the fields that can be searched.

        Raises:
            EndpointNotFoundError: no EPMM answers here.
            ConfigurationError: the account does not see the device spaces of the settings.
        """
        try:
            base, ping = yield from self._ping()
        except EndpointNotFoundError as error:
            # Refused is something else: a server that has version 2 says more by it, so its role is wanted.
            older = yield from attempt(self._heartbeat_v1())
            if isinstance(older, MdmError):
                raise error from None
            return older
        mine = yield from self.get(f"{base}/api/v2/device_spaces/mine")
        spaces = self.choose(self.read_spaces(mine.get("results")), self.settings.spaces, "spaces")
        fields = yield from self._fields(base, spaces[0]["id"])
        info = ServerInfo(
            provider=self.name,
            vendor=self.vendor,
            product="Ivanti EPMM",
            version=IvantiRow(ping).text("vspVersion"),
            api_version="2",
            extra={"api_base": base, "spaces": spaces, "fields": fields, "order": _BY_NUMBER, "masked": []},
        )
        try:
            info.extra["masked"] = yield from self.find_masks(info)
        except ResponseError as error:
            if error.status != 400:  # noqa: PLR2004 - Bad Request
                raise
            # Perhaps it cannot be sorted so. Then a list that changes while it is read is given up.
            info.extra["order"] = {}
            info.extra["masked"] = yield from self.find_masks(info)
        return info

    # EPMM API v2 guide, "Connected Cloud": the same API, behind the account's path and one segment more.
    def _ping(self) -> Flow[tuple[str, dict[str, Any]]]:
        base = self.settings.base_url
        bases = [base]
        if urlsplit(base).path and not base.endswith(_CONNECTED_CLOUD):
            bases.insert(0, base + _CONNECTED_CLOUD)
        for candidate in bases[:-1]:
            try:
                return candidate, (yield from self._ping_at(candidate))
            except (EndpointNotFoundError, MalformedResponseError):
                continue
        return bases[-1], (yield from self._ping_at(bases[-1]))

    def _ping_at(self, base: str) -> Flow[dict[str, Any]]:
        answer = yield from self.get(f"{base}/api/v2/ping")
        results = answer.get("results")
        if not isinstance(results, dict) or "vspVersion" not in results:
            raise MalformedResponseError(f"{base} does not answer a ping as EPMM does")
        return results

    def _fields(self, base: str, space: str) -> Flow[list[str]]:
        """The fields to ask for: those that there are, of those that are wanted."""
        url = f"{base}/api/v2/devices/search_fields"
        try:
            answer = yield from self.get(url, {"adminDeviceSpaceId": space})
        except (EndpointNotFoundError, PermissionDeniedError):
            return list(FIELDS)
        known = {field.get("name") for field in objects(answer.get("results"), "fields")}
        return [name for name in FIELDS if name in known or name in NEEDED]

    def _heartbeat_v1(self) -> Flow[ServerInfo]:
        base = self.settings.base_url
        v1.read_list((yield from send(v1.list_request(base, MANAGED[0], 0, 1))))
        spaces = [{"id": status, "name": status} for status in MANAGED]
        return ServerInfo(
            provider=self.name,
            vendor=self.vendor,
            product="Ivanti EPMM",
            api_version="1",
            extra={"api_base": base, "spaces": spaces, "masked": []},
        )

    # --- devices ---

    # EPMM API v2 guide, "Devices: search": offset and limit count rows; sortField and sortOrder; `fields` is
    # required.
    def rows(
        self, info: ServerInfo, query: str, *, scope: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
        """One part of a search; with version 1 the scope is a status, and the query is not heeded."""
        base = info.extra["api_base"]
        if _is_v1(info):
            return v1.read_list((yield from send(v1.list_request(base, scope, offset, limit))))
        params: dict[str, str | int] = {
            "adminDeviceSpaceId": scope,
            "query": query,
            "fields": ",".join(info.extra["fields"]),
            "limit": limit,
            "offset": offset,
            **info.extra["order"],
        }
        answer = yield from self.get(f"{base}/api/v2/devices", params)
        rows = numbered(answer.get("results"), "common.id")
        more = answer.get("hasMore")
        total = integer(answer.get("totalCount"), "count of devices")
        return Slice(rows, total, more if isinstance(more, bool) else None)

    def read(self, info: ServerInfo, record: JsonObject, **more: Any) -> Device:
        """What a record of either version says."""
        return (read_v1 if _is_v1(info) else read_v2)(record, **more)

    def condition(self, info: ServerInfo, key: Key) -> str:
        """The query for a key."""
        return terms(key, info.extra["fields"])

    def noncompliant_query(self, info: ServerInfo) -> str:
        """Managed devices that do not comply, are quarantined, or have a security state but Ok."""
        return "" if _is_v1(info) else noncompliant(info.extra["fields"])

    def listed(self, info: ServerInfo, record: JsonObject) -> Device | None:
        """The device of a row of the noncompliant list."""
        # Version 1 lists all devices. And "not Ok" may be taken to hold for devices without a security state.
        calm = not IvantiRow(record).has("common.security_state")
        if _is_v1(info) or (calm and "common.compliant" in record):
            device, _ = self._read(info, record)
            state = device.compliance.state
            if device.registered and not device.unreadable and state is not ComplianceState.NONCOMPLIANT:
                return None
        return super().listed(info, record)

    def inventory_scopes(self, info: ServerInfo) -> Sequence[str]:
        """The device spaces, or with version 1 the states, that together hold all devices."""
        return [*MANAGED, *OTHERS] if _is_v1(info) else self.scopes(info)

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """As few queries as the keys fit into; with version 1, one request for each."""
        if _is_v1(info):
            return one_by_one(keys, partial(self._find_v1, info))
        return super().find_batch(info, keys)

    def _find_v1(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        request = v1.device_request(info.extra["api_base"], key)
        return self._devices(info, [key], v1.read_devices((yield from send(request))))


def _is_v1(info: ServerInfo) -> bool:
    return info.api_version == "1"
