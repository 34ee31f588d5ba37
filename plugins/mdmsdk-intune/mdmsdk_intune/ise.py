"""The Compliance Retrieval service ("NAC 2.0"), found and asked as Cisco ISE does it.

Cisco, "Integrate MDM and UEM Servers with Cisco ISE", chapter on Intune; Microsoft, "Network access control
(NAC) integration with Intune",
https://learn.microsoft.com/mem/intune/protect/network-access-control-integrate
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from mdmsdk.errors import EndpointNotFoundError, RedirectError, VersionMismatchError
from mdmsdk.flow import or_none, send
from mdmsdk.identifiers import Guid, Mac
from mdmsdk.ise import IseDialect
from mdmsdk.wire import https_place
from mdmsdk_intune.graph import get, rows_of
from mdmsdk_intune.login import login
from mdmsdk_intune.refusals import REFUSALS, RecordNotFoundError, complaint
from mdmsdk_intune.settings import IntuneIseSettings

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.provider import Capability, Token

__all__ = ["IntuneIseProvider", "is_device_id"]

# Intune's own service principal, the same in every tenant.
_ENDPOINTS: Final = "/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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
    certificate_names: ClassVar[frozenset[str]] = frozenset({"Intune", "Microsoft Endpoint Manager"})
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
    refusals = REFUSALS
    complaint = staticmethod(complaint)

    settings: IntuneIseSettings

    def trusts(self, host: str) -> bool:
        """Intune's services stand on hosts of their own, which Graph names."""
        domain = self.settings.place.intune
        own = host == domain or host.endswith(f".{domain}") or host in self.settings.own_hosts
        return own or super().trusts(host)

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        """A token for ``graph`` or for ``nac``, from Entra ID."""
        del previous
        return login(self.settings, audience)

    @property
    def login_url(self) -> str:
        """The authority."""
        return self.settings.authority

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
        services = {row.text("providerName", "serviceName"): row.text("uri") for row in rows}
        if uri := services.get("ComplianceRetrievalService"):
            return self._accept(uri.rstrip("/"))
        if "NACAPIService" in services:
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
        return (yield from or_none(super().find(info, key), RecordNotFoundError)) or []


def is_device_id(key: Key) -> bool:
    """Whether a GUID can be one of Intune's, which are all UUIDs; another vendor's needs no request."""
    return _UUID.fullmatch(key.value) is not None
