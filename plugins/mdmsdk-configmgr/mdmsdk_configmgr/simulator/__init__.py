"""A local administration service of Configuration Manager over a made-up fleet.

`server` has the routes and logins, `habits` how they behave, `records` what the classes say about devices,
`odata` the query language. Built from Microsoft's documentation of the administration service and of the WMI
classes of the SMS Provider, and from what public clients were seen to meet.
"""

from mdmsdk_configmgr.simulator.habits import ConfigMgrHabits
from mdmsdk_configmgr.simulator.server import ConfigMgrSimulator

__all__ = ["ConfigMgrHabits", "ConfigMgrSimulator"]
