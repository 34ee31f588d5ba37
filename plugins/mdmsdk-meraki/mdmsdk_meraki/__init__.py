"""Cisco Meraki Systems Manager: the providers ``meraki`` (Dashboard API v1) and ``meraki-ise``."""

from mdmsdk_meraki.ise import MerakiIseProvider, MerakiIseSettings
from mdmsdk_meraki.provider import MerakiProvider
from mdmsdk_meraki.settings import ComplianceSettings, MerakiSettings

__all__ = [
    "ComplianceSettings",
    "MerakiIseProvider",
    "MerakiIseSettings",
    "MerakiProvider",
    "MerakiSettings",
]
