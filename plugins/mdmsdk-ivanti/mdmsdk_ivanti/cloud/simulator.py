"""The address under which environments know the simulator."""

from mdmsdk_ivanti.simulator.cloud import IvantiCloudSimulator

__all__ = ["IvantiCloudSimulator"]
