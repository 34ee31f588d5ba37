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
from mdmsdk.refusals import spoken
from mdmsdk.words import safe_words
from mdmsdk_ivanti.cloud.records import MAX_QUERY, NONCOMPLIANT, OR, CloudRecord, condition
from mdmsdk_ivanti.cloud.refusals import REFUSALS, TOKEN_REFUSALS, UnknownDeviceError
from mdmsdk_ivanti.cloud.settings import IvantiCloudSettings
from mdmsdk_ivanti.provider import IvantiProvider, IvantiServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo
    from mdmsdk.refusals import Refusal
    from mdmsdk_ivanti.records import IvantiRow, JsonObject

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
    record = CloudRecord
    longest_query = MAX_QUERY
    disjunction = OR

    settings: IvantiCloudSettings

    def __init__(self, settings: IvantiCloudSettings) -> None:
        super().__init__(settings)
        self.refusals: Sequence[Refusal] = TOKEN_REFUSALS if settings.token else REFUSALS

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The token, or else the user name and password, of the settings; costs no request."""
        if self.settings.token:
            return done(Token(secret_text(self.settings.token), static=True))
        return super().login(audience, previous)

    # Customer integration API guide, "Device spaces": this call is also how clients test their connection.
    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the tenant's device spaces, there called partitions, and try how it finds a GUID.

        Raises:
            ConfigurationError: the account does not see the device spaces of the settings.
        """
        base = f"{self.settings.base_url}/api/v1"
        seen = yield from self._result(f"{base}/tenant/partition/device")
        spaces = self.choose_spaces(seen.records("searchResults"))
        server = IvantiServer(api_base=base, spaces=spaces, noncompliant=NONCOMPLIANT)
        server, devices = yield from self.look(server)
        guid = next((guid for device in devices for guid in device.shown(Guid)), None)
        if guid and not (yield from self._finds(server, guid)):
            by_address = server.model_copy(update={"guids_by_address": True})
            server = by_address if (yield from self._finds(by_address, guid)) else server
        return self.describe(server, api_version="1", query_max_size=_MAX_ROWS)

    def _finds(self, server: IvantiServer, guid: Key) -> Flow[bool]:
        """Whether a device that the tenant lists is found in this way, and no other one."""
        found = yield from attempt(self.find(self.describe(server), guid))
        return isinstance(found, list) and {device.matches(guid) for device in found} == {True}

    def _result(self, url: str, params: Mapping[str, str | int] | None = None) -> Flow[IvantiRow]:
        """The result in an answer."""
        answer = yield from self.get(url, params)
        if errors := answer.member("errors"):
            raise ProtocolError(f"the server reports: {safe_words(spoken({'errors': errors}))}")
        if not answer.has("result"):
            raise MalformedResponseError("the server answered without a result")
        return answer.row("result")

    # Customer integration API guide, "Devices": `start`, not `offset`, counts rows; the order is by
    # sortFields.
    def rows(
        self, server: IvantiServer, query: str, space: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
        """One part of a search, or the record at an address."""
        url, where = f"{server.api_base}/device", {"dmPartitionId": space}
        if query.startswith("/"):
            try:
                found = yield from self._result(url + query, where)
            except UnknownDeviceError:
                return Slice((), 0)
            return Slice([("", found.document)], 1)
        params: dict[str, str | int] = {**where, "rows": limit, "start": offset, **_BY_NUMBER}
        result = yield from self._result(url, params | ({"fq": query} if query else {}))
        return result.part("searchResults", "id")

    def condition(self, server: IvantiServer, key: Key) -> str:
        """The query for a key; where a search finds no GUIDs, the address of the record."""
        if server.guids_by_address and isinstance(key, Guid):
            return f"/{quote(key.value, safe='')}"
        return condition(key)
