"""A slice of the soak; `nox -s soak` is the whole of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.server import Faulty, static_server
from benchmarks.soak import by_tasks, by_threads, check, use

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.soak import Tally


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("work", "callers"), [(by_threads, 40), (by_tasks, 300)])
def test_nothing_grows(work: Callable[[str, int, int], Tally], callers: int) -> None:
    with static_server(Faulty) as origin:
        before = use()
        tally = work(origin, 700, callers)
        check(tally, before, use())
