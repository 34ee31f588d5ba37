"""BlackBerry UEM for mdmsdk.

`provider` has the requests of the REST API and the order of steps, `settings` what an administrator fills
in, `records` the map from a record to a device and the joining of both sources, `refusals` what error answers
mean. `login` is this vendor's own: the authorization line. `ise` has the endpoint for Cisco ISE, which alone
knows compliance; `simulator` the local servers.
"""

from mdmsdk_blackberry.ise import BlackBerryIseProvider
from mdmsdk_blackberry.provider import BlackBerryProvider
from mdmsdk_blackberry.settings import BlackBerrySettings

__all__ = ["BlackBerryIseProvider", "BlackBerryProvider", "BlackBerrySettings"]
