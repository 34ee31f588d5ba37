"""Local servers of MaaS360: the web services over a synthetic fleet, and the endpoint for Cisco ISE.

Built from the sheet of facts about the vendor, never from the provider's code. `habits` has the switches,
`records` writes what the server says about a device, `server` has the routes, the login and the search, `ise`
the endpoint for Cisco ISE.
"""

from mdmsdk_maas360.simulator.habits import Maas360Habits
from mdmsdk_maas360.simulator.ise import Maas360IseHabits, Maas360IseSimulator
from mdmsdk_maas360.simulator.server import Maas360Simulator

__all__ = ["Maas360Habits", "Maas360IseHabits", "Maas360IseSimulator", "Maas360Simulator"]
