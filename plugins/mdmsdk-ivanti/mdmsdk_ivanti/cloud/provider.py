"""Ivanti Neurons for MDM (MobileIron Cloud) by its own REST API, version 1.

Source: Ivanti Neurons for MDM customer integration API guide, "Devices", "Device spaces", "Errors".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError, ProtocolError
from mdmsdk.flow import done, together
from mdmsdk.identifiers import Guid
from mdmsdk.models import ServerInfo
from mdmsdk.paging import Slice
from mdmsdk.provider import Token
from mdmsdk_ivanti.advice import CLOUD_ADDRESS, CLOUD_LOGIN
from mdmsdk_ivanti.answers import complaints, integer, mapping, objects
from mdmsdk_ivanti.base import IvantiProvider
from mdmsdk_ivanti.cloud.records import NONCOMPLIANT, condition, read
from mdmsdk_ivanti.settings import IvantiCloudSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.wire import Response
    from mdmsdk_ivanti.records import Facts, Row

__all__ = ["IvantiCloudProvider"]

_MAX_ROWS = 500
"""Customer integration API guide, "Devices": more rows on one page are refused."""

_ROLE_HINT = (
    "Give the API user, under Users > (user) > Assign Roles, a role that may read devices, for each device "
    "space it is to see; the role 'Cisco ISE Operations' alone is for the provider ivanti-cloud-ise."
)
_TOKEN_HINT = "It is wrong, revoked or has run out: create a new token for the API user."  # noqa: S105 - words


class IvantiCloudProvider(IvantiProvider):
    """Neurons for MDM: search by the properties of devices, one device space at a time."""

    name = "ivanti-cloud"
    settings_type: ClassVar[type[IvantiCloudSettings]] = IvantiCloudSettings
    hints: ClassVar[Mapping[int, str]] = {401: CLOUD_LOGIN, 403: _ROLE_HINT, 404: CLOUD_ADDRESS}
    complaint_hints: ClassVar[Sequence[tuple[str, str]]] = (
        (r"\brows\b|between 1 and", "Lower page_size: this server takes smaller pages."),
        (r"partition", f"Check the setting partitions. {_ROLE_HINT}"),
        (r"\bfq\b|filter|propert", "The server cannot search by this: ask by another identifier."),
    )

    settings: IvantiCloudSettings

    def login(self, audience: str) -> Flow[Token]:
        """The token, or else the user name and password, of the settings; costs no request."""
        if self.settings.token is None:
            return super().login(audience)
        return done(Token(self.settings.token.get_secret_value(), static=True))

    def check(self, response: Response) -> Response:
        """As for both products, but the 404 of a record is an answer."""
        if response.status == 404 and _is_about_a_record(response):  # noqa: PLR2004 - Not Found
            return replace(response, body=b'{"errors": null, "result": null}')
        return super().check(response)

    def advice(self, status: int, said: str) -> str | None:
        """What an administrator should do about an error status."""
        if status == 401 and self.settings.token is not None:  # noqa: PLR2004 - Unauthorized
            return _TOKEN_HINT
        return super().advice(status, said)

    # --- what the server is ---

    # Customer integration API guide, "Device spaces": this call is also how clients test their connection.
    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask for the tenant's device spaces, there called partitions.

        Raises:
            ConfigurationError: the account does not see the partitions of the settings.
        """
        result = mapping((yield from self._result("/tenant/partition/device")), "list of partitions")
        known = self.read_spaces(result.get("searchResults"))
        info = ServerInfo(
            provider=self.name,
            vendor=self.vendor,
            product="Ivanti Neurons for MDM",
            api_version="1",
            query_max_size=_MAX_ROWS,
            extra={"spaces": self.choose(known, self.settings.partitions, "partitions"), "masked": []},
        )
        info.extra["masked"] = yield from self.find_masks(info)
        return info

    def _result(self, path: str, params: Mapping[str, str | int] | None = None) -> Flow[Any]:
        """What an address gives, out of its envelope."""
        body = yield from self.get(f"{self.settings.base_url}/api/v1{path}", params)
        if errors := "; ".join(complaints(body)):
            raise ProtocolError(f"the server reports: {errors[:300]}", hint=_ROLE_HINT)
        if body.get("errors") or "result" not in body:
            raise MalformedResponseError(f"{path} answered without a result")
        return body["result"]

    # --- devices ---

    # Customer integration API guide, "Devices": `start`, not `offset`, counts rows; the order is by
    # sortFields.
    def search(
        self, info: ServerInfo, query: str, *, scope: str, offset: int, limit: int
    ) -> Flow[Slice[Row]]:
        """One part of a search."""
        del info
        params: dict[str, str | int] = {
            "dmPartitionId": scope,
            "rows": limit,
            "start": offset,
            "sortFields[0].name": "id",
            "sortFields[0].order": "ASC",
        }
        if query:
            params["fq"] = query
        result = mapping((yield from self._result("/device", params)), "list of devices")
        rows = [
            (integer(row.get("id"), "number of a device"), row)
            for row in objects(result.get("searchResults"), "devices")
        ]
        return Slice(rows, integer(result.get("totalCount"), "count of devices"))

    def read(self, row: Row) -> Facts:
        """What a record says."""
        return read(row)

    def queries(self, info: ServerInfo, keys: Sequence[Key]) -> list[str]:
        """One query for each key."""
        del info
        return [condition(key) for key in keys]

    def noncompliant_query(self, info: ServerInfo) -> str:
        """Active devices that do not comply or are quarantined."""
        del info
        return NONCOMPLIANT

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record of this key, as for both products; a GUID by its address where the settings say so."""
        if not (isinstance(key, Guid) and self.settings.guid_lookup == "path"):
            return (yield from super().find(info, key))
        path = f"/device/{quote(key.value, safe='')}"
        answers = yield from together(
            *(self._result(path, {"dmPartitionId": scope}) for scope in self.scopes(info))
        )
        return self.assign([key], [mapping(answer, "device") for answer in answers if answer is not None])[
            key
        ]


# That an unknown record is told by status 404 and the usual envelope is inferred; a wrong address has no
# envelope.
def _is_about_a_record(response: Response) -> bool:
    """Whether an error comes from the API itself, and is about the address of one record."""
    if "/api/v1/device/" not in response.url:
        return False
    try:
        body = response.json()
    except MalformedResponseError:
        return False
    return isinstance(body, dict) and "errors" in body and body.get("result") is None
