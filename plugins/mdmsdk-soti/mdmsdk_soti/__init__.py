"""SOTI MobiControl for mdmsdk.

`provider` has the requests of the REST API and the order of steps, `settings` what an administrator fills
in, `records` the map from a record of any kind to a device, `refusals` what error answers mean. `learning` is
this vendor's own: what a heartbeat finds out about a server that its description does not say. `simulator`
has the local server.
"""

from mdmsdk_soti.provider import SotiProvider
from mdmsdk_soti.settings import SotiSettings

__all__ = ["SotiProvider", "SotiSettings"]
