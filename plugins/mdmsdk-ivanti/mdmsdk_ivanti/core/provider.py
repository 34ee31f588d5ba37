"""Ivanti EPMM (MobileIron Core) by its own REST API, version 2.

Source: Ivanti EPMM API v2 guide, https://help.ivanti.com/mi/help/en_us/core/12.x/api2/APIv2/APIv2Devices.htm.
The address ``/mifs/aad/api/v2``, through which login could once be evaded, is never used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from mdmsdk.errors import EndpointNotFoundError, PermissionDeniedError
from mdmsdk.provider import Limits
from mdmsdk_ivanti.core.query import BATCH, MAX_QUERY, OR, noncompliant, terms
from mdmsdk_ivanti.core.records import FIELDS, NEEDED, CoreRecord
from mdmsdk_ivanti.core.refusals import REFUSALS
from mdmsdk_ivanti.core.settings import IvantiCoreSettings
from mdmsdk_ivanti.provider import IvantiProvider, IvantiServer

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from mdmsdk.paging import Slice
    from mdmsdk_ivanti.records import JsonObject

__all__ = ["IvantiCoreProvider"]

_CONNECTED_CLOUD = "/rest"
_BY_NUMBER = {"sortField": "common.id", "sortOrder": "ASC"}


class IvantiCoreProvider(IvantiProvider):
    """Ivanti EPMM: search by query, one device space at a time."""

    name = "ivanti-core"
    product = "Ivanti EPMM"
    settings_type: ClassVar[type[IvantiCoreSettings]] = IvantiCoreSettings
    # Neither product publishes a general limit. Its sister interface is shared by all tenants of a cluster,
    # and the vendor asks its users to be gentle: Common Platform Services API guide, "Rate limits".
    limits: ClassVar[Limits] = Limits(concurrency=5, batch_size=BATCH)
    refusals = REFUSALS
    record = CoreRecord
    longest_query = MAX_QUERY
    disjunction = OR

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the version, the account's device spaces, and the fields that can be searched.

        Raises:
            EndpointNotFoundError: no EPMM answers here.
            ConfigurationError: the account does not see the device spaces of the settings.
        """
        base = self.settings.base_url
        # EPMM API v2 guide, "Connected Cloud": the same API, behind the account's path and one segment more.
        if urlsplit(base).path:
            base = base.removesuffix(_CONNECTED_CLOUD) + _CONNECTED_CLOUD
        version = (yield from self.get(f"{base}/api/v2/ping")).row("results").required("vspVersion")
        mine = yield from self.get(f"{base}/api/v2/device_spaces/mine")
        spaces = self.choose_spaces(mine.records("results"))
        fields = yield from self._fields(base, spaces[0])
        server = IvantiServer(api_base=base, spaces=spaces, noncompliant=noncompliant(fields), fields=fields)
        server, _ = yield from self.look(server)
        return self.describe(server, version=version, api_version="2")

    def _fields(self, base: str, space: str) -> Flow[tuple[str, ...]]:
        """The fields to ask for: those that there are, of those that are wanted."""
        url = f"{base}/api/v2/devices/search_fields"
        try:
            answer = yield from self.get(url, {"adminDeviceSpaceId": space})
        except (EndpointNotFoundError, PermissionDeniedError):
            return FIELDS
        known = {field.text("name") for field in answer.records("results")} | {*NEEDED}
        return tuple(name for name in FIELDS if name in known)

    # EPMM API v2 guide, "Devices: search": offset and limit count rows; sortField and sortOrder; `fields` is
    # required.
    def rows(
        self, server: IvantiServer, query: str, space: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
        """One part of a search."""
        params: dict[str, str | int] = {"adminDeviceSpaceId": space, "query": query, **_BY_NUMBER}
        params |= {"fields": ",".join(server.fields), "limit": limit, "offset": offset}
        answer = yield from self.get(f"{server.api_base}/api/v2/devices", params)
        return answer.part("results", "common.id", more=answer.flag("hasMore"))

    def condition(self, server: IvantiServer, key: Key) -> str:
        """The query for a key."""
        return terms(key, server.fields)
