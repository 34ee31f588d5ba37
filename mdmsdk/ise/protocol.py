"""Requests of the Cisco ISE MDM API: addresses, versions, paths. Pure.

Sources: Cisco DevNet, "Mobile Device Management APIs", versions 1 and 2 (ISE 1.4) and version 3 (ISE 3.1),
https://developer.cisco.com/docs/identity-services-engine/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from mdmsdk.errors import (
    InvalidIdentifierError,
    MalformedResponseError,
    RedirectError,
    VersionMismatchError,
)
from mdmsdk.identifiers import Guid, Hostname, Imei, Key, Mac, Meid, Udid, Username
from mdmsdk.wire import Request, https_place, origin_of, redact_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "CRITERIA",
    "FIRST_PAGE",
    "HEADERS",
    "IDENTIFIER_SINCE",
    "QUERY_STYLE",
    "Criterion",
    "Query",
    "api_urls",
    "devices_request",
    "effective_version",
    "hide_values",
    "info_urls",
    "join_root",
    "same_server",
    "strip_userinfo",
]

FIRST_PAGE: Final = "0"
QUERY_STYLE: Final = 2
"""The version from which queries stand behind the question mark; version 1 has them in the path."""
IDENTIFIER_SINCE: Final = 3
"""The version from which the bulk query says by what to name the devices."""
HEADERS: Final = {"Accept": "application/xml"}
_PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"


@dataclass(frozen=True, slots=True)
class Criterion:
    """How one kind of key is asked for: the wire name, and the first API version that has it."""

    name: str
    since: int

    def value_of(self, key: Key) -> str:
        """The key as it stands on the wire."""
        return key.hex if isinstance(key, Mac) else key.value


# Cisco ISE MDM API v1/v2 and v3, device attributes: the values of querycriteria. A MAC address is 12 hex
# digits without separators; ISE itself sends them in upper case.
CRITERIA: Final[Mapping[type[Key], Criterion]] = {
    Mac: Criterion("macaddress", 1),
    Username: Criterion("username", 1),
    Meid: Criterion("meid", 2),
    Udid: Criterion("udid", 2),
    Imei: Criterion("imei", 2),
    Guid: Criterion("guid", 3),
    Hostname: Criterion("guidhn", 3),
}


class Query(NamedTuple):
    """What to ask the device list for.

    Attributes:
        criterion: the wire name of the criterion; None asks for all devices.
        identifier: by what the server is to name the devices of a list (version 3).
        filter: the attributes wanted.
    """

    criterion: str | None = None
    value: str = ""
    identifier: str | None = None
    filter: str = "all"


# Cisco ISE MDM API v1/v2, device attributes: v1 /devices/{paging}/{criterion}/{value}/{filter}, and for all
# devices /devices/{paging}/{filter}; from v2 on the same as query parameters. v3 adds deviceidentifier to the
# bulk query.
def devices_request(
    base: str, version: int, query: Query, token: str = FIRST_PAGE, audience: str = "api"
) -> Request:
    """Ask below `base` for one page of devices.

    Raises:
        InvalidIdentifierError: the value cannot stand in a path (version 1 only).
        MalformedResponseError: the server's page token cannot stand there.
    """
    if version < QUERY_STYLE:
        return Request("GET", f"{base}/devices/{_v1_path(query, token)}", headers=HEADERS, audience=audience)
    params = {"paging": token}
    if query.criterion is not None:
        params |= {"querycriteria": query.criterion, "value": query.value}
    if query.identifier is not None:
        params["deviceidentifier"] = query.identifier
    asked = "&".join(f"{name}={quote(text, safe='')}" for name, text in params.items())
    # Cisco's examples join the attributes by a bare plus, which a form decodes to a blank; %2B stays a plus.
    url = f"{base}/devices/?{asked}&filter={quote(query.filter, safe='+')}"
    return Request("GET", url, headers=HEADERS, audience=audience)


def _v1_path(query: Query, token: str) -> str:
    # A client or server resolves a segment of dots before it is compared with anything.
    if token in {".", ".."}:
        raise MalformedResponseError("the server's page token cannot stand in a path")
    if query.value in {".", ".."}:
        raise InvalidIdentifierError(f"{query.value!r} cannot be looked up by version 1 of the API")
    parts = [quote(token, safe="")]
    if query.criterion is not None:
        parts += [query.criterion, quote(query.value, safe="")]
    return "/".join([*parts, quote(query.filter, safe="+")])


# Cisco ISE MDM API v2 and v3, server info: /ciscoise/mdminfo/?ise_api_version=N, with the slash; in v1
# /ciscoise/mdminfo. That some servers know only the other slash form is inferred.
def info_urls(root: str, version: int) -> list[str]:
    """The addresses of the server's description, the documented form first."""
    slash, bare = f"{root}/ciscoise/mdminfo/", f"{root}/ciscoise/mdminfo"
    if version < QUERY_STYLE:
        return [bare, slash]
    return [f"{slash}?ise_api_version={version}", f"{bare}?ise_api_version={version}"]


