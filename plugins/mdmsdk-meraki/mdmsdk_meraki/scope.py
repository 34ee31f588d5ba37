"""What is asked, and how: organisations, their Systems Manager networks and policies, and pages of lists.

Sources: "List the organizations" and "List the networks in an organization",
https://developer.cisco.com/meraki/api-v1/get-organizations/ and
https://developer.cisco.com/meraki/api-v1/get-organization-networks/.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError, PermissionDeniedError
from mdmsdk.evidence import check_meant
from mdmsdk.flow import joined, together
from mdmsdk.models import Description, FrozenModel, ServerInfo
from mdmsdk.paging import collect_links, linked_page
from mdmsdk.provider import MdmProvider
from mdmsdk.scopes import choose
from mdmsdk.wire import Request, redact_url
from mdmsdk.words import listed
from mdmsdk_meraki.records import FIELDS, Record
from mdmsdk_meraki.settings import MerakiSettings
from mdmsdk_meraki.tags import Tags

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.wire import Response
    from mdmsdk_meraki.settings import ComplianceSettings

__all__ = ["MerakiScope", "Network", "Scope", "read_rows"]

T = TypeVar("T")

_PRODUCT = "systemsManager"
_NETWORK = "Systems Manager network"
_NO_NETWORK = (
    "Check organizations and networks, that Systems Manager is licensed and has a network there, and that "
    "the account has access to it. These organisations were asked: {}."
)
_PAGE_SIZE = 1000
_SIZE_IN_URL = re.compile(r"[?&]perPage=([0-9]+)")
# "User agents", https://developer.cisco.com/meraki/api-v1/user-agents/: AppName/1.0 VendorName, each part
# without blanks, hyphens and special characters.
_AGENT = f"MdmSdkMeraki/{metadata.version('mdmsdk-meraki')} MdmSdk"


class Network(FrozenModel):
    """One Systems Manager network."""

    id: str
    organization: str
    name: str | None = None


class Scope(Description):
    """What the heartbeat finds.

    Attributes:
        networks: those to ask.
        policies: the names of the security policies by which devices are judged, where the settings leave
            them open.
    """

    places = "networks"

    networks: tuple[Network, ...]
    policies: tuple[str, ...] = ()


# "Pagination", https://developer.cisco.com/meraki/api-v1/pagination/; the Link header is RFC 8288's.
def read_rows(response: Response) -> list[Record]:
    """The rows of an answer that is a list.

    Raises:
        MalformedResponseError: it is no list of objects, or does not tell whether it is the last page.
    """
    rows, where = response.json(), redact_url(response.url)
    if not isinstance(rows, list):
        raise MalformedResponseError(f"{where} did not answer with a list of objects")
    size = _SIZE_IN_URL.search(response.url)
    if len(rows) >= int(size[1] if size else _PAGE_SIZE) and not (response.header("link") or "").strip():
        raise MalformedResponseError(
            f"{where} gave a full page and no Link header, so that nobody can tell whether it was the last",
            hint="A proxy between here and the dashboard may drop the Link header; let it pass.",
        )
    return [Record(row, "a list of objects") for row in rows]


class MerakiScope(MdmProvider):
    """How the API is asked, page by page, and which networks there are."""

    settings_type: ClassVar[type[MerakiSettings]] = MerakiSettings
    settings: MerakiSettings

    def request(self, path: str, lane: str = "", **params: str | Sequence[str]) -> Request:
        """A question; the names of lists are written with brackets, as the API wants them.

        Args:
            path: below the base address.
            lane: the organisation, whose rate limit counts.
            **params: query parameters.
        """
        # "Query parameters", https://developer.cisco.com/meraki/api-v1/query-parameters/.
        query = {name if isinstance(value, str) else f"{name}[]": value for name, value in params.items()}
        headers = {"Accept": "application/json", "User-Agent": _AGENT}
        return Request("GET", f"{self.settings.base_url}{path}", query, headers, lane=lane)

    def in_network(self, network: Network, path: str, **params: str | Sequence[str]) -> Request:
        """A question about one network."""
        return self.request(f"/networks/{quote(network.id, safe='')}{path}", network.organization, **params)

    def devices(self, network: Network, *fields: str, **filters: Sequence[str]) -> Request:
        """The question for one network's devices."""
        return self.in_network(network, "/sm/devices", **filters, fields=fields or FIELDS)

    def page(self, request: Request, url: str | None = None) -> Flow[tuple[list[Record], str | None]]:
        """Ask for one page; `url` is that of a further one, as the page before named it, size included."""
        response = yield from linked_page(request, url, "perPage", _PAGE_SIZE)
        return read_rows(response), response.link("next")

    def pages(self, request: Request, read: Callable[[list[Record]], list[T]]) -> Flow[list[T]]:
        """Ask for all pages and read each; what `read` raises ends it at once.

        Raises:
            IncompleteListError: the pages go in circles, bring nothing new, or have no end.
        """

        def one(_: str, url: str | None) -> Flow[tuple[list[T], str | None]]:
            rows, following = yield from self.page(request, url)
            return read(rows), following

        return collect_links(one, max_pages=self.settings.policy.max_pages)

    def heartbeat(self) -> Flow[ServerInfo]:
        """Find the organisations and their Systems Manager networks; proves that the credential is good.

        Raises:
            PermissionDeniedError: an organisation does not allow the API.
            ConfigurationError: there is no Systems Manager network, or one of the settings is not there.
        """
        source, policies = self.settings.compliance, set[str]()
        request = self.request("/organizations")
        organizations = [*self.settings.organizations] or (yield from self.pages(request, _open_ids))
        networks = self._chosen((yield from joined(*map(self._networks, organizations))), organizations)
        if source and not source.rules:
            policies = (yield from self.deciding_tags(source, networks)).policies
        scope = Scope(networks=networks, policies=tuple(sorted(policies)))
        return ServerInfo(
            vendor=self.vendor, product="Meraki Systems Manager", api_version="1", description=scope
        )

    def deciding_tags(self, source: ComplianceSettings, networks: Collection[Network]) -> Flow[Tags]:
        """Tags of the devices, some of which fit if there are devices.

        Every policy tags every device, so that the first page of each network shows all: a request for each.
        Only while none fits are further pages read.

        Raises:
            ConfigurationError: the patterns of the settings fit no tag of any device.
        """
        said, some = Tags(source, ()), False
        following: dict[Network, str | None] = dict.fromkeys(networks)
        for _ in range(self.settings.policy.max_pages):
            asked = (self.page(self.devices(one, source.field), url) for one, url in following.items())
            pages = yield from together(*asked)
            rows = [row for page, _ in pages for row in page]
            some = some or bool(rows)
            said = Tags(source, {*said.tags, *(tag for row in rows for tag in row.tags(source.field) or ())})
            following = {one: url for one, (_, url) in zip(following, pages, strict=True) if url}
            if said.fit or not following:
                break
        if some:
            tags = listed(map(repr, said.tags))
            hint = f"Correct violating and compliant; the tags in {source.field} are: {tags}."
            check_meant({("devices", said.fit)}, "the tag patterns of the setting compliance say", hint)
        return said

    def _networks(self, organization: str) -> Flow[list[Network]]:
        def read(rows: list[Record]) -> list[Network]:
            if lost := [row.required("id") for row in rows if row.texts("productTypes") is None]:
                raise MalformedResponseError(f"the server sent a network ({lost[0]}) without productTypes")
            return [
                Network(id=row.required("id"), organization=organization, name=row.text("name"))
                for row in rows
                if _PRODUCT in (row.texts("productTypes") or ())
            ]

        path = f"/organizations/{organization}/networks"
        return self.pages(self.request(path, organization, productTypes=[_PRODUCT]), read)

    def _chosen(self, networks: Sequence[Network], organizations: Iterable[str]) -> tuple[Network, ...]:
        """Those that the settings name, or all; never none."""
        known = {network.id: network for network in networks}
        names = {number: network.name or "" for number, network in known.items()}
        hint = _NO_NETWORK.format(listed(organizations))
        return tuple(known[one] for one in sorted(choose(self.settings.networks, names, _NETWORK, hint)))


def _open_ids(organizations: list[Record]) -> list[str]:
    """The ids of organisations, all of which allow the API."""
    if closed := [row.required("id") for row in organizations if row.row("api").flag("enabled") is False]:
        # Left out in silence, its devices would look unknown, and its lists complete.
        raise PermissionDeniedError(
            f"the organisation {closed[0]} does not allow the API",
            hint="Allow it (Organization > Configure > API & Webhooks), or name others in organizations.",
        )
    return [row.required("id") for row in organizations]
