"""Ivanti EPMM (MobileIron Core) and Ivanti Neurons for MDM (MobileIron Cloud) for mdmsdk.

Four providers: ``ivanti-core`` and ``ivanti-cloud`` speak the products' own REST APIs, ``ivanti-core-ise``
and ``ivanti-cloud-ise`` the Cisco ISE MDM API.

What is where:

* ``provider``: what both products share, from login to lists; ``records``: reading, masks, the verdict
* ``settings``: of both; ``refusals``: what their error answers mean, as data
* ``core``: EPMM: ``provider``, ``records``, ``query`` (its query language)
* ``cloud``: Neurons for MDM: ``provider``, ``records`` (with its queries)
* ``ise``: both as Cisco ISE asks them
* ``simulator``: local servers of all four
"""

from mdmsdk_ivanti.cloud.provider import IvantiCloudProvider
from mdmsdk_ivanti.core.provider import IvantiCoreProvider
from mdmsdk_ivanti.ise.provider import IvantiCloudIseProvider, IvantiCoreIseProvider
from mdmsdk_ivanti.settings import IvantiCloudSettings, IvantiCoreSettings

__all__ = [
    "IvantiCloudIseProvider",
    "IvantiCloudProvider",
    "IvantiCloudSettings",
    "IvantiCoreIseProvider",
    "IvantiCoreProvider",
    "IvantiCoreSettings",
]
