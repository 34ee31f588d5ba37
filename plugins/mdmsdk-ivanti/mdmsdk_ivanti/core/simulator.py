"""The address under which environments know the simulator."""

from mdmsdk_ivanti.simulator.core import IvantiCoreSimulator

__all__ = ["IvantiCoreSimulator"]
