"""The Compliance Retrieval service ("NAC 2.0"), found and asked as Cisco ISE does it.

Cisco, "Integrate MDM and UEM Servers with Cisco ISE", chapter on Intune; Microsoft, "Network access control
(NAC) integration with Intune",
https://learn.microsoft.com/mem/intune/protect/network-access-control-integrate
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mdmsdk.errors import EndpointNotFoundError, RedirectError, VersionMismatchError
from mdmsdk.flow import send
from mdmsdk.identifiers import Guid, Mac
from mdmsdk.ise import IseDialect
from mdmsdk.provider import check_status
from mdmsdk.refusals import by_status
from mdmsdk.wire import https_place
from mdmsdk_intune.graph import VERSION, RecordNotFoundError, check_graph, get, rows_of
from mdmsdk_intune.login import check_login, is_login, login
from mdmsdk_intune.settings import IntuneIseSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.provider import Capability, Token
    from mdmsdk.wire import Response

__all__ = ["POLL_SECONDS", "IntuneIseProvider", "is_device_id"]

# Microsoft, "Network access control (NAC) integration with Intune": the list of all noncompliant devices
# may be asked for once in 4 hours; sooner gives 503.
POLL_SECONDS: Final = 4 * 3600

# Intune's own service principal, the same in every tenant.
_ENDPOINTS: Final = "/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SERVICE: Final = "ComplianceRetrievalService"
_OLD_SERVICE: Final = "NACAPIService"

_REFUSED_HINT = (
    "The Compliance Retrieval service refuses the token: check cloud and nac_audience, and that "
    "administrator's consent was granted to get_device_compliance."
)
_PERMISSION_HINT = (
    "Give the app registration the application permission get_device_compliance of the API 'Intune', with "
    "administrator's consent, granted again after every change; it takes 5 to 10 minutes to work."
)
_MOVED_HINT = (
    "Intune moves its services now and then; the address is looked up again after this. If it goes on, try "
    "the provider intune with only graph in backends."
)
_POLL_HINT = (
    "Intune gives the list of all noncompliant devices at most once in 4 hours: ask again 4 hours after the "
    "last list, and poll every 240 minutes or less often. Single devices can be looked up all the time, and "
    "the provider intune with Graph lists without this limit."
)
_NO_SERVICE_HINT = (
    "Check that this tenant has an active Intune licence, and tenant_id and cloud. Without the service, the "
    'provider intune still works with backends = ["graph"].'
)


class IntuneIseProvider(IseDialect):
    """Intune as Cisco ISE sees it: registered and compliant or not, by MAC address and GUID, nothing else.

    The GUID is the Intune device id, which certificates have as ``ID:Microsoft Endpoint Manager:GUID:...``.
    """

    name = "intune-ise"
    vendor = "Microsoft Intune"
    settings_type: ClassVar[type[IntuneIseSettings]] = IntuneIseSettings
    keys: ClassVar[frozenset[type[Key]]] = frozenset({Mac, Guid})
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    # Microsoft, "Network access control (NAC) integration with Intune" (address above), and Cisco, "Integrate
    # MDM and UEM Servers with Cisco ISE": a record is named by the GUID, and does not repeat the address.
    never_shown: ClassVar[frozenset[type[Key]]] = frozenset({Mac})
    audience = "nac"
    # Named by GUID, the list failed for others and was changed to this. A second try is none here: it is
    # one list in 4 hours.
    bulk_identifiers = ("macaddress",)
    # What an unknown device gives is not documented; a device that is not in the list is not known, either
    # way.
    absent_list_is_empty = True
    refusals = by_status({401: _REFUSED_HINT, 403: _PERMISSION_HINT, 404: _MOVED_HINT})

    settings: IntuneIseSettings

    def trusts(self, host: str) -> bool:
        """Intune's services stand on hosts of their own, which Graph names."""
        domain = self.settings.place.intune
        return host == domain or host.endswith(f".{domain}") or host in self.settings.own_hosts

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """A token for ``graph`` or for ``nac``, from Entra ID."""
        del previous
        return login(self.settings, audience)

    def heartbeat(self) -> Flow[ServerInfo]:
        """Find the service, which may have moved, and ask for its description.

        Raises:
            EndpointNotFoundError: Graph does not know the service in this tenant.
            VersionMismatchError: only its retired predecessor is there.
        """
        service = yield from self.find_service()
        return (yield from self.discover(service))

    # Microsoft Graph, "endpoint", https://learn.microsoft.com/graph/api/resources/endpoint. The retired
    # Azure AD Graph called the name serviceName.
    def find_service(self) -> Flow[str]:
        """Where the service of this tenant is, without a slash at the end."""
        rows = rows_of((yield from send(get(self.settings.base_url, _ENDPOINTS))))
        services = {_name(row): row.get("uri") for row in rows}
        uri = services.get(_SERVICE)
        if isinstance(uri, str):
            return self._accept(uri.rstrip("/"))
        if _OLD_SERVICE in services:
            raise VersionMismatchError(
                "the tenant offers only the NAC service that Microsoft retired in March 2024",
                hint=_NO_SERVICE_HINT,
            )
        raise EndpointNotFoundError(
            "Graph does not know the Compliance Retrieval service in this tenant", hint=_NO_SERVICE_HINT
        )

    def _accept(self, uri: str) -> str:
        try:
            place = https_place(uri)
        except ValueError:
            place = None
        if not place or not self.trusts(place):
            raise RedirectError(
                f"Graph names an address outside of {self.settings.place.intune} for the service "
                f"({(place or 'unreadable')[:80]})",
                hint="Check cloud; behind a private link, graph_url or authority_url has to name that host.",
            )
        return uri

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """Every record of this key; [] where Intune does not know it."""
        if isinstance(key, Guid) and not is_device_id(key):
            return []
        try:
            return (yield from super().find(info, key))
        except RecordNotFoundError:
            return []

    def check(self, response: Response) -> Response:
        """Turn an error status into an error with advice for the service that answered."""
        url = response.url
        if is_login(url, self.settings):
            return check_login(response)
        if url.startswith(f"{self.settings.base_url}{VERSION}/"):
            return check_graph(response)
        if response.status == 503 and "querycriteria=compliance" in url:  # noqa: PLR2004 - HTTP's own numbers
            wait = {"retry-after": str(POLL_SECONDS)} | dict(response.headers)
            return check_status(replace(response, headers=wait), hint=_POLL_HINT)
        if response.status == 404 and b"<ise_api" in response.body:  # noqa: PLR2004
            raise RecordNotFoundError("Intune does not know this device", status=404)
        if response.status == 421:  # noqa: PLR2004 - this host serves the tenant no more: look it up again
            response = replace(response, status=404)
        return super().check(response)


def is_device_id(key: Key) -> bool:
    """Whether a GUID can be one of Intune's, which are all UUIDs; another vendor's needs no request."""
    return _UUID.fullmatch(key.value) is not None


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("providerName") or row.get("serviceName") or "")
