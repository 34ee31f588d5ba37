"""Settings of all tests."""

from hypothesis import settings

# A machine that is busy with other things is no defect of ours.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
