"""Settings of all tests."""

import logging
import signal

import pytest
from hypothesis import settings

# A machine that is busy with other things is no defect of ours. The same examples each time: what is red
# tells of a change; `--hypothesis-profile=default` looks for new ones.
settings.register_profile("patient", deadline=None, derandomize=True)
settings.load_profile("patient")

# A shell ignores it for what it starts in the background; our children get it back with this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_OURS = logging.getLogger("mdmsdk")
_HANDLERS, _LEVEL = [*_OURS.handlers], _OURS.level


@pytest.fixture(autouse=True)
def log_as_before() -> None:
    """Begin with our log as it is without the command line, which sets its level and handlers."""
    _OURS.handlers[:] = _HANDLERS
    _OURS.setLevel(_LEVEL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes a fleet of thousands of devices: `nox -s large` runs it."""
    for item in items:
        if {"large", "large_fleet"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.large)
