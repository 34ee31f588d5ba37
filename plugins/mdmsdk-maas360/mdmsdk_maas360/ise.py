"""The endpoint of MaaS360 for Cisco ISE."""

from __future__ import annotations

from typing import ClassVar

from mdmsdk.ise import IseProvider
from mdmsdk.provider import Limits
from mdmsdk.refusals import by_status

__all__ = ["Maas360IseProvider"]


# Cisco, "Integrating Fiberlink MaaS360 with Cisco ISE" (2013), and IBM's pages on the Cisco API: version 2 at
# the host of the web services, `/ciscoise/...`, Basic authentication; a sample prints version 3, with which
# come GUIDs and host names. The discovery of the versions tells which one there is.
class Maas360IseProvider(IseProvider):
    """MaaS360 as Cisco ISE sees it."""

    name = "maas360-ise"
    vendor = "IBM"
    limits: ClassVar[Limits] = Limits(concurrency=2)
    refusals = by_status(
        {
            401: "Give user name and password of a portal administrator who has the role for the API.",
            403: "Give the portal administrator the role for the Cisco ISE API, and the devices' groups.",
            404: (
                "Set base_url to the host of the customer's instance, which the first digit of the billing "
                "id tells, such as https://services.m3.maas360.com; where the portal names a path, set "
                "instance."
            ),
        }
    )
