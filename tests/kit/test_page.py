"""The page of the mutation table is about the bugs that there are, and counts them rightly."""

import re

from tests.kit.bugs import BUGS, HARMLESS
from tests.kit.mutants import PAGE


def test_the_page_tells_of_each_bug_and_counts_them() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|`]+) \| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    assert [row[:2] for row in rows] == [(bug.name, bug.sample) for bug in BUGS]
    found = sum(by != "nothing" for *_, by in rows)
    assert f"{found} of {len(BUGS)} bugs are found." in text
    assert all(f"{bug.name} (`{bug.sample}`): {reason}" in text for bug, reason in HARMLESS.items())
