"""Cisco Meraki Systems Manager: the providers ``meraki`` (Dashboard API v1) and ``meraki-ise``.

========== =====================================================================================
provider   logins, lookups and lists: what is asked, in which order
scope      how requests and pages are made; organisations, networks and policies at the heartbeat
settings   what an administrator fills in
records    from a row to a `Device`
tags       the verdict from tags and their patterns, because the API has none of its own
refusals   what the API's error answers mean
ise        Meraki's endpoint for Cisco ISE
simulator  local servers of both
========== =====================================================================================
"""

from mdmsdk_meraki.ise import MerakiIseProvider
from mdmsdk_meraki.provider import MerakiProvider
from mdmsdk_meraki.settings import ComplianceSettings, MerakiSettings

__all__ = ["ComplianceSettings", "MerakiIseProvider", "MerakiProvider", "MerakiSettings"]
