"""A local server of SOTI MobiControl's REST API.

`server` has it, `habits` how it behaves, `records` what it says about devices. Built from MobiControl's own
description of the API (version 2.0), and from what clients in public code recorded and worked around.
"""

from mdmsdk_soti.simulator.habits import SotiHabits
from mdmsdk_soti.simulator.server import SotiSimulator

__all__ = ["SotiHabits", "SotiSimulator"]
