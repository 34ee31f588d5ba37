"""A local Jamf Pro server: the parts of the Jamf Pro API and of the Classic API that concern compliance.

`server` is the server, `login` its tokens, `habits` how it behaves, `records` what it says about devices,
`rsql` how it reads filters. Built from the descriptions of both APIs (Jamf Pro 11.30, on every server under
``/api/doc``) and from what https://developer.jamf.com/jamf-pro says about authentication, filters, pages and
errors.
"""

from mdmsdk_jamf.simulator.habits import ALL_PRIVILEGES, JamfHabits
from mdmsdk_jamf.simulator.server import AppleFleet, JamfSimulator

__all__ = ["ALL_PRIVILEGES", "AppleFleet", "JamfHabits", "JamfSimulator"]
