"""Ivanti Neurons for MDM (MobileIron Cloud) by its own REST API, version 1.

Source: Ivanti Neurons for MDM customer integration API guide, "Devices", "Device spaces", "Errors".
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError, MdmError, ProtocolError
from mdmsdk.flow import attempt, done, together
from mdmsdk.identifiers import Guid
from mdmsdk.models import ServerInfo
from mdmsdk.paging import Slice
from mdmsdk.provider import Limits, Token
from mdmsdk.search import one_by_one
from mdmsdk_ivanti.advice import CLOUD_ADDRESS, CLOUD_LOGIN
from mdmsdk_ivanti.answers import complaints, integer, mapping, numbered
from mdmsdk_ivanti.base import IvantiProvider, spoils_query
from mdmsdk_ivanti.cloud.records import MASKED, MAX_QUERY, NONCOMPLIANT, OR, condition, read
from mdmsdk_ivanti.records import IvantiRow
from mdmsdk_ivanti.settings import IvantiCloudSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.search import Found
    from mdmsdk.wire import Response
    from mdmsdk_ivanti.records import JsonObject, Masked

__all__ = ["IvantiCloudProvider"]

_BY_ADDRESS = "guids_by_address"
"""What is remembered in `ServerInfo.extra`: whether GUIDs are looked up by the address of the record."""
_MAX_ROWS = 500
"""Customer integration API guide, "Devices": more rows on one page are refused."""

_BATCH = 40
"""Twenty MAC addresses fit into one query, and as many serial numbers."""

_ROLE_HINT = (
    "Give the API user, under Users > (user) > Assign Roles, a role that may read devices, for each device "
    "space it is to see; the role 'Cisco ISE Operations' alone is for the provider ivanti-cloud-ise."
)
_TOKEN_HINT = "It is wrong, revoked or has run out: create a new token for the API user."  # noqa: S105 - words


class IvantiCloudProvider(IvantiProvider):
    """Neurons for MDM: search by the properties of devices, one device space at a time."""

    name = "ivanti-cloud"
    settings_type: ClassVar[type[IvantiCloudSettings]] = IvantiCloudSettings
    limits: ClassVar[Limits] = Limits(concurrency=5, batch_size=_BATCH)
    hints: ClassVar[Mapping[int, str]] = {401: CLOUD_LOGIN, 403: _ROLE_HINT, 404: CLOUD_ADDRESS}
    complaint_hints: ClassVar[Sequence[tuple[str, str]]] = (
        (r"\brows\b|between 1 and", "Lower page_size: this server takes smaller pages."),
        (r"partition", f"Check the setting partitions. {_ROLE_HINT}"),
        (r"\bfq\b|filter|propert", "The server cannot search by this: ask by another identifier."),
    )

    masked: ClassVar[Masked] = MASKED
    longest_query: ClassVar[int] = MAX_QUERY
    disjunction: ClassVar[str] = OR

    settings: IvantiCloudSettings

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """The token, or else the user name and password, of the settings; costs no request."""
        if self.settings.token is None:
            return super().login(audience, previous)
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
    def rows(
        self, info: ServerInfo, query: str, *, scope: str, offset: int, limit: int
    ) -> Flow[Slice[JsonObject]]:
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
        rows = numbered(result.get("searchResults"), "id")
        return Slice(rows, integer(result.get("totalCount"), "count of devices"))

    def read(self, info: ServerInfo, record: JsonObject, **more: Any) -> Device:
        """What a record says."""
        del info
        return read(record, **more)

    def condition(self, info: ServerInfo, key: Key) -> str:
        """The query for a key."""
        del info
        return condition(key)

    def noncompliant_query(self, info: ServerInfo) -> str:
        """Active devices that do not comply or are quarantined."""
        del info
        return NONCOMPLIANT

    def find_batch(self, info: ServerInfo, keys: Sequence[Key]) -> Flow[Found]:
        """As for both products; where a search finds no GUIDs, by the addresses of the records."""
        guids = isinstance(keys[0], Guid)  # a batch has keys of one kind
        if guids and info.extra.get(_BY_ADDRESS):
            return (yield from one_by_one(keys, partial(self._at_its_address, info)))
        found = yield from super().find_batch(info, keys)
        open_keys = [key for key in keys if guids and _is_doubtful(key, found[key])]
        if open_keys and _BY_ADDRESS not in info.extra:
            info.extra[_BY_ADDRESS] = yield from self._has_addresses(info)
            if info.extra[_BY_ADDRESS]:
                more = yield from one_by_one(open_keys, partial(self._at_its_address, info))
                found = {**found, **more}
        return found

    def _has_addresses(self, info: ServerInfo) -> Flow[bool]:
        """Whether a device that the tenant lists is found at the address that its GUID would have."""
        for scope in self.scopes(info):
            listed = yield from attempt(self.rows(info, "", scope=scope, offset=0, limit=1))
            for _, record in () if isinstance(listed, MdmError) else listed.rows:
                if key := Guid.parse(IvantiRow(record).text("guid")):
                    found = yield from attempt(self._at_its_address(info, key))
                    return isinstance(found, list) and any(device.matches(key) for device in found)
        return False

    def _at_its_address(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        path = f"/device/{quote(key.value, safe='')}"
        answers = yield from together(
            *(self._result(path, {"dmPartitionId": scope}) for scope in self.scopes(info))
        )
        return self._devices(
            info, [key], [mapping(answer, "device") for answer in answers if answer is not None]
        )


def _is_doubtful(key: Key, answer: list[Device] | MdmError) -> bool:
    """Whether a search by a property was refused or ignored."""
    if isinstance(answer, MdmError):
        return spoils_query(answer)
    return bool(answer) and not any(device.matches(key) for device in answer)


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
