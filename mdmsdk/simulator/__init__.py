"""Local servers of MDM vendors' APIs over a synthetic fleet, to test an application without a tenant.

In a test::

    with serve(IseSimulator(Fleet.generate(size=50))) as running:
        client = mdmsdk.connect(**running.settings)

Needs the extra `mdmsdk[simulator]`.
"""

from mdmsdk.simulator.base import Simulator
from mdmsdk.simulator.faults import Fault, Faults
from mdmsdk.simulator.fleet import Fleet, SimDevice
from mdmsdk.simulator.ise import IseHabits, IseSimulator
from mdmsdk.simulator.recording import ReceivedRequest, RequestLog, basic_credentials
from mdmsdk.simulator.server import RunningSimulator, TlsFiles, serve, serve_forever

__all__ = [
    "Fault",
    "Faults",
    "Fleet",
    "IseHabits",
    "IseSimulator",
    "ReceivedRequest",
    "RequestLog",
    "RunningSimulator",
    "SimDevice",
    "Simulator",
    "TlsFiles",
    "basic_credentials",
    "serve",
    "serve_forever",
]
