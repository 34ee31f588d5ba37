"""What is wrong between here and a server, step by step, and what to do about it."""

from mdmsdk.doctor.examination import adiagnose, diagnose
from mdmsdk.doctor.findings import STEPS, Finding

__all__ = ["STEPS", "Finding", "adiagnose", "diagnose"]
