"""Microsoft Intune for mdmsdk: the providers ``intune`` and ``intune-ise``.

Importing this package does not import msal; the first login does.
"""

from mdmsdk_intune.ise import IntuneIseProvider
from mdmsdk_intune.provider import IntuneProvider
from mdmsdk_intune.settings import CertificateSettings, IntuneIseSettings, IntuneSettings

__all__ = [
    "CertificateSettings",
    "IntuneIseProvider",
    "IntuneIseSettings",
    "IntuneProvider",
    "IntuneSettings",
]
