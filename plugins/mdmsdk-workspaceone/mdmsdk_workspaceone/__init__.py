"""Workspace ONE UEM (Omnissa, formerly VMware AirWatch) for mdmsdk.

`WorkspaceOneProvider` speaks the REST API of UEM, `WorkspaceOneIseProvider` its endpoint for Cisco ISE.
"""

from mdmsdk_workspaceone.ise import WorkspaceOneIseProvider
from mdmsdk_workspaceone.provider import WorkspaceOneProvider
from mdmsdk_workspaceone.settings import CertificateSettings, WorkspaceOneSettings

__all__ = [
    "CertificateSettings",
    "WorkspaceOneIseProvider",
    "WorkspaceOneProvider",
    "WorkspaceOneSettings",
]
