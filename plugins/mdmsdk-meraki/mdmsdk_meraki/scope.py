"""What is asked: the organisations and their Systems Manager networks, discovered at the heartbeat.

Sources: "List the organizations" and "List the networks in an organization",
https://developer.cisco.com/meraki/api-v1/get-organizations/ and
https://developer.cisco.com/meraki/api-v1/get-organization-networks/.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar, TypeVar

from mdmsdk.errors import (
    ConfigurationError,
    IncompleteListError,
    MalformedResponseError,
    PermissionDeniedError,
    RedirectError,
)
from mdmsdk.flow import send, together
from mdmsdk.models import ServerInfo
from mdmsdk.provider import MdmProvider
from mdmsdk.wire import Request
from mdmsdk_meraki.pages import RawPage, read_page
from mdmsdk_meraki.rows import text
from mdmsdk_meraki.settings import MerakiSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdmsdk.flow import Flow
    from mdmsdk.wire import Response
    from mdmsdk_meraki.rows import Row

__all__ = ["MerakiScope", "Network", "fingerprint", "networks_of"]

T = TypeVar("T")

_PRODUCT = "systemsManager"
_PAGE_SIZE = 1000
_API_ACCESS_HINT = (
    "In the dashboard of that organisation, turn on API access (Organization > Configure > API & Webhooks), "
    "or name the other organisations in the setting organizations."
)
_REDIRECT_HINT = (
    "Meraki's own shards lie below meraki.com, meraki.ca, meraki.cn, meraki.in and gov-meraki.com, over "
    "https: check base_url, and what answers there. If that host is yours, add it to redirect_hosts."
)


@dataclass(frozen=True, slots=True)
class Network:
    """One Systems Manager network."""

    id: str
    organization: str
    name: str | None = None


def networks_of(info: ServerInfo) -> list[Network]:
    """The networks that the heartbeat found."""
    return [Network(**network) for network in info.extra["networks"]]


def fingerprint(networks: list[Network]) -> str:
    """A short text that changes with the networks or their order."""
    return f"{zlib.crc32(' '.join(network.id for network in networks).encode()):08x}"


@cache
def _user_agent() -> str:
    # "User agents", https://developer.cisco.com/meraki/api-v1/user-agents/: AppName/1.0 VendorName, each part
    # without blanks, hyphens and special characters.
    return f"MdmSdkMeraki/{metadata.version('mdmsdk-meraki')} MdmSdk"


class MerakiScope(MdmProvider):
    """How the API is asked, page by page, and which networks there are."""

    settings_type: ClassVar[type[MerakiSettings]] = MerakiSettings
    settings: MerakiSettings

    def request(
        self, path: str, lane: str = "", params: Mapping[str, str | int | list[str]] | None = None
    ) -> Request:
        """A question; the names of lists are written with brackets, as the API wants them.

        Args:
            path: below the base address.
            lane: the organisation, whose rate limit counts.
            params: query parameters.
        """
        # "Query parameters", https://developer.cisco.com/meraki/api-v1/query-parameters/.
        given = (params or {}).items()
        query = {f"{name}[]" if isinstance(value, list) else name: value for name, value in given}
        headers = {"Accept": "application/json", "User-Agent": _user_agent()}
        return Request("GET", f"{self.settings.base_url}{path}", params=query, headers=headers, lane=lane)

    def get(self, request: Request) -> Flow[Response]:
        """Ask.

        Raises:
            RedirectError: a redirect or a link leads where the credential may not go; nothing was sent there.
        """
        try:
            return (yield from send(request))
        except RedirectError as error:
            error.hint = _REDIRECT_HINT
            raise

    def page(self, request: Request, url: str = "") -> Flow[RawPage]:
        """Ask for one page; `url` is that of a further one, as the page before named it."""
        if url:
            request = replace(request, url=url, params={})
        size = request.params.get("perPage", _PAGE_SIZE)
        return read_page((yield from self.get(request)), int(size) if isinstance(size, int) else _PAGE_SIZE)

    def pages(self, request: Request, read: Callable[[Row, RawPage], T]) -> Flow[list[T]]:
        """Ask for all pages and read every row; what `read` raises ends it at once.

        Raises:
            IncompleteListError: the pages go in circles or have no end.
        """
        found: list[T] = []
        seen: set[str] = set()
        page = yield from self.page(request)
        while True:
            found += [read(row, page) for row in page.rows]
            if not (url := page.next_url):
                return found
            if url in seen or len(seen) >= self.settings.policy.max_pages:
                raise IncompleteListError("the server's pages do not come to an end", collected=len(found))
            seen.add(url)
            page = yield from self.page(request, url)

    def heartbeat(self) -> Flow[ServerInfo]:
        """Find the organisations and their Systems Manager networks; proves that the credential is good.

        Raises:
            PermissionDeniedError: an organisation does not allow the API.
            ConfigurationError: there is no Systems Manager network, or one of the settings is not there.
        """
        organizations = list(self.settings.organizations) or (yield from self._organizations())
        lists = yield from together(*(self._networks(organization) for organization in organizations))
        networks = sorted((network for found in lists for network in found), key=lambda network: network.id)
        networks = self._chosen(networks, organizations)
        source = self.settings.compliance
        return ServerInfo(
            provider=self.name,
            vendor=self.vendor,
            product="Meraki Systems Manager",
            api_version="1",
            query_max_size=_PAGE_SIZE,
            extra={
                "organizations": organizations,
                "networks": [asdict(network) for network in networks],
                "compliance": source.source if source else None,
            },
        )

    def _organizations(self) -> Flow[list[str]]:
        def read(row: Row, page: RawPage) -> str:
            del page
            if (number := text(row, "id")) is None:
                raise MalformedResponseError("the server sent an organisation without an id")
            api = row.get("api")
            if isinstance(api, dict) and api.get("enabled") is False:
                # Left out in silence, its devices would look unknown, and its lists complete.
                raise PermissionDeniedError(
                    f"the organisation {number} ({text(row, 'name')}) does not allow the API",
                    hint=_API_ACCESS_HINT,
                )
            return number

        found = yield from self.pages(self.request("/organizations"), read)
        if not found:
            raise ConfigurationError(
                "the credential sees no organisation",
                hint="Give its administrator access to the organisation, or to its Systems Manager networks.",
            )
        return found

    def _networks(self, organization: str) -> Flow[list[Network]]:
        def read(row: Row, page: RawPage) -> Network | None:
            del page
            number, products = text(row, "id"), row.get("productTypes")
            if number is None or not isinstance(products, list):
                raise MalformedResponseError("the server sent a network without id or productTypes")
            return Network(number, organization, text(row, "name")) if _PRODUCT in products else None

        params: dict[str, str | int | list[str]] = {"productTypes": [_PRODUCT], "perPage": _PAGE_SIZE}
        request = self.request(f"/organizations/{organization}/networks", organization, params)
        return [network for network in (yield from self.pages(request, read)) if network]

    def _chosen(self, networks: list[Network], organizations: list[str]) -> list[Network]:
        """Those that the settings name, or all; never none."""
        where = f"the organisation{'s' if len(organizations) > 1 else ''} {', '.join(organizations)}"
        wanted = set(self.settings.networks)
        if missing := sorted(wanted - {network.id for network in networks}):
            raise ConfigurationError(
                f"{', '.join(missing)} is no Systems Manager network of {where}",
                hint="Correct the setting networks, or give the credential access; known: "
                + (", ".join(f"{network.id} ({network.name})" for network in networks[:20]) or "none"),
            )
        if not networks:
            raise ConfigurationError(
                f"there is no Systems Manager network in {where}",
                hint="Check that Systems Manager is licensed and has a network there, that the credential's "
                "administrator may read it, and the setting organizations.",
            )
        return [network for network in networks if not wanted or network.id in wanted]
