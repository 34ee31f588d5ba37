"""Jamf Pro for mdmsdk: ``jamf`` speaks the Jamf Pro API, ``jamf-ise`` the integration with Cisco ISE.

To read it, begin with `provider`: what is asked, in which order. Where the rest is:

* `settings`: what an administrator fills in; `login`: tokens; `refusals`: what an error answer means;
* `records`: computers and mobile devices, their filter fields, and what a record says;
* `rsql`, `paging`: how a filter is written, and what a page holds;
* `sources`: what decides about compliance, since Jamf Pro has no verdict of its own;
* `simulator`: a local server to try it all against.

The other provider is in `ise`.
"""

from mdmsdk_jamf.ise import JamfIseProvider
from mdmsdk_jamf.provider import JamfProvider
from mdmsdk_jamf.settings import ComplianceSettings, JamfSettings

__all__ = ["ComplianceSettings", "JamfIseProvider", "JamfProvider", "JamfSettings"]
