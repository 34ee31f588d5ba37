"""The small provider and its server, as the tests of core have them."""

from tests.core.conftest import origin, script, tiny

__all__ = ["origin", "script", "tiny"]
