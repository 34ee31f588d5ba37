"""The provider ``meraki-ise``: the endpoint that Systems Manager offers to Cisco ISE.

Sources: "Integrate MDM and UEM Servers with Cisco ISE", chapter "Integrate Cisco Meraki Systems Manager";
"Device ID for posture compliance tracking with Cisco ISE and SM", https://documentation.meraki.com/SM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mdmsdk.identifiers import Guid
from mdmsdk.ise import CRITERIA, Criterion, IseProvider
from mdmsdk.refusals import by_status
from mdmsdk_meraki.records import bare_id, spelled_ids
from mdmsdk_meraki.settings import DOMAINS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdmsdk.identifiers import Key
    from mdmsdk.ise.reader import Row
    from mdmsdk.models import Device

__all__ = ["MerakiIseProvider"]

_WHERE = "Organization > Configure > MDM > ISE Settings in the Meraki dashboard"


# The SAN URI of the device's certificate is ID:MerakiSM:DeviceID:<SM device id>; the server knows the id.
class _ByNumber(Criterion):
    def value_of(self, key: Key) -> str:
        """The number in the GUID."""
        return bare_id(key.value)


class MerakiIseProvider(IseProvider):
    """Cisco Meraki Systems Manager as Cisco ISE sees it: API version 3, HTTP Basic authentication."""

    name = "meraki-ise"
    vendor = "Cisco Meraki"
    certificate_names: ClassVar[frozenset[str]] = frozenset({"MerakiSM"})
    domains = DOMAINS  # an organisation lives on a shard and may be moved to another
    criteria: ClassVar[Mapping[type[Key], Criterion]] = {**CRITERIA, Guid: _ByNumber("guid", 3)}
    refusals = by_status(
        {
            401: f"Take user name and password from {_WHERE}; API keys and dashboard logins do not serve.",
            403: f"Check under {_WHERE} that the integration is set up and an enrolment network is chosen.",
            404: f"Take the setup URL from {_WHERE} as base_url; the organisation may have moved.",
        }
    )

    def to_device(self, row: Row, *, listed: bool = False) -> Device:
        """The device of a row, which knows its GUID in both spellings."""
        device = super().to_device(row, listed=listed)
        others = (*device.other_identifiers, *spelled_ids(device.guid))
        return device.model_copy(update={"other_identifiers": others})
