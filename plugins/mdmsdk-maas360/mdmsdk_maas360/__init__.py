"""IBM MaaS360 (formerly Fiberlink) for mdmsdk.

`provider` has the requests of the web services and the order of steps, `settings` what an administrator fills
in, `records` the map from a row of the search to a device, `refusals` what error answers mean. `ise` has the
endpoint for Cisco ISE, `simulator` the local servers.
"""

from mdmsdk_maas360.ise import Maas360IseProvider
from mdmsdk_maas360.provider import Maas360Provider
from mdmsdk_maas360.settings import Maas360Settings

__all__ = ["Maas360IseProvider", "Maas360Provider", "Maas360Settings"]
