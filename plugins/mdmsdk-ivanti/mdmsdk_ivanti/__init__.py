"""Ivanti EPMM (MobileIron Core) and Ivanti Neurons for MDM (MobileIron Cloud) for mdmsdk.

Four providers: ``ivanti-core`` and ``ivanti-cloud`` speak the products' own REST APIs, ``ivanti-core-ise``
and ``ivanti-cloud-ise`` the Cisco ISE MDM API.

What is where:

* ``provider``, ``records``, ``settings``: what both products share
* ``core``: EPMM: the same rooms, ``refusals`` and ``query`` (its query language)
* ``cloud``: Neurons for MDM: the same rooms (queries are in ``records``) and ``refusals``
* ``ise``: both as Cisco ISE asks them
* ``simulator``: local servers of all four
"""

from mdmsdk_ivanti.cloud.provider import IvantiCloudProvider
from mdmsdk_ivanti.cloud.settings import IvantiCloudSettings
from mdmsdk_ivanti.core.provider import IvantiCoreProvider
from mdmsdk_ivanti.core.settings import IvantiCoreSettings
from mdmsdk_ivanti.ise.provider import IvantiCloudIseProvider, IvantiCoreIseProvider

__all__ = [
    "IvantiCloudIseProvider",
    "IvantiCloudProvider",
    "IvantiCloudSettings",
    "IvantiCoreIseProvider",
    "IvantiCoreProvider",
    "IvantiCoreSettings",
]
