"""What the tests of all vendors share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sync", "asyncio"])
def mdm_mode(request: pytest.FixtureRequest) -> str:
    """Both clients; which event loop runs one is core's affair."""
    return str(request.param)
