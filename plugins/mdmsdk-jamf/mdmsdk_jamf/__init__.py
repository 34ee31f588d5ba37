"""Jamf Pro for mdmsdk: ``jamf`` speaks the Jamf Pro API, ``jamf-ise`` the integration with Cisco ISE."""

from mdmsdk_jamf.ise import JamfIseProvider
from mdmsdk_jamf.provider import JamfProvider
from mdmsdk_jamf.settings import ComplianceSettings, JamfSettings, Rules

__all__ = ["ComplianceSettings", "JamfIseProvider", "JamfProvider", "JamfSettings", "Rules"]
