"""The mutation table: ``python -m tests.kit.mutants`` plants each bug and says which test finds it.

Without options, a bug's run ends at its first red test and has one mode, without the tests that
wait for broken servers; ``--all-modes`` runs everything. The table is written to
docs/reference/mutation-table.md with ``--write``. Without, what is found is compared with it: the bugs and
whether each is found, as which test finds one first says more about the order of the tests.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.kit.bench import Bug, Result, examine, record
from tests.kit.bugs import BUGS, HARMLESS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mutation-table.md"
SAMPLES = ("flat", "shelf", "dialect")
_GOAL = 0.95
# What waits for broken servers finds little else, and takes most of the time.
_QUICK = "not asyncio and not fault and not complete_or_fails and not damaged"
_HEAD = """# The mutation table

What proves that the contract suite finds mistakes: bugs that were planted into three small plugins of the
project's tests, one at a time, and the test of `mdmsdk.testing.BaseProviderContract` that turns red first.
`flat` is a REST API with tokens and batches, `shelf` one of lists by position with a language of filters,
`dialect` a server of the Cisco ISE MDM API. Without a bug, all three are green. `nox -s mutants -- --write`
writes this page.

"""


def page(results: list[Result]) -> str:
    """The page of the docs."""
    found = [result for result in results if result.found]
    missed = [f"{result.bug.name} (`{result.bug.sample}`)" for result in results if not result.found]
    lines = [f"{len(found)} of {len(results)} bugs are found. Not found: {'; '.join(missed) or 'none'}.", ""]
    lines += ["| bug | sample | found by |", "|---|---|---|"]
    for result in results:
        by = f"`{result.found}`" if result.found else "nothing"
        lines.append(f"| {result.bug.name} | `{result.bug.sample}` | {by} |")
    lines += ["", "Not counted, because it changes no answer; no test may turn red for it:", ""]
    lines += [f"* {bug.name} (`{bug.sample}`): {reason}." for bug, reason in HARMLESS.items()]
    return _HEAD + "\n".join(lines) + "\n"


def held(text: str) -> list[str]:
    """What of a page has to stay: all but the name of the test that found a bug."""
    return [re.sub(r"\| `test_\w+` \|$", "| found |", line) for line in text.splitlines()]


def run(bugs: list[Bug], *, modes: str, jobs: int) -> tuple[list[Result], list[Result]]:
    """The results for the good samples, and for the bugs, in their order."""
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(jobs) as pool:
        cassettes = Path(name)
        for sample in SAMPLES:
            record(sample, cassettes)
        good = [
            pool.submit(examine, Bug("", sample, ()), cassettes, modes=modes, first=False)
            for sample in SAMPLES
        ]
        results = list(pool.map(partial(examine, cassettes=cassettes, modes=modes), bugs))
        return [future.result() for future in good], results


def main(arguments: list[str] | None = None) -> int:
    """Make the table; 1 if anything good is red, too few bugs are found, or the page is another one."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.mutants", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--all-modes", action="store_true", help="run in sync and asyncio")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="bugs whose name holds this; the page is left alone")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    bugs = [bug for bug in BUGS if given.only in bug.name]
    harmless = [bug for bug in HARMLESS if given.only in bug.name]
    good, results = run([*bugs, *harmless], modes="" if given.all_modes else _QUICK, jobs=given.jobs)
    good += results[len(bugs) :]
    del results[len(bugs) :]
    for result in good:
        what = f"{result.bug.sample} {result.bug.name or 'as it is'}"
        print(f"{result.seconds:5.1f} s  {what}: {result.found} {result.told[:600]}")  # noqa: T201
    found = sum(bool(result.found) for result in results)
    for result in results:
        if not result.found:
            print(f"not found: {result.bug.name} ({result.bug.sample}) {result.told}")  # noqa: T201
    print(f"{found} of {len(results)} found in {time.monotonic() - began:.0f} s")  # noqa: T201
    text = page(results)
    if given.write:
        PAGE.write_text(text, encoding="utf-8")
    stale = not given.only and held(PAGE.read_text(encoding="utf-8")) != held(text)
    if stale:
        print(f"{PAGE.name} is not what was found: nox -s mutants -- --write")  # noqa: T201
    return int(any(result.found for result in good) or found < _GOAL * len(results) or stale)


if __name__ == "__main__":
    sys.exit(main())
