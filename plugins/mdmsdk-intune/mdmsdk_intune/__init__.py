"""Microsoft Intune for mdmsdk: the providers ``intune`` and ``intune-ise``.

========== =====================================================================================
settings   what an administrator fills in, and the clouds that Microsoft runs Intune in
provider   ``intune``: lookups and lists through Graph, judged together with Compliance Retrieval
ise        ``intune-ise``: the Compliance Retrieval service alone, found and asked as Cisco ISE does
records    from Graph's records to devices, and one verdict from two services
refusals   what errors of Entra ID, Graph and the service mean, as data
graph      Graph's addresses, its envelopes for several requests, and the links between its pages
login      msal's part of the login with Entra ID
simulator  a local tenant to test against
========== =====================================================================================

Importing this package does not import msal; the first login does.
"""

from mdmsdk_intune.ise import IntuneIseProvider
from mdmsdk_intune.provider import IntuneProvider
from mdmsdk_intune.settings import IntuneIseSettings, IntuneSettings

__all__ = ["IntuneIseProvider", "IntuneIseSettings", "IntuneProvider", "IntuneSettings"]
