"""The network integration of Jamf Pro, as Cisco ISE asks it: a dialect of the ISE MDM API."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mdmsdk.ise import IseProvider
from mdmsdk.provider import Limits
from mdmsdk.refusals import by_status

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["JamfIseProvider"]

# "Classic API Authentication Changes", https://developer.jamf.com: a server on which Basic authentication is
# switched off answers as to a wrong password. Cisco, "Integrate ISE 3.3 with Jamf", scenarios 2 and 3.
_LOGIN_HINT: Final = (
    "Either user name or password is wrong, or the account lacks privileges; or Basic authentication is "
    "switched off: Settings > User accounts and groups > Password policy > 'Allow Basic authentication in "
    "addition to Bearer Token authentication'. Jamf Pro answers alike in both cases. API clients are no use."
)
_ROLE_HINT: Final = (
    "Grant the account the privilege Read Network Integration, and to read computers, mobile devices and the "
    "advanced searches that the integration names."
)
_INSTANCE_HINT: Final = (
    "The instance is wrong, or the network integration was deleted: Settings > Network > Network integration "
    "shows its URL, https://HOST/networkIntegrationEndpoint/ID, of which /networkIntegrationEndpoint/ID "
    "belongs into the setting instance. Where the server describes itself wrongly, set api_path."
)


class JamfIseProvider(IseProvider):
    """One network integration of a Jamf Pro server; it speaks version 3 from about 10.42 on."""

    name = "jamf-ise"
    vendor = "Jamf Pro"
    certificate_names: ClassVar[frozenset[str]] = frozenset({"Jamf"})
    # "Jamf Pro API Scalability Best Practices": at most five connections at once.
    limits: ClassVar[Limits] = Limits(concurrency=5)
    refusals = by_status({401: _LOGIN_HINT, 403: _ROLE_HINT, 404: _INSTANCE_HINT})

    # Cisco, "Integrate ISE 3.3 with Jamf": below the instance /networkIntegrationEndpoint/ID the server names
    # the path /ID/ciscoise/v3, which continues the instance instead of counting from the root of the host.
    def api_urls(self, root: str, api_path: str) -> Sequence[str]:
        """The addresses that the reported path can mean: first the one that continues the instance."""
        return tuple(reversed(super().api_urls(root, api_path)))
