"""Jamf Pro for mdmsdk: ``jamf`` speaks the Jamf Pro API, ``jamf-ise`` the integration with Cisco ISE.

To read it, begin with `provider`: what is asked, in which order. What it asks for and how it reads the
answers stands in modules that do no I/O:

* `inventory`: computers and mobile devices, their filter fields, and what a record says;
* `rsql`, `paging`: how a filter is written, and what a page holds;
* `sources`, and for those with a name `membership`, `groups`, `searches`: what decides about compliance;
* `verdicts`: what follows from it for a device; `coverage`: whether it means the devices that there are;
* `login`, `refusals`: tokens, and what an error answer means.

The other provider is in `ise`.
"""

from mdmsdk_jamf.ise import JamfIseProvider
from mdmsdk_jamf.provider import JamfProvider
from mdmsdk_jamf.settings import ComplianceSettings, JamfSettings, Rules

__all__ = ["ComplianceSettings", "JamfIseProvider", "JamfProvider", "JamfSettings", "Rules"]
