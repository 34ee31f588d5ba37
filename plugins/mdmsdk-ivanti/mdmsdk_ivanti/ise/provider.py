"""The Cisco ISE MDM API of Ivanti EPMM and Ivanti Neurons for MDM: what differs from the protocol.

Source: Cisco, "Integrate MDM and UEM Servers with Cisco ISE", chapter "Integrate Ivanti (previously
MobileIron) UEM".
"""

from __future__ import annotations

from typing import ClassVar

from mdmsdk.ise import IseProvider
from mdmsdk.provider import Limits
from mdmsdk_ivanti.ise.refusals import CLOUD, CORE

__all__ = ["IvantiCloudIseProvider", "IvantiCoreIseProvider"]


class _IvantiIseProvider(IseProvider):
    vendor = "Ivanti"
    certificate_names: ClassVar[frozenset[str]] = frozenset({"Mobileiron"})
    limits: ClassVar[Limits] = Limits(concurrency=5)


class IvantiCoreIseProvider(_IvantiIseProvider):
    """EPMM; GUIDs, and with them version 3, from release 11.3.0.0 build 24 on."""

    name = "ivanti-core-ise"
    refusals = CORE


class IvantiCloudIseProvider(_IvantiIseProvider):
    """Neurons for MDM: Cisco's own example of the protocol, with ``/ciscoise/mdmapi/v3`` as its path."""

    name = "ivanti-cloud-ise"
    refusals = CLOUD
