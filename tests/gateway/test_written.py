"""What was written of an answer is kept with it, and no longer."""

from __future__ import annotations

import gc

from mdmsdk.gateway.written import Written
from mdmsdk.testing import FakeMdmFederation
from tests.gateway.conftest import MAC, device


def test_one_answer_is_written_once_in_each_way_and_goes_with_what_was_written() -> None:
    written: Written[str] = Written()
    calls: list[str] = []

    def write(how: str) -> str:
        calls.append(how)
        return f"written {how}"

    with FakeMdmFederation({"one": [device()]}) as federation:
        answer, other = federation.lookup(MAC), federation.lookup(MAC)
    for how in ("a", "b", "a", "b"):
        assert written.of(answer, how, lambda: write(how)) == f"written {how}"  # noqa: B023 - called at once
    assert calls == ["a", "b"]
    # Another answer is another one, however like it is.
    assert written.of(other, "a", lambda: write("a again")) == "written a again"
    for number in range(100):
        assert written.of(answer, number, lambda: write("x")) == "written x"
    assert len(written._kept[id(answer)][1]) < 10
    del answer, other
    gc.collect()
    assert not written._kept
