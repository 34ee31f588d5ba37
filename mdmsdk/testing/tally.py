"""A pytest plugin for `mdmsdk.testing.quality`: which contract suites ran, how, and what failed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__: list[str] = []

_modes: dict[str, set[str]] = {}
_failed: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note which contract suites there are."""
    from mdmsdk.testing import BaseProviderContract

    for item in items:
        kind = getattr(item, "cls", None)
        if isinstance(kind, type) and issubclass(kind, BaseProviderContract):
            call = getattr(item, "callspec", None)
            _modes.setdefault(kind.provider, set()).add(call.params.get("mode", "") if call else "")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what failed."""
    if report.failed:
        _failed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write it where it was asked for."""
    told = {"modes": {name: sorted(modes) for name, modes in _modes.items()}, "failed": _failed}
    Path(os.environ["MDMSDK_TALLY"]).write_text(json.dumps(told), encoding="utf-8")
