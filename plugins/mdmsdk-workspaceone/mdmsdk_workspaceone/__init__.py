"""Workspace ONE UEM (Omnissa, formerly VMware AirWatch) for mdmsdk.

`provider` has the requests of the REST API and the order of steps, `settings` what an administrator fills
in, `records` the map from a record in any version to a device, `refusals` what error answers mean.
`signature` is this vendor's own: the login by certificate, which signs each request. `ise` has the endpoint
for Cisco ISE, `simulator` the local servers.
"""

from mdmsdk_workspaceone.ise import WorkspaceOneIseProvider
from mdmsdk_workspaceone.provider import WorkspaceOneProvider
from mdmsdk_workspaceone.settings import CertificateSettings, WorkspaceOneSettings

__all__ = ["CertificateSettings", "WorkspaceOneIseProvider", "WorkspaceOneProvider", "WorkspaceOneSettings"]