# Cisco ISE MDM API v3, server info: the answer's api_version is at most the one sent; v2: it is the highest
# that the server has. The lower of the two fits both. Version 1 has no such element.
def effective_version(sent: int, received: str | None) -> int:
    """The version to speak, of the one that was asked for and the one in the answer.

    Raises:
        VersionMismatchError: the answer names none that there is.
    """
    if received is None:
        return 1
    found = re.fullmatch(r"([0-9]{1,6})(?:\.[0-9]+)*", received)
    if not found or int(found[1]) < 1:
        raise VersionMismatchError(
            f"the server names {received[:20]!r} as its API version; 1, 2 or 3 is expected"
        )
    return min(sent, int(found[1]))


def join_root(base_url: str, instance: str) -> str:
    """Base address and instance, which may already stand at its end."""
    path = urlsplit(base_url).path
    return base_url if path.casefold().endswith(instance.casefold()) else base_url + instance


def same_server(root: str, url: str, trusts: Callable[[str], bool]) -> str:
    """The origin of `url`, relative to `root`, as far as the credential may go there.

    Raises:
        RedirectError: `url` leads to another server.
        MalformedResponseError: it is not a URL.
    """
    try:
        parts, home = urlsplit(url), urlsplit(root)
        if not parts.scheme and not parts.netloc:
            return f"{home.scheme}://{home.netloc}"
        absolute = parts._replace(scheme=parts.scheme or home.scheme)
        target = urlunsplit(absolute)
        scheme, host, _ = origin_of(target)
        if origin_of(target) == origin_of(root):
            return f"{home.scheme}://{home.netloc}"
        place = https_place(target)
    except ValueError:
        raise MalformedResponseError("the server's api_path is not a path") from None
    if place and trusts(place):
        return f"https://{place}"
    raise RedirectError(
        f"the server's api_path leads to another host ({host[:80] or scheme[:20]})",
        hint="If the API really lives there, set base_url to that host; otherwise check what answers here.",
    )


# Cisco ISE MDM API v3, server info, and what Intune answers: api_path counts from the root of the host, not
# from the instance. Jamf's documented values (instance /networkIntegrationEndpoint/ID, api_path
# /ID/ciscoise/v3) do not fit that; they fit if the path continues the instance. The server decides.
def api_urls(root: str, api_path: str, trusts: Callable[[str], bool]) -> list[str]:
    """The addresses that `api_path` can mean, the documented meaning first; without a slash at the end.

    Raises:
        RedirectError: it leads to another server.
        MalformedResponseError: it is not a path.
    """
    origin = same_server(root, api_path, trusts)
    parts = urlsplit(api_path)
    segments = [quote(part, safe=_PATH_SAFE) for part in parts.path.split("/") if part]
    if parts.query or parts.fragment or {".", ".."} & set(segments):
        raise MalformedResponseError("the server's api_path is not a plain path")
    urls = ["/".join([origin, *segments])]
    prefix = [part for part in urlsplit(root).path.split("/") if part]
    if _begins_with(segments, prefix) or origin_of(origin) != origin_of(root):
        return urls
    overlap = next(
        (n for n in range(len(prefix), 0, -1) if _begins_with(segments, prefix[-n:])),
        0,
    )
    return [*urls, "/".join([origin, *prefix, *segments[overlap:]])]


def _begins_with(segments: list[str], prefix: list[str]) -> bool:
    return [part.casefold() for part in segments[: len(prefix)]] == [part.casefold() for part in prefix]


_V1_VALUES = re.compile(r"(/devices/)[^/?]+(?:/[^?]*)?")


def hide_values(url: str) -> str:
    """The URL for messages; what version 1 carries in the path is left out like every query value."""
    return redact_url(_V1_VALUES.sub(r"\1...", url))


def strip_userinfo(url: str | None) -> str | None:
    """The URL without a user and password; None where it is none."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except ValueError:
        return None
