"""The address under which environments know the simulators."""

from mdmsdk_ivanti.simulator.ise import IvantiCloudIseSimulator, IvantiCoreIseSimulator

__all__ = ["IvantiCloudIseSimulator", "IvantiCoreIseSimulator"]
