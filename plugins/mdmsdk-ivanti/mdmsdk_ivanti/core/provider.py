"""Ivanti EPMM (MobileIron Core) by its own REST API, version 2.

Source: Ivanti EPMM API v2 guide, https://help.ivanti.com/mi/help/en_us/core/12.x/api2/APIv2/APIv2Devices.htm.
The address ``/mifs/aad/api/v2``, through which login could once be evaded, is never used.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from mdmsdk.errors import (
    EndpointNotFoundError,
    MalformedResponseError,
    PermissionDeniedError,
    ResponseError,
)
from mdmsdk.paging import Slice
from mdmsdk.provider import Limits
from mdmsdk_ivanti.core.query import BATCH, MAX_QUERY, OR, noncompliant, terms
from mdmsdk_ivanti.core.records import FIELDS, NAMES, NEEDED, read
from mdmsdk_ivanti.provider import IvantiProvider, IvantiServer
from mdmsdk_ivanti.records import IvantiRow, numbered
from mdmsdk_ivanti.refusals import CORE
from mdmsdk_ivanti.settings import IvantiCoreSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from mdmsdk.refusals import Refusal
    from mdmsdk_ivanti.records import JsonObject, Names

__all__ = ["IvantiCoreProvider"]

_CONNECTED_CLOUD = "/rest"
_BY_NUMBER = (("sortField", "common.id"), ("sortOrder", "ASC"))


class IvantiCoreProvider(IvantiProvider):
    """Ivanti EPMM: search by query, one device space at a time."""

    name = "ivanti-core"
    product = "Ivanti EPMM"
    settings_type: ClassVar[type[IvantiCoreSettings]] = IvantiCoreSettings
    # Neither product publishes a general limit. Its sister interface is shared by all tenants of a cluster,
    # and the vendor asks its users to be gentle: Common Platform Services API guide, "Rate limits".
    limits: ClassVar[Limits] = Limits(concurrency=5, batch_size=BATCH)
    refusals: Sequence[Refusal] = CORE
    names: ClassVar[Names] = NAMES
    read = staticmethod(read)
    longest_query = MAX_QUERY
    disjunction = OR

    settings: IvantiCoreSettings

    # --- what the server is ---

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the version, the account's device spaces, and the fields that can be searched.

        Raises:
            EndpointNotFoundError: no EPMM answers here.
            ConfigurationError: the account does not see the device spaces of the settings.
        """
        base, version = yield from self._ping()
        spaces = yield from self.get(f"{base}/api/v2/device_spaces/mine")
        scopes = self.choose(spaces.objects("results"), "spaces")
        fields = yield from self._fields(base, scopes[0])
        query = noncompliant(fields)
        server = IvantiServer(base=base, scopes=scopes, noncompliant=query, fields=fields, order=_BY_NUMBER)
        try:
            server = yield from self.find_masks(server)
        except ResponseError as error:
            if error.status != 400:  # noqa: PLR2004 - Bad Request
                raise
            # Perhaps it cannot be sorted so. Then a list that changes while it is read is given up.
            server = yield from self.find_masks(server.model_copy(update={"order": ()}))
        return self.describe(server, version=version, api_version="2")

    # EPMM API v2 guide, "Connected Cloud": the same API, behind the account's path and one segment more.
    def _ping(self) -> Flow[tuple[str, str]]:
        base = self.settings.base_url
        if urlsplit(base).path and not base.endswith(_CONNECTED_CLOUD):
            with suppress(EndpointNotFoundError, MalformedResponseError):
                return (yield from self._ping_at(base + _CONNECTED_CLOUD))
        return (yield from self._ping_at(base))

    def _ping_at(self, base: str) -> Flow[tuple[str, str]]:
        answer = yield from self.get(f"{base}/api/v2/ping")
        version = answer.row("results").text("vspVersion")
        if version is None:
            raise MalformedResponseError(f"{base} does not answer a ping as EPMM does")
        return base, version

    def _fields(self, base: str, space: str) -> Flow[tuple[str, ...]]:
        """The fields to ask for: those that there are, of those that are wanted."""
        url = f"{base}/api/v2/devices/search_fields"
        try:
            answer = yield from self.get(url, {"adminDeviceSpaceId": space})
        except (EndpointNotFoundError, PermissionDeniedError):
            return FIELDS
        known = [field.get("name") for field in answer.objects("results")]
        return tuple(name for name in FIELDS if name in known or name in NEEDED)

    # --- devices ---

    # EPMM API v2 guide, "Devices: search": offset and limit count rows; sortField and sortOrder; `fields` is
    # required.
    def rows(
        self, server: IvantiServer, query: str, scope: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
        """One part of a search."""
        params: dict[str, str | int] = {"adminDeviceSpaceId": scope, "query": query}
        params |= {"fields": ",".join(server.fields), "limit": limit, "offset": offset, **dict(server.order)}
        answer = yield from self.get(f"{server.base}/api/v2/devices", params)
        rows = numbered(answer.objects("results"), "common.id")
        return Slice(rows, answer.count(), answer.flag("hasMore"))

    def condition(self, server: IvantiServer, key: Key) -> str:
        """The query for a key."""
        return terms(key, server.fields)

    def slips_in(self, record: JsonObject) -> bool:
        """That a security state is "not Ok" may be taken to hold for a device without one."""
        return "common.compliant" in record and not IvantiRow(record).has("common.security_state")
