"""What many unknown keys cost at once, as the reference says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.keys import row
from tests.vendors.relay import natives

TABLE = (Path(__file__).parents[2] / "docs/reference/capabilities.md").read_text()


@pytest.mark.large
@pytest.mark.parametrize("name", natives())
def test_a_thousand_of_them_cost_what_the_reference_says(name: str) -> None:
    assert row(name).rstrip("| ") in TABLE
