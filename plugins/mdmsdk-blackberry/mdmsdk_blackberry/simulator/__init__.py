"""Local servers of BlackBerry UEM: its REST API and its endpoint for Cisco ISE.

`server` has both, `habits` how they behave, `records` what they say about devices and users. Built from the
vendor's REST API reference (12.6 to 12.21), its page on the OAuth login, and what public clients show.
"""

from mdmsdk_blackberry.simulator.habits import BlackBerryHabits, BlackBerryIseHabits
from mdmsdk_blackberry.simulator.server import BlackBerryIseSimulator, BlackBerrySimulator

__all__ = ["BlackBerryHabits", "BlackBerryIseHabits", "BlackBerryIseSimulator", "BlackBerrySimulator"]
