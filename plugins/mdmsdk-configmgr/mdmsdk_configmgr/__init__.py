"""Microsoft Configuration Manager (MECM, SCCM) for mdmsdk.

`provider` has the requests to the administration service and the order of steps, `settings` what an
administrator fills in, `records` the map from the rows of its classes to a device, `refusals` what error
answers mean. `login` and `query` are this vendor's own: a ticket of Kerberos for each request or a token of
Entra ID, and the query language. `simulator` has the local server.
"""

from mdmsdk_configmgr.provider import ConfigMgrProvider
from mdmsdk_configmgr.settings import ConfigMgrSettings, KerberosLogin

__all__ = ["ConfigMgrProvider", "ConfigMgrSettings", "KerberosLogin"]
