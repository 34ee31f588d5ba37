"""What is asked: organisations, their Systems Manager networks and policies, discovered at the heartbeat.

Sources: "List the organizations" and "List the networks in an organization",
https://developer.cisco.com/meraki/api-v1/get-organizations/ and
https://developer.cisco.com/meraki/api-v1/get-organization-networks/.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import BaseModel

from mdmsdk.errors import (
    ConfigurationError,
    MalformedResponseError,
    PermissionDeniedError,
    RedirectError,
)
from mdmsdk.flow import send, together
from mdmsdk.models import ServerInfo
from mdmsdk.progress import Progress, Seen, shrinking
from mdmsdk.provider import MdmProvider
from mdmsdk.wire import Request
from mdmsdk.words import safe_words
from mdmsdk_meraki.compliance import fits, needed_fields, policies_of
from mdmsdk_meraki.pages import RawPage, read_page
from mdmsdk_meraki.settings import MerakiSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from mdmsdk.flow import Flow
    from mdmsdk.wire import Response
    from mdmsdk_meraki.rows import Row
    from mdmsdk_meraki.settings import ComplianceSettings

__all__ = ["Description", "MerakiScope", "Network", "check_sent", "check_tags", "fingerprint"]

T = TypeVar("T")

_PRODUCT = "systemsManager"
_PAGE_SIZE = 1000
_SHOWN_TAGS = 20
_API_ACCESS_HINT = (
    "In the dashboard of that organisation, turn on API access (Organization > Configure > API & Webhooks), "
    "or name the other organisations in the setting organizations."
)
_REDIRECT_HINT = (
    "Meraki's own shards lie below meraki.com, meraki.ca, meraki.cn, meraki.in and gov-meraki.com, over "
    "https: check base_url, and what answers there. If that host is yours, add it to redirect_hosts."
)


class Network(BaseModel, frozen=True):
    """One Systems Manager network."""

    id: str
    organization: str
    name: str | None = None


class Description(BaseModel, frozen=True):
    """What the heartbeat finds, for `ServerInfo.extra`.

    Attributes:
        organizations: their ids.
        networks: those to ask.
        compliance: the source of compliance in the settings.
        policies: the names of the security policies by which devices are judged, where the settings leave
            them open.
    """

    organizations: tuple[str, ...] = ()
    networks: tuple[Network, ...]
    compliance: str | None = None
    policies: tuple[str, ...] = ()

    @classmethod
    def of(cls, info: ServerInfo) -> Description:
        """The description in a heartbeat's answer."""
        return cls.model_validate(info.extra)


