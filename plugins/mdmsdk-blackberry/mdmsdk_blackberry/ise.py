"""The endpoint of BlackBerry UEM for Cisco ISE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from mdmsdk.ise import IseProvider
from mdmsdk.provider import Limits
from mdmsdk.refusals import by_status

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk.ise import Answer
    from mdmsdk.wire import Request

__all__ = ["ISE_ROLE", "LIMITS", "BlackBerryIseProvider"]

# BlackBerry documents no limit; what public clients do at once is little, and one Core serves it all.
LIMITS = Limits(concurrency=2)
# BlackBerry, "Create an administrator account that Cisco ISE can use",
# https://docs.blackberry.com/en/endpoint-management/blackberry-uem/
_ACCOUNT = (
    "Give user name and password of a local administrator of UEM (Settings > Administrators > Users); an "
    "account of a company directory is not taken here."
)
ISE_ROLE = (
    "Give the local administrator a role with 'View users and activated devices' and 'Manage devices', as "
    "the roles Security Administrator and Enterprise Administrator have them."
)
_ADDRESS = (
    "Check the address: https://HOST:18084. The log of UEM Core names the port in the line with "
    "(^/ciscoise/.*). Where the server describes itself wrongly, set api_path, or "
    "ise_api_path beside the REST API."
)


class BlackBerryIseProvider(IseProvider):
    """BlackBerry UEM as Cisco ISE sees it; which versions of the protocol it speaks is found out."""

    name = "blackberry-ise"
    vendor = "BlackBerry"
    limits: ClassVar[Limits] = LIMITS
    audience = "ise"
    refusals = by_status({401: _ACCOUNT, 403: ISE_ROLE, 404: _ADDRESS})

    def ask(self, request: Request) -> Flow[Answer]:
        """Send a request, and read what comes by this protocol's rules, whoever sends it."""
        return super().ask(replace(request, check=self.check))
