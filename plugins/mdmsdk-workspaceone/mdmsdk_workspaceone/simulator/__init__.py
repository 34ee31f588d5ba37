"""Local servers of Workspace ONE UEM: its REST API, and its endpoint for Cisco ISE.

`server` has both, `habits` how they behave, `records` what they say about devices, `cms` the check of
signatures. Built from UEM's API help (mdm v1 to v3, system v1) and from public recordings of tenants.
"""

from mdmsdk_workspaceone.simulator.habits import WorkspaceOneHabits
from mdmsdk_workspaceone.simulator.server import (
    WorkspaceOneIseHabits,
    WorkspaceOneIseSimulator,
    WorkspaceOneSimulator,
)

__all__ = [
    "WorkspaceOneHabits",
    "WorkspaceOneIseHabits",
    "WorkspaceOneIseSimulator",
    "WorkspaceOneSimulator",
]