def fingerprint(networks: Iterable[Network]) -> str:
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
        """Ask for one page; `url` is that of a further one, as the page before named it, size included.

        A first page that does not come in time is asked for with fewer rows; those after it are as large.
        """

        def ask(size: int) -> Flow[Response]:
            return self.get(replace(request, params={**request.params, "perPage": size}))

        if not url and "perPage" in request.params:
            return read_page(*(yield from shrinking(ask, _PAGE_SIZE)))
        if url:
            request = replace(request, url=url, params={})
        return read_page((yield from self.get(request)), _size_in(request.url))

    def pages(self, request: Request, read: Callable[[RawPage], list[T]]) -> Flow[list[T]]:
        """Ask for all pages and read each; what `read` raises ends it at once.

        Raises:
            IncompleteListError: the pages go in circles, bring nothing new, or have no end.
        """
        found: list[T] = []
        progress, seen = Progress(self.settings.policy.max_pages), Seen()
        page = yield from self.page(request)
        while True:
            found += read(page)
            if not (url := page.next_url):
                return found
            progress.collected = len(found)
            progress.go_on(url, fresh=seen.add_all(page.names))
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
        tags = yield from self.deciding_tags(networks)
        source = self.settings.compliance
        found = Description(
            organizations=tuple(organizations),
            networks=tuple(networks),
            compliance=source.source if source else None,
            policies=tuple(sorted(policies_of(source, tags))) if source else (),
        )
        return ServerInfo(
            provider=self.name,
            vendor=self.vendor,
            product="Meraki Systems Manager",
            api_version="1",
            query_max_size=_PAGE_SIZE,
            extra=found.model_dump(mode="json"),
        )

    def devices_request(
        self, network: Network, filters: Mapping[str, list[str]], fields: Iterable[str]
    ) -> Request:
        """The question for one network's devices."""
        path = f"/networks/{quote(network.id, safe='')}/sm/devices"
        return self.request(
            path, network.organization, {**filters, "fields": list(fields), "perPage": _PAGE_SIZE}
        )

    def deciding_tags(self, networks: Collection[Network]) -> Flow[set[str]]:
        """Tags of the devices, some of which fit, where tags decide about compliance; none without devices.

        Every policy tags every device, so that the first page of each network shows all: a request for each.
        Only while none fits are further pages read.

        Raises:
            ConfigurationError: the patterns of the settings fit no tag of any device.
        """
        source = self.settings.compliance
        if source is None or source.source == "rules":
            return set()
        (field,) = needed_fields(source)
        open_ = [(self.devices_request(network, {}, [field]), "") for network in networks]
        tags: set[str] = set()
        some = False
        progress, seen = Progress(self.settings.policy.max_pages), Seen()
        while True:
            pages = yield from together(*(self.page(request, url) for request, url in open_))
            some = check_sent(source, [row for page in pages for row in page.rows]) or some
            tags.update(*(page.tags(field) for page in pages))
            open_ = [
                (request, page.next_url)
                for (request, _), page in zip(open_, pages, strict=True)
                if page.next_url
            ]
            if fits(source, tags) or not open_:
                break
            fresh = seen.add_all(name for page in pages for name in page.names)
            progress.go_on(" ".join(url for _, url in open_), fresh=fresh)
        if some and not fits(source, tags):
            raise ConfigurationError(
                "the tag patterns of the setting compliance fit no tag of any device",
                hint="No device could be called noncompliant. Correct violating and compliant; the tags "
                f"in {field} are: {_listed(tags)}.",
            )
        return tags

    def _organizations(self) -> Flow[list[str]]:
        def read(row: Row) -> str:
            if (number := row.text("id")) is None:
                raise MalformedResponseError("the server sent an organisation without an id")
            if row.row("api").flag("enabled") is False:
                # Left out in silence, its devices would look unknown, and its lists complete.
                raise PermissionDeniedError(
                    f"the organisation {number} ({row.text('name')}) does not allow the API",
                    hint=_API_ACCESS_HINT,
                )
            return number

        found = yield from self.pages(self.request("/organizations"), lambda page: list(map(read, page.rows)))
        if not found:
            raise ConfigurationError(
                "the credential sees no organisation",
                hint="Give its administrator access to the organisation, or to its Systems Manager networks.",
            )
        return found

    def _networks(self, organization: str) -> Flow[list[Network]]:
        def read(row: Row) -> Network | None:
            number, products = row.text("id"), row.texts("productTypes")
            if number is None or products is None:
                raise MalformedResponseError("the server sent a network without id or productTypes")
            if _PRODUCT not in products:
                return None
            return Network(id=number, organization=organization, name=row.text("name"))

        params: dict[str, str | int | list[str]] = {"productTypes": [_PRODUCT], "perPage": _PAGE_SIZE}
        request = self.request(f"/organizations/{organization}/networks", organization, params)
        found = yield from self.pages(request, lambda page: list(map(read, page.rows)))
        return [network for network in found if network]

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


def _size_in(url: str) -> int:
    """The rows that a page link asks for."""
    size = dict(parse_qsl(urlsplit(url).query)).get("perPage", "")
    return int(size) if size.isascii() and size.isdigit() else _PAGE_SIZE


def check_sent(source: ComplianceSettings, rows: Collection[Row]) -> bool:
    """Whether there are rows.

    Raises:
        MalformedResponseError: none of them has what the source of compliance reads.
    """
    fields = needed_fields(source)
    if rows and not any(row.sent(fields) for row in rows):
        raise MalformedResponseError(
            f"the server sent no {', '.join(sorted(fields))}, so that nobody can tell which devices comply",
            hint="Choose another source in the setting compliance: this server does not report that one.",
        )
    return bool(rows)


def check_tags(source: ComplianceSettings, rows: Collection[Row]) -> None:
    """Whether the tags that decide can be read: where not, nobody knows whether one is of violation.

    Raises:
        MalformedResponseError: those of a device are no list of texts, or not there.
    """
    for field in needed_fields(source) if source.source != "rules" else ():
        if lost := [row.text("id") for row in rows if row.texts(field) is None]:
            raise MalformedResponseError(f"the server sent a device ({lost[0]}) without a readable {field}")


def _listed(tags: Collection[str]) -> str:
    shown = ", ".join(repr(safe_words(tag)) for tag in sorted(tags)[:_SHOWN_TAGS])
    more = len(tags) - _SHOWN_TAGS
    return (shown or "none") + (f" and {more} more" if more > 0 else "")
