"""Finding the API: the server's description, the version to speak, and where the devices are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar, Final

from mdmsdk.errors import EndpointNotFoundError, MalformedResponseError, MdmError, ResponseError
from mdmsdk.flow import pause, send
from mdmsdk.identifiers import Mac
from mdmsdk.ise.protocol import (
    HEADERS,
    Query,
    api_urls,
    devices_request,
    effective_version,
    hide_values,
    info_urls,
    join_root,
    strip_userinfo,
)
from mdmsdk.ise.reader import boolean, number, read_answer
from mdmsdk.ise.settings import IseDialectSettings, IseServiceSettings, ProtocolSettings
from mdmsdk.models import Description, ServerInfo
from mdmsdk.provider import MdmProvider
from mdmsdk.refusals import Refusal, by_status, check_with
from mdmsdk.wire import Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.ise.reader import Answer, Row
    from mdmsdk.settings import Settings
    from mdmsdk.wire import Response

__all__ = ["IseDescription", "IseDiscovery"]

_DEFAULT_QUERY_SIZE: Final = 5000
_LONGEST_BUSY_WAIT: Final = 900
# RFC 7042, section 2.1.2: reserved for documentation; no interface has it.
_PROBE: Final = Mac("00-00-5E-00-53-00")
# An unknown address or version, or something else that answers; but no refusal of the account, no outage.
_TRY_ANOTHER: Final = frozenset({400, 404, 405, 422, 500, 501, 505})

_LOGIN_HINT = (
    "Check user name and password, that the account exists in the MDM and may use its API; in Jamf Pro, "
    "'Allow Basic Authentication in addition to Bearer Token' has to be on."
)
_ROLE_HINT = (
    "Give the account the vendor's role for Cisco ISE (Ivanti Neurons: 'Cisco ISE Operations'; Ivanti EPMM: "
    "the API role; BlackBerry UEM: view users and devices, manage devices; Intune: get_device_compliance, "
    "with the administrator's consent)."
)
_INSTANCE_HINT = (
    "Check base_url and instance: the vendor's set-up page for Cisco ISE names the path, such as "
    "/networkIntegrationEndpoint/ID with Jamf Pro. Where the server describes itself wrongly, set api_path."
)
_BULK_HINT = (
    "The server gives the noncompliant list only so often (Intune once in 4 hours): poll less often; "
    "240 minutes is Cisco's default."
)


_TOO_OFTEN: Final = Refusal((429, 503), path="compliance", hint=_BULK_HINT)


class IseDescription(Description):
    """What a server of the protocol says about itself.

    Attributes:
        api_base: the address of the device API.
        portal: where users find help, in the server's words.
    """

    api_base: str
    portal: str | None = None


class IseDiscovery(MdmProvider):
    """What precedes every question about devices: addresses, description, status and answer."""

    settings_type: ClassVar[type[IseServiceSettings]] = IseDialectSettings
    audience: ClassVar[str] = "api"
    """Whose token goes with the requests."""
    # Cisco ISE MDM API v2 and v3, device attributes: for an unknown device the list is there and empty.
    absent_list_is_empty: ClassVar[bool] = False
    """Whether an answer to a lookup without a deviceList means that the device is unknown."""
    refusals: Sequence[Refusal] = by_status({401: _LOGIN_HINT, 403: _ROLE_HINT, 404: _INSTANCE_HINT})

    settings: IseServiceSettings

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hints := vars(cls).get("hints"):
            warnings.warn(
                f"{cls.__name__}.hints is of contract version 1: state refusals",
                DeprecationWarning,
                stacklevel=2,
            )
            cls.refusals = by_status(hints)

    @property
    def protocol(self) -> ProtocolSettings:
        """What the administrator says about the server's protocol; the defaults where nothing is open."""
        settings: Settings = self.settings
        return settings if isinstance(settings, ProtocolSettings) else ProtocolSettings()

    @property
    def root(self) -> str:
        """The address below which the server describes itself."""
        return join_root(self.settings.base_url, self.protocol.instance)

    def info_urls(self, root: str, version: int) -> Sequence[str]:
        """The addresses of the description in one version of the API, to be tried in this order."""
        return info_urls(root, version)

    def api_urls(self, root: str, api_path: str) -> Sequence[str]:
        """The addresses that the reported path can mean, the most likely first."""
        return api_urls(root, api_path, self.trusts)

    def api_base(self, info: ServerInfo) -> str:
        """The address of the device API, as `discover` found it."""
        return IseDescription.of(info).api_base

    def heartbeat(self) -> Flow[ServerInfo]:
        """Ask the server for its description, in the highest version that it knows.

        Where the reported path can mean two addresses, each is asked for a MAC address that no device has, so
        that afterwards every lookup costs one request.

        Raises:
            EndpointNotFoundError: no such API here; every address that was tried is named.
            MalformedResponseError: something else answers here.
            VersionMismatchError: the server names a version that does not exist.
            RedirectError: the API is said to be on another server.
        """
        return self.discover(self.root)

    # ISE asks in version 3 first and then in lower ones (ISE 3.3 with Jamf, log of a failed test), also after
    # a 401. Not so here: a refused credential, an outage or a timeout says nothing about versions, and a
    # second bad login brings an account closer to its lock.
    def discover(self, root: str) -> Flow[ServerInfo]:
        """`heartbeat` below any address; for dialects that find it elsewhere."""
        tried: list[str] = []
        failures: list[ResponseError | MalformedResponseError] = []
        for version in range(self.protocol.api_version, 0, -1):
            for url in self.info_urls(root, version):
                tried.append(url)
                try:
                    request = Request("GET", url, headers=HEADERS, audience=self.audience)
                    answer = yield from self.ask(request)
                    path = self.reported_path(answer)
                except (ResponseError, MalformedResponseError) as error:
                    if not _says_try_another(error):
                        raise
                    failures.append(error)
                    if isinstance(error, EndpointNotFoundError):
                        continue
                    break
                spoken = effective_version(version, answer.text("api_version"))
                base = yield from self._locate(root, path, spoken)
                return self.server_info(answer, spoken, base)
        raise _no_api(tried, failures, self._hint(404))

    def reported_path(self, answer: Answer) -> str | None:
        """The path in a description; None only where the settings have one.

        Raises:
            MalformedResponseError: there is none, so this is no description in a version that is understood.
        """
        path = answer.text("api_path")
        if path is None and self.protocol.api_path is None:
            raise MalformedResponseError(f"{answer.url} does not say where the device API is (api_path)")
        return path

    def _locate(self, root: str, reported: str | None, version: int) -> Flow[str]:
        """Which address the reported path means; asks the server only where it can mean two."""
        if self.protocol.api_path is not None:
            # Above whatever a dialect knows: the setting is for servers that nobody foresaw.
            return api_urls(root, self.protocol.api_path, self.trusts)[0]
        urls = self.api_urls(root, reported or "")
        if len(urls) == 1:
            return urls[0]
        query = Query("macaddress", _PROBE.hex, filter=self.protocol.filter)
        for url in urls:
            try:
                answer = yield from self.ask(devices_request(url, version, query, audience=self.audience))
                self.rows(answer, lookup=True)
            except (ResponseError, MalformedResponseError) as error:
                if not _says_try_another(error):
                    raise
                continue
            return url
        raise EndpointNotFoundError(
            f"no device API at {' or '.join(map(hide_values, urls))}",
            status=404,
            url=hide_values(urls[0]),
            hint=self._hint(404),
        )

    # Cisco ISE MDM API v2 and v3, server info; 5000 records a page where the server does not say.
    def server_info(self, answer: Answer, version: int, api_base: str) -> ServerInfo:
        """What the description says; `version` is the one that is spoken from here on."""
        return ServerInfo(
            provider=self.name,
            vendor=answer.text("vendor"),
            product=answer.text("product_name"),
            version=answer.text("product_version"),
            api_version=str(version),
            query_max_size=number(answer.text("query_max_size")) or _DEFAULT_QUERY_SIZE,
            messaging=boolean(answer.text("messaging_support")),
            extra={
                "api_path": strip_userinfo(answer.text("api_path")),
                "redirect_url": strip_userinfo(answer.text("redirect_url")),
                "api_base": api_base,
            },
            description=IseDescription(api_base=api_base, portal=strip_userinfo(answer.text("redirect_url"))),
        )

    def ask(self, request: Request) -> Flow[Answer]:
        """Send a request, read the answer, and heed the server's wish for a pause."""
        answer = read_answer((yield from send(request)))
        if wait := answer.busy_wait:
            yield from pause(min(wait, _LONGEST_BUSY_WAIT), server_wide=True)
        return answer

    def rows(self, answer: Answer, *, lookup: bool = False) -> Iterator[Row]:
        """The rows of an answer; to be walked once.

        Raises:
            MalformedResponseError: there is no list. An answer without one is no answer to the question, and
                must not be read as "unknown device" or "all comply".
        """
        if not answer.has_list:
            attributes = (answer.text("name") or "").lower() == "attributes"
            if not (lookup and attributes and self.absent_list_is_empty):
                raise MalformedResponseError(f"{answer.url} answered without a list of devices")
        return answer.rows()

    def check(self, response: Response) -> Response:
        """Turn an error status into an error with advice for this protocol."""
        return check_with((*self.refusals, _TOO_OFTEN), self.complaint, response, shown=hide_values)

    def _hint(self, status: int) -> str | None:
        return next((refusal.hint for refusal in self.refusals if refusal.status == status), None)


def _says_try_another(error: ResponseError | MalformedResponseError) -> bool:
    return isinstance(error, MalformedResponseError) or error.status in _TRY_ANOTHER


def _no_api(
    tried: Sequence[str], failures: Sequence[ResponseError | MalformedResponseError], hint: str | None
) -> MdmError:
    """The error after every address has failed: the one that tells most, or where nothing was found."""
    for error in failures:
        if isinstance(error, MalformedResponseError) or error.status >= 500:  # noqa: PLR2004 - server errors
            return error
    return EndpointNotFoundError(
        f"no Cisco ISE MDM API found; tried {', '.join(map(hide_values, tried))}",
        status=404,
        url=hide_values(tried[0]),
        hint=hint,
    )
