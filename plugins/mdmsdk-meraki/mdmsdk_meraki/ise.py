"""The provider ``meraki-ise``: the endpoint that Systems Manager offers to Cisco ISE.

Sources: "Integrate MDM and UEM Servers with Cisco ISE", chapter "Integrate Cisco Meraki Systems Manager";
"Device ID for posture compliance tracking with Cisco ISE and SM", https://documentation.meraki.com/SM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mdmsdk.identifiers import Guid
from mdmsdk.ise import IseProvider, IseSettings
from mdmsdk_meraki.answers import is_meraki_host
from mdmsdk_meraki.provider import bare_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, ServerInfo

__all__ = ["MerakiIseProvider", "MerakiIseSettings"]

_WHERE = "Organization > Configure > MDM > ISE Settings in the Meraki dashboard"


class MerakiIseSettings(IseSettings):
    """Settings of `mdmsdk_meraki.MerakiIseProvider`: those of ``ise``; all three stand on one page.

    Attributes:
        base_url: the setup URL.
        username: the name beside it; not a dashboard administrator.
        password: the one beside it; not the API key.
    """


class MerakiIseProvider(IseProvider):
    """Cisco Meraki Systems Manager as Cisco ISE sees it: API version 3, HTTP Basic authentication."""

    name = "meraki-ise"
    vendor = "Cisco Meraki"
    settings_type: ClassVar[type[MerakiIseSettings]] = MerakiIseSettings
    hints: ClassVar[Mapping[int, str]] = {
        401: f"Take user name and password from {_WHERE}; the API key and dashboard logins are no good here.",
        403: f"Check under {_WHERE} that the integration is set up and an enrolment network is chosen.",
        404: f"Take the setup URL from {_WHERE} as base_url; the organisation may have moved to a new shard.",
    }

    def trusts(self, host: str) -> bool:
        """Meraki's own domains: an organisation lives on a shard and may be moved to another."""
        return is_meraki_host(host)

    # The SAN URI of the device's certificate is ID:MerakiSM:DeviceID:<SM device id>; the server knows the id.
    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        """As `IseProvider.find`; a GUID may be spelled as in the certificate, and is answered so."""
        if not isinstance(key, Guid) or bare_id(key.value) == key.value:
            return (yield from super().find(info, key))
        devices = yield from super().find(info, Guid(bare_id(key.value)))
        return [device.model_copy(update={"guid": key.value}) for device in devices]
