"""Ivanti Neurons for MDM (MobileIron Cloud) by its own REST API, version 1.

Source: Ivanti Neurons for MDM customer integration API guide, "Devices", "Device spaces", "Errors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError, ProtocolError
from mdmsdk.flow import attempt, done
from mdmsdk.identifiers import Guid
from mdmsdk.logins import secret_text
from mdmsdk.paging import Slice
from mdmsdk.provider import Limits, Token
from mdmsdk.words import safe_words
from mdmsdk_ivanti.cloud.records import MAX_QUERY, NAMES, NONCOMPLIANT, OR, condition, read
from mdmsdk_ivanti.provider import IvantiProvider, IvantiServer
from mdmsdk_ivanti.records import numbered
from mdmsdk_ivanti.refusals import CLOUD, CLOUD_TOKEN, UnknownDeviceError, said
from mdmsdk_ivanti.settings import IvantiCloudSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from mdmsdk.refusals import Refusal
    from mdmsdk_ivanti.records import IvantiRow, JsonObject, Names

__all__ = ["IvantiCloudProvider"]

_BY_NUMBER = {"sortFields[0].name": "id", "sortFields[0].order": "ASC"}
_MAX_ROWS = 500
"""Customer integration API guide, "Devices": more rows on one page are refused."""
_BATCH = 40
"""Twenty MAC addresses fit into one query, and as many serial numbers."""


class IvantiCloudProvider(IvantiProvider):
    """Neurons for MDM: search by the properties of devices, one device space at a time."""

    name = "ivanti-cloud"
    product = "Ivanti Neurons for MDM"
    settings_type: ClassVar[type[IvantiCloudSettings]] = IvantiCloudSettings
    limits: ClassVar[Limits] = Limits(concurrency=5, batch_size=_BATCH)
    names: ClassVar[Names] = NAMES
    read = staticmethod(read)
    longest_query = MAX_QUERY
    disjunction = OR

    settings: IvantiCloudSettings

    def __init__(self, settings: IvantiCloudSettings) -> None:
        super().__init__(settings)
        self.refusals: Sequence[Refusal] = CLOUD_TOKEN if settings.token else CLOUD

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The token, or else the user name and password, of the settings; costs no request."""
        if self.settings.token:
            return done(Token(secret_text(self.settings.token), static=True))
        return super().login(audience, previous)

    # --- what the server is ---

    # Customer integration API guide, "Device spaces": this call is also how clients test their connection.
    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the tenant's device spaces, there called partitions, and try how it finds a GUID.

        Raises:
            ConfigurationError: the account does not see the partitions of the settings.
        """
        base = f"{self.settings.base_url}/api/v1"
        result = (yield from self._envelope(f"{base}/tenant/partition/device")).row("result")
        scopes = self.choose(result.objects("searchResults"), "partitions")
        server = yield from self.find_masks(IvantiServer(base=base, scopes=scopes, noncompliant=NONCOMPLIANT))
        by_address = yield from self._needs_addresses(server)
        server = server.model_copy(update={"guids_by_address": by_address})
        return self.describe(server, api_version="1", query_max_size=_MAX_ROWS)

    def _needs_addresses(self, server: IvantiServer) -> Flow[bool]:
        """Whether a device that the tenant lists is found at the address of its GUID, and by no search."""
        for scope in server.scopes:
            here = server.model_copy(update={"scopes": (scope,)})
            listed = yield from self.rows(here, "", scope, 0, 1)
            for _, record in listed.rows:
                if key := Guid.parse(str(record.get("guid") or "")):
                    for by_address in (False, True):
                        info = self.describe(here.model_copy(update={"guids_by_address": by_address}))
                        found = yield from attempt(self.find(info, key))
                        # An ignored query finds others as well.
                        if isinstance(found, list) and {device.matches(key) for device in found} == {True}:
                            return by_address
                    return False
        return False

    def _envelope(self, url: str, params: Mapping[str, str | int] | None = None) -> Flow[IvantiRow]:
        """An answer with a result."""
        answer = yield from self.get(url, params)
        if errors := said({"errors": answer.value("errors")}):
            raise ProtocolError(f"the server reports: {safe_words(errors)}")
        if answer.value("errors") or not answer.has("result"):
            raise MalformedResponseError("the server answered without a result")
        return answer

    # --- devices ---

    # Customer integration API guide, "Devices": `start`, not `offset`, counts rows; the order is by
    # sortFields.
    def rows(
        self, server: IvantiServer, query: str, scope: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
        """One part of a search, or the record at an address."""
        url = f"{server.base}/device"
        params: dict[str, str | int] = {"dmPartitionId": scope}
        if query.startswith("/"):
            try:
                answer = yield from self._envelope(url + query, params)
            except UnknownDeviceError:
                return Slice((), 0)
            found = answer.objects("result", may_be_alone=True)
            return Slice(numbered(found, "id"), len(found))
        params.update(rows=limit, start=offset, **_BY_NUMBER)
        if query:
            params["fq"] = query
        result = (yield from self._envelope(url, params)).row("result")
        return Slice(numbered(result.objects("searchResults"), "id"), result.count())

    def condition(self, server: IvantiServer, key: Key) -> str:
        """The query for a key; where a search finds no GUIDs, the address of the record."""
        if server.guids_by_address and isinstance(key, Guid):
            return f"/{quote(key.value, safe='')}"
        return condition(key)
