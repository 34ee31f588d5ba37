"""Local servers of both products: ``server`` and ``language`` are what they share."""

from mdmsdk_ivanti.simulator.cloud import IvantiCloudHabits, IvantiCloudSimulator
from mdmsdk_ivanti.simulator.core import IvantiCoreHabits, IvantiCoreSimulator
from mdmsdk_ivanti.simulator.ise import (
    IvantiCloudIseHabits,
    IvantiCloudIseSimulator,
    IvantiCoreIseHabits,
    IvantiCoreIseSimulator,
)

__all__ = [
    "IvantiCloudHabits",
    "IvantiCloudIseHabits",
    "IvantiCloudIseSimulator",
    "IvantiCloudSimulator",
    "IvantiCoreHabits",
    "IvantiCoreIseHabits",
    "IvantiCoreIseSimulator",
    "IvantiCoreSimulator",
]
