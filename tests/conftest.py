"""Settings of all tests."""

import gc
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


# Vendors' flows never know who drives them, and `nox -s matrix` has each fault in both modes; so these alone
# run in the second mode as well, wherever they are.
_IN_BOTH = (
    "test_finds_each_device_by_each_key",
    "test_many_lookups_answer_in_order",
    "test_noncompliant_list_is_the_truth",
)
_IN_ONE = (
    *("tests/vendors/", "tests/canary/", "tests/federation/test_killed.py"),
    *("tests/gateway/test_contract.py", "tests/gateway/test_over_simulators.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is run apart.

    What takes a fleet of thousands of devices is large: `nox -s large` runs it. What another mode shows as
    well comes again: `nox -s again` runs it.
    """
    names = {item.nodeid for item in items}
    for item in items:
        if {"large", "large_fleet"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.large)
        name = item.nodeid
        second = "asyncio" in name and name.replace("asyncio", "sync") in names
        if second and name.startswith(_IN_ONE) and getattr(item, "originalname", "") not in _IN_BOTH:
            item.add_marker(pytest.mark.again)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through thousands of tests at each of its runs."""
    gc.freeze()
